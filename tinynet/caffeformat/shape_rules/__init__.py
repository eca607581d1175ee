"""Caffe's shape rules: the shapes of each layer type's tops and parameters.

A rule takes (layer, shapes of the bottoms, shape of a record's image) and returns the shapes of
the tops and of the parameters, and the multiply-adds of a forward pass.  It raises ValueError where
Caffe would abort.  ``RULES`` has the rules by layer type.

Source: Reshape and LayerSetUp of the layers in Caffe's src/caffe/layers/.
"""

from tinynet.caffeformat.shape_rules import cuts, data, elementwise, measures, products, windows
from tinynet.caffeformat.shape_rules.rule import RULES, Result, Shape

__all__ = [
    "RULES",
    "Result",
    "Shape",
    "cuts",
    "data",
    "elementwise",
    "measures",
    "products",
    "windows",
]
