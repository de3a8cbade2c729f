"""Other hands for the same digit: random affine maps and smooth distortions, for training."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from digits_edge.trainer.recipes import Deformation
from digits_edge.trainer.warp import affine, distortion, warp

_CHUNK = 1000  # images at a time: their coordinates stay in the processor's cache


def deform(
    images: NDArray[np.uint8], deformation: Deformation, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Deforms images at random, all but a part; the same generator state gives the same images.

    Args:
        images: uint8 ``(N, 28, 28)``.
        deformation: How far, and how many.
        rng: Draws it all.

    Returns:
        uint8 ``(N, 28, 28)``, new images.
    """
    deformed = np.empty_like(images)
    for start in range(0, len(images), _CHUNK):
        chunk = images[start : start + _CHUNK]
        values = warp(chunk, *_draw(len(chunk), deformation, rng))
        values += np.float32(0.5)  # rounds, as values are positive
        deformed[start : start + _CHUNK] = values
    untouched = rng.random(len(images)) < deformation.untouched
    deformed[untouched] = images[untouched]
    return deformed


def _draw(
    count: int, by: Deformation, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    def within(limit: float) -> NDArray[np.float64]:
        return rng.uniform(-limit, limit, count)

    maps = affine(
        count,
        degrees=within(by.degrees),
        zoom=1 + within(by.zoom),
        stretch=1 + within(by.stretch),
        shear=within(by.shear),
        right=within(by.shift),
        down=within(by.shift),
    )
    if not by.distortion:
        return maps, None
    return maps, distortion(rng.uniform(0, by.distortion, count).astype(np.float32), rng)
