"""Images that show no digit, of four kinds: a network that knows its limits rejects them.

For evaluation only: neither training nor the choice of a threshold sees them.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from digits_edge.runtime.errors import InputError
from digits_edge.trainer.datasets import Images, Split

_SIZE, _BOX, _CENTRE, _INK = (
    28,
    20.0,
    14.0,
    255.0,
)  # a digit fills 20×20; its mass lies about row and column 14
_CUT = 0.42  # part of the digit's height or width that is left: half a slanted digit can be all of it
_HALF_INK = (0.08, 0.45)  # part of its ink that is left: more may still be the digit, less is a blank

Floats = NDArray[np.float64]
Stroke = tuple[tuple[float, float], ...]


class NonDigit(str, Enum):
    """What an image shows that is no digit."""

    BLANK = "blank"
    NOISE = "noise"
    LETTER = "letter"
    HALF = "half digit"


# Capitals in strokes: across and down, both 0 to 1. Those are missing that look like a digit, well or badly
# written: B 8, C D O Q U 0, G 6, I J L 1, P 9, S 5, V 7, Z 2.
_LETTERS: Mapping[str, tuple[Stroke, ...]] = MappingProxyType(
    {
        "A": (((0.0, 1.0), (0.4, 0.0), (0.8, 1.0)), ((0.17, 0.6), (0.63, 0.6))),
        "E": (((0.7, 0.0), (0.0, 0.0), (0.0, 1.0), (0.7, 1.0)), ((0.0, 0.48), (0.55, 0.48))),
        "F": (((0.7, 0.0), (0.0, 0.0), (0.0, 1.0)), ((0.0, 0.46), (0.55, 0.46))),
        "H": (((0.0, 0.0), (0.0, 1.0)), ((0.75, 0.0), (0.75, 1.0)), ((0.0, 0.5), (0.75, 0.5))),
        "K": (((0.0, 0.0), (0.0, 1.0)), ((0.7, 0.0), (0.0, 0.55), (0.7, 1.0))),
        "M": (((0.0, 1.0), (0.1, 0.0), (0.5, 0.7), (0.9, 0.0), (1.0, 1.0)),),
        "N": (((0.0, 1.0), (0.0, 0.0), (0.8, 1.0), (0.8, 0.0)),),
        "R": (
            ((0.0, 1.0), (0.0, 0.0), (0.45, 0.0), (0.62, 0.12), (0.62, 0.36), (0.45, 0.5), (0.0, 0.5)),
            ((0.3, 0.5), (0.7, 1.0)),
        ),
        "T": (((0.0, 0.0), (0.9, 0.0)), ((0.45, 0.0), (0.45, 1.0))),
        "W": (((0.0, 0.0), (0.22, 1.0), (0.5, 0.3), (0.78, 1.0), (1.0, 0.0)),),
        "X": (((0.0, 0.0), (0.8, 1.0)), ((0.8, 0.0), (0.0, 1.0))),
        "Y": (((0.0, 0.0), (0.4, 0.5), (0.8, 0.0)), ((0.4, 0.5), (0.4, 1.0))),
    }
)

# The halves of each digit that a person takes for no digit. The top of a 7 is a 7, the right of a 4 a 1, that
# of an 8 a 3; a 1 has no half but a shorter 1, and those of a 6 are 0, 1 or 5.
_HALVES: Mapping[int, tuple[str, ...]] = MappingProxyType(
    {
        0: ("top", "bottom"),
        2: ("bottom", "left"),
        3: ("left",),
        4: ("left",),
        5: ("top", "left"),
        7: ("left",),
        8: ("left",),
        9: ("left",),
    }
)


def non_digits(kind: NonDigit, digits: Split, count: int, *, seed: int = 0) -> Images:
    """Draws images of one kind.

    Args:
        kind: What they show:

            - blank: paper, full ink, and even greys between them, lit a little from one side;
            - noise: even, normal, specks, clouds;
            - letter: capitals that look like no digit, in strokes as thick as MNIST's, in MNIST's place;
            - half digit: real digits of which one half is gone, where the rest is none.
        digits: Where the halves are taken from; the other kinds do without.
        count: How many, 1 or more.
        seed: Draws them; each kind has its own stream.

    Returns:
        uint8 ``(count, 28, 28)``.

    Raises:
        InputError: ``count`` is below 1, or no digit of these can be halved.
    """
    if count < 1:
        raise InputError(f"{count} images asked for; expected 1 or more")
    rng = np.random.default_rng([seed, list(NonDigit).index(kind)])
    if kind is NonDigit.BLANK:
        return _pixels(_blank(count, rng))
    if kind is NonDigit.NOISE:
        return _pixels(np.stack([_NOISES[number % len(_NOISES)](rng) for number in range(count)]))
    if kind is NonDigit.LETTER:
        names = rng.permutation(np.resize(list(_LETTERS), count))
        return _pixels(np.stack([_letter(_LETTERS[name], rng) for name in names]))
    return _halves(digits, count, rng)


def _pixels(images: Floats) -> Images:
    return np.rint(np.clip(images, 0, _INK)).astype(np.uint8)


def _blank(count: int, rng: np.random.Generator) -> Floats:
    level, slope = rng.uniform(0, _INK, count), rng.uniform(0, 20, count)
    level[:2], slope[:2] = (0, _INK)[:count], 0
    angle = rng.uniform(0, 2 * np.pi, count)[:, None, None]
    place = np.linspace(-0.5, 0.5, _SIZE)
    lit = np.cos(angle) * place + np.sin(angle) * place[:, None]
    return level[:, None, None] + slope[:, None, None] * lit


def _even(rng: np.random.Generator) -> Floats:
    return rng.uniform(0, _INK, (_SIZE, _SIZE))


def _normal(rng: np.random.Generator) -> Floats:
    return rng.normal(0, rng.uniform(30, 120), (_SIZE, _SIZE))


def _specks(rng: np.random.Generator) -> Floats:
    return np.where(rng.random((_SIZE, _SIZE)) < rng.uniform(0.02, 0.3), _INK, 0.0)


def _clouds(rng: np.random.Generator) -> Floats:
    """Blobs a few pixels wide: normal noise, blurred."""
    distance = np.subtract.outer(np.arange(_SIZE), np.arange(_SIZE))
    blur = np.exp(-((distance / rng.uniform(1.5, 3)) ** 2) / 2)
    clouds: Floats = blur @ rng.standard_normal((_SIZE, _SIZE)) @ blur
    return _INK * (0.2 + clouds / float(clouds.std()))


_NOISES = (_even, _normal, _specks, _clouds)


def _letter(strokes: tuple[Stroke, ...], rng: np.random.Generator) -> Floats:
    """One letter by a hand of its own: slant, width, trembling, pen."""
    starts, ends = _segments(strokes, rng)
    radius = rng.uniform(1.1, 1.9)
    ends_of_all = np.concatenate([starts, ends])
    low, high = ends_of_all.min(axis=0), ends_of_all.max(axis=0)
    scale = (_BOX - 2 * radius) / (high - low).max()
    starts, ends = (((points - (low + high) / 2) * scale + _CENTRE) for points in (starts, ends))
    drawn = _drawn(starts, ends, radius)
    mass = np.array([(drawn.sum(axis=axis) @ np.arange(_SIZE)) / drawn.sum() for axis in (0, 1)])
    return _drawn(starts + _CENTRE - mass, ends + _CENTRE - mass, radius)


def _segments(strokes: tuple[Stroke, ...], rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Straight pieces ``(S, 2)`` and ``(S, 2)`` of jittered strokes; each piece is bent in its middle."""
    slant, width = rng.uniform(-0.1, 0.3), rng.uniform(0.7, 1.1)
    starts, ends = [], []
    for stroke in strokes:
        points = np.array(stroke) + rng.normal(0, 0.035, (len(stroke), 2))
        middles = (points[:-1] + points[1:]) / 2 + rng.normal(0, 0.02, (len(stroke) - 1, 2))
        path = np.empty((2 * len(stroke) - 1, 2))
        path[::2], path[1::2] = points, middles
        path[:, 0] = width * path[:, 0] - slant * path[:, 1]
        starts.append(path[:-1])
        ends.append(path[1:])
    return np.concatenate(starts), np.concatenate(ends)


