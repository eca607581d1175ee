"""Code that only makes the engine faster: without it every result is the same, up to rounding.

The engine reaches it through ``acceleration.py`` and imports nothing from here.
"""
