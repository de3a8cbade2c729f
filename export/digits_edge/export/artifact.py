"""One model file and what must lie beside it: golden answers, manifest, model card, parity figures."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from digits_edge.export.card import model_card
from digits_edge.export.deploy import INPUT, OUTPUT
from digits_edge.export.errors import ExportError
from digits_edge.export.parity_page import parity_page
from digits_edge.export.proof import Proof
from digits_edge.export.publish import entry
from digits_edge.export.sureness import UNCHOSEN, Sureness
from digits_edge.runtime import Format, Golden, Manifest, Precision, Tensor
from digits_edge.runtime.engines import open_engine
from digits_edge.runtime.manifest import MANIFEST_FILE
from digits_edge.trainer.runs import installed_version

_GOLDEN_EACH = 4  # images of each digit
_GOLDEN_CONFIDENCE = 0.9
_LIBRARIES = (
    "digits-edge",
    "tensorflow",
    "keras",
    "tf2onnx",
    "onnx",
    "onnxruntime",
    "ai-edge-litert",
    "numpy",
)

# How far a logit may move on another processor. Floats: other orders of summation. int8: the integers are
# exact, but an engine may round a tie the other way: a step of TFLite's quantized logits, some 0.15. Sums
# that saturate, for want of VNNI, move the logits of both published networks by 2 and more.
# Weights of 8 bits alone: LiteRT rounds the activations as they come, ties again. 16 bits have finer steps.
GOLDEN_TOLERANCE: Mapping[Precision, float] = {
    Precision.FLOAT32: 1e-3,
    Precision.FLOAT16: 1e-3,
    Precision.INT8: 0.4,
    Precision.INT16X8: 0.01,
    Precision.WEIGHTS8: 0.4,
}


@dataclass(frozen=True, eq=False)
class Artifact:
    """A converted model, before it is proved.

    Attributes:
        name: The model's name.
        format: File format.
        precision: Arithmetic.
        model: The file's bytes.
        provenance: How it was made; goes into the manifest.
        safe_on: Instruction sets on which the arithmetic is exact.
    """

    name: str
    format: Format
    precision: Precision
    model: bytes
    provenance: Mapping[str, Any]
    safe_on: tuple[str, ...] = ("any",)

    @property
    def directory(self) -> str:
        """The bundle's directory name."""
        return f"{self.name}-{self.format.value}-{self.precision.value}"

    def files(
        self, golden: Golden, proof: Proof | None = None, sureness: Sureness = UNCHOSEN
    ) -> dict[str, bytes]:
        """The bundle's files, by name.

        Args:
            golden: Golden answers.
            proof: The proof, or None while there is none yet; only a bundle that has one is published.
            sureness: Temperature and reject threshold; by default the model's own softmax, none rejected.
        """
        content = golden.to_npz()
        manifest = Manifest(
            name=self.name,
            format=self.format,
            precision=self.precision,
            model=entry(f"model.{self.format.value}", self.model),
            golden=entry("golden.npz", content),
            input=Tensor(INPUT, "uint8", (28, 28)),
            output=Tensor(OUTPUT, "float32", (10,)),
            labels=tuple("0123456789"),
            temperature=sureness.temperature,
            reject_threshold=sureness.reject_threshold,
            golden_tolerance=GOLDEN_TOLERANCE[self.precision],
            safe_on=self.safe_on,
            provenance={**self.provenance, "confidence": sureness.to_json()},
            parity=proof.parity.to_json() if proof else {},
        )
        files = {
            manifest.model.path: self.model,
            manifest.golden.path: content,
            MANIFEST_FILE: manifest.to_json().encode(),
        }
        if proof is not None:
            files["parity.json"] = (json.dumps(proof.to_json(), indent=2) + "\n").encode()
            files["parity.html"] = parity_page(proof, manifest).encode()
            files["MODEL_CARD.md"] = model_card(manifest, proof.parity).encode()
        return files


def golden_answers(artifact: Artifact, images: NDArray[np.uint8], original: NDArray[np.float32]) -> Golden:
    """Picks images on which the original is sure, and has the exported model answer them.

    Args:
        artifact: The converted model.
        images: uint8 ``(N, 28, 28)`` held-out images.
        original: The original's probabilities for them, ``(N, 10)``.

    Raises:
        ExportError: For some digit there are not enough such images.
    """
    sure = original.max(axis=1) > _GOLDEN_CONFIDENCE
    predicted = original.argmax(axis=1)
    rows = [np.flatnonzero(sure & (predicted == digit))[:_GOLDEN_EACH] for digit in range(10)]
    if min(len(found) for found in rows) < _GOLDEN_EACH:
        counts = ", ".join(f"{digit}: {len(found)}" for digit, found in enumerate(rows))
        raise ExportError(
            f"too few sure answers to pick golden ones from {len(images):,} held-out images (above "
            f"{_GOLDEN_CONFIDENCE} by digit: {counts}; expected {_GOLDEN_EACH} each); give more data, or "
            "train the network longer"
        )
    chosen = images[np.concatenate(rows)]
    return Golden(chosen, open_engine(artifact.format, artifact.model).logits(chosen))


def library_versions() -> dict[str, str]:
    """Versions of what had a part in an export."""
    return {name: installed_version(name) for name in _LIBRARIES}
