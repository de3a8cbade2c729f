"""scikit-learn's digits in MNIST's form."""

from __future__ import annotations

import numpy as np

from digits_edge.runtime import Recognizer
from digits_edge.trainer.foreign import foreign_digits


def test_all_of_them_in_the_place_and_size_of_mnist() -> None:
    from sklearn.datasets import load_digits

    digits = foreign_digits()
    assert len(digits) == 1797
    np.testing.assert_array_equal(digits.labels, load_digits().target)
    rows, columns = np.mgrid[:28, :28].astype(float)
    for image in digits.images:
        inked = np.argwhere(image > 0)
        assert (np.ptp(inked, axis=0) + 1).max() in (19, 20)  # a border's faintest ink may round to paper
        for place in (rows, columns):
            assert abs((image * place).sum() / image.sum() - 14) <= 0.51
    # 16 of 16 is full ink; a cubic reaches it in about the middle of a stroke.
    assert np.median(digits.images.max(axis=(1, 2))) == 255


def test_a_network_trained_on_mnist_reads_them() -> None:
    digits = foreign_digits()
    with Recognizer.load(workers=1) as recognizer:
        right = recognizer.predict(digits.images).labels == digits.labels
    assert right.mean() > 0.9
