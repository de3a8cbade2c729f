"""From what ``--data`` was given to a Dataset."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from digits_edge.trainer.datasets.dataset import Dataset, Split
from digits_edge.trainer.datasets.files import is_directory
from digits_edge.trainer.datasets.idx import find_idx, read_idx_split
from digits_edge.trainer.datasets.kaggle import read_kaggle
from digits_edge.trainer.datasets.npz import read_npz
from digits_edge.trainer.errors import DataError

_ACCEPTED = (
    "expected a directory of IDX files (train-images-idx3-ubyte, …), a Kaggle directory or train.csv, "
    "or an .npz in Keras' layout; without --data the bundled MNIST is used"
)


def load_dataset(source: Path | None = None) -> Dataset:
    """Loads labelled digits.

    Args:
        source: None for the bundled MNIST (60,000 and 10,000 images), or

            - a directory of IDX files under their published names, gzipped or not; t10k may be absent;
            - a Kaggle directory with train.csv, or the path of such a file; a test.csv beside it becomes
              ``unlabelled``, or ``test`` where it has labels;
            - an ``.npz`` in the layout of ``keras.datasets.mnist``; the test part may be absent.

    Returns:
        The dataset, named by its source.

    Raises:
        DataError: The source is none of these, or malformed; the message names the file and the row.
    """
    if source is None:
        return _load_idx_directory(Path(str(files("digits_edge.trainer") / "data")), name="mnist")
    if is_directory(source, accepted=_ACCEPTED):
        return _load_directory(source)
    if source.suffix.lower() == ".csv":
        return _load_kaggle(source)
    if source.suffix.lower() == ".npz":
        return Dataset(str(source), *read_npz(source))
    raise DataError(f"{source}: a file of another kind; {_ACCEPTED}")


def _load_directory(directory: Path) -> Dataset:
    table = directory / "train.csv"
    has_idx = any(find_idx(directory, "train", kind) for kind in ("images", "labels"))
    if has_idx and table.is_file():
        raise DataError(f"{directory}: holds both IDX files and train.csv; give the path of train.csv itself")
    if has_idx:
        return _load_idx_directory(directory, name=str(directory))
    if table.is_file():
        return _load_kaggle(table)
    raise DataError(f"{directory}: holds neither train-images-idx3-ubyte[.gz] nor train.csv; {_ACCEPTED}")


def _load_idx_directory(directory: Path, *, name: str) -> Dataset:
    has_test = any(find_idx(directory, "t10k", kind) for kind in ("images", "labels"))
    return Dataset(
        name, read_idx_split(directory, "train"), read_idx_split(directory, "t10k") if has_test else None
    )


def _load_kaggle(table: Path) -> Dataset:
    images, labels = read_kaggle(table)
    if labels is None:
        raise DataError(f"{table}: row 1: column 'label' missing; expected Kaggle's train.csv or one like it")
    train = Split(images, labels)
    beside = table.with_name("test.csv")
    if beside == table or not beside.is_file():
        return Dataset(str(table), train)
    images, labels = read_kaggle(beside)
    if labels is None:
        return Dataset(str(table), train, unlabelled=images)
    return Dataset(str(table), train, test=Split(images, labels))
