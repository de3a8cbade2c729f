"""float32 ONNX → int8 ONNX: static Q/DQ, uint8 activations, int8 weights per channel, pixels straight in.

U8S8 is the fastest of ONNX Runtime's int8 flavours on x86: S8S8 is slower, U8U8 no faster than float32,
dynamic quantization slower than that.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from digits_edge.export.deploy import INPUT, OUTPUT
from digits_edge.export.errors import ConversionError
from digits_edge.export.network import Network
from digits_edge.export.onnx import checked, order_constants, to_onnx
from digits_edge.export.ranges import Activations, collect, in_batches
from digits_edge.export.scheme import Scheme
from digits_edge.runtime import Format

if TYPE_CHECKING:
    import onnx

_PIXEL_SCALE = np.float32(1 / 255)
_KEEP_PIXELS = ("Reshape", "MaxPool")  # as good on integers


class OnnxQuantizer:
    """Quantizes one network, as often as asked, with statistics collected once."""

    format = Format.ONNX

    def __init__(self, network: Network, calibration: NDArray[np.uint8]) -> None:
        """For a network and its calibration images.

        Args:
            network: The deploy model; takes ``pixel / 255``.
            calibration: uint8 ``(N, 28, 28)`` training images; all other ranges than the pixels' are theirs.
        """
        self.network = network
        self._model = to_onnx(network, pixels=False)
        self._statistics = collect(in_batches(calibration), _every_tensor(self._model))

    def quantize(self, scheme: Scheme) -> bytes:
        """The model file for a scheme: uint8 ``(batch, 28, 28)`` to float32 logits.

        The pixel is the quantized value (scale 1/255, zero point 0). `Scheme.equalized` is not looked at:
        the network is equalized, or it is not.

        Raises:
            ConversionError: ONNX Runtime's quantizer gave a graph of another form.
        """
        from onnxruntime.quantization import CalibrationMethod, QuantType
        from onnxruntime.quantization.calibrate import TensorData, TensorsData
        from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

        ranges = {}
        for name, statistics in self._statistics.items():
            low, high = statistics.range(scheme.calibrator)
            ranges[name] = TensorData(lowest=np.float32(low), highest=np.float32(high))
        # Paper to full ink is what pixels are, and no calibrator's to choose: the first biases are rounded to
        # steps of this scale.
        for name in _pixel_tensors(self._model.graph):
            ranges[name] = TensorData(lowest=np.float32(0), highest=np.float32(1))
        model = copy.deepcopy(self._model)
        names = [node.name for node in model.graph.node]
        float_nodes = [name for name in names if name.split("/")[0] in scheme.float_layers]
        quantizer = QDQQuantizer(
            model,
            per_channel=scheme.per_channel,
            reduce_range=scheme.seven_bits,
            weight_qType=QuantType.QInt8,
            activation_qType=QuantType.QUInt8,
            tensors_range=TensorsData(CalibrationMethod.MinMax, ranges),
            nodes_to_quantize=[],
            nodes_to_exclude=float_nodes,
            op_types_to_quantize=sorted({node.op_type for node in model.graph.node}),
            extra_options={"ActivationSymmetric": False, "WeightSymmetric": True},
        )
        quantizer.quantize_model()
        quantizer.model.topological_sort()
        quantized = quantizer.model.model
        _pixels_in(quantized.graph)
        _logits_out(quantized.graph)
        return bytes(checked(quantized).SerializeToString())


def _every_tensor(model: onnx.ModelProto) -> Callable[[NDArray[np.uint8]], Activations]:
    """Runs a float model and gives the input and every node's output, by name."""
    import onnx
    import onnxruntime as ort

    watched = copy.deepcopy(model)
    names = [node.output[0] for node in watched.graph.node]
    del watched.graph.output[:]
    watched.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    session = ort.InferenceSession(watched.SerializeToString(), providers=["CPUExecutionProvider"])

    def run(images: NDArray[np.uint8]) -> Activations:
        pixels = images.astype(np.float32) * _PIXEL_SCALE
        return {INPUT: pixels, **dict(zip(names, session.run(names, {INPUT: pixels}), strict=True))}

    return run


