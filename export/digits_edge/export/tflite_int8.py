"""Deploy model → int8 TFLite: uint8 pixels in, uint8 logits out, integers between, floats where asked for.

TFLite's quantizer reads each tensor's range from the float model itself. So the ranges are ours to choose:
the float model is run once, and every scheme writes its own ranges into a copy of it.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from digits_edge.export.errors import ConversionError
from digits_edge.export.network import Affine, Conv, Dense, Flatten, GlobalAverage, Layer, MaxPool, Network
from digits_edge.export.ranges import Activations, collect, in_batches
from digits_edge.export.scheme import Scheme
from digits_edge.export.tflite import to_tflite
from digits_edge.export.tflite_graph import TfliteGraph
from digits_edge.runtime import Format

if TYPE_CHECKING:
    from ai_edge_litert.interpreter import Interpreter

_ONE = np.float32(1 / 255)


class TfliteQuantizer:
    """Quantizes one network, as often as asked, with statistics collected once."""

    format = Format.TFLITE

    def __init__(self, network: Network, calibration: NDArray[np.uint8]) -> None:
        """For a network and its calibration images.

        Args:
            network: The deploy model; takes ``pixel / 255``.
            calibration: uint8 ``(N, 28, 28)`` training images; all other ranges than the pixels' are theirs.

        Raises:
            ConversionError: The converter failed.
        """
        self.network = network
        self._model = to_tflite(network, pixels=False)
        self._statistics = collect(in_batches(calibration), _every_tensor(self._model))

    def quantize(self, scheme: Scheme) -> bytes:
        """The model file for a scheme: uint8 ``(N, 28, 28)`` to uint8 logits.

        Without float layers it is of integers only, weights int8, input scale 1/255, zero point 0. LiteRT
        sums in 32 bits everywhere, so ``seven_bits`` is not looked at; nor is ``equalized``.

        Raises:
            ConversionError: The quantizer failed, or left a float where none was asked for.
        """
        import tensorflow as tf

        # Where TensorFlow keeps what its own QuantizationDebugger calls; that one calibrates anew each time,
        # by its own rule, and has no integer input.
        from tensorflow.lite.python.convert import mlir_quantize

        ranged = self._with_ranges(scheme)
        try:
            quantized = bytes(
                mlir_quantize(
                    ranged,
                    disable_per_channel=not scheme.per_channel,
                    disable_per_channel_for_dense_layers=not scheme.per_channel,
                    input_data_type=tf.uint8,
                    output_data_type=tf.uint8,
                    denylisted_nodes=self._float_operators(scheme) or None,
                )
            )
        except Exception as error:  # the converter raises whatever went wrong inside it
            raise ConversionError(f"the TFLite quantizer failed: {error}") from error
        floats = [name for name, dtype in _tensors(quantized) if dtype == np.float32]
        if floats and not scheme.float_layers:
            raise ConversionError(f"the TFLite quantizer left {', '.join(floats)} in float")
        return quantized

    def _with_ranges(self, scheme: Scheme) -> bytes:
        """The float model with each activation's range written beside it."""
        from ai_edge_litert.schema_py_generated import QuantizationParametersT
        from ai_edge_litert.tools.flatbuffer_utils import convert_object_to_bytearray

        read = TfliteGraph(self._model)
        for index, tensor in enumerate(read.tensors):
            statistics = self._statistics.get(read.name(index))
            if statistics is not None:
                low, high = statistics.range(scheme.calibrator)
                tensor.quantization = QuantizationParametersT()
                tensor.quantization.min, tensor.quantization.max = [low], [high]
        # The pixels' range is not a calibrator's to choose: 0 to 255 is what they are.
        [pixels] = read.graph.inputs
        given = read.tensors[pixels].quantization
        given.min, given.max = [0.0], [float(self.network.pixel_scale * 255)]
        return bytes(convert_object_to_bytearray(read.model))

    def _float_operators(self, scheme: Scheme) -> list[str]:
        """The operators that stay float, by the tensor each writes, as the quantizer knows them.

        What lies between two float layers, a max-pooling or a flatten, stays float with them.
        """
        layers = self.network.layers
        weighted = [index for index, layer in enumerate(layers) if isinstance(layer, Conv | Dense | Affine)]
        floats = {index for index in weighted if layers[index].name in scheme.float_layers}
        for first, second in pairwise(weighted):
            if {first, second} <= floats:
                floats.update(range(first, second))
        written = _written(self._model)
        pixels = 0 if isinstance(layers[0], Flatten) else 1  # the reshape of the pixels
        expected = pixels + sum(map(_operators, layers))
        if len(written) != expected:
            raise ConversionError(
                f"TFLite made {len(written)} operators of {self.network.name!r}; expected {expected}, so its "
                "layers cannot be told apart"
            )
        outputs = iter(written[pixels:])
        names: list[str] = []
        for index, layer in enumerate(layers):
            own = [next(outputs) for _ in range(_operators(layer))]
            names += own if index in floats else []
        return names


def _operators(layer: Layer) -> int:
    """How many TFLite operators a layer becomes; a ReLU is part of the one before it."""
    match layer:
        case Conv():
            return 1 if layer.border is None else 2
        case Affine():
            return 2
        case Dense() | MaxPool() | GlobalAverage() | Flatten():
            return 1


def _every_tensor(model: bytes) -> Callable[[NDArray[np.uint8]], Activations]:
    """Runs a float model and gives the input and what every operator writes, by name."""
    interpreter = _interpreter(model)
    [source] = interpreter.get_input_details()
    written = set(_written(model)) | {source["name"]}
    watched = [tensor for tensor in interpreter.get_tensor_details() if tensor["name"] in written]

    def run(images: NDArray[np.uint8]) -> Activations:
        interpreter.resize_tensor_input(source["index"], images.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(source["index"], images.astype(np.float32) * _ONE)
        interpreter.invoke()
        return {tensor["name"]: interpreter.get_tensor(tensor["index"]) for tensor in watched}

    return run


def _interpreter(model: bytes) -> Interpreter:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    # XNNPACK would keep what lies between its operators to itself.
    return Interpreter(
        model_content=model,
        experimental_preserve_all_tensors=True,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )


def _written(model: bytes) -> list[str]:
    """Names of the tensors that the operators write, in the order of computation."""
    graph = TfliteGraph(model)
    return [graph.name(operator.outputs[0]) for operator in graph.operators]


def _tensors(model: bytes) -> list[tuple[str, Any]]:
    return [(tensor["name"], tensor["dtype"]) for tensor in _interpreter(model).get_tensor_details()]
