"""What happens to images before they reach a model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from digits_edge.benchmarks.machine import this_machine
from digits_edge.runtime import as_images, normalize
from digits_edge.trainer.datasets import Split

BATCH = 1024


@pytest.fixture
def noted(benchmark: Any) -> Any:
    """The benchmark, with the machine noted; there is no model here whose accuracy could be."""
    benchmark.extra_info["machine"] = str(this_machine())
    return benchmark


def photograph(digit: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """A digit in dark ink on light, unevenly lit, grainy paper."""
    random = np.random.default_rng(42)
    scale = side // 28
    ink = np.kron(digit, np.ones((scale, scale))) / 255
    paper = np.linspace(200, 230, ink.shape[1]) + random.normal(0, 3, ink.shape)
    return np.asarray(np.clip(paper - 150 * ink, 0, 255), np.uint8)


@pytest.mark.benchmark(group="photograph to 28×28")
@pytest.mark.parametrize("side", [280, 1120])
def test_normalize(side: int, noted: Any, test_data: Split) -> None:
    digit = test_data.images[0]

    image = noted(normalize, photograph(digit, side))

    assert np.corrcoef(image.ravel(), digit.ravel())[0, 1] > 0.9


@pytest.mark.benchmark(group="input contract")
@pytest.mark.parametrize("kind", ["uint8", "flat uint8", "float32"])
def test_as_images(kind: str, noted: Any, test_data: Split) -> None:
    pixels = test_data.images[:BATCH]
    given = {
        "uint8": pixels,
        "flat uint8": pixels.reshape(BATCH, 784),
        "float32": pixels.astype(np.float32) / np.float32(255),
    }[kind]

    images = noted(as_images, given)

    assert (images == pixels).all()
