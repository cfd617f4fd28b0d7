-- What three months of much work leave behind, for benchmarks/pages.py. Sizes are bound.
CREATE FUNCTION big_scan() RETURNS uuid IMMUTABLE LANGUAGE sql AS
    $$ SELECT id_of(%(scans)s + 100, 1) $$;
CREATE FUNCTION scanners() RETURNS text[] IMMUTABLE LANGUAGE sql AS
    $$ SELECT '{cisco-scanner,mcp-checkpoint,sentrascan-files,sentrascan-mcp}'::text[] $$;
-- Scans of 20,000 targets. One of fifty is of the same target, which has a long history.
INSERT INTO scans (scan_id, created_at, scan_type, target, scan_status, verdict,
    total_findings, critical_count, high_count, medium_count, low_count, info_count,
    new_findings, started_at, finished_at, requested_by, digest, policy_name,
    policy_version, attempt, lease_owner, rung_at, progress_stage, progress_done,
    progress_total, is_of_bytes, rules, target_id)
SELECT id_of(n, 1), time_of(n), CASE t %% 4 WHEN 0 THEN 'mcp' ELSE 'model' END,
    'models/team-' || t %% 97 || '/weights-' || t || '.bin', 'completed',
    CASE n %% 3 WHEN 0 THEN 'fail' WHEN 1 THEN 'pass' ELSE 'inconclusive' END,
    %(each)s, (n %% 997 = 0)::int, %(each)s - (n %% 997 = 0)::int, 0, 0, 0,
    (n %% 997 = 0)::int, time_of(n), time_of(n) + interval '4 s', 'ci',
    encode(sha256(n::text::bytea), 'hex'), 'default', 1, 1, '', time_of(n), 'finished',
    5, 5, true, repeat('a', 64), id_of(t, 900)
FROM (SELECT n, CASE WHEN n %% 50 = 0 THEN 0 ELSE n %% %(targets)s END AS t
    FROM generate_series(1, %(scans)s) AS n) AS numbered;
INSERT INTO scan_details (scan_id, labels, reasons, options, traceparent, evidence)
SELECT id_of(n, 1), '{"repository": "models/team", "branch": "main"}',
    '["1 finding at or above high: modelaudit:S201"]', '{}', '',
    '{"gaps": [], "more_gaps": 0, "has_sbom": false}'
FROM generate_series(1, %(scans)s) AS n;
INSERT INTO findings (finding_id, scan_id, scanner, rule, severity, category, title,
    description, location, evidence, remediation, taxonomy, fingerprint, is_new,
    created_at)
SELECT ('00000000-0000-7000-8000-' || lpad(to_hex(n * 64 + i), 12, '0'))::uuid, scan,
    'modelaudit', 'modelaudit:S20' || i %% 10, 3 + (n %% 997 = 0 AND i = 1)::int,
    'code_execution', 'A dangerous import in a pickle',
    'The pickle imports os.system and calls it when it is loaded.',
    '{"path": "archive/data.pkl", "byte_offset": 17}', '{"import": "os.system"}',
    'Do not load this file.', '{"cwe": [502], "owasp_llm": ["LLM03"]}',
    'v1:' || md5((n %% 100000) || '.' || i) || md5(i || '.' || n %% 100000),
    n %% 997 = 0 AND i = 1, at
FROM (SELECT n, id_of(n, 1) AS scan, time_of(n) AS at
    FROM generate_series(1, %(scans)s) AS n OFFSET 0) AS numbered,
    generate_series(1, %(each)s) AS i;
-- Targets, and what each remembers: half of it is open.
INSERT INTO targets (target_id, scan_type, name, created_at, last_scan_at, last_scan_id)
SELECT id_of(t, 900), CASE t %% 4 WHEN 0 THEN 'mcp' ELSE 'model' END,
    'models/team-' || t %% 97 || '/weights-' || t || '.bin', time_of(1),
    time_of(%(scans)s - %(targets)s + t), id_of(%(scans)s - %(targets)s + t, 1)
FROM generate_series(0, %(targets)s - 1) AS t;
INSERT INTO target_findings (target_finding_id, target_id, fingerprint, scanner, rule,
    severity, category, title, location, first_seen_at, first_scan_id, last_seen_at,
    last_scan_id, resolved_at, resolved_scan_id, times_reopened)
