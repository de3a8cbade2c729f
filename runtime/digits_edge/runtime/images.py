"""The input contract, and photograph → 28×28 normalisation: the only preprocessing there is."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from digits_edge.runtime.errors import InputError

SIZE = 28
_BOX = 20  # MNIST's digits fill a 20×20 box, centred by mass in 28×28 (LeCun et al. 1998)
_CENTRE = 14  # MNIST's centres of mass all lie within half a pixel of row and column 14, counted from 0
_MOSTLY = 0.9
_FAINTEST_INK = 24  # grey levels between paper and ink below which a photograph counts as blank

_CONTRACT = (
    "expected uint8 (N, 28, 28), N of 1 or more, 0 = background and 255 = ink; "
    "(28, 28), (N, 28, 28, 1), (N, 784) and floats in [0, 1] are taken too"
)


def as_images(images: ArrayLike) -> NDArray[np.uint8]:
    """Brings an argument under the input contract.

    Args:
        images: uint8, or floats in [0, 1] that are rounded to uint8; shape ``(28, 28)``, ``(N, 28, 28)``,
            ``(N, 28, 28, 1)`` or ``(N, 784)``.

    Returns:
        uint8 ``(N, 28, 28)``; a view of the argument where that was uint8 already.

    Raises:
        InputError: Wrong shape, dtype or range; the message names what came.
    """
    try:
        array = np.asarray(images)
    except (TypeError, ValueError) as error:
        raise InputError(f"images do not form one array ({error}); {_CONTRACT}") from error
    return _shaped(_pixels(array))


def _pixels(array: NDArray[np.generic]) -> NDArray[np.uint8]:
    if array.dtype == np.uint8:
        return array.view(np.uint8)
    if not np.issubdtype(array.dtype, np.floating):
        hint = "; pixels of 0 to 255 need .astype(np.uint8)" if np.issubdtype(array.dtype, np.integer) else ""
        raise InputError(f"images are of dtype {array.dtype}; {_CONTRACT}{hint}")
    if not array.size:
        raise InputError(f"images are empty, shape {array.shape}; {_CONTRACT}")
    lowest, highest = float(np.min(array)), float(np.max(array))
    if not (lowest >= 0 and highest <= 1):  # written so that NaN fails it
        raise InputError(f"float images range from {lowest:g} to {highest:g}; {_CONTRACT}")
    pixels: NDArray[np.uint8] = np.rint(np.multiply(array, 255)).astype(np.uint8)
    return pixels


def _shaped(array: NDArray[np.uint8]) -> NDArray[np.uint8]:
    shape = array.shape
    if shape == (SIZE, SIZE):
        return array[None]
    fits = shape[1:] in ((SIZE, SIZE), (SIZE, SIZE, 1), (SIZE * SIZE,))
    if not fits or shape[0] == 0:
        raise InputError(f"images have shape {shape}; {_CONTRACT}")
    return array if len(shape) == 3 and shape[1:] == (SIZE, SIZE) else array.reshape(-1, SIZE, SIZE)


def normalize(photo: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Turns a grey photograph or scan of one digit into an image as MNIST was made.

    The paper's grey is taken from the picture's frame and subtracted; ink darker than the paper is inverted;
    what is fainter than half of Otsu's threshold (Otsu 1979) counts as paper. The digit's bounding box is
    scaled, aspect kept, to fit 20×20 and placed with its centre of mass in the middle of 28×28 (LeCun et al.
    1998).

    Args:
        photo: uint8 ``(H, W)``, grey levels, any size from 2×2; dark ink on light paper or the reverse.

    Returns:
        uint8 ``(28, 28)``, 0 = background, 255 = ink; all zero where the picture shows no ink.

    Raises:
        InputError: Not a uint8 grey picture.
    """
    photo = np.asarray(photo)
    if photo.dtype != np.uint8 or photo.ndim != 2 or min(photo.shape) < 2:
        raise InputError(
            f"photo is {photo.dtype} {photo.shape}; expected a grey picture, uint8 (H, W), 2×2 or more"
        )

    ink = _ink(photo)
    threshold = _otsu(ink)
    if ink.max() < _FAINTEST_INK:
        return np.zeros((SIZE, SIZE), np.uint8)
    strokes = ink > threshold
    floor, full = threshold / 2, float(np.percentile(ink[strokes], 75))
    ink = np.clip((ink - floor) / max(full - floor, 1.0), 0, 1)
    return _centred(_scaled(_cropped(ink, _without_specks(strokes))))


