#!/bin/bash
# backup-db.sh for cron, with a copy elsewhere: BACKUP_S3_URL (s3://bucket/folder/) and,
# for another store than Amazon's, BACKUP_S3_ENDPOINT. Needs the `aws` command for that.
set -euo pipefail
PATH=$PATH:/usr/local/bin
bin=$(dirname "$(readlink -f "$0")")

fail() {
    echo "ERROR: $*" >&2
    exit 1
}

said=$("$bin/backup-db.sh") || fail "Backup failed"
file=${said#Backup completed: }
echo "Backup successful: $file"
[ -n "${BACKUP_S3_URL:-}" ] || exit 0

command -v aws >/dev/null || fail "BACKUP_S3_URL is set, and there is no aws command"
aws ${BACKUP_S3_ENDPOINT:+--endpoint-url "$BACKUP_S3_ENDPOINT"} \
    s3 cp --only-show-errors "$file" "${BACKUP_S3_URL%/}/" ||
    fail "$file could not be copied to $BACKUP_S3_URL"
echo "Copied to ${BACKUP_S3_URL%/}/${file##*/}"
