#!/bin/bash
# A look for people: API, database, recent scans, and what is not ready. Exit 1 when the
# API or the database does not answer. SENTRASCAN_API_URL (http://localhost:8200),
# SENTRASCAN_API_KEY (role viewer is enough; without it no scans are shown). Needs jq.
set -euo pipefail
PATH=$PATH:/usr/local/bin
api=${SENTRASCAN_API_URL:-http://localhost:8200}
cd -- "$(dirname "$(readlink -f "$0")")/../.."
failed=0

bad() {
    echo "❌ $*"
    failed=1
}

ask() { curl --fail --silent --show-error --max-time 10 "$@" 2>&1; }

health() {
    local said
    if said=$(ask "$api/api/v1/health") && [ "$said" = '{"status": "ok"}' ]; then
        echo "✅ API Health: OK"
    else
        bad "API Health: FAILED (${said:-no answer})"
    fi
}

scans() {
    if [ -z "${SENTRASCAN_API_KEY:-}" ]; then
        echo "⚠️  Recent Scans: not asked, SENTRASCAN_API_KEY is not set"
        return
    fi
    local found failing
    # The key in a file that is none: the list of processes does not show it.
    if ! found=$(ask --header @<(printf 'X-API-Key: %s\n' "$SENTRASCAN_API_KEY") \
        "$api/api/v1/scans?limit=5"); then
        bad "Recent Scans: FAILED (${found:-no answer})"
        return
    fi
    echo "📊 Recent Scans: $(jq length <<<"$found")"
    failing=$(jq '[.[] | select(.passed == false)] | length' <<<"$found")
    [ "$failing" -eq 0 ] && echo "✅ Failed Scans: 0" || echo "⚠️  Failed Scans: $failing"
}

database() {
    local said
    if said=$(docker-compose exec -T db psql -U sentrascan -d sentrascan \
        -Atc "SELECT 1;" </dev/null 2>&1) && [ "$said" = 1 ]; then
        echo "✅ Database: Connected"
    else
        bad "Database: Connection Failed (${said:-no answer})"
    fi
}

readiness() {
    local said parts
    # Without --fail: the answer of a 503 says what is not ready.
    said=$(curl --silent --show-error --max-time 10 "$api/readyz" 2>&1) || true
    if [ "$(jq -r .status <<<"$said" 2>/dev/null)" = ok ]; then
        echo "✅ Readiness: OK"
        return
    fi
    parts=$(jq -r '.checks | to_entries[] | select(.value != "ok") | "\(.key): \(.value)"' \
        <<<"$said" 2>/dev/null | paste -sd ';') || true
    echo "⚠️  Readiness: ${parts:-$said}"
}

command -v jq >/dev/null || {
    echo "check-status.sh needs jq: apt-get install jq" >&2
    exit 3
}
echo "=== SentraScan Status Check ==="
health
scans
database
readiness
exit "$failed"
