"""Which layers int8 hurts: each is quantized alone, in simulation, and the damage is measured."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from digits_edge.export.deploy import activations, through
from digits_edge.export.network import Affine, Array, Conv, Dense, Layer, Network
from digits_edge.export.ranges import Statistics
from digits_edge.export.scheme import Scheme

_LEVELS = 256
_LARGEST = {False: 127, True: 64}  # a weight's integer, by "seven bits"


@dataclass(frozen=True)
class Sensitivity:
    """What it costs to quantize one layer, its input, its weights and its output, while all others are float.

    Attributes:
        layer: Its name.
        noise_ratio: Signal-to-quantization-noise ratio at its output, in dB.
        logit_error: Root mean square change of the logits.
    """

    layer: str
    noise_ratio: float
    logit_error: float


def sensitivities(network: Network, images: NDArray[np.uint8], scheme: Scheme) -> tuple[Sensitivity, ...]:
    """Quantizes each layer with weights alone.

    Args:
        network: The deploy model, as the scheme has it (equalized or not).
        images: uint8 ``(N, 28, 28)``; a hundred are enough to rank by.
        scheme: How. Its float layers are not looked at.

    Returns:
        The worst first: by what the logits suffer.
    """
    outputs = activations(network, images)
    pixels = images.astype(np.float32)[..., None] * np.float32(network.pixel_scale)
    inputs = [pixels, *outputs[:-1]]
    found: list[Sensitivity] = []
    for index, layer in enumerate(network.layers):
        if not isinstance(layer, Conv | Dense | Affine):
            continue
        behind = network.layers[index + 1 :]
        # Pixels are integers already, and logits stay float.
        source = _rounded(inputs[index], scheme) if found else inputs[index]
        result = through((_quantized(layer, scheme),), source)
        if behind:
            result = _rounded(result, scheme)
        logits = through(behind, result)
        noise = float(np.square(result - outputs[index], dtype=np.float64).mean())
        signal = float(np.square(outputs[index], dtype=np.float64).mean())
        ratio = 10 * np.log10(signal / noise) if noise > 0 and signal > 0 else np.inf
        error = float(np.sqrt(np.square(logits - outputs[-1], dtype=np.float64).mean()))
        found.append(Sensitivity(layer.name, float(ratio), error))
    return tuple(sorted(found, key=lambda sensitivity: -sensitivity.logit_error))


def _rounded(values: Array, scheme: Scheme) -> Array:
    """Activations on the grid that the scheme gives them."""
    low, high = Statistics.of(values).range(scheme.calibrator)
    if high <= low:
        return values
    step = (high - low) / (_LEVELS - 1)
    rounded: Array = (np.clip(np.round(values / step), round(low / step), round(high / step)) * step).astype(
        np.float32
    )
    return rounded


def _quantized(layer: Layer, scheme: Scheme) -> Layer:
    """The layer with its weights on their grid; biases keep 32 bits."""
    largest = _LARGEST[scheme.seven_bits]

    def grid(values: Array, per_channel: bool) -> Array:
        size = np.abs(values)
        scale = (size.reshape(-1, size.shape[-1]).max(axis=0) if per_channel else size.max()) / largest
        step = np.where(scale > 0, scale, 1)
        rounded: Array = (np.round(values / step) * step).astype(np.float32)
        return rounded

    match layer:
        case Conv() | Dense():
            return replace(layer, kernel=grid(layer.kernel, scheme.per_channel))
        case Affine():
            return replace(layer, scale=grid(layer.scale, False))
    raise TypeError(f"{layer.name} has no weights")
