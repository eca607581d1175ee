"""tinynet: the Tiny ImageNet dissection experiment, in Caffe's own files and semantics."""

__version__ = "0.1.0"
