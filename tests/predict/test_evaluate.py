"""Evaluations against the training log, and against real Caffe on the same weights."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import run_python
from tests.predict import small_run
from tinynet.caffeformat.datum import encode_datum
from tinynet.caffeformat.lmdb import open_store, write_store
from tinynet.dataset.manifest import read_manifest, write_manifest
from tinynet.errors import TinynetError
from tinynet.predict import evaluate as module
from tinynet.predict.evaluate import EvaluationRequest, evaluate, obtain, stored
from tinynet.predict.inputs import newest_weights, weights_file
from tinynet.predict.metrics import score
from tinynet.predict.probabilities import Probabilities, read_probabilities, write_probabilities
from tinynet.run.log import read_history
from tinynet.run.paths import RunPaths

CAFFE_CLASSIFIER = """
import sys
import numpy as np
import caffe
deploy, weights, val, mean, out = sys.argv[1:]
arrays = np.load(val)
net = caffe.Classifier(deploy, weights, image_dims=arrays["pixels"].shape[2:],
                       mean=np.array([float(m) for m in mean.split()]), raw_scale=255,
                       channel_swap=(2, 1, 0))
# as in a user's script: H x W x RGB, 0 to 1
images = arrays["pixels"].transpose(0, 2, 3, 1)[..., ::-1].astype(np.float32) / 255
np.savez(out, ten=net.predict(list(images), oversample=True),
         one=net.predict(list(images), oversample=False))
"""
CAFFE_DATA_LAYER = """
import sys
import numpy as np
import caffe
net = caffe.Net(sys.argv[1], sys.argv[2], caffe.TEST)
batches = []
for _ in range(2):
    net.forward()
    batches.append(net.blobs["fc2"].data.copy())
