"""Makes imageset.json with Caffe's own tools: python -m tests.cli.golden.make_imageset_golden.

The tools are on PATH or in the folder that TINYNET_CAFFE_TOOLS names.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from pathlib import Path

from tests.cli import imageset_cases as cases


def main() -> None:
    found: dict[str, dict[str, object]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cases.draw(folder)
        for number, (use, flags) in enumerate(cases.CONVERSIONS.items()):
            out, backend = f"db{number}", cases.backend_of(flags)
            cases.run_tool("convert_imageset", *flags, "images/", "list.txt", out, cwd=folder)
            found[use] = {"records": cases.records(folder / out, backend)}
            if use in cases.OF_MEAN:
                asked = [f"-backend={backend}", out, f"mean{number}"]
                cases.run_tool("compute_image_mean", *asked, cwd=folder)
                mean = (folder / f"mean{number}").read_bytes()
                found[use]["mean"] = hashlib.sha256(mean).hexdigest()
    cases.GOLDEN.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