SELECT gen_random_uuid(), id_of(t, 900), 'v1:' || md5(t || '.' || i) ||
    md5(i || '.' || t), 'modelaudit', 'modelaudit:S' || 200 + i %% 25, i %% 5,
    'code_execution', 'A dangerous import in a pickle',
    '{"path": "archive/data.pkl", "byte_offset": 17}', time_of(t + 1),
    id_of(t + 1, 1), over, CASE WHEN over IS NULL THEN NULL ELSE id_of(t + 1, 1) END,
    over, NULL, 0
FROM generate_series(0, %(targets)s - 1) AS t, generate_series(1, %(remembered)s) AS i,
    LATERAL (SELECT CASE i %% 2 WHEN 0 THEN time_of(t + 1) END AS over) AS half;
-- What people decided.
INSERT INTO waivers (waiver_id, fingerprint, target, reason, expires_at, created_at,
    created_by)
SELECT id_of(w * 50, 500), 'v1:' || md5(w || '.1') || md5('1.' || w),
    CASE w %% 2 WHEN 0 THEN '' ELSE 'models/team-1/weights-' || w || '.bin' END,
    'Loaded in a jail without network; SEC-1204.',
    now() + (w %% 100 - 20) * interval '1 day', time_of(w * 50), 'ada'
FROM generate_series(1, %(waivers)s) AS w;
INSERT INTO baselines (baseline_id, scan_type, target, target_id, scan_id, name,
    description, status, digest, snapshot, created_at, created_by, approved_by,
    retired_by)
SELECT id_of(b * 40, 600), CASE b %% 4 WHEN 0 THEN 'mcp' ELSE 'model' END,
    'models/team-' || b %% 97 || '/weights-' || b || '.bin', id_of(b, 900),
    id_of(b, 1), 'release', '', CASE b %% 3 WHEN 0 THEN 'proposed' ELSE 'active' END,
    repeat('c', 64), '{"elements": [], "document": null, "fingerprints": []}',
    time_of(b * 40), 'ada', 'ada', ''
FROM generate_series(0, %(baselines)s - 1) AS b;
INSERT INTO scan_drifts (scan_id, baseline_id, changes, omitted, not_compared)
SELECT id_of(d * 50, 1), id_of(40, 600), CASE d %% 100 WHEN 0 THEN
    '[{"kind": "added", "element": "tools/a", "path": "", "before": null,
    "after": {}, "severity": "high", "nature": "element"}]'::jsonb ELSE '[]' END,
    0, '[]'
FROM generate_series(1, LEAST(%(drifts)s, %(scans)s / 50)) AS d;
INSERT INTO policies (policy_id, name, version, document, created_at, created_by)
SELECT id_of(p * 100 + v, 700), 'policy-' || p, v, '{"severity_threshold": "high"}',
    time_of(p * 100 + v), 'ada'
FROM generate_series(1, %(policies)s) AS p, generate_series(1, %(versions)s) AS v;
-- Who asks, what was written down of it, and what waits or runs now.
INSERT INTO api_keys (key_id, name, role, is_revoked, created_at, created_by, public_id,
    digest)
SELECT gen_random_uuid(), 'team-' || k, 'scanner', k %% 3 = 0, time_of(k), 'ada',
    substr(md5(k::text), 1, 8), encode(sha256(k::text::bytea), 'hex')
FROM generate_series(1, %(keys)s) AS k;
INSERT INTO audit_events (id, created_at, actor, actor_kind, action, object_type,
    object_id, detail, ip, request_id)
SELECT gen_random_uuid(), time_of(e * %(scans)s::bigint / %(events)s), 'team-' || e %% %(keys)s,
    'key', CASE e %% 100 WHEN 0 THEN 'waiver.create' ELSE 'scan.submit' END, 'scan',
    id_of(e, 1)::text, '{"target": "models/team-1", "policy": "default"}',
    '10.0.0.1', 'r-' || e
FROM generate_series(1, %(events)s) AS e;
INSERT INTO workers (name, started_at, seen_at, sandbox, rules, scanners)
SELECT 'worker@host-' || w, now(), now() + interval '1 day', 'namespaces',
    repeat('a', 64), '{"modelaudit": {"status": "available", "version": "0.2.54",
    "reason": "", "host": "warm", "tried_at": 1}}'
