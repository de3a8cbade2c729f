"""Temperature and reject threshold of a bundle: chosen where they must be, and kept by the runtime."""

from __future__ import annotations

import numpy as np
import pytest

from digits_edge.export.sureness import choose_sureness
from digits_edge.runtime import Predictions


def answers(count: int, *, sharpness: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities that are wrong as often as they say, then made sharper than they ought to be."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 3, (count, 10))
    honest = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = (honest.cumsum(axis=1) < rng.random((count, 1))).sum(axis=1).clip(max=9)
    sharp = np.exp(logits * sharpness)
    return (sharp / sharp.sum(axis=1, keepdims=True)).astype(np.float32), labels.astype(np.uint8)


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 3.0])
def test_the_temperature_undoes_wrong_confidence(sharpness: float) -> None:
    sureness = choose_sureness(*answers(20_000, sharpness=sharpness), error_rate=0.05)
    assert sureness.temperature == pytest.approx(sharpness, rel=0.05)


def test_the_threshold_keeps_its_promise_on_other_images() -> None:
    probabilities, labels = answers(20_000, sharpness=2.0)
    sureness = choose_sureness(probabilities, labels, error_rate=0.05)
    assert sureness.errors / sureness.accepted <= 0.05
    assert 0.1 < sureness.coverage < 0.9
    others, truth = answers(20_000, sharpness=2.0, seed=1)
    logits = np.log(others)
    found = Predictions.from_logits(
        logits, temperature=sureness.temperature, threshold=sureness.reject_threshold
    )
    wrong = (found.labels != truth)[~found.rejected].mean()
    assert 0.035 < wrong < 0.055
    assert (~found.rejected).mean() == pytest.approx(sureness.coverage, abs=0.02)


def test_where_all_is_right_nothing_is_learned_and_too_few_images_promise_nothing() -> None:
    sure = np.full((50, 10), 0.01, np.float32)
    sure[:, 3] = 0.91
    sureness = choose_sureness(sure, np.full(50, 3, np.uint8), error_rate=0.001)
    assert (sureness.temperature, sureness.reject_threshold) == (1.0, 1.0)
    assert (sureness.accepted, sureness.coverage) == (0, 0.0)
    lenient = choose_sureness(sure, np.full(50, 3, np.uint8), error_rate=0.1)
    assert lenient.reject_threshold == pytest.approx(0.91)
    assert lenient.coverage == 1.0
