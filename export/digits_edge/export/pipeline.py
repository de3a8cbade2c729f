"""Run directory → proved bundles: fold, convert, quantize, prove, publish."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from digits_edge.export.artifact import Artifact, golden_answers, library_versions
from digits_edge.export.errors import ParityError
from digits_edge.export.fold import fold
from digits_edge.export.jobs import FOR_C, Job, provable_target
from digits_edge.export.micro import Micro, stage_micro
from digits_edge.export.original import Original, StepWatcher, load_original
from digits_edge.export.parity import Parity, gate_for
from digits_edge.export.proving import prove
from digits_edge.export.publish import discard, publish, stage, writing
from digits_edge.export.selection import Selection, select
from digits_edge.export.sureness import Sureness, choose_sureness
from digits_edge.export.targets import TARGETS, Target, TargetName
from digits_edge.export.tflm import require_tflm
from digits_edge.runtime import Format, InputError, Precision, Recognizer, read_bundle
from digits_edge.runtime.processor import instruction_sets
from digits_edge.trainer.commands import public_path, train_command
from digits_edge.trainer.confidence import ERROR_RATE
from digits_edge.trainer.errors import SetupError
from digits_edge.trainer.runs import Run

_CALIBRATED = frozenset({Precision.INT8, Precision.INT16X8})
FLOAT_LAYERS = 3  # that int8 may put back to float: more of them, and little is left of its speed
_MAX_ERROR_RATE = 0.1  # more is a percentage taken for a part

# What an export imports, beyond the runtime's own.
_NEEDED = ("keras", "tensorflow", "sklearn", "scipy")
_NEEDED_FOR = {Format.ONNX: ("tf2onnx", "onnx"), Format.TFLITE: ("ai_edge_litert",)}


class Watcher(StepWatcher, Protocol):
    """Is told how the export goes."""

    def on_result(self, exported: Exported) -> None:
        """A bundle is proved, or refused."""

    def on_sources(self, micro: Micro) -> None:
        """C sources are proved."""


@dataclass(frozen=True)
class Request:
    """What to export.

    Attributes:
        run: A finished run.
        out: Directory that the bundles go to, one below it each.
        name: The model's name; the first part of the bundles' names.
        jobs: What to make: a file format and a precision, or None to choose one by measuring.
        target: Where it is to run.
        c_sources: Make C sources of the int8 TFLite, too; that must be among the jobs.
        float_layers: How many layers int8 may put back to float to pass its gate; what C sources are made
            of has none.
        calibration_images: Training images that int8 takes its ranges from.
        seed: Draws these images.
        error_rate: Part of the accepted answers that may be wrong; the reject threshold follows from it.
        notes: What whoever asked should know: what is made otherwise than asked for, and why.
    """

    run: Run
    out: Path
    name: str
    jobs: tuple[Job, ...]
    target: Target = TARGETS[TargetName.GENERIC]
    c_sources: bool = False
    float_layers: int = FLOAT_LAYERS
    calibration_images: int = 512
    seed: int = 42
    error_rate: float = ERROR_RATE
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", self.name):
            raise InputError(f"name {self.name!r}; expected letters, digits, '.', '_' and '-'")
        if not self.jobs or self.calibration_images < 1:
            raise InputError("nothing to export; expected a format, a precision and calibration images")
        if self.float_layers < 0:
            raise InputError(f"{self.float_layers} layers in float; expected 0 or more")
        if self.c_sources and FOR_C not in self.jobs:
            raise InputError(
                "C sources are made of the int8 TFLite model, which is not asked for; use --precision int8"
            )
        if not 0 < self.error_rate <= _MAX_ERROR_RATE:
            raise InputError(
                f"error rate {self.error_rate:g}; expected a part above 0 and at most {_MAX_ERROR_RATE:g}: "
                "0.001 is 0.1 %"
            )

    @property
    def log(self) -> Path:
        """Where the converters' output goes."""
        return self.out / "export.log"

    def float_layers_of(self, job: Job) -> int:
        """How many layers a file may have in float: none if C sources are made of it."""
        return 0 if self.c_sources and job == FOR_C else self.float_layers


