"""Run directory → proved bundles: fold, convert, quantize, prove, publish."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from digits_edge.export.artifact import Artifact, golden_answers, library_versions
from digits_edge.export.errors import ParityError
from digits_edge.export.fold import fold
from digits_edge.export.original import Original, StepWatcher, load_original
from digits_edge.export.parity import GATES, Parity, compare
from digits_edge.export.publish import discard, publish, stage, writing
from digits_edge.export.sureness import Sureness, choose_sureness
from digits_edge.runtime import Format, InputError, Precision, Recognizer, read_bundle
from digits_edge.trainer.commands import public_path, train_command
from digits_edge.trainer.confidence import ERROR_RATE
from digits_edge.trainer.errors import SetupError
from digits_edge.trainer.runs import Run

if TYPE_CHECKING:
    import keras

# What an export imports, beyond the runtime's own.
_NEEDED = ("keras", "tensorflow", "sklearn", "scipy")
_NEEDED_FOR = {Format.ONNX: ("tf2onnx", "onnx"), Format.TFLITE: ("ai_edge_litert",)}


class Watcher(StepWatcher, Protocol):
    """Is told how the export goes."""

    def on_result(self, exported: Exported) -> None:
        """A bundle is proved, or refused."""


@dataclass(frozen=True)
class Request:
    """What to export.

    Attributes:
        run: A finished run.
        out: Directory that the bundles go to, one below it each.
        name: The model's name; the first part of the bundles' names.
        formats: File formats.
        precisions: Precisions of each.
        calibration_images: Training images that int8 takes its ranges from.
        seed: Draws these images.
        error_rate: Part of the accepted answers that may be wrong; the reject threshold follows from it.
    """

    run: Run
    out: Path
    name: str
    formats: tuple[Format, ...]
    precisions: tuple[Precision, ...]
    calibration_images: int = 512
    seed: int = 42
    error_rate: float = ERROR_RATE

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", self.name):
            raise InputError(f"name {self.name!r}; expected letters, digits, '.', '_' and '-'")
        if not self.formats or not self.precisions or self.calibration_images < 1:
            raise InputError("nothing to export; expected a format, a precision and calibration images")
        if not 0 < self.error_rate < 1:
            raise InputError(f"error rate {self.error_rate}; expected above 0 and below 1")

    @property
    def log(self) -> Path:
        """Where the converters' output goes."""
        return self.out / "export.log"


def request_for(run: Run, *, out: Path, name: str | None = None, **options: Any) -> Request:
    """A request, checked as far as that goes without TensorFlow. Makes ``out`` and the log in it.

    The name is the run's architecture if not given.

    Raises:
        RunError: There is no run, or it is not finished.
        InputError: The name is no file name.
        SetupError: A package is not installed.
        ExportError: ``out`` cannot be written to.
    """
    config = run.config()
    run.metrics()
    request = Request(run, out, name or config.architecture.value, **options)
    _require_packages(request.formats)
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
        request.log.touch()
    return request


