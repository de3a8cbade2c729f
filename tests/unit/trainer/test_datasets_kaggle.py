"""Kaggle's CSV: read as it is, or refused with the place named."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from digits_edge.trainer.datasets import Dataset, Images, Labels, load_dataset, read_images
from digits_edge.trainer.datasets.kaggle import format_kaggle, read_kaggle
from digits_edge.trainer.errors import DataError

Table = list[list[str]]

in_one_directory = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="module")
def mnist() -> Dataset:
    return load_dataset()


@pytest.fixture
def table(mnist: Dataset) -> Table:
    """The cells of a labelled table of five digits; row 0 is the header."""
    few = mnist.train.take(np.arange(5))
    return [line.split(",") for line in format_kaggle(few.images, few.labels).decode().splitlines()]


def write(path: Path, table: Table) -> Path:
    path.write_text("".join(",".join(row) + "\n" for row in table))
    return path


def test_kaggle_directory(tmp_path: Path, mnist: Dataset) -> None:
    assert mnist.test is not None
    train, test = mnist.train.take(np.arange(40)), mnist.test.images[:7]
    (tmp_path / "train.csv").write_bytes(format_kaggle(train.images, train.labels))
    (tmp_path / "test.csv").write_bytes(format_kaggle(test))
    for source in (tmp_path, tmp_path / "train.csv"):
        data = load_dataset(source)
        assert data.train.digest() == train.digest()
        assert data.test is None
        assert data.unlabelled is not None
        np.testing.assert_array_equal(data.unlabelled, test)


def test_train_csv_alone_is_enough(tmp_path: Path, table: Table) -> None:
    data = load_dataset(write(tmp_path / "mine.csv", table))
    assert len(data.train) == 5
    assert data.test is None
    assert data.unlabelled is None


def test_a_labelled_test_csv_is_the_test_part(tmp_path: Path, mnist: Dataset, table: Table) -> None:
    assert mnist.test is not None
    write(tmp_path / "train.csv", table)
    test = mnist.test.take(np.arange(9))
    (tmp_path / "test.csv").write_bytes(format_kaggle(test.images, test.labels))
    data = load_dataset(tmp_path)
    assert data.test is not None
    assert data.test.digest() == test.digest()
    assert data.unlabelled is None


def test_an_unlabelled_table_cannot_be_trained_on(tmp_path: Path, mnist: Dataset) -> None:
    (tmp_path / "train.csv").write_bytes(format_kaggle(mnist.train.images[:3]))
    with pytest.raises(DataError, match=r"train\.csv: row 1: column 'label' missing"):
        load_dataset(tmp_path)


def test_images_to_classify_keep_their_labels(tmp_path: Path, mnist: Dataset, table: Table) -> None:
    labelled = write(tmp_path / "known.csv", table)
    unlabelled = tmp_path / "test.csv"
    unlabelled.write_bytes(format_kaggle(mnist.train.images[:2]))

    known = read_images(labelled)
    assert known.labels is not None
    np.testing.assert_array_equal(known.labels, mnist.train.labels[:5])
    np.testing.assert_array_equal(known.images, mnist.train.images[:5])
    unknown = read_images(unlabelled)
    assert unknown.labels is None
    assert unknown.names == ("test.csv#1", "test.csv#2")
    # Accuracy over a part of the images would pass for accuracy over all.
    assert read_images(labelled, unlabelled).labels is None
    both = read_images(labelled, labelled)
    assert both.labels is not None
    assert len(both) == len(both.names) == len(both.labels) == 10


@in_one_directory
@given(
    images=arrays.arrays(np.uint8, st.tuples(st.integers(1, 4), st.just(28), st.just(28))),
    data=st.data(),
)
def test_what_is_written_is_read_back(tmp_path: Path, images: np.ndarray, data: st.DataObject) -> None:
    labels = data.draw(st.none() | arrays.arrays(np.uint8, len(images), elements=st.integers(0, 9)))
    path = tmp_path / "any.csv"
    path.write_bytes(format_kaggle(images, labels))
    read, read_labels = read_kaggle(path)
    np.testing.assert_array_equal(read, images)
    if labels is None:
        assert read_labels is None
    else:
        np.testing.assert_array_equal(read_labels, labels)


@in_one_directory
@given(order=st.permutations(range(785)))
def test_columns_in_any_order(tmp_path: Path, order: list[int], mnist: Dataset) -> None:
    few = mnist.train.take(np.arange(5))
    rows = [line.split(",") for line in format_kaggle(few.images, few.labels).decode().splitlines()]
    images, labels = read_kaggle(
        write(tmp_path / "any.csv", [[row[column] for column in order] for row in rows])
    )
    np.testing.assert_array_equal(images, few.images)
    np.testing.assert_array_equal(labels, few.labels)


VARIANTS: dict[str, Callable[[str], bytes]] = {
    "byte order mark": lambda text: b"\xef\xbb\xbf" + text.encode(),
    "CRLF": lambda text: text.replace("\n", "\r\n").encode(),
    "CR": lambda text: text.replace("\n", "\r").encode(),
    "byte order mark and CRLF": lambda text: text.replace("\n", "\r\n").encode("utf-8-sig"),
    "no newline at the end": lambda text: text.rstrip("\n").encode(),
    "empty lines at the end": lambda text: (text + "\n\n").encode(),
    "everything quoted": lambda text: re.sub(r"([^,\n]+)", r'"\1"', text).encode(),
    "spaces after commas": lambda text: (
        text[: text.index("\n")] + text[text.index("\n") :].replace(",", ", ")
    ).encode(),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_dialects(tmp_path: Path, mnist: Dataset, table: Table, variant: str) -> None:
    path = write(tmp_path / "table.csv", table)
    path.write_bytes(VARIANTS[variant](path.read_text()))
    images, labels = read_kaggle(path)
    np.testing.assert_array_equal(images, mnist.train.images[:5])
    np.testing.assert_array_equal(labels, mnist.train.labels[:5])


BAD_CELLS = [
    "256",
    "-1",
    "abc",
    "1.5",
    "1.0",
    "1e1",
    "",
    " ",
    "NaN",
    "NA",
    "0x10",
    "1_0",
    "99999999999999999999",
    "7\0",
    "\0" + "7",
    "٧",
]


@pytest.mark.parametrize("cell", BAD_CELLS)
def test_a_bad_pixel_is_named(tmp_path: Path, table: Table, cell: str) -> None:
    table[3][1 + 500] = cell
    with pytest.raises(DataError, match=r"table\.csv: row 4") as refused:
        read_kaggle(write(tmp_path / "table.csv", table))
    # Python 3.10's csv module stops at a NUL before it has found the column.
    assert "column pixel500" in str(refused.value) or "NUL" in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("label", ["10", "255", "-1", "seven", ""])
def test_a_bad_label_is_named(tmp_path: Path, table: Table, label: str) -> None:
    table[5][0] = label
    with pytest.raises(DataError, match=rf"row 6, column label: '{label}'; expected a whole number 0-9"):
        read_kaggle(write(tmp_path / "table.csv", table))


def test_the_row_is_the_line_an_editor_shows(tmp_path: Path, table: Table) -> None:
    table[2][9] = "x"
    table.insert(1, [])
    with pytest.raises(DataError, match=r"row 4, column pixel8"):
        read_kaggle(write(tmp_path / "table.csv", table))


def encoded(table: Table) -> bytes:
    return "".join(",".join(row) + "\n" for row in table).encode()


def with_row(number: int, edit: Callable[[list[str]], list[str]]) -> Callable[[Table], bytes]:
    return lambda table: encoded([edit(row) if at == number else row for at, row in enumerate(table)])


def with_each_row(edit: Callable[[list[str]], list[str]], *, after: int = -1) -> Callable[[Table], bytes]:
    return lambda table: encoded([edit(row) if at > after else row for at, row in enumerate(table)])


def test_pandas_reads_the_same(tmp_path: Path, mnist: Dataset) -> None:
    import pandas as pd

    path = tmp_path / "train.csv"
    path.write_bytes(format_kaggle(mnist.train.images[:300], mnist.train.labels[:300]))
    images, labels = read_kaggle(path)
    frame = pd.read_csv(path)
    np.testing.assert_array_equal(labels, frame.pop("label"))
    np.testing.assert_array_equal(images.reshape(-1, 784), frame)


MALFORMED: dict[str, tuple[Callable[[Table], bytes], str]] = {
    "row too short": (with_row(2, lambda row: row[:-1]), "row 3 is too short: 784 values; expected 785"),
    "row too long": (with_row(2, lambda row: [*row, "0"]), "row 3 is too long: 786 values; expected 785"),
    "all rows too short": (with_each_row(lambda row: row[:-1], after=0), "row 2 is too short"),
    "all rows too long": (with_each_row(lambda row: [*row, "0"], after=0), "row 2 is too long"),
    "cut off in the middle": (lambda table: encoded(table)[:-700], "row 6 is too short"),
    "column missing": (with_each_row(lambda row: row[:7] + row[8:]), "row 1: column 'pixel6' missing"),
    "columns missing": (with_each_row(lambda row: row[:700]), "row 1: column 'pixel699' and 84 more missing"),
    "column twice": (with_row(0, lambda row: [*row, "pixel5"]), "row 1: column 'pixel5' there twice"),
    "label twice": (with_row(0, lambda row: [*row, "label"]), "row 1: column 'label' there twice"),
    "column unknown": (with_each_row(lambda row: [*row, "1"]), "row 1: column '1' unknown"),
    "no header": (lambda table: encoded(table[1:]), "row 1 begins '5,0,0,0"),
    "empty file": (lambda _table: b"", "empty file"),
    "header only": (lambda table: encoded(table[:1]), "no rows below the header"),
    "header and empty lines": (lambda table: encoded(table[:1]) + b"\n\n", "no rows below the header"),
    "NUL in the header": (lambda table: b"\0" + encoded(table), "row 1"),
    "NULs only": (lambda _table: b"\0" * 5000, "row 1"),
    "not UTF-8": (
        lambda table: encoded(table[:3]) + b"\xff" + encoded(table[3:]),
        "row 4: byte 0xff; expected UTF-8",
    ),
    "UTF-16": (lambda table: encoded(table).decode().encode("utf-16"), "row 1: byte 0xff; expected UTF-8"),
    "semicolons": (lambda table: encoded(table).replace(b",", b";"), "row 1 begins 'label;pixel0"),
    "a quote left open": (with_row(1, lambda row: [*row[:4], '"0', *row[5:]]), "row"),
    "a picture": (lambda _table: b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "row 1"),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_tables_are_refused(tmp_path: Path, table: Table, case: str) -> None:
    damage, complaint = MALFORMED[case]
    path = tmp_path / "train.csv"
    path.write_bytes(damage(table))
    with pytest.raises(DataError, match=re.escape(complaint)) as refused:
        load_dataset(tmp_path)
    assert str(refused.value).startswith(str(path))
    assert refused.value.exit_code == 2


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 20_000), junk=st.binary(min_size=1, max_size=4), cut=st.booleans())
def test_damage_anywhere_is_refused_or_harmless(
    tmp_path: Path, mnist: Dataset, place: int, junk: bytes, cut: bool
) -> None:
    few = mnist.train.take(np.arange(5))
    raw = format_kaggle(few.images, few.labels)
    path = tmp_path / "table.csv"
    path.write_bytes(raw[:place] + junk + (b"" if cut else raw[place + len(junk) :]))
    read = read_or_refusal(path)
    if isinstance(read, str):
        assert re.match(rf"{re.escape(str(path))}: (row \d|no rows|not a CSV)", read)
    else:
        images, labels = read
        assert labels is not None
        assert images.shape == (len(labels), 28, 28)
        assert labels.max() <= 9


def read_or_refusal(path: Path) -> tuple[Images, Labels | None] | str:
    try:
        return read_kaggle(path)
    except DataError as refused:
        return str(refused)
