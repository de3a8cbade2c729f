"""Picture files of single digits, of any size and kind, to images as MNIST has them."""

from __future__ import annotations

import io
import struct
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from digits_edge.runtime.errors import InputError
from digits_edge.runtime.images import normalize
from digits_edge.trainer.datasets.files import read_bytes
from digits_edge.trainer.errors import DataError, SetupError

if TYPE_CHECKING:
    from PIL import Image

# Only parsers of plain pixels: Pillow would also hand EPS to Ghostscript, and knows dozens of rare formats.
_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")
_SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".pbm", ".pnm"}
)
# What Pillow's parsers raise for damaged files.
_DAMAGE = (OSError, ValueError, SyntaxError, EOFError, KeyError, IndexError, TypeError, struct.error)
_SIZE = 28
_MID_GREY = 128
_WHITE = 250  # not 255: JPEG leaves traces


def find_pictures(directory: Path) -> list[Path]:
    """The picture files of a directory, by name; hidden files, other kinds and directories are left out."""
    return sorted(
        path
        for path in directory.iterdir()
        if path.suffix.lower() in _SUFFIXES and not path.name.startswith(".") and path.is_file()
    )


def read_picture(path: Path) -> NDArray[np.uint8]:
    """Reads a picture of one digit.

    A picture that is 28×28 already, with light ink on dark ground as in MNIST, is taken as it is, or inverted
    if it has dark ink on white; ``digits_edge.runtime.normalize`` brings any other to that form.

    Args:
        path: PNG, JPEG, BMP, GIF, TIFF, WebP or PNM; grey, colour, palette or 16 bits, with or without
            transparency. Turned upright where the camera left a note (EXIF).

    Returns:
        uint8 ``(28, 28)``, 0 = background, 255 = ink.

    Raises:
        DataError: No picture, damaged, several frames, or absurdly large.
        SetupError: Pillow is not installed.
    """
    grey = _read_grey(path)
    if grey.shape == (_SIZE, _SIZE):
        paper = np.median(np.concatenate([grey[0], grey[-1], grey[1:-1, 0], grey[1:-1, -1]]))
        if paper < _MID_GREY:
            return grey
        if paper >= _WHITE:
            return np.uint8(255) - grey
    try:
        return normalize(grey)
    except InputError as error:
        raise DataError(f"{path}: {error}") from error


def _read_grey(path: Path) -> NDArray[np.uint8]:
    try:
        from PIL import Image, ImageOps, UnidentifiedImageError
    except ImportError as error:
        raise SetupError(f"{path}: reading pictures needs Pillow; pip install pillow") from error

    raw = read_bytes(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of metadata that no digit depends on
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(raw), formats=_FORMATS) as picture:
                frames = getattr(picture, "n_frames", 1)
                # MPO is what many phones write as .jpg: the photograph first, then previews of it.
                if frames > 1 and picture.format != "MPO":
                    raise DataError(f"{path}: {frames} frames; expected one picture; save one by itself")
                return _to_grey(ImageOps.exif_transpose(picture), path)
    except DataError:
        raise
    except UnidentifiedImageError as error:
        raise DataError(f"{path}: no readable picture; expected {', '.join(_FORMATS)}; convert it") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise DataError(f"{path}: too large ({error}); crop it to the digit") from error
    except _DAMAGE as error:
        raise DataError(f"{path}: damaged picture ({error}); save it again as PNG") from error


def _to_grey(picture: Image.Image, path: Path) -> NDArray[np.uint8]:
    """Grey levels ``(H, W)`` of a picture in any of Pillow's modes."""
    if picture.mode == "F" or picture.mode.startswith("I"):
        return _from_deep(np.asarray(picture), path)
    if picture.has_transparency_data:
        return _on_paper(np.asarray(picture.convert("RGBA").convert("LA")))
    if picture.mode not in ("1", "L"):
        picture = picture.convert("RGB")
    return np.asarray(picture.convert("L"))


def _from_deep(levels: NDArray[np.generic], path: Path) -> NDArray[np.uint8]:
    """16-bit grey levels to 8 bits; Pillow's own conversion would clip at 255."""
    if not np.issubdtype(levels.dtype, np.integer) or levels.min() < 0 or levels.max() > 65535:
        raise DataError(f"{path}: pixels are {levels.dtype}; expected 8 or 16 bits a channel; save it as PNG")
    return (levels.astype(np.uint32) // 257).astype(np.uint8)


def _on_paper(grey_alpha: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Fills transparency ``(H, W, 2)`` with a colour on which the ink can be seen.

    Where most of the picture is opaque, that part shows the paper, so its median goes on. Where little is,
    that is the ink, and the ground is black or white, whichever is further from it.
    """
    grey, opacity = grey_alpha[..., 0].astype(np.float32), grey_alpha[..., 1].astype(np.float32) / 255
    opaque = grey[opacity > 0.5]
    median = float(np.median(opaque)) if opaque.size else 0.0
    ground = median if 2 * opaque.size > grey.size else (0.0 if median >= _MID_GREY else 255.0)
    return np.rint(grey * opacity + ground * (1 - opacity)).astype(np.uint8)
