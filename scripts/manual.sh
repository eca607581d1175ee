#!/usr/bin/env bash
# Build the documentation into a folder that opens from disk (site/index.html).
#   scripts/manual.sh [DIR]
# VENV names the environment (default .venv); it gets what the build needs.
set -euo pipefail
out=$(realpath -m "${1:-$(dirname "$0")/../site}")
cd "$(dirname "$0")/.."
VENV=${VENV:-.venv}
export VENV
scripts/setup.sh docs
exec "$VENV/bin/mkdocs" build --quiet --strict --site-dir "$out"
