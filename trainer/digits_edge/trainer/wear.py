"""What happens to a digit on its way to a device: noise, blur, bad contrast, patches. For training.

The suite that robustness is measured with (`corruptions`) is another one, with its own code and figures: a
network is not tested on what it was trained on.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from digits_edge.trainer.deform import deform
from digits_edge.trainer.recipes import Deformation

_SIZE = 28
_WORN_TWICE = 0.3
# Further than a hand would go; a person still reads these.
_MOVED = Deformation(degrees=30, shift=4, zoom=0.3, stretch=0.2, shear=0.4, distortion=0)

Values = NDArray[np.float32]
_Wear = Callable[[Values, np.random.Generator], Values]


def wear(images: NDArray[np.uint8], rng: np.random.Generator, *, share: float = 0.5) -> NDArray[np.uint8]:
    """Wears some of the images, each in one way or two drawn at random.

    Args:
        images: uint8 ``(N, 28, 28)``.
        rng: Draws it all.
        share: Part of the images that is worn, 0 to 1; the others stay as they are.

    Returns:
        uint8 ``(N, 28, 28)``, new images.
    """
    worn = images.copy()
    rows = rng.permutation(len(images))[: round(share * len(images))]
    for again in (rows, rows[: round(_WORN_TWICE * len(rows))]):
        ways = rng.integers(len(_WAYS), size=len(again))
        for way, change in enumerate(_WAYS):
            chosen = again[ways == way]
            if len(chosen):
                values = change(worn[chosen].astype(np.float32), rng)
                worn[chosen] = np.clip(values + np.float32(0.5), 0, 255)
    return worn


def _moved(images: Values, rng: np.random.Generator) -> Values:
    return deform(images.astype(np.uint8), _MOVED, rng).astype(np.float32)


def _thicker(images: Values, rng: np.random.Generator) -> Values:
    return _blended(images, np.max(_neighbours(images), axis=0), rng)


def _thinner(images: Values, rng: np.random.Generator) -> Values:
    thin = np.min(_neighbours(images), axis=0)
    # Of a stroke one or two pixels wide nothing would be left.
    survives = thin.sum(axis=(1, 2)) > 0.3 * images.sum(axis=(1, 2))
    return np.where(survives[:, None, None], _blended(images, thin, rng), images)


def _blurred(images: Values, rng: np.random.Generator) -> Values:
    return _each_level(images, [_gaussian(sigma) for sigma in (0.6, 0.9, 1.2, 1.6)], rng)


def _coarse(images: Values, rng: np.random.Generator) -> Values:
    return _each_level(images, [_cells(cell, 28 % cell / 2) for cell in (2.0, 2.5, 3.0, 3.5)], rng)


def _faded(images: Values, rng: np.random.Generator) -> Values:
    paper = _column(rng.uniform(0, 90, len(images)))
    ink = paper + (255 - paper) * _column(rng.uniform(0.25, 1, len(images)))
    faded: Values = paper + images * ((ink - paper) / np.float32(255))
    return faded


def _noisy(images: Values, rng: np.random.Generator) -> Values:
    strength = _column(rng.uniform(10, 110, len(images)))
    return images + strength * rng.standard_normal(images.shape, np.float32)


def _speckled(images: Values, rng: np.random.Generator) -> Values:
    share = _column(rng.uniform(0.02, 0.25, len(images)))
    draw = rng.random(images.shape, np.float32)
    salt = np.where(draw < share / 2, np.float32(255), np.float32(0))
    return np.where(draw < share, salt, images)


def _covered(images: Values, rng: np.random.Generator) -> Values:
    """A rectangle of paper, ink or something between lies on the digit."""
    count = len(images)
    height, width = rng.integers(4, 12, count), rng.integers(4, 12, count)
    top, left = rng.integers(2, 26 - height), rng.integers(2, 26 - width)
    level = _column(rng.choice([0, 0, 128, 255], count))
    return np.where(_inside(top, height)[:, :, None] & _inside(left, width)[:, None, :], level, images)


def _broken(images: Values, rng: np.random.Generator) -> Values:
    """One to three straight gaps run through the strokes."""
    offsets = np.arange(_SIZE, dtype=np.float32) - 13.5
    for _ in range(rng.integers(1, 4)):
        angle = _column(rng.uniform(0, np.pi, len(images)))
        middle = _column(rng.uniform(-6, 6, len(images)))
        distance = np.cos(angle) * offsets[:, None] + np.sin(angle) * offsets - middle
        images = np.where(np.abs(distance) < _column(rng.uniform(0.5, 1.6, len(images))), 0, images)
    return images


_WAYS: tuple[_Wear, ...] = (
    _moved,
    _thicker,
    _thinner,
    _blurred,
    _coarse,
    _faded,
    _noisy,
    _speckled,
    _covered,
    _broken,
)


def _column(values: NDArray[np.float64] | NDArray[np.int64]) -> Values:
    return values.astype(np.float32)[:, None, None]


def _inside(start: NDArray[np.int64], length: NDArray[np.int64]) -> NDArray[np.bool_]:
    place = np.arange(_SIZE)
    return (place >= start[:, None]) & (place < (start + length)[:, None])


def _neighbours(images: Values) -> Values:
    """Each image and its four shifts by a pixel: ``(5, N, 28, 28)``."""
    framed = np.pad(images, ((0, 0), (1, 1), (1, 1)))
    shifts = ((1, 1), (0, 1), (2, 1), (1, 0), (1, 2))
    return np.stack([framed[:, row : row + _SIZE, column : column + _SIZE] for row, column in shifts])


def _blended(images: Values, changed: Values, rng: np.random.Generator) -> Values:
    part = _column(rng.uniform(0.3, 1, len(images)))
    return images + part * (changed - images)


def _each_level(images: Values, filters: list[Values], rng: np.random.Generator) -> Values:
    """Filters rows and columns of each image with one of the matrices ``(28, 28)``."""
    chosen = np.stack(filters)[rng.integers(len(filters), size=len(images))]
    filtered: Values = np.matmul(chosen @ images, chosen.transpose(0, 2, 1), dtype=np.float32)
    return filtered


def _gaussian(sigma: float) -> Values:
    place = np.arange(_SIZE)
    weights = np.exp(-((place[:, None] - place) ** 2) / (2 * sigma**2))
    # Scaled by the middle row: at the border, what lies outside is paper.
    scaled: Values = (weights / weights[_SIZE // 2].sum()).astype(np.float32)
    return scaled


def _cells(cell: float, start: float) -> Values:
    """Averages over cells of so many pixels, then interpolates between the cells' middles."""
    edges = np.arange(start - cell, _SIZE + 2 * cell, cell)
    pixel = np.arange(_SIZE)
    overlap = np.minimum(edges[1:, None], pixel + 1) - np.maximum(edges[:-1, None], pixel)
    average = np.clip(overlap, 0, None) / cell
    middles = (edges[1:] + edges[:-1]) / 2
    tent = np.clip(1 - np.abs(pixel[:, None] + 0.5 - middles) / cell, 0, None)
    cells: Values = (tent @ average).astype(np.float32)
    return cells
