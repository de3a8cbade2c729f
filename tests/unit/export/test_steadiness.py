"""A file whose answer depends on its company, or on the hour, is found out; a published one is steady."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.typing import NDArray

from digits_edge.export.parity import GATES
from digits_edge.export.steadiness import BATCHES, examine
from digits_edge.runtime import Format, Precision, read_bundle

if TYPE_CHECKING:
    from onnx import NodeProto
    from tests.unit.export.conftest import ProofMaker

MODELS = Path(__file__).parents[3] / "models"


def model(*nodes: NodeProto) -> bytes:
    """A linear classifier: pixels to ``plain``, and nodes that make ``logits`` of it."""
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(0)
    weights = rng.normal(0, 0.01, (784, 10)).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT),
            helper.make_node("Reshape", ["floats", "shape"], ["rows"]),
            helper.make_node("MatMul", ["rows", "weights"], ["plain"]),
            *nodes,
        ],
        "small",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", 28, 28])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 10])],
        [
            numpy_helper.from_array(weights, "weights"),
            numpy_helper.from_array(np.array([-1, 784]), "shape"),
            numpy_helper.from_array(np.array([0]), "batch"),
        ],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    return bytes(made.SerializeToString())


@pytest.mark.parametrize(
    "name", ["edge-onnx-int8", "edge-onnx-float32", "edge-tflite-int8", "edge-tflite-float32"]
)
def test_a_published_bundle_gives_an_image_one_answer(name: str, digits: NDArray[np.uint8]) -> None:
    bundle = read_bundle(MODELS / name)
    found = examine(bundle.manifest.format, bundle.model, digits)
    assert (found.images, tuple(batch.size for batch in found.batches)) == (32, BATCHES)
    assert found.repeats
    assert found.reopens
    for batch in found.batches:
        if bundle.manifest.precision is Precision.INT8:
            assert batch.identical
        assert batch.max_difference <= 1e-6


def test_a_normalisation_left_in_training_mode_is_found_out(
    digits: NDArray[np.uint8], proof_with: ProofMaker
) -> None:
    """It takes the mean of the batch that it is given: right in the batch it was tried with, wrong alone."""
    from onnx import helper

    made = model(
        helper.make_node("ReduceMean", ["plain", "batch"], ["mean"], keepdims=1),
        helper.make_node("Sub", ["plain", "mean"], ["logits"]),
    )
    found = examine(Format.ONNX, made, digits)
    assert found.repeats
    assert found.reopens
    assert not any(batch.identical for batch in found.batches)
    assert min(batch.max_difference for batch in found.batches) > 0.1
    for gate in GATES.values():
        parity = proof_with().parity
        assert len(gate.misses(parity, found)) - len(gate.misses(parity)) == len(BATCHES)


def test_a_dropout_left_in_training_mode_is_found_out(digits: NDArray[np.uint8]) -> None:
    from onnx import helper

    made = model(
        helper.make_node("RandomNormalLike", ["plain"], ["noise"], scale=0.1),
        helper.make_node("Add", ["plain", "noise"], ["logits"]),
    )
    found = examine(Format.ONNX, made, digits)
    assert not found.repeats
    assert not found.reopens
    assert not found.identical


def test_fewer_images_than_a_batch_holds_are_enough(digits: NDArray[np.uint8]) -> None:
    from onnx import helper

    made = model(helper.make_node("Identity", ["plain"], ["logits"]))
    found = examine(Format.ONNX, made, digits[:3])
    assert found.images == 3
    assert found.repeats
    assert max(batch.max_difference for batch in found.batches) <= 1e-6
