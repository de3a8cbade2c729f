"""What the runtime's tests read: real digits, and bundles that read them. Only the runtime is needed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from digits_edge.runtime import FileEntry, Golden, Recognizer, default_bundle, read_bundle

GOLDEN = Path(__file__).parents[2] / "golden"


@pytest.fixture(scope="session")
def golden() -> Path:
    """Folder of the files that ``tests/golden/make.py`` makes."""
    return GOLDEN


@pytest.fixture(scope="session")
def digits() -> NDArray[np.uint8]:
    """600 images of MNIST's test set, 60 of each digit: uint8 ``(600, 28, 28)``, read-only."""
    with np.load(GOLDEN / "digits.npz") as arrays:
        images: NDArray[np.uint8] = arrays["images"]
    images.setflags(write=False)
    return images


@pytest.fixture(scope="session")
def labels() -> NDArray[np.uint8]:
    """Their labels."""
    with np.load(GOLDEN / "digits.npz") as arrays:
        values: NDArray[np.uint8] = arrays["labels"]
    return values


@pytest.fixture(scope="session")
def tiny() -> Path:
    """A float32 ONNX bundle of 23 KB."""
    return GOLDEN / "tiny-onnx-float32"


@pytest.fixture(params=["default", "tiny-onnx-float32", "tiny-tflite-int8"], scope="session")
def bundle(request: pytest.FixtureRequest) -> Path:
    """A bundle of each engine and precision; the default one is int8 ONNX."""
    if "tflite" in request.param:
        pytest.importorskip("ai_edge_litert", reason="the litert extra is not installed")
    return default_bundle() if request.param == "default" else GOLDEN / request.param


@pytest.fixture(scope="session")
def recognizer() -> Recognizer:
    """The bundle that ships with the package."""
    return Recognizer.load(workers=1)


@pytest.fixture
def bundled(golden: Path, digits: NDArray[np.uint8], tmp_path: Path) -> Callable[..., Path]:
    """Makes a bundle of an odd model of ``tests/golden/hostile``, with the golden answers it would give."""

    def make(model: str, *, golden_logits: NDArray[np.float32] | None = None, **changes: Any) -> Path:
        content = (golden / "hostile" / model).read_bytes()
        images = digits[:5]
        # These models multiply the mean pixel by −1, …, 1.
        logits = images.mean(axis=(1, 2))[:, None] * np.linspace(-1, 1, 10)
        answers = Golden(
            images, (logits if golden_logits is None else golden_logits).astype(np.float32)
        ).to_npz()
        manifest = replace(
            read_bundle(golden / "tiny-onnx-float32").manifest,
            model=entry("model.onnx", content),
            golden=entry("golden.npz", answers),
            **changes,
        )
        (tmp_path / "model.onnx").write_bytes(content)
        (tmp_path / "golden.npz").write_bytes(answers)
        (tmp_path / "manifest.json").write_text(manifest.to_json(), "utf-8")
        return tmp_path

    return make


def entry(name: str, content: bytes) -> FileEntry:
    return FileEntry(name, len(content), hashlib.sha256(content).hexdigest())