def _pixel_tensors(graph: onnx.GraphProto) -> Iterator[str]:
    """The input, and what only moves its pixels about, or chooses among them."""
    value = INPUT
    while True:
        yield value
        node = _reader(graph, value)
        if node.op_type not in _KEEP_PIXELS:
            return
        value = node.output[0]


def _pixels_in(graph: onnx.GraphProto) -> None:
    """Makes the uint8 pixel the quantized value: the first QuantizeLinear goes."""
    import onnx

    value = INPUT
    while (quantize := _reader(graph, value)).op_type in _KEEP_PIXELS:
        value = quantize.output[0]
    if quantize.op_type != "QuantizeLinear":
        _float_pixels(graph)
        return
    dequantize = _reader(graph, quantize.output[0])
    _expect_pair(quantize, dequantize)
    # The quantizer was told so, and found it up to rounding; now it is exact.
    exact: tuple[NDArray[Any], ...] = (np.array(_PIXEL_SCALE), np.array(0, np.uint8))
    for name, number in zip(quantize.input[1:], exact, strict=True):
        constant = next(tensor for tensor in graph.initializer if tensor.name == name)
        if not np.allclose(onnx.numpy_helper.to_array(constant), number, rtol=1e-6):
            raise ConversionError(f"the quantizer gave pixels another {name.rsplit('_', 1)[-1]}")
        constant.CopyFrom(onnx.numpy_helper.from_array(number, name))
    dequantize.input[0] = value
    graph.node.remove(quantize)
    graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.UINT8
    del graph.value_info[:]


def _float_pixels(graph: onnx.GraphProto) -> None:
    """Where the first layer stays float, the uint8 pixel is dequantized in front of it."""
    import onnx

    first, scaled = _reader(graph, INPUT), "pixels/scaled"
    first.input[:] = [scaled if name == INPUT else name for name in first.input]
    constants = ("pixels/scale", np.array(_PIXEL_SCALE)), ("pixels/zero_point", np.array(0, np.uint8))
    names = [name for name, _ in constants]
    graph.initializer.extend(onnx.numpy_helper.from_array(number, name) for name, number in constants)
    node = onnx.helper.make_node(
        "DequantizeLinear", [INPUT, *names], [scaled], name="pixels/DequantizeLinear"
    )
    graph.node.insert(0, node)
    graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.UINT8
    del graph.value_info[:]


def _logits_out(graph: onnx.GraphProto) -> None:
    """Leaves the last layer's result in float: ten numbers cost nothing, and confidence keeps its detail."""
    dequantize = _writer(graph, OUTPUT)
    if dequantize.op_type != "DequantizeLinear":  # the last layer is float
        order_constants(graph)
        return
    quantize = _writer(graph, dequantize.input[0])
    _expect_pair(quantize, dequantize)
    _writer(graph, quantize.input[0]).output[0] = OUTPUT
    graph.node.remove(quantize)
    graph.node.remove(dequantize)
    order_constants(graph)


def _reader(graph: onnx.GraphProto, value: str) -> onnx.NodeProto:
    return _only([node for node in graph.node if value in node.input], value)


def _writer(graph: onnx.GraphProto, value: str) -> onnx.NodeProto:
    return _only([node for node in graph.node if value in node.output], value)


def _only(found: list[onnx.NodeProto], value: str) -> onnx.NodeProto:
    if len(found) != 1:
        raise ConversionError(f"{len(found)} nodes at {value!r} where the quantizer should have left one")
    return found[0]


def _expect_pair(quantize: onnx.NodeProto, dequantize: onnx.NodeProto) -> None:
    found = (quantize.op_type, dequantize.op_type)
    if found != ("QuantizeLinear", "DequantizeLinear"):
        raise ConversionError(f"the quantizer left {' and '.join(found)} where a Q/DQ pair should be")
