"""Results as a picture: throughput by batch size, and how long one image takes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from digits_edge.benchmarks.results import Results, SubjectResult
from digits_edge.benchmarks.scenarios import BATCHES, QUICK
from digits_edge.trainer.figures import BLUE, GREY, INK, VERMILLION, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

# Okabe and Ito's colours (2008) for bundles, in an order whose neighbours differ in lightness too; baselines
# are grey.
_COLOURS = (BLUE, VERMILLION, "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
_MARKERS = ("o", "s", "D", "^", "v", "P", "X", "h")
_DASHES = ((0, (5, 2)), (0, (1, 1.5)), (0, (5, 2, 1, 2)), (0, (3, 1, 1, 1, 1, 1)))
_LINE = 0.05  # of the axes' height: a label with some room


@dataclass(frozen=True)
class _Look:
    """How a subject is drawn, in both parts alike."""

    colour: str
    marker: str
    line: object


@styled
def results_figure(results: Results) -> Figure:
    """Draws images a second against batch size, and p50, p90 and p99 of single images.

    Bands and whiskers are the middle 80 % of the rounds. Both scales are logarithmic.
    """
    from matplotlib.figure import Figure

    subjects = results.subjects
    figure = Figure(figsize=(9.0, 4.4 + 0.12 * max(0, len(subjects) - 6)), layout="constrained")
    rates, latency = figure.subplots(1, 2, width_ratios=(5, 4))
    looks = _looks(subjects)
    _draw_rates(rates, subjects, looks)
    _draw_latency(latency, subjects, looks)
    quick = "; a quick look" if results.effort == QUICK.name else ""
    machine = results.machine
    figure.supxlabel(
        f"{machine.processor}; {' '.join(machine.instructions)}; processors {machine.processors}; "
        f"{results.created[:10]}{quick}; shaded: the middle 80 % of the rounds",
        size=6.5,
        color=GREY,
        x=0.01,
        ha="left",
    )
    return figure


def _looks(subjects: Sequence[SubjectResult]) -> list[_Look]:
    looks, bundles, baselines = [], 0, 0
    for number, subject in enumerate(subjects):
        marker = _MARKERS[number % len(_MARKERS)]
        if subject.is_baseline:
            looks.append(_Look(GREY, marker, _DASHES[baselines % len(_DASHES)]))
            baselines += 1
        else:
            looks.append(_Look(_COLOURS[bundles % len(_COLOURS)], marker, "-"))
            bundles += 1
    return looks


def _draw_rates(axes: Axes, subjects: Sequence[SubjectResult], looks: Sequence[_Look]) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    ends = []
    for subject, look in zip(subjects, looks, strict=True):
        rates = [rate for rate in subject.rates if rate.workers is None]
        batches = [rate.batch for rate in rates]
        figures = [rate.images_per_second for rate in rates]
        axes.fill_between(
            batches,
            [it.low for it in figures],
            [it.high for it in figures],
            color=look.colour,
            alpha=0.18,
            lw=0,
        )
        axes.plot(batches, [it.median for it in figures], color=look.colour, marker=look.marker, ls=look.line)
        ends.append(figures[-1].median)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.xaxis.set_major_locator(FixedLocator(BATCHES))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    _round_ticks(axes.yaxis, axes.get_ylim(), lambda value: f"{value:,.0f}")
    axes.grid(axis="y")
    axes.set_xlabel("batch size")
    axes.set_title("Images a second")
    low, high = axes.get_ylim()
    for height, subject, look, end in zip(_apart(ends, low, high), subjects, looks, ends, strict=True):
        axes.annotate(
            f"{subject.name}  {end:,.0f}",
            (BATCHES[-1], end),
            (1.03, height),
            textcoords="axes fraction",
            color=INK if look.colour == GREY else look.colour,
            size=7,
            va="center",
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": look.colour,
                "lw": 0.5,
                "shrinkA": 1,
                "shrinkB": 3,
                "relpos": (0, 0.5),
            },
        )


def _apart(values: Sequence[float], low: float, high: float) -> list[float]:
    """Heights for labels, 0 to 1 on the logarithmic axis: a line apart, and as near as can be.

    Less a line for each label below it, a height must not fall from one label to the next: isotonic
    regression, by pooling adjacent violators (Ayer et al. 1955).
    """
    order = sorted(range(len(values)), key=lambda index: values[index])
    pools: list[list[float]] = []
    for rank, index in enumerate(order):
        pools.append([math.log(values[index] / low) / math.log(high / low) - rank * _LINE])
        while len(pools) > 1 and fmean(pools[-2]) > fmean(pools[-1]):
            pools[-2:] = [pools[-2] + pools[-1]]
    levels = [fmean(pool) for pool in pools for _ in pool]
    heights = {
        index: level + rank * _LINE for rank, (index, level) in enumerate(zip(order, levels, strict=True))
    }
    return [heights[index] for index in range(len(values))]


def _draw_latency(axes: Axes, subjects: Sequence[SubjectResult], looks: Sequence[_Look]) -> None:
    for row, (subject, look) in enumerate(zip(subjects, looks, strict=True)):
        latency = subject.latency
        p50, p99 = latency.p50_us, latency.p99_us
        axes.plot([p50.median, p99.median], [row, row], color=look.colour, lw=1, alpha=0.6)
        for figure, size in ((p99, 3.5), (latency.p90_us, 3.5), (p50, 5.0)):
            axes.plot([figure.low, figure.high], [row, row], color=look.colour, lw=3.5, alpha=0.25)
            filled = look.colour if figure is p50 else "white"
            axes.plot(figure.median, row, look.marker, color=look.colour, mfc=filled, ms=size, mew=1)
        axes.annotate(
            _duration(p50.median), (p50.median, row), (0, 6), textcoords="offset points", ha="center", size=7
        )
    axes.set_xscale("log")
    _round_ticks(axes.xaxis, axes.get_xlim(), _duration)
    axes.grid(axis="x")
    axes.set_yticks(range(len(subjects)), [subject.name for subject in subjects])
    axes.set_ylim(len(subjects) - 0.5, -0.7)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_title("One image: p50 (filled), p90, p99")


def _duration(microseconds: float) -> str:
    return f"{microseconds:,.0f} µs" if microseconds < 1000 else f"{microseconds / 1000:,.3g} ms"


def _round_ticks(axis: Axis, limits: tuple[float, float], text: Callable[[float], str]) -> None:
    """Ticks at 1, 2 and 5 of a decade on a logarithmic axis, at fewer where there are many decades."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    decades = math.log10(limits[1] / limits[0])
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if decades < 1.7 else (1, 3) if decades < 3 else (1,)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: text(value)))
