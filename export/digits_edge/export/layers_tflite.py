"""TFLite file → layers."""

from __future__ import annotations

from collections import Counter
from math import prod
from typing import TYPE_CHECKING

from digits_edge.export.layers import Contents, Layer, Quantization
from digits_edge.export.noise import weights_sqnr
from digits_edge.export.tflite_graph import DEQUANTIZE, PRODUCTS, QUANTIZE, TfliteGraph

if TYPE_CHECKING:
    from ai_edge_litert.schema_py_generated import OperatorT

_SCALE_SIZE, _ZERO_POINT_SIZE = 4, 8  # float32 and int64 in the schema


def read_tflite(graph: TfliteGraph, size: int) -> Contents:
    """Takes a TFLite model apart.

    Args:
        graph: The model.
        size: Bytes of its file.
    """
    operators: dict[str, list[OperatorT]] = {}
    for layer, operator in graph.computing:
        operators.setdefault(layer, []).append(operator)
    parameters, sizes = _stored(graph)
    layers = tuple(
        _layer(graph, name, members, parameters[name], sizes[name]) for name, members in operators.items()
    )
    return Contents(
        operators=dict(Counter(graph.kind(operator) for operator in graph.operators).most_common()),
        layers=layers,
        other_size=size - sum(layer.size for layer in layers),
    )


def _layer(graph: TfliteGraph, name: str, operators: list[OperatorT], parameters: int, size: int) -> Layer:
    dtype, weights, sqnr = _weights(graph, operators)
    output = int(operators[-1].outputs[0])
    kinds = tuple(graph.kind(operator) for operator in operators)
    return Layer(
        name=name,
        operators=tuple(kind for kind in kinds if kind not in (QUANTIZE, DEQUANTIZE)),
        shape=graph.shape(output)[1:],
        multiply_adds=sum(_multiply_adds(graph, operator) for operator in operators),
        parameters=parameters,
        size=size,
        weights_dtype=dtype,
        weights=weights,
        weights_sqnr=sqnr,
        output=graph.quantization(output),
    )


def _kernel(graph: TfliteGraph, operator: OperatorT) -> int | None:
    return graph.stored(int(operator.inputs[1])) if graph.kind(operator) in PRODUCTS else None


def _weights(graph: TfliteGraph, operators: list[OperatorT]) -> tuple[str, Quantization | None, float | None]:
    """Type, quantization and noise of the layer's kernel."""
    for operator in operators:
        if (kernel := _kernel(graph, operator)) is None or (stored := graph.array(kernel)) is None:
            continue
        quantization = graph.quantization(kernel)
        axis = 0 if quantization is None else graph.axis(kernel)
        return graph.dtype(kernel), quantization, weights_sqnr(stored, quantization, axis=axis)
    return "", None, None


def _multiply_adds(graph: TfliteGraph, operator: OperatorT) -> int:
    """Kernels are (out, height, width, in), (1, height, width, out) or (out, in)."""
    if (kernel := _kernel(graph, operator)) is None:
        return 0
    shape, outputs = graph.shape(kernel), prod(graph.shape(int(operator.outputs[0]))[1:])
    depthwise = graph.kind(operator) == "DEPTHWISE_CONV_2D"
    return outputs * (prod(shape[1:3]) if depthwise else prod(shape[1:]))


def _stored(graph: TfliteGraph) -> tuple[Counter[str], Counter[str]]:
    """Parameters, and bytes of constants and scales, by layer; what two layers read is the first's.

    int32 without a scale is what TFLite has shapes and axes in.
    """
    parameters: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    tensors: set[int] = set()
    buffers: set[int] = set()
    for layer, operator in graph.computing:
        behind = [graph.stored(tensor) for tensor in graph.inputs(operator)]
        constants = [tensor for tensor in behind if tensor is not None]
        for tensor in (*constants, *graph.inputs(operator), *map(int, operator.outputs)):
            if tensor in tensors:
                continue
            tensors.add(tensor)
            quantization, array = graph.quantization(tensor), graph.array(tensor)
            if quantization is not None:
                sizes[layer] += len(quantization.scales) * (_SCALE_SIZE + _ZERO_POINT_SIZE)
            buffer = int(graph.tensors[tensor].buffer)
            if array is not None and buffer not in buffers:
                buffers.add(buffer)
                sizes[layer] += array.nbytes
                if quantization is not None or array.dtype.kind == "f":
                    parameters[layer] += array.size
    return parameters, sizes
