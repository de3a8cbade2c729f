"""How small may it be? Edge networks of several widths: accuracy against multiply-adds and bytes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from digits_edge.benchmarks.scorecard import PublishedBundle, TrainedModel
from digits_edge.benchmarks.tables import Row, table
from digits_edge.runtime import Format, Precision
from digits_edge.trainer.architectures import EDGE_WIDTHS, Architecture
from digits_edge.trainer.confidence import wilson
from digits_edge.trainer.figures import BLUE, GREY, VERMILLION, styled
from digits_edge.trainer.recipes import RecipeName

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PICTURE = "edge-front.png"
_ABOUT = (
    "Edge networks of several widths, one seed each, by the commands above; int8 ONNX in the runtime. "
    "Validation images, since a choice is made by them. A network is on the front unless "
    "another one errs no more and costs no more."
)


@dataclass(frozen=True)
class Candidate:
    """A network of certain widths.

    Attributes:
        widths: Filters of its convolutions.
        multiply_adds: For one image.
        size: Bytes of the int8 ONNX file.
        images: Validation images.
        errors: Of the trained network on them.
        test: Accuracy of the int8 file on test images; chose nothing.
    """

    widths: tuple[int, ...]
    multiply_adds: int
    size: int
    images: int
    errors: int
    test: float

    @property
    def name(self) -> str:
        """The widths, as the command line takes them."""
        return ",".join(map(str, self.widths))

    @property
    def accuracy(self) -> float:
        """On validation images."""
        return 1 - self.errors / self.images

    def beats(self, other: Candidate) -> bool:
        """Whether it is as good at less cost, or better at no more."""
        mine, others = (
            (self.errors, self.multiply_adds, self.size),
            (other.errors, other.multiply_adds, other.size),
        )
        return mine != others and all(one <= two for one, two in zip(mine, others, strict=True))


def candidates(trained: Sequence[TrainedModel], published: Sequence[PublishedBundle]) -> list[Candidate]:
    """The distilled edge networks of the first seed that were published as int8 ONNX, cheapest first."""
    manifests = {
        _widths(bundle.manifest.provenance["training"]["widths"]): bundle.manifest
        for bundle in published
        if bundle.manifest.format is Format.ONNX
        and bundle.manifest.precision is Precision.INT8
        and _distilled_first(bundle.manifest.provenance["training"])
    }
    found = [
        Candidate(
            widths=widths,
            multiply_adds=int(manifest.provenance["multiply_adds"]),
            size=manifest.model.size,
            images=model.metrics["valid"]["images"],
            errors=model.metrics["valid"]["errors"],
            test=float(manifest.parity["accuracy_exported"]),
        )
        for model in trained
        if _distilled_first(model.config.to_json())
        and (manifest := manifests.get(widths := _widths(model.config.widths))) is not None
    ]
    return sorted(found, key=lambda candidate: candidate.multiply_adds) if len(found) > 1 else []


def _distilled_first(training: Mapping[str, Any]) -> bool:
    told = (training["architecture"], training["recipe"], training["seed"])
    return told == (Architecture.EDGE, RecipeName.DISTILL, 0)


def _widths(widths: Sequence[int] | None) -> tuple[int, ...]:
    return EDGE_WIDTHS if widths is None else tuple(widths)


def on_front(found: Sequence[Candidate]) -> list[Candidate]:
    """Those that no other one beats."""
    return [one for one in found if not any(other.beats(one) for other in found)]


def described(found: Sequence[Candidate]) -> list[str]:
    """The paragraphs, table and picture for docs/results.md; none if there are no candidates."""
    if not found:
        return []
    return [
        "## How small may it be?",
        _ABOUT,
        table(_rows(found)),
        f"![accuracy against multiply-adds and bytes]({PICTURE})",
        "Made by `make widths`.",
    ]


def _rows(found: Sequence[Candidate]) -> Iterator[Row]:
    front = on_front(found)
    yield "widths", "multiply-adds", "bytes", "validation", "test, int8", "on the front"
    for one in found:
        yield (
            one.name,
            f"{one.multiply_adds:,}",
            f"{one.size:,}",
            f"{one.accuracy:.2%} ({one.errors} errors of {one.images:,})",
            f"{one.test:.2%}",
            "yes" if one in front else "",
        )


@styled
def front_figure(found: Sequence[Candidate]) -> Figure:
    """Draws validation accuracy against multiply-adds and against bytes, with 95 % Wilson intervals."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.0, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    _draw(left, found, [one.multiply_adds / 1e6 for one in found])
    _draw(right, found, [one.size / 1024 for one in found])
    left.set_xlabel("million multiply-adds an image")
    right.set_xlabel("KiB of the int8 ONNX file")
    left.set_ylabel("validation accuracy")
    figure.supxlabel(
        "filled: on the front; bars: 95 % Wilson intervals. Differences between networks "
        "on the same images are surer than the bars suggest.",
        size=6.5,
        color=GREY,
        x=0.01,
        ha="left",
    )
    return figure


def _draw(axes: Axes, found: Sequence[Candidate], costs: Sequence[float]) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator

    front = on_front(found)
    for one, cost in zip(found, costs, strict=True):
        low, high = wilson(one.images - one.errors, one.images)
        axes.plot([cost, cost], [low, high], color=GREY, lw=0.8, zorder=1)
        colour = VERMILLION if one in front else BLUE
        axes.plot(cost, one.accuracy, "o", mec=colour, mfc=colour if one in front else "white", zorder=2)
        # Upright below its bar: there no name runs into another's.
        axes.annotate(
            one.name,
            (cost, low),
            (0, -3),
            textcoords="offset points",
            rotation=90,
            ha="center",
            va="top",
            size=7,
        )
    line = sorted((cost, one.accuracy) for one, cost in zip(found, costs, strict=True) if one in front)
    axes.plot(*zip(*line, strict=True), color=VERMILLION, lw=0.8, ls=(0, (4, 3)), zorder=0)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter("")
    axes.set_xlim(min(costs) / 1.4, max(costs) * 1.4)
    axes.margins(y=0.35)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.2f} %"))
    axes.grid(axis="y")
