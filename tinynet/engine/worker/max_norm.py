"""The max-norm constraint (Srivastava et al. 2014, section 5.1), which Caffe's solvers lack.

After every update each unit's incoming weights, a row of the num_output x K matrix of a Convolution
or InnerProduct layer, are scaled back to the norm C if theirs is larger.  Biases stay.
"""

TYPES = ("Convolution", "InnerProduct")
# float32 rounds the norm of a scaled row by up to 2e-7; without this tolerance a second call would
# scale the row again, and a resumed run would differ from an unbroken one
TOLERANCE = 5e-7


def weights(net):
    """The weight blobs that are constrained, in the order of the layers."""
    return [
        net.params[name][0]
        for name, layer in zip(net._layer_names, net.layers)
        if layer.type in TYPES and name in net.params
    ]


def limit(net, largest):
    """Scale back every row of weights whose norm is above ``largest``; leave the others as is."""
    import numpy  # here: without numpy the worker must still start and report what is missing

    for blob in weights(net):
        rows = blob.data.reshape(len(blob.data), -1)  # a view of the blob's own memory
        norms = numpy.sqrt(numpy.einsum("ij,ij->i", rows, rows, dtype="float64"))
        # a NaN norm compares false: such rows stay, and the check for divergence finds them
        with numpy.errstate(invalid="ignore"):  # 0 x inf is NaN, as it should be
            for row in numpy.nonzero(norms > largest * (1 + TOLERANCE))[0]:
                rows[row] *= numpy.float32(largest / norms[row])
