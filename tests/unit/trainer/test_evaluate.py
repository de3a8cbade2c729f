"""Evaluation against figures worked out by hand, and what it refuses."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from digits_edge.runtime.errors import InputError
from digits_edge.trainer.evaluate import evaluate


def answers(*rows: dict[int, float]) -> np.ndarray:
    """Distributions from the probabilities that matter; the rest is spread evenly."""
    made = []
    for row in rows:
        rest = (1 - sum(row.values())) / (10 - len(row))
        made.append([row.get(digit, rest) for digit in range(10)])
    return np.array(made, np.float32)


# Labels 3, 3, 7, 0; the second 3 is taken for an 8.
PROBABILITIES = answers({3: 0.9}, {8: 0.6, 3: 0.3}, {7: 0.5}, {0: 0.8})
LABELS = np.array([3, 3, 7, 0], np.uint8)


def test_figures_worked_out_by_hand() -> None:
    found = evaluate(PROBABILITIES, LABELS)
    assert found.images == 4
    assert found.accuracy == 0.75
    assert found.loss == pytest.approx(-np.log([0.9, 0.3, 0.5, 0.8]).mean(), abs=1e-6)

    three, eight, one = found.classes[3], found.classes[8], found.classes[1]
    assert (three.precision, three.recall, three.support) == (1.0, 0.5, 2)
    assert three.f1 == pytest.approx(2 / 3)
    assert (eight.precision, eight.recall, eight.support) == (0.0, 0.0, 0)
    assert (one.precision, one.recall, one.f1, one.support) == (0.0, 0.0, 0.0, 0)

    expected = np.zeros((10, 10), int)
    expected[3, 3] = expected[3, 8] = expected[7, 7] = expected[0, 0] = 1
    np.testing.assert_array_equal(found.confusion, expected)

    (error,) = found.errors
    assert (error.row, error.true, error.predicted) == (1, 3, 8)
    assert error.confidence == pytest.approx(0.6)


def test_errors_carry_the_row_numbers_they_were_given() -> None:
    (error,) = evaluate(PROBABILITIES, LABELS, rows=[40, 17, 9, 2]).errors
    assert error.row == 17


def test_the_loss_is_keras_loss() -> None:
    import keras

    random = np.random.default_rng(3)
    probabilities = random.dirichlet(np.full(10, 0.2), 500).astype(np.float32)
    labels = random.integers(0, 10, 500)
    expected = keras.losses.sparse_categorical_crossentropy(labels, probabilities)
    assert evaluate(probabilities, labels).loss == pytest.approx(float(np.mean(expected)), rel=1e-4)


def test_a_certain_error_has_a_finite_loss() -> None:
    assert math.isfinite(evaluate(np.eye(10, dtype=np.float32), np.roll(np.arange(10), 1)).loss)


def test_it_survives_json() -> None:
    found = evaluate(PROBABILITIES, LABELS)
    values = json.loads(json.dumps({**found.summary(), **found.details()}, allow_nan=False))
    assert (values["images"], values["errors"][0]["predicted"]) == (4, 8)
    assert values["confusion"][3][8] == 1
    assert values["classes"][3]["label"] == 3
    assert found.summary()["errors"] == 1


def spoiled(value: float) -> np.ndarray:
    probabilities = PROBABILITIES.copy()
    probabilities[2, 4] = value
    return probabilities


@pytest.mark.parametrize(
    ("probabilities", "labels", "complaint"),
    [
        (spoiled(np.nan), LABELS, "row 2"),
        (spoiled(np.inf), LABELS, "row 2"),
        (spoiled(-0.1), LABELS, "row 2"),
        (spoiled(0.9), LABELS, "row 2"),
        (np.zeros((0, 10), np.float32), np.zeros(0, np.uint8), "no images"),
        (PROBABILITIES[:, :9], LABELS, "expected floats"),
        (PROBABILITIES.astype(int), LABELS, "expected floats"),
        (PROBABILITIES, LABELS[:3], "expected integers"),
        (PROBABILITIES, LABELS.astype(float), "expected integers"),
        (PROBABILITIES, np.array([3, 3, 10, 0]), "label 10 at row 2"),
        (PROBABILITIES, np.array([3, -1, 7, 0]), "label -1 at row 1"),
    ],
)
def test_refused(probabilities: np.ndarray, labels: np.ndarray, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        evaluate(probabilities, labels)


def test_row_numbers_must_be_one_an_image() -> None:
    with pytest.raises(InputError, match="row numbers"):
        evaluate(PROBABILITIES, LABELS, rows=[1, 2])
