"""Schema, reader and printer work, to the byte, under the oldest protobuf that setup.py allows.

The newest is the one that the rest of the suite runs with.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tinynet.experiment import generate
from tinynet.experiment.data_description import DataSet
from tinynet.experiment.paths import PROTOTXT_ROOT

REPOSITORY = Path(__file__).parents[2]

CHILD = """
import sys
sys.path[:0] = sys.argv[1:3]
import google.protobuf
from pathlib import Path
from tinynet.caffeformat import binary, schema, text
from tinynet.experiment import data_description, generate
assert google.protobuf.__version__ == sys.argv[3], google.protobuf.__version__
files = generate.generate(Path("prototxt"), data_description.DataSet())
for path, content in files.items():
    kind = schema.SolverParameter if path.name == "solver.prototxt" else schema.NetParameter
    message = text.parse(content, kind, str(path))
    wire = binary.parse(message.SerializeToString(), kind, str(path))
    assert wire == message and content.endswith(text.format(wire)), path
sys.stdout.buffer.write("".join(files.values()).encode())
"""


def _python39() -> str | None:
    """Protobuf 3.6 needs collections.MutableMapping, which Python 3.10 no longer has."""
    if sys.version_info[:2] == (3, 9):
        return sys.executable
    versions = sorted((Path.home() / ".pyenv" / "versions").glob("3.9.*/bin/python"))
    # pyenv's python3.9 on PATH fails unless that version is selected
    return str(versions[-1]) if versions else shutil.which("python3.9")


@pytest.mark.parametrize(
    ("python", "release"),
    [
        pytest.param(_python39(), "3.6.0", id="3.6.0-under-python3.9"),
        pytest.param(sys.executable, "3.20.3", id="3.20.3"),
    ],
)
def test_the_generated_files_are_the_same_under_an_old_protobuf(
    python: str | None, release: str, tmp_path: Path
) -> None:
    if python is None:
        pytest.skip("no Python 3.9 on PATH or in ~/.pyenv/versions, and protobuf 3.6 needs it")
    install = [python, "-m", "pip", "install", "--quiet", "--target", str(tmp_path)]
    installed = subprocess.run(
        [*install, "--no-warn-script-location", f"protobuf=={release}"],
        capture_output=True,
        text=True,
    )
    if installed.returncode:
        pytest.skip(f"protobuf {release} cannot be installed: {installed.stderr.strip()[-200:]}")
    # -S: no site-packages, so that what was installed just now is all there is
    done = subprocess.run(
        [python, "-S", "-c", CHILD, str(tmp_path), str(REPOSITORY), release],
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr.decode()
    expected = "".join(generate.generate(PROTOTXT_ROOT, DataSet()).values())
    assert done.stdout.decode() == expected
