"""What a page of a runbook promises: made true or false around its commands.

Each is a generator: what it does before `yield` is the trouble, what comes after it is
that the trouble is over.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

from tests.runbook.blocks import Section
from tests.runbook.site import PASSWORD, Site

HEALTH = "/api/v1/health"
COUNTS = (
    "SELECT (SELECT count(*) FROM scans), (SELECT count(*) FROM findings),"
    " (SELECT count(*) FROM api_keys), (SELECT count(*) FROM api_keys WHERE is_revoked)"
)
# A half restore rewinds what counts up, though no row may show it.
NUMBERS = "SELECT last_value FROM auth_user_id_seq"
NEXT = "SELECT nextval(pg_get_serial_sequence('auth_user', 'id'))"


class Browser:
    """Somebody who signed in to the console, as curl keeps the cookies."""

    def __init__(self, site: Site, jar: Path) -> None:
        self.site, self.jar = site, jar
        jar.unlink(missing_ok=True)
        at = "http://localhost:8200/sign-in"
        curl = f"curl -s -c {jar} -b {jar}"
        site.done(f"{curl} -o /dev/null {at}")
        token = site.done(f"awk '$6 ~ /csrftoken$/ {{ print $7 }}' {jar}").strip()
        site.done(
            f"{curl} -o /dev/null -H 'Referer: {at}' {at}"
            f" -d username=olga --data-urlencode 'password={PASSWORD}'"
            f" -d csrfmiddlewaretoken={token}"
        )

    @property
    def is_in(self) -> bool:
        return self.site.answered("/scans", "", "-b", str(self.jar)) == 200


@contextmanager
def compromised(site: Site) -> Iterator[None]:
    key = site.new_key("compromised-key")
    assert site.answered(HEALTH, key) == 200, "key"
    yield
    assert site.answered(HEALTH, key) == 401, "key"


@contextmanager
def shut_out(site: Site) -> Iterator[None]:
    """All keys and sessions end; whoever is let in again can work."""
    key = site.key()
    browser = Browser(site, site.backups / "cookies")
    assert browser.is_in, "nobody could sign in"
    scan = site.judged(site.submit())
    yield
    assert site.answered(HEALTH, key) == 401, "key"
    assert not browser.is_in, "the session did not end"
    # What was stored under the old secret is readable under the new one.
    found = site.call(f"/api/v1/scans/{scan['scan_id']}")
    assert found["verdict"] == scan["verdict"]
    assert Browser(site, site.backups / "cookies").is_in, "nobody can sign in again"


@contextmanager
def unchanged(site: Site) -> Iterator[None]:
    """Nothing is lost and nothing comes back; all is well afterwards."""
    site.new_key("revoked-since")
    site.query("UPDATE api_keys SET is_revoked = true WHERE name = 'revoked-since'")
    site.query(NEXT)
    before = site.query(COUNTS), site.query(NUMBERS)
    yield
    after = site.query(COUNTS), site.query(NUMBERS)
    assert after == before, f"{before} became {after}"
    site.eventually(lambda: site.status(HEALTH) == 200, "healthy", 10)


@contextmanager
def goes_on(site: Site) -> Iterator[None]:
    """A scan that was accepted before is judged, whatever is stopped meanwhile."""
    # One that takes its time, though not that of the slowest tool.
    scan = site.submit(f"And {time.time_ns()}.", "mcp-checkpoint", "sentrascan-mcp")
    yield
    runs = {run["scanner"]: run["status"] for run in site.judged(scan)["runs"]}
    assert runs == {
        "mcp-checkpoint": "completed",
        "sentrascan-mcp": "completed",
        "cisco-scanner": "skipped",
    }


@contextmanager
def taking_turns(site: Site) -> Iterator[None]:
    """Requests reach both replicas."""
    yield
    for _ in range(20):
        site.status("/api/v1/scanners")
    asked = site.done(
        'docker-compose logs --tail=20 proxy | grep -o \'"upstream":"[^"]*\' | sort -u'
    )
    assert len(asked.splitlines()) == 2, asked
    site.done("docker-compose up -d")


@contextmanager
def stuck(site: Site) -> Iterator[None]:
    """One scan whose worker is gone, one that hangs: both come to an end."""
    lost, hanging = site.submit()["scan_id"], site.submit()["scan_id"]
    for scan_id in (lost, hanging):
        site.judged({"scan_id": scan_id})
        # Who was killed recorded nothing.
        for table in RECORDED:
            site.query(f"DELETE FROM {table} WHERE scan_id = '{scan_id}'")  # noqa: S608 - our own words
    # As a worker leaves it that was killed; and one whose worker goes on for ever.
    for scan_id, lease in (
        (lost, "- interval '1 minute'"),
        (hanging, "+ interval '1 hour'"),
    ):
        site.query(
            "UPDATE scans SET scan_status = 'running', verdict = NULL,"  # noqa: S608 - our own words
            f" finished_at = NULL, started_at = now() - interval '{LONG}',"
            f" lease_owner = 'gone', lease_expires_at = now() {lease}, attempt = 1"
            f" WHERE scan_id = '{scan_id}'"
        )
    yield
    # It was begun again before the operator came to cancel it, or not.
    site.eventually(lambda: state(site, lost) not in ("queued", "running"), "its end")
    assert state(site, lost) in ("completed", "cancelled"), state(site, lost)
    assert state(site, hanging) == "cancelled"
    site.query("DELETE FROM scans WHERE scan_status = 'cancelled'")


LONG = "20 minutes"
RECORDED = "findings", "scanner_runs", "scan_snapshots", "scan_drifts", "scan_waivers"


def state(site: Site, scan_id: str) -> str:
    return site.query(f"SELECT scan_status FROM scans WHERE scan_id = '{scan_id}'")  # noqa: S608 - our own id


@contextmanager
def old_scans(site: Site, days: int) -> Iterator[None]:
    """One scan is older than that, with findings: it goes, and no other."""
    aged = (
        f"UPDATE scans SET created_at = now() - interval '{days} days',"  # noqa: S608 - our own words
        f" finished_at = now() - interval '{days} days'"
    )
    site.query(
        f"{aged} WHERE scan_id = (SELECT scan_id FROM scans WHERE total_findings > 0"  # noqa: S608 - our own words
        " AND baseline_id IS NULL ORDER BY created_at LIMIT 1)"
    )
    before = int(site.query("SELECT count(*) FROM scans"))
    yield
    assert int(site.query("SELECT count(*) FROM scans")) == before - 1
    stray = (
        "SELECT count(*) FROM findings WHERE scan_id NOT IN (SELECT scan_id FROM scans)"
    )
    assert site.query(stray) == "0"


@contextmanager
def damaged(site: Site) -> Iterator[None]:
    """Tables are gone: the backup comes back, and a key revoked since does not."""
    site.new_key("revoked-since-the-backup")
    site.done("deploy/bin/backup-db.sh")
    before = site.query(COUNTS)
    dead = site.new_key("newer-than-the-backup")
    site.query(
        "UPDATE api_keys SET is_revoked = true WHERE name = 'revoked-since-the-backup'"
    )
    site.query("DROP TABLE findings CASCADE")
    site.query("DELETE FROM scans")
    yield
    scans, findings, keys, revoked = before.split("|")
    after = site.query(COUNTS).split("|")
    assert after == [scans, findings, keys, str(int(revoked) + 1)]
    assert site.answered(HEALTH, dead) == 401, "dead"
    assert site.judged(site.submit())["verdict"] == "pass"


@contextmanager
def restored(site: Site) -> Iterator[None]:
    """What was done since the backup is gone, but for who was shut out."""
    site.new_key("shut-out")
    site.done("deploy/bin/backup-db.sh")
    scans = site.query("SELECT count(*) FROM scans")
    site.done("docker-compose exec -T api sentrascan auth revoke shut-out")
    site.judged(site.submit())
    yield
    assert site.query("SELECT count(*) FROM scans") == scans
    live = "SELECT count(*) FROM api_keys WHERE name = 'shut-out' AND NOT is_revoked"
    assert site.query(live) == "0"
    kept = "SELECT count(*) FROM pg_database WHERE datname LIKE '%before_restore'"
    assert site.query(kept) == "0"


@contextmanager
def full(site: Site) -> Iterator[None]:
    """Less space than must be free: 507, and 202 when there is enough again."""
    site.done(
        "docker-compose up -d", seconds=600, SENTRASCAN_MIN_FREE_BYTES=str(1 << 60)
    )
    with old_scans(site, 40):
        assert submission(site) == 507
        yield
    site.done("docker-compose up -d", seconds=600)
    assert submission(site) == 202


def submission(site: Site) -> int:
    """Return what an upload is answered."""
    site.done(f"head -c 100 /dev/urandom > {site.backups}/some.bin")
    form = f"-F scan_type=model -F file=@{site.backups}/some.bin"
    return site.answered("/api/v1/scans", site.key(), form)


@contextmanager
def database_away(site: Site) -> Iterator[None]:
    yield
    site.eventually(lambda: site.status(HEALTH) == 200, "healthy by itself", 30)
    assert site.judged(site.submit())["verdict"] == "pass"


@contextmanager
def failing(site: Site) -> Iterator[None]:
    """A scanner's tool is gone: seen, told, never a pass; well when it is back."""
    if site.scanners is None:  # a container's are read-only
        yield
        return
    tool, aside = site.scanners / "mcp-checkpoint", site.scanners / "away"
    tool.rename(aside)
    try:
        said = site.typed("docker-compose exec -T api sentrascan doctor")
        assert said.returncode == 1
        assert "❌ mcp-checkpoint: missing" in said.stdout, said.stdout
        scan = site.judged(site.submit())
        assert scan["verdict"] == "inconclusive"
        assert "mcp-checkpoint" in str(scan["reasons"])
    finally:
        aside.rename(tool)
    yield
    # The page starts things anew; a worker says that it lives some seconds later.
    doctor, said = "docker-compose exec -T api sentrascan doctor", []

    def is_well() -> bool:
        said[:] = [site.typed(doctor)]
        return said[0].returncode == 0

    site.eventually(is_well, "well again", 60)
    assert "✅ mcp-checkpoint: available" in said[0].stdout


