#!/usr/bin/env bash
# The dissection, the ensemble or one stage through Slurm: as many tasks as there are runs.
#   scripts/slurm.sh dissection|ensemble|STAGE [OPTION of 'tinynet jobs slurm'...]
#   scripts/slurm.sh 7 --time 8:00:00 --on-gpu --option --partition=gpu
# Before its time limit a run leaves a snapshot and its task goes back into the queue.  Run this again
# after a scancel or a failure: finished jobs are not done again.  For Grid Engine: BATCH=sge.
# SEEDS (default 1), and for an ensemble or a stage LIST (default lists/WHAT), are read from the
# environment; for the dissection DATA (default data/lmdb) and OUT (default runs/dissection), where
# 'tinynet dissect DATA --out OUT --collect' shows the table.
set -euo pipefail
what=${1:?usage: slurm.sh dissection|ensemble|STAGE [OPTION...]}
shift
list=${LIST:-lists/$what}
case $what in
    dissection)
        list=${OUT:-runs/dissection}/jobs
        tinynet dissect "${DATA:-data/lmdb}" --seeds "${SEEDS:-1}" --out "${list%/jobs}" --write-jobs
        ;;
    ensemble) tinynet jobs create "$list" --stage 8 ;;
    *) tinynet jobs create "$list" --stage "$what" --seeds "${SEEDS:-1}" ;;
esac
exec tinynet jobs "${BATCH:-slurm}" "$list" --submit "$@"
