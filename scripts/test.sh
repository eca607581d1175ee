#!/usr/bin/env bash
# Install what the suite needs, then run the linters, the type checker and all tests.
#   scripts/test.sh [PYTEST OPTION...]
# TINYNET_TEST_DATA names a folder with zips of real Tiny ImageNet images; without it the tests on
# real images are skipped, and say so.
set -euo pipefail
cd "$(dirname "$0")/.."
VENV=${VENV:-.venv}
export VENV

scripts/setup.sh dev
# tests compare the torch engine with real Caffe; without a Python 3.6 to 3.9 they are skipped
if [ -z "${TINYNET_CAFFE_PYTHON:-}" ]; then
    scripts/setup_caffe.sh || echo "test.sh: no real Caffe here: the tests that need it are skipped" >&2
fi
# axe checks that the report's page can be used with a keyboard and a screen reader
if command -v npm >/dev/null; then
    npm install --no-save --no-package-lock --no-audit --no-fund --silent --prefix "$VENV" \
        axe-core@4.14.1 || echo "test.sh: no axe-core here: the test that needs it is skipped" >&2
fi
"$VENV/bin/ruff" check .
"$VENV/bin/ruff" format --check .
"$VENV/bin/mypy"
"$VENV/bin/tinynet" generate --check --classes 200
# a process without work takes tests from another, so that none waits for the slow ones of one file
exec "$VENV/bin/python" -m pytest --numprocesses auto --dist worksteal "$@"
