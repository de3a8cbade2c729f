"""Something to classify for those who have nothing at hand: a Kaggle test.csv, scans and photographs.

    test.csv          digits without labels
    test-labels.csv   their true labels, in the form of a submission
    pictures/         01-mnist.png, 02-scan.png, 03-photo.png, 04-mnist.png, …
    labels.csv        the true label of each picture

All are digits of a test part; none was trained on.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from digits_edge.runtime.errors import InputError
from digits_edge.trainer.datasets.dataset import Dataset, Labels, Split
from digits_edge.trainer.datasets.kaggle import format_kaggle
from digits_edge.trainer.datasets.submission import write_submission
from digits_edge.trainer.errors import SetupError
from digits_edge.trainer.runs import write_atomically, write_csv

if TYPE_CHECKING:
    from PIL import Image

_Digit = NDArray[np.uint8]
_Grey = NDArray[np.float32]


@dataclass(frozen=True)
class Samples:
    """What was written, and where.

    Attributes:
        table: The Kaggle-format CSV.
        table_labels: Its true labels, ``ImageId,Label``.
        pictures: The directory of pictures.
        picture_labels: Their true labels, ``picture,label``.
    """

    table: Path
    table_labels: Path
    pictures: Path
    picture_labels: Path


def write_samples(
    out: Path, dataset: Dataset, *, pictures: int = 12, rows: int = 1000, seed: int = 42
) -> Samples:
    """Writes a table and pictures drawn from the test part of a dataset; no digit is in both.

    Args:
        out: The directory; made if missing. Files of an earlier call are replaced.
        dataset: Must have a test part.
        pictures: How many pictures: by turns a plain 28×28 MNIST image, a scan and a photograph. The first
            ten show ten different digits, if the test part has them.
        rows: How many rows of the table.
        seed: Chooses digits, paper, ink and noise; the same seed draws the same samples.

    Returns:
        Where they lie.

    Raises:
        InputError: The dataset has no test part, more was asked for than it holds, or ``out`` cannot be used.
        SetupError: Pillow is not installed.
    """
    test = dataset.test
    if test is None:
        raise InputError(f"{dataset.name}: has no test part to draw samples from; take the bundled MNIST")
    if pictures < 1 or rows < 1 or pictures + rows > len(test):
        raise InputError(f"{pictures} pictures, {rows} rows; expected 1 each, {len(test)} together at most")
    samples = Samples(out / "test.csv", out / "test-labels.csv", out / "pictures", out / "labels.csv")
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(test))
    shown = _one_of_each_first(test.labels, order)[:pictures]
    table = test.take(order[~np.isin(order, shown)][:rows])
    drawn = _draw_all(test.take(shown), rng)
    try:
        samples.pictures.mkdir(parents=True, exist_ok=True)
        others = {path.name for path in samples.pictures.iterdir()} - drawn.keys()
        if others:
            raise InputError(f"{samples.pictures}: holds {min(others)} as well; choose another directory")
        for name, content in drawn.items():
            write_atomically(samples.pictures / name, content)
        labels = test.labels[shown].tolist()
        write_csv(
            samples.picture_labels,
            [{"picture": name, "label": label} for name, label in zip(drawn, labels, strict=True)],
        )
        write_atomically(samples.table, format_kaggle(table.images))
    except OSError as error:
        raise InputError(f"{out}: cannot be written ({error.strerror}); choose another directory") from error
    write_submission(samples.table_labels, table.labels)
    return samples


def _one_of_each_first(labels: Labels, order: NDArray[np.int64]) -> NDArray[np.int64]:
    """Reorders rows so that each class comes once before any comes again."""
    seen = np.zeros(10, np.int64)
    turns = np.empty(len(order), np.int64)
    for position, label in enumerate(labels[order].tolist()):
        turns[position] = seen[label]
        seen[label] += 1
    return order[np.argsort(turns, kind="stable")]


def _draw_all(digits: Split, rng: np.random.Generator) -> dict[str, bytes]:
    """PNG files by name, in order."""
    styles: tuple[tuple[str, Callable[[_Digit, np.random.Generator], Image.Image]], ...] = (
        ("mnist", _plain),
        ("scan", _scan),
        ("photo", _photo),
    )
    width = max(2, len(str(len(digits))))
    drawn = {}
    for number, digit in enumerate(digits.images):
        style, draw = styles[number % len(styles)]
        content = io.BytesIO()
        draw(digit, rng).save(content, "PNG")
        drawn[f"{number + 1:0{width}}-{style}.png"] = content.getvalue()
    return drawn


def _plain(digit: _Digit, _rng: np.random.Generator) -> Image.Image:
    """The image as it is, 28×28, light on dark."""
    return _from_array(digit)


def _scan(digit: _Digit, rng: np.random.Generator) -> Image.Image:
    """Grey, evenly lit, sharp: dark ink on nearly white paper."""
    ink = _ink_on_sheet(digit, rng)
    paper, darkness = rng.uniform(238, 252), rng.uniform(20, 60)
    levels = paper + (darkness - paper) * ink + rng.normal(0, 1.5, ink.shape)
    return _from_array(_to_bytes(levels))


def _photo(digit: _Digit, rng: np.random.Generator) -> Image.Image:
    """Colour, light falling from one side, a soft lens and a noisy sensor: a pen on paper."""
    from PIL import ImageFilter

    ink = _ink_on_sheet(digit, rng)[..., None]
    paper = np.array([244, 238, 224]) + rng.normal(0, 4, 3)
    pen = np.array([(28, 36, 92), (30, 30, 34), (96, 30, 34)][rng.integers(3)])
    levels = (paper + (pen - paper) * ink) * _light(ink.shape[:2], rng)[..., None]
    picture = _from_array(_to_bytes(levels)).filter(ImageFilter.GaussianBlur(rng.uniform(0.5, 1.2)))
    return _from_array(_to_bytes(np.asarray(picture) + rng.normal(0, 4, levels.shape)))


def _ink_on_sheet(digit: _Digit, rng: np.random.Generator) -> _Grey:
    """How much ink covers each pixel of a sheet, 0 to 1: the digit enlarged, turned a little, moved about."""
    from PIL import Image, ImageFilter

    side = int(rng.integers(120, 260))
    pen = _from_array(digit).resize((side, side), Image.Resampling.BICUBIC)
    # Half a source pixel of blur takes the staircase out of slanted strokes.
    pen = pen.filter(ImageFilter.GaussianBlur(side / 28 / 2))
    pen = pen.rotate(rng.uniform(-8, 8), Image.Resampling.BICUBIC)
    height, width = (rng.uniform(1.15, 1.6, 2) * side).astype(int)
    sheet = np.zeros((height, width), np.float32)
    top, left = (int(rng.integers(0, free + 1)) for free in (height - side, width - side))
    sheet[top : top + side, left : left + side] = np.asarray(pen, np.float32) / 255
    # A steeper slope around 0.4 turns the blur into a pen's edge; 0.5 would thin the strokes.
    return np.asarray(np.clip((sheet - 0.4) * (side / 40) + 0.5, 0, 1), np.float32)


def _light(shape: tuple[int, ...], rng: np.random.Generator) -> _Grey:
    """Brightness of the sheet ``(H, W)``: full at one edge, up to a fifth less at the other."""
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[-0.5 : 0.5 : shape[0] * 1j, -0.5 : 0.5 : shape[1] * 1j]
    slope = x * np.cos(angle) + y * np.sin(angle)
    return np.asarray(1 - rng.uniform(0.1, 0.2) * (slope - slope.min()), np.float32)


def _to_bytes(levels: NDArray[np.floating]) -> NDArray[np.uint8]:
    return np.asarray(np.rint(np.clip(levels, 0, 255)), np.uint8)


def _from_array(levels: NDArray[np.uint8]) -> Image.Image:
    try:
        from PIL import Image
    except ImportError as error:
        raise SetupError("drawing pictures needs Pillow; pip install pillow") from error
    return Image.fromarray(levels)
