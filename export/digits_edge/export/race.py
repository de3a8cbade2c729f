"""Is it faster here? Two models take turns on the same images, so that the machine's moods hit both."""

from __future__ import annotations

import statistics
import time
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from digits_edge.runtime import Format
from digits_edge.runtime.engines import Engine, open_engine

_BATCH = 32  # images a call, the runtime's own default
_ROUNDS = 41
# Seconds of a turn, or one call: well above the clock's grain, and so short that what else the machine does
# hits few of them, which the median leaves out.
_TURN = 0.005


@dataclass(frozen=True)
class Speed:
    """How fast a model is against another, each on one thread.

    Attributes:
        ratio: Images a second over those of the other, median of the rounds.
        low: First quartile.
        high: Third quartile.
    """

    ratio: float
    low: float
    high: float

    @property
    def faster(self) -> bool:
        """Whether it is, in more than half of the rounds."""
        return self.ratio > 1

    def __str__(self) -> str:
        return f"{self.ratio:.2f}× ({self.low:.2f}–{self.high:.2f})"

    def to_json(self) -> dict[str, float]:
        """Plain values."""
        return asdict(self)


def race(format: Format, model: bytes, other: bytes, images: NDArray[np.uint8]) -> Speed:
    """Lets two models of one format take turns.

    Args:
        format: Their format.
        model: The one to judge.
        other: The one to judge it by.
        images: uint8 ``(N, 28, 28)``, 32 or more.
    """
    batch = images[:_BATCH]
    engines = open_engine(format, model), open_engine(format, other)
    calls = [_calls(engine, batch) for engine in engines]
    ratios = []
    for _ in range(_ROUNDS):
        seconds = [_turn(engine, batch, count) for engine, count in zip(engines, calls, strict=True)]
        ratios.append((calls[0] / seconds[0]) / (calls[1] / seconds[1]))
    low, median, high = statistics.quantiles(ratios, n=4)
    return Speed(median, low, high)


def _calls(engine: Engine, batch: NDArray[np.uint8]) -> int:
    """How many calls fill a turn, after one that warms up."""
    engine.logits(batch)
    return max(1, round(_TURN / _turn(engine, batch, 1)))


def _turn(engine: Engine, batch: NDArray[np.uint8], calls: int) -> float:
    began = time.perf_counter()
    for _ in range(calls):
        engine.logits(batch)
    return time.perf_counter() - began
