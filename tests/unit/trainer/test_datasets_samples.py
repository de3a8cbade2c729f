"""Samples for a new user, and the submission that answers them."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from digits_edge.cli.samples import samples as samples_command
from digits_edge.runtime.errors import InputError
from digits_edge.trainer.datasets import (
    Dataset,
    Images,
    Labels,
    load_dataset,
    read_images,
    write_samples,
    write_submission,
)


@pytest.fixture(scope="module")
def mnist() -> Dataset:
    return load_dataset()


def answers(path: Path) -> dict[str, int]:
    with path.open(newline="") as file:
        name, label = next(reader := csv.reader(file))
        assert (name, label) in (("picture", "label"), ("ImageId", "Label"))
        return {row[0]: int(row[1]) for row in reader}


def nearest_labels(images: Images, mnist: Dataset) -> Labels:
    """The label of the training image that is nearest in Euclidean distance."""
    known = mnist.train.images.reshape(-1, 784)[::4].astype(np.float32)
    asked = images.reshape(-1, 784).astype(np.float32)
    distances = np.square(known).sum(axis=1) - 2 * asked @ known.T
    nearest: Labels = mnist.train.labels[::4][distances.argmin(axis=1)]
    return nearest


def test_the_table_is_kaggle_s_and_its_answers_are_true(tmp_path: Path, mnist: Dataset) -> None:
    written = write_samples(tmp_path, mnist, pictures=3, rows=200, seed=1)
    header = written.table.read_text().split("\n", 1)[0].split(",")
    assert header == [f"pixel{number}" for number in range(784)]
    digits = read_images(written.table)
    assert (len(digits), digits.labels) == (200, None)

    labels = answers(written.table_labels)
    assert list(labels) == [str(number) for number in range(1, 201)]
    assert mnist.test is not None
    label_of = {
        image.tobytes(): int(label) for image, label in zip(mnist.test.images, mnist.test.labels, strict=True)
    }
    assert [label_of[image.tobytes()] for image in digits.images] == list(labels.values())
    assert len({image.tobytes() for image in digits.images}) == 200


def test_the_pictures_can_be_recognised(tmp_path: Path, mnist: Dataset) -> None:
    written = write_samples(tmp_path, mnist, pictures=60, rows=1, seed=1)
    digits = read_images(written.pictures)
    labels = answers(written.picture_labels)
    assert [Path(name).name for name in digits.names] == list(labels)
    right = nearest_labels(digits.images, mnist) == np.array(list(labels.values()))
    styles = np.array([Path(name).stem.split("-")[1] for name in digits.names])
    for style in ("mnist", "scan", "photo"):
        assert right[styles == style].sum() >= 16  # of 20
    assert right.mean() >= 0.85


def test_pictures_look_like_what_a_user_has(tmp_path: Path, mnist: Dataset) -> None:
    written = write_samples(tmp_path, mnist, pictures=12, rows=1)
    paths = sorted(written.pictures.iterdir())
    assert len(paths) == 12
    assert {mode: sum(f"-{mode}" in path.name for path in paths) for mode in ("mnist", "scan", "photo")} == {
        "mnist": 4,
        "scan": 4,
        "photo": 4,
    }
    for path in paths:
        picture = Image.open(path)
        levels = np.asarray(picture.convert("L"))
        if "mnist" in path.name:
            assert picture.size == (28, 28)
            assert np.median(levels) == 0
        else:
            assert min(picture.size) > 100
            assert np.median(levels) > 150  # light paper
            assert levels.min() < 100  # dark ink
            assert picture.mode == ("RGB" if "photo" in path.name else "L")


def test_the_first_ten_show_ten_digits(tmp_path: Path, mnist: Dataset) -> None:
    labels = list(answers(write_samples(tmp_path, mnist, pictures=20, rows=1).picture_labels).values())
    assert sorted(labels[:10]) == sorted(labels[10:]) == list(range(10))


def test_no_digit_is_in_both(tmp_path: Path, mnist: Dataset) -> None:
    written = write_samples(tmp_path, mnist, pictures=3, rows=9_997)
    table = {image.tobytes() for image in read_images(written.table).images}
    assert read_images(written.pictures / "01-mnist.png").images[0].tobytes() not in table


def test_the_seed_decides(tmp_path: Path, mnist: Dataset) -> None:
    def content(name: str, seed: int) -> dict[str, bytes]:
        write_samples(tmp_path / name, mnist, pictures=6, rows=20, seed=seed)
        return {
            str(path.relative_to(tmp_path / name)): path.read_bytes()
            for path in (tmp_path / name).rglob("*")
            if path.is_file()
        }

    first, again, other = content("first", 1), content("again", 1), content("other", 2)
    assert first == again
    assert first.keys() == other.keys()
    assert all(first[name] != other[name] for name in first)


def test_written_twice_is_written_once(tmp_path: Path, mnist: Dataset) -> None:
    for _ in range(2):
        written = write_samples(tmp_path, mnist, pictures=6, rows=20)
    assert len(read_images(written.pictures)) == len(answers(written.picture_labels)) == 6


def test_pictures_of_others_are_left_alone(tmp_path: Path, mnist: Dataset) -> None:
    write_samples(tmp_path, mnist, pictures=6, rows=20)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError, match=r"06-photo\.png|04-mnist\.png"):
        write_samples(tmp_path, mnist, pictures=3, rows=20)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(("pictures", "rows"), [(0, 1), (1, 0), (1, 10_000), (-3, 5)])
def test_more_than_there_is_cannot_be_had(tmp_path: Path, mnist: Dataset, pictures: int, rows: int) -> None:
    with pytest.raises(InputError, match="10000 together at most"):
        write_samples(tmp_path / "out", mnist, pictures=pictures, rows=rows)
    assert not (tmp_path / "out").exists()


def test_without_a_test_part_there_are_no_samples(tmp_path: Path, mnist: Dataset) -> None:
    with pytest.raises(InputError, match="no test part"):
        write_samples(tmp_path, Dataset("mine", mnist.train), pictures=1, rows=1)


def test_a_file_in_the_way(tmp_path: Path, mnist: Dataset) -> None:
    (tmp_path / "out").write_text("in the way")
    with pytest.raises(InputError, match=r"out: cannot be written \("):
        write_samples(tmp_path / "out", mnist, pictures=1, rows=1)


def test_samples_command(tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(samples_command)
    out = tmp_path / "deep" / "samples"
    told = CliRunner().invoke(app, [str(out), "--pictures", "3", "--rows", "5"])
    assert told.exit_code == 0, told.output
    assert f"digits-edge predict {out / 'pictures'}" in told.output.replace("\n", "")
    assert len(read_images(out / "pictures")) == 3
    assert len(read_images(out / "test.csv")) == 5


def test_submission_is_kaggle_s(tmp_path: Path) -> None:
    path = tmp_path / "new" / "submission.csv"
    write_submission(path, np.array([7, 0, 9], np.uint8))
    assert path.read_bytes() == b"ImageId,Label\n1,7\n2,0\n3,9\n"
    write_submission(path, np.array([1], np.int64))
    assert path.read_bytes() == b"ImageId,Label\n1,1\n"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    "labels",
    [np.array([], np.uint8), np.array([10]), np.array([-1]), np.array([0.5]), np.zeros((2, 10), int)],
)
def test_no_submission_of_anything_but_digits(tmp_path: Path, labels: np.ndarray) -> None:
    with pytest.raises(InputError, match="expected"):
        write_submission(tmp_path / "submission.csv", labels)
    assert not list(tmp_path.iterdir())


def test_a_submission_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        write_submission(tmp_path / "file" / "submission.csv", np.array([1]))
    (tmp_path / "directory").mkdir()
    with pytest.raises(InputError, match="cannot be written"):
        write_submission(tmp_path / "directory", np.array([1]))
