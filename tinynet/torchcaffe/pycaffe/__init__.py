"""pycaffe's own face over the engine: what Caffe writes in Python or in its command line.

The engine (net, solver, layers) imports nothing from here.
"""
