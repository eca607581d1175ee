"""Loads the engine module and sets its device, in the order that Caffe requires."""

import importlib
import platform

from tinynet.engine.worker import channel
from tinynet.errors import TinynetError


def add_arguments(parser):
    """Add to an argparse parser the options that every worker's engine needs."""
    parser.add_argument("--engine", default="caffe", metavar="MODULE")
    parser.add_argument("--gpu", type=int, metavar="N")
    parser.add_argument("--precision", default="float32", help="other than float32: torch engine")


def load(options):
    """Import the engine named by ``options.engine`` and set its device; return the module.

    On a GPU: ``set_device(N)``, then ``set_mode_gpu()``, both before any net or solver is made.
    (Caffe creates its cuBLAS handle on the device that is current at that time.)
    """
    try:
        caffe = importlib.import_module(options.engine)
    except ImportError as error:
        raise TinynetError("cannot import the engine '%s': %s" % (options.engine, error)) from error
    if not hasattr(caffe, "get_solver"):
        raise TinynetError(
            "the module '%s' at %s is not pycaffe: it has no get_solver"
            % (options.engine, getattr(caffe, "__file__", None) or list(caffe.__path__))
        )
    if hasattr(caffe, "install_as_caffe"):
        caffe.install_as_caffe()  # a net's Python layers import `caffe`
    if options.gpu is None:
        caffe.set_mode_cpu()
    else:
        caffe.set_device(options.gpu)
        caffe.set_mode_gpu()
    extensions = getattr(caffe, "extensions", None)
    gpu_name = {}
    if extensions is not None:
        extensions.set_precision(options.precision)
        if options.gpu is not None:
            gpu_name["gpu_name"] = extensions.device_name()
    elif options.precision != "float32":
        raise TinynetError("real Caffe computes in float32 only; it has no %s" % options.precision)
    channel.emit(
        "engine",
        module=options.engine,
        file=str(getattr(caffe, "__file__", "")),
        version=str(getattr(caffe, "__version__", "")),
        python=platform.python_version(),
        device="cpu" if options.gpu is None else "gpu %d" % options.gpu,
        **gpu_name,
    )
    return caffe
