#!/bin/bash
# cleanup.sh [--older-than 90d] [--dry-run]: gives space back. Finished scans older than
# that go with their uploads, then backups in BACKUP_DIR (/backups) older than
# RETENTION_DAYS (30) but for the newest verified one, then images that a build replaced.
# No volume is ever touched.
set -euo pipefail
PATH=$PATH:/usr/local/bin
bin=$(dirname "$(readlink -f "$0")")
age=90d dry=
directory=${BACKUP_DIR:-/backups}
days=${RETENTION_DAYS:-30}

usage() {
    echo "usage: cleanup.sh [--older-than AGE] [--dry-run]" >&2
    exit 3
}

old_backups() {
    [ -d "$directory" ] || return 0
    local file newest=
    # Newest first: a broken one does not count as the backup that is left.
    while IFS= read -r file; do
        if "$bin/verify-backup.sh" "$file" 2>/dev/null; then
            newest=$file
            break
        fi
    done < <(find "$directory" -maxdepth 1 -type f -name 'sentrascan_*.sql.gz' \
        -printf '%T@ %p\n' | sort -rn | cut -d ' ' -f 2-)
    if [ -z "$newest" ]; then
        echo "No backup in $directory is whole: none is removed."
        return
    fi
    find "$directory" -maxdepth 1 -type f -name 'sentrascan_*.sql.gz' \
        -mtime "+$days" ! -path "$newest" -print ${dry:--delete}
}

while [ "$#" -gt 0 ]; do
    case $1 in
    --older-than)
        [ "$#" -gt 1 ] || usage
        age=$2
        shift
        ;;
    --dry-run) dry=-true ;;
    *) usage ;;
    esac
    shift
done
[[ $days =~ ^[0-9]+$ ]] || usage
[ ! -d "$directory" ] || directory=$(cd -- "$directory" && pwd)
cd -- "$bin/../.."

if [ -n "$dry" ]; then
    docker-compose exec -T api sentrascan prune --older-than "$age" --dry-run </dev/null
else
    docker-compose exec -T api sentrascan prune --older-than "$age" --vacuum </dev/null
fi
old_backups
[ -n "$dry" ] || docker image prune --force
