"""The notebook's pictures: samples, curves, confusion matrix, misclassified digits, predictions.

Every function returns a figure that belongs to nobody: no pyplot, no window, no global state; ``save`` makes
a PNG of it. Two colours carry meaning throughout (Okabe and Ito's blue and vermillion, which all readers tell
apart): blue is what was trained on or is right, vermillion what was held out or is wrong.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec

import numpy as np
from numpy.typing import NDArray

from digits_edge.runtime.errors import InputError
from digits_edge.trainer.architectures import CLASSES
from digits_edge.trainer.datasets import Images, Split
from digits_edge.trainer.evaluate import Evaluation
from digits_edge.trainer.runs import write_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

P = ParamSpec("P")

BLUE, VERMILLION, INK, GREY, PALE = "#0072B2", "#D55E00", "#222222", "#777777", "#E4E4E4"
_DPI = 200
_STYLE: dict[Any, Any] = {  # matplotlib's keys are a type of their own, another one each release
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": GREY,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.titlepad": 8,
    "axes.grid": False,
    "grid.color": PALE,
    "grid.linewidth": 0.6,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.linewidth": 1.4,
    "lines.markersize": 3,
    "figure.facecolor": "white",
}


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Lets a drawing function run under this module's style."""

    @wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> Figure:
        import matplotlib

        with matplotlib.rc_context(_STYLE):
            return draw(*args, **kwargs)

    return drawn


def save(figure: Figure, path: Path) -> None:
    """Writes the figure as a PNG of 200 dots an inch, atomically."""
    import matplotlib

    png = io.BytesIO()
    with matplotlib.rc_context(_STYLE):
        figure.savefig(png, format="png", dpi=_DPI, metadata={"Software": None})
    write_atomically(path, png.getvalue())


@styled
def samples(data: Split, *, rows: int = 8) -> Figure:
    """Draws the first images of each digit, a column a digit.

    Args:
        data: Labelled images.
        rows: Images a digit.
    """
    blank = np.zeros((28, 28), np.uint8)
    columns = [data.images[np.flatnonzero(data.labels == digit)[:rows]] for digit in range(CLASSES)]
    cells = [column[row] if row < len(column) else blank for row in range(rows) for column in columns]
    axes = _sheet(columns=CLASSES, height=rows + 1.1)
    axes.text(0.03, 0.3, f"{len(data):,} labelled images; how many of each digit", size=9)
    for digit, count in enumerate(np.bincount(data.labels, minlength=CLASSES)):
        axes.text(digit + 0.5, 0.72, str(digit), ha="center", weight="bold")
        axes.text(digit + 0.5, 0.95, f"{count:,}", ha="center", color=GREY, size=7)
    _mosaic(axes, cells, columns=CLASSES, top=1.0)
    return _figure(axes)


