"""How a network is made int8: where ranges come from, how weights are scaled, which layers stay float."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any


class Calibrator(str, Enum):
    """How a tensor's range follows from the values it had on calibration images.

    Attributes:
        MIN_MAX: All of them.
        PERCENTILE: All but the largest 0.01 %.
        MSE: The range whose grid is nearest to the values, by mean squared error.
        ENTROPY: The range whose grid tells most of the values' distribution (Migacz 2017).
    """

    MIN_MAX = "min-max"
    PERCENTILE = "percentile"
    MSE = "mse"
    ENTROPY = "entropy"


@dataclass(frozen=True)
class Scheme:
    """One way to quantize a network.

    Attributes:
        calibrator: Where the activations' ranges come from.
        per_channel: Each output channel's weights have a scale of their own.
        equalized: Channels are rescaled first, so that activations and weights share the burden (`equalize`).
        seven_bits: Weights use 7 of their 8 bits: two products of them add up in 16 bits without saturating.
        float_layers: Layers that stay float, by name, in the network's order.
    """

    calibrator: Calibrator = Calibrator.MIN_MAX
    per_channel: bool = True
    equalized: bool = False
    seven_bits: bool = False
    float_layers: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """In words, for a table."""
        words = [self.calibrator.value, "per channel" if self.per_channel else "per tensor"]
        words += ["equalized"] * self.equalized + ["7-bit weights"] * self.seven_bits
        if self.float_layers:
            words.append(f"{', '.join(self.float_layers)} float")
        return ", ".join(words)

    def to_json(self) -> Mapping[str, Any]:
        """Plain values, for the manifest."""
        return {
            **asdict(self),
            "calibrator": self.calibrator.value,
            "float_layers": list(self.float_layers),
        }
