"""Corruptions: each does what its name says, to every image differently, and the same again."""

from __future__ import annotations

import numpy as np
import pytest

from digits_edge.runtime import Recognizer
from digits_edge.runtime.errors import InputError
from digits_edge.trainer.corruptions import Corruption, corrupt
from digits_edge.trainer.datasets import Dataset, Split


@pytest.fixture(scope="module")
def digits(mnist: Dataset) -> Split:
    assert mnist.test is not None
    return mnist.test.take(np.arange(300))


def ink(images: np.ndarray) -> np.ndarray:
    """How much each image holds."""
    total: np.ndarray = images.astype(np.float64).sum(axis=(1, 2))
    return total


def spread(images: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Centre of mass, and second moments about it, of each image."""
    weights = images / ink(images)[:, None, None]
    rows, columns = np.mgrid[:28, :28]
    centre = np.stack([(weights * place).sum(axis=(1, 2)) for place in (rows, columns)], axis=1)
    down, right = rows - centre[:, 0, None, None], columns - centre[:, 1, None, None]
    size = np.sqrt((weights * (down**2 + right**2)).sum(axis=(1, 2)))
    lean = (weights * down * right).sum(axis=(1, 2)) / (weights * down**2).sum(axis=(1, 2))
    return centre, size, lean


@pytest.mark.parametrize("corruption", Corruption)
def test_every_image_changes_and_again_in_the_same_way(digits: Split, corruption: Corruption) -> None:
    before = digits.images.copy()
    changed = corrupt(digits.images, corruption, seed=5)
    assert changed.shape == before.shape
    assert changed.dtype == np.uint8
    assert (changed != before).any(axis=(1, 2)).all()
    np.testing.assert_array_equal(digits.images, before)
    np.testing.assert_array_equal(corrupt(digits.images, corruption, seed=5), changed)
    assert (corrupt(digits.images, corruption, seed=6) != changed).any(axis=(1, 2)).mean() > 0.9
    # One and the same digit comes out differently each time.
    copies = corrupt(np.repeat(digits.images[:1], 20, axis=0), corruption, seed=5)
    assert len({image.tobytes() for image in copies}) == 20


@pytest.mark.parametrize("corruption", Corruption)
def test_a_network_that_knows_digits_still_knows_most(digits: Split, corruption: Corruption) -> None:
    with Recognizer.load(workers=1) as recognizer:
        answers = recognizer.predict(corrupt(digits.images, corruption)).labels
    assert (answers == digits.labels).mean() > 0.6


def test_a_shift_moves_two_to_four_pixels(digits: Split) -> None:
    moved = spread(corrupt(digits.images, Corruption.SHIFT))[0] - spread(digits.images)[0]
    way = np.hypot(*moved.T)
    assert np.quantile(way, 0.05) > 1.8
    assert np.quantile(way, 0.95) < 4.2
    assert (moved.min(axis=0) < -1).all()
    assert (moved.max(axis=0) > 1).all()


def test_scale_makes_some_smaller_and_some_larger(digits: Split) -> None:
    factor = spread(corrupt(digits.images, Corruption.SCALE))[1] / spread(digits.images)[1]
    assert ((factor > 0.55) & (factor < 1.35)).all()
    assert ((factor < 0.85) | (factor > 1.05)).all()
    assert 0.3 < (factor < 1).mean() < 0.7


@pytest.mark.parametrize("corruption", [Corruption.SHEAR, Corruption.ROTATE])
def test_digits_lean_to_either_side(digits: Split, corruption: Corruption) -> None:
    leaning = spread(corrupt(digits.images, corruption))[2] - spread(digits.images)[2]
    assert 0.3 < (leaning > 0.05).mean() < 0.7
    assert 0.3 < (leaning < -0.05).mean() < 0.7


def test_strokes_gain_and_lose(digits: Split) -> None:
    before = ink(digits.images)
    assert (ink(corrupt(digits.images, Corruption.THICKER)) > 1.2 * before).all()
    thinner = ink(corrupt(digits.images, Corruption.THINNER))
    assert (thinner < 0.8 * before).all()
    assert (thinner > 0.05 * before).all()
    part = ink(corrupt(digits.images, Corruption.STROKE_GAP)) / before
    assert ((part > 0.4) & (part < 1)).all()


def test_blur_keeps_the_depth_of_ink_and_softens_edges(digits: Split) -> None:
    blurred = corrupt(digits.images, Corruption.BLUR)
    assert (blurred.max(axis=(1, 2)) >= 254).all()
    steepest = np.abs(np.diff(blurred.astype(int), axis=2)).max(axis=(1, 2))
    assert (steepest < np.abs(np.diff(digits.images.astype(int), axis=2)).max(axis=(1, 2))).all()


def test_contrast_is_ink_less_dark_on_paper_less_white(digits: Split) -> None:
    faint = corrupt(digits.images, Corruption.CONTRAST)
    assert (faint.max(axis=(1, 2)) <= 150).all()
    assert faint.min(axis=(1, 2)).max() > 5


def test_occlusion_hides_part_of_the_digit_by_paper_or_grey(digits: Split) -> None:
    hidden = corrupt(digits.images, Corruption.OCCLUSION)
    changed = hidden != digits.images
    assert set(np.unique(hidden[changed])) == {0, 160}
    for axis in (1, 2):
        touched = changed.any(axis=axis)
        assert (touched.sum(axis=1) <= 8).all()
    grey = (hidden == 160).any(axis=(1, 2))
    assert 0.3 < grey.mean() < 0.7


def test_a_blank_image_is_no_trouble() -> None:
    for corruption in Corruption:
        assert corrupt(np.zeros((3, 28, 28), np.uint8), corruption).shape == (3, 28, 28)


@pytest.mark.parametrize(
    "images",
    [np.zeros((0, 28, 28), np.uint8), np.zeros((28, 28), np.uint8), np.zeros((2, 28, 28), np.float32)],
)
def test_refused(images: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"expected uint8 \(N, 28, 28\)"):
        corrupt(images, Corruption.SHIFT)
