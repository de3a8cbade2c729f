"""Deploy model → float32 ONNX: tf2onnx converts, ordered passes make of it what the engines fuse best."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from digits_edge.export.deploy import INPUT, OUTPUT, tensorflow_function
from digits_edge.export.errors import ConversionError
from digits_edge.export.network import (
    Affine,
    Array,
    Conv,
    Dense,
    Flatten,
    GlobalAverage,
    Layer,
    MaxPool,
    Network,
)

if TYPE_CHECKING:
    import onnx

# ONNX 1.12 and IR version 8, of 2022: old enough for runtimes on devices, new enough for per-channel Q/DQ.
OPSET = 17


def to_onnx(network: Network, *, pixels: bool) -> onnx.ModelProto:
    """Converts a deploy model to ONNX.

    Args:
        network: The deploy model.
        pixels: Take uint8 ``(batch, 28, 28)`` instead of float32.

    Returns:
        A checked model from ``images`` to ``logits`` float32 ``(batch, 10)``, channels first, with no node
        but those that the layers ask for.

    Raises:
        ConversionError: tf2onnx failed, or its graph is not of the expected form.
    """
    model = _convert(network, pixels=pixels)
    _keep_standard_operators(model)
    _drop_idle_reshapes(model)
    _products_to_gemm(model.graph)
    _biases_into_convolutions(model.graph, [layer for layer in network.layers if isinstance(layer, Conv)])
    _name_after_layers(model.graph, network, pixels=pixels)
    return checked(model)


def checked(model: onnx.ModelProto) -> onnx.ModelProto:
    """Validates a model, with strict shape inference.

    Raises:
        ConversionError: It is not valid ONNX.
    """
    import onnx

    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ConversionError(f"the converted model is not valid ONNX: {error}") from error
    return model


def _convert(network: Network, *, pixels: bool) -> onnx.ModelProto:
    import tf2onnx

    function = tensorflow_function(network, pixels=pixels, channels_first_flatten=True)
    function.get_concrete_function()  # a fault in it is ours, not tf2onnx's
    model: onnx.ModelProto
    try:
        model, _ = tf2onnx.convert.from_function(
            function, input_signature=function.input_signature, opset=OPSET
        )
    except Exception as error:  # tf2onnx raises whatever went wrong inside it
        raise ConversionError(f"tf2onnx could not convert {network.name!r}: {error}") from error
    return model


def _keep_standard_operators(model: onnx.ModelProto) -> None:
    """Says only what the graph uses: the standard operators, one dynamic axis with a name."""
    import onnx

    del model.opset_import[:]
    model.opset_import.append(onnx.helper.make_opsetid("", OPSET))
    model.producer_name, model.producer_version, model.doc_string = "digits-edge", "", ""
    model.graph.doc_string = ""  # has a number that grows from call to call
    del model.graph.value_info[:]
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"


def _drop_idle_reshapes(model: onnx.ModelProto) -> None:
    """Of reshapes in a row the last is enough, and none is needed that leaves the shape as it is.

    tf2onnx makes them of transpositions that move an axis of length one, and does not see that they cancel.
    """
    import onnx

    graph = model.graph
    for first, second in _followed(graph, "Reshape", "Reshape"):
        second.input[0] = first.input[0]
        graph.node.remove(first)
    values = (*graph.input, *onnx.shape_inference.infer_shapes(model).graph.value_info, *graph.output)
    shapes = {value.name: [axis.dim_value for axis in value.type.tensor_type.shape.dim] for value in values}
    for node in [node for node in graph.node if node.op_type == "Reshape"]:
        if shapes[node.input[0]] == shapes[node.output[0]]:  # the batch is 0 in both
            for follower in graph.node:
                follower.input[:] = [node.input[0] if x == node.output[0] else x for x in follower.input]
            graph.node.remove(node)


def _products_to_gemm(graph: onnx.GraphProto) -> None:
    """MatMul, then Add of a vector, becomes one Gemm: quantized, its bias keeps 32 bits."""
    import onnx

    constants = {tensor.name: tensor for tensor in graph.initializer}
    for product, addition in _followed(graph, "MatMul", "Add"):
        bias = next(name for name in addition.input if name != product.output[0])
        if bias not in constants or len(constants[bias].dims) != 1:
            raise ConversionError(f"{product.name}: followed by an addition that is no bias")
        gemm = onnx.helper.make_node("Gemm", [*product.input, bias], list(addition.output), name=product.name)
        product.CopyFrom(gemm)
        graph.node.remove(addition)


def _biases_into_convolutions(graph: onnx.GraphProto, layers: list[Conv]) -> None:
    """Gives each convolution its bias back, and the border map a constant of its own.

    tf2onnx adds the two up. Quantized, their sum would round the bias to 8 bits; apart, it keeps 32.
    """
    import onnx

    nodes = [node for node in graph.node if node.op_type == "Conv"]
    additions = {id(conv): addition for conv, addition in _followed(graph, "Conv", "Add")}
    if len(nodes) != len(layers):
        raise ConversionError(f"{len(nodes)} convolutions came out of the converter; expected {len(layers)}")
    for node, layer in zip(nodes, layers, strict=True):
        bias = f"{layer.name}/bias"
        del node.input[2:]
        node.input.append(bias)
        graph.initializer.append(onnx.numpy_helper.from_array(layer.bias, bias))
        addition = additions.get(id(node))
        if (addition is None) != (layer.border is None):
            raise ConversionError(f"{layer.name}: the converter lost the border map, or added a constant")
        if addition is not None and layer.border is not None:
            border = f"{layer.name}/border"
            channels_first: Array = np.ascontiguousarray(layer.border.transpose(2, 0, 1)[None])
            graph.initializer.append(onnx.numpy_helper.from_array(channels_first, border))
            del addition.input[:]
            addition.input.extend([node.output[0], border])


def _name_after_layers(graph: onnx.GraphProto, network: Network, *, pixels: bool) -> None:
    """Names nodes, tensors and weights after the Keras layers, so that a report can be read.

    The graph must be, node for node, what the layers ask for: no transposition, no shape computed at run
    time, nothing that a device would do in vain.
    """
    parts = [
        *_preparation(network, pixels=pixels),
        *(part for layer in network.layers for part in _parts(layer)),
    ]
    found, expected = [node.op_type for node in graph.node], [part.operator for part in parts]
    if found != expected:
        raise ConversionError(
            f"tf2onnx made {' '.join(found)} of {network.name!r}; expected {' '.join(expected)}"
        )
    order_constants(graph)
    constants = {tensor.name for tensor in graph.initializer}
    names = {INPUT: INPUT, OUTPUT: OUTPUT}
    for node, part in zip(graph.node, parts, strict=True):
        node.name = f"{part.layer}/{part.operator}"
        for name, role in zip(
            (name for name in node.input if name in constants), part.constants, strict=True
        ):
            names.setdefault(name, f"{part.layer}/{role}")  # equal constants are one, and have one name
        names.setdefault(node.output[0], node.name)
        node.input[:] = [names[name] for name in node.input]
        node.output[:] = [names[name] for name in node.output]
    for tensor in graph.initializer:
        tensor.name = names[tensor.name]
    graph.name = network.name


@dataclass(frozen=True)
class _Part:
    """One node of a layer: its operator, and what its constants are in the order of its inputs."""

    layer: str
    operator: str
    constants: tuple[str, ...] = ()


def _preparation(network: Network, *, pixels: bool) -> Iterator[_Part]:
    if pixels:
        yield _Part("pixels", "Cast")
    if not isinstance(network.layers[0], Flatten):  # tf2onnx makes one of two reshapes
        yield _Part("pixels", "Reshape", ("shape",))


def _parts(layer: Layer) -> Iterator[_Part]:
    """The nodes that a layer becomes."""
    match layer:
        case Conv():
            yield _Part(layer.name, "Conv", ("kernel", "bias"))
            if layer.border is not None:
                yield _Part(layer.name, "Add", ("border",))
        case Dense():
            yield _Part(layer.name, "Gemm", ("kernel", "bias"))
        case Affine():
            yield _Part(layer.name, "Mul", ("scale",))
            yield _Part(layer.name, "Add", ("shift",))
        case MaxPool():
            yield _Part(layer.name, "MaxPool")
        case GlobalAverage():
            yield _Part(layer.name, "GlobalAveragePool")
            yield _Part(layer.name, "Squeeze", ("axes",))
        case Flatten():
            yield _Part(layer.name, "Reshape", ("shape",))
    if isinstance(layer, Conv | Dense | Affine) and layer.relu:
        yield _Part(layer.name, "Relu")


def order_constants(graph: onnx.GraphProto) -> None:
    """Removes the constants that no node reads; the others come as they are read, not as it happened."""
    reads = list(dict.fromkeys(name for node in graph.node for name in node.input))
    constants = {tensor.name: tensor for tensor in graph.initializer}
    kept = [constants[name] for name in reads if name in constants]
    del graph.initializer[:]
    graph.initializer.extend(kept)


def _followed(
    graph: onnx.GraphProto, first: str, second: str
) -> Iterator[tuple[onnx.NodeProto, onnx.NodeProto]]:
    """Pairs of nodes in which the second takes the first's output."""
    for node in [node for node in graph.node if node.op_type == first]:
        for follower in graph.node:
            if follower.op_type == second and node.output[0] in follower.input:
                yield node, follower
                break
