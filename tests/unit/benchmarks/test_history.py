"""Then and now: what is a regression, and what is the machine."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest

from digits_edge.benchmarks.errors import RegressionError
from digits_edge.benchmarks.history import Change, Comparison, Verdict, compare
from digits_edge.benchmarks.results import Results
from digits_edge.runtime.errors import InputError

Make = Callable[..., Results]


def change(comparison: Comparison, subject: str, figure: str) -> Change:
    (found,) = [it for it in comparison.changes if (it.subject, it.figure) == (subject, figure)]
    return found


def test_the_same_again_is_the_same(make_results: Make) -> None:
    comparison = compare(make_results(), make_results())
    assert comparison.comparable
    assert {it.verdict for it in comparison.changes} == {Verdict.SAME}
    comparison.require_no_regression(0)


def test_half_the_throughput_is_worse_and_twice_is_better(make_results: Make) -> None:
    figure = "images/s, batch 1,024"
    slower = compare(make_results(), make_results(own=0.5))
    assert change(slower, "own", figure).verdict is Verdict.WORSE
    assert change(slower, "own", figure).loss == pytest.approx(50)
    faster = compare(make_results(), make_results(own=2))
    assert change(faster, "own", figure).verdict is Verdict.BETTER
    assert change(faster, "own", figure).loss == pytest.approx(-100)


def test_a_longer_latency_and_more_memory_are_worse(make_results: Make) -> None:
    comparison = compare(make_results(), make_results(own=0.5, memory=2))
    for figure in (
        "one image p50, µs",
        "one image p99, µs",
        "load, ms",
        "own import, ms",
        "peak memory, MiB",
    ):
        assert change(comparison, "own", figure).verdict is Verdict.WORSE, figure
        assert change(comparison, "own", figure).loss == pytest.approx(100)


def test_a_change_within_the_noise_is_none(make_results: Make) -> None:
    restless = (0.7, 1.3, 0.8, 1.2, 1.0)
    comparison = compare(make_results(rounds=restless), make_results(rounds=restless, own=0.8))
    found = change(comparison, "own", "images/s, batch 1,024")
    assert found.ratio == pytest.approx(0.8)
    assert found.low < 1 < found.high
    assert found.verdict is Verdict.SAME
    comparison.require_no_regression(5)


def test_a_change_of_next_to_nothing_is_none_however_calm_the_machine(make_results: Make) -> None:
    still = (1.0, 1.0, 1.0)
    comparison = compare(make_results(rounds=still), make_results(rounds=still, memory=1.01))
    assert change(comparison, "own", "peak memory, MiB").verdict is Verdict.SAME
    comparison = compare(make_results(rounds=still), make_results(rounds=still, memory=1.03))
    assert change(comparison, "own", "peak memory, MiB").verdict is Verdict.WORSE


def test_only_a_loss_of_more_than_allowed_fails(make_results: Make) -> None:
    comparison = compare(make_results(), make_results(own=0.9))
    comparison.require_no_regression(15)
    with pytest.raises(RegressionError, match="worse than before by more than 5 % and the noise"):
        comparison.require_no_regression(5)


@pytest.mark.parametrize("percent", [-1.0, float("nan")])
def test_an_allowance_that_is_none_is_refused(percent: float, make_results: Make) -> None:
    with pytest.raises(InputError, match="expected 0 or more"):
        compare(make_results(), make_results()).require_no_regression(percent)


def test_a_slower_machine_is_no_regression_where_there_is_a_baseline(make_results: Make) -> None:
    then = make_results(baseline=True)
    comparison = compare(then, make_results(baseline=True, own=0.6, drift=0.6))
    assert change(comparison, "own", "images/s, batch 1,024").verdict is Verdict.WORSE
    assert change(comparison, "own", "images/s ÷ naive, batch 1,024").verdict is Verdict.SAME
    comparison.require_no_regression(0)


def test_a_loss_against_the_baseline_is_a_regression_on_a_faster_machine_too(make_results: Make) -> None:
    then = make_results(baseline=True)
    comparison = compare(then, make_results(baseline=True, own=1.0, drift=1.5))
    assert change(comparison, "own", "images/s, batch 1,024").verdict is Verdict.SAME
    with pytest.raises(RegressionError, match="own, images/s ÷ naive"):
        comparison.require_no_regression(10)


def test_memory_counts_whether_there_is_a_baseline_or_not(make_results: Make) -> None:
    comparison = compare(make_results(baseline=True), make_results(baseline=True, memory=1.5))
    with pytest.raises(RegressionError, match="peak memory, MiB: 90 then, 135 now"):
        comparison.require_no_regression(10)


def test_a_slower_baseline_is_nobodys_regression(make_results: Make) -> None:
    comparison = compare(make_results(baseline=True), make_results(baseline=True, drift=0.5))
    assert change(comparison, "naive", "images/s, batch 1,024").verdict is Verdict.WORSE
    comparison.require_no_regression(0)


def test_another_machine_is_shown_but_never_called_a_regression(make_results: Make) -> None:
    then, now = make_results(), make_results(own=0.1)
    machine = dataclasses.replace(now.machine, processor="Abacus", quota=1.5)
    comparison = compare(then, dataclasses.replace(now, machine=machine))
    assert not comparison.comparable
    assert comparison.changes
    assert "processor: Testor 3000 then, Abacus now" in comparison.reasons[0]
    with pytest.raises(RegressionError, match=r"cannot tell .*Abacus now; quota: unknown then, 1.5 now"):
        comparison.require_no_regression(50)


def test_another_library_another_engine_or_other_workers_are_no_regression_either(make_results: Make) -> None:
    then = make_results()
    own = then.subjects[0]
    libraries = {**then.machine.libraries, "onnxruntime": "9.9"}
    others = [
        dataclasses.replace(then, machine=dataclasses.replace(then.machine, libraries=libraries)),
        dataclasses.replace(then, subjects=(dataclasses.replace(own, engine="onnxruntime 9.9"),)),
        dataclasses.replace(then, subjects=(dataclasses.replace(own, default_workers=4),)),
    ]
    for now, reason in zip(
        others, ("onnxruntime 9.9", "onnxruntime 9.9", "2 workers then, 4 now"), strict=True
    ):
        comparison = compare(then, now)
        assert not comparison.comparable
        assert reason in comparison.reasons[0]


def test_nothing_in_common_cannot_be_compared(make_results: Make) -> None:
    then = make_results()
    renamed = dataclasses.replace(then, subjects=(dataclasses.replace(then.subjects[0], name="new"),))
    assert compare(then, renamed).reasons == ("no subject in common (own then)",)


def test_only_figures_that_both_have_are_compared(make_results: Make) -> None:
    then = make_results()
    own = then.subjects[0]
    start = dataclasses.replace(own.start, peak_mib=None)
    fewer = dataclasses.replace(own, rates=own.rates[:1], start=start)
    figures = [it.figure for it in compare(then, dataclasses.replace(then, subjects=(fewer,))).changes]
    assert figures == [
        "images/s, batch 1",
        "one image p50, µs",
        "one image p90, µs",
        "one image p99, µs",
        "own import, ms",
        "load, ms",
        "first call, ms",
    ]


def test_the_json_says_what_the_table_says(make_results: Make) -> None:
    comparison = compare(make_results(), make_results(own=0.5))
    values = comparison.to_json()
    assert values["comparable"] is True
    (rate,) = [it for it in values["changes"] if it["figure"] == "images/s, batch 1,024"]
    assert (rate["verdict"], rate["ratio"]) == ("worse", pytest.approx(0.5))
