"""Published int8 ONNX on x86 without VNNI: what claims to be exact there cannot saturate."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from digits_edge.runtime import default_bundle, read_bundle

MODELS = Path(__file__).parents[3] / "models"


def published() -> list[Path]:
    files = [default_bundle() / "manifest.json", *sorted(MODELS.rglob("manifest.json"))]
    told = {file.parent: json.loads(file.read_text("utf-8")) for file in files}
    return [path for path, says in told.items() if (says["format"], says["precision"]) == ("onnx", "int8")]


def weights(model: bytes) -> list[NDArray[np.int8]]:
    """All int8 constants but zero points: kernels of convolutions and matrices."""
    onnx = pytest.importorskip("onnx")
    stored = onnx.load_from_string(model).graph.initializer
    arrays = [onnx.numpy_helper.to_array(tensor) for tensor in stored]
    return [array for array in arrays if array.dtype == np.int8 and array.ndim > 1]


def maddubs(activations: NDArray[np.uint8], signed: NDArray[np.int8]) -> int:
    """A lane of AVX2's VPMADDUBSW: a pair of products, added up in 16 bits with saturation."""
    whole = int((activations.astype(np.int32) * signed.astype(np.int32)).sum())
    return max(-(1 << 15), min(whole, (1 << 15) - 1))


def test_two_weights_of_eight_bits_saturate_and_two_of_seven_do_not() -> None:
    full = np.array([255, 255], np.uint8)
    assert maddubs(full, np.array([127, 127], np.int8)) == 32767 < 2 * 255 * 127
    assert maddubs(full, np.array([64, 64], np.int8)) == 2 * 255 * 64
    assert maddubs(full, np.array([-64, -64], np.int8)) == -2 * 255 * 64


@pytest.mark.parametrize("bundle", published(), ids=lambda bundle: str(bundle.name))
def test_a_bundle_says_any_exactly_if_no_pair_of_its_products_saturates(bundle: Path) -> None:
    """Whichever weights the kernel pairs up: the two most extreme ones, at full activation, are the worst."""
    read = read_bundle(bundle)
    kernels = weights(read.model)
    assert kernels
    full = np.array([255, 255], np.uint8)
    ends = [end for kernel in kernels for end in (np.sort(kernel.ravel())[:2], np.sort(kernel.ravel())[-2:])]
    sums = [(maddubs(full, end), 255 * int(end.sum(dtype=np.int32))) for end in ends]
    assert all(saturated == whole for saturated, whole in sums) == ("any" in read.manifest.safe_on)
