"""What the stock converters make of a Keras model without folding: the baselines to beat.

Augmentation and dropout are off, nothing else is prepared: float input in [0, 1], normalisations where the
network has them, softmax inside. Each file is what a careful reader of the converter's own tutorial gets.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from digits_edge.export.onnx import OPSET
from digits_edge.export.ranges import in_batches

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

INPUT = "images"


def naive_onnx(model: keras.Model) -> bytes:
    """tf2onnx on the model as it is: float32 ``(N, 28, 28, 1)`` in [0, 1] to probabilities."""
    import tf2onnx

    function, specification = _function(model)
    converted, _ = tf2onnx.convert.from_function(function, input_signature=[specification], opset=OPSET)
    return bytes(converted.SerializeToString())


def naive_onnx_int8(model: keras.Model, calibration: NDArray[np.uint8]) -> bytes:
    """ONNX Runtime's static quantization of that: the same scheme and images as the folded model gets."""
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
            self._batches = iter([_floats(batch) for batch in in_batches(calibration)])

        def get_next(self) -> dict[str, NDArray[np.float32]] | None:
            batch = next(self._batches, None)
            return None if batch is None else {INPUT: batch}

    with tempfile.TemporaryDirectory() as directory:
        output = Path(directory) / "int8.onnx"
        quantize_static(
            onnx.load_from_string(naive_onnx(model)),
            output,
            Batches(),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            calibrate_method=CalibrationMethod.MinMax,
            extra_options={"ActivationSymmetric": False, "WeightSymmetric": True},
        )
        return output.read_bytes()


def naive_tflite_int8(model: keras.Model, calibration: NDArray[np.uint8]) -> bytes:
    """TFLite's full-integer quantization of it: uint8 ``(N, 28, 28, 1)`` in, uint8 probabilities out."""
    import tensorflow as tf

    def images() -> Iterator[list[NDArray[np.float32]]]:
        for image in _floats(calibration):
            yield [image[None]]

    function, _ = _function(model)
    concrete = function.get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], function)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = images
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.uint8
    return bytes(converter.convert())


def _function(model: keras.Model) -> tuple[tf.types.experimental.PolymorphicFunction, tf.TensorSpec]:
    import tensorflow as tf

    specification = tf.TensorSpec([None, 28, 28, 1], tf.float32, name=INPUT)
    return tf.function(
        lambda images: model(images, training=False), input_signature=[specification]
    ), specification


def _floats(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    return (images.astype(np.float32) / np.float32(255))[..., None]
