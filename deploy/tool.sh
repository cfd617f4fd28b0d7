#!/bin/sh
# A scanner's own command by its usual name, for a person at the shell: link this file as
# modelaudit, mcp-checkpoint or mcp-scanner. Telemetry and look-ups are off. Two of the
# three know no --version: for all of them the installed package answers.
set -eu
name=$(basename "$0")
case $name in
modelaudit | mcp-checkpoint) home=$name package=$name ;;
mcp-scanner) home=cisco-scanner package=cisco-ai-mcp-scanner ;;
*)
    echo "$name: link this file as modelaudit, mcp-checkpoint or mcp-scanner" >&2
    exit 3
    ;;
esac
root=$(dirname "$(dirname "$(realpath "$0")")")
home=${SENTRASCAN_SCANNERS_DIR:-$root/var/scanners}/$home
if [ ! -x "$home/bin/$name" ]; then
    echo "$name: not installed in $home; run make setup" >&2
    exit 2
fi
if [ "$#" -eq 1 ] && [ "$1" = --version ]; then
    exec "$home/bin/python" -I -c 'import sys
from importlib.metadata import version
print(sys.argv[1], version(sys.argv[2]))' "$name" "$package"
fi
# It makes a folder `logs` where it is started.
[ "$name" != mcp-checkpoint ] || [ -w . ] || cd "${TMPDIR:-/tmp}"
export PROMPTFOO_DISABLE_TELEMETRY=1 NO_ANALYTICS=1
export HF_HUB_OFFLINE=1 TRANSFORMERS_OFFLINE=1
export LITELLM_LOCAL_MODEL_COST_MAP=True
exec "$home/bin/$name" "$@"
