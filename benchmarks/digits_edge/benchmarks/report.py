"""Results as tables for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from digits_edge.benchmarks.estimates import Estimate
from digits_edge.benchmarks.history import Change, Comparison, Verdict
from digits_edge.benchmarks.results import Ratio, Results, SubjectResult
from digits_edge.benchmarks.scenarios import BATCHES, LARGEST, QUICK

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

_MARKS = {Verdict.BETTER: "[green]better[/]", Verdict.WORSE: "[red]worse[/]", Verdict.SAME: ""}


def print_results(results: Results, console: Console) -> None:
    """Prints everything, the ratios last: they are what to look at."""
    for part in _parts(results):
        console.print(part, soft_wrap=isinstance(part, str))


def print_comparison(comparison: Comparison, console: Console) -> None:
    """Prints each shared figure then and now; on the same machine, marks changes beyond the noise."""
    if not comparison.comparable:
        reasons = "; ".join(comparison.reasons)
        console.print(
            f"Not comparable, so nothing here is better or worse: {reasons}", markup=False, soft_wrap=True
        )
    table = _table()
    for heading in ("subject", "figure"):
        table.add_column(heading)
    for heading in ("then", "now", "now ÷ then", ""):
        table.add_column(heading, justify="right")
    for change in comparison.changes:
        mark = _MARKS[change.verdict] if comparison.comparable else ""
        table.add_row(_plain(change.subject), _plain(change.figure), *_then_and_now(change), mark)
    console.print(_title("Then and now; in brackets, what the spreads of both leave open"))
    console.print(table)


def _parts(results: Results) -> Iterator[RenderableType]:
    yield "\n".join(_head(results))
    yield _title("A cold start: medians of fresh processes, files in the disk cache")
    yield _start_table(results.subjects)
    yield _title("One image at a time, µs")
    yield _latency_table(results.subjects)
    yield _title(f"Images a second by batch size, and processor time an image in batches of {LARGEST:,}")
    yield _rate_table(results.subjects)
    if any(rate.workers for subject in results.subjects for rate in subject.rates):
        yield _title(f"Images a second in batches of {LARGEST:,}, by workers")
        yield _workers_table(results.subjects)
    if ratios := results.ratios():
        yield _title("How many times the throughput, round by round: median and middle 80 %")
        yield _ratio_table(ratios)
    if results.notes:
        yield "\n" + "\n".join(f"[yellow]note:[/] {_plain(note)}" for note in results.notes)


def _head(results: Results) -> Iterator[str]:
    load = "" if results.load_average is None else f"; load average {results.load_average:.2f} at the start"
    rounds = len(results.subjects[0].rates[0].images_per_second.rounds)
    yield _plain(f"{results.machine}{load}")
    yield (
        f"{rounds} rounds, every subject in each; medians, ± half the width of the middle 80 % of them; "
        f"answers checked on {results.data.images:,} test images of {_plain(results.data.name)}"
    )
    if results.effort == QUICK.name:
        yield "[yellow]quick: a first look in seconds; leave out --quick for figures to rely on[/]"


def _start_table(subjects: Sequence[SubjectResult]) -> Table:
    table = _table()
    table.add_column("subject")
    table.add_column("engine")
    for heading in (
        "accuracy", "file\nKiB", "import\nlibraries\nms", "import\nruntime\nms", "load\nms", "first\ncall ms",
        "start to\nanswer ms", "peak\nMiB",
    ):  # fmt: skip
        table.add_column(heading, justify="right")
    for subject in subjects:
        start = subject.start
        table.add_row(
            _plain(subject.name),
            subject.engine,
            f"{subject.accuracy:.2%}",
            f"{subject.bytes / 1024:,.0f}",
            f"{start.libraries_ms.median:,.0f}",
            "–" if start.own_ms is None else f"{start.own_ms.median:.1f}",
            f"{start.load_ms.median:,.1f}",
            f"{start.first_ms.median:,.2f}",
            f"{start.ready_ms.median:,.0f}",
            "–" if start.peak_mib is None else f"{start.peak_mib.median:,.0f}",
        )
    return table


def _latency_table(subjects: Sequence[SubjectResult]) -> Table:
    table = _table()
    table.add_column("subject")
    for heading in ("p50", "p90", "p99", "calls"):
        table.add_column(heading, justify="right")
    for subject in subjects:
        latency = subject.latency
        figures = (latency.p50_us, latency.p90_us, latency.p99_us)
        table.add_row(_plain(subject.name), *map(_figure, figures), f"{latency.calls:,}")
    return table


def _rate_table(subjects: Sequence[SubjectResult]) -> Table:
    table = _table()
    table.add_column("subject")
    for batch in BATCHES:
        table.add_column(f"{batch:,}", justify="right")
    table.add_column("CPU µs\nan image", justify="right")
    for subject in subjects:
        rates = [subject.rate(batch) for batch in BATCHES]
        largest = rates[-1]
        table.add_row(
            _plain(subject.name),
            *("–" if rate is None else _figure(rate.images_per_second) for rate in rates),
            "–" if largest is None else f"{1e6 * largest.cpu_seconds_per_image.median:,.1f}",
        )
    return table


def _workers_table(subjects: Sequence[SubjectResult]) -> Table:
    asked = sorted({rate.workers for subject in subjects for rate in subject.rates if rate.workers})
    table = _table()
    table.add_column("subject")
    for workers in asked:
        table.add_column(f"{workers}", justify="right")
    table.add_column("by default", justify="right")
    for subject in subjects:
        if not subject.is_baseline:
            rates = [subject.rate(LARGEST, workers) for workers in (*asked, None)]
            cells = ["–" if rate is None else _figure(rate.images_per_second) for rate in rates]
            table.add_row(_plain(subject.name), *cells[:-1], f"{cells[-1]} ({subject.default_workers})")
    return table


def _ratio_table(ratios: Sequence[Ratio]) -> Table:
    table = _table()
    table.add_column("subject")
    table.add_column("batch", justify="right")
    baselines = list(dict.fromkeys(ratio.baseline for ratio in ratios))
    for baseline in baselines:
        table.add_column(_plain(f"÷ {baseline}"), justify="right")
    found = {(ratio.subject, ratio.batch, ratio.baseline): ratio.ratio for ratio in ratios}
    for subject in dict.fromkeys(ratio.subject for ratio in ratios):
        for batch in (BATCHES[0], LARGEST):
            each = [found.get((subject, batch, baseline)) for baseline in baselines]
            cells = [
                "–" if it is None else f"[bold]{it.median:.2f}[/] ({it.low:.2f}–{it.high:.2f})" for it in each
            ]
            table.add_row(_plain(subject), f"{batch:,}", *cells)
    return table


def _plain(text: str) -> str:
    """Text with brackets that stay brackets: names and paths are the user's."""
    from rich.markup import escape

    return escape(text)


def _title(text: str) -> str:
    return f"\n[bold]{text}[/]"


def _table() -> Table:
    from rich import box
    from rich.table import Table

    return Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)


def _figure(estimate: Estimate) -> str:
    spread = f"{estimate.spread:.0%}" if estimate.spread < 10 else ">999%"
    return f"{_number(estimate.median)} ±{spread}"


def _then_and_now(change: Change) -> tuple[str, str, str]:
    spread = f"{change.ratio:.2f} ({change.low:.2f}–{change.high:.2f})"
    return _figure(change.then), _figure(change.now), spread


def _number(value: float) -> str:
    """Three digits at least, thousands separated, no exponent."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
