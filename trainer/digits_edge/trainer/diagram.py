"""The architecture as a picture: a box a layer, read from the Keras model itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from digits_edge.trainer.figures import BLUE, GREY, VERMILLION, styled

if TYPE_CHECKING:
    import keras
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_TEAL, _YELLOW = "#009E73", "#E69F00"
_COLOURS = {
    "Conv2D": BLUE,
    "Dense": VERMILLION,
    "BatchNormalization": _TEAL,
    "MaxPooling2D": _YELLOW,
}
_WIDTH, _PITCH, _BOX = 6.5, 0.31, 0.225  # inches: figure, from layer to layer, of a box


@dataclass(frozen=True)
class LayerRow:
    """What the picture says of a layer.

    Attributes:
        name: The layer's own.
        kind: Its class.
        settings: What makes it different from others of its kind.
        shape: Output shape of one image, such as ``28×28×64``.
        parameters: How many it has.
    """

    name: str
    kind: str
    settings: str
    shape: str
    parameters: int


def describe(model: keras.Model) -> list[LayerRow]:
    """Reads the layers of a model, in order."""
    return [
        LayerRow(
            name=layer.name,
            kind=type(layer).__name__,
            settings=_settings(layer),
            shape="×".join(f"{size:,}" for size in layer.output.shape[1:]),
            parameters=layer.count_params(),
        )
        for layer in model.layers
    ]


@styled
def architecture(model: keras.Model) -> Figure:
    """Draws a model whose layers follow one another: name, kind, settings, output shape, parameters.

    The bar to the right of a layer is its share of all parameters.

    Args:
        model: A built Keras model.
    """
    from matplotlib.figure import Figure

    rows = describe(model)
    height = _PITCH * len(rows) + 0.62
    figure = Figure(figsize=(_WIDTH, height))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, _WIDTH), ylim=(height, 0))  # inches from the top left
    axes.axis("off")
    total = sum(row.parameters for row in rows)
    trainable = sum(int(variable.shape.num_elements()) for variable in model.trainable_variables)
    axes.text(0.2, 0.24, f"{model.name}: {total:,} parameters, {trainable:,} of them trainable", size=9)
    for x, text, side in ((4.1, "output", "right"), (4.85, "parameters", "right"), (5.0, "share", "left")):
        axes.text(x, 0.46, text, size=7, color=GREY, ha=side)
    for number, row in enumerate(rows):
        _draw(
            axes, row, top=0.52 + number * _PITCH, share=row.parameters / max(1, total), last=row is rows[-1]
        )
    return figure


def _draw(axes: Axes, row: LayerRow, *, top: float, share: float, last: bool) -> None:
    from matplotlib.patches import FancyBboxPatch, Rectangle

    colour = _COLOURS.get(row.kind, GREY)
    middle = top + _BOX / 2
    box: dict[str, Any] = {"boxstyle": "round,pad=0,rounding_size=0.04", "linewidth": 0.7}
    axes.add_patch(
        FancyBboxPatch((0.2, top), 4.0, _BOX, facecolor=colour, alpha=0.13, edgecolor="none", **box)
    )
    axes.add_patch(FancyBboxPatch((0.2, top), 4.0, _BOX, facecolor="none", edgecolor=colour, **box))
    if not last:
        arrow = {"arrowstyle": "-|>,head_width=0.12,head_length=0.2", "color": GREY, "lw": 0.7}
        axes.annotate(
            "",
            (2.2, top + _PITCH),
            xytext=(2.2, top + _BOX),
            arrowprops={**arrow, "shrinkA": 0, "shrinkB": 0},
        )
    text: dict[str, Any] = {"va": "center_baseline", "size": 7.5}
    axes.text(0.3, middle, row.name, weight="bold", **text)
    axes.text(1.3, middle, f"{row.kind} {row.settings}".strip(), **text)
    axes.text(4.1, middle, row.shape, ha="right", **text)
    if row.parameters:
        axes.text(4.85, middle, f"{row.parameters:,}", ha="right", **text)
    if share > 0.0005:
        bar = 1.05 * share
        axes.add_patch(Rectangle((5.0, top + 0.05), bar, _BOX - 0.1, facecolor=colour, edgecolor="none"))
        axes.text(5.04 + bar, middle, f"{100 * share:.1f} %", color=GREY, va="center_baseline", size=6.5)


def _settings(layer: Any) -> str:
    """The settings that a reader needs to rebuild the layer, in a few words."""
    match type(layer).__name__:
        case "Conv2D":
            words = [_by(layer.kernel_size), f"{layer.filters} filters", layer.padding]
            if max(layer.strides) > 1:
                words.append(f"stride {layer.strides[0]}")
            return ", ".join([*words, *_activation(layer)])
        case "Dense":
            return ", ".join([f"{layer.units} units", *_activation(layer)])
        case "MaxPooling2D":
            return f"{_by(layer.pool_size)}, stride {layer.strides[0]}"
        case "Dropout":
            return f"{100 * layer.rate:g} %"
        case "RandomRotation":
            return f"±{360 * layer.factor[1]:g}°"
        case "RandomTranslation":
            return f"±{100 * layer.height_upper:g} %, ±{100 * layer.width_upper:g} %"
        case "RandomZoom":
            return f"±{100 * layer.height_upper:g} %"
        case _:
            return ""


def _by(size: tuple[int, ...]) -> str:
    return "×".join(map(str, size))


def _activation(layer: Any) -> list[str]:
    name = layer.activation.__name__
    return [] if name == "linear" else [name]
