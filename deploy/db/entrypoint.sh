#!/bin/sh
# Before the image's own entrypoint: the address that api, worker and beat connect to,
# with a password made once. It lies in a volume that only they and this service mount.
set -eu
umask 077
url=/run/database/url
application=10001

if [ ! -s "$url" ]; then
    password=$(head -c 33 /dev/urandom | base64 | tr '+/' '-_')
    printf 'postgres://sentrascan:%s@db:5432/sentrascan\n' "$password" >"$url.partial"
    chown "postgres:$application" "$url.partial"
    chmod 0440 "$url.partial"
    if [ -s "$PGDATA/PG_VERSION" ]; then
        # The volume with the address was lost, the data were not: give them a new one.
        printf "ALTER ROLE sentrascan PASSWORD '%s';\n" "$password" |
            setpriv --reuid postgres --regid postgres --init-groups \
                postgres --single -D "$PGDATA" postgres >/dev/null
    fi
    mv "$url.partial" "$url"
fi
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    # The image asks for one; 10-sentrascan.sh takes it away again: `postgres` is for
    # this container's own socket only.
    POSTGRES_PASSWORD=$(head -c 33 /dev/urandom | base64)
    export POSTGRES_PASSWORD
fi
exec docker-entrypoint.sh "$@"
