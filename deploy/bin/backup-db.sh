#!/bin/bash
# Dumps the database into BACKUP_DIR (/backups), looks at the dump, and only then lets
# dumps go that are older than RETENTION_DAYS (30). `sentrascan_latest.sql.gz` is always
# the newest verified one. Stored uploads and the installation key are not in a dump:
# `sentrascan backup --keys` writes those too.
set -euo pipefail
umask 077
# What cron leaves out.
PATH=$PATH:/usr/local/bin
bin=$(dirname "$(readlink -f "$0")")

fail() {
    echo "ERROR: $*" >&2
    exit 1
}

database() { docker-compose exec -T db "$@" </dev/null; }

check_versions() {
    local server client
    server=$(database psql -U sentrascan -d sentrascan -Atc "SHOW server_version_num") ||
        fail "the database does not answer"
    client=$(database pg_dump --version) || fail "there is no pg_dump"
    [[ $client =~ \ ([0-9]+)(\.|$) ]] || fail "pg_dump does not say its version: $client"
    ((BASH_REMATCH[1] >= server / 10000)) ||
        fail "pg_dump ${BASH_REMATCH[1]} is older than the server ($((server / 10000)))"
}

new_name() {
    local name
    while name=sentrascan_$(date +%Y%m%d_%H%M%S).sql.gz && [ -e "$directory/$name" ]; do
        sleep 1
    done
    echo "$name"
}

directory=${BACKUP_DIR:-/backups}
days=${RETENTION_DAYS:-30}
[[ $days =~ ^[0-9]+$ ]] || fail "RETENTION_DAYS is no number of days: $days"
mkdir -p -- "$directory" || fail "$directory cannot be made; BACKUP_DIR names another"
directory=$(cd -- "$directory" && pwd)
# Where docker-compose finds its file, wherever we were called.
cd -- "$bin/../.."

{ exec 9>"$directory/.sentrascan-backup.lock"; } 2>/dev/null ||
    fail "$directory cannot be written"
flock -n 9 || fail "another backup is being written to $directory"
# Left by one that was killed.
rm -f -- "$directory"/sentrascan_*.sql.gz.partial

check_versions
name=$(new_name)
partial=$directory/$name.partial
trap 'rm -f -- "$partial"' EXIT
trap 'exit 130' INT TERM HUP

database pg_dump -U sentrascan sentrascan | gzip >"$partial" ||
    fail "the dump failed, earlier backups are as they were"
sync -- "$partial" || fail "the dump could not be written"
"$bin/verify-backup.sh" "$partial" || fail "the dump is not kept"
mv -- "$partial" "$directory/$name"
ln -sfn -- "$name" "$directory/.latest.partial"
mv -T -- "$directory/.latest.partial" "$directory/sentrascan_latest.sql.gz"
echo "Backup completed: $directory/$name"

find "$directory" -maxdepth 1 -type f -name 'sentrascan_*.sql.gz' -mtime "+$days" \
    ! -name "$name" -delete
