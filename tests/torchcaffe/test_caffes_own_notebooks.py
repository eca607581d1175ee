"""The code of Caffe's notebooks prints what it prints with real Caffe.

TINYNET_CAFFE_SOURCE names the folder of Caffe's source.  Nets are narrower than the notebooks',
data are made up and few, and every random number has a seed.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import tinynet.torchcaffe as engine
from tests.children import python
from tests.torchcaffe import notebooks
from tests.torchcaffe.example_nets import replace_narrow_fillers
from tests.torchcaffe.user_scripts import assert_says_the_same, in_real_caffe
from tinynet.caffeformat import schema, text
from tinynet.caffeformat.datum import encode_datum
from tinynet.caffeformat.lmdb import write_store
from tinynet.caffeformat.mean import write_mean

pytestmark = pytest.mark.long


@pytest.fixture
def trees(caffe_source: Path, tmp_path: Path) -> Path:
    """Two folders, ``ours`` and ``real``, with the files of Caffe that the notebooks read."""
    pytest.importorskip("matplotlib")
    for name in ("ours", "real"):
        for folder in ("examples/images", "examples/net_surgery", "examples/finetune_flickr_style"):
            shutil.copytree(caffe_source / folder, tmp_path / name / folder)
        mean = Path("python/caffe/imagenet/ilsvrc_2012_mean.npy")
        (tmp_path / name / mean.parent).mkdir(parents=True)
        shutil.copy(caffe_source / mean, tmp_path / name / mean)
    return tmp_path


def run_both(caffe: str, script: str, trees: Path, where: str) -> str:
    """Run a script in the folder ``where`` of both trees; what it printed here.

    Numbers agree as far as float32 does over a few iterations.
    """
    path = trees / "ours" / where / "notebook.py"
    path.write_text(script)
    command = ("-m", "tinynet", "caffe", "run", path.name)
    ours = python(*command, folder=path.parent, MPLBACKEND="Agg")
    assert ours.returncode == 0, ours.stderr[-4000:]
    beside = trees / "real" / where
    notebooks.write(beside, notebooks.PLOTS)
    real = in_real_caffe(caffe, notebooks.LOAD_IMAGE + script, beside)
    assert_says_the_same(real.out, ours.stdout, 2e-3)
    return ours.stdout


# ------------------------------------------------------------------------------------- CaffeNet


def narrower(net: str) -> str:
    """CaffeNet with few channels, as ``NARROWER`` makes the notebook's own."""
    for wide, few in (("96", "16"), ("256", "32"), ("384", "32"), ("4096", "64")):
        net = net.replace(f"num_output: {wide}\n", f"num_output: {few}\n")
    return net


NARROWER = (
    ("11, 96,", "11, 16,"),
    ("5, 256,", "5, 32,"),
    ("3, 384,", "3, 32,"),
    ("3, 256,", "3, 32,"),
    ("4096", "64"),
)


def write_caffenet(caffe_source: Path, trees: Path) -> None:
    """CaffeNet, narrower, with weights drawn so that classes differ, and names of its classes."""
    folder = "models/bvlc_reference_caffenet"
    path = trees / "ours" / folder / "deploy.prototxt"
    path.parent.mkdir(parents=True)
    path.write_text(narrower((caffe_source / folder / "deploy.prototxt").read_text()))
    net = text.parse(path.read_text(), schema.NetParameter, str(path))
    replace_narrow_fillers(net)
    drawn = trees / "drawn.prototxt"
    drawn.write_text(text.format(net))
    engine.set_random_seed(3)
    made = engine.Net(str(drawn), engine.TEST)
    made.params["fc8"][0].data[...] *= 5
    made.save(str(path.parent / "bvlc_reference_caffenet.caffemodel"))
    shutil.copytree(path.parent, trees / "real" / folder)
    for name in ("ours", "real"):
        (trees / name / "models/finetune_flickr_style").mkdir()
        labels = trees / name / "data/ilsvrc12/synset_words.txt"
        labels.parent.mkdir(parents=True)
        labels.write_text("".join(f"n{i:08d} kind {i}\n" for i in range(1000)))


