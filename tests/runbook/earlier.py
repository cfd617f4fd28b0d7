"""The commands that operators knew before docs/runbook.md was written, by page.

Each must work as it is, or do no harm and say so; these are the only words of it here.
"""

from __future__ import annotations

from typing import Any

from tests.runbook.blocks import Block, Section

API = "http://localhost:8200"
KEYED = 'curl -s -H "X-API-Key: $API_KEY"'
PSQL = "docker-compose exec db psql -U sentrascan -d sentrascan"
ONE = "docker-compose exec -T db psql -U sentrascan -d sentrascan"
DUMP = "docker-compose exec -T db pg_dump -U sentrascan sentrascan"
HEALTH = f"curl {API}/api/v1/health"
WELL = r'\{"status": "ok"\}'
LEVELS = r'"level":"(?:INFO|WARNING)"'
DOCTOR = Block(
    "docker-compose exec api sentrascan doctor",
    says=r"✅ modelaudit: available(.|\n)*✅ mcp-checkpoint: available(.|\n)*"
    r"✅ cisco-scanner: available",
)
ONE_ROW = r"\(1 row\)"


def psql(statement: str, **more: Any) -> Block:
    return Block(f'{PSQL} -c "{statement}"', **more)


def sql(statements: str, **more: Any) -> Block:
    return Block(f"{PSQL} <<EOF\n{statements}\nEOF", **more)


