"""Runs in an engine's interpreter, written against pycaffe's API (Python 3.6, numpy)."""
