"""Images of no digit, for training: a network that never saw one is sure of everything.

What rejection is measured with (`nondigits`) is drawn by other code: letters, for one, never come up here.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_SIZE = 28
_CENTRE = 13.5
_STROKE_POINTS = 12

Images = NDArray[np.uint8]


def clutter(digits: Images, count: int, rng: np.random.Generator) -> Images:
    """Draws images of no digit: scribbles, scrambled digits, halves of digits, noise and empty sheets.

    Args:
        digits: uint8 ``(N, 28, 28)``, what scrambled digits and halves are taken from. A half of some digits
            is another digit; leave those out.
        count: Images wanted, about as many of each kind.
        rng: Draws it all.

    Returns:
        uint8 ``(count, 28, 28)``.
    """
    kinds = (_scribbles, _scrambled, _halves, _noise)
    shares = np.diff(np.linspace(0, count, len(kinds) + 1).astype(int))
    parts = []
    for draw, share in zip(kinds, shares, strict=True):
        picked = digits[rng.integers(len(digits), size=share)]
        parts.append(draw(picked, rng))
    return np.concatenate(parts)


def _scribbles(digits: Images, rng: np.random.Generator) -> Images:
    """Three to six strokes, each a curve through three points, in a box as large as a digit."""
    count = len(digits)
    t = np.linspace(0, 1, _STROKE_POINTS, dtype=np.float32)
    basis = np.stack([(1 - t) ** 2, 2 * t * (1 - t), t**2])  # of a quadratic Bézier curve
    pixels = np.arange(_SIZE, dtype=np.float32)
    nearest = np.full((count, _SIZE, _SIZE), np.inf, np.float32)
    strokes = rng.integers(3, 7, count)
    for stroke in range(strokes.max()):
        ends = rng.uniform(4, 23, (count, 2, 2)).astype(np.float32)
        # Half of the strokes are straight, as most of a letter's are.
        bend = rng.normal(0, 5, (count, 2)) * rng.integers(0, 2, (count, 1))
        middle = ends.mean(axis=1) + bend.astype(np.float32)
        curve = np.stack([ends[:, 0], middle, ends[:, 1]], axis=2) @ basis
        for point in range(_STROKE_POINTS):
            down = (pixels - curve[:, 0, point, None]) ** 2
            right = (pixels - curve[:, 1, point, None]) ** 2
            distance = down[:, :, None] + right[:, None, :]
            np.minimum(nearest, distance, out=nearest, where=(stroke < strokes)[:, None, None])
    radius = rng.uniform(0.6, 1.8, (count, 1, 1)).astype(np.float32)
    drawn: Images = np.clip((radius + 0.7 - np.sqrt(nearest)) * 255, 0, 255).astype(np.uint8)
    return drawn


def _scrambled(digits: Images, rng: np.random.Generator) -> Images:
    """The quarters of a digit in another order, some of them turned."""
    quarters = np.stack(
        [digits[:, :14, :14], digits[:, :14, 14:], digits[:, 14:, :14], digits[:, 14:, 14:]], 1
    )
    # Every quarter moves: a digit with two quarters exchanged is at times still one.
    order = np.array([[1, 2, 3, 0], [3, 0, 1, 2], [3, 2, 1, 0], [1, 0, 3, 2], [2, 3, 0, 1]])
    quarters = quarters[np.arange(len(digits))[:, None], order[rng.integers(len(order), size=len(digits))]]
    turned = rng.integers(0, 2, len(digits)).astype(bool)
    quarters[turned] = quarters[turned].transpose(0, 1, 3, 2)
    upper, lower = (np.concatenate([quarters[:, i], quarters[:, i + 1]], axis=2) for i in (0, 2))
    return np.concatenate([upper, lower], axis=1)


def _halves(digits: Images, rng: np.random.Generator) -> Images:
    """A straight cut through the middle of the ink; one side is empty."""
    offsets = np.arange(_SIZE) - _CENTRE
    angle = rng.uniform(0, 2 * np.pi, (len(digits), 1, 1))
    middle = rng.uniform(-2, 1, (len(digits), 1, 1))
    side = np.cos(angle) * offsets[:, None] + np.sin(angle) * offsets
    return np.where(side < middle, digits, 0).astype(np.uint8)


def _noise(digits: Images, rng: np.random.Generator) -> Images:
    """Even, sparse or smooth noise between two grey levels; a fifth of the sheets is one grey level."""
    count = len(digits)
    fine = rng.random((count, _SIZE, _SIZE), np.float32)
    share = rng.uniform(0.02, 0.9, (count, 1, 1))
    sparse = (fine < share).astype(np.float32)
    rough = rng.random((count, 7, 7), np.float32)
    smooth = rough.repeat(4, axis=1).repeat(4, axis=2)
    cloudy = (smooth + np.roll(smooth, 2, axis=1) + np.roll(smooth, 2, axis=2)) / 3
    pattern = np.choose(rng.integers(3, size=(count, 1, 1)), [fine, sparse, cloudy])
    low, high = np.sort(rng.uniform(0, 255, (2, count, 1, 1)), axis=0)
    contrast = np.where(rng.random((count, 1, 1)) < 0.2, 0, high - low)
    sheets: Images = (low + contrast * pattern).astype(np.uint8)
    return sheets
