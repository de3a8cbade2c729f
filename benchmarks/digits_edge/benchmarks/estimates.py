"""Rounds → one figure with its spread; ratios of two subjects, taken round by round."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from digits_edge.runtime.errors import InputError

# Quantiles of the spread: four rounds of five lie within. Wide enough that two spreads that do not touch mean
# something, and one bad round in ten leaves it alone.
LOW, HIGH = 0.1, 0.9


def quantile(values: Sequence[float], fraction: float) -> float:
    """A quantile by linear interpolation between order statistics (method 7 of Hyndman and Fan 1996).

    Args:
        values: Finite numbers, one at least, in any order.
        fraction: 0 (the least) to 1 (the greatest).

    Raises:
        InputError: No values, one that is not finite, or a fraction outside 0 to 1.
    """
    if not values or not all(math.isfinite(value) for value in values) or not 0 <= fraction <= 1:
        raise InputError(
            f"quantile {fraction} of {len(values)} values; expected 0 to 1, of one finite value at least"
        )
    ordered = sorted(values)
    position = fraction * (len(ordered) - 1)
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)


@dataclass(frozen=True)
class Estimate:
    """A figure that was measured once a round.

    Attributes:
        median: Of the rounds.
        low: Their 10 % quantile.
        high: Their 90 % quantile.
        rounds: A value a round, in the order of measuring; finite, 0 or above.
    """

    median: float
    low: float
    high: float
    rounds: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.rounds or not all(0 <= value < math.inf for value in self.rounds):
            raise InputError(f"rounds {self.rounds}; expected one at least, each finite and not negative")
        expected = tuple(quantile(self.rounds, fraction) for fraction in (0.5, LOW, HIGH))
        given = (self.median, self.low, self.high)
        if not all(math.isclose(*pair, rel_tol=1e-6) for pair in zip(given, expected, strict=True)):
            raise InputError(f"median, low and high are {given}; the rounds say {expected}")

    @classmethod
    def of(cls, rounds: Sequence[float]) -> Estimate:
        """Summarises one value a round.

        Raises:
            InputError: None, or one that is negative or not finite.
        """
        if not rounds:
            raise InputError("no rounds; expected one at least")
        return cls(quantile(rounds, 0.5), quantile(rounds, LOW), quantile(rounds, HIGH), tuple(rounds))

    @property
    def spread(self) -> float:
        """Half the distance from low to high, as a part of the median."""
        return (self.high - self.low) / 2 / self.median if self.median else 0.0

    def over(self, other: Estimate) -> Estimate:
        """This figure as a multiple of another that was measured in the same rounds.

        Dividing round by round cancels what slowed both: the machine's drift is not in the ratio's spread.

        Raises:
            InputError: The other has another number of rounds, or a 0 among them.
        """
        if len(self.rounds) != len(other.rounds) or not all(other.rounds):
            raise InputError(
                f"{len(self.rounds)} rounds over {other.rounds}; expected as many, none of them 0"
            )
        return Estimate.of([mine / its for mine, its in zip(self.rounds, other.rounds, strict=True)])
