"""caffe.io: messages and arrays, resizing, oversampling."""

import caffe
import numpy as np

io = caffe.io
proto = caffe.proto.caffe_pb2
draw = np.random.RandomState(2)
pixels = draw.randint(0, 256, (3, 4, 5)).astype(np.uint8)
datum = io.array_to_datum(pixels, 7)
print(datum.channels, datum.height, datum.width, datum.label, len(datum.data))
back = io.datum_to_array(datum)
print(back.dtype, back.shape, bool((back == pixels).all()))
datum = io.array_to_datum(draw.randn(1, 2, 2))
print(datum.HasField("label"), list(datum.float_data), io.datum_to_array(datum).tolist())

values = draw.randn(2, 3)
blob = io.array_to_blobproto(values, diff=2 * values)
print(list(blob.shape.dim), io.blobproto_to_array(blob).tolist())
print(io.blobproto_to_array(blob, True).tolist(), io.blobproto_to_array(blob).dtype)
legacy = proto.BlobProto(num=1, channels=2, height=3, width=1, data=list(range(6)))
print(io.blobproto_to_array(legacy).shape)
text = io.arraylist_to_blobprotovector_str([values, values[0]])
print([array.shape for array in io.blobprotovector_str_to_arraylist(text)])

image = draw.rand(11, 9, 3).astype(np.float32)
for size in ((22, 18), (11, 9), (5, 4), (3, 9), (11, 20), (1, 1)):
    print(size, io.resize_image(image, size).tolist())
print(io.resize_image(image[:, :, :1], (7, 5)).tolist())
print(io.resize_image(image, (7, 5), interp_order=0).tolist())
print(io.resize_image(image, (9, 4), interp_order=3).tolist())
print(io.resize_image(draw.rand(6, 7, 4), (9, 5)).tolist())
print(io.resize_image(draw.rand(6, 7, 4), (4, 9), interp_order=2).tolist())
# here scipy's rounding puts the last row beyond the image
print(io.resize_image(draw.rand(256, 3, 2), (227, 3))[-2:].tolist())
flat = io.resize_image(np.full((4, 4, 3), 0.3), (6, 2))
print(flat.shape, flat.dtype, float(flat.min()), float(flat.max()))

for crop in ((6, 6), (7, 4), (11, 9)):
    crops = io.oversample([image, 1 - image], crop)
    print(crop, crops.shape, crops.dtype, crops.sum(axis=(1, 2, 3)).tolist())
    print(crops[4].tolist())

transformer = io.Transformer({"data": (1, 3, 11, 9)})
transformer.set_mean("data", draw.rand(3, 6, 7))
print(transformer.mean["data"][:, ::4, ::4].tolist())
for wrong in (np.zeros(2), np.zeros((1, 1, 1, 1))):
    try:
        transformer.set_mean("data", wrong)
    except ValueError:
        print("ValueError")
for call in (
    lambda: transformer.set_transpose("data", (1, 0)),
    lambda: transformer.set_channel_swap("data", (1, 0)),
    lambda: transformer.preprocess("other", image),
):
    try:
        call()
    except Exception:
        print("refused")
