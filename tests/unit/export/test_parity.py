"""The statistics of a proof have the values they should, and the gate opens exactly up to its bar."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import rel_entr

from digits_edge.export.errors import ParityError
from digits_edge.export.parity import GATES, Gate, Parity, compare, mcnemar
from digits_edge.export.steadiness import BatchAnswers, Steadiness
from digits_edge.runtime import Precision


def answers(labels: list[int] | NDArray[np.integer], confidence: float = 0.91) -> NDArray[np.float32]:
    """Probabilities with these labels."""
    rest = (1 - confidence) / 9
    return np.where(np.eye(10, dtype=bool)[np.asarray(labels, int)], confidence, rest).astype(np.float32)


# Between the logits of a label with 91 %, or 82 %, and the rest.
SURE, LESS_SURE = np.log(0.91 / 0.01), np.log(0.82 / 0.02)


def logit_difference(original: NDArray[np.float32], exported: NDArray[np.float32]) -> NDArray[np.float64]:
    """The same by SciPy: |Δ log-softmax|, each row's mean taken off."""
    change = np.log(original.astype(float)) - np.log(exported.astype(float))
    return np.asarray(np.abs(change - change.mean(axis=1, keepdims=True)))


def parity(*, images: int = 10_000, lost: int = 0, won: int = 0, wavered: int = 0) -> Parity:
    """A comparison in which so many images went wrong, went right, or from one wrong label to another."""
    truth = np.zeros(images, np.uint8)
    original, exported = np.zeros(images, int), np.zeros(images, int)
    exported[:lost] = 1
    original[lost : lost + won] = 1
    original[lost + won : lost + won + wavered], exported[lost + won : lost + won + wavered] = 1, 2
    return compare(answers(original), answers(exported), truth, held_out="test")


def test_the_figures_of_a_small_comparison() -> None:
    #         right       lost  won  both wrong, other label
    truth = [0, 0, 1, 1, 2, 2, 3, 9]
    first = [0, 0, 1, 1, 2, 5, 4, 8]
    second = [0, 0, 1, 7, 2, 2, 4, 7]
    original, exported = answers(first), answers(second, confidence=0.82)
    found = compare(original, exported, np.array(truth, np.uint8), held_out="validation")
    assert asdict(found) == {
        "images": 8,
        "held_out": "validation",
        "accuracy_original": 5 / 8,
        "accuracy_exported": 5 / 8,
        "only_original_right": 1,
        "only_exported_right": 1,
        "mcnemar_p": 1.0,
        "disagreements": 3,
        "max_difference": pytest.approx(0.91 - 0.02, abs=1e-6),
        "mean_difference": pytest.approx(np.abs(original - exported).mean(), abs=1e-6),
        "p99_difference": pytest.approx(0.91 - 0.02, abs=1e-6),
        # What turns sure of another label moves a logit by all that stands between it and the rest.
        "max_logit_difference": pytest.approx(SURE - (SURE - LESS_SURE) / 10, abs=1e-5),
        "mean_logit_difference": pytest.approx(logit_difference(original, exported).mean(), abs=1e-5),
        "p99_logit_difference": pytest.approx(
            np.quantile(logit_difference(original, exported), 0.99), abs=1e-5
        ),
        "max_kl": pytest.approx(rel_entr(original, exported).sum(axis=1).max(), abs=1e-5),
        "mean_kl": pytest.approx(rel_entr(original, exported).sum(axis=1).mean(), abs=1e-5),
        "ece_original": pytest.approx(0.91 - 5 / 8, abs=1e-6),
        "ece_exported": pytest.approx(0.82 - 5 / 8, abs=1e-6),
        "recall_change": (0.0, -0.5, 0.5, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    }
    assert found.agreement == 5 / 8
    assert found.drop == 0.0
    assert found.to_json() == {**asdict(found), "agreement": 5 / 8, "drop_points": 0.0}


def test_a_drop_is_in_percentage_points_and_negative_where_some_was_won() -> None:
    assert parity(images=400, lost=3, won=1).drop == 0.5
    assert parity(images=400, lost=1, won=3).drop == -0.5


def test_identical_answers_differ_nowhere() -> None:
    found = parity()
    assert (found.max_difference, found.mean_difference, found.disagreements) == (0.0, 0.0, 0)
    assert found.mcnemar_p == 1.0
    assert all(not gate.misses(found) for gate in GATES.values())


@pytest.mark.parametrize(
    ("only_first", "only_second"), [(0, 0), (1, 0), (0, 5), (5, 5), (10, 3), (3, 10), (29, 17), (700, 40)]
)
def test_mcnemar_is_the_exact_binomial_test(only_first: int, only_second: int) -> None:
    from scipy.stats import binomtest

    tosses = only_first + only_second
    expected = binomtest(only_first, tosses).pvalue if tosses else 1.0
    assert mcnemar(only_first, only_second) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("original", "exported", "labels", "words"),
    [
        (answers([]), answers([]), [], "for 0 labels"),
        (answers([1, 2]), answers([1]), [1, 2], r"\(2, 10\) with \(1, 10\)"),
        (answers([1, 2]), answers([1, 2]), [1], "for 1 labels"),
        (answers([1])[:, :9], answers([1])[:, :9], [1], r"\(1, 9\)"),
        (answers([1]), answers([1], np.nan), [1], "not finite"),
        (answers([1], np.inf), answers([1]), [1], "not finite"),
    ],
)
def test_what_proves_nothing_is_an_error(
    original: NDArray[np.float32], exported: NDArray[np.float32], labels: list[int], words: str
) -> None:
    with pytest.raises(ParityError, match=words):
        compare(original, exported, np.array(labels, np.uint8), held_out="test")


