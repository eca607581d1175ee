#!/usr/bin/env bash
# The ensemble on this machine: 11 members of stage 8, each with ten crops, then their average.
#   scripts/ensemble.sh [OPTION of 'tinynet jobs local'...]       scripts/ensemble.sh --gpus 0,1
# MEMBERS (default 1-11) and LIST (default lists/ensemble) are read from the environment.
set -euo pipefail
list=${LIST:-lists/ensemble}
tinynet jobs create "$list" --member "${MEMBERS:-1-11}"
tinynet jobs local "$list" "$@"
tinynet jobs status "$list"
