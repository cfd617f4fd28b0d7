#!/bin/sh
# Make sure that the programs of PostgreSQL, Redis, bubblewrap and Chromium are here, and
# what the scripts of deploy/bin need; install them if we may. Without bubblewrap the
# strongest rung of the sandbox would go untried, without Chromium the pages of the
# console.
# The suite starts its own private servers: packages must not start theirs.
set -eu

missing=
command -v redis-server > /dev/null || missing="redis-server"
if ! ls /usr/lib/postgresql/*/bin/postgres > /dev/null 2>&1 &&
    ! command -v postgres > /dev/null; then
    missing="$missing postgresql"
fi
command -v bwrap > /dev/null || missing="$missing bubblewrap"
command -v chromium > /dev/null || missing="$missing chromium fonts-dejavu-core"
command -v jq > /dev/null || missing="$missing jq"
command -v curl > /dev/null || missing="$missing curl"
[ -n "$missing" ] || exit 0

advice="the tests need $missing: apt-get install $missing"
if [ "$(id -u)" != 0 ] || ! command -v apt-get > /dev/null; then
    echo "$advice" >&2
    exit 1
fi
echo "installing $missing"
policy=/usr/sbin/policy-rc.d
log=$(mktemp)
if [ ! -e "$policy" ]; then
    # https://people.debian.org/~hmh/invokerc.d-policyrc.d-specification.txt
    printf '#!/bin/sh\nexit 101\n' > "$policy"
    chmod +x "$policy"
    trap 'rm -f "$policy" "$log"' EXIT
else
    trap 'rm -f "$log"' EXIT
fi
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086 # one word per package
if ! { apt-get update && apt-get install -y --no-install-recommends $missing; } \
    > "$log" 2>&1; then
    tail -n 5 "$log" >&2
    echo "$advice" >&2
    exit 1
fi
