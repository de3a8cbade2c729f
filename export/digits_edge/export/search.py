"""Accuracy control: the first int8 that passes its gate, from plain to repaired, and what was tried.

A plain int8 that passes is the end of it. One that misses is repaired, the cheap remedies first: other
calibrators, one scale for all of a layer's weights, channels equalized. If all of them miss, the best is
kept, and the layers that hurt most go back to float, one by one. All is judged on validation images: test
images are for the proof alone. Data without test images has no others to prove it on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from digits_edge.export.equalize import equalize
from digits_edge.export.network import Affine, Conv, Dense, Network
from digits_edge.export.onnx_int8 import OnnxQuantizer
from digits_edge.export.original import StepWatcher
from digits_edge.export.parity import Parity, compare, gate_for
from digits_edge.export.race import Speed
from digits_edge.export.sampling import evenly
from digits_edge.export.scheme import Calibrator, Scheme
from digits_edge.export.sensitivity import Sensitivity, sensitivities
from digits_edge.export.steadiness import examine
from digits_edge.export.tflite_int8 import TfliteQuantizer
from digits_edge.runtime import Format, Precision, Predictions
from digits_edge.runtime.engines import open_engine
from digits_edge.trainer.datasets import Split

PASSES = "passes"
_CHUNK = 32
_RANKING_IMAGES = 128  # of the calibration images: their activations are in memory at once


class Quantizer(Protocol):
    """Makes int8 files of one network."""

    format: Format
    network: Network

    def quantize(self, scheme: Scheme) -> bytes:
        """The model file for a scheme."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """One file that was tried.

    Attributes:
        precision: Arithmetic.
        scheme: How it was quantized; None where there is nothing to choose.
        model: The file's bytes.
        parity: Its answers to the validation images against the original's.
        misses: What it misses of its gate; empty if it passes.
        verdict: What became of it, in words.
        speed: Against float32 on this machine; None where that was not measured.
    """

    precision: Precision
    scheme: Scheme | None
    model: bytes
    parity: Parity
    misses: tuple[str, ...]
    verdict: str
    speed: Speed | None = None

    @property
    def name(self) -> str:
        """What it is, in words."""
        return self.precision.value + (f": {self.scheme.name}" if self.scheme is not None else "")

    def to_json(self) -> dict[str, Any]:
        """A row of the table, for the manifest."""
        scheme = self.scheme
        return {
            "name": self.name,
            "precision": self.precision.value,
            "scheme": None if scheme is None else scheme.to_json(),
            "accuracy": self.parity.accuracy_exported,
            "agreement": self.parity.agreement,
            "bytes": len(self.model),
            "speed": None if self.speed is None else self.speed.to_json(),
            "verdict": self.verdict,
        }


@dataclass(frozen=True, eq=False)
class Judge:
    """Judges candidates by what the original answers to the validation images.

    Attributes:
        format: The candidates' format.
        validation: The images and their labels.
        answers: The original's probabilities, ``(N, 10)``.
    """

    format: Format
    validation: Split
    answers: NDArray[np.floating]

    def judge(self, precision: Precision, scheme: Scheme | None, model: bytes) -> Candidate:
        """Runs a file on every validation image."""
        engine = open_engine(self.format, model)
        images = self.validation.images
        logits = [engine.logits(images[start : start + _CHUNK]) for start in range(0, len(images), _CHUNK)]
        answers = Predictions.from_logits(np.concatenate(logits), temperature=1.0, threshold=0.0)
        parity = compare(self.answers, answers.probabilities, self.validation.labels, held_out="validation")
        gate = gate_for(precision, float_layers=scheme is not None and bool(scheme.float_layers))
        misses = tuple(gate.misses(parity, examine(self.format, model, images)))
        return Candidate(precision, scheme, model, parity, misses, "; ".join(misses) or PASSES)


def find_int8(
    network: Network,
    calibration: NDArray[np.uint8],
    judge: Judge,
    *,
    seven_bits: bool,
    float_layers: int,
    watcher: StepWatcher,
) -> tuple[list[Candidate], tuple[Sensitivity, ...]]:
    """Tries schemes until one passes.

    Args:
        network: The deploy model; takes ``pixel / 255``.
        calibration: uint8 ``(N, 28, 28)`` training images.
        judge: Judges what comes out.
        seven_bits: The target asks for weights of 7 bits.
        float_layers: How many layers may go back to float at most.
        watcher: Told what is tried.

    Returns:
        All that was tried, in that order: the last one passes, or none does. And the layers, ranked by what
        int8 costs them; empty where it did not come to that.

    Raises:
        ConversionError: The quantizer failed.
    """
    tried: list[Candidate] = []

    def attempt(maker: Quantizer, scheme: Scheme) -> bool:
        what = f"trying {judge.format.value} int8: {scheme.name}"
        watcher.on_step(what, 0, 1)
        tried.append(judge.judge(Precision.INT8, scheme, maker.quantize(scheme)))
        watcher.on_step(what, 1, 1)
        return not tried[-1].misses

    plain = Scheme(seven_bits=seven_bits)
    few = calibration[evenly(len(calibration), _RANKING_IMAGES)]
    quantizers: dict[bool, Quantizer] = {False: quantizer(judge.format, network, calibration)}
    if attempt(quantizers[False], plain):
        return tried, ()
    for scheme in _remedies(plain):
        if scheme.equalized and True not in quantizers:
            level = equalize(network, few)
            quantizers[True] = quantizer(judge.format, level, calibration)
        if attempt(quantizers[scheme.equalized], scheme):
            return tried, ()
    best = max(tried, key=lambda candidate: candidate.parity.agreement).scheme or plain
    kept = quantizers[best.equalized]
    ranking = sensitivities(kept.network, few, best)
    for count in range(1, min(float_layers, len(ranking) - 1) + 1):
        worst = {sensitivity.layer for sensitivity in ranking[:count]}
        if attempt(kept, replace(best, float_layers=_in_order(network, worst))):
            break
    return tried, ranking


def _remedies(plain: Scheme) -> Iterator[Scheme]:
    """What costs nothing at run time, the least change first."""
    for calibrator in (Calibrator.PERCENTILE, Calibrator.MSE, Calibrator.ENTROPY):
        yield replace(plain, calibrator=calibrator)
    yield replace(plain, per_channel=False)
    for calibrator in (Calibrator.MIN_MAX, Calibrator.PERCENTILE, Calibrator.MSE):
        yield replace(plain, calibrator=calibrator, equalized=True)


def quantizer(format: Format, network: Network, calibration: NDArray[np.uint8]) -> Quantizer:
    """The quantizer of a format.

    Raises:
        ConversionError: The converter failed.
    """
    kinds: Mapping[Format, type[OnnxQuantizer] | type[TfliteQuantizer]] = {
        Format.ONNX: OnnxQuantizer,
        Format.TFLITE: TfliteQuantizer,
    }
    return kinds[format](network, calibration)


def _in_order(network: Network, names: set[str]) -> tuple[str, ...]:
    layers = (layer.name for layer in network.layers if isinstance(layer, Conv | Dense | Affine))
    return tuple(name for name in layers if name in names)
