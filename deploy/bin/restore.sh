#!/bin/bash
# restore.sh FILE: makes the installation what a backup says, or changes nothing.
# FILE is an archive of `sentrascan backup` or a plain dump (.sql, .sql.gz). It is read
# from end to end before anything is stopped; then it becomes a second database, which is
# compared and migrated, and takes the place of the present one. API keys that were
# revoked since stay revoked. The database before is kept beside it.
set -euo pipefail
PATH=$PATH:/usr/local/bin
api=${SENTRASCAN_API_URL:-http://localhost:8200}
WAIT_SECONDS=60

fail() {
    echo "ERROR: $*" >&2
    exit 1
}

# Not `exec`: `api` may be down. Not its entrypoint: that migrates the database first,
# and the database may be what is broken.
restore() {
    docker-compose run --rm -T --no-deps --entrypoint sentrascan api restore - "$@" <"$file"
}

start() {
    echo "Starting services"
    docker-compose up -d --no-recreate >/dev/null
}

is_well() {
    [ "$(curl --fail --silent --max-time 5 "$api/api/v1/health")" = '{"status": "ok"}' ]
}

[ "$#" -eq 1 ] || {
    echo "usage: restore.sh FILE" >&2
    exit 3
}
[ -f "$1" ] || fail "there is no file $1"
file=$(readlink -f -- "$1")
cd -- "$(dirname "$(readlink -f "$0")")/../.."

docker-compose up -d --no-recreate --wait db redis >/dev/null ||
    fail "the database server does not start: docker-compose logs db"
echo "Checking $file"
restore --check || fail "$file is not restored; nothing was stopped or changed"
echo "Stopping api, worker and beat"
# Whatever happens from here on, they come back.
trap start EXIT
trap 'exit 130' INT TERM HUP
docker-compose stop api worker beat >/dev/null
restore --verify --replace || fail "the restore failed"
trap - EXIT
start
for ((waited = 0; waited < WAIT_SECONDS; waited++)); do
    ! is_well || {
        echo "Restored, and healthy again"
        exit 0
    }
    sleep 1
done
fail "restored, but $api does not say that it is well: docker-compose logs api"
