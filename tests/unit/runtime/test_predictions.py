"""From logits to answers."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from digits_edge.runtime import Prediction, Predictions

Logits = NDArray[np.float32]


def softmax(logits: Logits, temperature: float = 1.0) -> NDArray[np.longdouble]:
    """By the book, in 80 bits."""
    powers = np.exp((logits.astype(np.longdouble) - logits.max(axis=1, keepdims=True)) / temperature)
    probabilities: NDArray[np.longdouble] = powers / powers.sum(axis=1, keepdims=True)
    return probabilities


def row(*values: float) -> Logits:
    logits = np.zeros((1, 10), np.float32)
    logits[0, : len(values)] = values
    return logits


@pytest.fixture(scope="module")
def logits() -> Logits:
    return np.random.default_rng(0).normal(0, 5, (200, 10)).astype(np.float32)


@pytest.mark.parametrize("temperature", [1.0, 0.5, 1.7, 100.0, 0.01])
def test_probabilities_are_the_softmax_at_the_temperature(logits: Logits, temperature: float) -> None:
    predictions = Predictions.from_logits(logits, temperature=temperature, threshold=0.0)
    np.testing.assert_allclose(predictions.probabilities, softmax(logits, temperature), atol=1e-6)
    np.testing.assert_array_equal(predictions.labels, logits.argmax(axis=1))
    np.testing.assert_array_equal(
        predictions.confidence, predictions.probabilities[np.arange(200), predictions.labels]
    )


def test_types_and_shapes(logits: Logits) -> None:
    predictions = Predictions.from_logits(logits, temperature=1.0, threshold=0.5)
    for array, dtype, shape in (
        (predictions.labels, "int64", (200,)),
        (predictions.probabilities, "float32", (200, 10)),
        (predictions.confidence, "float32", (200,)),
        (predictions.rejected, "bool", (200,)),
    ):
        assert (str(array.dtype), array.shape) == (dtype, shape)


def test_a_temperature_moves_confidence_but_no_label(logits: Logits) -> None:
    cold, plain, hot = (
        Predictions.from_logits(logits, temperature=temperature, threshold=0.0)
        for temperature in (0.5, 1.0, 2.0)
    )
    assert (cold.confidence >= plain.confidence).all()
    assert (plain.confidence >= hot.confidence).all()
    assert hot.confidence.mean() < plain.confidence.mean() < cold.confidence.mean()
    np.testing.assert_array_equal(cold.labels, hot.labels)


def test_answers_below_the_threshold_are_rejected() -> None:
    sure, torn, unsure = row(9), row(1, 1), row()
    predictions = Predictions.from_logits(
        np.concatenate([sure, torn, unsure]), temperature=1.0, threshold=0.5
    )
    assert predictions.rejected.tolist() == [False, True, True]


def test_an_answer_at_the_threshold_is_kept() -> None:
    even = row(0.0, 0.0, *[-1e4] * 8)
    assert not Predictions.from_logits(even, temperature=1.0, threshold=0.5).rejected.any()
    assert not Predictions.from_logits(row(), temperature=1.0, threshold=0.0).rejected.any()


@pytest.mark.parametrize("largest", [1e3, 1e10, 1e30])
def test_large_logits_do_not_overflow(largest: float) -> None:
    predictions = Predictions.from_logits(row(largest, -largest, largest / 2), temperature=1.0, threshold=0.5)
    assert predictions.probabilities[0].tolist() == [1.0] + [0.0] * 9
    assert not predictions.rejected.any()


def test_what_is_not_a_number_is_rejected_whatever_the_threshold() -> None:
    predictions = Predictions.from_logits(row(np.nan, 3), temperature=1.0, threshold=0.0)
    assert predictions.rejected.all()


@settings(max_examples=50, deadline=None)
@given(
    values=st.lists(st.floats(-1e4, 1e4, width=32), min_size=10, max_size=10),
    temperature=st.floats(0.01, 100),
)
def test_probabilities_sum_to_one(values: list[float], temperature: float) -> None:
    predictions = Predictions.from_logits(row(*values), temperature=temperature, threshold=0.0)
    assert abs(float(predictions.probabilities.sum(dtype=np.float64)) - 1) < 1e-5
    assert (predictions.probabilities >= 0).all()
    assert predictions.confidence[0] == predictions.probabilities.max()


def test_the_logits_are_left_alone(logits: Logits) -> None:
    before = logits.copy()
    Predictions.from_logits(logits, temperature=2.0, threshold=0.5)
    np.testing.assert_array_equal(logits, before)


def test_a_result_cannot_be_changed(logits: Logits) -> None:
    predictions = Predictions.from_logits(logits, temperature=1.0, threshold=0.5)
    with pytest.raises(dataclasses.FrozenInstanceError):
        predictions.labels = np.zeros(200, np.int64)  # type: ignore[misc]
    for array in (
        predictions.labels,
        predictions.probabilities,
        predictions.confidence,
        predictions.rejected,
    ):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        predictions[0].label = 3  # type: ignore[misc]


def test_rows_are_plain_values() -> None:
    predictions = Predictions.from_logits(
        np.concatenate([row(0, 9), row(1, 1)]), temperature=1.0, threshold=0.6
    )
    first, second = predictions
    assert first == Prediction(1, first.confidence, rejected=False)
    assert first.confidence == pytest.approx(0.9989, abs=1e-4)
    assert second == predictions[1] == predictions[-1]
    assert second.rejected
    assert [type(value) for value in (first.label, first.confidence, first.rejected)] == [int, float, bool]
    assert len(predictions) == 2
    assert list(predictions) == [predictions[0], predictions[1]]
    with pytest.raises(IndexError):
        predictions[2]


def test_iterating_twice_gives_the_same() -> None:
    predictions = Predictions.from_logits(row(1, 2, 3), temperature=1.0, threshold=0.0)
    assert list(predictions) == list(predictions)