FROM generate_series(1, 8) AS w;
INSERT INTO scans (scan_id, created_at, scan_type, target, scan_status, total_findings,
    critical_count, high_count, medium_count, low_count, info_count, new_findings,
    requested_by, digest, policy_name, policy_version, attempt, lease_owner,
    lease_expires_at, rung_at, progress_stage, progress_done, progress_total,
    is_of_bytes, rules)
SELECT id_of(%(scans)s + q, 1), now(), 'model', 'models/waiting-' || q,
    CASE WHEN q > 10 THEN 'queued' ELSE 'running' END, 0, 0, 0, 0, 0, 0, 0, 'ci', '',
    'default', 1, 1, 'elsewhere', now() + interval '1 day', now(), 'fetch', 1, 5, true,
    ''
FROM generate_series(1, 60) AS q;
INSERT INTO scan_details (scan_id, labels, reasons, options, traceparent)
SELECT id_of(%(scans)s + q, 1), '{}', '[]', '{}', ''
FROM generate_series(1, 60) AS q;
-- One scan with 50,000 findings of four scanners, gaps and a long drift.
INSERT INTO scans (scan_id, created_at, scan_type, target, scan_status, verdict,
    total_findings, critical_count, high_count, medium_count, low_count, info_count,
    new_findings, started_at, finished_at, requested_by, digest, policy_name,
    policy_version, attempt, lease_owner, rung_at, progress_stage, progress_done,
    progress_total, is_of_bytes, rules, target_id)
SELECT big_scan(), now(), 'mcp', 'models/team-0/weights-0.bin', 'completed', 'fail', c * 5,
    c, c, c, c, c, 0, now(), now(), 'ci', '', 'default', 1, 1, '', now(), 'finished', 5,
    5, true, repeat('a', 64), id_of(0, 900)
FROM (SELECT %(tools)s AS c) AS counted;
INSERT INTO findings (finding_id, scan_id, scanner, rule, severity, category, title,
    description, location, evidence, remediation, taxonomy, fingerprint, is_new,
    created_at)
SELECT gen_random_uuid(), big_scan(), scanner, scanner || ':R' || i, (i + t) %% 5,
    'tool_poisoning', 'The description of a tool gives orders to the model',
    'Whoever lists this tool reads what its author wrote.',
    jsonb_build_object('path', 'tools/tool_' || t, 'tool', 'tool_' || t),
    '{"matched": ["do not tell the user"], "field": "description"}', 'Remove it.',
    '{"cwe": [1427]}', 'v1:' || md5(t || ':' || i) || md5(i || ':' || t), false, now()
FROM generate_series(1, %(tools)s) AS t, generate_series(1, %(each_tool)s) AS i,
    LATERAL (SELECT (scanners())[1 + (t + i) %% 4] AS scanner) AS chosen;
INSERT INTO scanner_runs (run_id, scan_id, scanner, tool_version, lock_digest, status,
    sandbox, duration_ms, findings_count, coverage, error, created_at)
SELECT gen_random_uuid(), big_scan(), scanner, '1.0', '', 'completed', 'namespaces', 900, 0,
    jsonb_build_object('complete', false, 'files_total', %(tools)s, 'files_scanned',
        %(tools)s - %(gaps)s, 'skipped', (SELECT jsonb_agg(jsonb_build_object('path',
        'tools/tool_' || t, 'reason', 'too large')) FROM generate_series(1, %(gaps)s)
        AS t)), '', now()
FROM unnest(scanners()) AS scanner;
INSERT INTO scan_details (scan_id, labels, reasons, options, traceparent)
SELECT big_scan(), '{}', jsonb_agg('A finding at or above high: R' || r), '{}', ''
FROM generate_series(1, 50) AS r;
INSERT INTO scan_snapshots (scan_id, elements, document)
SELECT big_scan(), jsonb_agg(jsonb_build_object('path', 'tools/tool_' || t, 'digest',
    md5(t::text))), NULL
FROM generate_series(1, %(tools)s) AS t;
INSERT INTO scan_drifts (scan_id, baseline_id, changes, omitted, not_compared)
SELECT big_scan(), id_of(40, 600), jsonb_agg(jsonb_build_object('kind', 'changed', 'element',
    'tools/tool_' || t, 'path', '/description', 'before', repeat('Reads a file. ', 20),
    'after', repeat('Reads a file, and more. ', 20), 'severity', 'medium', 'nature',
    'text')), 0, '[]'
FROM generate_series(1, %(changes)s) AS t;
