"""Results on disk: what is written is what is read, and nothing else is."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from digits_edge.benchmarks.errors import SaveError
from digits_edge.benchmarks.results import Results
from digits_edge.runtime.errors import InputError

Make = Callable[..., Results]


@pytest.mark.parametrize("baseline", [False, True])
def test_a_round_trip(baseline: bool, make_results: Make, tmp_path: Path) -> None:
    results = make_results(baseline=baseline)
    results.save(tmp_path / "save.json")
    assert Results.load(tmp_path / "save.json") == results
    assert [file.name for file in tmp_path.iterdir()] == ["save.json"]


def test_ratios_are_easy_to_read_off_the_file(make_results: Make, tmp_path: Path) -> None:
    make_results(baseline=True, own=1.0, drift=1.0).save(tmp_path / "save.json")
    values = json.loads((tmp_path / "save.json").read_text())
    (ratio,) = [it for it in values["ratios"] if it["batch"] == 1024]
    assert (ratio["subject"], ratio["baseline"]) == ("own", "naive")
    assert ratio["ratio"]["median"] == pytest.approx(4)
    assert values["subjects"][0]["rates"][1]["images_per_second"]["median"] == pytest.approx(5000)


def test_without_baselines_the_first_bundle_is_the_measure(make_results: Make) -> None:
    results = make_results()
    other = dataclasses.replace(results.subjects[0], name="other")
    both = dataclasses.replace(results, subjects=(*results.subjects, other))
    assert {(it.subject, it.baseline) for it in both.ratios()} == {("other", "own")}
    assert all(it.ratio.median == pytest.approx(1) for it in both.ratios())
    assert results.ratios() == ()


def mended(values: dict[str, Any], place: str, value: object) -> dict[str, Any]:
    """The values with another one at a place like ``subjects.0.name``; None removes it."""
    *path, last = place.split(".")
    target: Any = values
    for step in path:
        target = target[int(step) if step.isdigit() else step]
    if value is None:
        del target[last]
    else:
        target[last] = value
    return values


@pytest.mark.parametrize(
    ("place", "value", "complaint"),
    [
        ("schema", 2, "schema 2; this version reads 1"),
        ("schema", None, "schema None"),
        ("created", None, "created is missing"),
        ("surprise", 1, "surprise is not known"),
        ("machine.processors", "two", r"machine\.processors is 'two'; expected int"),
        ("machine.processors", True, r"machine\.processors is 'True'; expected int"),
        ("machine.libraries.numpy", 2, r"machine\.libraries\.numpy is '2'; expected str"),
        ("subjects", {}, r"subjects is '{}'; expected list"),
        ("subjects", [], r"subjects \[\]; expected one at least"),
        ("subjects.0.kind", "abacus", r"subjects\[0\]\.kind is 'abacus'; expected one of runtime, keras"),
        ("subjects.0.accuracy", 1.5, "accuracy 1.5"),
        ("subjects.0.accuracy", math.nan, "accuracy nan"),
        ("subjects.0.bytes", 0, "0 bytes"),
        ("subjects.0.rates.1.batch", 1.5, r"subjects\[0\]\.rates\[1\]\.batch is '1.5'; expected int"),
        ("subjects.0.rates.1.batch", 0, r"subjects\[0\]\.rates\[1\]: batch 0"),
        ("subjects.0.rates.1.batch", 1, "two rates for one batch size"),
        ("subjects.0.start.load_ms.rounds", [], r"start\.load_ms: rounds \(\)"),
        ("subjects.0.start.load_ms.rounds", [1.0, "2"], r"rounds\[1\] is '2'; expected float"),
        ("subjects.0.start.load_ms.rounds", [1.0, -2.0], "not negative"),
        ("subjects.0.start.load_ms.median", 99.0, "the rounds say"),
        ("subjects.0.latency", 3, r"subjects\[0\]\.latency is '3'; expected dict"),
    ],
)
def test_a_damaged_file_is_refused_and_the_place_named(
    place: str, value: object, complaint: str, make_results: Make, tmp_path: Path
) -> None:
    file = tmp_path / "save.json"
    file.write_text(json.dumps(mended(make_results().to_json(), place, value)))
    with pytest.raises(SaveError, match=complaint) as caught:
        Results.load(file)
    assert str(file) in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("text", ["", "{", "[]", "7", '"schema"', "[" * 100_000, "\x00"])
def test_what_is_no_result_at_all_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "save.json").write_text(text)
    with pytest.raises(SaveError, match=r"save\.json"):
        Results.load(tmp_path / "save.json")


def test_a_file_that_is_not_there_or_not_a_file(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "gone.json"):
        with pytest.raises(SaveError, match="expected a file made by --save"):
            Results.load(path)


def test_two_subjects_of_one_name_are_refused(make_results: Make) -> None:
    results = make_results()
    with pytest.raises(InputError, match="each name once"):
        dataclasses.replace(results, subjects=results.subjects * 2)
