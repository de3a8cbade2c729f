"""Moving pixels: every parameter does what its name says, and nothing is lost on the way."""

from __future__ import annotations

import numpy as np
import pytest

from digits_edge.trainer.datasets import Dataset
from digits_edge.trainer.deform import deform
from digits_edge.trainer.recipes import Deformation
from digits_edge.trainer.warp import affine, distortion, warp


@pytest.fixture(scope="module")
def digits(mnist: Dataset) -> np.ndarray:
    return mnist.train.images[:64]


def spot(row: int, column: int) -> np.ndarray:
    image = np.zeros((1, 28, 28), np.uint8)
    image[0, row - 1 : row + 2, column - 1 : column + 2] = 255
    return image


def centre(image: np.ndarray) -> np.ndarray:
    place = np.arange(28) - 13.5
    moments = [(image.sum(axis=1) * place).sum(), (image.sum(axis=0) * place).sum()]
    return np.array(moments) / float(image.sum())


def test_whole_pixels_and_quarter_turns_are_exact(digits: np.ndarray) -> None:
    np.testing.assert_array_equal(warp(digits, affine(64)), digits)
    moved = warp(digits, affine(64, right=2, down=-3))
    np.testing.assert_array_equal(moved[:, :-3, 2:], digits[:, 3:, :-2])
    assert not moved[:, -3:].any()  # paper comes in
    np.testing.assert_array_equal(warp(digits, affine(64, degrees=90)), np.rot90(digits, 1, (1, 2)))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"zoom": 2.0}, (-8, 8)),
        ({"stretch": 2.0}, (-4, 8)),
        ({"shear": 0.5}, (-4, 6)),  # four up, so two more to the right
        ({"degrees": 90.0}, (-4, -4)),
        ({"stretch": 2.0, "shear": 0.5, "degrees": 90.0, "down": 1.0}, (-9, -4)),
    ],
)
def test_a_spot_lands_where_it_should(change: dict[str, float], expected: tuple[int, int]) -> None:
    image = warp(spot(9, 17) // 2 + spot(10, 18) // 2, affine(1))  # its middle is at (-4, 4) from the centre
    assert centre(image[0]) == pytest.approx((-4, 4), abs=1e-5)
    moved = warp(image.astype(np.uint8), affine(1, **change))
    assert centre(moved[0]) == pytest.approx(expected, abs=0.3)


def test_each_image_has_parameters_of_its_own(digits: np.ndarray) -> None:
    moved = warp(digits[:2], affine(2, right=np.array([0, 5])))
    np.testing.assert_array_equal(moved[0], digits[0])
    np.testing.assert_array_equal(moved[1, :, 5:], digits[1, :, :-5])


def test_a_distortion_is_smooth_and_as_strong_as_asked() -> None:
    fields = distortion(np.repeat(np.array([0, 1, 2], np.float32), 500), np.random.default_rng(0))
    none, one, two = (fields[start : start + 500] for start in (0, 500, 1000))
    assert not none.any()
    assert one.std() == pytest.approx(0.5, abs=0.05)
    assert two.std() == pytest.approx(1.0, abs=0.1)
    assert np.abs(np.diff(one, axis=3)).mean() < 0.1  # neighbours move together


def test_deformed_digits_are_the_same_for_the_same_seed_only(digits: np.ndarray) -> None:
    first, again, other = (deform(digits, Deformation(), np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any(axis=(1, 2)).all()
    assert (first != digits).any(axis=(1, 2)).all()
    ink = first.sum(axis=(1, 2)) / digits.sum(axis=(1, 2), dtype=np.float64)
    assert 0.6 < ink.min() < ink.max() < 1.5


def test_no_deformation_changes_nothing(digits: np.ndarray) -> None:
    still = Deformation(degrees=0, shift=0, zoom=0, stretch=0, shear=0, distortion=0)
    np.testing.assert_array_equal(deform(digits, still, np.random.default_rng(0)), digits)


def test_some_digits_stay_untouched(digits: np.ndarray) -> None:
    some = deform(digits, Deformation(untouched=0.25), np.random.default_rng(0))
    changed = (some != digits).any(axis=(1, 2))
    assert 0.65 < changed.mean() < 0.85
    all_of_them = deform(digits, Deformation(), np.random.default_rng(0))
    np.testing.assert_array_equal(some[changed], all_of_them[changed])
