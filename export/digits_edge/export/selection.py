"""The model file for what was asked: converted as named, repaired where int8 misses its gate, or chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from digits_edge.export.fold import fold
from digits_edge.export.onnx import to_onnx
from digits_edge.export.original import Original, StepWatcher
from digits_edge.export.race import race
from digits_edge.export.scheme import Scheme
from digits_edge.export.search import Candidate, Judge, find_int8, quantizer
from digits_edge.export.targets import Target
from digits_edge.export.tflite import to_tflite
from digits_edge.runtime import Format, Precision

if TYPE_CHECKING:
    import keras
    import numpy as np
    from numpy.typing import NDArray

# What is worth having only if it is faster than float32.
_FOR_SPEED = frozenset({Precision.INT8, Precision.WEIGHTS8})


@dataclass(frozen=True, eq=False)
class Selection:
    """A model file, and what else was tried.

    Attributes:
        precision: Arithmetic.
        model: The file's bytes.
        scheme: How int8 was quantized; None for the others.
        tried: All candidates in their order, this one among them; empty where there was nothing to try.
    """

    precision: Precision
    model: bytes
    scheme: Scheme | None
    tried: tuple[Candidate, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """What the manifest says of it."""
        told: dict[str, Any] = {}
        if self.scheme is not None:
            told["quantization"] = self.scheme.to_json()
        if len(self.tried) > 1:
            told["tried"] = [candidate.to_json() for candidate in self.tried]
        return told


def select(
    original: Original,
    format: Format,
    precision: Precision | None,
    target: Target,
    *,
    float_layers: int,
    watcher: StepWatcher,
) -> Selection:
    """Makes the model file. What misses its gate on validation images and cannot be repaired is made, too.

    Args:
        original: The trained model and its data.
        format: File format.
        precision: Arithmetic; None to try the target's candidates in turn.
        target: Where it is to run.
        float_layers: How many layers int8 may put back to float.
        watcher: Told how it goes.

    Raises:
        ConversionError: A converter failed.
        UnsupportedLayerError: The network cannot be folded.
    """
    if precision is None:
        return _chosen(original, format, target, float_layers, watcher)
    if precision is not Precision.INT8:
        return Selection(precision, convert(original.model, format, precision, original.calibration), None)
    judge = Judge(format, original.validation, original.validation_answers)
    tried = _tried_int8(original, judge, target, float_layers, watcher)
    if len(tried) > 1:
        float32 = convert(original.model, format, Precision.FLOAT32, original.calibration)
        tried = [_raced(candidate, judge, float32, watcher) for candidate in tried]
    return _kept(max(tried, key=_rank), tried)


def convert(
    model: keras.Model, format: Format, precision: Precision, calibration: NDArray[np.uint8]
) -> bytes:
    """Folds a Keras model and converts it, int8 by the plain scheme.

    Args:
        model: A trained network that `fold` takes.
        format: File format.
        precision: Arithmetic.
        calibration: uint8 ``(N, 28, 28)`` training images; used for int8 and int16x8.

    Returns:
        The model file's bytes: uint8 ``(N, 28, 28)`` in, logits ``(N, 10)`` out.
    """
    if precision is Precision.INT8:
        return quantizer(format, fold(model, pixel_scale=1 / 255), calibration).quantize(Scheme())
    raw = fold(model, pixel_scale=1.0)
    if format is Format.ONNX:
        return bytes(to_onnx(raw, pixels=True).SerializeToString())
    return to_tflite(raw, precision, calibration)


def _chosen(
    original: Original, format: Format, target: Target, float_layers: int, watcher: StepWatcher
) -> Selection:
    """The first of the target's candidates that is right, and faster where that is what it is for."""
    judge = Judge(format, original.validation, original.validation_answers)
    float32 = convert(original.model, format, Precision.FLOAT32, original.calibration)
    tried: list[Candidate] = []
    for precision in target.candidates[format]:
        if precision is Precision.INT8:
            found = _tried_int8(original, judge, target, float_layers, watcher)
        else:
            what = f"trying {format.value} {precision.value}"
            watcher.on_step(what, 0, 1)
            model = convert(original.model, format, precision, original.calibration)
            found = [judge.judge(precision, None, model)]
            watcher.on_step(what, 1, 1)
        raced = [_raced(candidate, judge, float32, watcher) for candidate in found]
        last = raced[-1]
        if not last.misses and target.races and precision in _FOR_SPEED and not _faster(last):
            raced[-1] = replace(last, verdict="passes, but is not faster than float32 on this machine")
        elif not last.misses:
            return _kept(last, (*tried, *raced))
        tried += raced
    return _kept(max(tried, key=_rank), tried)


def _rank(candidate: Candidate) -> tuple[bool, float]:
    """What passes is better than what does not; of those that do not, the one that agrees most."""
    return not candidate.misses, candidate.parity.agreement


def _kept(best: Candidate, tried: Sequence[Candidate]) -> Selection:
    """One of several; if it misses its gate here, the proof on held-out images has the last word."""
    verdict = f"the best of them, but {best.verdict}" if best.misses else "chosen"
    rows = tuple(replace(each, verdict=verdict) if each is best else each for each in tried)
    return Selection(best.precision, best.model, best.scheme, rows)


def _tried_int8(
    original: Original, judge: Judge, target: Target, float_layers: int, watcher: StepWatcher
) -> list[Candidate]:
    return find_int8(
        fold(original.model, pixel_scale=1 / 255),
        original.calibration,
        judge,
        seven_bits=target.seven_bits and judge.format is Format.ONNX,
        float_layers=float_layers,
        watcher=watcher,
    )


def _raced(candidate: Candidate, judge: Judge, float32: bytes, watcher: StepWatcher) -> Candidate:
    """The candidate with its speed."""
    what = f"timing {judge.format.value} {candidate.name}"
    watcher.on_step(what, 0, 1)
    speed = race(judge.format, candidate.model, float32, judge.validation.images)
    watcher.on_step(what, 1, 1)
    return replace(candidate, speed=speed)


def _faster(candidate: Candidate) -> bool:
    return candidate.speed is not None and candidate.speed.faster
