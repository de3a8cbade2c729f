"""Images that are no digit: of the kind asked for, all different, in the form of MNIST, the same again."""

from __future__ import annotations

import numpy as np
import pytest

from digits_edge.runtime.errors import InputError
from digits_edge.trainer.datasets import Dataset, Split
from digits_edge.trainer.nondigits import NonDigit, non_digits


@pytest.fixture(scope="module")
def digits(mnist: Dataset) -> Split:
    assert mnist.test is not None
    return mnist.test.take(np.arange(200))


@pytest.mark.parametrize("kind", NonDigit)
def test_as_many_as_asked_for_and_the_same_again(digits: Split, kind: NonDigit) -> None:
    images = non_digits(kind, digits, 50, seed=1)
    assert images.shape == (50, 28, 28)
    assert images.dtype == np.uint8
    assert len({image.tobytes() for image in images}) == 50
    np.testing.assert_array_equal(non_digits(kind, digits, 50, seed=1), images)
    assert not np.array_equal(non_digits(kind, digits, 50, seed=2), images)
    assert len(non_digits(kind, digits, 1)) == 1


def test_blanks_are_paper_full_ink_and_greys_without_an_edge(digits: Split) -> None:
    images = non_digits(NonDigit.BLANK, digits, 100)
    assert not images[0].any()
    assert (images[1] == 255).all()
    assert np.diff(np.sort(images.mean(axis=(1, 2)))).max() < 20  # every grey there is, about
    for axis in (1, 2):
        assert np.abs(np.diff(images.astype(int), axis=axis)).max() <= 2


def test_noise_is_of_several_sorts(digits: Split) -> None:
    images = non_digits(NonDigit.NOISE, digits, 40).astype(float)
    likeness = [np.corrcoef(image[:, :-1].ravel(), image[:, 1:].ravel())[0, 1] for image in images]
    assert sum(alike > 0.5 for alike in likeness) == 10  # clouds
    assert sum(abs(alike) < 0.2 for alike in likeness) == 30
    assert sum(len(np.unique(image)) == 2 for image in images) == 10  # specks


def test_letters_stand_where_mnist_has_its_digits(digits: Split) -> None:
    letters = non_digits(NonDigit.LETTER, digits, 60)
    rows, columns = np.mgrid[:28, :28]
    for letter in letters:
        assert letter.max() == 255
        centre = [float((letter * place.astype(float)).sum() / letter.sum()) for place in (rows, columns)]
        assert centre == pytest.approx([14, 14], abs=0.6)
        inked = np.argwhere(letter > 127)
        assert 18 <= (np.ptp(inked, axis=0) + 1).max() <= 21

    def depth(images: np.ndarray) -> float:
        return float((images > 0).mean())

    assert depth(letters) == pytest.approx(depth(digits.images), rel=0.35)


def test_halves_are_parts_of_real_digits(digits: Split) -> None:
    halves = non_digits(NonDigit.HALF, digits, 40)
    for half in halves:
        whole = np.flatnonzero(((digits.images == half) | (half == 0)).all(axis=(1, 2)))
        origin = [digits.images[row] for row in whole if half.sum() < 0.45 * digits.images[row].sum()]
        assert origin
        assert not {1, 6} & {int(digits.labels[row]) for row in whole} or len(whole) > 1
        assert half.sum() > 0.08 * min(image.sum() for image in origin)


def test_few_digits_make_many_halves(digits: Split) -> None:
    three = digits.take(np.flatnonzero(digits.labels == 3)[:3])
    assert len(non_digits(NonDigit.HALF, three, 10)) == 10


def test_refused(digits: Split) -> None:
    with pytest.raises(InputError, match="0 images"):
        non_digits(NonDigit.NOISE, digits, 0)
    ones = digits.take(np.flatnonzero(digits.labels == 1))
    with pytest.raises(InputError, match="each a 1 or a 6"):
        non_digits(NonDigit.HALF, ones, 5)
    blank = Split(np.zeros((3, 28, 28), np.uint8), np.array([2, 3, 4], np.uint8))
    with pytest.raises(InputError, match="hardly one"):
        non_digits(NonDigit.HALF, blank, 5)
