"""ONNX file → layers."""

from __future__ import annotations

from collections import Counter
from math import prod
from typing import TYPE_CHECKING

from digits_edge.export.layers import Contents, Layer, Quantization
from digits_edge.export.noise import weights_sqnr
from digits_edge.export.onnx_graph import OnnxGraph, attribute

if TYPE_CHECKING:
    import onnx

_PRODUCTS = ("Conv", "Gemm", "MatMul")


def read_onnx(graph: OnnxGraph, size: int) -> Contents:
    """Takes an ONNX model apart.

    Args:
        graph: The model.
        size: Bytes of its file.
    """
    sizes, shapes = _sizes(graph), _shapes(graph)
    nodes: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.computing:
        nodes.setdefault(graph.layer_of(node), []).append(node)
    parameters = _parameters(graph)
    layers = tuple(
        _layer(graph, name, members, shapes, parameters[name], sizes[name]) for name, members in nodes.items()
    )
    return Contents(
        operators=dict(Counter(node.op_type for node in graph.nodes).most_common()),
        layers=layers,
        other_size=size - sum(layer.size for layer in layers),
    )


def _layer(
    graph: OnnxGraph,
    name: str,
    nodes: list[onnx.NodeProto],
    shapes: dict[str, tuple[int, ...]],
    parameters: int,
    size: int,
) -> Layer:
    dtype, weights, sqnr = _weights(graph, nodes)
    rounding = graph.rounding(nodes[-1].output[0])
    return Layer(
        name=name,
        operators=tuple(node.op_type for node in nodes),
        shape=shapes.get(nodes[-1].output[0], ()),
        multiply_adds=sum(_multiply_adds(graph, node, shapes) for node in nodes),
        parameters=parameters,
        size=size,
        weights_dtype=dtype,
        weights=weights,
        weights_sqnr=sqnr,
        output=None if rounding is None else graph.quantization(rounding),
    )


def _weights(graph: OnnxGraph, nodes: list[onnx.NodeProto]) -> tuple[str, Quantization | None, float | None]:
    """Type, quantization and noise of the layer's kernel."""
    for node in nodes:
        if node.op_type in _PRODUCTS and (found := graph.stored(node.input[1])) is not None:
            name, quantization, axis = found
            kernel = graph.array(name)
            return str(kernel.dtype), quantization, weights_sqnr(kernel, quantization, axis=axis)
    return "", None, None


def _multiply_adds(graph: OnnxGraph, node: onnx.NodeProto, shapes: dict[str, tuple[int, ...]]) -> int:
    """An output of a convolution or a matrix product takes as many as there are weights behind it."""
    if node.op_type not in _PRODUCTS or (found := graph.stored(node.input[1])) is None:
        return 0
    kernel: list[int] = list(graph.constants[found[0]].dims)
    outputs = prod(shapes.get(node.output[0], (0,)))
    if node.op_type == "Conv":
        return outputs * prod(kernel[1:])  # (out, in ÷ groups, height, width)
    inner = kernel[1] if attribute(node, "transB", 0) else kernel[0]
    return outputs * inner


def _parameters(graph: OnnxGraph) -> Counter[str]:
    """Numbers stored, by layer. int64 is what ONNX has shapes and axes in."""
    import onnx

    counts: Counter[str] = Counter()
    counted: set[str] = set()
    for node in graph.computing:
        for value in node.input:
            if (found := graph.stored(value)) is None or found[0] in counted:
                continue
            tensor = graph.constants[found[0]]
            counted.add(found[0])
            if tensor.data_type != onnx.TensorProto.INT64:
                counts[graph.layer_of(node)] += prod(tensor.dims)
    return counts


def _sizes(graph: OnnxGraph) -> Counter[str]:
    """Bytes of the nodes and constants, by layer."""
    names = {graph.layer_of(node) for node in graph.computing}
    owners: dict[str, str] = {}  # of values, by who reads them; readers come after what they read
    sizes: Counter[str] = Counter()
    for node in reversed(graph.nodes):
        layer = graph.layer_of(node)
        if layer not in names:
            layer = owners.get(node.output[0], layer)
        sizes[layer] += _field_size(node.ByteSize())
        owners.update(dict.fromkeys(node.input, layer))
    for name, tensor in graph.constants.items():
        prefix = name.partition("/")[0]
        sizes[prefix if prefix in names else owners.get(name, prefix)] += _field_size(tensor.ByteSize())
    return sizes


def _field_size(content: int) -> int:
    """Bytes of a field in Protocol Buffers: its tag, its length in sevens of bits, its content."""
    return 1 + max(1, -(-content.bit_length() // 7)) + content


def _shapes(graph: OnnxGraph) -> dict[str, tuple[int, ...]]:
    """Shapes of all values, without the batch axis."""
    values = (*graph.model.graph.input, *graph.model.graph.value_info, *graph.model.graph.output)
    return {
        value.name: tuple(axis.dim_value for axis in value.type.tensor_type.shape.dim[1:]) for value in values
    }
