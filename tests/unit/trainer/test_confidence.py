"""Confidence: figures worked out by hand, a threshold that keeps its promise, and what is refused."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from digits_edge.runtime.errors import InputError
from digits_edge.trainer.confidence import (
    choose_threshold,
    expected_calibration_error,
    fit_temperature,
    reliability,
    risk_coverage,
    wilson,
)


def drawn(count: int, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and labels drawn from their own softmax: calibrated by construction."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 4, (count, 10))
    labels = (logits + random.gumbel(size=logits.shape)).argmax(axis=1)  # the Gumbel-max trick
    return logits.astype(np.float32), labels


@pytest.mark.parametrize("temperature", [0.3, 1.0, 4.0])
def test_a_temperature_that_was_put_in_is_found(temperature: float) -> None:
    logits, labels = drawn(20_000, seed=1)
    assert fit_temperature(logits * temperature, labels) == pytest.approx(temperature, rel=0.03)


def test_no_other_temperature_is_more_likely() -> None:
    logits, labels = drawn(300, seed=2)

    def loss(temperature: float) -> float:
        scaled = logits.astype(np.float64) / temperature
        return float((np.log(np.exp(scaled).sum(axis=1)) - scaled[np.arange(len(labels)), labels]).mean())

    best = fit_temperature(logits, labels)
    assert loss(best) < min(loss(best * 1.01), loss(best / 1.01))


def test_temperatures_stay_within_what_a_manifest_takes() -> None:
    logits = np.eye(10, dtype=np.float32) * 8
    assert fit_temperature(logits, np.arange(10)) == pytest.approx(0.01)  # all right: the surer the better
    assert fit_temperature(logits, np.roll(np.arange(10), 1)) == pytest.approx(100)  # all wrong


def test_a_large_logit_is_no_trouble() -> None:
    logits, labels = drawn(2000, seed=3)
    assert fit_temperature(logits + np.float32(5000), labels) == pytest.approx(
        fit_temperature(logits, labels), rel=1e-3
    )


def test_the_lowest_threshold_that_keeps_the_rate_is_chosen() -> None:
    # At a rate of 10 %, 7 answers without an error suffice (0.9^7 < 0.5 < 0.9^6), or 17 with one.
    confidence = np.linspace(0.9, 0.5, 18)
    right = np.ones(18, bool)
    assert choose_threshold(confidence, right, 0.1) == pytest.approx(0.5)
    right[17] = False
    assert choose_threshold(confidence, right, 0.1) == pytest.approx(0.5)  # one error of 18
    right[16] = False
    assert choose_threshold(confidence, right, 0.1) == pytest.approx(
        confidence[16]
    )  # one of 17, not two of 18
    right[10] = False
    assert choose_threshold(confidence, right, 0.1) == pytest.approx(confidence[9])
    right[5] = False
    assert choose_threshold(confidence, right, 0.1) == 1.0


def test_answers_of_equal_confidence_stand_or_fall_together() -> None:
    confidence = np.array([0.9] * 7 + [0.5] * 5)
    right = np.ones(12, bool)
    right[-1] = False  # taken one by one, the first four of the five would pass
    assert choose_threshold(confidence, right, 0.1) == pytest.approx(0.9)


def test_without_evidence_nothing_is_accepted() -> None:
    confidence = np.linspace(0.5, 0.99, 692)
    assert choose_threshold(confidence, np.ones(692, bool), 0.001) == 1.0  # one too few for 0.1 %
    assert choose_threshold(np.append(confidence, 0.4), np.ones(693, bool), 0.001) == pytest.approx(0.4)
    assert choose_threshold(confidence, np.zeros(692, bool), 0.5) == 1.0


def test_the_rate_is_that_of_fresh_answers() -> None:
    def answers(seed: int) -> tuple[np.ndarray, np.ndarray]:
        logits, labels = drawn(20_000, seed=seed)
        odds = np.exp(logits)
        return odds.max(axis=1) / odds.sum(axis=1), logits.argmax(axis=1) == labels

    rates = []
    for seed in range(20):
        threshold = choose_threshold(*answers(seed), 0.02)
        confidence, right = answers(seed + 100)
        accepted = confidence >= threshold
        assert accepted.mean() > 0.1
        rates.append(float((~right[accepted]).mean()))
    # The lowest threshold that will do has been a little lucky.
    assert 0.02 < np.mean(rates) < 0.022
    assert 4 <= sum(rate > 0.02 for rate in rates) <= 16


def test_calibration_worked_out_by_hand() -> None:
    confidence = np.array([0.0, 0.1, 0.2, 0.5, 0.7, 0.9, 1.0])
    right = np.array([False, False, True, True, False, True, True])
    rows = reliability(confidence, right, bins=5)
    assert [row.images for row in rows] == [3, 0, 1, 1, 2]  # an upper end belongs to its bin
    assert [rows[0].low, rows[0].high, rows[-1].high] == pytest.approx([0.0, 0.2, 1.0])
    assert rows[0].confidence == pytest.approx(0.1)
    assert rows[0].accuracy == pytest.approx(1 / 3)
    gap = 3 * (1 / 3 - 0.1) + 0.5 + 0.7 + 2 * 0.05
    assert expected_calibration_error(confidence, right, bins=5) == pytest.approx(gap / 7)


def test_float32_certainty_has_a_bin() -> None:
    assert reliability(np.ones(3, np.float32), np.ones(3, bool))[-1].images == 3


def test_calibrated_answers_have_hardly_an_error_of_calibration() -> None:
    logits, labels = drawn(20_000, seed=5)

    def error(temperature: float) -> float:
        odds = np.exp(logits / temperature)
        sure = odds.max(axis=1) / odds.sum(axis=1)
        return expected_calibration_error(sure, logits.argmax(axis=1) == labels)

    assert error(1.0) < 0.01
    assert error(0.3) > 0.05


def test_risk_and_coverage_worked_out_by_hand() -> None:
    curve = risk_coverage(np.array([0.9, 0.6, 0.8, 0.6]), np.array([True, False, False, True]))
    np.testing.assert_allclose(curve.threshold, [0.9, 0.8, 0.6])
    np.testing.assert_allclose(curve.coverage, [0.25, 0.5, 1])
    np.testing.assert_allclose(curve.risk, [0, 0.5, 0.5])
    assert curve.aurc == pytest.approx((0 + 0.5 + 0.5 + 0.5) / 4)


def test_the_better_the_order_the_smaller_the_area() -> None:
    confidence = np.linspace(0.1, 1, 50)
    right = np.arange(50) >= 10
    assert risk_coverage(confidence, right).aurc < risk_coverage(confidence, right[::-1]).aurc


@pytest.mark.parametrize(
    ("successes", "n", "ends"),
    [
        (0, 10, (0, 0.2775)),
        (10, 10, (0.7225, 1)),
        (81, 263, (0.2553, 0.3662)),
        (9960, 10_000, (0.9946, 0.9971)),
    ],
)
def test_wilson_intervals_as_published(successes: int, n: int, ends: tuple[float, float]) -> None:
    """81 of 263: Newcombe 1998, table I."""
    assert wilson(successes, n) == pytest.approx(ends, abs=6e-5)


GOOD = np.array([0.9, 0.8])
YES = np.array([True, False])


@pytest.mark.parametrize("figure", [choose_threshold, reliability, expected_calibration_error, risk_coverage])
@pytest.mark.parametrize(
    ("confidence", "right", "complaint"),
    [
        (np.zeros(0), np.zeros(0, bool), "no answers"),
        (GOOD, YES[:1], "expected bool"),
        (GOOD, np.array([1, 0]), "expected bool"),
        (GOOD[None], YES, "expected floats"),
        (np.array([1, 0]), YES, "expected floats"),
        (np.array([0.9, np.nan]), YES, "row 1"),
        (np.array([1.1, 0.5]), YES, "row 0"),
    ],
)
def test_answers_refused(
    figure: Callable[..., object], confidence: np.ndarray, right: np.ndarray, complaint: str
) -> None:
    with pytest.raises(InputError, match=complaint):
        figure(confidence, right)


@pytest.mark.parametrize(
    ("logits", "labels", "complaint"),
    [
        (np.zeros((0, 10)), np.zeros(0, int), "no logits"),
        (np.zeros((2, 9)), np.zeros(2, int), "expected floats"),
        (np.zeros((2, 10)), np.zeros(3, int), "expected integers"),
        (np.zeros((2, 10)), np.zeros(2), "expected integers"),
        (np.array([[0.0] * 10, [np.inf] * 10]), np.zeros(2, int), "row 1"),
        (np.zeros((2, 10)), np.array([3, 10]), "label 10 at row 1"),
    ],
)
def test_logits_refused(logits: np.ndarray, labels: np.ndarray, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        fit_temperature(logits, labels)


@pytest.mark.parametrize("rate", [0.0, 1.0, -0.1, float("nan")])
def test_rates_refused(rate: float) -> None:
    with pytest.raises(InputError, match="error rate"):
        choose_threshold(GOOD, YES, rate)


@pytest.mark.parametrize(("successes", "n"), [(0, 0), (-1, 5), (6, 5)])
def test_counts_refused(successes: int, n: int) -> None:
    with pytest.raises(InputError, match="successes"):
        wilson(successes, n)


def test_no_bins_are_refused() -> None:
    with pytest.raises(InputError, match="0 bins"):
        reliability(GOOD, YES, bins=0)
