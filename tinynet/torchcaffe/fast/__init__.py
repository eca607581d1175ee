"""What only makes the engine faster: without it every result is the same, up to rounding.

``acceleration.py`` is the way in; the engine imports nothing from here.
"""
