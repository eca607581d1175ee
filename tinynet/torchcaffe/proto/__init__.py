"""Caffe's messages, in the module where pycaffe has them: ``caffe.proto.caffe_pb2``."""

from tinynet.torchcaffe.proto import caffe_pb2

__all__ = ["caffe_pb2"]
