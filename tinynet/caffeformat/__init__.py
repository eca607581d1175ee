"""Caffe's files: the schema of its messages, their text and binary forms, and its databases."""
