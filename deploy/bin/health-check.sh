#!/bin/bash
# For cron and monitors: does the API answer, and the database? Exit 1 and one ALERT line
# for each that does not. SENTRASCAN_API_URL (http://localhost:8200); ALERT_EMAIL sends
# the lines by `mail`, and has no default.
set -euo pipefail
PATH=$PATH:/usr/local/bin
api=${SENTRASCAN_API_URL:-http://localhost:8200}
cd -- "$(dirname "$(readlink -f "$0")")/../.."

check_health() {
    local said
    said=$(curl --fail --silent --show-error --max-time 10 "$api/api/v1/health" 2>&1) ||
        true
    [ "$said" = '{"status": "ok"}' ] ||
        printf 'ALERT: API health check failed: %s\n' "${said:-no answer}"
}

check_database() {
    local said
    said=$(docker-compose exec -T db psql -U sentrascan -d sentrascan -Atc "SELECT 1;" \
        </dev/null 2>&1) && [ "$said" = 1 ] ||
        printf 'ALERT: Database connection failed: %s\n' "${said:-no answer}"
}

alerts=$(
    check_health
    check_database
)
if [ -z "$alerts" ]; then
    echo "All health checks passed"
    exit 0
fi
echo "$alerts"
if [ -n "${ALERT_EMAIL:-}" ]; then
    mail -s "SentraScan: health check failed" "$ALERT_EMAIL" <<<"$alerts" ||
        echo "ERROR: the alert could not be sent to $ALERT_EMAIL" >&2
fi
exit 1
