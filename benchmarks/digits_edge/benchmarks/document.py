"""docs/results.md and README's table, written from the JSON of runs, bundles and measurements."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from digits_edge.benchmarks.errors import SaveError
from digits_edge.benchmarks.estimates import Estimate
from digits_edge.benchmarks.evaluations import evaluated
from digits_edge.benchmarks.front import candidates, described
from digits_edge.benchmarks.results import Ratio, Results, SubjectResult
from digits_edge.benchmarks.scenarios import BATCHES, FULL, LARGEST, QUICK
from digits_edge.benchmarks.scorecard import Goal, PublishedBundle, TrainedModel, scorecard
from digits_edge.benchmarks.subjects import Kind
from digits_edge.benchmarks.tables import Row, table
from digits_edge.export.parity import GATES
from digits_edge.runtime import InputError, Manifest, Precision
from digits_edge.runtime.manifest import MANIFEST_FILE
from digits_edge.trainer.commands import train_command
from digits_edge.trainer.runs import Run, write_atomically

_FLOAT32, _INT8 = GATES[Precision.FLOAT32], GATES[Precision.INT8]
_GATES = (
    "Each bundle in the runtime, each held-out image against Keras. Published only if float32 differs by at "
    f"most {_FLOAT32.max_difference:.0e} with every label the same, int8 loses at most {_INT8.max_drop:.2f} "
    f"points and keeps {_INT8.min_agreement:.1%} of the labels."
)
_CHOSEN = (
    "The notebook's recipe keeps the epoch with the least validation loss, the others keep the last. "
    "Temperatures and thresholds are chosen on validation images; no command chooses anything by test images."
)
_MARKED = re.compile(r"(<!-- results -->\n).*?(<!-- /results -->)", re.DOTALL)


def read_models(directory: Path) -> tuple[list[TrainedModel], list[PublishedBundle]]:
    """The finished runs and the bundles of a directory; those of a series lie one deeper.

    Raises:
        InputError: There are none.
        DigitsEdgeError: One of them is damaged.
    """
    trained = [
        TrainedModel(place.relative_to(directory).as_posix(), Run(place).config(), Run(place).metrics())
        for place in _holding("run.json", directory)
    ]
    published = [
        PublishedBundle(place.name, Manifest.from_json((place / MANIFEST_FILE).read_text("utf-8")))
        for place in _holding(MANIFEST_FILE, directory)
    ]
    if not trained or not published:
        raise InputError(
            f"{directory}: {len(trained)} runs and {len(published)} bundles; expected one of each at least"
        )
    return trained, published


def _holding(name: str, directory: Path) -> list[Path]:
    return sorted(path.parent for depth in ("*", "*/*") for path in directory.glob(f"{depth}/{name}"))


@dataclass(frozen=True)
class TrainingStep:
    """A timed training step, from the suite benchmarks/suites/test_training.py.

    Attributes:
        architecture: Which network.
        arithmetic: Which precision.
        fused: Whether BatchNorm was one kernel.
        batch: Images a step.
        median: Milliseconds.
        low: First quartile.
        high: Third quartile.
        machine: Where.
    """

    architecture: str
    arithmetic: str
    fused: bool
    batch: int
    median: float
    low: float
    high: float
    machine: str


def read_training_steps(path: Path) -> list[TrainingStep]:
    """Reads what pytest-benchmark saved of the training suite.

    Raises:
        SaveError: The file is missing or of another form.
    """
    try:
        return [_training_step(benchmark) for benchmark in json.loads(path.read_text("utf-8"))["benchmarks"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SaveError(
            f"{path}: {error!r}; expected what `make results` saves of the training suite"
        ) from error


def _training_step(benchmark: dict[str, Any]) -> TrainingStep:
    stats, about = benchmark["stats"], benchmark["extra_info"]
    return TrainingStep(
        architecture=about["architecture"],
        arithmetic=about["precision"],
        fused=about["fused"],
        batch=about["batch"],
        median=1e3 * stats["median"],
        low=1e3 * stats["q1"],
        high=1e3 * stats["q3"],
        machine=about["machine"],
    )


def document(
    trained: Sequence[TrainedModel],
    published: Sequence[PublishedBundle],
    evaluations: Mapping[str, Mapping[str, Any]],
    measured: Sequence[Results],
    steps: Sequence[TrainingStep],
    exports: Sequence[str],
) -> str:
    """The text of docs/results.md.

    Args:
        trained: Finished runs.
        published: Bundles exported from them.
        evaluations: What `digits-edge evaluate` printed, by the bundle's name.
        measured: Saved benchmarks.
        steps: Timed training steps.
        exports: Sections about exports.

    Raises:
        InputError: As in `require_same_files`.
    """
    require_same_files(published, measured)
    parts = [
        "# Results",
        "Written by `make results` from the JSON of runs, bundles and measurements; nothing is typed.",
        "## What the models are judged by",
        table(_goal_rows(scorecard(trained, published, evaluations))),
        "Each figure is explained, with its command, in one of the tables below.",
        "## Trained",
        _CHOSEN,
        table(_trained_rows(trained)),
        "Made by:",
        "```sh\n"
        + "\n".join(f"{train_command(model.config)} --out models/{model.name}" for model in trained)
        + "\n```",
        "## Still the same model?",
        _GATES,
        table(_parity_rows(published)),
        "Made by `digits-edge export models/RUN --format all --precision all --out models`, or less of it.",
    ]
    parts += evaluated(evaluations)
    parts += exports
    parts += described(candidates(trained, published))
    for results in measured:
        parts += _measurement(results)
    if steps:
        parts += [
            "## A training step",
            f"Measured on {steps[0].machine} by `pytest benchmarks/suites/test_training.py`.",
        ]
        parts += [table(_step_rows(steps))]
    return "\n\n".join(parts) + "\n"


def headline(published: Sequence[PublishedBundle], measured: Sequence[Results]) -> str:
    """The table that README quotes: a row a measured bundle.

    Raises:
        InputError: As in `require_same_files`.
    """
    require_same_files(published, measured)
    over = [f"÷ naive float ONNX, batch {batch:,}" for batch in (BATCHES[0], LARGEST)]
    rows: list[Row] = [("bundle", "file", "accuracy", "lost to Keras", "images/s", "one image", *over)]
    manifests = {bundle.name: bundle.manifest for bundle in published}
    for results in measured:
        for subject in results.subjects:
            if subject.name not in manifests:
                continue
            parity = manifests[subject.name].parity
            best = max(subject.rates, key=lambda rate: rate.images_per_second.median).images_per_second
            rows.append(
                (
                    f"`{subject.name}`",
                    f"{subject.bytes / 1024:,.0f} KiB",
                    f"{parity['accuracy_exported']:.2%}",
                    f"{parity['drop_points']:+.2f} points",
                    f"{best.median:,.0f}",
                    f"{subject.latency.p50_us.median:,.0f} µs",
                    *_over_naive_float(results, subject),
                )
            )
    machine = measured[0].machine
    about = (
        f"MNIST's 10,000 test images; {machine.processor}, {machine.processors} CPUs. "
        "Images a second at the best batch, one-image calls by their median."
    )
    if any(results.effort == QUICK.name for results in measured):
        about += f" Speeds by a first look only (`--{QUICK.name}`)."
    return f"{table(rows)}\n\n{about}\n"


def require_same_files(published: Sequence[PublishedBundle], measured: Iterable[Results]) -> None:
    """Checks that what was measured is what lies there, not an older file of that name.

    Raises:
        InputError: It is another one.
    """
    digests = {bundle.name: bundle.manifest.model.sha256 for bundle in published}
    for results in measured:
        for subject in results.subjects:
            if digests.get(subject.name, subject.sha256) != subject.sha256:
                raise InputError(f"{subject.name} was measured as another file; measure again: make results")


def _over_naive_float(results: Results, subject: SubjectResult) -> Iterator[str]:
    """At batch 1, where fixed costs count most, and at the largest."""
    naive = {
        other.name
        for other in results.subjects
        if other.kind is Kind.ONNXRUNTIME and other.precision is Precision.FLOAT32
    }
    ratios = {
        ratio.batch: f"{ratio.ratio.median:.2f}×"
        for ratio in results.ratios()
        if ratio.subject == subject.name and ratio.baseline in naive
    }
    yield from (ratios.get(batch, "–") for batch in (BATCHES[0], LARGEST))


def write_document(text: str, path: Path) -> None:
    """Writes docs/results.md atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, text.encode())


