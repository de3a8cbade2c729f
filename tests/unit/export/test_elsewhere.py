"""The same file in other engines: who answered, how far apart they are, and who could not be asked."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from digits_edge.export.elsewhere import IMAGES, run_elsewhere
from digits_edge.runtime import Format, read_bundle
from digits_edge.trainer.datasets import Dataset
from digits_edge.trainer.runs import installed_version

MODELS = Path(__file__).parents[3] / "models"
SMALL, LARGE = 2_000_000, 98_600_000


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("edge-onnx-int8", {"no graph optimization": IMAGES, "reference evaluator": 16}),
        ("edge-onnx-float32", {"no graph optimization": IMAGES, "reference evaluator": 16}),
        ("edge-tflite-int8", {"own kernels without XNNPACK": IMAGES, "reference kernels": 16}),
        ("edge-tflite-float32", {"own kernels without XNNPACK": IMAGES, "reference kernels": 16}),
    ],
)
def test_other_engines_give_a_published_bundle_the_same_labels(
    name: str, expected: dict[str, int], mnist: Dataset
) -> None:
    assert mnist.test is not None
    bundle = read_bundle(MODELS / name)
    found = run_elsewhere(bundle.manifest.format, bundle.model, mnist.test.images, multiply_adds=SMALL)
    for words, images in expected.items():
        (other,) = [other for other in found if words in other.engine]
        assert other.same_label is not None, other.problem
        assert other.same_label.of == images
        ties = images // 100 if name.endswith("int8") else 0  # rounded the other way
        assert other.same_label.count >= images - ties
        assert other.max_logit_difference is not None
        # A step of the quantized logits is some 0.05; floats are added up in another order.
        assert other.max_logit_difference < (0.5 if name.endswith("int8") else 1e-4)
        library = "ai-edge-litert" if "tflite" in name else "onnx" if "evaluator" in words else "onnxruntime"
        assert installed_version(library) in other.engine


def test_a_slow_engine_is_not_asked_about_a_large_network(digits: NDArray[np.uint8]) -> None:
    for name in ("edge-onnx-int8", "edge-tflite-int8"):
        bundle = read_bundle(MODELS / name)
        for known in (LARGE, None):
            found = run_elsewhere(bundle.manifest.format, bundle.model, digits[:2], multiply_adds=known)
            (slow,) = [other for other in found if "reference" in other.engine]
            assert slow.same_label is None
            assert slow.problem == "not asked: too slow for a network of this size"


@pytest.mark.skipif(find_spec("onnxruntime_ep_openvino") is not None, reason="the plugin is installed")
def test_what_is_not_installed_is_named(digits: NDArray[np.uint8]) -> None:
    bundle = read_bundle(MODELS / "edge-onnx-int8")
    last = run_elsewhere(Format.ONNX, bundle.model, digits[:2])[-1]
    assert (last.engine, last.problem) == ("onnxruntime-ep-openvino", "not installed")
    assert last.to_json() == {
        "engine": "onnxruntime-ep-openvino",
        "same_label": None,
        "max_logit_difference": None,
        "problem": "not installed",
    }


def test_an_engine_that_cannot_run_the_file_is_a_finding_and_no_failure(digits: NDArray[np.uint8]) -> None:
    """An operator of ONNX Runtime's own, which ONNX's evaluator does not know."""
    import onnx
    from onnx import helper

    model = onnx.load_from_string(read_bundle(MODELS / "edge-onnx-float32").model)
    last = model.graph.node[-1]
    output = last.output[0]
    last.output[0] = "before"
    model.graph.node.append(helper.make_node("Gelu", ["before"], [output], domain="com.microsoft"))
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    found = run_elsewhere(Format.ONNX, model.SerializeToString(), digits[:4], multiply_adds=SMALL)
    plain, reference = found[0], found[1]
    assert plain.problem is None
    assert plain.same_label is not None
    assert reference.same_label is None
    assert str(reference.problem).startswith("does not run the file: ")
