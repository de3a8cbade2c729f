"""``digits-edge bench``: how fast, how large and how right."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from digits_edge.benchmarks.benchmark import Request
    from digits_edge.benchmarks.history import Comparison
    from digits_edge.benchmarks.results import Results


def bench(
    bundles: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="BUNDLE", help="Bundles to measure; the one inside the runtime if none is given."
        ),
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option(
            help="Finished run; adds baselines made from its model: Keras predict, and what the stock "
            "converters give, in plain ONNX Runtime and LiteRT."
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Data whose test images are answered and checked; the bundled MNIST if not given."),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="A first look: fewer, shorter rounds, fewer images.")
    ] = False,
    save: Annotated[Path | None, typer.Option(help="Write the result as JSON.")] = None,
    compare: Annotated[
        Path | None, typer.Option(help="A result saved before, to hold this one against.")
    ] = None,
    fail_on_regression: Annotated[
        float | None,
        typer.Option(
            min=0,
            metavar="PERCENT",
            help="With --compare: exit 1 if a figure is worse by more than this and more than the noise.",
        ),
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw the result as a PNG.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Measure bundles in the runtime: cold start, latency, throughput, memory, size, accuracy.

    Everything is measured in turns, round by round, each subject in a process of its own, and every answer
    that is timed is checked. Absolute figures drift with what else the machine does; ratios of one run hold.

    Example: digits-edge bench --quick

    Example: digits-edge bench bundles/* --run runs/reference --save bench.json --plot bench.png
    """
    from digits_edge.benchmarks.benchmark import Request
    from digits_edge.benchmarks.history import compare as compare_results
    from digits_edge.benchmarks.outputs import Outputs
    from digits_edge.benchmarks.results import Results
    from digits_edge.benchmarks.scenarios import FULL, QUICK

    if fail_on_regression is not None and compare is None:
        raise typer.BadParameter(
            "needs --compare, a result to hold this one against", param_hint="--fail-on-regression"
        )
    before = None if compare is None else Results.load(compare)
    outputs = Outputs(save, plot)
    outputs.make_directories()
    results = _measure(Request(tuple(bundles or ()), run, data, QUICK if quick else FULL))
    comparison = None if before is None else compare_results(before, results)
    for written in outputs.write(results):
        typer.echo(f"written: {written}", err=True)
    _print(results, comparison, as_json=as_json)
    if comparison is not None and fail_on_regression is not None:
        comparison.require_no_regression(fail_on_regression)


def _measure(request: Request) -> Results:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from digits_edge.benchmarks.benchmark import run_benchmark

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("")
        return run_benchmark(
            request,
            lambda what, done, total: progress.update(task, description=what, completed=done, total=total),
        )


def _print(results: Results, comparison: Comparison | None, *, as_json: bool) -> None:
    from digits_edge.benchmarks.report import print_comparison, print_results
    from digits_edge.cli.printing import output, print_json

    if as_json:
        values = results.to_json() | ({} if comparison is None else {"comparison": comparison.to_json()})
        print_json(values)
        return
    print_results(results, output())
    if comparison is not None:
        print_comparison(comparison, output())
