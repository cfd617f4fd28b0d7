#!/bin/sh
# Print a Python that the application and every tool run on, or say in one line what to
# install. SENTRASCAN_PYTHON names one; `python3` comes next, since pyenv and the like
# answer to it with what .python-version asks for.
cd "$(dirname "$0")/.." || exit 1
test_version='import sys; print(sys.executable)
sys.exit(not (3, 12) <= sys.version_info < (3, 14))'
for candidate in ${SENTRASCAN_PYTHON:+"$SENTRASCAN_PYTHON"} \
    python3 python3.13 python3.12 \
    /usr/local/bin/python3.1[23] /usr/bin/python3.1[23] /opt/homebrew/bin/python3.1[23] \
    "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.1[23]*/bin/python3; do
    if found=$("$candidate" -I -c "$test_version" 2>/dev/null); then
        echo "$found"
        exit 0
    fi
done
echo "SentraScan needs Python 3.12 or 3.13 (scanner tools do not run on 3.14 yet):" \
    "install one (apt-get install python3 python3-venv, or pyenv install 3.13)" \
    "or set SENTRASCAN_PYTHON to its path." >&2
exit 1
