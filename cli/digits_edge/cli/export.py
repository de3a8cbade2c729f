"""``digits-edge export``: proved bundles from a trained run."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer


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
            "and C sources of it, for TensorFlow Lite Micro.  [default: onnx]"
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
        int, typer.Option(min=0, help="Layers that int8 may put back to float, if nothing else repairs it.")
    ] = 3,
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
    from digits_edge.cli.printing import print_json
    from digits_edge.cli.steps import StepProgress, export_sources, print_results
    from digits_edge.export import tflm
    from digits_edge.export.jobs import FOR_C, Several, jobs_for
    from digits_edge.export.pipeline import export as export_run
    from digits_edge.export.pipeline import request_for
    from digits_edge.export.targets import TARGETS, TargetName
    from digits_edge.export.triton import require_onnx, write_repository
    from digits_edge.runtime.manifest import MANIFEST_FILE, Format, Precision
    from digits_edge.trainer.backend import quiet, start_keras
    from digits_edge.trainer.runs import Run, latest_run

    asked = format or [FormatChoice.ONNX]
    made_of = {"all": tuple(Format), "c": (Format.TFLITE,)}  # C sources are made of TFLite
    formats = [kind for each in asked for kind in made_of.get(each.value) or (Format(each.value),)]
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
    if asked == [FormatChoice.C] and run is not None and (run / MANIFEST_FILE).exists():
        export_sources(run, out, as_json=as_json)
        return
    words = [word.value for word in precision or (PrecisionChoice.INT8,)]
    precisions = [Several(word) if word in ("all", "auto") else Precision(word) for word in words]
    chosen_target = TARGETS[TargetName(target.value)]
    jobs = jobs_for(formats, precisions, chosen_target)
    # Of everything, C sources are a part where they can be proved.
    everything = FormatChoice.ALL in asked and FOR_C in jobs and tflm.installed()
    request = request_for(
        Run(run) if run is not None else latest_run(runs),
        out=out,
        name=name,
        jobs=jobs,
        target=chosen_target,
        c_sources=everything or FormatChoice.C in asked,
        float_layers=float_layers,
        calibration_images=calibration,
        seed=seed,
        error_rate=error_rate,
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
            write_repository(result.path, repository)
    if as_json:
        return
    typer.echo(f"published in {out}; the converters' output is in {request.log}")
    if layout is Layout.TRITON:
        typer.echo(f"for Triton and KServe: tritonserver --model-repository={repository}")
    smallest = min(progress.results, key=lambda result: result.size).path
    typer.echo(f"use it: digits-edge predict --bundle {smallest} IMAGE…")
    typer.echo(f"see into it: digits-edge inspect {smallest}, or open {smallest / 'parity.html'}")
