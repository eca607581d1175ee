"""Caffe's shape rules: what each layer type makes of its bottoms, and the parameters it holds.

A rule takes (layer, shapes of the bottoms, shape of a record's image) and returns the shapes of
the tops and of the parameters, and the multiply-adds of a forward pass.  It raises ValueError where
Caffe would abort.  ``RULES`` finds a rule by layer type.

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