@contextmanager
def sound_backup(site: Site) -> Iterator[None]:
    before = set(site.backups.glob("sentrascan_2*.sql.gz"))
    time.sleep(1)
    yield
    new = set(site.backups.glob("sentrascan_2*.sql.gz")) - before
    assert new
    for file in new:
        site.done(f"deploy/bin/verify-backup.sh {file}")


@contextmanager
def archived(site: Site) -> Iterator[None]:
    with sound_backup(site):
        yield
    said = site.done(f"deploy/bin/restore.sh {site.backups}/sentrascan.zip")
    assert "Restored, and healthy again" in said


@contextmanager
def both(
    site: Site, *promises: Callable[[Site], AbstractContextManager[None]]
) -> Iterator[None]:
    first, *rest = promises
    with first(site):
        if rest:
            with both(site, *rest):
                yield
        else:
            yield


type Promise = Callable[[Site], AbstractContextManager[None]]
EARLIER: dict[str, Promise] = {
    "Service degradation": taking_turns,
    "Database issues": database_away,
    "Authentication issues": compromised,
    "Scheduled backup": sound_backup,
    "Restore from backup": unchanged,
    "Old scans": lambda site: old_scans(site, 100),
    "Updates": lambda site: both(site, goes_on, unchanged),
    "Complete failure": lambda site: both(site, goes_on, unchanged),
    "Data corruption": unchanged,
    "Security incident": shut_out,
    "Disk space full": lambda site: old_scans(site, 40),
    "Backup script": sound_backup,
}
OURS: dict[str, Promise] = {
    "Incident response: Slow answers, stuck scans": lambda site: both(
        site, taking_turns, stuck
    ),
    "Incident response: The database": database_away,
    "Incident response: Scanners": failing,
    "Incident response: Keys and sessions": compromised,
    "Maintenance: Backup": archived,
    "Maintenance: Restore": restored,
    "Maintenance: Cleanup": lambda site: old_scans(site, 100),
    "Maintenance: Updates": lambda site: both(site, sound_backup, goes_on),
    "Emergencies: All is down": goes_on,
    "Emergencies: Damaged data": damaged,
    "Emergencies: Break-in": shut_out,
    "Emergencies: Full disk": full,
    "Monitoring scripts": sound_backup,
}


def follow(site: Site, section: Section, promises: dict[str, Promise]) -> list[str]:
    """Type a section inside of what it promises; return what was wrong."""
    promise = promises.get(section.title)
    with promise(site) if promise else nullcontext():
        return site.walk(section)
