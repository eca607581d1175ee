"""``tinynet generate`` on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.command import run
from tinynet.caffeformat import schema, text
from tinynet.dataset.manifest import Manifest, write_manifest


def solver_of(folder: Path) -> object:
    return text.read(folder / "solver.prototxt", schema.SolverParameter)


def a_manifest(folder: Path, classes: int, val: int = 70) -> None:
    folder.mkdir(parents=True)
    write_manifest(
        Manifest(
            counts={"train": 640, "val": val, "test": 0},
            wnids=[f"n{index:08d}" for index in range(classes)],
            class_names=[f"class {index}" for index in range(classes)],
            shape=(3, 64, 64),
            mean_values=(100.12349, 110.0, 120.5),
            seed=1,
            source="made up",
            source_sha256="0" * 64,
            names={
                "train": [f"{i}.JPEG" for i in range(640)],
                "val": [f"val_{i}.JPEG" for i in range(val)],
                "test": [],
            },
            labelled={"train": True, "val": True, "test": False},
            digests={"train": "0" * 64, "val": "0" * 64, "test": "0" * 64},
        ),
        folder,
    )


def test_a_check_after_writing_passes_and_an_edit_fails_it_by_name(tmp_path: Path) -> None:
    out = tmp_path / "nets"
    assert run("generate", "--out", out).status == 0
    assert run("generate", "--out", out, "--check").status == 0
    edited = out / "stage8_ensemble" / "member04" / "deploy.prototxt"
    edited.write_text("")
    done = run("generate", "--out", out, "--check")
    assert done.status == 1
    assert done.stdout == f"{edited}: changed\n"
    assert done.stderr.count("\n") == 1
    assert edited.read_text() == ""  # a check writes nothing


def test_only_the_stages_named_are_written(tmp_path: Path) -> None:
    assert run("generate", "--stage", 2, "--stage", 6, "--out", tmp_path).status == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "stage2_dropout1",
        "stage6_split_conv2",
    ]


def test_the_manifest_gives_classes_sizes_and_mean(tmp_path: Path) -> None:
    a_manifest(tmp_path / "lmdb", classes=7)
    out = tmp_path / "nets"
    done = run("generate", "--data", tmp_path / "lmdb", "--stage", 1, "--out", out)
    assert (done.status, done.stderr) == (0, "")
    net = text.read(out / "stage1_simple" / "train_val.prototxt", schema.NetParameter)
    layers = {layer.name: layer for layer in net.layer}
    assert layers["fc2"].inner_product_param.num_output == 7
    # the mean is rounded, so that the same images always give the same file
    assert [text.format_float(v) for v in net.layer[0].transform_param.mean_value] == [
        "100.123",
        "110",
        "120.5",
    ]
    assert net.layer[0].data_param.source == str(tmp_path / "lmdb" / "train_lmdb")
    solver = solver_of(out / "stage1_simple")
    assert solver.test_interval == 5  # 640 / 128
    assert net.layer[1].data_param.batch_size * solver.test_iter[0] == 70


def test_classes_alone_mean_that_many_classes_of_tiny_imagenet(tmp_path: Path) -> None:
    run("generate", "--classes", 20, "--stage", 1, "--out", tmp_path)
    solver = solver_of(tmp_path / "stage1_simple")
    assert solver.test_interval == 78  # 20 x 500 / 128
    assert list(solver.test_iter) == [10]  # 20 x 50 / 100


def test_fewer_classes_than_the_data_has_are_wrong_use(tmp_path: Path) -> None:
    a_manifest(tmp_path / "lmdb", classes=7)
    done = run("generate", "--data", tmp_path / "lmdb", "--classes", 5, "--out", tmp_path / "n")
    assert done.status == 2
    assert "has 7 classes" in done.stderr
    assert not (tmp_path / "n").exists()


def test_a_data_set_without_validation_images_is_one_line(tmp_path: Path) -> None:
    a_manifest(tmp_path / "lmdb", classes=7, val=0)
    done = run("generate", "--data", tmp_path / "lmdb", "--out", tmp_path / "nets")
    assert (done.status, done.stderr.count("\n")) == (1, 1)
    assert "no val images" in done.stderr


@pytest.mark.parametrize("there", [False, True])
def test_data_without_a_manifest_is_wrong_use_that_names_classes(
    tmp_path: Path, there: bool
) -> None:
    if there:
        (tmp_path / "later").mkdir()
    out = tmp_path / "nets"
    done = run("generate", "--data", tmp_path / "later", "--stage", 1, "--out", out)
    assert (done.status, done.stderr.count("\n")) == (2, 1)
    assert f"--data {tmp_path / 'later'}" in done.stderr
    assert "--classes N to generate for data that lies elsewhere" in done.stderr
    assert not out.exists()


def test_nets_for_data_on_another_machine_need_only_its_number_of_classes(tmp_path: Path) -> None:
    options = ("--data", "elsewhere/lmdb", "--classes", 20, "--stage", 1, "--out", tmp_path)
    done = run("generate", *options)
    assert (done.status, done.stderr) == (0, "")
    net = text.read(tmp_path / "stage1_simple" / "train_val.prototxt", schema.NetParameter)
    assert net.layer[0].data_param.source == "elsewhere/lmdb/train_lmdb"


def units(root: Path) -> int:
    net = text.read(root / "stage1_simple" / "train_val.prototxt", schema.NetParameter)
    return {layer.name: layer for layer in net.layer}["fc2"].inner_product_param.num_output


def test_without_data_the_manifest_of_the_default_folder_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    a_manifest(Path("data/lmdb"), classes=7)
    assert run("generate", "--stage", 1).status == 0
    assert units(Path("prototxt")) == 7


def test_nets_of_another_data_set_are_replaced_only_on_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run("generate", "--stage", 1)
    before = Path("prototxt/stage1_simple/train_val.prototxt").read_bytes()
    a_manifest(Path("data/lmdb"), classes=7)
    for check in ((), ("--check",)):
        done = run("generate", "--stage", 1, *check)
        assert (done.status, done.stderr.count("\n")) == (2, 1)
        assert "a net of 200 classes, and data/lmdb has 7" in done.stderr
        assert "'tinynet generate --data data/lmdb'" in done.stderr
        assert "'tinynet generate --classes 200'" in done.stderr
        assert Path("prototxt/stage1_simple/train_val.prototxt").read_bytes() == before
    # both of the commands that it names do what it says
    assert run("generate", "--stage", 1, "--classes", 200, "--check").status == 0
    assert run("generate", "--stage", 1, "--data", "data/lmdb").status == 0
    assert units(Path("prototxt")) == 7


OVERRIDES = [
    ("--max-iter", "300", "max_iter", "300"),
    ("--snapshot", "77", "snapshot", "77"),
    ("--base-lr", "0.25", "base_lr", "0.25"),
    ("--weight-decay", "0", "weight_decay", "0"),
    ("--momentum", "0.5", "momentum", "0.5"),
    ("--test-interval", "9", "test_interval", "9"),
    ("--test-iter", "2", "test_iter", "2"),
    ("--display", "3", "display", "3"),
    ("--random-seed", "42", "random_seed", "42"),
    ("--snapshot-prefix", "here/s", "snapshot_prefix", '"here/s"'),
    ("--snapshot-format", "HDF5", "snapshot_format", "HDF5"),
    ("--no-test-initialization", None, "test_initialization", "false"),
    ("--clip-gradients", "35", "clip_gradients", "35"),
    ("--iter-size", "2", "iter_size", "2"),
    ("--solver-mode", "CPU", "solver_mode", "CPU"),
    ("--type", "Nesterov", "type", '"Nesterov"'),
    ("--regularization-type", "L1", "regularization_type", '"L1"'),
]


def test_every_override_reaches_the_solver(tmp_path: Path) -> None:
    options = [part for flag, value, _, _ in OVERRIDES for part in (flag, value) if part]
    done = run("generate", "--stage", 1, "--out", tmp_path, *options)
    assert done.status == 0, done.stderr
    lines = (tmp_path / "stage1_simple" / "solver.prototxt").read_text().splitlines()
    for _, _, field, value in OVERRIDES:
        assert f"{field}: {value}" in lines


def test_every_solver_value_has_an_option() -> None:
    shown = run("generate", "--help").stdout
    for field in schema.FIELDS["SolverParameter"].values():
        named = field.name in ("net", "train_net", "test_net", "weights", "solver_type")
        if field.kind != "message" and not named:
            option = "seed" if field.name == "random_seed" else field.name.replace("_", "-")
            assert f"--{option} " in shown, field.name


def test_a_policy_takes_its_own_options(tmp_path: Path) -> None:
    options = ["--lr-policy", "multistep", "--stepvalue", 10, "--stepvalue", 20, "--gamma", 0.5]
    assert run("generate", "--stage", 1, "--out", tmp_path, *options).status == 0
    solver = solver_of(tmp_path / "stage1_simple")
    assert (list(solver.stepvalue), solver.gamma) == ([10, 20], 0.5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--stage", "9"], "no stage 9; the stages are 1 to 8"),
        (["--lr-policy", "poly"], "lr_policy poly needs --power"),
        (["--base-lr", "nan"], "'nan' is not a finite number"),
        (["--max-iter", "0"], "0 is not in the range"),
        (["--epochs", "2", "--max-iter", "9"], "choose one"),
        (["--snapshot-prefix", "x"], "--snapshot-prefix is for one solver"),
        (["--classes", "one"], "'one' is not a valid whole number"),
    ],
)
def test_wrong_use_is_one_line_status_2_and_no_file(
    tmp_path: Path, options: list[str], message: str
) -> None:
    done = run("generate", "--out", tmp_path / "out", *options)
    assert done.status == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = run("generate", "--out", tmp_path / "file" / "below")
    assert done.status == 1
    assert done.stderr.count("\n") == 1
