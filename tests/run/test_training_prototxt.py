"""The prototxt of a run: overrides, paths, sources, batch, divergence limit, comparison."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.run import small_runs
from tinynet.caffeformat import binary, schema, text
from tinynet.errors import TinynetError, UsageError
from tinynet.run import checks, compare
from tinynet.run.paths import RunPaths
from tinynet.run.training_prototxt import load

SOLVER = Path("small/solver.prototxt")


@pytest.fixture(autouse=True)
def here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(folder)
    return folder


def edit(old: str, new: str, path: str = "small/train_val.prototxt") -> None:
    source = Path(path).read_text()
    assert old in source
    Path(path).write_text(source.replace(old, new))


def test_copied_prototxt_points_into_the_run_directory_and_data_paths_stay() -> None:
    paths = RunPaths(Path("runs/small/seed7"))
    texts = load(SOLVER, {"max_iter": "5", "lr_policy": "exp", "gamma": "0.9"}).texts(paths)
    solver = text.parse(texts["solver.prototxt"], schema.SolverParameter, "solver")
    assert solver.net == "runs/small/seed7/train_val.prototxt"
    assert solver.snapshot_prefix == "runs/small/seed7/snapshots/snapshot"
    assert (solver.max_iter, solver.lr_policy, solver.random_seed) == (5, "exp", 7)
    net = text.parse(texts["train_val.prototxt"], schema.NetParameter, "net")
    assert net.layer[0].data_param.source == "data/train_lmdb"


def test_a_solver_without_a_seed_gets_seed_1() -> None:
    edit("random_seed: 7", "", "small/solver.prototxt")
    assert load(SOLVER).solver.random_seed == 1


def test_an_unknown_field_or_a_bad_value_of_set_is_wrong_use() -> None:
    with pytest.raises(UsageError, match="no solver field 'learning_rate'"):
        load(SOLVER, {"learning_rate": "1"})
    with pytest.raises(UsageError, match="--set base_lr=fast: 'base_lr' of .* is a float"):
        load(SOLVER, {"base_lr": "fast"})
    with pytest.raises(UsageError, match="sets more than base_lr"):
        load(SOLVER, {"base_lr": "0.1 max_iter: 5"})


REFUSED = [
    ("base_lr", "nan", "base_lr is nan; it must be a finite number"),
    ("base_lr", "inf", "base_lr is inf; it must be a finite number"),
    ("base_lr", "-0.1", "base_lr is -0.1; it must be at least 0"),
    ("momentum", "2", "momentum is 2; it must be at least 0 and below 1"),
    ("weight_decay", "-1", "weight_decay is -1; it must be at least 0"),
    ("clip_gradients", "nan", "clip_gradients is nan; it must be a finite number"),
    ("lr_policy", "foo", "lr_policy is 'foo'; Caffe has fixed, step, exp, inv, multistep, poly"),
    ("type", "Foo", "type is 'Foo'; Caffe has SGD, Nesterov, AdaGrad, RMSProp, AdaDelta, Adam"),
    ("type", "AdaGrad", "type AdaGrad has no momentum, and momentum is 0.9"),
    ("regularization_type", "L3", "regularization_type is 'L3'; Caffe has L1, L2"),
    ("max_iter", "0", "max_iter is 0; it lies in 1 … 2147483647"),
    ("test_interval", "0", "test_interval is 0; it lies in 1 … 2147483647"),
    ("display", "-1", "display is -1; it lies in 0 … 2147483647"),
    ("lr_policy", "step", "lr_policy step needs stepsize, which is not set"),
]


@pytest.mark.parametrize(("field", "value", "message"), REFUSED)
def test_an_invalid_solver_value_is_refused_when_it_is_read(
    field: str, value: str, message: str
) -> None:
    with pytest.raises(UsageError) as given:
        load(SOLVER, {field: value})
    assert message in str(given.value) or "needs gamma" in str(given.value)
    assert str(given.value).startswith("--set ")
    quoted = f'"{value}"' if field in ("lr_policy", "type", "regularization_type") else value
    content = "".join(
        line + "\n" for line in small_runs.SOLVER.splitlines() if not line.startswith(f"{field}:")
    )
    SOLVER.write_text(f"{content}{field}: {quoted}\n")
    with pytest.raises(TinynetError) as read:
        load(SOLVER)
    assert str(read.value).startswith(f"{SOLVER}: {message}")
    assert read.value.exit_status == 1


def test_an_invalid_value_of_the_file_is_ignored_when_it_is_overridden() -> None:
    edit("base_lr: 0.1", "base_lr: nan", "small/solver.prototxt")
    assert load(SOLVER, {"base_lr": "0.5"}).solver.base_lr == 0.5


def test_a_field_that_caffe_does_not_read_may_hold_any_value() -> None:
    edit("random_seed: 7", "random_seed: 4294967303 gamma: -1 stepsize: 0", "small/solver.prototxt")
    assert load(SOLVER).solver.lr_policy == "fixed"


@pytest.mark.parametrize(
    ("field", "value"),
    [("snapshot_prefix", "x"), ("snapshot_format", "HDF5"), ("snapshot_after_train", "false"),
     ("solver_mode", "GPU"), ("device_id", "1"), ("solver_type", "ADAM"), ("net_param", "{}")],
)  # fmt: skip
def test_fields_that_the_run_decides_cannot_be_set(field: str, value: str) -> None:
    with pytest.raises(UsageError, match=f"--set {field}={value}: "):
        load(SOLVER, {field: value})


def test_a_run_ends_with_a_snapshot_of_caffes_binary_files_whatever_its_solver_says() -> None:
    edit("snapshot: 8", "snapshot_after_train: false snapshot_format: HDF5", str(SOLVER))
    solver = load(SOLVER).solver
    assert solver.snapshot_after_train
    assert solver.snapshot_format == schema.SolverParameter.BINARYPROTO


def test_the_old_solver_type_is_read_as_the_type_that_it_means() -> None:
    edit("random_seed: 7", "solver_type: NESTEROV", "small/solver.prototxt")
    assert load(SOLVER).solver.type == "Nesterov"
    edit("solver_type: NESTEROV", 'solver_type: ADAM type: "SGD"', "small/solver.prototxt")
    with pytest.raises(TinynetError, match="solver.prototxt: give the solver's type by type"):
        load(SOLVER)


@pytest.mark.parametrize(("seed", "message"), [("4294967296", "lies in"), ("-1", "from 0 on")])
def test_a_seed_beyond_the_random_generators_range_is_refused(seed: str, message: str) -> None:
    with pytest.raises(UsageError, match=f"--set random_seed={seed}: .*{message}"):
        load(SOLVER, {"random_seed": seed})
    assert load(SOLVER, {"random_seed": "4294967295"}).solver.random_seed == 2**32 - 1


def test_the_message_for_a_missing_net_says_where_paths_start(folder: Path) -> None:
    edit("small/train_val", "small/no", "small/solver.prototxt")
    with pytest.raises(TinynetError, match=f"small/no.prototxt is not there.*{folder}"):
        load(SOLVER)


def test_sources_are_those_of_the_layers_that_run_in_each_phase() -> None:
    edit("mean_value: 128", 'mean_file: "data/mean.binaryproto"')
    found = [(s.path, s.phase, s.is_mean) for s in load(SOLVER).sources()]
    assert found == [
        ("data/train_lmdb", schema.TRAIN, False),
        ("data/mean.binaryproto", schema.TRAIN, True),
        ("data/val_lmdb", schema.TEST, False),
    ]
    with pytest.raises(TinynetError, match=r"mean.binaryproto: no such mean file.*layer 'data'"):
        checks.require_data(load(SOLVER))


def test_a_folder_without_a_database_is_an_unfinished_conversion() -> None:
    Path("data/val_lmdb/data.mdb").unlink()
    with pytest.raises(TinynetError, match="holds no database"):
        checks.require_data(load(SOLVER))


def test_effective_batch_counts_iter_size() -> None:
    assert load(SOLVER, {"iter_size": "3"}).effective_batch == 30


@pytest.mark.parametrize(
    ("change", "limit"),
    [
        (('type: "SoftmaxWithLoss"', 'type: "SoftmaxWithLoss"'), 87.3),
        (('type: "SoftmaxWithLoss"', 'type: "SoftmaxWithLoss" loss_weight: 0.5'), 43.65),
        # of a loss that counts for nothing, or is to grow, each value would be beyond it
        (('type: "SoftmaxWithLoss"', 'type: "SoftmaxWithLoss" loss_weight: 0'), None),
        (('type: "SoftmaxWithLoss"', 'type: "SoftmaxWithLoss" loss_weight: -1'), None),
        # a sum over the labels of an image, and a loss of another kind, have no such bound
        (('type: "SoftmaxWithLoss"', 'type: "SoftmaxWithLoss" loss_param { normalize: false }'),
         None),
        (('type: "SoftmaxWithLoss"', 'type: "EuclideanLoss"'), None),
    ],
)  # fmt: skip
def test_the_divergence_limit_is_where_softmax_loss_saturates(
    change: tuple[str, str], limit: float | None
) -> None:
    edit(*change)
    found = load(SOLVER).divergence_limit
    assert found is None if limit is None else found == pytest.approx(limit)


def test_comparison_shows_changed_values_and_ignores_paths() -> None:
    paths = RunPaths(Path("runs/small/seed7"))
    Path(paths.root).mkdir(parents=True)
    for name, content in load(SOLVER).texts(paths).items():
        (Path(paths.root) / name).write_text(content)
    assert compare.changes(paths, load(SOLVER)) == []
    moved = RunPaths(Path("elsewhere"))
    Path(paths.root).rename("elsewhere")
    assert compare.changes(moved, load(SOLVER)) == []
    edit("std: 0.1", "std: 0.2")
    found = compare.changes(moved, load(SOLVER, {"max_iter": "5", "test_iter": "3"}))
    assert "max_iter 24 -> 5" in found and "test_iter 2 -> 3" in found
    assert any("std: 0.2" in change for change in found)
    assert [compare.is_schedule(change) for change in found].count(False) == 2  # - and + of std


def test_data_of_the_same_content_may_lie_elsewhere() -> None:
    paths = RunPaths(Path("runs/small/seed7"))
    Path(paths.root).mkdir(parents=True)
    for name, content in load(SOLVER).texts(paths).items():
        (Path(paths.root) / name).write_text(content)
    before = checks.require_data(load(SOLVER))
    Path("data").rename("new")
    net = Path("small/train_val.prototxt")
    net.write_text(net.read_text().replace("data/", "new/"))
    prototxt = load(SOLVER)
    moved = compare.moved_data(before, checks.require_data(prototxt))
    assert moved == {f"data/{name}_lmdb": f"new/{name}_lmdb" for name in ("train", "val")}
    assert compare.changes(paths, prototxt, moved) == []
    assert len(compare.changes(paths, prototxt)) == 4
    before[0]["sample"] = "of other images"
    moved = compare.moved_data(before, checks.require_data(prototxt))
    assert len(compare.changes(paths, prototxt, moved)) == 2


def test_a_copy_that_is_no_longer_text_counts_as_a_change() -> None:
    paths = RunPaths(Path("runs/small/seed7"))
    Path(paths.root).mkdir(parents=True)
    paths.solver.write_bytes(b"\xff\x00")
    assert compare.changes(paths, load(SOLVER)) == [f"{paths.solver} cannot be read any more"]


def test_a_deploy_net_that_is_no_prototxt_is_refused_before_training() -> None:
    Path("small/deploy.prototxt").write_bytes(b'name: "n" # a comment in Latin-1: \xe9\n')
    assert load(SOLVER).deploy == 'name: "n"\n'
    Path("small/deploy.prototxt").write_bytes(b"\n\xff\x00")
    with pytest.raises(TinynetError, match="small/deploy.prototxt:2: "):
        load(SOLVER)


def test_data_is_compared_by_digest_when_both_digests_are_known() -> None:
    old = [{"path": "a", "bytes": 5, "digest": "x"}, {"path": "b", "bytes": 5}]
    assert compare.data_changes(old, [{"path": "a", "bytes": 6, "digest": "x"}]) == []
    assert compare.data_changes(old, [{"path": "a", "bytes": 5, "digest": "y"}]) != []
    assert compare.data_changes(old, [{"path": "b", "bytes": 6}]) != []
    # what both know counts, and an entry of an earlier version has no sample
    now = {"path": "a", "bytes": 6, "digest": "x", "sample": "1"}
    assert compare.data_changes(old, [now]) == []
    assert compare.data_changes([now], [{**now, "sample": "2"}]) != []


def test_overrides_do_not_change_the_solver_file() -> None:
    before = SOLVER.read_text()
    load(SOLVER, {"max_iter": "5"})
    assert SOLVER.read_text() == before == small_runs.SOLVER


def test_a_warning_names_weights_of_which_the_net_takes_none(tmp_path: Path) -> None:
    """Caffe then silently trains from random weights."""
    prototxt = load(SOLVER)
    learned = [layer.name for layer in prototxt.train_net.layer if layer.type == "InnerProduct"]
    for names, messages in (
        (["conv99", "fc99"], ["(conv99, fc99): the net takes none of them"]),
        ([learned[0], "fc99"], []),
    ):
        model = schema.NetParameter()
        for name in names:
            model.layer.add(name=name, type="InnerProduct").blobs.add(data=[1.0])
        # without blobs: its name is no reason to be silent
        model.layer.add(name=learned[-1], type="ReLU")
        path = tmp_path / "given.caffemodel"
        binary.write(path, model)
        found = list(checks.weights_warnings(prototxt, path))
        assert len(found) == len(messages) and all(
            part in text for part, text in zip(messages, found)
        )
