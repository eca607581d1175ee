"""tinynet: the Tiny ImageNet dissection experiment, in Caffe's own files and semantics.

In a notebook::

    import tinynet

    tinynet.convert("tiny-imagenet-200.zip", "data/lmdb")
    tinynet.generate(1, data="data/lmdb")
    run = tinynet.train(1, on_record=print)
    tinynet.evaluate(run, oversample=True)
    run.curves()
"""

__version__ = "1.0.0"

# names from tinynet.api, which is imported only when one of them is used: a worker imports this
# package under real Caffe's interpreter, where little else is installed
__all__ = [
    "Evaluation",
    "Run",
    "convert",
    "ensemble",
    "evaluate",
    "figure",
    "generate",
    "load_run",
    "stages",
    "synthesize",
    "train",
    "variants",
]


def __getattr__(name):  # type: ignore[no-untyped-def]
    if name not in __all__:
        raise AttributeError("module 'tinynet' has no attribute '" + name + "'")
    import importlib

    return getattr(importlib.import_module("tinynet.api"), name)


def __dir__():  # type: ignore[no-untyped-def]
    return sorted([*globals(), *__all__])
