"""The pictures of an assessment: confusion, errors, reliability, risk and coverage, corruptions, non-digits.

They are drawn in the style of ``figures``, which has the first two.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from digits_edge.trainer import figures
from digits_edge.trainer.assessment import Assessment, Operation, Outsiders
from digits_edge.trainer.confidence import ERROR_RATE, Share, wilson
from digits_edge.trainer.datasets import Images
from digits_edge.trainer.figures import BLUE, GREY, INK, PALE, VERMILLION, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_DASHED = (0, (4, 3))


def draw(assessment: Assessment, directory: Path) -> tuple[Path, ...]:
    """Writes all pictures as PNG files.

    Args:
        assessment: What to draw.
        directory: Where, a directory that exists.

    Returns:
        Their paths.
    """
    data, found = assessment.held_out, assessment.evaluation
    subject = f"{data.part} images"
    pictures = {
        "confusion": figures.confusion(found, subject=subject),
        "misclassified": figures.misclassified(data.source, found, subject=subject),
        "reliability": reliability(assessment),
        "risk-coverage": risk_coverage(assessment),
        "corruptions": corruptions(assessment),
        "non-digits": non_digits(assessment),
    }
    paths = tuple(directory / f"{name}.png" for name in pictures)
    for figure, path in zip(pictures.values(), paths, strict=True):
        figures.save(figure, path)
    return paths


@styled
def reliability(assessment: Assessment) -> Figure:
    """Draws accuracy against confidence with 95 % intervals, and how many answers each point stands for."""
    from matplotlib.figure import Figure

    bins = [row for row in assessment.bins if row.images]
    figure = Figure(figsize=(5.2, 5.8), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1.2))
    above.plot([0, 100], [0, 100], color=GREY, lw=0.8, ls=_DASHED, zorder=0)
    above.text(
        3,
        6,
        "as often right as sure",
        rotation=45,
        transform_rotates_text=True,
        rotation_mode="anchor",
        color=GREY,
        size=7,
    )
    for row in bins:
        low, high = wilson(round(row.accuracy * row.images), row.images)
        above.plot([100 * row.confidence] * 2, [100 * low, 100 * high], color=BLUE, lw=0.9, alpha=0.5)
    sure = [100 * row.confidence for row in bins]
    above.plot(sure, [100 * row.accuracy for row in bins], "o", color=BLUE, ms=4.5)
    below.bar(
        [50 * (row.low + row.high) for row in bins],
        [row.images for row in bins],
        width=[92 * (row.high - row.low) for row in bins],
        color=PALE,
        edgecolor="none",
    )
    below.set_yscale("log")
    below.set_ylim(0.7, 3 * max(row.images for row in bins))
    below.minorticks_off()
    for row in bins:
        place = 50 * (row.low + row.high)
        below.text(place, row.images * 1.15, f"{row.images:,}", ha="center", va="bottom", size=6, color=GREY)
    above.set(xlim=(-1, 103), ylim=(-2, 103), ylabel="right, %")
    above.grid(axis="y")
    below.set(xlabel="confidence, %", ylabel="answers")
    below.spines["left"].set_visible(False)
    below.tick_params(axis="y", length=0, labelleft=False)
    data = assessment.held_out
    above.set_title(
        f"{len(data.split):,} {data.part} images: confidence is {100 * assessment.ece:.2f} points off (ECE)"
    )
    return figure


@styled
def risk_coverage(assessment: Assessment) -> Figure:
    """Draws the errors among the accepted answers against how many are accepted; the threshold marked."""
    from matplotlib.figure import Figure

    curve, at = assessment.curve, assessment.operation
    figure = Figure(figsize=(6.2, 3.8), layout="constrained")
    axes = figure.add_subplot()
    coverage, risk = 100 * curve.coverage, 100 * curve.risk
    axes.plot(coverage, risk, color=BLUE)
    axes.axhline(100 * ERROR_RATE, color=GREY, lw=0.8, ls=_DASHED, zorder=0)
    first = float(coverage[np.argmax(risk > 0)]) if risk.any() else 90.0
    lowest = first if at is None else min(first, 100 * at.coverage.part)
    left = max(0.0, min(99.0, 100 - 1.1 * (100 - lowest)))
    top = 1.25 * max(float(risk.max()), 100 * ERROR_RATE)
    axes.set(xlim=(left, 100 + 0.01 * (100 - left)), ylim=(0, top))
    if at is not None and at.errors is not None:
        _mark(axes, at, at.errors, high=100 * at.errors.part > top / 2)
    axes.text(left, 100 * ERROR_RATE, f" {100 * ERROR_RATE:g} %", color=GREY, size=7, va="bottom")
    axes.set(xlabel="accepted, % of the answers (the surest first)", ylabel="wrong, % of the accepted")
    axes.grid(axis="y")
    data = assessment.held_out
    axes.set_title(
        f"{len(data.split):,} {data.part} images: {risk[-1]:.2f} % wrong if none is rejected, "
        f"area under the curve {curve.aurc:.1e}"
    )
    return figure


@styled
def corruptions(assessment: Assessment) -> Figure:
    """Draws the corrupted digits, a row a corruption, and how many are still read right."""
    shown, name_at, bar_at, bar_end = 8, 8.25, 10.6, 15.4
    rows: list[tuple[str, Images, Share]] = [
        ("as they are", assessment.held_out.split.images, assessment.accuracy),
        *((row.corruption.value, row.examples, row.right) for row in assessment.corruptions),
    ]
    axes = figures._sheet(columns=17, height=len(rows) + 1.4)
    data = assessment.held_out
    axes.text(
        0.03,
        0.55,
        f"{len(data.split):,} {data.part} images, corrupted: "
        f"{100 * assessment.corruption_mean:.2f} % right on average",
        size=9,
    )
    for number, (name, images, right) in enumerate(rows):
        top = 1.0 + number + (0.2 if number else 0)
        figures._mosaic(axes, images[:shown], columns=shown, top=top)
        colour = BLUE if number else GREY
        axes.text(name_at, top + 0.5, name, va="center")
        _bar(axes, right, colour, left=bar_at, right=bar_end, middle=top + 0.5)
    return figures._figure(axes)


@styled
def non_digits(assessment: Assessment) -> Figure:
    """Draws images that show no digit with their answers: blue where rejected, vermillion where believed."""
    columns, row_height, head = 10, 1.27, 0.62
    kinds = assessment.non_digits
    heights = [head + -(-len(kind.examples) // columns) * row_height for kind in kinds]
    axes = figures._sheet(columns=columns, height=sum(heights) + 0.1)
    threshold = assessment.subject.threshold
    for kind, above in zip(kinds, np.cumsum([0.0, *heights]), strict=False):
        top = above + head - 0.05
        axes.text(0.03, above + 0.4, _heading(kind, threshold), size=9)
        figures._mosaic(axes, kind.examples, columns=columns, top=top, caption=0.27)
        for number, (label, sure) in enumerate(zip(kind.labels, kind.confidence, strict=True)):
            left, baseline = number % columns, top + (number // columns + 1) * row_height - 0.08
            colour = INK if threshold is None else VERMILLION if sure >= threshold else BLUE
            axes.text(left + 0.05, baseline, str(label), weight="bold", color=colour)
            axes.text(left + 0.95, baseline, f"{100 * sure:.1f} %", ha="right", color=GREY, size=7)
    return figures._figure(axes)


def _mark(axes: Axes, at: Operation, errors: Share, *, high: bool) -> None:
    """Marks a threshold on the curve, with its figures above it, to the left where there is room."""
    accepted, wrong = 100 * at.coverage.part, 100 * errors.part
    at_left = accepted < sum(axes.get_xlim()) / 2
    axes.plot(accepted, wrong, "o", ms=8, mfc="none", mec=VERMILLION, mew=1.2, clip_on=False, zorder=3)
    axes.annotate(
        f"threshold {at.threshold:.4g}\n{accepted:.2f} % accepted, {wrong:.3f} % of them wrong",
        (accepted, wrong),
        xytext=(14 if at_left else -14, 0 if high else 30),
        textcoords="offset points",
        ha="left" if at_left else "right",
        va="center" if high else "bottom",
        color=VERMILLION,
        bbox={"fc": "white", "ec": "none", "pad": 1},  # no line runs through the words
        arrowprops={
            "arrowstyle": "-",
            "color": VERMILLION,
            "lw": 0.6,
            "shrinkB": 5,
            "relpos": (0 if at_left else 1, 0.5 if high else 0),
        },
    )


def _heading(outsiders: Outsiders, threshold: float | None) -> str:
    if outsiders.rejected is None:
        share, rule = outsiders.rejected_at_99, "a threshold that accepts 99 % of the digits"
    else:
        share, rule = outsiders.rejected, f"the threshold of {threshold:.4g}"
    return f"{outsiders.kind.value}: {100 * share.part:.1f} % of {share.of:,} rejected by {rule}"


def _bar(axes: Axes, share: Share, colour: str, *, left: float, right: float, middle: float) -> None:
    """A bar from 0 to 100 %, with the share's interval on its end and its figure beside it."""
    width = right - left
    axes.barh(middle, width, left=left, height=0.5, color=PALE)
    axes.barh(middle, width * share.part, left=left, height=0.5, color=colour)
    low, high = share.interval
    axes.plot([left + width * low, left + width * high], [middle, middle], color=INK, lw=0.8)
    axes.text(right + 1.35, middle, f"{100 * share.part:.2f} %", ha="right", va="center")
