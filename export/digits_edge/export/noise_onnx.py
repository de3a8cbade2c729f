"""Measured quantization noise of an ONNX model's layers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from digits_edge.export.noise import dequantized, measured_sqnr
from digits_edge.export.onnx_graph import DEQUANTIZE, QUANTIZE, OnnxGraph
from digits_edge.export.onnx_session import open_session

if TYPE_CHECKING:
    import onnx


def onnx_noise(graph: OnnxGraph, images: NDArray[np.uint8]) -> dict[str, float | None]:
    """Runs a model as it is and without the Q/DQ pairs between its layers, and compares each layer's output.

    Both have the same weights, those of the file. Noise adds up from layer to layer.

    Args:
        graph: The model.
        images: uint8 ``(N, 28, 28)``, the golden images.

    Returns:
        Ratios in dB, by layer; None where both give the same. Empty if there are no such pairs.

    Raises:
        EngineError: ONNX Runtime does not take one of the two.
    """
    pairs = [(node, _dequantize(graph, node)) for node in graph.nodes if _rounds_an_activation(graph, node)]
    if not pairs:
        return {}
    # The rounded value is what the next layer sees: integers where there is a pair, floats elsewhere.
    rounded, exact = {}, {}
    for layer, value in graph.outputs().items():
        pair = next(((q, dq) for q, dq in pairs if q.input[0] == value and dq is not None), None)
        rounded[layer] = value if pair is None else pair[0].output[0]
        exact[layer] = value if pair is None else pair[1].output[0]
    as_it_is = _run(_with_outputs(graph.model, rounded.values()), images)
    reference = _run(_with_outputs(_without_pairs(graph), exact.values()), images)
    noise = {}
    for layer, value in rounded.items():
        node = graph.rounding(graph.outputs()[layer])
        steps = graph.quantization(node) if node is not None and node.output[0] == value else None
        found = as_it_is[value] if steps is None else dequantized(as_it_is[value], steps)
        noise[layer] = measured_sqnr(reference[exact[layer]], found)
    return noise


def _rounds_an_activation(graph: OnnxGraph, node: onnx.NodeProto) -> bool:
    return node.op_type == QUANTIZE and node.output[0] not in graph.prepared


def _dequantize(graph: OnnxGraph, quantize: onnx.NodeProto) -> onnx.NodeProto | None:
    return next((node for node in graph.readers(quantize.output[0]) if node.op_type == DEQUANTIZE), None)


def _without_pairs(graph: OnnxGraph) -> onnx.ModelProto:
    """The same graph with float between its layers.

    ONNX Runtime's quantizer drops a Relu where the zero point is the lowest integer, because rounding then
    cuts off what is negative; so there a Relu takes the place of the pair, elsewhere nothing does.
    """
    import onnx

    model = onnx.ModelProto()
    model.CopyFrom(graph.model)
    quantizes = {node.output[0]: node for node in graph.nodes if _rounds_an_activation(graph, node)}
    for node in model.graph.node:
        if node.op_type != DEQUANTIZE or (quantize := quantizes.get(node.input[0])) is None:
            continue
        steps = graph.quantization(quantize)
        cuts = steps is not None and set(steps.zero_points) == {np.iinfo(steps.dtype).min}
        node.CopyFrom(
            onnx.helper.make_node(
                "Relu" if cuts else "Identity", [quantize.input[0]], list(node.output), name=node.name
            )
        )
    return model


def _with_outputs(model: onnx.ModelProto, names: Iterable[str]) -> onnx.ModelProto:
    import onnx

    shown = onnx.ModelProto()
    shown.CopyFrom(model)
    present = {value.name for value in shown.graph.output}
    # Without a type: ONNX Runtime infers it.
    shown.graph.output.extend(
        onnx.ValueInfoProto(name=name) for name in dict.fromkeys(names) if name not in present
    )
    return shown


def _run(model: onnx.ModelProto, images: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
    session = open_session(model.SerializeToString())
    names = [value.name for value in session.get_outputs()]
    return dict(zip(names, session.run(None, {session.get_inputs()[0].name: images}), strict=True))
