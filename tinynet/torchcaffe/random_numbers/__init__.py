"""Caffe's random numbers, bit for bit."""
