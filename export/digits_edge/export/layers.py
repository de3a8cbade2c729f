"""What a model file holds, layer by layer: the values that both file formats are read into."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

PIXELS = "pixels"  # the layer of what happens to an image before the first layer of the network


@dataclass(frozen=True)
class Quantization:
    """How numbers are stored as integers: number = scale · (integer − zero point).

    Attributes:
        dtype: numpy's name of the integers' type.
        scales: One for the whole tensor, or one a channel.
        zero_points: As many.
    """

    dtype: str
    scales: tuple[float, ...]
    zero_points: tuple[int, ...]

    @property
    def per_channel(self) -> bool:
        """Whether each channel has a scale of its own."""
        return len(self.scales) > 1

    def to_json(self) -> dict[str, Any]:
        """Plain values; of scales and zero points their number and ends."""
        return {
            "dtype": self.dtype,
            "per_channel": self.per_channel,
            "scales": len(self.scales),
            "scale": {"min": min(self.scales), "max": max(self.scales)},
            "zero_point": {"min": min(self.zero_points), "max": max(self.zero_points)},
        }


@dataclass(frozen=True)
class Layer:
    """One layer of the network, as the file has it.

    Attributes:
        name: The Keras layer's name, or ``pixels``.
        operators: What computes it, in order; quantizing and dequantizing are not among them.
        shape: Of its output, without the batch axis; empty if the file does not tell.
        multiply_adds: An image, of convolutions and matrix products.
        parameters: Numbers stored: kernels, biases, border maps; not scales, zero points or shapes.
        size: Bytes of the file that belong to it: weights, scales and, in ONNX, nodes.
        weights_dtype: numpy's name of the type that its kernel is stored in; empty if it has none.
        weights: How its kernel is stored as integers; None where it has none, or one of floats.
        weights_sqnr: Signal-to-quantization-noise ratio of its kernel in dB, from the stored numbers alone
            (see ``noise``); None where there is no kernel, or one of float32.
        output: How its output is stored as integers; None where it is float.
        output_sqnr: Measured signal-to-quantization-noise ratio of its output in dB (see ``noise``), with
            the noise of the layers before it; None where nothing is rounded on the way, or not measured.
        microseconds: Time of one call of the model that it takes; None where that was not measured.
    """

    name: str
    operators: tuple[str, ...]
    shape: tuple[int, ...]
    multiply_adds: int
    parameters: int
    size: int
    weights_dtype: str = ""
    weights: Quantization | None = None
    weights_sqnr: float | None = None
    output: Quantization | None = None
    output_sqnr: float | None = None
    microseconds: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "name": self.name,
            "operators": list(self.operators),
            "shape": list(self.shape),
            "multiply_adds": self.multiply_adds,
            "parameters": self.parameters,
            "bytes": self.size,
            "weights": {
                "dtype": self.weights_dtype or None,
                "quantization": None if self.weights is None else self.weights.to_json(),
                "sqnr_db": _rounded(self.weights_sqnr),
            },
            "output": {
                "quantization": None if self.output is None else self.output.to_json(),
                "sqnr_db": _rounded(self.output_sqnr),
            },
            "microseconds": _rounded(self.microseconds),
        }


@dataclass(frozen=True)
class Contents:
    """A model file, taken apart.

    Attributes:
        operators: Kind and number of everything in the graph, quantizing and dequantizing included.
        layers: In the order of computation.
        other_size: Bytes that belong to no layer: names, the file's own structure. With the layers' bytes
            they are the file.
    """

    operators: Mapping[str, int]
    layers: tuple[Layer, ...]
    other_size: int


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)
