#!/usr/bin/env bash
# The paper's dissection on this machine: stages 1 to 7, the ensemble's 11 members, their average.
#   scripts/dissection.sh [OPTION of 'tinynet jobs local'...]     scripts/dissection.sh --leave-free 1
# Uses every free GPU, one run on each (or --processes N: N runs on the CPU).  It may be run again at any
# time, on any number of machines that share this folder: finished jobs are not done again.
# SEEDS (default 1; 1-3 for three runs of each stage) and LIST (default lists/dissection) are read
# from the environment.
set -euo pipefail
list=${LIST:-lists/dissection}
tinynet jobs create "$list" --stage 1-8 --seeds "${SEEDS:-1}"
tinynet jobs local "$list" "$@"
tinynet jobs status "$list"