def _drawn(starts: Floats, ends: Floats, radius: float) -> Floats:
    """Pieces drawn by a round pen: ink up to ``radius`` from the line, with an edge one pixel wide."""
    pixels = np.stack(np.meshgrid(np.arange(_SIZE), np.arange(_SIZE)), axis=-1)[:, :, None]
    along = ends - starts
    part = ((pixels - starts) * along).sum(axis=-1) / np.maximum((along**2).sum(axis=-1), 1e-9)
    nearest = starts + np.clip(part, 0, 1)[..., None] * along
    distance = np.sqrt(((pixels - nearest) ** 2).sum(axis=-1)).min(axis=-1)
    drawn: Floats = _INK * np.clip(radius + 0.5 - distance, 0, 1)
    return drawn


def _halves(digits: Split, count: int, rng: np.random.Generator) -> Images:
    usable = np.flatnonzero(np.isin(digits.labels, list(_HALVES)))
    if not len(usable):
        raise InputError(f"{len(digits)} digits, each a 1 or a 6; expected others, their halves are digits")
    made: list[Images] = []
    for row in np.resize(rng.permutation(usable), 50 * count):
        sides = _HALVES[int(digits.labels[row])]
        image, half = digits.images[row], _half(digits.images[row], sides[rng.integers(len(sides))])
        if _HALF_INK[0] * image.sum() < half.sum() < _HALF_INK[1] * image.sum():
            made.append(half)
        if len(made) == count:
            return np.stack(made)
    raise InputError(f"{len(usable)} digits, hardly one of which can be halved; expected digits as MNIST's")


def _half(image: Images, side: str) -> Images:
    """What is left of a digit on one side of its bounding box."""
    axis = 0 if side in ("top", "bottom") else 1
    inked = np.flatnonzero(image.max(axis=1 - axis) > 0)
    if not len(inked):
        return image
    left = round((inked[-1] - inked[0] + 1) * _CUT)
    half = np.zeros_like(image)
    kept = slice(0, inked[0] + left) if side in ("top", "left") else slice(inked[-1] + 1 - left, None)
    where = (kept, slice(None)) if axis == 0 else (slice(None), kept)
    half[where] = image[where]
    return half
