"""Write small data sets in the Tiny ImageNet layout, with nothing but Pillow."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

# Not sorted, as in the real wnids.txt: n03 is class 0.
WNIDS = ["n03", "n01", "n02"]
TRAIN_PER_CLASS = 4
VAL = 6
TEST = 3


def save_image(path: Path, seed: int, size: tuple[int, int] = (64, 64), mode: str = "RGB") -> None:
    """Save a smooth random image: a JPEG of noise would hide a wrong order of channels."""
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), dtype=np.uint8)
    image = Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).convert(mode)
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, "JPEG", quality=90)


def write_layout(root: Path) -> Path:
    """Three classes, with boxes; the first training image of n01 is grayscale."""
    root.mkdir(parents=True)
    (root / "wnids.txt").write_text("\n".join(WNIDS) + "\n")
    (root / "words.txt").write_text("n01\tcat, house cat\nn02\tdog\nn03\tfish\nn99\tunused\n")
    for i, wnid in enumerate(WNIDS):
        folder = root / "train" / wnid
        lines = []
        for j in range(TRAIN_PER_CLASS):
            mode = "L" if (wnid, j) == ("n01", 0) else "RGB"
            save_image(folder / "images" / f"{wnid}_{j}.JPEG", seed=10 * i + j, mode=mode)
            lines.append(f"{wnid}_{j}.JPEG\t{j}\t{2 * j}\t{40 + j}\t{50 + j}")
        (folder / f"{wnid}_boxes.txt").write_text("\n".join(lines) + "\n")
    lines = []
    for j in range(VAL):
        save_image(root / "val" / "images" / f"val_{j}.JPEG", seed=100 + j)
        lines.append(f"val_{j}.JPEG\t{WNIDS[j % 3]}\t0\t0\t63\t63")
    (root / "val" / "val_annotations.txt").write_text("\n".join(lines) + "\n")
    for j in range(TEST):
        save_image(root / "test" / "images" / f"test_{j}.JPEG", seed=200 + j)
    return root


def write_zip(root: Path, path: Path, folder_entries: bool = False) -> Path:
    """The layout at ``root`` as a zip with one top folder."""
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(root.rglob("*")):
            if file.is_file() or folder_entries:
                archive.write(file, f"{root.name}/{file.relative_to(root)}")
    return path
