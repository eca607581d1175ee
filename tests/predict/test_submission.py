"""The submission file, against the format that the Tiny ImageNet server takes."""

from __future__ import annotations

import numpy as np

from tests.predict.test_probabilities import some
from tinynet.predict.submission import submission


def test_lines_name_the_most_probable_wnid_in_the_order_of_the_numbers():
    p = np.array([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7]], np.float32)
    value = some(
        count=3,
        classes=2,
        probabilities=p,
        names=np.array(["test_10.JPEG", "test_2.JPEG", "test_0.JPEG"]),
        wnids=np.array(["n02124075", "n01443537"]),
        labels=np.full(3, -1),
    )
    value.check()
    assert submission(value) == (
        "test_0.JPEG n01443537\ntest_2.JPEG n02124075\ntest_10.JPEG n01443537\n"
    )
