"""Deploy model → TFLite: float32, or full-integer int8 with uint8 pixels in and uint8 logits out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from digits_edge.export.deploy import tensorflow_function
from digits_edge.export.errors import ConversionError
from digits_edge.export.network import Network

if TYPE_CHECKING:
    import tensorflow as tf


def to_tflite(network: Network) -> bytes:
    """Converts a deploy model that takes raw pixels to float32 TFLite with a uint8 input.

    Raises:
        ConversionError: The converter failed.
    """
    return _converted(_converter(network, pixels=True))


def to_tflite_int8(network: Network, calibration: NDArray[np.uint8]) -> bytes:
    """Converts and quantizes a deploy model that takes ``pixel / 255``.

    Args:
        network: The deploy model.
        calibration: uint8 ``(N, 28, 28)`` training images.

    Returns:
        A model of integers only: weights int8 per channel, input uint8 with scale 1/255 and zero point 0.

    Raises:
        ConversionError: The converter failed, or knows an operator in float only; or no image has full
            ink.
    """
    import tensorflow as tf

    # The input's scale comes from them too, and a pixel is its quantized value only if that is 1/255.
    if calibration.max() != 255:
        raise ConversionError("no calibration image has full ink (255); pass real digits")

    def images() -> Iterator[list[NDArray[np.float32]]]:
        for image in calibration:
            yield [image[None].astype(np.float32) * np.float32(network.pixel_scale)]

    converter = _converter(network, pixels=False)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = images
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.uint8
    return _converted(converter)


def _converter(network: Network, *, pixels: bool) -> tf.lite.TFLiteConverter:
    import tensorflow as tf

    function = tensorflow_function(network, pixels=pixels, channels_first_flatten=False)
    return tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()], function)


def _converted(converter: tf.lite.TFLiteConverter) -> bytes:
    try:
        return bytes(converter.convert())
    except Exception as error:  # the converter raises whatever went wrong inside it
        raise ConversionError(f"the TFLite converter failed: {error}") from error
