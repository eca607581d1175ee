"""Makes reader.json with Caffe's own tools: python -m tests.caffeformat.golden.make_reader_golden.

The tools are on PATH or in the folder that TINYNET_CAFFE_TOOLS names.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path

from tests.caffeformat import reader_cases
from tests.cli import imageset_cases

TOOLS = {"NetParameter": "upgrade_net_proto_text", "SolverParameter": "upgrade_solver_proto_text"}


def main() -> None:
    verdicts: list[str | None] = []
    with tempfile.TemporaryDirectory() as name:
        source, out = Path(name, "in.prototxt"), Path(name, "out.prototxt")
        for kind, text in reader_cases.CASES:
            out.unlink(missing_ok=True)
            source.write_bytes(text)
            program = imageset_cases.tool(TOOLS[kind])
            assert program is not None
            subprocess.run([program, source.name, out.name], cwd=name, capture_output=True)
            # what is written is ASCII: C++ escapes all other bytes
            verdicts.append(out.read_text("ascii") if out.exists() else None)
    reader_cases.GOLDEN.write_text(json.dumps(verdicts, indent=0) + "\n")


if __name__ == "__main__":
    main()
