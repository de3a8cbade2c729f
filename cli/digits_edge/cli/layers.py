"""How an inspection looks in a terminal: a bundle's manifest, layers and quantization, or two bundles'."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from digits_edge.cli.printing import plain

if TYPE_CHECKING:
    from digits_edge.export.differences import Differences
    from digits_edge.export.inspection import Inspection
    from digits_edge.export.layers import Layer, Quantization

_NONE = "–"
_MOST_LINES = 4  # of a list in a manifest


def summary_table(inspection: Inspection) -> Table:
    """The manifest's main fields, how the bundle was made, and what is in the graph."""
    values = inspection.summary()
    operators = inspection.contents.operators.items()
    rows = {
        "bundle": inspection.bundle,
        "model": f"{values['name']}, {values['format']} {values['precision']}",
        "file": f"{values['file']}, {values['bytes']:,} bytes",
        "SHA-256": values["sha256"],
        "safe on": ", ".join(values["safe_on"]),
        "temperature": f"{values['temperature']:.4g}",
        "reject threshold": f"{values['reject_threshold']:.4g}",
        "golden answers": f"met within {values['golden_difference']:.2g} by {values['engine']}; "
        f"{values['golden_tolerance']:g} allowed",
        "made by": "\n".join(values["commands"]) or _NONE,
        "operators": ", ".join(f"{count} {kind}" for kind, count in operators),
    }
    table = Table(show_header=False)
    table.add_column()
    table.add_column(overflow="fold")
    for name, value in rows.items():
        table.add_row(name, plain(value))
    return table


def layers_table(inspection: Inspection) -> Table:
    """What each layer computes, costs and takes; what belongs to no layer; the sums."""
    times, layers = inspection.times, inspection.layers
    table = Table()
    for name in ("layer", "operators", "output"):
        table.add_column(name, overflow="fold")
    for name in ("multiply-\nadds", "para-\nmeters", "bytes"):
        table.add_column(name, justify="right")
    table.add_column("µs" if times is None else f"µs\nbatch {times.batch}", justify="right")
    for layer in layers:
        table.add_row(
            plain(layer.name),
            plain(" ".join(layer.operators)),
            _shape(layer),
            _count(layer.multiply_adds),
            _count(layer.parameters),
            f"{layer.size:,}",
            _tenths(layer.microseconds),
        )
    table.add_section()
    table.add_row("file structure", "", "", "", "", f"{inspection.contents.other_size:,}", "")
    for name, value in ({} if times is None else times.other).items():
        table.add_row(plain(name), "", "", "", "", "", _tenths(value))
    table.add_section()
    table.add_row(
        "all",
        "",
        "",
        f"{sum(layer.multiply_adds for layer in layers):,}",
        f"{sum(layer.parameters for layer in layers):,}",
        f"{inspection.manifest.model.size:,}",
        _tenths(None if times is None else times.total),
    )
    return table


def quantization_table(inspection: Inspection) -> Table:
    """How each layer's weights and output are stored, and how far, in dB, they stand above their rounding."""
    table = Table()
    for name in ("layer", "weights", "scales"):
        table.add_column(name, overflow="fold")
    table.add_column("SQNR\ndB", justify="right")
    table.add_column("output")
    for name in ("scale", "zero", "SQNR\ndB"):
        table.add_column(name, justify="right")
    for layer in inspection.layers:
        output = layer.output
        table.add_row(
            plain(layer.name),
            _weights(layer),
            _scales(layer.weights),
            _tenths(layer.weights_sqnr),
            "float" if output is None else output.dtype,
            _scales(output),
            _NONE if output is None else str(output.zero_points[0]),
            _tenths(layer.output_sqnr),
        )
    return table


def changes_table(differences: Differences) -> Table:
    """The fields of the manifests that differ."""
    table = Table()
    table.add_column("manifest")
    for side in (differences.first, differences.second):
        table.add_column(plain(side.bundle), overflow="fold")
    for change in differences.changes:
        table.add_row(plain(change.field), _value(change.first), _value(change.second))
    return table


def pairs_table(differences: Differences) -> Table:
    """The layers of two bundles, the first bundle's figures above the second's."""
    table = Table()
    table.add_column("layer", overflow="fold")
    for name, _ in _COMPARED:
        table.add_column(name, justify="right")
    for pair in differences.pairs:
        for name, layer in ((pair.name, pair.first), ("", pair.second)):
            cells = [_NONE if layer is None else show(layer) for _, show in _COMPARED]
            table.add_row(plain(name), *cells)
        table.add_section()
    return table


def _weights(layer: Layer) -> str:
    if layer.weights is None:
        return layer.weights_dtype or _NONE
    return f"{layer.weights.dtype} ×{len(layer.weights.scales)}"  # as many scales


def _scales(quantization: Quantization | None) -> str:
    if quantization is None:
        return _NONE
    low, high = min(quantization.scales), max(quantization.scales)
    return f"{low:#.3g}" if low == high else f"{low:#.2g} … {high:#.2g}"


def _output(layer: Layer) -> str:
    return "float" if layer.output is None else f"{layer.output.dtype} {_scales(layer.output)}"


_COMPARED: tuple[tuple[str, Callable[[Layer], str]], ...] = (
    ("bytes", lambda layer: f"{layer.size:,}"),
    ("multiply-\nadds", lambda layer: _count(layer.multiply_adds)),
    ("weights", _weights),
    ("scales", lambda layer: _scales(layer.weights)),
    ("SQNR\ndB", lambda layer: _tenths(layer.weights_sqnr)),
    ("output", _output),
    ("SQNR\ndB", lambda layer: _tenths(layer.output_sqnr)),
    ("µs", lambda layer: _tenths(layer.microseconds)),
)


def _shape(layer: Layer) -> str:
    return "×".join(map(str, layer.shape)) or _NONE


def _count(value: int) -> str:
    return f"{value:,}" if value else _NONE


def _tenths(value: float | None) -> str:
    return _NONE if value is None else f"{value:,.1f}"


def _value(value: Any) -> Text:
    """A manifest's value in a few words."""
    if value is None:
        return Text(_NONE)
    if isinstance(value, list):
        short = len(value) <= _MOST_LINES
        return plain("\n".join(map(str, value)) if short else f"{len(value)} values")
    return plain(str(value))
