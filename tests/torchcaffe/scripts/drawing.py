"""caffe.draw: labels, colours and the graph of a net, in each direction and phase."""

import caffe
import caffe.draw
from caffe.proto import caffe_pb2
from google.protobuf import text_format

NET = """
name: "drawn"
layer { name: "data" type: "Data" top: "data" top: "label" include { phase: TRAIN }
  data_param { source: "x" batch_size: 7 } }
layer { name: "data" type: "Data" top: "data" top: "label" include { phase: TEST }
  data_param { source: "y" batch_size: 9 } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv" param { lr_mult: 2 }
  convolution_param { num_output: 4 kernel_size: 5 stride: 2 pad: 1 } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "up" type: "Deconvolution" bottom: "conv" top: "up"
  convolution_param { num_output: 3 } }
layer { name: "pool" type: "Pooling" bottom: "up" top: "pool"
  pooling_param { pool: AVE kernel_size: 2 stride: 2 } }
layer { name: "fc" type: "InnerProduct" bottom: "pool" top: "fc"
  param { lr_mult: 0 } param { lr_mult: 0.5 } inner_product_param { num_output: 10 } }
layer { name: "acc" type: "Accuracy" bottom: "fc" bottom: "label" top: "acc"
  exclude { phase: TRAIN } }
"""
net = caffe_pb2.NetParameter()
text_format.Merge(NET, net)
print(sorted(caffe.draw.get_pooling_types_dict().items()))
for layer in net.layer:
    print(layer.name, caffe.draw.get_edge_label(layer))
    print(caffe.draw.choose_color_by_layertype(layer.type))
    for rankdir in ("TB", "LR"):
        print(caffe.draw.get_layer_label(layer, rankdir))
        print(caffe.draw.get_layer_label(layer, rankdir, display_lrm=True))
    try:
        print(caffe.draw.get_layer_lr_mult(layer))
    except ValueError:
        print("no learning rate")
for phase in (None, caffe.TRAIN, caffe.TEST):
    for said in caffe.draw.get_pydot_graph(net, "LR", phase=phase).said:
        if "fillcolor" not in str(said):
            print(said)
for said in caffe.draw.get_pydot_graph(net, "TB", label_edges=False, display_lrm=True).said:
    print(said[0], said[-1] if isinstance(said[-1], str) else "")