def _require_packages(formats: tuple[Format, ...]) -> None:
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
        misses: What it misses of its gate; empty if it passed.
        seconds: Time it took.
    """

    path: Path
    format: Format
    precision: Precision
    size: int
    parity: Parity
    sureness: Sureness
    misses: tuple[str, ...]
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Plain values, for scripts."""
        return {
            "bundle": str(self.path),
            "format": self.format.value,
            "precision": self.precision.value,
            "bytes": self.size,
            "misses": list(self.misses),
            "seconds": round(self.seconds, 1),
            "parity": self.parity.to_json(),
            "confidence": self.sureness.to_json(),
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
    staged: list[tuple[Path, Exported]] = []
    try:
        for kind, precision in product(request.formats, request.precisions):
            staged.append(_prove(request, original, kind, precision, watcher))
            watcher.on_result(staged[-1][1])
        refused = [exported for _, exported in staged if exported.misses]
        if refused:
            raise ParityError(_refusal(refused))
        for staging, exported in staged:
            publish(staging, exported.path)
    finally:
        for staging, _ in staged:
            discard(staging)
    return tuple(exported for _, exported in staged)


def convert(
    model: keras.Model, format: Format, precision: Precision, calibration: NDArray[np.uint8]
) -> bytes:
    """Folds a Keras model and converts it.

    Args:
        model: A trained network that `fold` takes.
        format: File format.
        precision: Arithmetic.
        calibration: uint8 ``(N, 28, 28)`` training images; used for int8.

    Returns:
        The model file's bytes: uint8 ``(N, 28, 28)`` in, logits ``(N, 10)`` out.
    """
    from digits_edge.export.onnx import to_onnx
    from digits_edge.export.onnx_int8 import quantize_onnx
    from digits_edge.export.tflite import to_tflite, to_tflite_int8

    if precision is Precision.FLOAT32:
        raw = fold(model, pixel_scale=1.0)
        return (
            bytes(to_onnx(raw, pixels=True).SerializeToString()) if format is Format.ONNX else to_tflite(raw)
        )
    scaled = fold(model, pixel_scale=1 / 255)
    if format is Format.ONNX:
        return bytes(quantize_onnx(to_onnx(scaled, pixels=False), calibration).SerializeToString())
    return to_tflite_int8(scaled, calibration)


def _prove(
    request: Request, original: Original, format: Format, precision: Precision, watcher: Watcher
) -> tuple[Path, Exported]:
    """Converts, stages the bundle, and runs it in the runtime on every held-out image."""
    began = time.monotonic()
    what = f"{format.value} {precision.value}"
    watcher.on_step(f"converting {what}", 0, 1)
    artifact = Artifact(
        name=request.name,
        format=format,
        precision=precision,
        model=convert(original.model, format, precision, original.calibration),
        provenance=_provenance(request, original, format, precision),
    )
    watcher.on_step(f"converting {what}", 1, 1)

    golden = golden_answers(artifact, original.held_out.images, original.probabilities)
    target = request.out / artifact.directory
    staging = stage(target, artifact.files(golden))
    try:
        answers = _answers(staging, original.held_out.images, f"proving {what}", watcher)
        parity = compare(
            original.probabilities, answers, original.held_out.labels, held_out=original.held_out_name
        )
        answers = _answers(staging, original.validation.images, f"confidence of {what}", watcher)
        sureness = choose_sureness(answers, original.validation.labels, error_rate=request.error_rate)
        # Read once more: what a device would refuse is refused here.
        read_bundle(stage(target, artifact.files(golden, parity, sureness)))
    except BaseException:
        discard(staging)
        raise
    misses = tuple(GATES[precision].misses(parity))
    seconds = time.monotonic() - began
    return staging, Exported(
        target, format, precision, len(artifact.model), parity, sureness, misses, seconds
    )


def _answers(bundle: Path, images: NDArray[np.uint8], step: str, watcher: Watcher) -> NDArray[np.float32]:
    answers = []
    with Recognizer.load(bundle) as recognizer:
        for start in range(0, len(images), 1000):
            answers.append(recognizer.predict(images[start : start + 1000]).probabilities)
            watcher.on_step(step, min(start + 1000, len(images)), len(images))
    return np.concatenate(answers)


def _provenance(request: Request, original: Original, format: Format, precision: Precision) -> dict[str, Any]:
    training = {**original.config.to_json(), "run": request.run.path.name}
    del training["machine"]
    if training["data"] is not None:
        training["data"] = public_path(training["data"])
    training["teachers"] = {public_path(path): digest for path, digest in training["teachers"].items()}
    made: dict[str, Any] = {
        "training": training,
        "versions": library_versions(),
        "multiply_adds": fold(original.model, pixel_scale=1.0).multiply_adds,
        "commands": [train_command(original.config), _export_command(request, format, precision)],
    }
    if precision is Precision.INT8:
        made["calibration"] = {
            "calibrator": "min-max",
            "seed": request.seed,
            "training_rows": original.calibration_rows.tolist(),
        }
    return made


def _export_command(request: Request, format: Format, precision: Precision) -> str:
    words = ["digits-edge export RUN", f"--format {format.value}", f"--precision {precision.value}"]
    words += [f"--name {request.name}", f"--error-rate {request.error_rate:g}"]
    if precision is Precision.INT8:
        words += [f"--calibration {request.calibration_images}", f"--seed {request.seed}"]
    return " ".join(words)


def _refusal(refused: list[Exported]) -> str:
    lines = [f"{exported.path.name}: {'; '.join(exported.misses)}" for exported in refused]
    return "not the same model any more, nothing was published:\n  " + "\n  ".join(lines)