def test_classification(caffe_source: Path, trees: Path, caffe_python: str) -> None:
    write_caffenet(caffe_source, trees)
    for name in ("ours", "real"):
        shutil.copy(
            caffe_source / "examples/images/fish-bike.jpg", trees / name / "examples/image.jpg"
        )
    patches = (
        ("50,        # batch size", "2,"),
        ("zip('BGR', mu)", "list(zip('BGR', mu.tolist()))"),
        (
            "zip(output_prob[top_inds], labels[top_inds])",
            "print(list(zip(output_prob[top_inds].tolist(), labels[top_inds].tolist())))",
        ),
    )
    script = notebooks.script(caffe_source / "examples/00-classification.ipynb", patches)
    outputs = run_both(caffe_python, script, trees, "examples")
    assert "CaffeNet found." in outputs and "fc8\t(1000, 64) (1000,)" in outputs
    assert outputs.count("probabilities and labels:") == 2


def test_net_surgery(caffe_source: Path, trees: Path, caffe_python: str) -> None:
    write_caffenet(caffe_source, trees)
    for name in ("ours", "real"):
        path = trees / name / "examples/net_surgery/bvlc_caffenet_full_conv.prototxt"
        path.write_text(narrower(path.read_text()))
    first = "net = caffe.Net('net_surgery/conv.prototxt', caffe.TEST)"
    patches = (
        (first, f"caffe.set_random_seed(1)\n{first}"),
        ("plt.tight_layout()", "print(i, float(net.blobs['conv'].data[0, i].std()))"),
    )
    script = notebooks.script(caffe_source / "examples/net_surgery.ipynb", patches)
    outputs = run_both(caffe_python, script, trees, "examples")
    assert "post-surgery output mean" in outputs and "fc6-conv weights are" in outputs


def write_styles(trees: Path) -> None:
    """Lists of images of five styles and their mean, under data/."""
    from PIL import Image

    draw = np.random.RandomState(5)
    for name in ("ours", "real"):
        (trees / name / "data/flickr_style").mkdir(parents=True)
    images = []
    for number in range(20):
        coarse = draw.randint(0, 256, (6, 7, 3)).astype(np.uint8)
        image = Image.fromarray(coarse).resize((290 + number, 270), Image.Resampling.BICUBIC)
        images.append(trees / f"{number}.png")
        image.save(images[-1])
    mean = np.full((3, 256, 256), 110, np.float32) + draw.rand(3, 1, 1).astype(np.float32)
    for name in ("ours", "real"):
        write_mean(mean, trees / name / "data/ilsvrc12/imagenet_mean.binaryproto")
        for subset, part in (("train", images[:12]), ("test", images[8:])):
            lines = [f"{path} {int(path.stem) % 5}\n" for path in part]
            (trees / name / f"data/flickr_style/{subset}.txt").write_text("".join(lines))


def test_fine_tuning(caffe_source: Path, trees: Path, caffe_python: str) -> None:
    write_caffenet(caffe_source, trees)
    write_styles(trees)
    patches = (
        *NARROWER,
        (
            "list(np.loadtxt(style_label_file, str, delimiter='\\n'))",
            "open(style_label_file).read().splitlines()",
        ),
        (
            "print '\\n'.join('\\t(%d) %5.2f%% %s' % (i+1, 100*probs[p], labels[p])\n"
            "                    for i, p in enumerate(top_k))",
            "for i, p in enumerate(top_k): print(i+1, 100*probs[p], labels[p])",
        ),
        ("s.iter_size = 1\n", "s.iter_size = 1\n    s.random_seed = 9\n"),
        ("batch_size=50", "batch_size=9"),
        ("niter = 200", "niter = 5"),
        ("disp_interval=10", "disp_interval=2"),
        ("test_iters=10", "test_iters=2"),
    )
    more = "print(train_loss.tolist(), scratch_train_loss.tolist(), train_acc.tolist())"
    script = notebooks.script(caffe_source / "examples/02-fine-tuning.ipynb", patches, more)
    outputs = run_both(caffe_python, script, trees, "examples")
    assert (
        outputs.count("pretrained: loss=") == 3 and outputs.count("Accuracy, finetuned from") == 2
    )


# ------------------------------------------------------------------------------ digits and points


def write_digits(folder: Path, count: int) -> None:
    """Two LMDBs of made-up digits, a pattern for each and noise over it."""
    draw = np.random.RandomState(2)
    patterns = draw.randint(0, 160, (10, 1, 28, 28))
    for name in ("train", "test"):
        digits = draw.randint(0, 10, count)
        images = (patterns[digits] + draw.randint(0, 90, (count, 1, 28, 28))).astype(np.uint8)
        records = (
            (b"%08d" % i, encode_datum(image, int(digit)))
            for i, (image, digit) in enumerate(zip(images, digits))
        )
        write_store(folder / f"mnist_{name}_lmdb", records)


