#!/bin/bash
# verify-backup.sh FILE: is this dump of the database whole? Exit 1 and the reason if not.
# It has to end as pg_dump ends it, hold our tables, and name the migrations that made
# them. `sentrascan restore --check` reads every row as well; this needs no container.
set -euo pipefail

fail() {
    echo "ERROR: $*" >&2
    exit 1
}

[ "$#" -eq 1 ] || {
    echo "usage: verify-backup.sh FILE" >&2
    exit 3
}
file=$1
[ -f "$file" ] || fail "there is no file $file"
case $file in
*.gz | *.gz.partial)
    gzip -dc <"$file" >/dev/null 2>&1 || fail "$file is no whole gzip file"
    unpack=(gzip -dc)
    ;;
*) unpack=(cat) ;;
esac

# Rows may hold any text: what is said of the dump is only believed outside of them.
# shellcheck disable=SC2016 # $0 and $NF are awk's
reading='
copying && $0 == "\\." { copying = 0; next }
copying { if (table == "django_migrations") migrations++; next }
/^COPY public\.[a-z_"]+ \(.*\) FROM stdin;$/ {
    copying = 1
    table = $2
    sub(/^public\./, "", table)
    found[table] = 1
    next
}
/^-- Dumped from database version / { server = $6 + 0 }
/^-- Dumped by pg_dump version / { dumper = $6 + 0 }
/^-- PostgreSQL database dump complete/ { complete = 1 }
END {
    if (!dumper) reason = "no plain dump by pg_dump"
    else if (int(dumper) < int(server)) reason = "by a pg_dump older than its server"
    else if (copying || !complete) reason = "only the beginning of a dump"
    else if (!("scans" in found && "api_keys" in found && migrations))
        reason = "no dump of SentraScan"
    if (reason) print reason
}'
reason=$("${unpack[@]}" <"$file" | LC_ALL=C awk "$reading") || fail "$file cannot be read"
[ -z "$reason" ] || fail "$file is $reason"