# The gates.


def test_the_gates_are_those_that_were_promised() -> None:
    assert GATES.keys() == set(Precision)
    assert GATES[Precision.FLOAT32] == Gate(1e-5, 0.0, 1.0, max_batch_difference=1e-6)
    assert GATES[Precision.INT8] == Gate(None, 0.05, 0.998, max_batch_difference=0.0)
    assert {kind for kind, gate in GATES.items() if not gate.max_batch_difference} == {
        Precision.INT8,
        Precision.INT16X8,
    }


@pytest.mark.parametrize("images", [4_000, 7_000, 10_000, 42_000])
def test_int8_passes_at_the_bar_and_not_one_image_beyond(images: int) -> None:
    gate = GATES[Precision.INT8]
    allowed, others = images // 2000, images // 500
    assert gate.misses(parity(images=images, lost=allowed)) == []
    (miss,) = gate.misses(parity(images=images, lost=allowed + 1))
    assert "accuracy drop" in miss
    assert gate.misses(parity(images=images, lost=allowed + 1, won=1)) == []
    assert gate.misses(parity(images=images, wavered=others)) == []
    (miss,) = gate.misses(parity(images=images, wavered=others + 1))
    assert "agreement" in miss


def test_float32_must_give_every_label_and_nearly_every_digit_of_the_probabilities() -> None:
    gate, same = GATES[Precision.FLOAT32], parity()
    assert gate.misses(replace(same, max_difference=1e-5)) == []
    assert gate.misses(replace(same, max_difference=1.1e-5)) == ["max |Δp| 1.1e-05, allowed 1e-05"]
    assert len(gate.misses(parity(wavered=1))) == 2  # the label, and the probability that moved it
    assert len(gate.misses(parity(lost=1))) == 3


def test_a_figure_that_is_no_number_misses() -> None:
    broken = replace(parity(), max_difference=float("nan"))
    assert GATES[Precision.FLOAT32].misses(broken)


def test_a_miss_says_the_figure_and_the_bar() -> None:
    assert GATES[Precision.INT8].misses(parity(lost=31)) == [
        "accuracy drop 0.31 points, allowed 0.05",
        "agreement 99.69%, at least 99.80%",
    ]


def steady(*, difference: float = 0.0, repeats: bool = True, reopens: bool = True) -> Steadiness:
    """A file whose probabilities move by so much in a batch of 7."""
    batches = (
        BatchAnswers(2, identical=True, max_difference=0.0, max_logit_difference=0.0),
        BatchAnswers(7, identical=not difference, max_difference=difference, max_logit_difference=difference),
    )
    return Steadiness(32, batches, repeats=repeats, reopens=reopens)


def test_integers_may_not_move_a_bit_with_the_batch_and_floats_hardly() -> None:
    same = parity()
    exact, nearly = GATES[Precision.INT8], GATES[Precision.FLOAT32]
    assert exact.misses(same, steady()) == nearly.misses(same, steady()) == []
    assert nearly.misses(same, steady(difference=1e-6)) == []
    assert nearly.misses(same, steady(difference=1.1e-6)) == [
        "in a batch of 7, probabilities move by 1.1e-06, allowed 1e-06"
    ]
    assert exact.misses(same, steady(difference=1e-9)) == [
        "in a batch of 7, probabilities move by 1e-09, allowed not one bit of a logit"
    ]
    assert nearly.misses(same, steady(difference=float("nan")))


@pytest.mark.parametrize("precision", list(Precision))
def test_a_file_that_answers_in_two_ways_misses_whatever_its_precision(precision: Precision) -> None:
    gate = GATES[precision]
    assert ["twice" in miss for miss in gate.misses(parity(), steady(repeats=False))] == [True]
    assert ["anew" in miss for miss in gate.misses(parity(), steady(reopens=False))] == [True]


def test_a_probability_that_was_rounded_away_is_no_infinite_difference() -> None:
    sure, truth = np.eye(10, dtype=np.float32)[[3]], np.array([3], np.uint8)
    nearly = np.where(sure > 0, np.float32(1), np.float32(1e-38))
    found = compare(sure, nearly, truth, held_out="test")
    assert (found.max_logit_difference, found.max_kl) == (0.0, 0.0)
    assert 10 < compare(sure, answers([3]), truth, held_out="test").max_logit_difference < 100


def test_the_interval_of_the_agreement_holds_it() -> None:
    low, high = parity(images=1000, lost=3).same_label.interval
    assert low < 0.997 < high
    assert parity(images=1000).same_label.interval[1] == 1.0
