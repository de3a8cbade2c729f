"""What the runtime's tests read: real digits, and bundles that read them. Nothing but the runtime is needed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from digits_edge.runtime import Recognizer, default_bundle

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
