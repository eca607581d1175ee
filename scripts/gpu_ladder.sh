#!/usr/bin/env bash
# The whole experiment with full schedules on a GPU that is lent for minutes.  What a reader wants first is
# trained first: modern, stages 1 7 3 2 6 5 4, then the ensemble's models, then other seeds.
#   scripts/gpu_ladder.sh pack DATASET PARTS      here: the data set as files of at most PART_MIB (43)
#   scripts/gpu_ladder.sh keep PARTS              there: put aside the files that came with a call
#   scripts/gpu_ladder.sh run SECONDS OUT [OPTION of 'tinynet dissect'...]
# 'run' converts the data once, trains, and ends by itself within SECONDS, or at SIGTERM, with a snapshot
# of whatever trains.  LATER says how many seconds later calls will have: runs that would not end in
# SECONDS + LATER are not begun.  As soon as a run has finished, its results are in OUT, in tar files of
# at most 12 MiB.  At the end OUT also has submission.txt, from the best runs.  All tar files, unpacked
# over each other into an empty folder, are a results folder.
# WORK (default /tmp/tinynet-ladder) keeps everything else.  PER_GPU (2) trainings share each GPU: alone,
# one of stage 7 reaches 63 % of the rate at which the GPU multiplies matrices.  Wheels (*.whl) among the
# PARTS are installed for this script alone.
set -euo pipefail
started=$SECONDS
root=$(cd "$(dirname "$0")/.." && pwd)
WORK=${WORK:-/tmp/tinynet-ladder}
PER_GPU=${PER_GPU:-2}
PART_MIB=${PART_MIB:-43}
PYTHON=${PYTHON:-python3}
export PYTHONUNBUFFERED=1 PYTHONPATH=$WORK/site:$root${PYTHONPATH:+:$PYTHONPATH}

say() { echo "gpu_ladder.sh: $*" >&2; }
tinynet() { "$PYTHON" -m tinynet "$@"; }

pack() {
    local dataset=${1:?} parts=${2:?}
    mkdir -p "$parts"
    rm -f "$parts"/part??
    # In one stream the headers that all JPEGs share are stored once; sorted, it is the same each time.
    tar --create --directory "$dataset" --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 . |
        gzip -6 --no-name | split --bytes="${PART_MIB}M" - "$parts/part"
    (cd "$parts" && sha256sum part?? >parts.sha256)
    du --bytes --total "$parts"/part??
}

keep() {
    mkdir -p "$WORK/parts"
    cp "${1:?}"/* "$WORK/parts/"
    ls "$WORK/parts"
}

install_wheels() {
    [ -d "$WORK/site" ] || ! compgen -G "$WORK/parts/*.whl" >/dev/null ||
        "$PYTHON" -m pip install --quiet --no-index --no-deps --no-compile --target "$WORK/site" "$WORK"/parts/*.whl
}

convert() {
    [ ! -e "$WORK/lmdb/manifest.json" ] || return 0
    (cd "$WORK/parts" && sha256sum --quiet --check parts.sha256) ||
        { say "$WORK/parts: not all parts are here, or not whole; 'keep' the missing ones"; return 1; }
    rm -rf "$WORK/data" && mkdir -p "$WORK/data"
    cat "$WORK"/parts/part?? | tar --extract --gzip --directory "$WORK/data"
    tinynet data convert "$WORK/data" --out "$WORK/lmdb" --overwrite
    rm -rf "$WORK/data"
    say "data ready after $((SECONDS - started)) s"
}

run() {
    local seconds=${1:?} out=${2:?} stage left status=0 arguments=()
    shift 2
    mkdir -p "$WORK" "$out"
    out=$(cd "$out" && pwd)
    cd "$WORK"
    install_wheels
    convert
    for stage in 1 7 3 2 6 5 4 8; do arguments+=(--stage "$stage"); done
    case " $* " in
        *" --cpu "* | *" --processes "*) ;;
        *) arguments+=(--per-gpu "$PER_GPU") ;;
    esac
    [ ! -e results/experiment.json ] || collect "$out" # of earlier calls
    # at the end: a stop with snapshots, the table, and the submission file
    left=$((seconds - (SECONDS - started) - ${RESERVE:-60}))
    if [ "$left" -gt 0 ]; then
        timeout --signal=TERM --kill-after=30 "$left" "$PYTHON" -m tinynet dissect lmdb \
            --out ladder --results results --seeds 1-3 --variant modern \
            --within "$((left + ${LATER:-0}))" --pack "$out" "${arguments[@]}" "$@" >/dev/null &
        child=$!
        trap 'stopped=1; kill -TERM "$child" 2>/dev/null' TERM INT HUP
        wait "$child" || status=$?
        while kill -0 "$child" 2>/dev/null; do status=0 && { wait "$child" || status=$?; }; done
        trap - TERM INT HUP
    else
        say "no time is left to train in"
        status=75
    fi
    case $status in 124 | 137) status=75 ;; esac # timeout's statuses for what it stopped, and killed
    [ -e results/experiment.json ] || return "$status" # nothing was begun
    collect "$out"
    cat "$out/table.txt"
    [ -n "${stopped:-}" ] || submit "$out" "$((seconds - (SECONDS - started) - 5))" "$@" || say "no submission file"
    return "$status"
}

collect() { # OUT
    tinynet dissect lmdb --collect --out ladder --results results --pack "$1" >"$WORK/table.txt"
    cp "$WORK/table.txt" "$1/"
}

submit() { # OUT SECONDS [OPTION...]
    local cpu=()
    case " ${*:3} " in *" --cpu "*) cpu=(--cpu) ;; esac
    [ "$2" -gt 0 ] || return 1
    timeout "$2" "$PYTHON" -m tinynet predict "$WORK/ladder" --best --data "$WORK/lmdb" "${cpu[@]}" \
        --out "$WORK/submission.txt" || return 1
    tinynet predict --check "$WORK/submission.txt" --data "$WORK/lmdb" && mv "$WORK/submission.txt" "$1/"
}

case "${1:-}" in
    pack | keep | run) "$@" ;;
    *) say "usage: gpu_ladder.sh pack DATASET PARTS | keep PARTS | run SECONDS OUT [OPTION...]"; exit 2 ;;
esac
