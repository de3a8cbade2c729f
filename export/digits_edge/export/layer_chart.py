"""The picture of an inspection: a row a layer, and bars for bytes, multiply-adds, noise and time.

Drawn in the style of the trainer's ``figures``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from digits_edge.export.differences import Differences
from digits_edge.export.inspection import Inspection
from digits_edge.export.layer_times import BETWEEN
from digits_edge.export.layers import Layer
from digits_edge.runtime import InputError
from digits_edge.trainer.errors import SetupError
from digits_edge.trainer.figures import BLUE, GREY, INK, PALE, save, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_STRUCTURE = "file structure"
_OTHER = "#BBBBBB"  # bars of what belongs to no layer
_ROW = 0.27  # inches


@dataclass(frozen=True)
class _Bars:
    """One column of the picture.

    Attributes:
        title: What is shown.
        unit: Below the title, small.
        layer: A layer's figure.
        other: Figures that belong to no layer, by row.
        text: How a figure is written.
    """

    title: str
    unit: str
    layer: Callable[[Layer], float | None]
    other: Callable[[Inspection], Mapping[str, float]]
    text: Callable[[float], str]

    def figures(self, inspection: Inspection) -> dict[str, float]:
        found = {layer.name: self.layer(layer) for layer in inspection.layers}
        return {**{name: value for name, value in found.items() if value}, **self.other(inspection)}


def _nothing(inspection: Inspection) -> Mapping[str, float]:  # noqa: ARG001 (as `_Bars.other` has it)
    return {}


def check_place(path: Path) -> None:
    """Checks that a picture can be drawn and has a place, before the work and not after it.

    Raises:
        SetupError: matplotlib is not installed.
        InputError: The path ends otherwise than in .png, or its directory is not there or not writable.
    """
    if find_spec("matplotlib") is None:
        raise SetupError(
            "pictures need matplotlib, which is not installed; "
            'install it with: pip install "digits-edge[bench]"'
        )
    if path.suffix.lower() != ".png" or path.is_dir():
        raise InputError(f"--plot is {path}; expected the name of a PNG file, like layers.png")
    if not path.parent.is_dir():
        raise InputError(f"--plot is {path}; there is no directory {path.parent} to write it to")
    if not os.access(path.parent, os.W_OK):
        raise InputError(f"--plot is {path}; {path.parent} may not be written to, name another place")


def draw(inspections: Sequence[Inspection], path: Path) -> None:
    """Draws one bundle, or two side by side, as a PNG file.

    Raises:
        OSError: It cannot be written.
    """
    save(chart(inspections), path)


@styled
def chart(inspections: Sequence[Inspection]) -> Figure:
    """Draws bars for what there is: a column that has no figure in any bundle is left out."""
    from matplotlib.figure import Figure

    columns = [bars for bars in _columns(inspections) if any(map(bars.figures, inspections))]
    rows = _rows(inspections, columns)
    heights = len(rows) * _ROW * (1.0 if len(inspections) == 1 else 1.55)
    figure = Figure(figsize=(1.4 + 2.05 * len(columns), 1.25 + heights))
    figure.set_layout_engine("constrained", wspace=0.04)
    panels = figure.subplots(1, len(columns), sharey=True, squeeze=False)[0]
    for axes, bars in zip(panels, columns, strict=True):
        _panel(axes, bars, inspections, rows)
    panels[0].set_yticks(list(rows.values()), list(rows))
    for label, name in zip(panels[0].get_yticklabels(), rows, strict=True):
        label.set_parse_math(False)  # it comes out of a file
        label.set_color(INK if any(_is_layer(it, name) for it in inspections) else GREY)
    panels[0].set_ylim(max(rows.values()) + 0.6, -0.6)
    _heading(figure, inspections)
    return figure


def _columns(inspections: Sequence[Inspection]) -> list[_Bars]:
    batches = sorted({it.times.batch for it in inspections if it.times is not None})
    calls = "batch " + ", ".join(map(str, batches))
    return [
        _Bars(
            "bytes",
            "in the file",
            lambda layer: layer.size,
            lambda it: {_STRUCTURE: it.contents.other_size},
            _short,
        ),
        _Bars("multiply-adds", "an image", lambda layer: layer.multiply_adds, _nothing, _short),
        _Bars("weights", "dB above rounding", lambda layer: layer.weights_sqnr, _nothing, _decibels),
        _Bars("outputs", "dB above rounding", lambda layer: layer.output_sqnr, _nothing, _decibels),
        _Bars(
            "time",
            f"µs a call, {calls}",
            lambda layer: layer.microseconds,
            lambda it: {} if it.times is None else it.times.other,
            lambda value: f"{value:,.1f}" if value < 100 else f"{value:,.0f}",
        ),
    ]


def _rows(inspections: Sequence[Inspection], columns: Sequence[_Bars]) -> dict[str, float]:
    """Layers in their order, then, after a gap, what belongs to none; each with its height in rows."""
    if len(inspections) == 1:
        layers = [layer.name for layer in inspections[0].layers]
    else:
        layers = [pair.name for pair in Differences(inspections[0], inspections[1]).pairs]
    others = dict.fromkeys(name for bars in columns for it in inspections for name in bars.other(it))
    beside = sorted((name for name in others if name not in layers), key=lambda name: name == BETWEEN)
    return {
        **{name: float(row) for row, name in enumerate(layers)},
        **{name: len(layers) + row + 0.4 for row, name in enumerate(beside)},
    }


def _panel(axes: Axes, bars: _Bars, inspections: Sequence[Inspection], rows: Mapping[str, float]) -> None:
    found = [bars.figures(it) for it in inspections]
    most = max(value for figures in found for value in figures.values())
    height = 0.62 if len(found) == 1 else 0.38
    for number, (figures, inspection) in enumerate(zip(found, inspections, strict=True)):
        second = number == len(found) - 1
        for name, value in figures.items():
            place = rows[name] + (number - (len(found) - 1) / 2) * 0.4
            colour = (BLUE if second else _OTHER) if _is_layer(inspection, name) else PALE
            axes.barh(place, value, height=height, color=colour)
            axes.annotate(
                bars.text(value),
                (value, place),
                xytext=(3, 0),
                textcoords="offset points",
                va="center",
                size=7 if len(found) == 1 else 6,
                color=INK if second and _is_layer(inspection, name) else GREY,
            )
    axes.set_xlim(0, 1.32 * most)  # room for the longest bar's figure
    axes.set_title(bars.title, pad=17)
    axes.annotate(
        bars.unit,
        (0, 1),
        xytext=(0, 6),
        xycoords="axes fraction",
        textcoords="offset points",
        size=7,
        color=GREY,
    )
    axes.spines[["bottom"]].set_visible(False)
    axes.tick_params(axis="x", bottom=False, labelbottom=False)
    axes.tick_params(axis="y", length=0)


def _heading(figure: Figure, inspections: Sequence[Inspection]) -> None:
    names = [
        f"{it.manifest.name}, {it.manifest.format.value} {it.manifest.precision.value}, "
        f"{it.manifest.model.size:,} bytes"
        for it in inspections
    ]
    text = names[0] if len(names) == 1 else f"grey: {names[0]}\nblue: {names[1]}"
    figure.suptitle(text, x=0.01, ha="left", size=10).set_parse_math(False)


def _is_layer(inspection: Inspection, name: str) -> bool:
    return any(layer.name == name for layer in inspection.layers)


def _decibels(value: float) -> str:
    return f"{value:.1f}"


def _short(value: float) -> str:
    """Three digits and a thousand's letter."""
    for unit, letter in ((1e6, " M"), (1e3, " k")):
        if value >= unit:
            return f"{value / unit:.3g}{letter}" if value < 999.5 * unit else f"{value / unit:,.0f}{letter}"
    return f"{value:.0f}"