def test_learning_lenet(caffe_source: Path, trees: Path, caffe_python: str) -> None:
    for name in ("ours", "real"):
        folder = trees / name / "examples/mnist"
        folder.mkdir()
        solver = (caffe_source / "examples/mnist/lenet_auto_solver.prototxt").read_text()
        (folder / "lenet_auto_solver.prototxt").write_text(
            solver.replace("test_iter: 100", "test_iter: 3")
        )
        write_digits(folder, 150)
    made = "solver = caffe.SGDSolver('mnist/lenet_auto_solver.prototxt')"
    shapes = "[(k, v.data.shape) for k, v in solver.net.blobs.items()]"
    sizes = "[(k, v[0].data.shape) for k, v in solver.net.params.items()]"
    more = "print(train_loss.tolist(), test_acc.tolist())"
    patches = (
        (made, f"caffe.set_random_seed(8)\n{made}"),
        (shapes, f"print({shapes})"),
        (sizes, f"print({sizes})"),
        ("niter = 200", "niter = 12"),
        ("test_interval = 25\n", "test_interval = 4\n"),
        ("niter = 250", f"{more}\nprint(output[-1].tolist())\nniter = 20"),
        ("niter / 10", "niter // 10"),
        ("range(100)", "range(3)"),
        ("append(100)", "append(3)"),
        ("1e4", "3e2"),
    )
    script = notebooks.script(caffe_source / "examples/01-learning-lenet.ipynb", patches, more)
    outputs = run_both(caffe_python, script, trees, "examples")
    assert "train labels:" in outputs and outputs.count("testing...") == 3 + 10


def test_siamese(caffe_source: Path, trees: Path, caffe_python: str) -> None:
    draw = np.random.RandomState(3)
    model = caffe_source / "examples/siamese/mnist_siamese.prototxt"
    net = text.parse(model.read_text(), schema.NetParameter, str(model))
    replace_narrow_fillers(net)
    (trees / "drawn.prototxt").write_text(text.format(net))
    engine.set_random_seed(3)
    made = engine.Net(str(trees / "drawn.prototxt"), engine.TEST)
    pixels, labels = draw.bytes(16 + 150 * 28 * 28), bytes(8) + bytes(i % 10 for i in range(150))
    for name in ("ours", "real"):
        folder, mnist = trees / name / "examples/siamese", trees / name / "data/mnist"
        folder.mkdir()
        mnist.mkdir(parents=True)
        shutil.copy(model, folder)
        made.save(str(folder / "mnist_siamese_iter_50000.caffemodel"))
        (mnist / "t10k-images-idx3-ubyte").write_bytes(pixels)
        (mnist / "t10k-labels-idx1-ubyte").write_bytes(labels)
    script = notebooks.script(
        caffe_source / "examples/siamese/mnist_siamese.ipynb",
        [("n = 10000", "n = 150")],
        "print(feat.shape, feat.tolist())",
    )
    assert "(150, 2)" in run_both(caffe_python, script, trees, "examples/siamese")


def test_logistic_regression(caffe_source: Path, trees: Path, caffe_python: str) -> None:
    pytest.importorskip("h5py")
    for name in ("ours", "real"):
        notebooks.write(trees / name / "examples", notebooks.LEARNING)
        (trees / name / "examples/hdf5_classification").mkdir()
    written = trees / "ours/examples/hdf5_classification/data"
    hdf5 = f"FOLDER = {str(written)!r}\n{notebooks.HDF5}"
    notebooks.write(trees / "real/examples", {"h5py.py": hdf5})
    patches = (
        ("n_samples=10000", "n_samples=2000"),
        ("s.test_interval = 1000", "s.test_interval = 200"),
        ("test_iter.append(250)", "test_iter.append(50)"),
        ("s.max_iter = 10000", "s.random_seed = 4; s.max_iter = 600"),
        ("s.stepsize = 5000", "s.stepsize = 300"),
        ("s.display = 1000", "s.display = 200"),
        ("shutil.rmtree(dirname)", ""),  # the other engine's run copies from it
        (
            'print("Accuracy: {:.3f}".format(accuracy))',
            'print("Accuracy: {:.3f}".format(accuracy)); '
            "print(solver.net.params['ip1'][0].data.tolist(), solver.net.blobs['loss'].data)",
        ),
    )
    script = notebooks.script(caffe_source / "examples/brewing-logreg.ipynb", patches)
    outputs = run_both(caffe_python, script, trees, "examples")
    assert outputs.count("Accuracy: ") == 3
