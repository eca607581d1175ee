"""Engines: which there are, their devices, and the worker processes that run inside them."""