DAILY = [
    Section(
        "Morning checklist",
        [
            Block("docker-compose ps", says="proxy"),
            Block(HEALTH, says=WELL),
            Block(
                f'curl -H "X-API-Key: $API_KEY" {API}/api/v1/scans?limit=10',
                says=r'\[\{"scan_id"',
            ),
            # 1: there is no such line.
            Block(
                "docker-compose logs --tail=100 api | grep -i error",
                codes=(0, 1),
                never=LEVELS,
            ),
            psql(
                "SELECT pg_size_pretty(pg_database_size('sentrascan'));",
                says=r"\d+ [kMG]B",
            ),
        ],
    ),
    Section(
        "Status script",
        [
            Block(f"curl -s {API}/api/v1/health | jq -r .status", says="^ok$"),
            Block(f'{KEYED} "{API}/api/v1/scans?limit=5" | jq length', says=r"^[1-5]$"),
            Block(
                f'{KEYED} "{API}/api/v1/scans?limit=5" |'
                " jq '[.[] | select(.passed == false)] | length'",
                says=r"^\d$",
            ),
            Block(
                f'{ONE} -c "SELECT 1;"',
                says="1 row",
            ),
        ],
    ),
]
HEALTH_CHECKS = [
    Section("API health", [Block(HEALTH, says=WELL)]),
    Section(
        "Database health",
        [
            psql("SELECT version();", says="PostgreSQL 1"),
            sql(
                "SELECT 'scans' as table_name, COUNT(*) as count FROM scans\n"
                "UNION ALL SELECT 'findings', COUNT(*) FROM findings\n"
                "UNION ALL SELECT 'baselines', COUNT(*) FROM baselines\n"
                "UNION ALL SELECT 'api_keys', COUNT(*) FROM api_keys;",
                says=r"\(4 rows\)",
            ),
        ],
    ),
    Section("Scanner health", [DOCTOR]),
    Section(
        "Resource usage",
        [
            Block("docker stats --no-stream"),
            Block("df -h"),
            Block("docker system df"),
            Block("free -h"),
        ],
    ),
]
INCIDENTS = [
    Section(
        "Service degradation",
        [
            Block("docker-compose ps"),
            Block("docker stats --no-stream"),
            Block("docker-compose logs --tail=200 api", says="gunicorn|level"),
            Block(
                f'{KEYED} "{API}/api/v1/scans?limit=100" |'
                " jq '[.[] | select(.scan_status == \"running\")]'",
                says=r"^\[",
            ),
            Block("docker-compose restart api"),
            Block("docker-compose up -d --scale api=2"),
        ],
    ),
    Section(
        "Database issues",
        [
            Block("docker-compose ps db", says="db"),
            Block("docker-compose logs --tail=100 db", says="ready to accept"),
            psql("SELECT count(*) FROM pg_stat_activity;", says=ONE_ROW),
            sql(
                "SELECT pid, usename, query, state, wait_event_type, wait_event\n"
                "FROM pg_stat_activity\n"
                "WHERE datname = 'sentrascan' AND state != 'idle';",
                says="active",
            ),
            psql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = 'sentrascan' AND state = 'idle'",
                says="rows?\\)",
            ),
            Block("docker-compose restart db"),
        ],
    ),
    Section(
        "Scanner failures",
        [
            DOCTOR,
            Block(
                "docker-compose exec api mcp-checkpoint --version",
                says=r"^mcp-checkpoint \d",
            ),
            Block(
                "docker-compose exec api mcp-scanner --version", says=r"^mcp-scanner \d"
            ),
            Block(
                "docker-compose exec api modelaudit --version", says=r"^modelaudit \d"
            ),
            Block("docker-compose build --no-cache api", is_long=True),
            Block("docker-compose up -d api"),
            Block("docker-compose logs api | grep -i scanner", codes=(0, 1)),
        ],
    ),
    Section(
        "Authentication issues",
        [
            Block(
                "docker-compose exec api sentrascan auth list", says="compromised-key"
            ),
            Block(f'curl -H "X-API-Key: $API_KEY" {API}/api/v1/health', says=WELL),
            psql(
                "SELECT name, role, is_revoked, created_at FROM api_keys;",
                says="compromised-key",
            ),
            Block(
                "docker-compose exec api sentrascan auth create"
                " --name 'emergency-key' --role admin",
                says="ssk_",
            ),
            psql(
                "UPDATE api_keys SET is_revoked = true WHERE name = 'compromised-key';",
                says="UPDATE 1",
            ),
        ],
    ),
]
MAINTENANCE = [
    Section(
        "Scheduled backup",
        [
            Block(
                f"file=/backups/sentrascan_$(date +%Y%m%d_%H%M%S).sql;"
                f' {DUMP} > "$file" && gzip "$file" && gzip -t "$file.gz"'
                ' && cp "$file.gz" backup.sql.gz'
            ),
            Block('find /backups -name "sentrascan_*.sql.gz" -mtime +30 -delete'),
        ],
    ),
    Section(
        "Restore from backup",
        [
            Block("docker-compose stop api"),
            # Exit code 3 and nothing done is the most that this line can be given.
            Block(
                "gunzip -c backup.sql.gz |"
                " docker-compose exec -T db psql -U sentrascan -d sentrascan",
                codes=(3,),
                says="already exists",
            ),
            psql("SELECT COUNT(*) FROM scans;", says=ONE_ROW),
            Block("docker-compose start api"),
        ],
    ),
    Section(
        "Old scans",
        [
            sql(
                "DELETE FROM scans\nWHERE created_at < NOW() - INTERVAL '90 days';",
                says="DELETE 1",
            ),
        ],
    ),
    Section("Vacuum", [psql("VACUUM ANALYZE;", says="VACUUM")]),
    Section(
        "Updates",
        [
            Block("docker-compose pull"),
            Block("./backup-db.sh", says="Backup completed"),
            Block("docker-compose stop"),
            Block("docker-compose up -d"),
            Block("docker-compose ps", says="api"),
            Block(HEALTH, says=WELL),
        ],
    ),
]
EMERGENCIES = [
    Section(
        "Complete failure",
        [
            Block("docker-compose ps -a"),
            Block("docker-compose logs --tail=200"),
            Block("docker-compose down"),
            Block("docker-compose up -d"),
            Block(f"sleep 10; {HEALTH}", says=WELL),
            psql("SELECT 1;", says=ONE_ROW),
        ],
    ),
    Section(
        "Data corruption",
        [
            Block("docker-compose stop"),
            # The database is stopped as well: neither of the two can do anything.
            Block(
                "gunzip -c /backups/sentrascan_latest.sql.gz |"
                " docker-compose exec -T db psql -U sentrascan -d sentrascan",
                codes=(1,),
                says="not running",
            ),
            sql(
                "SELECT COUNT(*) as scans, COUNT(DISTINCT scan_id) as unique_scans\n"
                "FROM scans;",
                codes=(1,),
                says="not running",
            ),
            Block("docker-compose start"),
        ],
    ),
    Section(
        "Security incident",
        [
            psql(
                "UPDATE api_keys SET is_revoked = true;",
                says=r"UPDATE [1-9]",
            ),
            Block(
                'echo "SENTRASCAN_SECRET=$(head -c 48 /dev/urandom | base64 -w 0)"'
                " >> .env; docker-compose up -d api"
            ),
            psql(
                "SELECT * FROM scans ORDER BY created_at DESC LIMIT 100;",
                says="rows\\)",
            ),
            Block(
                "docker-compose exec api sentrascan auth create"
                ' --name "emergency-admin" --role admin',
                says="ssk_",
            ),
        ],
    ),
    Section(
        "Disk space full",
        [
            Block("df -h"),
            Block("docker system df"),
            sql(
                "DELETE FROM scans\nWHERE created_at < NOW() - INTERVAL '30 days';\n"
                "VACUUM;",
                says="DELETE 1(.|\\n)*VACUUM",
            ),
            # It asks, and gets no answer here.
            Block("docker system prune -a --volumes", codes=(0, 1)),
            Block('find /backups -name "*.sql.gz" -mtime +7 -delete'),
            Block("df -h"),
        ],
    ),
]
MONITORING = [
    Section(
        "Health script",
        [
            Block(f"curl -s {API}/api/v1/health | jq -r .status", says="^ok$"),
            Block(
                f'{ONE} -c "SELECT 1;"',
                says="1 row",
            ),
        ],
    ),
    Section(
        "Backup script",
        [
            Block(
                f"file=/backups/sentrascan_$(date +%Y%m%d_%H%M%S).sql;"
                f' {DUMP} | gzip > "$file.gz"; [ -f "$file.gz" ] && gzip -t "$file.gz"'
            ),
            Block('find /backups -name "sentrascan_*.sql.gz" -mtime +30 -delete'),
        ],
    ),
]
SECTIONS = [
    *(*DAILY, *HEALTH_CHECKS, *INCIDENTS, *MAINTENANCE, *EMERGENCIES, *MONITORING)
]
