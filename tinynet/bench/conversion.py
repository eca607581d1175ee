"""``tinynet data convert`` beside Caffe's convert_imageset and compute_image_mean."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from tinynet.bench.bench import Bench
from tinynet.bench.rounds import Row


def rows(bench: Bench) -> list[Row]:
    """The rows of both; a round converts the whole data set."""
    part, peer = "conversion", "convert_imageset and compute_image_mean"
    ours, real = Row(part, "tinynet data convert", "img", of=peer), Row(part, peer, "img")
    work, tools = _Conversion(bench.folder, bench.scratch), bench.caffe_tools
    converter, averager = (
        shutil.which(name, path=str(tools) if tools else None)
        for name in ("convert_imageset", "compute_image_mean")
    )
    ways: list[tuple[Row, Callable[[Path], None]]] = [(ours, work.here)]
    if converter is None or averager is None:
        where = f"in {tools}" if tools else "on PATH; name their folder"
        real.skipped = f"not {where} (--caffe-tools)"
    else:
        ways.append((real, partial(work.in_caffe, converter, averager)))
    for number in range(bench.rounds):
        for row, way in ways:
            if row.skipped:
                continue
            bench.say(f"{part}: round {number + 1} of {bench.rounds}, {row.name}")
            out = bench.scratch / "converted"
            start = time.perf_counter()
            try:
                way(out)
            except (OSError, subprocess.CalledProcessError) as error:
                row.skipped = _failure(error)
                row.rates.clear()
                continue
            finally:
                seconds = time.perf_counter() - start
                shutil.rmtree(out, ignore_errors=True)
            row.rates.append(work.images / seconds)
    return [ours, real]


@dataclass
class _Conversion:
    folder: Path
    scratch: Path

    @cached_property
    def _lists(self) -> dict[str, Path]:
        """convert_imageset's lists: a path and a label a line, for each split."""
        from tinynet.dataset.tiny_imagenet import TinyImagenet

        lists = {}
        with TinyImagenet(self.folder) as dataset:
            for split, images in dataset.images.items():
                lists[split] = self.scratch / f"{split}.txt"
                lines = [f"{image.path} {max(image.label, 0)}\n" for image in images]
                lists[split].write_text("".join(lines))
        return lists

    @cached_property
    def images(self) -> int:
        return sum(len(path.read_text().splitlines()) for path in self._lists.values())

    def here(self, out: Path) -> None:
        command = [sys.executable, "-m", "tinynet", "data", "convert", str(self.folder)]
        subprocess.run([*command, "--out", str(out)], check=True, capture_output=True)

    def in_caffe(self, convert_imageset: str, compute_mean: str, out: Path) -> None:
        out.mkdir()
        quiet: dict[str, Any] = {"check": True, "capture_output": True}
        for split, names in self._lists.items():
            options = ["--backend=lmdb", "--shuffle"]
            folder = f"{self.folder}/"
            subprocess.run([convert_imageset, *options, folder, names, out / split], **quiet)
        mean = out / "mean.binaryproto"
        subprocess.run([compute_mean, "--backend=lmdb", out / "train", mean], **quiet)


def _failure(error: OSError | subprocess.CalledProcessError) -> str:
    """What failed, and the last line that it printed."""
    if isinstance(error, OSError):
        return f"failed: {error}"
    said = (error.stderr or b"").decode("utf-8", "replace").strip().splitlines()
    tail = f": {said[-1]}" if said else ""
    return f"{Path(error.cmd[0]).name} ended with status {error.returncode}{tail}"
