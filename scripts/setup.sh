#!/usr/bin/env bash
# Make a virtual environment with tinynet and its torch engine in it.
#   scripts/setup.sh [EXTRA...]       e.g. scripts/setup.sh dev    adds what the tests need
# VENV names the environment (default .venv in the checkout), PYTHON the interpreter to make it with
# (Python 3.10 or newer).  It may be run again at any time: what is there already is kept.
set -euo pipefail
cd "$(dirname "$0")/.."
VENV=${VENV:-.venv}

new_enough() { "$1" -c 'import sys, venv; sys.exit(sys.version_info < (3, 10))' >/dev/null 2>&1; }

find_python() {
    local candidate
    for candidate in ${PYTHON:+"$PYTHON"} python3 python3.11 python3.12 python3.13 python3.10 python3.14; do
        if new_enough "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    echo "setup.sh: no Python 3.10 or newer with the venv module; install one, or name it: PYTHON=/path/to/python3" >&2
    return 1
}

if ! new_enough "$VENV/bin/python"; then
    python=$(find_python)
    echo "setup.sh: making $VENV with $python" >&2
    "$python" -m venv "$VENV"
fi
extras=$(IFS=,; echo "torch${*:+,$*}")
"$VENV/bin/python" -m pip install --quiet --disable-pip-version-check \
    --constraint scripts/constraints.txt --editable ".[$extras]"
