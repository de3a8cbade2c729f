"""The deploy model as a TensorFlow function: what both converters read."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

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
    import tensorflow as tf

INPUT, OUTPUT = "images", "logits"


def tensorflow_function(
    network: Network, *, pixels: bool, channels_first_flatten: bool
) -> tf.types.experimental.PolymorphicFunction:
    """The deploy model, to be traced.

    Args:
        network: The deploy model.
        pixels: Take uint8 ``(N, 28, 28)``, cast to float32; else float32 ``(N, 28, 28)``, already scaled.
        channels_first_flatten: Flatten to (C, H, W) order and permute the next matrix to match. ONNX computes
            channels first, so there this spares a transposition; TFLite computes channels last.

    Returns:
        A function with one input ``images`` and one output ``logits``, float32 ``(N, 10)``.
    """
    import tensorflow as tf

    steps = _steps(network.layers, channels_first_flatten=channels_first_flatten)

    def logits(images: tf.Tensor) -> dict[str, tf.Tensor]:
        x = tf.cast(images, tf.float32) if pixels else images
        # With the batch out of the shape, the converters do not build it from Shape, Gather and Concat.
        x = tf.reshape(x, [-1, 28, 28, 1])
        for step in steps:
            x = step(x)
        return {OUTPUT: tf.identity(x, name=OUTPUT)}

    specification = tf.TensorSpec([None, 28, 28], tf.uint8 if pixels else tf.float32, name=INPUT)
    return tf.function(logits, input_signature=[specification])


def activations(network: Network, images: NDArray[np.uint8]) -> list[Array]:
    """What each layer gives, float32, in their order; the last are the logits.

    Args:
        network: The deploy model.
        images: uint8 ``(N, 28, 28)``; all results are in memory at once.
    """
    x = images.astype(np.float32)[..., None] * np.float32(network.pixel_scale)
    outputs: list[Array] = []
    for layer in network.layers:
        x = through((layer,), x)
        outputs.append(x)
    return outputs


def through(layers: tuple[Layer, ...], x: Array) -> Array:
    """What becomes of a tensor, channels last, in these layers."""
    for step in _steps(layers, channels_first_flatten=False):
        x = np.asarray(step(x))
    return x


Step = Callable[["tf.Tensor"], "tf.Tensor"]


def _steps(layers: tuple[Layer, ...], *, channels_first_flatten: bool) -> list[Step]:
    steps: list[Step] = []
    flattened: Flatten | None = None
    for layer in layers:
        match layer:
            case Conv():
                steps.append(_conv(layer))
            case Dense():
                kernel = layer.kernel
                if flattened is not None and channels_first_flatten:
                    kernel = _channels_first(kernel, flattened.shape)
                flattened = None
                steps.append(_dense(layer, kernel))
            case Affine():
                affine = layer
                if flattened is not None and channels_first_flatten:
                    affine = Affine(
                        layer.name,
                        _channels_first(layer.scale, flattened.shape),
                        _channels_first(layer.shift, flattened.shape),
                        layer.relu,
                    )
                steps.append(_affine(affine))
            case MaxPool():
                steps.append(_max_pool(layer))
            case GlobalAverage():
                steps.append(_global_average)
            case Flatten():
                flattened = layer
                steps.append(_flatten(layer, channels_first=channels_first_flatten))
    return steps


def _channels_first(values: Array, shape: tuple[int, int, int]) -> Array:
    """Rows in (H, W, C) order to (C, H, W) order."""
    rows = np.arange(int(np.prod(shape))).reshape(shape).transpose(2, 0, 1).ravel()
    return values[rows]


def _operation(layer: Layer) -> str:
    """The layer's name as TensorFlow takes it: without blanks and the like, which Keras allows."""
    return re.sub(r"[^A-Za-z0-9.]", "_", layer.name).lstrip("_") or "layer"


def _conv(layer: Conv) -> Step:
    import tensorflow as tf

    def step(x: tf.Tensor) -> tf.Tensor:
        y = tf.nn.conv2d(x, layer.kernel, layer.strides, layer.padding.upper(), name=_operation(layer))
        y = tf.nn.bias_add(y, layer.bias)
        if layer.border is not None:
            y = y + layer.border[None]
        return tf.nn.relu(y) if layer.relu else y

    return step


def _dense(layer: Dense, kernel: Array) -> Step:
    import tensorflow as tf

    def step(x: tf.Tensor) -> tf.Tensor:
        y = tf.nn.bias_add(tf.matmul(x, kernel, name=_operation(layer)), layer.bias)
        return tf.nn.relu(y) if layer.relu else y

    return step


def _affine(layer: Affine) -> Step:
    import tensorflow as tf

    def step(x: tf.Tensor) -> tf.Tensor:
        y = x * layer.scale + layer.shift
        return tf.nn.relu(y) if layer.relu else y

    return step


def _max_pool(layer: MaxPool) -> Step:
    import tensorflow as tf

    return lambda x: tf.nn.max_pool2d(
        x, layer.size, layer.strides, layer.padding.upper(), name=_operation(layer)
    )


def _global_average(x: tf.Tensor) -> tf.Tensor:
    import tensorflow as tf

    return tf.reduce_mean(x, axis=[1, 2])


def _flatten(layer: Flatten, *, channels_first: bool) -> Step:
    import tensorflow as tf

    size = int(np.prod(layer.shape))

    def step(x: tf.Tensor) -> tf.Tensor:
        return tf.reshape(tf.transpose(x, [0, 3, 1, 2]) if channels_first else x, [-1, size])

    return step
