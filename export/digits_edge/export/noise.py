"""Signal-to-quantization-noise ratios: how far above its rounding error a signal stands, in decibels.

The ratio is 10 · log10(power of the signal ÷ power of the error); 6 dB are one bit.

Weights: the file no longer has the numbers that were rounded, but it has the steps. Rounding to a step of
size s leaves an error that is close to uniform between −s/2 and s/2, whose power is s²/12: the model of
"pseudo quantization noise" (Widrow and Kollár, Quantization Noise, Cambridge University Press 2008). The
step of an integer is its scale; that of a float16 number is the distance to its neighbour.

Outputs: what the model computes is compared with what the same weights compute without rounding between
the layers, on the bundle's golden images: measured, not modelled (``noise_onnx``, ``noise_tflite``).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from digits_edge.export.layers import Quantization

# Above this, two models differ by the order in which float32 sums are added up, 24 bits being 144 dB.
_FLOAT32_NOISE = 120.0


def decibels(signal: float, error: float) -> float | None:
    """10 · log10(signal ÷ error) of two powers; None where either is zero."""
    return float(10 * np.log10(signal / error)) if signal > 0 and error > 0 else None


def measured_sqnr(reference: NDArray[Any], found: NDArray[Any]) -> float | None:
    """The ratio of a signal to the error of what was found, in dB; None where float32's own is no less."""
    signal = reference.astype(np.float64)
    error = found.astype(np.float64) - signal
    ratio = decibels(float(np.mean(signal**2)), float(np.mean(error**2)))
    return None if ratio is None or ratio > _FLOAT32_NOISE else ratio


def weights_sqnr(stored: NDArray[Any], quantization: Quantization | None, *, axis: int = 0) -> float | None:
    """The ratio of a kernel to its rounding, in dB, from the stored numbers and their steps.

    Args:
        stored: The kernel as the file has it.
        quantization: Of integers; None of floats.
        axis: Axis that scales count along, if there is one a channel.

    Returns:
        None for float32, which nothing was rounded to.
    """
    if quantization is not None:
        weights, steps = (
            dequantized(stored, quantization, axis=axis),
            _along(quantization.scales, stored, axis),
        )
    elif stored.dtype == np.float16:
        weights, steps = stored.astype(np.float64), np.abs(np.spacing(stored)).astype(np.float64)
    else:
        return None
    noise = np.broadcast_to(steps**2 / 12, stored.shape)
    return decibels(float(np.mean(weights**2)), float(np.mean(noise)))


def dequantized(stored: NDArray[Any], quantization: Quantization, *, axis: int = 0) -> NDArray[np.float64]:
    """The numbers that integers stand for; ``axis`` as in ``weights_sqnr``."""
    zero_points = _along(quantization.zero_points, stored, axis)
    return np.asarray((stored - zero_points) * _along(quantization.scales, stored, axis), np.float64)


def _along(
    values: tuple[float, ...] | tuple[int, ...], stored: NDArray[Any], axis: int
) -> NDArray[np.float64]:
    """One value a channel, shaped so that it meets its channel."""
    shape = [1] * stored.ndim
    if len(values) > 1:
        shape[axis] = len(values)
    return np.asarray(values, np.float64).reshape(shape)
