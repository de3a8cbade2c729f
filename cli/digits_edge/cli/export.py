"""``digits-edge export``: proved bundles from a trained run."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from digits_edge.cli.given import refuse_given

# What may be said of a bundle that exists already.
_WITH_BUNDLE = {"run", "format", "layout", "out", "as_json"}


class FormatChoice(str, Enum):
    """A ``Format``, C sources, or all of them."""

    ONNX = "onnx"
    TFLITE = "tflite"
    C = "c"
    ALL = "all"


class PrecisionChoice(str, Enum):
    """A ``Precision``, one chosen by measuring, or all that are worth having."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"
    INT8 = "int8"
    INT16X8 = "int16x8"
    WEIGHTS8 = "weights8"
    AUTO = "auto"
    ALL = "all"


class TargetChoice(str, Enum):
    """A ``TargetName``."""

    GENERIC = "generic"
    X86_AVX2 = "x86-avx2"
    ARM64 = "arm64"
    MCU = "mcu"


class Layout(str, Enum):
    """What becomes of the bundles."""

    BUNDLE = "bundle"
    TRITON = "triton"


def export(
    context: typer.Context,
    run: Annotated[
        Path | None,
        typer.Argument(
            help="Run directory; or a bundle, for --layout triton or --format c.  "
            "[default: the newest run below --runs]"
        ),
    ] = None,
    format: Annotated[
        list[FormatChoice] | None,
        typer.Option(
            help="May be given several times. onnx: for ONNX Runtime. tflite: for LiteRT. c: int8 TFLite "
            "and C sources of it, for TensorFlow Lite Micro. all: ONNX and TFLite, and C sources where they "
            "can be had.  [default: onnx; c for --target mcu]"
        ),
    ] = None,
    precision: Annotated[
        list[PrecisionChoice] | None,
        typer.Option(
            help="May be given several times. int8: small and fast. float32: the same numbers as Keras. "
            "TFLite also has float16 and weights8 (small files) and int16x8 (slow on CPUs; not part of all). "
            "auto: the smallest that is right, int8 only if it is faster than float32 here.  [default: int8]"
        ),
    ] = None,
    target: Annotated[
        TargetChoice,
        typer.Option(
            help="Where it is to run. generic: int8 ONNX is exact on x86 with VNNI and on 64-bit ARM; "
            "elsewhere the runtime refuses it, or warns where its golden answers come out right. x86-avx2: "
            "exact on any processor, by weights of 7 bits; taken for generic where this machine needs it. "
            "arm64: as generic, but speed is measured on 64-bit ARM only. mcu: integers only, C and TFLite."
        ),
    ] = TargetChoice.GENERIC,
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
    float_layers: Annotated[
        int,
        typer.Option(
            min=0,
            help="Layers that int8 may put back to float, if nothing else repairs it; none for C sources.",
        ),
    ] = 3,
    calibration: Annotated[
        int, typer.Option(min=32, help="Training images that int8 takes its ranges from.")
    ] = 512,
    seed: Annotated[int, typer.Option(min=0, help="Draws these images.")] = 42,
    error_rate: Annotated[
        float,
        typer.Option(
            help="Part of the accepted answers that may be wrong: 0.001 is 0.1 %. Sets the reject threshold."
        ),
    ] = 0.001,
    as_json: Annotated[bool, typer.Option("--json", help="Print the proofs as JSON.")] = False,
) -> None:
    """Export a run to bundles, and prove each of them before it is published.

    Normalisation is folded exactly into the next layer, int8 is calibrated on training images only, and every
    held-out image goes through the finished bundle in the runtime. An int8 that misses its gate on validation
    images is repaired: other calibrators, equalized channels, layers put back to float; what was tried is
    printed as a table. If one bundle misses its gate on the held-out images (float32: probabilities within
    1e-5 and every label the same; int8: at most 0.05 points lost and 99.8 % of the labels the same), nothing
    is published and the exit code is 1.

    Example: digits-edge export runs/cnn --format all --precision all

    Example: digits-edge export runs/cnn --precision auto --target x86-avx2

    Example: digits-edge export runs/edge --format c

    Example: digits-edge export bundles/cnn-onnx-int8 --layout triton
    """
    from digits_edge.cli.steps import StepProgress, print_results
    from digits_edge.export.jobs import FormatWord, Several, asked_for
    from digits_edge.export.pipeline import export as export_run
    from digits_edge.export.pipeline import request_for
    from digits_edge.export.targets import TARGETS, TargetName
    from digits_edge.export.triton import require_onnx, write_repository
    from digits_edge.runtime.manifest import MANIFEST_FILE, Precision
    from digits_edge.trainer.backend import quiet, start_keras
    from digits_edge.trainer.runs import Run, latest_run

    if run is not None and (run / MANIFEST_FILE).exists():
        refuse_given(context, but=_WITH_BUNDLE, why="a bundle stays as it was made", hint="RUN")
        _export_bundle(run, set(format or ()), layout, out, as_json=as_json)
        return
    words = [word.value for word in precision or (PrecisionChoice.INT8,)]
    precisions = [Several(word) if word in ("all", "auto") else Precision(word) for word in words]
    chosen_target = TARGETS[TargetName(target.value)]
    asked = asked_for([FormatWord(word.value) for word in format or ()], precisions, chosen_target)
    if layout is Layout.TRITON:
        require_onnx([job.format for job in asked.jobs])
    request = request_for(
        Run(run) if run is not None else latest_run(runs),
        out=out,
        name=name,
        jobs=asked.jobs,
        target=chosen_target,
        c_sources=asked.c_sources,
        float_layers=float_layers,
        calibration_images=calibration,
        seed=seed,
        error_rate=error_rate,
        notes=asked.notes,
    )
    for note in request.notes:
        typer.echo(note, err=True)
    progress = StepProgress()
    try:
        with progress:
            progress.on_step("starting TensorFlow", 0, 1)
            start_keras(request.log)
            with quiet(request.log):
                export_run(request, progress)
    finally:
        print_results(progress, as_json=as_json)  # of what was refused, too
    if layout is Layout.TRITON:
        for result in progress.results:
            write_repository(result.path, out / "triton")
    if as_json:
        return
    typer.echo(f"published in {out}; the converters' output is in {request.log}")
    if layout is Layout.TRITON:
        typer.echo(f"for Triton and KServe: tritonserver --model-repository={out / 'triton'}")
    smallest = min(progress.results, key=lambda result: result.size).path
    typer.echo(f"use it: digits-edge predict --bundle {smallest} IMAGE…")
    typer.echo(f"see into it: digits-edge inspect {smallest}, or open {smallest / 'parity.html'}")


def _export_bundle(
    bundle: Path, formats: set[FormatChoice], layout: Layout, out: Path, *, as_json: bool
) -> None:
    from digits_edge.cli.printing import print_json
    from digits_edge.cli.steps import StepProgress, print_results
    from digits_edge.export.micro import sources_of
    from digits_edge.export.triton import write_repository
    from digits_edge.runtime.errors import InputError

    if layout is Layout.TRITON and formats <= {FormatChoice.ONNX}:
        served = write_repository(bundle, out / "triton")
        if as_json:
            print_json([{"bundle": str(bundle), "triton": str(served)}])
        else:
            typer.echo(f"for Triton and KServe: {served}")
    elif layout is Layout.BUNDLE and formats == {FormatChoice.C}:
        with StepProgress() as progress:
            progress.on_sources(sources_of(bundle, out, progress))
        print_results(progress, as_json=as_json)
    else:
        raise InputError(
            f"{bundle}: a bundle; expected the run it was made of, or with a bundle --layout triton or "
            "--format c alone"
        )
