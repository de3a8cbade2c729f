"""Digits from elsewhere: scikit-learn's, other writers and another scanner, brought into MNIST's form."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from digits_edge.trainer.datasets import Images, Split

_BOX, _SIZE, _CENTRE = 20, 28, 14  # a digit fills 20×20; its mass lies about row and column 14
_FULL = 16.0


def foreign_digits() -> Split:
    """scikit-learn's ``load_digits``: 1,797 digits of 43 writers (Alpaydin & Kaynak 1998), 8×8 in 17 greys.

    They are enlarged as MNIST's were made small (LeCun et al. 1998): the bounding box fills 20×20, aspect
    kept, with the centre of mass in the middle of 28×28; bicubic, and 16 becomes 255.
    """
    from sklearn.datasets import load_digits

    found = load_digits()
    return Split(
        np.stack([_enlarged(image) for image in found.images.astype(np.float32)]),
        found.target.astype(np.uint8),
    )


def _enlarged(image: NDArray[np.float32]) -> Images:
    from PIL import Image

    rows, columns = np.flatnonzero(image.any(axis=1)), np.flatnonzero(image.any(axis=0))
    cropped = image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    height, width = (max(1, round(length * _BOX / max(cropped.shape))) for length in cropped.shape)
    resized = Image.fromarray(cropped).resize((width, height), Image.Resampling.BICUBIC)
    ink = np.clip(np.asarray(resized) * (255 / _FULL), 0, 255)  # a cubic overshoots beside an edge
    placed = np.zeros((_SIZE, _SIZE), np.uint8)
    top, left = (_corner(ink.sum(axis=axis)) for axis in (1, 0))
    placed[top : top + height, left : left + width] = np.rint(ink)
    return placed


def _corner(profile: NDArray[np.float32]) -> int:
    """Where to put ink with this profile along an axis, so that its mass is centred and none is cut off."""
    mass = float(profile @ np.arange(len(profile)) / profile.sum())
    return int(np.clip(round(_CENTRE - mass), 0, _SIZE - len(profile)))