def request_for(run: Run, *, out: Path, name: str | None = None, **options: Any) -> Request:
    """A request, checked as far as that goes without TensorFlow. Makes ``out`` and the log in it.

    The name is the run's architecture if not given. Where this processor cannot prove int8 ONNX for
    ``generic``, the request is for ``x86-avx2``, and a note says so.

    Raises:
        RunError: There is no run, or it is not finished.
        InputError: The name is no file name.
        SetupError: A package is not installed, or this processor computes the target's int8 inexactly.
        ExportError: ``out`` cannot be written to.
    """
    config = run.config()
    run.metrics()
    request = Request(run, out, name or config.architecture.value, **options)
    _require_packages({job.format for job in request.jobs})
    target = provable_target(request.target, request.jobs, instruction_sets())
    if target is not request.target:
        note = (
            "this processor is inexact with weights of 8 bits: int8 ONNX is made by --target "
            f"{target.name.value}, of 7 bits"
        )
        request = replace(request, target=target, notes=(*request.notes, note))
    if request.c_sources:
        require_tflm()
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
        request.log.touch()
    return request


def _require_packages(formats: set[Format]) -> None:
    needed = (*_NEEDED, *(name for kind in formats for name in _NEEDED_FOR[kind]))
    missing = [name for name in needed if find_spec(name) is None]
    if missing:
        raise SetupError(
            f"this export needs {', '.join(missing)}, which is not installed; "
            'install it with: pip install "digits-edge[export]"'
        )