scores = np.concatenate(batches)
scores = np.exp(scores - scores.max(1, keepdims=True))
np.save(sys.argv[3], scores / scores.sum(1, keepdims=True))
"""


@pytest.fixture(scope="module")
def evaluated_once(trained: RunPaths, tmp_path_factory: pytest.TempPathFactory) -> RunPaths:
    run = small_run.copy(trained, tmp_path_factory.mktemp("evaluated") / "run")
    evaluate(EvaluationRequest(run.root, cpu=True))
    return run


@pytest.fixture
def evaluated(evaluated_once: RunPaths, tmp_path: Path) -> RunPaths:
    """A copy of the trained run with its one-crop probabilities of the val split."""
    return small_run.copy(evaluated_once, tmp_path / "run")


@pytest.fixture(scope="module")
def trained_on_whole_images(data: Path, tmp_path_factory: pytest.TempPathFactory) -> RunPaths:
    """A run whose nets subtract a mean image and do not crop; tests that change it must copy it."""
    folder = tmp_path_factory.mktemp("whole_images")
    return small_run.train(folder, data, transform=scaled_from_mean_image(folder), crop=0)


@pytest.fixture(scope="module")
def by_caffe_classifier(
    caffe_python: str, trained: RunPaths, data: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, np.ndarray]:
    """Probabilities from caffe.Classifier on the val split, with one crop and with ten."""
    folder = tmp_path_factory.mktemp("classifier")
    np.savez(folder / "val.npz", pixels=pixels_of(data, "val", folder))
    (folder / "classify.py").write_text(CAFFE_CLASSIFIER)
    weights, _ = newest_weights(trained)
    assert weights is not None
    inputs = (trained.deploy, weights.path, folder / "val.npz", "101.5 110 127.25")
    run_python(caffe_python, folder / "classify.py", *inputs, folder / "out.npz")
    return dict(np.load(folder / "out.npz"))


def scaled_from_mean_image(folder: Path) -> str:
    mean = small_run.write_mean_image(folder / "mean.binaryproto")
    return f'mean_file: "{mean}" scale: 0.125'


def pixels_of(data: Path, split: str, folder: Path) -> np.ndarray:
    images = module.inputs.find_images(small_run.write_nets(folder / "nets", data), split)
    raw = b"".join(pixels for pixels, _ in images.records())
    return np.frombuffer(raw, np.uint8).reshape(-1, *images.shape)


def test_one_crop_scores_equal_the_last_test_of_the_training_log(run):
    last = [record for record in read_history(run.history) if "val_accuracy" in record][-1]
    result = evaluate(EvaluationRequest(run.root, cpu=True))
    metrics = score(result.probabilities, result.labels)
    assert last["iteration"] == result.iteration == 40
    assert metrics.top1 == pytest.approx(last["val_accuracy"], abs=1e-9)
    assert metrics.top5 == pytest.approx(last["val_accuracy_top5"], abs=1e-9)
    assert metrics.loss == pytest.approx(last["val_loss"], rel=1e-5)
    assert 0.25 < metrics.top1 < 1  # better than chance and not perfect
    assert run.probabilities("val") == run.root / "val.npz"
    kept = read_probabilities(run.root / "val.npz")
    np.testing.assert_array_equal(kept.probabilities, result.probabilities)


@pytest.mark.parametrize("engine", ["torch", "caffe"])
def test_ten_crops_agree_with_caffe_classifier(engine, run, by_caffe_classifier, caffe_python):
    theirs = by_caffe_classifier
    for oversample, key in ((True, "ten"), (False, "one")):
        request = EvaluationRequest(
            run.root, "val", oversample, engine, caffe_python, cpu=True, batch_size=70
        )
        ours = evaluate(request)
        assert ours.views == (10 if oversample else 1)
        np.testing.assert_allclose(ours.probabilities, theirs[key], atol=1e-5)
    assert (
        np.abs(theirs["ten"] - theirs["one"]).max() > 1e-3
    )  # so the order of crops and the mean matter


def test_stored_results_of_another_precision_are_not_reused(evaluated):
    run = evaluated
    exact = stored(EvaluationRequest(run.root, cpu=True))
    assert len(exact.engine.split(" ")) == 2
    messages: list[str] = []
    rounded = obtain(EvaluationRequest(run.root, cpu=True, precision="bf16"), messages.append)
    assert any("precision; computing it again" in line for line in messages)
    assert rounded.engine.endswith(" bf16")
    assert stored(EvaluationRequest(run.root, cpu=True)) is None
    difference = np.abs(exact.probabilities - rounded.probabilities).max()
    assert 0 < difference < 0.05
    for wrong in ({"precision": "tf32"}, {"precision": "bf16", "engine": "caffe"}):
        with pytest.raises(TinynetError, match="--precision"):
            evaluate(EvaluationRequest(run.root, cpu=True, **wrong))


@pytest.mark.parametrize(
    ("crop", "original"), [(small_run.CROP, "trained"), (0, "trained_on_whole_images")]
)
def test_mean_image_scale_and_crop_agree_with_caffes_data_layer(
    crop, original, data, tmp_path, caffe_python, request
):
    run = small_run.copy(request.getfixturevalue(original), tmp_path / "run")
    if crop:  # it was trained with mean values
        small_run.write_nets(run.root, data, scaled_from_mean_image(tmp_path), crop)
    weights, _ = newest_weights(run)
    (tmp_path / "script.py").write_text(CAFFE_DATA_LAYER)
    arguments = (run.train_val, weights.path, tmp_path / "out.npy")
    run_python(caffe_python, tmp_path / "script.py", *arguments)
    ours = evaluate(EvaluationRequest(run.root, cpu=True))
    np.testing.assert_allclose(ours.probabilities, np.load(tmp_path / "out.npy"), atol=1e-5)


def test_without_a_crop_the_image_and_its_mirror_are_averaged_and_reported_so(
    trained_on_whole_images, tmp_path
):
    run = small_run.copy(trained_on_whole_images, tmp_path / "run")
    messages: list[str] = []
    both = evaluate(EvaluationRequest(run.root, oversample=True, cpu=True), messages.append)
    assert both.views == 2 and both.crop == "oversample"
    assert any("the image and its mirror" in line for line in messages)


def test_test_images_have_no_labels(run):
    test = evaluate(EvaluationRequest(run.root, "test", cpu=True))
    assert (test.labels == -1).all() and len(test.names) == small_run.COUNTS["test"]
    assert test.names[0].startswith("test_")


def test_stored_probabilities_are_reused_while_the_weights_are_the_same(evaluated, monkeypatch):
    run = evaluated
    first = read_probabilities(run.root / "val.npz")

    def never(*_args, **_kwargs):
        raise AssertionError("computed again")

    with monkeypatch.context() as patch:
        patch.setattr(module, "evaluate", never)
        np.testing.assert_array_equal(
            obtain(EvaluationRequest(run.root)).probabilities, first.probabilities
        )
        for request in (
            EvaluationRequest(run.root, oversample=True),
            EvaluationRequest(run.root, "train"),
            EvaluationRequest(run.root, iteration=20),
            EvaluationRequest(run.root, engine="caffe"),
        ):
            with pytest.raises(AssertionError):
                obtain(request)
        write_probabilities(run.root / "val.npz", dataclasses.replace(first, model_sha256="00"))
        with pytest.raises(AssertionError):
            obtain(EvaluationRequest(run.root))
    shutil.rmtree(run.snapshots)
    assert obtain(EvaluationRequest(run.root)).iteration == 40  # nothing is left to compare with


def test_stored_probabilities_are_not_reused_for_other_data(evaluated, data, tmp_path):
    run = evaluated
    first = read_probabilities(run.root / "val.npz")
    same = shutil.copytree(data, tmp_path / "moved")
    assert stored(EvaluationRequest(run.root, data=same)).names.tolist() == first.names.tolist()
    other = small_run.write_data(tmp_path / "other")
    manifest = read_manifest(other)
    names = {**manifest.names, "val": [f"other_{name}" for name in manifest.names["val"]]}
    write_manifest(dataclasses.replace(manifest, names=names), other)
    assert stored(EvaluationRequest(run.root, data=other)) is None
    assert obtain(EvaluationRequest(run.root, cpu=True, data=other)).names[0].startswith("other_")
    # nor are those of the other data reused for the run's own data, if that is available
    assert stored(EvaluationRequest(run.root)) is None


def test_a_torn_newest_snapshot_is_passed_over_with_a_message(run):
    newest = run.snapshots / "snapshot_iter_40.caffemodel"
    newest.write_bytes(newest.read_bytes()[:-200])
    weights, reasons = newest_weights(run)
    assert weights.iteration == 20
    assert len(reasons) == 1 and "snapshot_iter_40" in reasons[0]


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda run: shutil.rmtree(run.snapshots), "holds no whole .caffemodel; train the run"),
        (lambda run: run.deploy.unlink(), "deploy.prototxt: no such file"),
        (lambda run: replace(run.deploy, '"fc2"', '"fc9"'), "no weights for the layers fc9"),
        (lambda run: replace(run.deploy, "dim: 12", "dim: 14"), "layer 'fc2'"),
        (lambda run: replace(run.train_val, "crop_size: 12", "crop_size: 9"), "12x12, but"),
        (lambda run: replace(run.deploy, "num_output: 6", "num_output: 5"), "fc2"),
        (lambda run: replace(run.train_val, "val_lmdb", "absent_lmdb"), "--data DIR"),
    ],
)
def test_each_obstacle_to_an_evaluation_is_reported_in_one_line(run, damage, says):
    damage(run)
    with pytest.raises(TinynetError) as caught:
        evaluate(EvaluationRequest(run.root, cpu=True))
    assert says in str(caught.value) and "\n" not in str(caught.value)
    assert not list(run.root.glob("*.npz*"))


def test_a_net_with_another_number_of_classes_than_the_data_is_refused(run, tmp_path):
    data = small_run.write_data(tmp_path / "lmdb", classes=5)
    with pytest.raises(TinynetError, match="has 6 outputs, but .* has 5 classes"):
        evaluate(EvaluationRequest(run.root, cpu=True, data=data))


def test_a_cpu_only_caffe_asked_for_a_gpu_is_refused_in_one_line(run, caffe_python):
    with pytest.raises(TinynetError, match="CPU only") as caught:
        evaluate(EvaluationRequest(run.root, engine="caffe", caffe_python=caffe_python, gpu=0))
    assert "\n" not in str(caught.value)


def test_a_missing_iteration_and_a_solverstate_given_as_weights_are_refused_by_name(run):
    with pytest.raises(TinynetError, match="of iteration 30"):
        evaluate(EvaluationRequest(run.root, iteration=30))
    with pytest.raises(TinynetError, match="solver's state"):
        weights_file(run.snapshots / "snapshot_iter_40.solverstate")


def test_data_that_moved_is_found_with_the_data_option(run, data):
    replace(run.train_val, str(data), "no/such/folder")
    result: Probabilities = evaluate(EvaluationRequest(run.root, cpu=True, data=data))
    assert len(result.names) == small_run.COUNTS["val"]


def test_progress_counts_every_training_image(run):
    steps: list[tuple[int, int]] = []
    request = EvaluationRequest(run.root, "train", cpu=True)
    whole = evaluate(request, progress=lambda *step: steps.append(step))
    assert len(whole.names) == small_run.COUNTS["train"] and whole.labelled
    assert sum(more for more, _ in steps) == len(whole.names) == steps[-1][1]


OF_8_BY_8 = encode_datum(np.zeros((3, 8, 8), np.uint8), 0)
OF_CLASS_6 = encode_datum(np.zeros((3, 16, 16), np.uint8), 6)


@pytest.mark.parametrize(
    ("engine", "datum", "says"),
    [
        ("torch", OF_8_BY_8, "record 3 is uint8 3x8x8, not uint8"),
        ("torch", OF_CLASS_6, "record 3 has the label 6, but there"),
        ("torch", b"no datum", "not a Caffe Datum"),
        # for real Caffe this process reads the records, by the same function as the worker
        ("caffe", OF_8_BY_8, "record 3 is uint8 3x8x8, not uint8"),
    ],
)
def test_a_record_of_another_shape_is_refused_by_name_in_one_line(
    engine, datum, says, run, data, tmp_path, caffe_python
):
    other = shutil.copytree(data, tmp_path / "lmdb")
    with open_store(other / "val_lmdb") as store:
        records = list(store.records())
    shutil.rmtree(other / "val_lmdb")
    write_store(other / "val_lmdb", [*records[:3], (records[3][0], datum), *records[4:]])
    with pytest.raises(TinynetError) as caught:
        evaluate(
            EvaluationRequest(run.root, "val", False, engine, caffe_python, cpu=True, data=other)
        )
    assert says in str(caught.value) and "\n" not in str(caught.value)
    assert not list(run.root.glob("*.npz*"))


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
