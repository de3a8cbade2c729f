"""The deploy model: what is left of a network when only inference counts, as plain frozen values.

A chain of few kinds of layers, channels last, every weight float32. Folding makes it, the converters read it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Conv:
    """A convolution, then an optional constant map, then an optional ReLU.

    Attributes:
        name: The Keras layer's name.
        kernel: ``(height, width, in, out)``.
        bias: ``(out,)``.
        border: ``(H, W, out)``, added to the output; nonzero near the border only. None where it is all zero.
        strides: Step in each direction.
        padding: ``same`` or ``valid``, as TensorFlow defines them.
        relu: Whether a ReLU follows.
    """

    name: str
    kernel: Array
    bias: Array
    border: Array | None
    strides: tuple[int, int]
    padding: str
    relu: bool


@dataclass(frozen=True, eq=False)
class Dense:
    """A matrix product plus bias, then an optional ReLU.

    Attributes:
        name: The Keras layer's name.
        kernel: ``(in, out)``.
        bias: ``(out,)``.
        relu: Whether a ReLU follows.
    """

    name: str
    kernel: Array
    bias: Array
    relu: bool


@dataclass(frozen=True, eq=False)
class Affine:
    """x · scale + shift along the last axis, then an optional ReLU: a normalisation that could not be folded.

    Attributes:
        name: The Keras layer's name.
        scale: ``(channels,)``.
        shift: ``(channels,)``.
        relu: Whether a ReLU follows.
    """

    name: str
    scale: Array
    shift: Array
    relu: bool


@dataclass(frozen=True)
class MaxPool:
    """A maximum over windows.

    Attributes:
        name: The Keras layer's name.
        size: Window.
        strides: Step in each direction.
        padding: ``same`` or ``valid``.
    """

    name: str
    size: tuple[int, int]
    strides: tuple[int, int]
    padding: str


@dataclass(frozen=True)
class GlobalAverage:
    """The mean over all pixels; ``(N, H, W, C)`` to ``(N, C)``."""

    name: str


@dataclass(frozen=True)
class Flatten:
    """``(N, H, W, C)`` to ``(N, H·W·C)``.

    Attributes:
        name: The Keras layer's name.
        shape: ``(H, W, C)``.
    """

    name: str
    shape: tuple[int, int, int]


Layer = Conv | Dense | Affine | MaxPool | GlobalAverage | Flatten


@dataclass(frozen=True)
class Network:
    """A chain of layers from images ``(N, 28, 28)`` to logits ``(N, 10)``.

    Attributes:
        name: The model's name.
        layers: In the order of computation.
        pixel_scale: The network takes ``pixel · pixel_scale``, pixels being 0 to 255: 1 where the scaling to
            [0, 1] is folded into the first layer, 1/255 where the input is in [0, 1].
    """

    name: str
    layers: tuple[Layer, ...]
    pixel_scale: float

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds an image, of convolutions and matrix products."""
        total, (height, width) = 0, (28, 28)
        for layer in self.layers:
            if isinstance(layer, Dense):
                total += layer.kernel.size
            elif isinstance(layer, Conv):
                height, width = _output(height, width, layer.kernel.shape[:2], layer.strides, layer.padding)
                total += layer.kernel.size * height * width
            elif isinstance(layer, MaxPool):
                height, width = _output(height, width, layer.size, layer.strides, layer.padding)
        return total

    @property
    def parameters(self) -> int:
        """Numbers stored, border maps included."""
        arrays = (
            value for layer in self.layers for value in vars(layer).values() if isinstance(value, np.ndarray)
        )
        return sum(array.size for array in arrays)


def _output(
    height: int, width: int, window: tuple[int, ...], strides: tuple[int, int], padding: str
) -> tuple[int, int]:
    lost = (0, 0) if padding == "same" else (window[0] - 1, window[1] - 1)
    return -(-(height - lost[0]) // strides[0]), -(-(width - lost[1]) // strides[1])
