"""Bundled MNIST, IDX files, and what ``--data`` may name."""

from __future__ import annotations

import gzip
import hashlib
import struct
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from digits_edge.trainer.datasets import Dataset, load_dataset, read_images
from digits_edge.trainer.errors import DataError

DATA = Path(str(files("digits_edge.trainer") / "data"))


def idx(array: np.ndarray) -> bytes:
    return bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


@pytest.fixture(scope="module")
def mnist() -> Dataset:
    return load_dataset()


@pytest.fixture
def published(tmp_path: Path, mnist: Dataset) -> Path:
    """A directory with the first 30 images of each part, under their published names."""
    assert mnist.test is not None
    for part, split in (("train", mnist.train), ("t10k", mnist.test)):
        (tmp_path / f"{part}-images-idx3-ubyte").write_bytes(idx(split.images[:30]))
        (tmp_path / f"{part}-labels-idx1-ubyte").write_bytes(idx(split.labels[:30]))
    return tmp_path


def test_bundled_mnist_is_mnist(mnist: Dataset) -> None:
    assert mnist.name == "mnist"
    assert mnist.test is not None
    assert (len(mnist.train), len(mnist.test)) == (60_000, 10_000)
    # The first labels of both parts, as shown on MNIST's page and in every tutorial since.
    assert mnist.train.labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert mnist.test.labels[:5].tolist() == [7, 2, 1, 0, 4]
    assert np.bincount(mnist.test.labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


def test_bundled_files_have_their_published_digests() -> None:
    digests = {
        name: digest for digest, name in map(str.split, (DATA / "SHA256SUMS").read_text().splitlines())
    }
    compressed = {path.name.removesuffix(".gz"): path for path in DATA.glob("*.gz")}
    assert digests.keys() == compressed.keys()
    for name, path in compressed.items():
        assert hashlib.sha256(gzip.decompress(path.read_bytes())).hexdigest() == digests[name], name


def test_licence_and_attribution_lie_beside_the_data() -> None:
    licence = (DATA / "LICENSE").read_text()
    for needed in ("LeCun", "Cortes", "Burges", "CC BY-SA 3.0", "creativecommons.org/licenses/by-sa/3.0"):
        assert needed in licence


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("dotted", [False, True])
def test_idx_directory(published: Path, mnist: Dataset, compressed: bool, dotted: bool) -> None:
    for path in list(published.iterdir()):
        name = path.name.replace("-idx", ".idx") if dotted else path.name
        content = path.read_bytes()
        path.unlink()
        (published / (name + ".gz" * compressed)).write_bytes(
            gzip.compress(content) if compressed else content
        )
    data = load_dataset(published)
    assert mnist.test is not None
    assert data.test is not None
    assert data.name == str(published)
    np.testing.assert_array_equal(data.train.images, mnist.train.images[:30])
    np.testing.assert_array_equal(data.train.labels, mnist.train.labels[:30])
    np.testing.assert_array_equal(data.test.images, mnist.test.images[:30])
    np.testing.assert_array_equal(data.test.labels, mnist.test.labels[:30])


def test_same_digits_have_the_same_digest_however_they_came(published: Path, mnist: Dataset) -> None:
    assert load_dataset(published).train.digest() == mnist.train.take(np.arange(30)).digest()


def test_test_part_may_be_absent(published: Path) -> None:
    for path in published.glob("t10k*"):
        path.unlink()
    assert load_dataset(published).test is None


MALFORMED: dict[str, tuple[str, Callable[[bytes], bytes], str]] = {
    "images wrong magic": (
        "train-images-idx3-ubyte",
        lambda raw: b"\0\0\x0d\3" + raw[4:],
        "magic number 00000d03",
    ),
    "labels where images belong": (
        "train-images-idx3-ubyte",
        lambda raw: b"\0\0\x08\1" + raw[4:],
        "magic number",
    ),
    "images empty": ("train-images-idx3-ubyte", lambda _raw: b"", "empty file"),
    "gzip of nothing": ("train-images-idx3-ubyte", lambda _raw: gzip.compress(b""), "magic number missing"),
    "images cut in the header": ("train-images-idx3-ubyte", lambda raw: raw[:9], "truncated in the header"),
    "images cut in row 3": (
        "train-images-idx3-ubyte",
        lambda raw: raw[: 16 + 2 * 784 + 5],
        "truncated in row 3",
    ),
    "images too long": ("train-images-idx3-ubyte", lambda raw: raw + b"\0", "too long"),
    "header promises 4 billion images": (
        "train-images-idx3-ubyte",
        lambda raw: raw[:4] + b"\xff" * 4 + raw[8:],
        "truncated in row 31",
    ),
    "damaged gzip": ("train-images-idx3-ubyte", lambda raw: gzip.compress(raw)[:-20], "damaged gzip"),
    "no images at all": (
        "train-images-idx3-ubyte",
        lambda raw: raw[:4] + b"\0" * 4 + raw[8:16],
        "0 images but 30",
    ),
    "images of another size": (
        "train-images-idx3-ubyte",
        lambda raw: raw[:4] + struct.pack(">3I", 30, 14, 56) + raw[16:],
        r"\(30, 14, 56\)",
    ),
    "a label less": (
        "train-labels-idx1-ubyte",
        lambda raw: raw[:4] + struct.pack(">I", 29) + raw[8:-1],
        "30 images but 29 labels",
    ),
    "label 10 in row 4": (
        "t10k-labels-idx1-ubyte",
        lambda raw: raw[:11] + b"\x0a" + raw[12:],
        "row 4: label 10",
    ),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_idx_names_the_file(published: Path, case: str) -> None:
    name, damage, complaint = MALFORMED[case]
    (published / name).write_bytes(damage((published / name).read_bytes()))
    with pytest.raises(DataError, match=complaint) as refused:
        load_dataset(published)
    assert name in str(refused.value)
    assert refused.value.exit_code == 2


@pytest.mark.parametrize("part", ["train", "t10k"])
@pytest.mark.parametrize("kind", ["images", "labels"])
def test_half_a_part_is_refused(published: Path, part: str, kind: str) -> None:
    next(published.glob(f"{part}-{kind}*")).unlink()
    with pytest.raises(DataError, match=f"{kind} of the {part} part missing"):
        load_dataset(published)


@pytest.mark.parametrize(
    "name", ["absent", "empty/", "notes.txt", "train-images-idx3-ubyte", "x" * 300, "a\0b"]
)
def test_anything_else_is_told_what_is_accepted(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("7")
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(np.zeros((1, 28, 28), np.uint8)))
    with pytest.raises(DataError, match=r"IDX files.*Kaggle.*\.npz"):
        load_dataset(tmp_path / name)


def test_two_layouts_in_one_directory_are_not_guessed_between(published: Path) -> None:
    (published / "train.csv").write_text("label")
    with pytest.raises(DataError, match="both"):
        load_dataset(published)


@pytest.mark.parametrize("compressed", [False, True])
def test_idx_images_can_be_classified(tmp_path: Path, mnist: Dataset, compressed: bool) -> None:
    path = tmp_path / "some-images"
    content = idx(mnist.train.images[:3])
    path.write_bytes(gzip.compress(content) if compressed else content)
    digits = read_images(path)
    np.testing.assert_array_equal(digits.images, mnist.train.images[:3])
    assert digits.names == ("some-images#1", "some-images#2", "some-images#3")
    assert digits.labels is None


@pytest.mark.parametrize("shape", [(0, 28, 28), (5, 10, 10)])
def test_idx_images_of_another_size_are_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    path = tmp_path / "images"
    path.write_bytes(idx(np.zeros(shape, np.uint8)))
    with pytest.raises(DataError, match=r"images: images of shape"):
        read_images(path)
