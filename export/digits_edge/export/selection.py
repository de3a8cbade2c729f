"""The model file for what was asked: converted as named, repaired where int8 misses its gate, or chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from digits_edge.export.fold import fold
from digits_edge.export.jobs import Job
from digits_edge.export.onnx import to_onnx
from digits_edge.export.original import Original, StepWatcher
from digits_edge.export.race import race
from digits_edge.export.scheme import Scheme
from digits_edge.export.search import PASSES, Candidate, Judge, find_int8, quantizer
from digits_edge.export.sensitivity import Sensitivity
from digits_edge.export.targets import REFUSED, Target
from digits_edge.export.tflite import to_tflite
from digits_edge.runtime import Format, InputError, Precision
from digits_edge.runtime.processor import instruction_sets

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
        ranking: What int8 costs each layer, the worst first; empty where nobody had to ask.
    """

    precision: Precision
    model: bytes = field(repr=False)
    scheme: Scheme | None = None
    tried: tuple[Candidate, ...] = ()
    ranking: tuple[Sensitivity, ...] = ()

    @property
    def has_float_layers(self) -> bool:
        """Whether int8 has layers that stayed float."""
        return self.scheme is not None and bool(self.scheme.float_layers)

    def to_json(self) -> dict[str, Any]:
        """What the manifest says of it."""
        told: dict[str, Any] = {}
        if self.scheme is not None:
            told["quantization"] = self.scheme.to_json()
        if len(self.tried) > 1:
            told["tried"] = [candidate.to_json() for candidate in self.tried]
        if self.ranking:
            told["ranking"] = [asdict(sensitivity) for sensitivity in self.ranking]
        return told


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

    Raises:
        InputError: The format has no such precision.
    """
    if (format, precision) in REFUSED:
        raise InputError(f"no {precision.value} {format.value}: {REFUSED[format, precision]}")
    if precision is Precision.INT8:
        return quantizer(format, fold(model, pixel_scale=1 / 255), calibration).quantize(Scheme())
    raw = fold(model, pixel_scale=1.0)
    if format is Format.ONNX:
        return bytes(to_onnx(raw, pixels=True).SerializeToString())
    return to_tflite(raw, precision, calibration)


def select(
    original: Original, job: Job, target: Target, *, float_layers: int, watcher: StepWatcher
) -> Selection:
    """Makes the model file. What misses its gate on validation images and cannot be repaired is made, too.

    Args:
        original: The trained model and its data.
        job: File format and precision; without a precision the target's candidates are tried in turn.
        target: Where it is to run.
        float_layers: How many layers int8 may put back to float, where the target has floats at all.
        watcher: Told how it goes.

    Raises:
        ConversionError: A converter failed.
        UnsupportedLayerError: The network cannot be folded.
    """
    return _Selector(original, job.format, target, float_layers, watcher).select(job.precision)


@dataclass(frozen=True, eq=False)
class _Selector:
    """What all candidates of one file have in common."""

    original: Original
    format: Format
    target: Target
    float_layers: int
    watcher: StepWatcher

    def select(self, precision: Precision | None) -> Selection:
        if precision is None:
            return self._chosen()
        if precision is Precision.INT8:
            return self._int8()
        return Selection(precision, self._converted(precision))

    def _int8(self) -> Selection:
        """Plain if that passes; else repaired, with the speed that the remedies leave."""
        tried, ranking = self._search()
        if len(tried) > 1 and self._races:
            tried = self._raced(tried, self._converted(Precision.FLOAT32))
        return _kept(max(tried, key=_rank), tried, ranking)

    def _chosen(self) -> Selection:
        """The first of the target's candidates that is right, and faster where that is what it is for."""
        float32 = self._converted(Precision.FLOAT32)
        tried: list[Candidate] = []
        ranking: tuple[Sensitivity, ...] = ()
        for precision in self.target.candidates[self.format]:
            if precision is Precision.INT8:
                found, ranking = self._search()
            else:
                model = float32 if precision is Precision.FLOAT32 else self._converted(precision)
                found = [self._judge.judge(precision, None, model)]
            if self._races and precision is not Precision.FLOAT32:
                found = self._raced(found, float32)
            last = found[-1]
            slow = precision in _FOR_SPEED and last.speed is not None and not last.speed.faster
            if not last.misses and not slow:
                return _kept(last, (*tried, *found), ranking)
            if not last.misses:
                found[-1] = replace(last, verdict="passes, but is not faster than float32 on this machine")
            tried += found
        return _kept(max(tried, key=_rank), tried, ranking)

    @property
    def _judge(self) -> Judge:
        return Judge(self.format, self.original.validation, self.original.validation_answers)

    @property
    def _races(self) -> bool:
        """Whether speed here says anything about speed there."""
        machines = self.target.machines
        return machines is None or not (instruction_sets() or frozenset()).isdisjoint(machines)

    def _search(self) -> tuple[list[Candidate], tuple[Sensitivity, ...]]:
        return find_int8(
            fold(self.original.model, pixel_scale=1 / 255),
            self.original.calibration,
            self._judge,
            seven_bits=self.target.seven_bits and self.format is Format.ONNX,
            float_layers=min(self.float_layers, self.target.float_layers),
            watcher=self.watcher,
        )

    def _converted(self, precision: Precision) -> bytes:
        what = f"converting {self.format.value} {precision.value}"
        self.watcher.on_step(what, 0, 1)
        model = convert(self.original.model, self.format, precision, self.original.calibration)
        self.watcher.on_step(what, 1, 1)
        return model

    def _raced(self, found: Sequence[Candidate], float32: bytes) -> list[Candidate]:
        """The candidates with their speeds."""
        what, raced = f"timing {self.format.value}", []
        for done, candidate in enumerate(found):
            self.watcher.on_step(what, done, len(found))
            speed = race(self.format, candidate.model, float32, self.original.validation.images)
            raced.append(replace(candidate, speed=speed))
        self.watcher.on_step(what, len(found), len(found))
        return raced


def _rank(candidate: Candidate) -> tuple[bool, float]:
    """What passes is better than what does not; of those that do not, the one that agrees most."""
    return not candidate.misses, candidate.parity.agreement


def _kept(best: Candidate, tried: Sequence[Candidate], ranking: tuple[Sensitivity, ...]) -> Selection:
    """One of several; if it misses its gate here, the proof on held-out images has the last word."""
    verdict = "chosen" if best.verdict == PASSES else f"chosen for want of a better: {best.verdict}"
    rows = tuple(replace(each, verdict=verdict) if each is best else each for each in tried)
    return Selection(best.precision, best.model, best.scheme, rows, ranking)