@dataclass(frozen=True)
class Exported:
    """One proved, or refused, bundle.

    Attributes:
        path: Where it is, or would have been.
        format: File format.
        precision: Arithmetic.
        size: Bytes of the model file.
        parity: The proof.
        sureness: Temperature and reject threshold.
        selection: The model file, and what else was tried.
        misses: What it misses of its gate; empty if it passed.
        seconds: Time it took.
    """

    path: Path
    format: Format
    precision: Precision
    size: int
    parity: Parity
    sureness: Sureness
    selection: Selection
    misses: tuple[str, ...]
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Plain values, for scripts."""
        return {
            "kind": "bundle",
            "bundle": str(self.path),
            "format": self.format.value,
            "precision": self.precision.value,
            "bytes": self.size,
            "misses": list(self.misses),
            "seconds": round(self.seconds, 1),
            "parity": self.parity.to_json(),
            "confidence": self.sureness.to_json(),
            **self.selection.to_json(),
        }


def export(request: Request, watcher: Watcher) -> tuple[Exported, ...]:
    """Exports a run to every format and precision asked for, and publishes the bundles if all of them pass.

    Returns:
        The published bundles.

    Raises:
        ParityError: A bundle misses its gate; none is published. The message has the figures.
        RunError: The run is not finished, its model is damaged, or its data has changed.
        UnsupportedLayerError: The network cannot be folded.
        ConversionError: A converter failed.
        ExportError: The network is too unsure for golden answers, or a place cannot be written to.
    """
    original = load_original(
        request.run, calibration_images=request.calibration_images, seed=request.seed, watcher=watcher
    )
    staged: list[tuple[Path, Path]] = []
    results: list[Exported] = []
    try:
        for job in request.jobs:
            staging, exported = _prove(request, original, job, watcher)
            staged.append((staging, exported.path))
            results.append(exported)
            watcher.on_result(exported)
            if request.c_sources and job == FOR_C and not exported.misses:
                staging, micro = stage_micro(
                    staging, request.out, original.held_out, watcher, held_out_name=original.held_out_name
                )
                staged.append((staging, micro.path))
                watcher.on_sources(micro)
        refused = [exported for exported in results if exported.misses]
        if refused:
            raise ParityError(_refusal(request, refused))
        for staging, path in staged:
            publish(staging, path)
    finally:
        for staging, _ in staged:
            discard(staging)
    return tuple(results)


def _prove(request: Request, original: Original, job: Job, watcher: Watcher) -> tuple[Path, Exported]:
    """Makes the model file, stages the bundle, and runs it in the runtime on every held-out image."""
    began = time.monotonic()
    floats = request.float_layers_of(job)
    selection = select(original, job, request.target, float_layers=floats, watcher=watcher)
    precision = selection.precision
    int8_onnx = (job.format, precision) == (Format.ONNX, Precision.INT8)
    artifact = Artifact(
        name=request.name,
        format=job.format,
        precision=precision,
        model=selection.model,
        provenance=_provenance(request, original, job, selection),
        safe_on=request.target.safe_on if int8_onnx else ("any",),
    )
    what = f"{job.format.value} {precision.value}"
    golden = golden_answers(artifact, original.held_out.images, original.probabilities)
    target = request.out / artifact.directory
    staging = stage(target, artifact.files(golden))
    try:
        gate = gate_for(precision, float_layers=selection.has_float_layers)
        proof = prove(original, staging, name=target.name, what=what, gate=gate, watcher=watcher)
        answers = _answers(staging, original.validation.images, f"confidence of {what}", watcher)
        sureness = choose_sureness(answers, original.validation.labels, error_rate=request.error_rate)
        # Read once more: what a device would refuse is refused here.
        read_bundle(stage(target, artifact.files(golden, proof, sureness)))
    except BaseException:
        discard(staging)
        raise
    seconds = time.monotonic() - began
    return staging, Exported(
        path=target,
        format=job.format,
        precision=precision,
        size=len(artifact.model),
        parity=proof.parity,
        sureness=sureness,
        selection=selection,
        misses=proof.misses,
        seconds=seconds,
    )


def _answers(bundle: Path, images: NDArray[np.uint8], step: str, watcher: Watcher) -> NDArray[np.float32]:
    answers = []
    with Recognizer.load(bundle) as recognizer:
        for start in range(0, len(images), 1000):
            answers.append(recognizer.predict(images[start : start + 1000]).probabilities)
            watcher.on_step(step, min(start + 1000, len(images)), len(images))
    return np.concatenate(answers)


def _provenance(request: Request, original: Original, job: Job, selection: Selection) -> dict[str, Any]:
    training = {**original.config.to_json(), "run": request.run.path.name}
    del training["machine"]
    if training["data"] is not None:
        training["data"] = public_path(training["data"])
    training["teachers"] = {public_path(path): digest for path, digest in training["teachers"].items()}
    made: dict[str, Any] = {
        "training": training,
        "versions": library_versions(),
        "multiply_adds": fold(original.model, pixel_scale=1.0).multiply_adds,
        "commands": [train_command(original.config), _export_command(request, job)],
    }
    if selection.precision in _CALIBRATED:
        made["calibration"] = {
            "seed": request.seed,
            "training_rows": original.calibration_rows.tolist(),
        }
    return {**made, **selection.to_json()}


def _export_command(request: Request, job: Job) -> str:
    precision = "auto" if job.precision is None else job.precision.value
    words = ["digits-edge export RUN", f"--format {job.format.value}", f"--precision {precision}"]
    words += [f"--target {request.target.name.value}", f"--name {request.name}"]
    words += [f"--error-rate {request.error_rate:g}"]
    if job.precision is None or job.precision in _CALIBRATED:
        words += [f"--calibration {request.calibration_images}", f"--seed {request.seed}"]
        words += [f"--float-layers {request.float_layers_of(job)}"]
    return " ".join(words)


def _refusal(request: Request, refused: list[Exported]) -> str:
    lines = [f"{exported.path.name}: {'; '.join(exported.misses)}" for exported in refused]
    may_float = min(request.float_layers, request.target.float_layers) > 0
    made_for_c = any(Job(exported.format, exported.precision) == FOR_C for exported in refused)
    if request.c_sources and made_for_c and may_float:
        lines.append("C sources have no float layers; --format tflite may put some back")
    return "not the same model any more, nothing was published:\n  " + "\n  ".join(lines)
