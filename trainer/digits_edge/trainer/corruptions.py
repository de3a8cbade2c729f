"""Digits made harder, in the spirit of MNIST-C (Mu & Gilmer 2019), and still read by a person with ease.

For evaluation only: training has an augmentation of its own, so that what is measured here is not what was
practised.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from digits_edge.runtime.errors import InputError
from digits_edge.trainer.datasets import Images
from digits_edge.trainer.warp import affine, warp

_PIXELS = np.arange(28, dtype=np.float32)
_INK = 255.0

Floats = NDArray[np.float32]


class Corruption(str, Enum):
    """What happens to a digit."""

    SHIFT = "shift"
    ROTATE = "rotate"
    SCALE = "scale"
    SHEAR = "shear"
    BLUR = "blur"
    NOISE = "noise"
    THICKER = "thicker"
    THINNER = "thinner"
    CONTRAST = "contrast"
    STROKE_GAP = "stroke gap"
    OCCLUSION = "occlusion"


def corrupt(images: Images, corruption: Corruption, *, seed: int = 0) -> Images:
    """Corrupts each image by an amount of its own.

    Args:
        images: uint8 ``(N, 28, 28)``, 0 = background, 255 = ink.
        corruption: How.
        seed: Draws the amounts; each corruption has its own stream.

    Returns:
        uint8 ``(N, 28, 28)``; the same images, corruption and seed give the same result.

    Raises:
        InputError: The images are not such images, or there are none.
    """
    if images.dtype != np.uint8 or images.ndim != 3 or images.shape[1:] != (28, 28) or not len(images):
        raise InputError(
            f"images are {images.dtype} {images.shape}; expected uint8 (N, 28, 28), one at least"
        )
    rng = np.random.default_rng([seed, list(Corruption).index(corruption)])
    changed = _CORRUPT[corruption](images, rng)
    return np.rint(np.clip(changed, 0, _INK)).astype(np.uint8)


def _shift(images: Images, rng: np.random.Generator) -> Floats:
    angle, way = rng.uniform(0, 2 * np.pi, len(images)), rng.uniform(2, 4, len(images))
    return warp(images, affine(len(images), right=way * np.cos(angle), down=way * np.sin(angle)))


def _rotate(images: Images, rng: np.random.Generator) -> Floats:
    return warp(images, affine(len(images), degrees=_either_way(rng, len(images), 15, 30)))


def _scale(images: Images, rng: np.random.Generator) -> Floats:
    smaller, larger = rng.uniform(0.6, 0.8, len(images)), rng.uniform(1.15, 1.3, len(images))
    return warp(images, affine(len(images), zoom=np.where(rng.random(len(images)) < 0.5, smaller, larger)))


def _shear(images: Images, rng: np.random.Generator) -> Floats:
    return warp(images, affine(len(images), shear=_either_way(rng, len(images), 0.3, 0.6)))


def _blur(images: Images, rng: np.random.Generator) -> Floats:
    width = rng.uniform(1.0, 1.6, len(images)).astype(np.float32)
    weights = np.exp(-(((_PIXELS[:, None] - _PIXELS) / width[:, None, None]) ** 2) / 2)
    # Not normalised by row: beyond the edge there is paper.
    weights /= (width * np.float32(np.sqrt(2 * np.pi)))[:, None, None]
    blurred: Floats = weights @ images.astype(np.float32) @ weights
    # A pen's ink keeps its depth; what spreads is its edge.
    blurred *= _INK / np.maximum(blurred.max(axis=(1, 2), keepdims=True), 1)
    return blurred


def _noise(images: Images, rng: np.random.Generator) -> Floats:
    strength = rng.uniform(30, 70, len(images)).astype(np.float32)
    return images + strength[:, None, None] * rng.standard_normal(images.shape, np.float32)


def _thicker(images: Images, rng: np.random.Generator) -> Floats:
    return _partly(images, _extreme(images, np.maximum), rng)


def _thinner(images: Images, rng: np.random.Generator) -> Floats:
    return _partly(images, _extreme(images, np.minimum), rng)


def _contrast(images: Images, rng: np.random.Generator) -> Floats:
    paper, ink = rng.uniform(0, 15, len(images)), rng.uniform(90, 150, len(images))
    part = images.astype(np.float32) / _INK
    return (paper[:, None, None] + part * (ink - paper)[:, None, None]).astype(np.float32)


def _stroke_gap(images: Images, rng: np.random.Generator) -> Floats:
    row, column = _inked_pixels(images, rng)
    radius = rng.uniform(1.6, 2.6, len(images)).astype(np.float32)
    distance = np.hypot(_PIXELS[:, None] - row[:, None, None], _PIXELS - column[:, None, None])
    left: Floats = images * np.clip(distance - radius[:, None, None], 0, 1)
    return left


def _occlusion(images: Images, rng: np.random.Generator) -> Floats:
    row, column = _inked_pixels(images, rng)
    side = rng.uniform(5, 8, len(images)).astype(np.float32)[:, None, None] / 2
    hidden = (np.abs(_PIXELS[:, None] - row[:, None, None]) < side) & (
        np.abs(_PIXELS - column[:, None, None]) < side
    )
    cover = np.where(rng.random(len(images)) < 0.5, 0.0, 160.0).astype(np.float32)[:, None, None]
    return np.where(hidden, cover, images.astype(np.float32))


_CORRUPT: Mapping[Corruption, Callable[[Images, np.random.Generator], Floats]] = MappingProxyType(
    {
        Corruption.SHIFT: _shift,
        Corruption.ROTATE: _rotate,
        Corruption.SCALE: _scale,
        Corruption.SHEAR: _shear,
        Corruption.BLUR: _blur,
        Corruption.NOISE: _noise,
        Corruption.THICKER: _thicker,
        Corruption.THINNER: _thinner,
        Corruption.CONTRAST: _contrast,
        Corruption.STROKE_GAP: _stroke_gap,
        Corruption.OCCLUSION: _occlusion,
    }
)


def _either_way(rng: np.random.Generator, count: int, least: float, most: float) -> NDArray[np.float64]:
    amounts: NDArray[np.float64] = rng.uniform(least, most, count) * rng.choice((-1.0, 1.0), count)
    return amounts


def _extreme(images: Images, pick: np.ufunc) -> Floats:
    """The darkest or lightest of each pixel and its four neighbours; outside there is paper."""
    framed = np.pad(images, ((0, 0), (1, 1), (1, 1)))
    rows = pick(pick(framed[:, :-2, 1:-1], framed[:, 2:, 1:-1]), images)
    changed: Images = pick(rows, pick(framed[:, 1:-1, :-2], framed[:, 1:-1, 2:]))
    return changed.astype(np.float32)


def _partly(images: Images, changed: Floats, rng: np.random.Generator) -> Floats:
    part = rng.uniform(0.6, 0.9, len(images)).astype(np.float32)[:, None, None]
    return part * changed + (1 - part) * images


def _inked_pixels(images: Images, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """A random pixel of each image, the likelier the more ink it has; any pixel of a blank one."""
    mass = images.reshape(len(images), -1).astype(np.float32) + 1e-3
    total = mass.cumsum(axis=1)
    place = (total < (rng.random(len(images), np.float32) * total[:, -1])[:, None]).sum(axis=1)
    row, column = np.divmod(place, 28)
    return row.astype(np.float32), column.astype(np.float32)
