"""Whether TensorFlow Lite Micro computes what LiteRT does: golden answers, then image by image."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from digits_edge.export.errors import ParityError
from digits_edge.export.original import StepWatcher
from digits_edge.export.tflm import Quantization, Tflm
from digits_edge.runtime import Bundle
from digits_edge.runtime.engines import Engine
from digits_edge.trainer.datasets import Split

IMAGES = 2000  # one at a time, they take a minute for a small network
MIN_AGREEMENT = 0.999
_MULTIPLY_ADDS = 20_000_000_000  # of a proof: TFLM's plain kernels do some 300 million a second on a PC
_REPORTED_EACH = 50


@dataclass(frozen=True)
class MicroProof:
    """How TFLM's answers compare with LiteRT's, image by image.

    Attributes:
        images: How many were compared.
        held_out: Where they come from: ``test`` or ``validation``.
        accuracy: Part that TFLM gets right.
        accuracy_litert: Part that LiteRT gets right.
        disagreements: Images with another label.
        largest_step: Largest difference of a quantized logit, in steps.
    """

    images: int
    held_out: str
    accuracy: float
    accuracy_litert: float
    disagreements: int
    largest_step: int

    @property
    def agreement(self) -> float:
        """Part of the images with the same label."""
        return 1 - self.disagreements / self.images

    def to_json(self) -> dict[str, Any]:
        """Plain values, for ``micro.json``."""
        return {**asdict(self), "agreement": self.agreement}


def images_for(multiply_adds: object) -> int:
    """How many images to prove a network on, so that its proof ends in a minute or so.

    Args:
        multiply_adds: For one image, as a manifest's provenance has it; anything else counts as few.

    Returns:
        2,000 for a small network, fewer for a large one, 100 at least.
    """
    each = multiply_adds if isinstance(multiply_adds, int) and multiply_adds > 0 else 1
    return max(100, min(IMAGES, _MULTIPLY_ADDS // each))


def require_golden_answers(tflm: Tflm, bundle: Bundle) -> None:
    """The self-test that a device does at load, in TFLM.

    Raises:
        ParityError: A logit is too far from the exporter's.
    """
    logits = _logits(np.stack([tflm.answer(image) for image in bundle.golden.images]), tflm.output)
    difference = float(np.abs(logits - bundle.golden.logits).max())
    if not difference <= bundle.manifest.golden_tolerance:
        raise ParityError(
            f"{bundle.manifest.name}: TFLM's golden answers differ by {difference:.2g}, allowed "
            f"{bundle.manifest.golden_tolerance:.2g}; nothing was published"
        )


def prove(tflm: Tflm, litert: Engine, held_out: Split, name: str, watcher: StepWatcher) -> MicroProof:
    """Has TFLM and LiteRT answer every image.

    Args:
        tflm: TFLM with a model in it.
        litert: LiteRT with the same model.
        held_out: The images.
        name: Where they come from.
        watcher: Told how it goes.

    Raises:
        ParityError: Too many answers differ.
    """
    expected = litert.logits(held_out.images)
    answers = np.empty((len(held_out), 10), np.uint8)
    for row, image in enumerate(held_out.images):
        answers[row] = tflm.answer(image)
        if (row + 1) % _REPORTED_EACH == 0 or row + 1 == len(held_out):
            watcher.on_step("proving C sources in TFLM", row + 1, len(held_out))
    first, second = expected.argmax(axis=1), answers.argmax(axis=1)
    steps = np.abs(_logits(answers, tflm.output) - expected) / tflm.output.scale
    proof = MicroProof(
        images=len(held_out),
        held_out=name,
        accuracy=float((second == held_out.labels).mean()),
        accuracy_litert=float((first == held_out.labels).mean()),
        disagreements=int((first != second).sum()),
        largest_step=round(float(steps.max())),
    )
    if not proof.agreement >= MIN_AGREEMENT:
        raise ParityError(
            f"TFLM and LiteRT give the same digit for {proof.agreement:.2%} of {proof.images} images, "
            f"at least {MIN_AGREEMENT:.1%} expected; nothing was published"
        )
    return proof


def _logits(answers: NDArray[np.uint8], output: Quantization) -> NDArray[np.float32]:
    return (answers.astype(np.float32) - np.float32(output.zero_point)) * np.float32(output.scale)
