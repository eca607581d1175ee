"""Classification: Transformer and Net by hand, then Classifier with one crop and with ten."""

import caffe
import numpy as np

caffe.set_mode_cpu()
caffe.set_random_seed(4)
DEPLOY = """
name: "small"
input: "data" input_shape { dim: 4 dim: 3 dim: 12 dim: 12 }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 6 kernel_size: 3 weight_filler { type: "gaussian" std: 0.05 } } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "pool" type: "Pooling" bottom: "conv" top: "pool"
  pooling_param { pool: MAX kernel_size: 2 stride: 2 } }
layer { name: "fc" type: "InnerProduct" bottom: "pool" top: "fc"
  inner_product_param { num_output: 5 weight_filler { type: "xavier" } } }
layer { name: "prob" type: "Softmax" bottom: "fc" top: "prob" }
"""
with open("deploy.prototxt", "w") as file:
    file.write(DEPLOY)
caffe.Net("deploy.prototxt", caffe.TEST).save("small.caffemodel")

net = caffe.Net("deploy.prototxt", caffe.TEST, weights="small.caffemodel")
print(net.inputs, net.outputs, list(net.blobs), list(net.params))
draw = np.random.RandomState(0)
images = [draw.rand(16, 20, 3).astype(np.float32) for _ in range(3)]

transformer = caffe.io.Transformer({"data": net.blobs["data"].data.shape})
transformer.set_transpose("data", (2, 0, 1))
transformer.set_mean("data", np.array([104.0, 117.0, 123.0]))
transformer.set_raw_scale("data", 255)
transformer.set_channel_swap("data", (2, 1, 0))
transformer.set_input_scale("data", 0.02)
for i, image in enumerate(images):
    net.blobs["data"].data[i, ...] = transformer.preprocess("data", image)
out = net.forward()
print(out["prob"][:3].tolist())
back = transformer.deprocess("data", net.blobs["data"].data[1])
print(back.shape, back.dtype, back[::5, ::5, 0].tolist())

for image_dims in (None, (14, 14), (15, 13)):
    classifier = caffe.Classifier(
        "deploy.prototxt",
        "small.caffemodel",
        image_dims=image_dims,
        mean=np.array([104.0, 117.0, 123.0]),
        raw_scale=255,
        channel_swap=(2, 1, 0),
    )
    for oversample in (True, False):
        found = classifier.predict(images, oversample=oversample)
        print(image_dims, oversample, found.shape, found.dtype, found.tolist())

mean = draw.rand(3, 16, 16) * 200
classifier = caffe.Classifier("deploy.prototxt", "small.caffemodel", mean=mean, input_scale=0.5)
print(classifier.transformer.mean["data"][:, ::6, ::6].tolist())
print(classifier.predict(images).tolist())

detector = caffe.Detector("deploy.prototxt", "small.caffemodel", raw_scale=255)
print(detector.crop(images[0], np.array([2, 3, 9, 12])).sum())