def write_headline(table: str, readme: Path) -> None:
    """Puts the table between README's markers.

    Raises:
        InputError: The markers are not there.
    """
    text = readme.read_text("utf-8")
    if not _MARKED.search(text):
        raise InputError(f"{readme}: no `<!-- results -->` and `<!-- /results -->` to put the table between")
    write_atomically(readme, _MARKED.sub(lambda found: f"{found[1]}\n{table}\n{found[2]}", text).encode())


def _measurement(results: Results) -> list[str]:
    bundles = [subject for subject in results.subjects if not subject.is_baseline]
    about = (
        f"On {results.machine}. {results.effort.capitalize()} effort, {results.created}; all subjects "
        "interleaved, medians of rounds with the 10 % to 90 % quantiles in brackets."
    )
    effort = "" if results.effort == FULL.name else f" --{results.effort}"
    names = " ".join(f"models/{bundle.name}" for bundle in bundles)
    return [
        f"## Faster here? {' and '.join(bundle.name for bundle in bundles)}",
        about,
        "Images a second, divided by the baseline's in the same round:",
        table(_ratio_rows(results)),
        "Images a second by batch size, and one image at a time:",
        table(_speed_rows(results.subjects)),
        "From a fresh process to the first answer, and the most memory held:",
        table(_start_rows(results.subjects)),
        f"Made by `digits-edge bench {names} --run models/RUN --save FILE{effort}`.",
        "\n".join(f"- {note}" for note in results.notes),
    ]


