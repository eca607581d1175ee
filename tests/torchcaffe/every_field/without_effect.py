"""Fields that have no effect on what is computed, and the reason in Caffe.

A field for which this engine logs a warning is not listed: an example shows the warning.
"""

from __future__ import annotations

_ENGINE = "chooses between Caffe's and cuDNN's code, which compute the same"

WITHOUT_EFFECT = {
    "BlobProtoVector.blobs": "no part of Caffe reads this message: it is for others' tools",
    "ConvolutionParameter.engine": _ENGINE,
    "ConvolutionParameter.force_nd_im2col": "chooses the general code, which computes the same",
    "LRNParameter.engine": _ENGINE,
    "PoolingParameter.engine": _ENGINE,
    "ReLUParameter.engine": _ENGINE,
    "SigmoidParameter.engine": _ENGINE,
    "SoftmaxParameter.engine": _ENGINE,
    "SPPParameter.engine": _ENGINE,
    "TanHParameter.engine": _ENGINE,
    "LayerParameter.sigmoid_param": "holds nothing but engine",
    "LayerParameter.tanh_param": "holds nothing but engine",
    "DataParameter.prefetch": "is how many batches are read ahead: the same batches",
    "WindowDataParameter.cache_images": "holds the files in memory: the same images",
    "PythonParameter.share_in_parallel": "no code of Caffe 1.0 reads it",
    "SolverParameter.layer_wise_reduce": "is when several solvers add gradients: the same sums",
}
