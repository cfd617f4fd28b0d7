#!/bin/sh
# Compile every .in file into a lock with hashes. Existing pins stay unless asked:
#   deploy/lock.sh [--upgrade | --upgrade-package NAME]
set -eu
cd "$(dirname "$0")/.."

compile() { # compile SOURCE LOCK [OPTION...]
    source=$1 lock=$2
    shift 2
    echo "lock: $lock"
    .venv/bin/uv --project scanners/locks pip compile --quiet --universal \
        --python-version 3.12 --generate-hashes --no-emit-index-url \
        --no-emit-find-links --custom-compile-command "make lock" \
        --output-file "$lock" "$@" "$source"
    # Linux and macOS are all we run on: a condition that is always true is noise.
    sed -e "s/ ; sys_platform == 'darwin' or sys_platform == 'linux'//" \
        -e "s/ and (sys_platform == 'darwin' or sys_platform == 'linux')//" \
        "$lock" > "$lock.partial"
    mv "$lock.partial" "$lock"
}

compile requirements.in requirements.txt "$@"
compile requirements-dev.in requirements-dev.txt "$@"
for source in scanners/locks/*.in; do
    name=${source%.in}
    if [ -f "$name.overrides" ]; then
        compile "$source" "$name.txt" --override "$name.overrides" "$@"
    else
        compile "$source" "$name.txt" "$@"
    fi
done
