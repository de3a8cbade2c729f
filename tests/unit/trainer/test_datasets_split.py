"""Datasets as values: what they refuse to be, and how they are split."""

from __future__ import annotations

import numpy as np
import pytest

from digits_edge.runtime.errors import InputError
from digits_edge.trainer.datasets import Dataset, Digits, Split, load_dataset, split_validation
from digits_edge.trainer.errors import DataError


@pytest.fixture(scope="module")
def mnist() -> Dataset:
    return load_dataset()


def images(count: int) -> np.ndarray:
    return np.zeros((count, 28, 28), np.uint8)


@pytest.mark.parametrize(
    ("pixels", "labels", "complaint"),
    [
        (images(2).astype(np.float32), [1, 2], r"images are float32 \(2, 28, 28\); expected uint8"),
        (images(2).reshape(2, 784), [1, 2], r"images are uint8 \(2, 784\)"),
        (images(2), [1, 2, 3], "2 images but 3 labels"),
        (images(2), [[1], [2]], r"labels are uint8 \(2, 1\)"),
        (images(0), [], "no images"),
        (images(3), [1, 10, 11], "row 2: label 10; expected 0-9"),
    ],
)
def test_a_split_is_valid_or_does_not_exist(pixels: np.ndarray, labels: list[int], complaint: str) -> None:
    with pytest.raises(DataError, match=complaint):
        Split(pixels, np.array(labels, np.uint8))


def test_a_digest_depends_on_every_pixel_and_label(mnist: Dataset) -> None:
    few = mnist.train.take(np.arange(50))
    changed_images, changed_labels = few.images.copy(), few.labels.copy()
    changed_images[49, 27, 27] += 1
    changed_labels[49] = (changed_labels[49] + 1) % 10
    digests = {
        few.digest(),
        Split(changed_images, few.labels).digest(),
        Split(few.images, changed_labels).digest(),
        few.take(np.arange(50)[::-1]).digest(),
    }
    assert len(digests) == 4
    assert few.digest() == mnist.train.take(np.arange(50)).digest()


def test_the_notebook_s_split_of_kaggle_s_table() -> None:
    train, valid = split_validation(np.zeros(42_000, np.uint8))
    assert (len(train), len(valid)) == (37_800, 4_200)
    np.testing.assert_array_equal(np.sort(np.concatenate([train, valid])), np.arange(42_000))
    again, _ = split_validation(np.zeros(42_000, np.uint8))
    other, _ = split_validation(np.zeros(42_000, np.uint8), seed=43)
    np.testing.assert_array_equal(train, again)
    assert not np.array_equal(train, other)


def test_a_stratified_split_keeps_proportions(mnist: Dataset) -> None:
    labels = mnist.train.labels
    train, valid = split_validation(labels, stratify=True)
    proportions = np.bincount(labels) / len(labels)
    np.testing.assert_allclose(np.bincount(labels[valid]) / len(valid), proportions, atol=2e-4)
    assert not set(train) & set(valid)


def test_limited_data_is_a_sample_of_all(mnist: Dataset) -> None:
    few = mnist.limited(200, seed=1)
    assert len(few.train) == 200
    assert few.test is mnist.test
    assert set(few.train.labels.tolist()) == set(range(10))
    known = {image.tobytes() for image in mnist.train.images}
    assert {image.tobytes() for image in few.train.images} <= known
    assert few.train.digest() == mnist.limited(200, seed=1).train.digest()
    assert few.train.digest() != mnist.limited(200, seed=2).train.digest()


@pytest.mark.parametrize("count", [-1, 0, 19, 60_001])
def test_no_more_than_there_is(mnist: Dataset, count: int) -> None:
    with pytest.raises(InputError, match="expected 20 to 60000"):
        mnist.limited(count, seed=1)


@pytest.mark.parametrize(
    ("pixels", "names", "labels"),
    [
        (images(2), ("a",), None),
        (images(2), ("a", "b"), np.zeros(3, np.uint8)),
        (images(0), (), None),
        (images(2).astype(np.float32), ("a", "b"), None),
    ],
)
def test_digits_to_classify_match_their_names(
    pixels: np.ndarray, names: tuple[str, ...], labels: np.ndarray | None
) -> None:
    with pytest.raises(InputError, match="expected"):
        Digits(pixels, names, labels)
