"""Statistics of activations, collected once, and the ranges that calibrators choose from them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from digits_edge.export.scheme import Calibrator

_BATCH = 64
_BINS = 2048
_LEVELS = 256  # of an 8-bit activation
_PERCENTILE = 0.9999
_SHRINKS = np.linspace(0.2, 1.0, 81)  # parts of the whole range that MSE and entropy try

Activations = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class Statistics:
    """What values one tensor had.

    Attributes:
        low: The least of them, or 0 if that is less: zero must be exact, padding is made of it.
        high: The largest, or 0 if that is more.
        counts: int64 ``(bins,)``, how many fell into each of equal bins from low to high.
    """

    low: float
    high: float
    counts: NDArray[np.int64]

    @classmethod
    def of(cls, values: NDArray[np.float32]) -> Statistics:
        """Of a tensor that is at hand as a whole."""
        low, high = min(0.0, float(values.min())), max(0.0, float(values.max()))
        counts = np.histogram(values, _BINS, (low, high))[0] if high > low else np.zeros(_BINS, np.int64)
        return cls(low, high, counts)

    def range(self, calibrator: Calibrator) -> tuple[float, float]:
        """The range that a calibrator chooses, zero included."""
        if calibrator is Calibrator.MIN_MAX or self.high <= self.low:
            return self.low, self.high
        if calibrator is Calibrator.PERCENTILE:
            return self._percentile()
        loss = self._squared_error if calibrator is Calibrator.MSE else self._divergence
        part = min(_SHRINKS[::-1], key=loss)  # of equals the widest
        return self.low * part, self.high * part

    @property
    def _middles(self) -> NDArray[np.float64]:
        edges = np.linspace(self.low, self.high, len(self.counts) + 1)
        return (edges[:-1] + edges[1:]) / 2

    def _percentile(self) -> tuple[float, float]:
        """Cuts off the values largest in size, whichever their sign."""
        size = np.abs(self._middles)
        order = np.argsort(size)
        seen = self.counts[order].cumsum()
        most = size[order][np.searchsorted(seen, _PERCENTILE * seen[-1])]
        return max(self.low, -float(most)), min(self.high, float(most))

    def _squared_error(self, part: float) -> float:
        """Of values rounded to the grid of a range that is ``part`` of the whole."""
        values = self._middles
        step = (self.high - self.low) * part / (_LEVELS - 1)
        rounded = np.clip(np.round(values / step) * step, self.low * part, self.high * part)
        return float(self.counts @ (values - rounded) ** 2)

    def _divergence(self, part: float) -> float:
        """Kullback-Leibler divergence of the values' distribution from what the grid leaves of it.

        As in Migacz, "8-bit inference with TensorRT" (GTC 2017): what is beyond the range counts at its ends;
        the values of a step are spread evenly over the bins that had any. Exact zeros, of which ReLU makes
        most, are left out: every grid has them, and they would drown the rest.
        """
        values = self._middles
        counts = self.counts.astype(np.float64)
        counts[np.abs(values).argmin()] = 0
        inside = np.flatnonzero((values >= self.low * part) & (values <= self.high * part))
        first, last = inside[0], inside[-1]
        clipped = counts[first : last + 1].copy()
        steps = (np.arange(len(clipped)) * _LEVELS) // len(clipped)
        used = clipped > 0
        share = np.bincount(steps, clipped, _LEVELS) / np.maximum(np.bincount(steps, used, _LEVELS), 1)
        grid = np.where(used, share[steps], 0)
        clipped[0] += counts[:first].sum()
        clipped[-1] += counts[last + 1 :].sum()
        if not clipped.any():
            return 0.0
        p, q = clipped / clipped.sum(), grid / max(grid.sum(), 1e-30)
        seen = p > 0
        return float((p[seen] * np.log(p[seen] / np.maximum(q[seen], 1e-12))).sum())


def in_batches(images: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """Images cut up, so that a network's activations for one batch fit into memory."""
    return [images[start : start + _BATCH] for start in range(0, len(images), _BATCH)]


def collect(
    batches: Sequence[NDArray[np.uint8]], run: Callable[[NDArray[np.uint8]], Activations]
) -> dict[str, Statistics]:
    """Runs the images twice, for the ends and for what lies between.

    Args:
        batches: uint8 ``(N, 28, 28)`` each; read twice.
        run: Gives every tensor of the float model by its name.
    """
    ends: dict[str, tuple[float, float]] = {}
    for name, values in _all(batches, run):
        low, high = ends.get(name, (0.0, 0.0))
        ends[name] = min(low, float(values.min())), max(high, float(values.max()))
    counts = {name: np.zeros(_BINS, np.int64) for name in ends}
    for name, values in _all(batches, run):
        low, high = ends[name]
        if high > low:
            counts[name] += np.histogram(values, _BINS, (low, high))[0]
    return {name: Statistics(low, high, counts[name]) for name, (low, high) in ends.items()}


def _all(
    batches: Sequence[NDArray[np.uint8]], run: Callable[[NDArray[np.uint8]], Activations]
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    for batch in batches:
        yield from run(batch).items()
