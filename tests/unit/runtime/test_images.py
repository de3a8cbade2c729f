"""The input contract, and photographs brought under it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from digits_edge.runtime import InputError, Recognizer, as_images, normalize

Image = NDArray[np.uint8]
Grey = NDArray[Any]

# ── The contract ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("shape", [(5, 28, 28), (5, 28, 28, 1), (5, 784), (1, 784), (1, 28, 28)])
def test_uint8_of_each_shape_is_taken_as_it_is(digits: Image, shape: tuple[int, ...]) -> None:
    given_images = digits[: shape[0]].reshape(shape)
    images = as_images(given_images)
    assert images.dtype == np.uint8
    np.testing.assert_array_equal(images, digits[: shape[0]])
    assert np.shares_memory(images, given_images)


def test_one_image_is_a_batch_of_one(digits: Image) -> None:
    images = as_images(digits[0])
    np.testing.assert_array_equal(images, digits[:1])
    assert np.shares_memory(images, digits)


def test_28_rows_are_one_image_not_28_of_28_pixels(digits: Image) -> None:
    assert as_images(digits[3]).shape == (1, 28, 28)


@pytest.mark.parametrize(
    "view",
    [
        lambda digits: digits[::3],
        lambda digits: digits[:, ::-1],
        lambda digits: digits.transpose(0, 2, 1),
        lambda digits: np.asfortranarray(digits[:20]),
        lambda digits: digits[:7].astype(np.uint8)[..., None],
    ],
    ids=["every third", "upside down", "transposed", "column-major", "writeable"],
)
def test_views_are_neither_copied_nor_misread(
    digits: Image, view: Callable[[Image], Image], recognizer: Recognizer
) -> None:
    given_images = view(digits)
    images = as_images(given_images)
    assert np.shares_memory(images, given_images)
    expected = np.ascontiguousarray(given_images).reshape(-1, 28, 28)
    np.testing.assert_array_equal(images, expected)
    np.testing.assert_array_equal(
        recognizer.predict(given_images).probabilities, recognizer.predict(expected).probabilities
    )


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.longdouble, ">f4"])
def test_floats_are_rounded_to_the_pixel_they_came_from(digits: Image, dtype: str) -> None:
    scaled = (digits / 255).astype(dtype)
    before = scaled.copy()
    np.testing.assert_array_equal(as_images(scaled), digits)
    np.testing.assert_array_equal(scaled, before)


def test_floats_are_rounded_not_cut_off() -> None:
    image = np.zeros((28, 28))
    image[0, :5] = [1.0, 0.998, 0.997, 0.0021, 0.0019]
    assert as_images(image)[0, 0, :5].tolist() == [255, 254, 254, 1, 0]


def test_lists_of_floats_are_taken(digits: Image) -> None:
    np.testing.assert_array_equal(as_images((digits[0] / 255).tolist()), digits[:1])


def test_what_quacks_like_an_array_is_taken(digits: Image) -> None:
    class Tensor:
        def __array__(self, dtype: Any = None, copy: bool | None = None) -> Image:
            return digits[:2]

    np.testing.assert_array_equal(as_images(Tensor()), digits[:2])


class _OnAnotherDevice:
    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Image:
        raise TypeError("copy it to the host first")


def _with(value: float) -> NDArray[np.float32]:
    images = np.zeros((2, 28, 28), np.float32)
    images[1, 3, 4] = value
    return images


REFUSED: dict[str, tuple[Any, str]] = {
    "0 to 255 as floats": (_with(255.0), "float images range from 0 to 255; expected uint8"),
    "just above 1": (_with(1.0001), "range from 0 to 1.0001"),
    "NaN": (_with(np.nan), "range from nan to nan"),
    "infinity": (_with(np.inf), "to inf"),
    "minus infinity": (_with(-np.inf), "from -inf"),
    "negative": (_with(-0.5), "from -0.5 to 0"),
    "just below 0": (_with(-1e-6), "from -1e-06"),
    "int64": (np.zeros((2, 28, 28), np.int64), r"dtype int64; .* need \.astype\(np\.uint8\)"),
    "int8": (np.zeros((2, 28, 28), np.int8), "dtype int8"),
    "uint16": (np.zeros((2, 28, 28), np.uint16), "dtype uint16"),
    "bool": (np.zeros((2, 28, 28), bool), "dtype bool"),
    "complex": (np.zeros((2, 28, 28), complex), "dtype complex128"),
    "objects": (np.zeros((2, 28, 28), object), "dtype object"),
    "text": (np.full((2, 28, 28), "0"), "dtype <U1"),
    "a record": (np.zeros((2, 28, 28), [("grey", np.uint8)]), "dtype .*grey"),
    "a list of ints": ([[0] * 28] * 28, "dtype int64"),
    "ragged lists": ([[0.0] * 28, [0.0] * 27], "do not form one array"),
    "None": (None, "dtype object"),
    "a file name": ("digit.png", "dtype <U9"),
    "a dict": ({"image": 1}, "dtype object"),
    "a number": (0.5, r"shape \(\)"),
    "an array elsewhere": (_OnAnotherDevice(), "do not form one array.*host first"),
    "an empty list": ([], r"empty, shape \(0,\)"),
    "no images": (np.zeros((0, 28, 28), np.uint8), r"shape \(0, 28, 28\)"),
    "no float images": (np.zeros((0, 28, 28)), r"empty, shape \(0, 28, 28\)"),
    "32 by 32": (np.zeros((2, 32, 32), np.uint8), r"shape \(2, 32, 32\)"),
    "27 by 28": (np.zeros((27, 28), np.uint8), r"shape \(27, 28\)"),
    "783 pixels": (np.zeros((2, 783), np.uint8), r"shape \(2, 783\)"),
    "one flat image": (np.zeros(784, np.uint8), r"shape \(784,\)"),
    "RGB": (np.zeros((2, 28, 28, 3), np.uint8), r"shape \(2, 28, 28, 3\)"),
    "channels first": (np.zeros((2, 1, 28, 28), np.uint8), r"shape \(2, 1, 28, 28\)"),
    "14 by 56": (np.zeros((2, 14, 56), np.uint8), r"shape \(2, 14, 56\)"),
    "five axes": (np.zeros((1, 2, 28, 28, 1), np.uint8), r"shape \(1, 2, 28, 28, 1\)"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_anything_else_is_refused_by_what_came_and_what_was_expected(
    case: str, recognizer: Recognizer
) -> None:
    images, complaint = REFUSED[case]
    with pytest.raises(InputError, match=complaint) as refused:
        as_images(images)
    assert "expected uint8 (N, 28, 28)" in str(refused.value)
    assert refused.value.exit_code == 2
    with pytest.raises(InputError, match=complaint):
        recognizer.predict(images)


# ── Photographs ────────────────────────────────────────────────────────────────────────────────────────────


def enlarged(image: Image, times: int) -> Grey:
    """Ink 0 to 1, as a camera of more pixels would see it: interpolated, not blocks."""
    places = (np.arange(28 * times) + 0.5) / times - 0.5
    weights = np.clip(1 - np.abs(np.arange(28) - places[:, None]), 0, None)
    # Not by @: BLAS would wake a thread for each of these small products.
    rows: Grey = np.einsum("yr,rc->yc", weights, image / 255)
    grown: Grey = np.einsum("yc,xc->yx", rows, weights)
    return grown


def placed(ink: Grey, height: int, width: int, top: int, left: int) -> Grey:
    paper = np.zeros((height, width))
    paper[top : top + ink.shape[0], left : left + ink.shape[1]] = ink
    return paper


def photo(grey: Grey) -> Image:
    return np.clip(np.rint(grey), 0, 255).astype(np.uint8)


def noise(shape: tuple[int, ...], strength: float) -> Grey:
    return np.random.default_rng(0).normal(0, strength, shape)


def slope(height: int, width: int) -> Grey:
    """0 in one corner, 1 in the other."""
    return (np.linspace(0, 1, height)[:, None] + np.linspace(0, 1, width)) / 2


def thinned(image: Image) -> Grey:
    """The inner part of the strokes, as a thinner pen would have left it."""
    ink = enlarged(image, 5) > 0.5
    inner = ink
    for _ in range(3):
        inner = (
            inner
            & np.roll(inner, 1, 0)
            & np.roll(inner, -1, 0)
            & np.roll(inner, 1, 1)
            & np.roll(inner, -1, 1)
        )
        if inner.sum() < 0.6 * ink.sum():
            break
    return inner.astype(float)


# What a picture shows → how, from an image of MNIST; with the least accuracy and the largest mean difference
# (grey levels, all pixels) that reading it back may have.
PICTURES: dict[str, tuple[Callable[[Image], Grey], float, float]] = {
    "as it is": (lambda image: image.astype(float), 0.97, 16),
    "negative": (lambda image: 255.0 - image, 0.97, 16),
    "big, light on dark": (lambda image: 255 * enlarged(image, 5), 0.97, 10),
    "big, dark on light": (lambda image: 255 - 255 * enlarged(image, 5), 0.97, 10),
    "off-centre": (lambda image: 255 - 255 * placed(enlarged(image, 4), 300, 260, 170, 20), 0.97, 10),
    "in a corner": (lambda image: 255 * placed(enlarged(image, 4), 300, 260, 0, 148), 0.97, 10),
    "a wide picture": (lambda image: 255 * placed(enlarged(image, 4), 120, 900, 4, 700), 0.97, 10),
    "grey on grey": (lambda image: 200 - 100 * enlarged(image, 5), 0.97, 10),
    "pencil": (lambda image: 140 - 50 * enlarged(image, 5), 0.97, 10),
    "chalk": (lambda image: 60 + 120 * enlarged(image, 5), 0.97, 10),
    "uneven light": (
        lambda image: (190 + 60 * slope(240, 240)) * (1 - 0.8 * placed(enlarged(image, 5), 240, 240, 60, 40)),
        0.97,
        11,
    ),
    "noise": (lambda image: 230 - 180 * enlarged(image, 5) + noise((140, 140), 12), 0.97, 11),
    "noise on much paper": (
        lambda image: 230 - 180 * placed(enlarged(image, 5), 300, 300, 100, 60) + noise((300, 300), 12),
        0.97,
        11,
    ),
    "dust": (
        lambda image: np.where(noise((140, 140), 1) > 3.3, 60, 240 - 200 * enlarged(image, 5)),
        0.97,
        10,
    ),
    "two colours": (lambda image: 255 * (enlarged(image, 5) > 0.5), 0.95, 12),
    "a thin pen": (lambda image: 255 - 255 * thinned(image), 0.9, 24),
}


@pytest.mark.parametrize("case", PICTURES)
def test_a_digit_in_a_picture_is_read_like_the_original(
    digits: Image, labels: NDArray[np.uint8], recognizer: Recognizer, case: str
) -> None:
    picture, least_accuracy, largest_difference = PICTURES[case]
    originals, answers = digits[:300], labels[:300]
    images = np.stack([normalize(photo(picture(image))) for image in originals])
    accuracy = float((recognizer.predict(images).labels == answers).mean())
    difference = float(np.abs(images.astype(int) - originals).mean())
    assert accuracy >= least_accuracy
    assert difference <= largest_difference


def test_digits_stand_where_mnists_stand(digits: Image) -> None:
    images = np.stack([normalize(photo(255 - 255 * enlarged(image, 4))) for image in digits[:300]])
    assert all(longer_side(image) == 20 for image in images)
    np.testing.assert_allclose(centres(images).mean(axis=0), centres(digits).mean(axis=0), atol=0.1)
    assert np.abs(centres(images) - 14).max() < 0.6


def centres(images: Image) -> Grey:
    """Centres of mass, row and column of each image."""
    mass = images.astype(float).sum(axis=(1, 2))
    return np.stack([images.sum(axis=axis) @ np.arange(28) / mass for axis in (2, 1)], axis=1)


def longer_side(image: Image) -> int:
    return max(int(np.ptp(np.flatnonzero(image.any(axis=axis)))) + 1 for axis in (0, 1))


@pytest.mark.parametrize("grey", [0, 1, 128, 254, 255])
@pytest.mark.parametrize("size", [(28, 28), (2, 2), (300, 200)])
def test_a_blank_sheet_has_no_ink(grey: int, size: tuple[int, int]) -> None:
    assert not normalize(np.full(size, grey, np.uint8)).any()


def test_the_grain_of_blank_paper_is_no_ink() -> None:
    assert not normalize(photo(200 + noise((200, 200), 3))).any()


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(2, 90),
    width=st.integers(2, 90),
    seed=st.integers(0, 2**32 - 1),
    levels=st.sampled_from([[0, 255], [0, 23], [0, 24], [254, 255], [100, 130, 180]]),
)
def test_whatever_a_picture_shows_an_image_comes_out(
    height: int, width: int, seed: int, levels: list[int]
) -> None:
    picture = np.random.default_rng(seed).choice(np.array(levels, np.uint8), (height, width))
    image = normalize(picture)
    assert image.shape == (28, 28)
    assert image.dtype == np.uint8
    assert not image.any() or (image.max() == 255 and longer_side(image) <= 20)


@pytest.mark.parametrize(("height", "width"), [(2, 2), (2, 3000), (3000, 2), (4, 5), (3000, 2000)])
def test_extreme_sizes(height: int, width: int) -> None:
    picture = np.full((height, width), 255, np.uint8)
    picture[height // 4 : height // 2, width // 4 : width // 2] = 0
    assert normalize(picture).max() == 255


def test_the_picture_is_left_alone(digits: Image) -> None:
    picture = photo(255 - 255 * enlarged(digits[0], 5))
    before = picture.copy()
    normalize(picture)
    np.testing.assert_array_equal(picture, before)


@pytest.mark.parametrize(
    "picture",
    [
        np.zeros((28, 28)),
        np.zeros((28, 28), np.int64),
        np.zeros((28, 28), bool),
        np.zeros((28, 28, 3), np.uint8),
        np.zeros(784, np.uint8),
        np.zeros((1, 28), np.uint8),
        np.zeros((0, 0), np.uint8),
    ],
    ids=lambda picture: f"{picture.dtype}{picture.shape}",
)
def test_what_is_no_grey_picture_is_refused(picture: NDArray[Any]) -> None:
    complaint = re.escape(f"photo is {picture.dtype} {picture.shape}; expected a grey picture, uint8 (H, W)")
    with pytest.raises(InputError, match=complaint):
        normalize(picture)
