"""Deploy model → TFLite in floats of 32 or 16 bits, or with integers that need no scheme of ours."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from digits_edge.export.deploy import tensorflow_function
from digits_edge.export.errors import ConversionError
from digits_edge.export.network import Network
from digits_edge.runtime import Precision

if TYPE_CHECKING:
    import tensorflow as tf


def to_tflite(
    network: Network,
    precision: Precision = Precision.FLOAT32,
    calibration: NDArray[np.uint8] | None = None,
    *,
    pixels: bool = True,
) -> bytes:
    """Converts a deploy model; int8 is `tflite_int8`'s.

    Args:
        network: The deploy model.
        precision: FLOAT32, FLOAT16, WEIGHTS8 or INT16X8.
        calibration: uint8 ``(N, 28, 28)`` training images; INT16X8 takes its ranges from them.
        pixels: Take uint8 ``(N, 28, 28)``, for a network of raw pixels; else float32.

    Raises:
        ConversionError: The converter failed.
    """
    import tensorflow as tf

    function = tensorflow_function(network, pixels=pixels, channels_first_flatten=False)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()], function)
    if precision is not Precision.FLOAT32:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if precision is Precision.FLOAT16:
        converter.target_spec.supported_types = [tf.float16]
    if precision is Precision.INT16X8:
        if calibration is None:
            raise ValueError("int16x8 without calibration images")
        converter.representative_dataset = _one_by_one(calibration)
        # The second set is for the cast of the pixels, which the first does not know.
        converter.target_spec.supported_ops = [
            tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8,
            tf.lite.OpsSet.TFLITE_BUILTINS,
        ]
    try:
        return bytes(converter.convert())
    except Exception as error:  # the converter raises whatever went wrong inside it
        raise ConversionError(f"the TFLite converter failed: {error}") from error


def _one_by_one(images: NDArray[np.uint8]) -> tf.lite.RepresentativeDataset:
    def each() -> Iterator[list[NDArray[np.uint8]]]:
        for image in images:
            yield [image[None]]

    return each
