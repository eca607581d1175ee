"""The script that a user of PyTorch would write instead, and the machine's own matrix products.

It is run by its path, in a process of its own, with one of these lists of arguments::

    DEVICE train STAGE FOLDER [--precision float32|tf32|bf16] [--batch N] [--compile MODE]
                              [--warm-up N]
    DEVICE gemm float32|tf32|bfloat16
    meta host-train|host-evaluate STAGE

It has NCHW images, a DataLoader over the JPEG folder, and torch's SGD.  Nothing is tuned, except
that float32 is float32 on a GPU too.  bf16 is autocast's; ``--compile`` names a mode of
``torch.compile``.  It follows the protocol of ``worker bench``: ``ready``, then one event for each
line on stdin.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

BATCH = 128


class JpegFolder(torch.utils.data.Dataset[tuple[torch.Tensor, int]]):
    """The images in ``train/WNID`` or ``train/WNID/images``, decoded when they are asked for."""

    def __init__(self, root: Path, crop: int) -> None:
        wnids = sorted(path.name for path in (root / "train").iterdir())
        self.items = [
            (path, label)
            for label, wnid in enumerate(wnids)
            for path in sorted((root / "train" / wnid).rglob("*.*"))
            if path.suffix.lower() in (".jpeg", ".jpg", ".png")
        ]
        if not self.items:
            raise SystemExit(f"{root}/train: no class folder holds an image")
        self.crop = crop

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        path, label = self.items[index]
        pixels = np.asarray(Image.open(path).convert("RGB"), np.float32)
        image = torch.from_numpy((pixels - 117) / 64).permute(2, 0, 1)
        if self.crop:
            row, column = torch.randint(64 - self.crop + 1, (2,)).tolist()
            image = image[:, row : row + self.crop, column : column + self.crop]
            if torch.rand(()) < 0.5:
                image = image.flip(2)
        return image.contiguous(), label


def model(stage: int, classes: int) -> nn.Module:
    """Stage 1 or 7 of the experiment."""
    pool = nn.MaxPool2d(2, ceil_mode=True)
    if stage == 1:
        return nn.Sequential(
            nn.Conv2d(3, 50, 5), nn.ReLU(), pool,
            nn.Conv2d(50, 100, 5), nn.ReLU(), pool,
            nn.Conv2d(100, 200, 3), nn.ReLU(), pool,
            nn.Flatten(), nn.LazyLinear(400), nn.ReLU(), nn.Linear(400, classes),
        )  # fmt: skip
    leaky = nn.LeakyReLU(0.01)
    return nn.Sequential(
        nn.Conv2d(3, 64, 5), leaky, pool,
        nn.Conv2d(64, 128, 3), leaky, nn.Conv2d(128, 128, 3), leaky, nn.Conv2d(128, 128, 3), leaky,
        pool, nn.Conv2d(128, 256, 3), leaky, pool, nn.Dropout(0.5),
        nn.Flatten(), nn.LazyLinear(2048), leaky, nn.Dropout(0.5), nn.Linear(2048, classes),
    )  # fmt: skip


def train(
    device: torch.device,
    stage: int,
    root: Path,
    precision: str = "float32",
    batch: int = BATCH,
    mode: str = "",
) -> Callable[[int], int]:
    torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
    torch.backends.cudnn.allow_tf32 = precision == "tf32"
    data = JpegFolder(root, 60 if stage == 7 else 0)
    loader = torch.utils.data.DataLoader(
        data, batch, shuffle=True, num_workers=len(os.sched_getaffinity(0)), drop_last=True,
        persistent_workers=True, pin_memory=device.type == "cuda",
    )  # fmt: skip
    net = model(stage, 1 + data.items[-1][1]).to(device)
    net(torch.zeros(1, *data[0][0].shape, device=device))  # sizes the lazy layer
    solver = torch.optim.SGD(net.parameters(), lr=0.001, momentum=0.9, weight_decay=5e-4)
    loss_of = nn.CrossEntropyLoss()
    forward = torch.compile(net, mode=mode) if mode else net

    def batches() -> Iterator[list[torch.Tensor]]:
        while True:
            yield from loader

    source = batches()

    def iterate(count: int) -> int:
        for _ in range(count):
            images, labels = (part.to(device, non_blocking=True) for part in next(source))
            solver.zero_grad()
            with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
                loss = loss_of(forward(images), labels)
            loss.backward()
            solver.step()
        wait_for(device)
        return count * batch

    return iterate


def host(what: str, stage: int) -> Callable[[], object]:
    """One iteration on torch's meta device, with one image that is already loaded."""
    size = 60 if stage == 7 else 64
    net = model(stage, 200)
    net(torch.zeros(1, 3, size, size))  # sizes the lazy layer
    net = net.to("meta")
    solver = torch.optim.SGD(net.parameters(), lr=0.001, momentum=0.9, weight_decay=5e-4)
    loss_of = nn.CrossEntropyLoss()
    ready = torch.zeros(1, 3, size, size), torch.zeros(1, dtype=torch.int64)

    def train_once() -> None:
        images, labels = (part.to("meta", non_blocking=True) for part in ready)
        solver.zero_grad()
        loss_of(net(images), labels).backward()
        solver.step()

    @torch.no_grad()
    def evaluate_once() -> torch.Tensor:
        images, labels = (part.to("meta", non_blocking=True) for part in ready)
        scores = net(images)
        return torch.stack([loss_of(scores, labels), (scores.argmax(1) == labels).sum()])

    if what == "host-train":
        return train_once
    net.eval()
    return evaluate_once


def wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def gemm(device: torch.device, name: str) -> Callable[[int], int]:
    """Square matrix products; an item is one floating-point operation."""
    torch.backends.cuda.matmul.allow_tf32 = name == "tf32"
    dtype = torch.bfloat16 if name == "bfloat16" else torch.float32

    def operands(size: int) -> list[torch.Tensor]:
        return [torch.randn(size, size, device=device).to(dtype) for _ in range(2)]

    size = 4096
    if device.type == "cpu":
        size = 256
        a, b = operands(size)
        taken = []
        for _ in range(5):
            start = time.perf_counter()
            a @ b
            taken.append(time.perf_counter() - start)
        if min(taken) * 8**3 < 2:  # otherwise products of 2048 would take minutes
            size = 2048
    a, b = operands(size)
    out = torch.empty_like(a)

    def multiply(count: int) -> int:
        for _ in range(count):
            torch.mm(a, b, out=out)
        wait_for(device)
        return 2 * size**3 * count

    return multiply


def say(**event: object) -> None:
    print(json.dumps(event), flush=True)


def host_rounds(iterate: Callable[[], object]) -> None:
    """The rounds of ``worker bench host-…``."""
    from tinynet.torchcaffe.no_kernels import HostTime

    timed = HostTime(iterate)
    say(event="ready")
    for line in iter(sys.stdin.readline, ""):
        count = int(line)
        say(
            event="round",
            items=count,
            seconds=timed.seconds(count) * count,
            calls=timed.calls,
            calls_seconds=timed.seconds_of_calls(count) * count,
        )


def main(arguments: list[str]) -> None:
    device, what = torch.device(arguments[0]), arguments[1]
    if device.type == "meta":
        host_rounds(host(what, int(arguments[2])))
        return
    torch.backends.cudnn.allow_tf32 = False
    warm_up = 2
    if what == "gemm":
        work = gemm(device, arguments[2])
    else:
        options = argparse.ArgumentParser()
        options.add_argument("--precision", default="float32")
        options.add_argument("--batch", type=int, default=BATCH)
        options.add_argument("--compile", default="")
        options.add_argument("--warm-up", type=int, default=2)
        given = options.parse_args(arguments[4:])
        stage, folder, warm_up = int(arguments[2]), Path(arguments[3]), given.warm_up
        work = train(device, stage, folder, given.precision, given.batch, given.compile)
    work(warm_up)
    say(event="ready")
    for line in iter(sys.stdin.readline, ""):
        start = time.perf_counter()
        items = work(int(line))
        say(event="round", items=items, seconds=time.perf_counter() - start)


if __name__ == "__main__":
    main(sys.argv[1:])
