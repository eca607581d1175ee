#!/usr/bin/env bash
# The whole experiment in minutes on the CPU: data set, LMDB, prototxt, training, ten crops, ensemble.
#   scripts/demo.sh [DATASET] [OPTION...]
# DATASET is a folder or zip in the Tiny ImageNet layout; without it a data set is drawn.  Options are
# those of 'tinynet demo'.  Results: demo/results/.
set -euo pipefail
start=$PWD
cd "$(dirname "$0")/.."
VENV=${VENV:-.venv}
export VENV
scripts/setup.sh
tinynet=$(cd "$VENV/bin" && pwd)/tinynet
cd "$start"
exec "$tinynet" demo "$@"
