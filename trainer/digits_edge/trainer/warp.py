"""Moves pixels: affine maps and smooth distortions of whole batches, by bilinear interpolation."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

_GRID = 4  # control points of a distortion along each side, and a ring of them outside
_CENTRE = 13.5
_SIZE = 28


def affine(
    count: int,
    *,
    degrees: ArrayLike = 0.0,
    zoom: ArrayLike = 1.0,
    stretch: ArrayLike = 1.0,
    shear: ArrayLike = 0.0,
    right: ArrayLike = 0.0,
    down: ArrayLike = 0.0,
) -> NDArray[np.float32]:
    """Affine maps about the middle of the image, in the form that `warp` takes.

    Each argument is one number for all images, or one an image. A digit is stretched, sheared, rotated and
    moved, in this order.

    Args:
        count: Number of images.
        degrees: Rotation, counter-clockwise.
        zoom: Factor on height and width, above 0; 2 makes the digit twice as large.
        stretch: Factor on the width alone, above 0.
        shear: Pixels to the right for each pixel upwards.
        right: Shift to the right in pixels.
        down: Shift downwards in pixels.

    Returns:
        float32 ``(count, 2, 3)``: for each image the map from where a pixel lands to where its value comes
        from, both as (row, column) from the middle.
    """
    turn = np.deg2rad(np.asarray(degrees, np.float64))
    height, width = np.asarray(zoom, np.float64), np.multiply(zoom, stretch)
    # Rows and columns of the forward map; rows count downwards, so turning left is -sin here.
    forward = np.empty((count, 2, 2))
    forward[:, 0, 0] = height * (np.cos(turn) + np.sin(turn) * shear)
    forward[:, 0, 1] = -width * np.sin(turn)
    forward[:, 1, 0] = height * (np.sin(turn) - np.cos(turn) * shear)
    forward[:, 1, 1] = width * np.cos(turn)
    back = np.linalg.inv(forward)
    shift = np.empty((count, 2))
    shift[:, 0], shift[:, 1] = down, right
    moved = -(back @ shift[..., None])
    return np.concatenate([back, moved], axis=2).astype(np.float32)


def distortion(strength: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Random smooth displacement fields: cubic B-splines over a coarse grid (Rueckert et al. 1999).

    Args:
        strength: float32 ``(N,)``, standard deviation of the control points in pixels; the field's own is
            about half of it.
        rng: Draws them.

    Returns:
        float32 ``(N, 2, 28, 28)``, pixels downwards and to the right.
    """
    points = _GRID + 3
    controls = rng.standard_normal((len(strength), 2, points, points), np.float32)
    controls *= strength[:, None, None, None]
    basis = _spline_basis()
    fields: NDArray[np.float32] = np.matmul(basis @ controls, basis.T, dtype=np.float32)
    return fields


def warp(
    images: NDArray[np.uint8], maps: NDArray[np.float32], fields: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """Resamples images; outside of them there is paper.

    Args:
        images: uint8 ``(N, 28, 28)``.
        maps: float32 ``(N, 2, 3)``, from `affine`.
        fields: float32 ``(N, 2, 28, 28)``, from `distortion`: added to where values come from.

    Returns:
        float32 ``(N, 28, 28)``, 0 to 255.
    """
    offsets = np.arange(_SIZE, dtype=np.float32) - np.float32(_CENTRE)
    rows, columns = offsets[:, None], offsets[None, :]
    source: NDArray[np.float32] = maps[:, :, 0, None, None] * rows + maps[:, :, 1, None, None] * columns
    source += maps[:, :, 2, None, None] + np.float32(_CENTRE)
    if fields is not None:
        source += fields
    # A pixel outside draws from the frame of zeros laid round each image.
    source += 1
    np.clip(source, 0, np.float32(_SIZE + 0.999), out=source)
    corner = source.astype(np.int32)
    source -= corner
    across, side = source[:, 1], _SIZE + 2
    framed = np.pad(images, ((0, 0), (1, 1), (1, 1))).astype(np.float32).ravel()
    first = corner[:, 0] * side + corner[:, 1]
    first += (np.arange(len(images), dtype=np.int32) * side * side)[:, None, None]

    def row_at(start: NDArray[np.int32]) -> NDArray[np.float32]:
        left = framed.take(start)
        right = framed.take(start + 1)
        right -= left
        right *= across
        left += right
        return left

    upper, lower = row_at(first), row_at(first + side)
    lower -= upper
    lower *= source[:, 0]
    upper += lower
    return upper


def _spline_basis() -> NDArray[np.float32]:
    """Weights ``(28, control points)`` of the uniform cubic B-spline at each pixel."""
    place = np.arange(_SIZE) * _GRID / _SIZE
    cell = place.astype(int)
    t = place - cell
    weights = np.zeros((_SIZE, _GRID + 3), np.float32)
    pieces = ((1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3)
    for offset, piece in enumerate(pieces):
        weights[np.arange(_SIZE), cell + offset] = piece / 6
    return weights