@styled
def curves(history: Sequence[Mapping[str, float]], *, kept_epoch: int) -> Figure:
    """Draws loss, accuracy and learning rate over the epochs.

    Accuracy stands on a logarithmic scale of what is missing to 100 %, where the difference between 99.0 and
    99.5 is as tall as that between 98 and 99. An accuracy of 100 % is drawn at 99.99 %.

    Args:
        history: A row an epoch, as in ``history.csv``.
        kept_epoch: The epoch that was kept, from 1.

    Raises:
        InputError: There is no row, or none for ``kept_epoch``.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator

    best = next((row for row in history if row["epoch"] == kept_epoch), None)
    if best is None:
        raise InputError(
            f"{len(history)} epochs, none of them number {kept_epoch}; expected the kept one among them"
        )
    epochs = [row["epoch"] for row in history]
    rates = [row["learning_rate"] for row in history]
    figure = Figure(figsize=(6.5, 5.8), layout="constrained")
    loss, accuracy, rate = figure.subplots(3, 1, sharex=True, height_ratios=(4, 4, 1.5))

    def missing(row: Mapping[str, float], name: str) -> float:
        return max(1 - row[name], 1e-4)

    for prefix, colour, label in (("", BLUE, "training"), ("val_", VERMILLION, "validation")):
        style = {"color": colour, "marker": "o", "label": label}
        loss.plot(epochs, [row[f"{prefix}loss"] for row in history], **style)
        accuracy.plot(epochs, [missing(row, f"{prefix}accuracy") for row in history], **style)
    rate.plot(epochs, rates, color=INK, drawstyle="steps-mid")

    for axes, height in ((loss, best["val_loss"]), (accuracy, missing(best, "val_accuracy"))):
        axes.plot(kept_epoch, height, "o", ms=8, mfc="none", mec=VERMILLION, mew=1.2)
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.minorticks_off()
    if len(set(rates)) <= len(rates) / 2:  # cut in steps of ten
        rate.set_yscale("log")
        rate.set_ylim(min(rates) / 3, max(rates) * 3)
        rate.yaxis.set_major_locator(LogLocator(numticks=12))
        rate.minorticks_off()
    else:  # a schedule that may end at 0
        rate.set_ylim(0, max(rates) * 1.15 or 1)
    for axes in (loss, accuracy, rate):
        axes.axvline(kept_epoch, color=GREY, lw=0.6, ls=(0, (4, 3)), zorder=0)
        axes.grid(axis="y")
    loss.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    accuracy.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * (1 - value):.6g} %"))
    accuracy.invert_yaxis()
    loss.set_ylabel("cross-entropy loss")
    accuracy.set_ylabel("accuracy")
    rate.set_ylabel("learning rate")
    rate.set_xlabel("epoch")
    rate.set_xlim(max(0.2, 1 - 0.02 * len(history)), len(history) * 1.02)
    rate.xaxis.set_major_locator(MaxNLocator(integer=True, steps=(1, 2, 5, 10)))
    figure.align_ylabels()
    loss.legend(loc="upper right", ncols=2, frameon=True, framealpha=1, edgecolor="none")
    loss.set_title(
        f"Epoch {kept_epoch} of {len(history)} kept: "
        f"validation loss {best['val_loss']:.4f}, accuracy {best['val_accuracy']:.2%}".replace("%", " %")
    )
    return figure


@styled
def confusion(evaluation: Evaluation, *, subject: str) -> Figure:
    """Draws the confusion matrix: right answers in blue, errors in vermillion, deeper where there are more.

    Args:
        evaluation: What to draw; the depth of its errors is logarithmic.
        subject: What was evaluated, as in "test images".
    """
    from matplotlib.colors import to_rgb
    from matplotlib.figure import Figure

    counts = np.array(evaluation.confusion)
    right = np.eye(CLASSES, dtype=bool)
    most = max(1, counts[~right].max())
    depth = np.where(right, 0.25, np.log1p(counts) / np.log1p(most) * 0.8)
    depth[counts == 0] = 0
    colour = np.where(right[..., None], to_rgb(BLUE), to_rgb(VERMILLION))
    figure = Figure(figsize=(6.2, 6.0), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(1 - depth[..., None] * (1 - colour))
    for true, predicted in np.argwhere(counts > 0):
        shade = "white" if depth[true, predicted] > 0.75 else INK
        axes.text(predicted, true, f"{counts[true, predicted]:,}", ha="center", va="center", color=shade)
    for scores in evaluation.classes:
        margin: dict[str, Any] = {"ha": "center", "va": "center", "color": GREY}
        axes.text(CLASSES + 0.05, scores.label, f"{100 * scores.recall:.2f}", **margin)
        axes.text(scores.label, CLASSES + 0.05, f"{100 * scores.precision:.2f}", **margin)
    axes.text(CLASSES + 0.05, -0.75, "recall, %", ha="center", va="center", color=GREY)
    axes.text(-0.65, CLASSES + 0.05, "precision, %", ha="right", va="center", color=GREY)
    axes.set(xlim=(-0.5, CLASSES + 0.6), ylim=(CLASSES + 0.5, -0.5))
    axes.text(4.5, -1.15, "answer", ha="center", va="center")
    axes.text(-1.15, 4.5, "label", ha="center", va="center", rotation=90)
    axes.xaxis.tick_top()
    axes.set_xticks(range(CLASSES))
    axes.set_yticks(range(CLASSES))
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    lines = np.arange(CLASSES + 1) - 0.5
    axes.hlines(lines, -0.5, CLASSES - 0.5, color=PALE, lw=0.6)
    axes.vlines(lines, -0.5, CLASSES - 0.5, color=PALE, lw=0.6)
    axes.set_title(
        f"{evaluation.images:,} {subject}: {len(evaluation.errors):,} wrong, "
        f"{100 * evaluation.accuracy:.2f} % right",
        pad=34,
    )
    return figure


@styled
def misclassified(images: Images, evaluation: Evaluation, *, subject: str, most: int = 40) -> Figure:
    """Draws the errors, the most confident first, each with label, answer and confidence.

    Args:
        images: uint8 ``(N, 28, 28)``, numbered as ``evaluation.errors`` numbers them.
        evaluation: Where the errors are.
        subject: What was evaluated, as in "test images".
        most: At most so many.
    """
    columns = 8
    errors = sorted(evaluation.errors, key=lambda error: -error.confidence)[:most]
    axes = _sheet(columns=columns, height=0.4 + max(1, -(-len(errors) // columns)) * 1.25)
    title = f"{len(evaluation.errors):,} of {evaluation.images:,} {subject} wrong"
    if len(errors) < len(evaluation.errors):
        title += f"; the {len(errors)} most confident"
    axes.text(0.03, 0.25, title + " (label → answer, confidence)" * bool(errors), size=9)
    _mosaic(axes, [images[error.row] for error in errors], columns=columns, top=0.4, caption=0.25)
    for number, error in enumerate(errors):
        left, baseline = number % columns, 0.4 + (number // columns + 1) * 1.25 - 0.07
        axes.text(left + 0.05, baseline, f"{error.true} →", weight="bold")
        axes.text(left + 0.34, baseline, str(error.predicted), weight="bold", color=VERMILLION)
        axes.text(left + 0.95, baseline, f"{100 * error.confidence:.1f} %", ha="right", color=GREY, size=7)
    return _figure(axes)


@styled
def predictions(
    images: Images, labels: NDArray[np.integer[Any]], confidence: NDArray[np.floating[Any]]
) -> Figure:
    """Draws answers for unlabelled images: the first ones, and those least certain.

    Args:
        images: uint8 ``(N, 28, 28)``.
        labels: Answers ``(N,)``, 0–9.
        confidence: Their probabilities ``(N,)``.
    """
    columns, most = 10, 30
    bands = [("The first", np.arange(min(most, len(images))))]
    if len(images) > most:
        bands.append(("The least certain", np.argsort(confidence, kind="stable")[:most]))
    heights = [0.55 + -(-len(rows) // columns) * 1.27 for _, rows in bands]
    axes = _sheet(columns=columns, height=sum(heights))
    for (title, rows), above in zip(bands, np.cumsum([0.0, *heights]), strict=False):
        top = above + 0.5
        axes.text(0.03, above + 0.32, f"{title} {len(rows)} of {len(images):,} unlabelled images", size=9)
        _mosaic(axes, images[rows], columns=columns, top=top, caption=0.27)
        for number, row in enumerate(rows):
            left, baseline = number % columns, top + (number // columns + 1) * 1.27 - 0.08
            axes.text(left + 0.05, baseline, str(labels[row]), weight="bold", color=BLUE)
            axes.text(left + 0.95, baseline, f"{100 * confidence[row]:.1f} %", ha="right", color=GREY, size=7)
    return _figure(axes)


def _sheet(*, columns: int, height: float) -> Axes:
    """A figure that is all axes: the unit is the width of a cell, counted from the top left."""
    from matplotlib.figure import Figure

    margin, width = 0.1, 6.5
    figure = Figure(figsize=(width, width * height / (columns + 2 * margin)))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(-margin, columns + margin), ylim=(height, 0))
    axes.axis("off")
    return axes


def _figure(axes: Axes) -> Figure:
    figure = axes.get_figure(root=True)
    assert figure is not None
    return figure


def _mosaic(
    axes: Axes, cells: Sequence[Images] | Images, *, columns: int, top: float, caption: float = 0.0
) -> None:
    """Lays images out in a grid of unit squares, ink on paper, with room for a caption below each."""
    for number, cell in enumerate(cells):
        left, high = number % columns, top + (number // columns) * (1 + caption)
        # A margin of 3 % all round; the frame is the paper's edge.
        x, y = (left + 0.03, left + 0.97), (high + 0.03, high + 0.97)
        axes.imshow(
            cell,
            cmap="gray_r",
            vmin=0,
            vmax=255,
            extent=(*x, y[1], y[0]),
            interpolation="nearest",
            aspect="auto",
        )
        axes.plot([x[0], x[1], x[1], x[0], x[0]], [y[0], y[0], y[1], y[1], y[0]], color=PALE, lw=0.6)
