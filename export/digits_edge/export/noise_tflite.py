"""Measured quantization noise of a TFLite model's layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from digits_edge.export.noise import dequantized, measured_sqnr
from digits_edge.export.tflite_graph import DEQUANTIZE, QUANTIZE, TfliteGraph

if TYPE_CHECKING:
    from ai_edge_litert.interpreter import Interpreter

_FLOAT32, _FLOAT16 = 0, 1  # TensorType in LiteRT's schema.fbs


def tflite_noise(content: bytes, images: NDArray[np.uint8]) -> dict[str, float | None]:
    """Runs a model as it is and in float with the weights that it has, and compares each layer's output.

    LiteRT shows what lies between layers only without XNNPACK, so its reference kernels compute here; they
    round like the others, but for a step in the last place now and then. Noise adds up from layer to layer.

    Args:
        content: The model.
        images: uint8 ``(N, 28, 28)``, the golden images.

    Returns:
        Ratios in dB, by layer; None where both give the same. Empty if the model has no integers to drop.
    """
    graph = TfliteGraph(content)
    if not any(graph.quantization(tensor) for tensor in range(len(graph.tensors))):
        return {}
    reference, moved = _in_float(content)
    as_it_is, exact = _run(content, images), _run(reference, _pixels(graph, images))
    noise = {}
    for layer, tensor in graph.outputs().items():
        found = as_it_is.get_tensor(tensor)
        if (quantization := graph.quantization(tensor)) is not None:
            found = dequantized(found, quantization)
        noise[layer] = measured_sqnr(exact.get_tensor(moved.get(tensor, tensor)), found)
    return noise


def _pixels(graph: TfliteGraph, images: NDArray[np.uint8]) -> NDArray[Any]:
    """The images as the float model takes them."""
    quantization = graph.quantization(int(graph.graph.inputs[0]))
    return images if quantization is None else dequantized(images, quantization).astype(np.float32)


def _in_float(content: bytes) -> tuple[bytes, dict[int, int]]:
    """The same model with every quantized tensor in float32.

    Returns:
        The file, and for each tensor that was only a rounding of another, that other.
    """
    from ai_edge_litert.schema_py_generated import BufferT
    from ai_edge_litert.tools.flatbuffer_utils import convert_object_to_bytearray

    graph = TfliteGraph(content)
    for number, tensor in enumerate(graph.tensors):
        if (quantization := graph.quantization(number)) is None:
            continue
        array = graph.array(number)
        if array is not None:
            numbers = dequantized(array, quantization, axis=graph.axis(number)).astype(np.float32)
            tensor.buffer = len(graph.model.buffers)
            buffer = BufferT()
            buffer.data = np.frombuffer(numbers.tobytes(), np.uint8)
            graph.model.buffers.append(buffer)
        tensor.type, tensor.quantization = _FLOAT32, None
    moved: dict[int, int] = {}
    kept = []
    for operator in graph.operators:
        operator.inputs = np.array([moved.get(int(index), int(index)) for index in operator.inputs], np.int32)
        source = int(operator.inputs[0])
        if graph.kind(operator) in (QUANTIZE, DEQUANTIZE) and graph.tensors[source].type != _FLOAT16:
            moved[int(operator.outputs[0])] = source
        else:
            kept.append(operator)
    graph.graph.operators = kept
    graph.graph.outputs = np.array(
        [moved.get(int(index), int(index)) for index in graph.graph.outputs], np.int32
    )
    for signature in graph.model.signatureDefs or ():
        for entry in signature.outputs:
            entry.tensorIndex = moved.get(entry.tensorIndex, entry.tensorIndex)
    return bytes(convert_object_to_bytearray(graph.model)), moved


def _run(content: bytes, images: NDArray[Any]) -> Interpreter:
    """An interpreter that has computed, and kept all it computed."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(
        model_content=content,
        num_threads=1,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        experimental_preserve_all_tensors=True,
    )
    index = interpreter.get_input_details()[0]["index"]
    interpreter.resize_tensor_input(index, images.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(index, images)
    interpreter.invoke()
    return interpreter
