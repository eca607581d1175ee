"""What this engine can do beyond pycaffe: ``caffe.extensions``, absent on real Caffe.

A caller that wants one of these asks ``getattr(caffe, "extensions", None)`` and, where it is None,
keeps to the plain path of pycaffe, whose results are the same.  Each function says what it saves.
"""
