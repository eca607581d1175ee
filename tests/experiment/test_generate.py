"""Generated files are reproducible, equal to those committed, and trained by real Caffe."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import run_python
from tinynet.caffeformat import schema, text
from tinynet.caffeformat.datum import encode_datum
from tinynet.caffeformat.lmdb import write_store
from tinynet.dataset.paths import DataPaths
from tinynet.errors import TinynetError
from tinynet.experiment import generate, nets
from tinynet.experiment.data_description import DataSet, describe
from tinynet.experiment.paths import StagePaths
from tinynet.experiment.solvers import Overrides
from tinynet.experiment.stages import STAGES, stage
from tinynet.experiment.variants import variant

REPOSITORY = Path(__file__).parents[2]
SCRIPT = Path(__file__).parents[1] / "caffeformat" / "in_caffe.py"
SMALL = DataSet(classes=3, train_images=8, val_images=6)


@pytest.fixture
def files() -> dict[Path, str]:
    return generate.generate(Path("prototxt"), DataSet())


def test_seven_stages_and_eleven_members_have_three_files_each(files: dict[Path, str]) -> None:
    folders = {path.parent.as_posix() for path in files}
    assert len(files) == 3 * len(folders) == 3 * (7 + 11)
    assert "prototxt/stage6_split_conv2" in folders
    assert {f"prototxt/stage8_ensemble/member{n:02d}" for n in range(1, 12)} < folders


def test_committed_files_equal_what_the_generator_writes(
    files: dict[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(REPOSITORY)
    assert generate.drifted(files, Path("prototxt")) == []


def test_another_process_with_another_hash_seed_writes_the_same_bytes(
    files: dict[Path, str],
) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from tinynet.experiment import data_description, generate\n"
        "files = generate.generate(Path('prototxt'), data_description.DataSet())\n"
        "sys.stdout.buffer.write(''.join(files.values()).encode())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=REPOSITORY,
        env={"PYTHONHASHSEED": "7", "PATH": "", "LC_ALL": "C", "PYTHONUTF8": "0"},
        capture_output=True,
        check=True,
    )
    assert done.stdout.decode() == "".join(files.values())


def test_every_generated_file_reads_back(files: dict[Path, str]) -> None:
    for path, content in files.items():
        kind = schema.SolverParameter if path.name == "solver.prototxt" else schema.NetParameter
        message = text.parse(content, kind, str(path))
        assert content.endswith(text.format(message))


def test_seven_stages_and_a_variant_are_not_all_stages(tmp_path: Path) -> None:
    described = describe(None)
    files = generate.generate(tmp_path, described, STAGES, Overrides())
    asked = [*STAGES[:7], variant("modern")]
    some = generate.generate(tmp_path, described, asked, Overrides())
    generate.write({**files, **some})
    assert generate.drifted(some, tmp_path, asked) == []


def test_drift_names_each_file_that_changed_is_missing_or_is_surplus(tmp_path: Path) -> None:
    root = tmp_path / "prototxt"
    files = generate.generate(root, SMALL)
    generate.write(files)
    assert generate.drifted(files, root) == []
    changed, missing = root / "stage1_simple/deploy.prototxt", root / "stage2_dropout1"
    changed.write_text(changed.read_text() + "\n")
    (missing / "solver.prototxt").unlink()
    surplus = root / "stage9_old/solver.prototxt"
    surplus.parent.mkdir()
    surplus.write_text("")
    assert generate.drifted(files, root) == [
        f"{changed}: changed",
        f"{missing / 'solver.prototxt'}: missing",
        f"{surplus}: surplus",
    ]
    only = [stage(3)]
    assert generate.drifted(generate.generate(root, SMALL, only), root, only) == []


def test_only_training_images_are_augmented() -> None:
    for each in STAGES:
        net = nets.train_val(each, DataSet(), 128, 100, std=0.01)
        training, testing = net.layer[0].transform_param, net.layer[1].transform_param
        augmented = each.number >= 3
        assert training.mirror == augmented
        assert training.crop_size == testing.crop_size == (60 if augmented else 0)
        assert not testing.mirror
        assert list(training.mean_value) == list(testing.mean_value)


def test_every_weight_starts_from_the_same_gaussian() -> None:
    net = nets.train_val(stage(7), DataSet(), 128, 100, std=0.02)
    parameters = [layer.convolution_param for layer in net.layer if layer.type == "Convolution"]
    parameters += [layer.inner_product_param for layer in net.layer if layer.type == "InnerProduct"]
    assert len(parameters) == 7
    for parameter in parameters:
        assert text.format(parameter.weight_filler) == 'type: "gaussian"\nstd: 0.02\n'


def test_a_data_set_of_fewer_than_five_classes_has_a_smaller_top_k() -> None:
    [top5] = [
        layer
        for layer in nets.train_val(stage(1), SMALL, 4, 2, std=0.01).layer
        if layer.name == "accuracy_top5"
    ]
    assert top5.accuracy_param.top_k == 3


def test_images_too_small_for_a_stage_are_an_error_that_names_the_layer() -> None:
    tiny = replace(SMALL, image_size=32)
    with pytest.raises(TinynetError, match="images of 32x32: layer data .*crop_size 60"):
        generate.generate(Path("prototxt"), tiny, [stage(3)])
    generate.generate(Path("prototxt"), tiny, [stage(1)])


def test_real_caffe_trains_every_stage_and_a_member_from_generated_files(
    caffe_python: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # paths in the files are relative to where the command runs
    data = DataPaths(Path("data/lmdb"))
    rng = np.random.default_rng(1)
    for split, count in (("train", SMALL.train_images), ("val", SMALL.val_images)):
        images = rng.integers(0, 256, (count, 3, 64, 64), dtype=np.uint8)
        records = [
            (b"%08d" % index, encode_datum(image, index % SMALL.classes))
            for index, image in enumerate(images)
        ]
        data.lmdb(split).parent.mkdir(parents=True, exist_ok=True)
        write_store(data.lmdb(split), records)

    root = Path("prototxt")
    changes = {"max_iter": 2, "snapshot_after_train": False, "snapshot": 0}
    generate.write(
        generate.generate(root, SMALL, overrides=Overrides(batch_size=4, solver=changes))
    )
    # one stage leaves its snapshot where a fresh clone has a folder
    kept = {"max_iter": 2}
    generate.write(generate.generate(root, SMALL, [stage(1)], Overrides(batch_size=4, solver=kept)))
    paths = [StagePaths(root, each.name) for each in STAGES[:-1]]
    paths.append(StagePaths(root, STAGES[-1].name, 11))

    Path("in.json").write_text(json.dumps([str(path.solver) for path in paths]))
    run_python(caffe_python, SCRIPT, "train", "in.json", "out.json", cwd=tmp_path)
    answers = json.loads(Path("out.json").read_text())
    assert len(answers) == 8
    for answer in answers:
        assert answer["iterations"] == 2
        assert np.isfinite(answer["loss"])
        assert answer["outputs"] == ["accuracy", "accuracy_top5", "loss"]
        assert answer["batch"] == [4, 6]
    assert sorted(path.name for path in paths[0].folder.glob("snapshot*")) == [
        "snapshot_iter_2.caffemodel",
        "snapshot_iter_2.solverstate",
    ]


def test_solvers_that_train_together_share_the_images_of_an_iteration() -> None:
    written = [
        generate.generate(Path("p"), DataSet(), [stage(1)], Overrides(batch_size=60, solvers=n))
        for n in (1, 3)
    ]
    paths = StagePaths(Path("p"), stage(1).name, None)
    assert written[0][paths.solver] == written[1][paths.solver]  # as many epochs, as many updates
    batches = [
        text.parse(files[paths.train_val], schema.NetParameter, "net").layer[0].data_param
        for files in written
    ]
    assert [batch.batch_size for batch in batches] == [60, 20]
    with pytest.raises(TinynetError, match="60 images an iteration cannot be shared by 7 solvers"):
        generate.generate(Path("p"), DataSet(), [stage(1)], Overrides(batch_size=60, solvers=7))