def _trained_rows(trained: Sequence[TrainedModel]) -> Iterator[Row]:
    yield "run", "validation", "test", "parameters", "epochs", "arithmetic", "time", "machine"
    for model in trained:
        metrics = model.metrics
        yield (
            f"`{model.name}`",
            _accuracy(metrics["valid"]),
            _accuracy(metrics["test"]) if "test" in metrics else "–",
            f"{metrics['parameters']['total']:,}",
            f"{metrics['kept_epoch']} of {metrics['epochs']}",
            model.config.precision.value,
            str(timedelta(seconds=round(metrics["seconds"]))),
            model.config.machine,
        )


def _goal_rows(goals: Iterable[Goal]) -> Iterator[Row]:
    yield "what", "seen", "at least", "reach for", "held"
    for goal in goals:
        yield goal.what, goal.seen, goal.least, goal.reach, "yes" if goal.held else "**no**"


def _accuracy(part: dict[str, Any]) -> str:
    return f"{part['accuracy']:.2%} ({part['errors']} errors of {part['images']:,})"


def _parity_rows(published: Sequence[PublishedBundle]) -> Iterator[Row]:
    yield (
        "bundle",
        "bytes",
        "Keras",
        "bundle's",
        "lost, points",
        "same label",
        "McNemar p",
        "max |Δp|",
        "images",
    )
    for bundle in published:
        parity = bundle.manifest.parity
        yield (
            f"`{bundle.name}`",
            f"{bundle.manifest.model.size:,}",
            f"{parity['accuracy_original']:.2%}",
            f"{parity['accuracy_exported']:.2%}",
            f"{parity['drop_points']:+.2f}",
            f"{parity['agreement']:.2%}",
            f"{parity['mcnemar_p']:.2f}",
            f"{parity['max_difference']:.1e}",
            f"{parity['images']:,} {parity['held_out']}",
        )


def _ratio_rows(results: Results) -> Iterator[Row]:
    ratios: dict[tuple[str, str], list[Ratio]] = {}
    for ratio in results.ratios():
        ratios.setdefault((ratio.subject, ratio.baseline), []).append(ratio)
    yield "bundle", "divided by", *(f"batch {batch:,}" for batch in BATCHES)
    for (subject, baseline), found in ratios.items():
        by_batch = {ratio.batch: ratio.ratio for ratio in found}
        yield f"`{subject}`", baseline, *(_spread(by_batch.get(batch), ".2f") for batch in BATCHES)


def _speed_rows(subjects: Sequence[SubjectResult]) -> Iterator[Row]:
    yield "", *(f"batch {batch:,}" for batch in BATCHES), "p50, µs", "p90", "p99", "accuracy"
    for subject in subjects:
        rates = [subject.rate(batch) for batch in BATCHES]
        yield (
            subject.name,
            *(_spread(rate.images_per_second if rate else None, ",.0f") for rate in rates),
            f"{subject.latency.p50_us.median:,.0f}",
            f"{subject.latency.p90_us.median:,.0f}",
            f"{subject.latency.p99_us.median:,.0f}",
            f"{subject.accuracy:.2%}",
        )


def _start_rows(subjects: Sequence[SubjectResult]) -> Iterator[Row]:
    yield (
        "",
        "import numpy and engine, ms",
        "import of its own, ms",
        "load, ms",
        "first answer, ms",
        "peak, MiB",
        "file, bytes",
    )
    for subject in subjects:
        start = subject.start
        times = (start.libraries_ms, start.own_ms, start.load_ms, start.first_ms)
        yield (
            subject.name,
            *(_spread(time, ".1f") for time in times),
            _spread(start.peak_mib, ".0f"),
            f"{subject.bytes:,}",
        )


def _step_rows(steps: Sequence[TrainingStep]) -> Iterator[Row]:
    yield "network", "arithmetic", "BatchNorm", "images a step", "ms", "µs an image", "÷ the slowest"
    for step in steps:
        each = 1e3 * step.median / step.batch
        slowest = max(
            1e3 * other.median / other.batch for other in steps if other.architecture == step.architecture
        )
        yield (
            step.architecture,
            step.arithmetic,
            "one kernel" if step.fused else "Keras' own",
            str(step.batch),
            f"{step.median:.0f} [{step.low:.0f}–{step.high:.0f}]",
            f"{each:,.0f}",
            f"{each / slowest:.2f}",
        )


def _spread(estimate: Estimate | None, form: str) -> str:
    if estimate is None:
        return "–"
    return f"{estimate.median:{form}} [{estimate.low:{form}}–{estimate.high:{form}}]"
