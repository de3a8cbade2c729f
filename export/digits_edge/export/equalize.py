"""Cross-layer equalization: channels rescaled so that no single one sets the range of all the others.

One activation tensor has one range. If a channel is a hundred times larger than the rest, these share a few
of 256 levels. But ReLU, max-pooling and averages commute with a positive scale: a channel may leave its layer
divided by s and meet weights multiplied by s in the next, and the network computes the same
(Nagel et al. 2019, "Data-free quantization through weight equalization and bias correction"). With
s = √(largest activation / largest weight) both sides of the product get the same range
(Xiao et al. 2023, "SmoothQuant", α = ½).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from digits_edge.export.deploy import activations
from digits_edge.export.network import (
    Affine,
    Array,
    Conv,
    Dense,
    Layer,
    Network,
)


def equalize(network: Network, images: NDArray[np.uint8]) -> Network:
    """Rescales the channels between each two layers with weights.

    Args:
        network: The deploy model.
        images: uint8 ``(N, 28, 28)``, what activations are measured on.

    Returns:
        A network that gives the same logits, up to float32 rounding.
    """
    layers = list(network.layers)
    largest = [
        np.abs(values).reshape(-1, values.shape[-1]).max(axis=0) for values in activations(network, images)
    ]
    for first, second in _pairs(network.layers):
        divisor = _divisor(largest[first], _largest_weights(layers[second], len(largest[first])))
        layers[first] = _divided(layers[first], divisor)
        layers[second] = _multiplied(layers[second], divisor)
    return replace(network, layers=tuple(layers))


def _pairs(layers: tuple[Layer, ...]) -> list[tuple[int, int]]:
    """Layers with weights that follow each other, with nothing between but what commutes with a scale."""
    pairs: list[tuple[int, int]] = []
    first: int | None = None
    for index, layer in enumerate(layers):
        if isinstance(layer, Conv | Dense):
            if first is not None:
                pairs.append((first, index))
            first = index
        elif isinstance(layer, Affine):
            first = index  # it can hand a scale on, but not take one: it has no weights between channels
    return pairs


def _divisor(activations: Array, weights: Array) -> Array:
    """What each channel is divided by, ``(channels,)``.

    A channel that is always zero, or that nobody reads, sets no range of its own: it is made as large as the
    largest of the others.
    """
    read, alive = weights > 0, activations > 0
    live = read & alive
    divisor = np.ones_like(activations)
    if not live.any():
        return divisor
    divisor[live] = np.sqrt(activations[live] / weights[live])
    divisor[read & ~alive] = (weights * divisor)[live].max() / weights[read & ~alive]
    divisor[alive & ~read] = activations[alive & ~read] / (activations / divisor)[live].max()
    return divisor


def _largest_weights(layer: Layer, channels: int) -> Array:
    """The largest weight that meets each channel, ``(channels,)``."""
    if not isinstance(layer, Conv | Dense):
        raise TypeError(f"{layer.name} takes no scale")
    # After a flatten a dense layer has rows for each pixel, the channel counting fastest.
    weights: Array = np.abs(layer.kernel).reshape(-1, channels, layer.kernel.shape[-1]).max(axis=(0, 2))
    return weights


def _divided(layer: Layer, divisor: Array) -> Layer:
    """The layer with each channel it gives divided."""
    match layer:
        case Conv():
            border = None if layer.border is None else layer.border / divisor
            return replace(layer, kernel=layer.kernel / divisor, bias=layer.bias / divisor, border=border)
        case Dense():
            return replace(layer, kernel=layer.kernel / divisor, bias=layer.bias / divisor)
        case Affine():
            return replace(layer, scale=layer.scale / divisor, shift=layer.shift / divisor)
    raise TypeError(f"{layer.name} has no channels to scale")


def _multiplied(layer: Layer, divisor: Array) -> Layer:
    """The layer for an input of which each channel was divided."""
    if not isinstance(layer, Conv | Dense):
        raise TypeError(f"{layer.name} takes no scale")
    shape = layer.kernel.shape
    kernel = layer.kernel.reshape(-1, len(divisor), shape[-1]) * divisor[:, None]
    return replace(layer, kernel=kernel.reshape(shape))
