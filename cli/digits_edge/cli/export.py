"""``digits-edge export``: proved bundles from a trained run."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer


class FormatChoice(str, Enum):
    """A ``Format``, or all of them."""

    ONNX = "onnx"
    TFLITE = "tflite"
    ALL = "all"


class PrecisionChoice(str, Enum):
    """A ``Precision``, or all of them."""

    FLOAT32 = "float32"
    INT8 = "int8"
    ALL = "all"


class Layout(str, Enum):
    """What becomes of the bundles."""

    BUNDLE = "bundle"
    TRITON = "triton"


def export(
    run: Annotated[
        Path | None,
        typer.Argument(
            help="Run directory, or a bundle for --layout triton.  [default: the newest run below --runs]"
        ),
    ] = None,
    format: Annotated[
        FormatChoice, typer.Option(help="onnx: for ONNX Runtime. tflite: for LiteRT.")
    ] = FormatChoice.ONNX,
    precision: Annotated[
        PrecisionChoice, typer.Option(help="int8: small and fast. float32: the same numbers as Keras.")
    ] = PrecisionChoice.INT8,
    layout: Annotated[
        Layout,
        typer.Option(
            help="bundle: for digits_edge.runtime. triton: a model repository for Triton and KServe too."
        ),
    ] = Layout.BUNDLE,
    out: Annotated[Path, typer.Option(help="Directory that the bundles go to, one below it each.")] = Path(
        "bundles"
    ),
    name: Annotated[
        str | None, typer.Option(help="First part of the bundles' names.  [default: the architecture]")
    ] = None,
    runs: Annotated[Path, typer.Option(help="Where run directories are kept.")] = Path("runs"),
    calibration: Annotated[
        int, typer.Option(min=32, help="Training images that int8 takes its ranges from.")
    ] = 512,
    seed: Annotated[int, typer.Option(min=0, help="Draws these images.")] = 42,
    error_rate: Annotated[
        float, typer.Option(help="Errors allowed among the accepted answers; sets the reject threshold.")
    ] = 0.001,
    as_json: Annotated[bool, typer.Option("--json", help="Print the proofs as JSON.")] = False,
) -> None:
    """Export a run to bundles, and prove each of them before it is published.

    Normalisation is folded exactly into the next layer, int8 is calibrated on training images only, and every
    held-out image goes through the finished bundle in the runtime. If one bundle misses its gate (float32:
    probabilities within 1e-5 and every label the same; int8: at most 0.10 points lost and 99.8 % of the
    labels the same), nothing is published and the exit code is 1.

    Example: digits-edge export runs/cnn --format all --precision all

    Example: digits-edge export bundles/cnn-onnx-int8 --layout triton
    """
    from digits_edge.cli.printing import print_json, print_table
    from digits_edge.cli.steps import StepProgress, proofs
    from digits_edge.export.pipeline import export as export_run
    from digits_edge.export.pipeline import request_for
    from digits_edge.export.triton import require_onnx, write_repository
    from digits_edge.runtime.manifest import MANIFEST_FILE, Format, Precision
    from digits_edge.trainer.backend import quiet, start_keras
    from digits_edge.trainer.runs import Run, latest_run

    formats = tuple(Format) if format is FormatChoice.ALL else (Format(format.value),)
    repository = out / "triton"
    if layout is Layout.TRITON:
        require_onnx(formats)
        if run is not None and (run / MANIFEST_FILE).exists():
            served = write_repository(run, repository)
            if as_json:
                print_json([{"bundle": str(run), "triton": str(served)}])
            else:
                typer.echo(f"for Triton and KServe: {served}")
            return
    request = request_for(
        Run(run) if run is not None else latest_run(runs),
        out=out,
        name=name,
        formats=formats,
        precisions=tuple(Precision) if precision is PrecisionChoice.ALL else (Precision(precision.value),),
        calibration_images=calibration,
        seed=seed,
        error_rate=error_rate,
    )
    progress = StepProgress()
    try:
        with progress:
            progress.on_step("starting TensorFlow", 0, 1)
            start_keras(request.log)
            with quiet(request.log):
                export_run(request, progress)
    finally:
        if progress.results and not as_json:
            print_table(proofs(progress.results))
    if layout is Layout.TRITON:
        for result in progress.results:
            write_repository(result.path, repository)
    if as_json:
        print_json([result.to_json() for result in progress.results])
        return
    typer.echo(f"published in {out}; the converters' output is in {request.log}")
    if layout is Layout.TRITON:
        typer.echo(f"for Triton and KServe: tritonserver --model-repository={repository}")
    first = progress.results[0].path
    typer.echo(f"use it: digits-edge predict --bundle {first} IMAGE…   measure it: digits-edge bench {first}")
