"""The networks: the reference CNN of the notebook, a small one for devices, and one that teaches it."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    import keras

    Norm = type[keras.layers.BatchNormalization]
    Convolution = Callable[..., keras.KerasTensor]

CLASSES = 10
IMAGE_SIZE = 28
EDGE_WIDTHS = (16, 32, 64, 64)  # filters of the edge network's convolutions
_M7_WIDTHS = (16, 48, 96, 128)  # multiples of 16, which processors' kernels are made for


class Architecture(str, Enum):
    """The networks that can be trained.

    Attributes:
        CNN: Five convolutions, 1,029,160 parameters, 98.6 M multiply-adds an image. Normalises *after* the
            activation, as the notebook does.
        EDGE: Four convolutions, 61,658 parameters, 1.9 M multiply-adds an image. Normalises *before* the
            activation, so that each BatchNorm folds into its own convolution.
        M7: Four convolutions of 7×7, 887,962 parameters, 42.2 M multiply-adds an image: the network of that
            name of An et al. (2020, arXiv:2008.10400) with fewer filters. It neither pads nor pools, so it
            errs on other digits than the other two, and teaches well beside them.
    """

    CNN = "cnn"
    EDGE = "edge"
    M7 = "m7"


class Precision(str, Enum):
    """The arithmetic of training; variables are float32 either way."""

    FLOAT32 = "float32"
    MIXED_BFLOAT16 = "mixed_bfloat16"


def build(
    architecture: Architecture,
    *,
    seed: int = 42,
    widths: Sequence[int] | None = None,
    precision: Precision = Precision.FLOAT32,
    augment: bool = False,
    fused: bool = False,
) -> keras.Model:
    """Builds an untrained network.

    Args:
        architecture: Which network.
        seed: Seeds every initialiser, dropout and augmentation layer.
        widths: Filters of the edge network's four convolutions, if not its own.
        precision: Compute type of the layers. The softmax is float32 in both.
        augment: Begin with the notebook's augmentation layers, instead of deforming the data.
        fused: Train BatchNorm with one kernel where there is one; a network to be saved does without.

    Returns:
        A model from float images ``(N, 28, 28, 1)`` in [0, 1] to probabilities ``(N, 10)``.
    """
    seeds, norm = _Seeds(seed), _norm(fused)
    if architecture is Architecture.CNN:
        return _cnn(seeds, precision.value, augment=augment, norm=norm)
    conv = _normalised_conv(seeds, precision.value, norm)
    if architecture is Architecture.EDGE:
        return _edge(seeds, precision.value, widths or EDGE_WIDTHS, augment=augment, conv=conv)
    return _m7(seeds, augment=augment, conv=conv)


def _norm(fused: bool) -> Norm:
    if fused:
        from digits_edge.trainer._fused import FusedBatchNormalization

        return FusedBatchNormalization
    import keras

    norm: Norm = keras.layers.BatchNormalization
    return norm


class _Seeds:
    """Gives each layer a seed of its own, the same ones for the same first seed."""

    def __init__(self, first: int) -> None:
        self._next = first * 1000

    def __call__(self) -> int:
        self._next += 1
        return self._next


def _cnn(seed: _Seeds, dtype: str, *, augment: bool, norm: Norm) -> keras.Model:
    import keras
    from keras import layers

    def conv(x: keras.KerasTensor, kernel: int, name: str) -> keras.KerasTensor:
        x = layers.Conv2D(
            64,
            kernel,
            padding="same",
            activation="relu",
            kernel_initializer=keras.initializers.GlorotUniform(seed()),
            dtype=dtype,
            name=name,
        )(x)
        return norm(dtype=dtype, name=f"{name}_norm")(x)

    images = keras.Input((IMAGE_SIZE, IMAGE_SIZE, 1), name="images")
    x = images
    if augment:
        # In float32: a bfloat16 grid of 28 pixels would place samples only to a tenth of a pixel.
        x = layers.RandomRotation(0.1, seed=seed(), name="rotate")(x)
        x = layers.RandomTranslation(0.1, 0.1, seed=seed(), name="translate")(x)
        x = layers.RandomZoom(0.1, 0.1, seed=seed(), name="zoom")(x)
    x = conv(conv(x, 5, "conv1"), 5, "conv2")
    x = layers.MaxPooling2D(2, dtype=dtype, name="pool1")(x)
    x = layers.Dropout(0.25, seed=seed(), dtype=dtype, name="drop1")(x)
    x = conv(conv(x, 3, "conv3"), 3, "conv4")
    x = layers.MaxPooling2D(2, strides=2, dtype=dtype, name="pool2")(x)
    x = layers.Dropout(0.25, seed=seed(), dtype=dtype, name="drop2")(x)
    x = conv(x, 3, "conv5")
    x = layers.Dropout(0.25, seed=seed(), dtype=dtype, name="drop3")(x)
    x = layers.Flatten(dtype=dtype, name="flatten")(x)
    x = layers.Dense(
        258,
        activation="relu",
        kernel_initializer=keras.initializers.GlorotUniform(seed()),
        dtype=dtype,
        name="dense1",
    )(x)
    x = norm(dtype=dtype, name="dense1_norm")(x)
    x = layers.Dropout(0.25, seed=seed(), dtype=dtype, name="drop4")(x)
    return keras.Model(images, _classifier(x, seed), name="cnn")


def _normalised_conv(seed: _Seeds, dtype: str, norm: Norm) -> Convolution:
    """Conv → BatchNorm → ReLU: the BatchNorm folds into its own convolution."""
    import keras
    from keras import layers

    def conv(
        x: keras.KerasTensor, filters: int, kernel: int, name: str, **options: object
    ) -> keras.KerasTensor:
        x = layers.Conv2D(
            filters,
            kernel,
            use_bias=False,
            kernel_initializer=keras.initializers.HeNormal(seed()),
            dtype=dtype,
            name=name,
            **options,
        )(x)
        x = norm(dtype=dtype, name=f"{name}_norm")(x)
        return layers.ReLU(dtype=dtype, name=f"{name}_relu")(x)

    return conv


def _edge(
    seed: _Seeds, dtype: str, widths: Sequence[int], *, augment: bool, conv: Convolution
) -> keras.Model:
    import keras
    from keras import layers

    images = keras.Input((IMAGE_SIZE, IMAGE_SIZE, 1), name="images")
    x = _moved(images, seed) if augment else images
    x = conv(x, widths[0], 5, "conv1", strides=2, padding="same")
    x = conv(x, widths[1], 3, "conv2", padding="same")
    x = layers.MaxPooling2D(2, dtype=dtype, name="pool1")(x)
    x = conv(x, widths[2], 3, "conv3", padding="same")
    x = layers.MaxPooling2D(2, dtype=dtype, name="pool2")(x)
    x = conv(x, widths[3], 3, "conv4", padding="valid")
    x = layers.Flatten(dtype=dtype, name="flatten")(x)
    return keras.Model(images, _classifier(x, seed), name="edge")


def _m7(seed: _Seeds, *, augment: bool, conv: Convolution) -> keras.Model:
    import keras

    images = keras.Input((IMAGE_SIZE, IMAGE_SIZE, 1), name="images")
    x = _moved(images, seed) if augment else images
    for number, filters in enumerate(_M7_WIDTHS, 1):
        x = conv(x, filters, 7, f"conv{number}", padding="valid")
    x = keras.layers.Flatten(name="flatten")(x)
    return keras.Model(images, _classifier(x, seed), name="m7")


def _moved(images: keras.KerasTensor, seed: _Seeds) -> keras.KerasTensor:
    """About 9 degrees, 2 pixels, 10 %: no digit turns into another. Outside the image there is paper."""
    from keras import layers

    paper = {"fill_mode": "constant", "fill_value": 0.0}
    x = layers.RandomRotation(0.025, seed=seed(), **paper, name="rotate")(images)
    x = layers.RandomTranslation(0.07, 0.07, seed=seed(), **paper, name="translate")(x)
    return layers.RandomZoom(0.1, 0.1, seed=seed(), **paper, name="zoom")(x)


def _classifier(x: keras.KerasTensor, seed: _Seeds) -> keras.KerasTensor:
    import keras

    return keras.layers.Dense(
        CLASSES,
        activation="softmax",
        kernel_initializer=keras.initializers.GlorotUniform(seed()),
        name="classifier",
    )(x)
