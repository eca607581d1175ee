"""Layers of forks of Caffe, defined outside of the package, as an example and as a test.

``messages.PROTO`` declares their parameters; importing the other modules registers them.  An
installed package would name both in its entry points (see test_outside_layers.py).
"""
