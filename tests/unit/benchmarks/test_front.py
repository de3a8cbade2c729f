"""Which networks are worth their cost, and what the published ones are judged by."""

from __future__ import annotations

from pathlib import Path

import pytest

from digits_edge.benchmarks import document
from digits_edge.benchmarks.errors import SaveError
from digits_edge.benchmarks.evaluations import read_evaluations
from digits_edge.benchmarks.front import Candidate, described, front_figure, on_front
from digits_edge.benchmarks.scorecard import Goal, scorecard
from digits_edge.trainer.architectures import Architecture
from digits_edge.trainer.figures import save

MODELS = Path(__file__).resolve().parents[3] / "models"


def candidate(multiply_adds: int, size: int, errors: int) -> Candidate:
    return Candidate((2, 2, 2, multiply_adds), multiply_adds, size, 1000, errors, 0.99)


def test_a_network_is_on_the_front_if_none_is_smaller_and_better() -> None:
    small, large = candidate(10, 10, 9), candidate(30, 30, 5)
    wasteful = candidate(20, 20, 9)  # as good as the small one, at more cost
    compact = candidate(40, 20, 5)  # as good as the large one, in fewer bytes
    assert on_front([small, wasteful, large, compact]) == [small, large, compact]
    assert on_front([small, small]) == [small, small]  # neither beats its equal


def test_the_table_and_the_picture_show_every_candidate(tmp_path: Path) -> None:
    found = [candidate(10, 10, 9), candidate(20, 20, 12), candidate(30, 30, 5)]
    text = "\n".join(described(found))
    assert "| 2,2,2,20 | 20 | 20 | 98.80% (12 errors of 1,000) | 99.00% |  |" in text
    assert text.count("| yes |") == 2
    save(front_figure(found), tmp_path / "front.png")
    assert (tmp_path / "front.png").read_bytes().startswith(b"\x89PNG")
    assert described([]) == []


@pytest.fixture(scope="module")
def goals() -> list[Goal]:
    trained, published = document.read_models(MODELS)
    return list(scorecard(trained, published, read_evaluations(MODELS / "evaluations")))


def test_the_published_models_hold_every_goal(goals: list[Goal]) -> None:
    assert [goal.what for goal in goals if not goal.held] == []
    seen = {goal.what for goal in goals}
    assert "edge, multiply-adds, part of the reference CNN's" in seen
    # Networks of other widths are published, too.
    assert "edge, int8 onnx, test images, mean of 3 seeds" in seen
    assert "edge, int8 tflite, test images, mean of 3 seeds" in seen
    assert any(what.startswith("teachers together") for what in seen)


def test_the_small_network_is_held_against_no_other_than_the_reference() -> None:
    _, published = document.read_models(MODELS)
    others = [bundle for bundle in published if bundle.architecture != Architecture.CNN]
    goals = {goal.what for goal in scorecard([], others, {})}
    assert "edge, int8 model file" in goals
    assert not any("multiply-adds" in what for what in goals)


def test_figures_below_their_goal_are_called_so() -> None:
    trained, published = document.read_models(MODELS)
    figures = read_evaluations(MODELS / "evaluations")["edge-onnx-int8"]
    poor = {**figures, "corruptions": {**figures["corruptions"], "mean": 0.9}}
    goals = {goal.what: goal for goal in scorecard(trained, published, {"edge-onnx-int8": poor})}
    goal = goals["edge int8, mean over the corruptions"]
    assert (goal.seen, goal.held) == ("90.00%", False)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"subject": {}}'])
def test_another_file_than_an_evaluation_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "some.json").write_text(text)
    with pytest.raises(SaveError, match="expected what `digits-edge evaluate"):
        read_evaluations(tmp_path)
