"""Building a net: its prototxt rewritten as Caffe does, its layers made and connected."""
