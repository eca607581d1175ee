#!/usr/bin/env bash
# The paper's dissection on this machine: stages 1 to 7 and the ensemble's 11 models, and their table.
#   scripts/dissection.sh [OPTION of 'tinynet jobs local'...]     scripts/dissection.sh --leave-free 1
# Uses every free GPU, one run on each (or --processes N: N runs on the CPU).  It may be run again at any
# time, on any number of machines that share this folder: finished jobs are not done again.
# SEEDS (default 1; 1-3 for three runs of each stage), DATA (default data/lmdb) and OUT (default
# runs/dissection) are read from the environment.
set -euo pipefail
data=${DATA:-data/lmdb}
out=${OUT:-runs/dissection}
tinynet dissect "$data" --seeds "${SEEDS:-1}" --out "$out" --write-jobs
tinynet jobs local "$out/jobs" "$@"
tinynet dissect "$data" --out "$out" --collect
