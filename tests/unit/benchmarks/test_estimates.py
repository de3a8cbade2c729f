"""Medians, spreads and ratios of known samples."""

from __future__ import annotations

import math

import numpy as np
import pytest

from digits_edge.benchmarks.estimates import Estimate, quantile
from digits_edge.runtime.errors import InputError


@pytest.mark.parametrize("fraction", [0, 0.1, 0.25, 0.5, 0.9, 0.99, 1])
def test_quantiles_are_those_of_numpy(fraction: float) -> None:
    values = np.random.default_rng(1).lognormal(size=37).tolist()
    assert quantile(values, fraction) == pytest.approx(np.quantile(values, fraction))


@pytest.mark.parametrize("values", [[], [1.0, math.nan], [math.inf]])
def test_a_quantile_of_nothing_or_of_no_number_is_refused(values: list[float]) -> None:
    with pytest.raises(InputError, match="quantile"):
        quantile(values, 0.5)


def test_a_known_sample() -> None:
    estimate = Estimate.of([5, 1, 3, 2, 4, 11, 10, 6, 9, 8, 7])
    assert (estimate.median, estimate.low, estimate.high) == (6, 2, 10)
    assert estimate.spread == pytest.approx(4 / 6)
    assert estimate.rounds[0] == 5  # in the order of measuring


def test_one_bad_round_in_eleven_moves_nothing() -> None:
    calm, disturbed = Estimate.of([10.0] * 11), Estimate.of([10.0] * 10 + [500.0])
    assert (disturbed.median, disturbed.low, disturbed.high) == (calm.median, calm.low, calm.high)


@pytest.mark.parametrize("rounds", [[], [1, -1], [math.nan], [math.inf]])
def test_rounds_that_are_no_measurement_are_refused(rounds: list[float]) -> None:
    with pytest.raises(InputError):
        Estimate.of(rounds)


def test_a_median_that_the_rounds_do_not_have_is_refused() -> None:
    with pytest.raises(InputError, match="the rounds say"):
        Estimate(median=3.0, low=1.2, high=2.8, rounds=(1.0, 2.0, 3.0))


def test_drift_that_both_share_is_not_in_the_ratio() -> None:
    drift = [1.0, 0.5, 0.8, 0.3, 1.2]
    fast, slow = Estimate.of([300 * d for d in drift]), Estimate.of([100 * d for d in drift])
    ratio = fast.over(slow)
    assert fast.spread > 0.4
    assert (ratio.median, ratio.low, ratio.high) == pytest.approx((3, 3, 3))


def test_a_ratio_is_taken_round_by_round_and_not_of_medians() -> None:
    ratio = Estimate.of([1, 10, 100]).over(Estimate.of([100, 10, 50]))
    assert list(ratio.rounds) == [0.01, 1, 2]
    assert ratio.median == 1


@pytest.mark.parametrize("other", [[1.0, 2.0], [1.0, 0.0, 1.0]])
def test_other_rounds_cannot_be_divided_by(other: list[float]) -> None:
    with pytest.raises(InputError, match="expected as many"):
        Estimate.of([1.0, 2.0, 3.0]).over(Estimate.of(other))
