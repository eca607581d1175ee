#!/usr/bin/env bash
# Train one stage and evaluate it with ten crops; run it again to resume where it was.
#   scripts/train_stage.sh STAGE [OPTION of 'tinynet train'...]     scripts/train_stage.sh 7 --gpu 0
# On Slurm:  sbatch --gres=gpu:1 --time=8:00:00 scripts/train_stage.sh 7 --gpu 0
# (if a time limit may interrupt the run, use scripts/slurm.sh, which puts it back into the queue)
set -euo pipefail
stage=${1:?usage: train_stage.sh STAGE [OPTION...]}
shift
summary=$(tinynet train --stage "$stage" --json "$@")
echo "$summary"
run=$(python3 -c 'import json, sys; print(json.loads(sys.argv[1])["run"])' "$summary")
tinynet evaluate "$run" --oversample
