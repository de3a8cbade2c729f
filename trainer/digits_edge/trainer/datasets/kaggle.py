"""Kaggle's CSV: a header ``label,pixel0,…,pixel783``, then a row an image; without ``label`` in test.csv."""

from __future__ import annotations

import csv
import io
import re
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from digits_edge.trainer.datasets.dataset import Images, Labels
from digits_edge.trainer.datasets.files import read_bytes
from digits_edge.trainer.errors import DataError

_SIDE = 28
_LABEL = "label"
_PIXELS = tuple(f"pixel{number}" for number in range(_SIDE * _SIDE))
_VALUES = tuple(str(value) for value in range(256))
_WHOLE_NUMBER = re.compile(r"\s*\+?0*([0-9]{1,3})\s*")
_EXPECTED_HEADER = "expected the header [label,]pixel0,…,pixel783"


def read_kaggle(path: Path) -> tuple[Images, Labels | None]:
    """Reads a Kaggle CSV. Columns may come in any order; each must be there once, and no other.

    numpy's own reader does it: the fastest of those measured on 28,000 rows, before ``pyarrow.csv`` with
    uint8 columns and ``pandas.read_csv(engine="pyarrow")``, and it has nothing to import.

    Args:
        path: UTF-8 text, with or without byte order mark, lines ended by LF or CRLF.

    Returns:
        uint8 ``(N, 28, 28)``, and uint8 ``(N,)`` or None where there is no column ``label``.

    Raises:
        DataError: The file is malformed; the message names the row (the header is row 1) and the column.
    """
    raw = read_bytes(path)
    try:
        with _text(raw) as lines:
            header = _parse_header(lines.readline(), path)
            table = _parse_rows(lines)
    except DataError:
        raise
    except (ValueError, Warning) as error:  # a cell, a row of another length, not UTF-8; or no rows at all
        raise _complaint(raw, path) from error
    if table.shape[1] != len(header):
        raise _complaint(raw, path)
    images = table[:, [header.index(name) for name in _PIXELS]].reshape(-1, _SIDE, _SIDE)
    if _LABEL not in header:
        return images, None
    labels = table[:, header.index(_LABEL)].copy()
    if labels.max() > 9:
        raise _complaint(raw, path)
    return images, labels


def format_kaggle(images: Images, labels: Labels | None = None) -> bytes:
    """The CSV that ``read_kaggle`` reads back.

    Args:
        images: uint8 ``(N, 28, 28)``.
        labels: uint8 ``(N,)``, or None to leave the column out.
    """
    table = images.reshape(len(images), -1)
    header = list(_PIXELS)
    if labels is not None:
        table, header = np.column_stack([labels, table]), [_LABEL, *header]
    rows = (",".join([_VALUES[value] for value in row]) for row in table.tolist())
    return "\n".join([",".join(header), *rows, ""]).encode()


def _text(raw: bytes) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(raw), encoding="utf-8-sig")


def _parse_header(line: str, path: Path) -> list[str]:
    try:
        header = next(csv.reader([line]), [])
    except csv.Error as error:
        raise DataError(f"{path}: row 1: {error}; {_EXPECTED_HEADER}") from error
    known = {_LABEL, *_PIXELS}
    findings = {
        "missing": [name for name in _PIXELS if name not in header],
        "there twice": [name for name, count in Counter(header).items() if count > 1 and name in known],
        "unknown": [name for name in header if name not in known],
    }
    if len(findings["missing"]) == len(_PIXELS):
        raise DataError(f"{path}: row 1 begins {line[:40].rstrip()!r}; {_EXPECTED_HEADER}")
    for what, names in findings.items():
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise DataError(f"{path}: row 1: column {names[0][:40]!r}{more} {what}; {_EXPECTED_HEADER}")
    return header


def _parse_rows(lines: io.TextIOWrapper) -> NDArray[np.uint8]:
    with warnings.catch_warnings():
        # Below 2.4 numpy only warns when it reads an integer by way of a float, and 256 becomes 0.
        warnings.simplefilter("error")
        return np.loadtxt(lines, np.uint8, delimiter=",", comments=None, quotechar='"', ndmin=2)


def _complaint(raw: bytes, path: Path) -> DataError:
    """Goes through a file that could not be read, row by row, for the place to name."""
    try:
        raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row = raw.count(b"\n", 0, error.start) + 1
        return DataError(f"{path}: row {row}: byte 0x{raw[error.start]:02x}; expected UTF-8; save it as that")
    with io.TextIOWrapper(io.BytesIO(raw), encoding="utf-8-sig", newline="") as lines:
        rows = csv.reader(lines)
        header = next(rows)
        count = 0
        try:
            for values in rows:
                if values:  # an empty line is no row, but counts in the number an editor shows
                    count += 1
                    if complaint := _complaint_about_row(values, header):
                        return DataError(f"{path}: row {rows.line_num}{complaint}")
        except csv.Error as error:
            return DataError(f"{path}: row {rows.line_num}: {error}; expected numbers and commas")
    if not count:
        return DataError(f"{path}: no rows below the header; expected at least one image")
    return DataError(f"{path}: not a CSV of whole numbers; write it again without quotes")


def _complaint_about_row(values: Sequence[str], header: Sequence[str]) -> str | None:
    if len(values) != len(header):
        what = "short" if len(values) < len(header) else "long"
        return f" is too {what}: {len(values)} values; expected {len(header)}, as in the header"
    for name, value in zip(header, values, strict=True):
        highest = 9 if name == _LABEL else 255
        number = _WHOLE_NUMBER.fullmatch(value)
        if number is None or int(number[1]) > highest:
            return f", column {name}: {value[:20]!r}; expected a whole number 0-{highest}"
    return None
