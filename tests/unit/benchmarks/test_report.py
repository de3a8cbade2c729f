"""What a reader gets to see."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from digits_edge.benchmarks.history import compare
from digits_edge.benchmarks.notes import notes
from digits_edge.benchmarks.outputs import Outputs
from digits_edge.benchmarks.report import print_comparison, print_results
from digits_edge.benchmarks.results import Results
from digits_edge.runtime.errors import InputError

Make = Callable[..., Results]


def shown(show: Callable[[Console], None]) -> str:
    text = io.StringIO()
    show(Console(file=text, width=160))
    return text.getvalue()


def test_the_ratios_stand_in_the_last_table(make_results: Make) -> None:
    text = shown(lambda console: print_results(make_results(baseline=True), console))
    last = text[text.index("How many times the throughput") :]
    assert "÷ naive" in last
    row = next(line for line in last.splitlines() if line.startswith("own") and "1,024" in line)
    assert "4.00 (4.00–4.00)" in row


def test_figures_machine_accuracy_and_notes_are_there(make_results: Make) -> None:
    text = shown(lambda console: print_results(make_results(), console))
    for part in (
        "Testor 3000", "onnxruntime 1.2.3", "load average 0.25", "2,000 test images of mnist", "99.31%",
        "5,000 ±2%", "1,500 ±2%", "quick: a first look", "note: something was running", "5 rounds",
    ):  # fmt: skip
        assert part in text


def test_brackets_in_a_name_are_no_markup(make_results: Make) -> None:
    results = make_results()
    results = dataclasses.replace(
        results, subjects=(dataclasses.replace(results.subjects[0], name="a[red]b"),)
    )
    assert "a[red]b" in shown(lambda console: print_results(results, console))


def test_a_comparison_marks_what_changed(make_results: Make) -> None:
    then = make_results()
    text = shown(lambda console: print_comparison(compare(then, make_results(own=0.5)), console))
    row = next(line for line in text.splitlines() if "images/s, batch 1,024 " in line)
    assert "5,000 ±2%" in row
    assert "2,500 ±2%" in row
    assert row.rstrip().endswith("worse")
    memory = next(line for line in text.splitlines() if "peak memory" in line)
    assert "worse" not in memory


def test_a_comparison_across_machines_marks_nothing_and_says_why(make_results: Make) -> None:
    then, now = make_results(), make_results(own=0.5)
    now = dataclasses.replace(now, machine=dataclasses.replace(now.machine, processors=64))
    text = shown(lambda console: print_comparison(compare(then, now), console))
    assert "Not comparable" in text
    assert "processors: 2 then, 64 now" in text
    assert "worse" not in text.replace("better or worse", "")
    assert "0.50" in text


def test_a_calm_machine_needs_no_notes(make_results: Make) -> None:
    steady = tuple(
        dataclasses.replace(subject, rates=tuple(rate for rate in subject.rates if rate.workers is None))
        for subject in make_results().subjects
    )
    assert notes(steady, 0.1) == ()
    assert notes(steady, None) == ()


def test_a_busy_machine_and_restless_figures_are_noted(make_results: Make) -> None:
    busy, restless, shared = notes(make_results(rounds=(0.5, 1.0, 1.5, 1.2, 0.7)).subjects, 3.21)
    assert "load average 3.2" in busy
    assert "3 of 3 throughputs vary" in restless
    assert "26% of a processor" in shared  # 2,600 images a second, 0.1 ms each


def test_the_picture_is_a_png(make_results: Make, tmp_path: Path) -> None:
    results = make_results(baseline=True)
    outputs = Outputs(save=tmp_path / "new" / "bench.json", plot=tmp_path / "new" / "bench.png")
    outputs.make_directories()
    assert outputs.write(results) == (outputs.save, outputs.plot)
    assert (tmp_path / "new" / "bench.png").read_bytes().startswith(b"\x89PNG")
    assert Results.load(tmp_path / "new" / "bench.json") == results


def test_outputs_that_cannot_be_written_are_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a directory"):
        Outputs(save=tmp_path)
    with pytest.raises(InputError, match=r"ends in \.png"):
        Outputs(plot=tmp_path / "plot.pdf")
