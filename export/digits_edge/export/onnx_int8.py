"""float32 ONNX → int8 ONNX: static Q/DQ, uint8 activations, int8 weights per channel, pixels straight in.

U8S8 is the fastest of ONNX Runtime's int8 flavours on x86: S8S8 is slower, U8U8 no faster than float32,
dynamic quantization slower than that.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from digits_edge.export.deploy import INPUT, OUTPUT
from digits_edge.export.errors import ConversionError
from digits_edge.export.onnx import checked, order_constants

if TYPE_CHECKING:
    import onnx

_PIXEL_SCALE = np.float32(1 / 255)
_CALIBRATION_BATCH = 64


def quantize_onnx(model: onnx.ModelProto, calibration: NDArray[np.uint8]) -> onnx.ModelProto:
    """Quantizes a float model that takes ``pixel / 255``.

    Args:
        model: float32 ``(batch, 28, 28)`` in [0, 1] to float32 logits.
        calibration: uint8 ``(N, 28, 28)`` training images; all ranges are taken from them (min-max).

    Returns:
        A model that takes uint8 ``(batch, 28, 28)``, the pixel being the quantized value (scale 1/255, zero
        point 0), and gives float32 logits.

    Raises:
        ConversionError: ONNX Runtime's quantizer gave a graph of another form.
    """
    quantized = quantize_static_qdq(model, INPUT, calibration.astype(np.float32) * _PIXEL_SCALE)
    _pixels_in(quantized.graph)
    _logits_out(quantized.graph)
    return checked(quantized)


def quantize_static_qdq(
    model: onnx.ModelProto, input_name: str, calibration: NDArray[np.float32]
) -> onnx.ModelProto:
    """ONNX Runtime's quantizer: Q/DQ pairs behind every operator, U8S8 per channel, min-max calibration.

    Args:
        model: A float model.
        input_name: Its input.
        calibration: float32 ``(N, …)``, as the model takes them.
    """
    import onnx
    from onnxruntime.quantization import (
        CalibrationDataReader,
        CalibrationMethod,
        QuantFormat,
        QuantType,
        quantize_static,
    )

    class Batches(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no type information
        def __init__(self) -> None:
            starts = range(0, len(calibration), _CALIBRATION_BATCH)
            self._batches = iter([calibration[start : start + _CALIBRATION_BATCH] for start in starts])

        def get_next(self) -> dict[str, NDArray[np.float32]] | None:
            batch = next(self._batches, None)
            return None if batch is None else {input_name: batch}

    with tempfile.TemporaryDirectory() as directory:
        output = Path(directory) / "int8.onnx"
        quantize_static(
            model,
            output,
            Batches(),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            calibrate_method=CalibrationMethod.MinMax,
            extra_options={"ActivationSymmetric": False, "WeightSymmetric": True},
        )
        return onnx.load(output)


def _pixels_in(graph: onnx.GraphProto) -> None:
    """Makes the uint8 pixel the quantized value: the first QuantizeLinear goes."""
    import onnx

    value = INPUT
    while (quantize := _reader(graph, value)).op_type in ("Reshape", "MaxPool"):  # as good on integers
        value = quantize.output[0]
    dequantize = _reader(graph, quantize.output[0])
    _expect_pair(quantize, dequantize)
    # Calibration saw blank paper and full ink, so this is what it found up to rounding; now it is exact.
    exact: tuple[NDArray[Any], ...] = (np.array(_PIXEL_SCALE), np.array(0, np.uint8))
    for name, number in zip(quantize.input[1:], exact, strict=True):
        constant = next(tensor for tensor in graph.initializer if tensor.name == name)
        if not np.allclose(onnx.numpy_helper.to_array(constant), number, rtol=1e-3):
            raise ConversionError("no calibration image has full ink (255); pass real digits")
        constant.CopyFrom(onnx.numpy_helper.from_array(number, name))
    dequantize.input[0] = value
    graph.node.remove(quantize)
    graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.UINT8
    del graph.value_info[:]


def _logits_out(graph: onnx.GraphProto) -> None:
    """Leaves the last layer's result in float: ten numbers cost nothing, and confidence keeps its detail."""
    dequantize = _writer(graph, OUTPUT)
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
