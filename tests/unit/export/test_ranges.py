"""Calibrators: each range is what its rule says, on values whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from digits_edge.export.ranges import Statistics, collect
from digits_edge.export.scheme import Calibrator


@pytest.fixture(scope="module")
def bell() -> NDArray[np.float32]:
    """Values as behind a ReLU: half of them zero, the rest half a bell curve, and one far out."""
    values = np.maximum(np.random.default_rng(1).normal(0, 1, 200_000), 0).astype(np.float32)
    values[0] = 60
    return values


def test_min_max_takes_all_and_zero_with_it() -> None:
    assert Statistics.of(np.array([2, 3], np.float32)).range(Calibrator.MIN_MAX) == (0, 3)
    assert Statistics.of(np.array([-3, -2], np.float32)).range(Calibrator.MIN_MAX) == (-3, 0)


def test_a_percentile_leaves_the_one_in_ten_thousand_out(bell: NDArray[np.float32]) -> None:
    low, high = Statistics.of(bell).range(Calibrator.PERCENTILE)
    bin_width = 60 / 2048
    assert low == 0
    assert high == pytest.approx(np.quantile(bell, 0.9999), abs=2 * bin_width)


def test_a_percentile_counts_by_size_whatever_the_sign() -> None:
    values = np.concatenate([np.full(99_999, 1.0), [-100.0]]).astype(np.float32)
    low, high = Statistics.of(values).range(Calibrator.PERCENTILE)
    assert low == pytest.approx(-1, abs=0.1)
    assert high == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize(
    ("calibrator", "least", "most"), [(Calibrator.MSE, 20, 55), (Calibrator.ENTROPY, 3, 20)]
)
def test_one_far_value_is_not_worth_the_whole_range(
    bell: NDArray[np.float32], calibrator: Calibrator, least: float, most: float
) -> None:
    _, high = Statistics.of(bell).range(calibrator)
    assert least < high < most


def test_mse_rounds_values_better_than_any_other_rule(bell: NDArray[np.float32]) -> None:
    def error(calibrator: Calibrator) -> float:
        _, high = Statistics.of(bell).range(calibrator)
        step = high / 255
        return float(np.square(bell - np.clip(np.round(bell / step), 0, 255) * step).mean())

    errors = {calibrator: error(calibrator) for calibrator in Calibrator}
    assert min(errors, key=lambda calibrator: errors[calibrator]) is Calibrator.MSE


@pytest.mark.parametrize("calibrator", [Calibrator.MSE, Calibrator.ENTROPY])
def test_the_zeros_that_a_relu_makes_tell_nothing(bell: NDArray[np.float32], calibrator: Calibrator) -> None:
    near = bell[1:]
    drowned = np.concatenate([near, np.zeros(20 * len(near), np.float32)])
    assert Statistics.of(drowned).range(calibrator) == Statistics.of(near).range(calibrator)


@pytest.mark.parametrize("calibrator", Calibrator)
def test_a_tensor_that_is_always_zero_has_no_range(calibrator: Calibrator) -> None:
    assert Statistics.of(np.zeros(10, np.float32)).range(calibrator) == (0, 0)


@pytest.mark.parametrize("calibrator", Calibrator)
def test_even_values_keep_their_whole_range(calibrator: Calibrator) -> None:
    values = np.linspace(0, 1, 100_001, dtype=np.float32)
    low, high = Statistics.of(values).range(calibrator)
    assert low == 0
    assert high == pytest.approx(1, abs=0.02)


def test_batches_add_up_to_the_whole() -> None:
    pixels = np.arange(6 * 784, dtype=np.int64).reshape(6, 28, 28).astype(np.uint8)

    def run(images: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        return {"doubled": images.astype(np.float32) * 2, "shifted": images.astype(np.float32) - 300}

    found = collect([pixels[:1], pixels[1:]], run)
    for name, values in run(pixels).items():
        whole = Statistics.of(values)
        assert (found[name].low, found[name].high) == (whole.low, whole.high)
        assert np.array_equal(found[name].counts, whole.counts)
