"""tinynet: the Tiny ImageNet dissection experiment, in Caffe's own files and semantics."""

__version__ = "1.0.0"
