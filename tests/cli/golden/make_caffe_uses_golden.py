"""Ask a program ``caffe`` what caffe_uses.py lists, and store its answers in caffe_uses.json.

From the repository root, with Debian 11's package caffe (or another of Caffe 1.0 for the CPU):
python -m tests.cli.golden.make_caffe_uses_golden [PROGRAM]
"""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.cli import caffe_uses


def ask(program: str, use: caffe_uses.Use, folder: Path) -> caffe_uses.Answer:
    done = subprocess.run(
        [program, *use.arguments.split()], cwd=folder, capture_output=True, text=True
    )
    return caffe_uses.Answer(
        # as a shell says it: 128 and the number of the signal
        done.returncode if done.returncode >= 0 else 128 - done.returncode,
        bool(done.stdout),
        use.culprit in done.stderr,
    )


def main(program: str = "caffe") -> None:
    answers = {}
    for name, use in caffe_uses.USES.items():
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            caffe_uses.prepare(folder)
            trained = ask(program, caffe_uses.Use("train -solver=solver.prototxt"), folder)
            assert trained.status == 0, trained
            answers[name] = ask(program, use, folder)
    lines = [f"{json.dumps(name)}: {json.dumps(answer)}" for name, answer in answers.items()]
    caffe_uses.GOLDEN.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    print(f"{caffe_uses.GOLDEN}: {len(answers)} answers of {shutil.which(program)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
