"""``digits-edge inspect``: a bundle layer by layer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from digits_edge.export.differences import Differences
    from digits_edge.export.inspection import Inspection


def inspect(
    bundles: Annotated[list[Path], typer.Argument(metavar="BUNDLE...", help="Bundle; with --diff, two.")],
    diff: Annotated[bool, typer.Option("--diff", help="Show two bundles side by side.")] = False,
    plot: Annotated[Path | None, typer.Option(help="PNG file to draw the layers to.")] = None,
    batch: Annotated[
        int, typer.Option(min=1, max=4096, help="Images a call while the time is taken (ONNX only).")
    ] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Show what is in a bundle, layer by layer: operators, multiply-adds, bytes, scales, noise, time.

    Works from the bundle alone. Noise is the signal-to-quantization-noise ratio (SQNR) in decibels, 6 dB a
    bit: of the weights from their steps (uniform noise model), of the outputs by running the golden images
    with and without rounding between the layers. An output carries the noise of the layers before it.
    Weights "int8 ×64" have 64 scales, one a channel.

    Time is ONNX Runtime's own profile of one thread, graph optimizations on: what was fused counts where its
    name says, what belongs to no layer has a row of its own. The profiler itself costs time at each
    operator, so small networks are better timed in a --batch. TFLite files show no time: LiteRT's Python
    package has no profiler.

    Example: digits-edge inspect models/edge-onnx-int8 --plot layers.png

    Example: digits-edge inspect models/cnn-notebook-onnx-int8 --batch 32 --json

    Example: digits-edge inspect --diff models/edge-onnx-float32 models/edge-onnx-int8
    """
    from digits_edge.cli.printing import print_json
    from digits_edge.export.differences import Differences
    from digits_edge.export.inspection import inspect_bundle
    from digits_edge.export.layer_chart import check_place, draw
    from digits_edge.runtime import InputError

    if len(bundles) != 1 + diff:
        wanted = "--diff compares two" if diff else "one; two with --diff"
        raise InputError(f"{len(bundles)} bundle{'s' * (len(bundles) > 1)}; expected {wanted}")
    if plot is not None:
        check_place(plot)
    inspections = [inspect_bundle(bundle, batch=batch) for bundle in bundles]
    if plot is not None:
        draw(inspections, plot)
    differences = Differences(*inspections) if diff else None
    if as_json:
        print_json((differences or inspections[0]).to_json())
    elif differences is not None:
        _print_differences(differences)
    else:
        _print(inspections[0])
    if plot is not None:
        typer.echo(f"drawn: {plot}", err=as_json)


def _print(inspection: Inspection) -> None:
    from digits_edge.cli.layers import layers_table, quantization_table, summary_table
    from digits_edge.cli.printing import print_table

    print_table(summary_table(inspection))
    print_table(layers_table(inspection))
    if any(layer.weights_dtype not in ("", "float32") for layer in inspection.layers):
        print_table(quantization_table(inspection))
    for note in inspection.notes:
        typer.echo(note)


def _print_differences(differences: Differences) -> None:
    from digits_edge.cli.layers import changes_table, pairs_table
    from digits_edge.cli.printing import print_table

    print_table(changes_table(differences))
    print_table(pairs_table(differences))
    for side in (differences.first, differences.second):
        for note in side.notes:
            typer.echo(f"{side.bundle}: {note}")
