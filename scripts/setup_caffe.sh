#!/usr/bin/env bash
# Make an environment with real Caffe in it (CPU), from any Python 3.6 to 3.9 that is here.
#   scripts/setup_caffe.sh
# VENV_CAFFE names the environment (default .venv-caffe in the checkout, where tinynet looks for it),
# CAFFE_PYTHON the interpreter to make it with.  It may be run again at any time: an environment
# whose Caffe works is kept as it is.
set -euo pipefail
cd "$(dirname "$0")/.."
VENV=${VENV_CAFFE:-.venv-caffe}

# real pycaffe has get_solver; the package index's 'caffe', an empty placeholder, has not
has_caffe() {
    GLOG_minloglevel=3 "$1" -c 'import caffe; caffe.get_solver' >/dev/null 2>&1
}

old_enough() {
    "$1" -c 'import sys, venv, ensurepip
sys.exit(not (3, 6) <= sys.version_info[:2] <= (3, 9))' >/dev/null 2>&1
}

candidates() {
    local version
    for version in 3.9 3.8 3.7 3.6; do
        echo "python$version"
        ls -d "$HOME/.pyenv/versions/$version".*/bin/python 2>/dev/null || true
    done
    echo python3
}

find_python() {
    local candidate
    for candidate in ${CAFFE_PYTHON:+"$CAFFE_PYTHON"} $(candidates); do
        # a command may be a shim without an interpreter behind it, so each one is tried
        if old_enough "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    echo "setup_caffe.sh: no Python 3.6 to 3.9 on PATH or under ~/.pyenv/versions, which real" \
        "Caffe's package needs; name one with CAFFE_PYTHON=/path/to/python3.9" >&2
    return 1
}

if has_caffe "$VENV/bin/python"; then
    echo "setup_caffe.sh: $VENV has a working Caffe" >&2
    exit 0
fi
python=$(find_python)
echo "setup_caffe.sh: making $VENV with $python" >&2
"$python" -m venv --clear "$VENV"
install() { "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check "$@"; }
# Python 3.6 comes with a pip that does not know today's wheels (manylinux2014); 21 is its last one
if "$VENV/bin/python" -c 'import pip, sys; sys.exit(int(pip.__version__.split(".")[0]) >= 21)'; then
    install --upgrade 'pip<22'
fi
# --prefer-binary: an older release with a wheel rather than a newer one that wants a compiler
install --prefer-binary kendryte-caffe 'numpy<2' 'protobuf<3.21'
if ! has_caffe "$VENV/bin/python"; then
    echo "setup_caffe.sh: Caffe is installed in $VENV but does not import:" >&2
    "$VENV/bin/python" -c 'import caffe; caffe.get_solver' >&2 || true
    exit 1
fi
echo "setup_caffe.sh: $VENV has a working Caffe" >&2