def _ink(photo: NDArray[np.uint8]) -> NDArray[np.float32]:
    """How far each pixel is from the paper, towards the ink; 0 to 255."""
    grey = photo.astype(np.float32)
    frame = np.concatenate([grey[0], grey[-1], grey[1:-1, 0], grey[1:-1, -1]])
    paper = np.median(frame)
    # Ink is whichever side of the paper's grey has the larger deviations.
    darker, lighter = np.clip(paper - grey, 0, None), np.clip(grey - paper, 0, None)
    ink: NDArray[np.float32] = darker if np.square(darker).sum() >= np.square(lighter).sum() else lighter
    return ink


def _otsu(ink: NDArray[np.float32]) -> float:
    """The grey level that best separates two classes: largest between-class variance (Otsu 1979)."""
    counts = np.bincount(ink.astype(np.uint8).ravel(), minlength=256).astype(np.float64)
    levels = np.arange(256)
    below = np.cumsum(counts)
    above = below[-1] - below
    mass = np.cumsum(counts * levels)
    with np.errstate(invalid="ignore", divide="ignore"):
        variance = below * above * (mass / below - (mass[-1] - mass) / above) ** 2
    return float(np.argmax(np.nan_to_num(variance)))


def _without_specks(strokes: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Leaves out noise that would blow up the bounding box: what lies in no 2×2 block of strokes."""
    blocks = strokes[:-1, :-1] & strokes[1:, :-1] & strokes[:-1, 1:] & strokes[1:, 1:]
    solid = np.zeros_like(strokes)
    for rows in (slice(None, -1), slice(1, None)):
        for columns in (slice(None, -1), slice(1, None)):
            solid[rows, columns] |= blocks
    # A line one pixel wide has hardly a block: where much would go, it is the digit.
    return solid if solid.sum() >= _MOSTLY * strokes.sum() else strokes


def _cropped(ink: NDArray[np.float32], strokes: NDArray[np.bool_]) -> NDArray[np.float32]:
    rows, columns = np.flatnonzero(strokes.any(axis=1)), np.flatnonzero(strokes.any(axis=0))
    # One pixel more on each side keeps the soft edge of the stroke.
    return ink[max(rows[0] - 1, 0) : rows[-1] + 2, max(columns[0] - 1, 0) : columns[-1] + 2]


def _scaled(ink: NDArray[np.float32]) -> NDArray[np.float32]:
    height, width = ink.shape
    longer = max(height, width)
    rows, columns = max(1, round(height * _BOX / longer)), max(1, round(width * _BOX / longer))
    scaled = _resampling(height, rows) @ ink @ _resampling(width, columns).T
    return np.asarray(scaled / max(float(scaled.max()), 1e-6), np.float32)


def _resampling(source: int, target: int) -> NDArray[np.float32]:
    """Weights ``(target, source)`` of linear resampling; shrinking, wide enough that no pixel is skipped."""
    scale = source / target
    centres = (np.arange(target) + 0.5) * scale - 0.5
    weights = np.clip(1 - np.abs(np.arange(source) - centres[:, None]) / max(scale, 1.0), 0, None)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)


def _centred(digit: NDArray[np.float32]) -> NDArray[np.uint8]:
    image = np.zeros((SIZE, SIZE), np.uint8)
    corner = []
    for axis, length in enumerate(digit.shape):
        profile = digit.sum(axis=1 - axis)
        mass = float(profile @ np.arange(length) / profile.sum())
        corner.append(int(np.clip(round(_CENTRE - mass), 0, SIZE - length)))
    top, left = corner
    image[top : top + digit.shape[0], left : left + digit.shape[1]] = np.rint(digit * 255)
    return image
