from django.db import migrations

# What the newest completed scan of each target found is open; it was first seen in the
# oldest scan of the target that still is there. What was resolved before is not told.
LAST = """
UPDATE targets SET
    last_scan_id = (
        SELECT scan_id FROM scans
        WHERE scans.target_id = targets.target_id AND scan_status = 'completed'
        ORDER BY created_at DESC, scan_id DESC LIMIT 1),
    last_scan_at = (
        SELECT created_at FROM scans
        WHERE scans.target_id = targets.target_id AND scan_status = 'completed'
        ORDER BY created_at DESC, scan_id DESC LIMIT 1)
WHERE EXISTS (
    SELECT 1 FROM scans
    WHERE scans.target_id = targets.target_id AND scan_status = 'completed')
"""
FIRST = """
SELECT {column} FROM findings AS older
JOIN scans AS earlier ON earlier.scan_id = older.scan_id
WHERE older.fingerprint = findings.fingerprint
    AND earlier.target_id = targets.target_id AND earlier.scan_status = 'completed'
ORDER BY earlier.created_at, earlier.scan_id LIMIT 1
"""
OPEN = f"""
INSERT INTO target_findings (target_finding_id, target_id, fingerprint, scanner, rule,
    severity, category, title, location, first_seen_at, first_scan_id, times_reopened)
SELECT findings.finding_id, targets.target_id, findings.fingerprint, findings.scanner,
    findings.rule, findings.severity, findings.category, findings.title,
    findings.location, ({FIRST.format(column="earlier.created_at")}),
    ({FIRST.format(column="earlier.scan_id")}), 0
FROM targets JOIN findings ON findings.scan_id = targets.last_scan_id
"""


class Migration(migrations.Migration):
    dependencies = [("scans", "0011_target_history")]

    operations = [
        migrations.RunSQL([LAST, OPEN], ["DELETE FROM target_findings"]),
    ]
