"""Keras' mnist.npz layout."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from digits_edge.trainer.datasets import Dataset, load_dataset
from digits_edge.trainer.errors import DataError

Arrays = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def layout() -> Arrays:
    data = load_dataset()
    assert data.test is not None
    train, test = data.train.take(np.arange(30)), data.test.take(np.arange(20))
    return {"x_train": train.images, "y_train": train.labels, "x_test": test.images, "y_test": test.labels}


def save(path: Path | io.BytesIO, arrays: Arrays, *, packed: bool = False) -> None:
    (np.savez_compressed if packed else np.savez)(path, **cast(Any, arrays))


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("labels", [np.uint8, np.int32, np.int64])
def test_keras_layout(tmp_path: Path, layout: Arrays, packed: bool, labels: type) -> None:
    path = tmp_path / "mnist.npz"
    save(path, layout | {"y_train": layout["y_train"].astype(labels)}, packed=packed)
    data = load_dataset(path)
    assert data.test is not None
    np.testing.assert_array_equal(data.train.images, layout["x_train"])
    np.testing.assert_array_equal(data.train.labels, layout["y_train"])
    np.testing.assert_array_equal(data.test.images, layout["x_test"])
    np.testing.assert_array_equal(data.test.labels, layout["y_test"])


def test_test_part_may_be_absent(tmp_path: Path, layout: Arrays) -> None:
    np.savez(tmp_path / "mnist.npz", x_train=layout["x_train"], y_train=layout["y_train"])
    assert load_dataset(tmp_path / "mnist.npz").test is None


MALFORMED: dict[str, tuple[Callable[[Arrays], Arrays], str]] = {
    "float images": (lambda a: a | {"x_train": a["x_train"] / 255}, "x_train is float64; expected uint8"),
    "images of 14x56": (
        lambda a: a | {"x_train": a["x_train"].reshape(-1, 14, 56)},
        r"train part: images are",
    ),
    "flat images": (lambda a: a | {"x_test": a["x_test"].reshape(-1, 784)}, r"test part: images are"),
    "float labels": (
        lambda a: a | {"y_train": a["y_train"].astype(float)},
        "y_train is float64; expected integers",
    ),
    "one-hot labels": (
        lambda a: a | {"y_train": np.eye(10, dtype=int)[a["y_train"]]},
        r"train part: labels are",
    ),
    "a label too few": (lambda a: a | {"y_train": a["y_train"][1:]}, "30 images but 29 labels"),
    "label 10": (
        lambda a: a | {"y_train": np.array([*a["y_train"][:3], 10, *a["y_train"][4:]])},
        "row 4: label 10",
    ),
    "label 256": (lambda a: a | {"y_train": np.array([256, *a["y_train"][1:]])}, "y_train row 1: label 256"),
    "label -1": (lambda a: a | {"y_train": np.array([-1, *a["y_train"][1:]])}, "y_train row 1: label -1"),
    "no rows": (lambda a: {name: array[:0] for name, array in a.items()}, "no images"),
    "x_train missing": (lambda a: {"y_train": a["y_train"]}, "x_train missing"),
    "y_test missing": (lambda a: {name: a[name] for name in a if name != "y_test"}, "y_test missing"),
    "other names": (lambda a: {"images": a["x_train"]}, "x_train missing"),
    "pickled objects": (lambda a: a | {"y_train": a["y_train"].astype(object)}, "y_train cannot be read"),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_arrays_are_refused(tmp_path: Path, layout: Arrays, case: str) -> None:
    change, complaint = MALFORMED[case]
    path = tmp_path / "mnist.npz"
    save(path, change(layout))
    with pytest.raises(DataError, match=complaint) as refused:
        load_dataset(path)
    assert str(refused.value).startswith(str(path))


class _Bomb:
    def __reduce__(self) -> tuple[Callable[..., object], tuple[str, ...]]:
        return (pytest.fail, ("something was unpickled",))


def _zip(*names: str, content: bytes) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        for name in names:
            file.writestr(name, content)
    return archive.getvalue()


def _npy(array: np.ndarray) -> bytes:
    content = io.BytesIO()
    np.save(content, array)
    return content.getvalue()


IMAGES = _npy(np.zeros((9, 28, 28), np.uint8))

NO_ARCHIVES = {
    "empty": (b"", "empty file"),
    "text": (b"label,pixel0\n", "not an .npz archive"),
    "a pickle": (pickle.dumps(_Bomb()), "not an .npz archive"),
    "a single array": (_npy(np.zeros((2, 28, 28), np.uint8)), "not an .npz archive"),
    "a zip of something else": (_zip("train.csv", content=b"label"), "x_train missing"),
    "a pickle inside": (_zip("x_train.npy", "y_train.npy", content=pickle.dumps(_Bomb())), r"x_train is \|S"),
    "an array cut short": (_zip("x_train.npy", content=IMAGES[:500]), "x_train cannot be read"),
    "an array of 2^50 images": (
        # The header keeps its length: what the shape gains, the padding behind it loses.
        _zip(
            "x_train.npy",
            content=IMAGES.replace(b"(9, 28, 28), }" + b" " * 15, b"(1125899906842624, 28, 28), }"),
        ),
        "x_train cannot be read",
    ),
}


@pytest.mark.parametrize("case", NO_ARCHIVES)
def test_no_archive(tmp_path: Path, case: str) -> None:
    content, complaint = NO_ARCHIVES[case]
    path = tmp_path / "mnist.npz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=complaint) as refused:
        load_dataset(path)
    assert str(refused.value).startswith(str(path))


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1), junk=st.binary(min_size=1, max_size=4), cut=st.booleans(), packed=st.booleans())
def test_damage_anywhere_is_refused_or_harmless(
    tmp_path: Path, layout: Arrays, place: float, junk: bytes, cut: bool, packed: bool
) -> None:
    archive = io.BytesIO()
    save(archive, {"x_train": layout["x_train"][:2], "y_train": layout["y_train"][:2]}, packed=packed)
    raw = archive.getvalue()
    at = int(place * len(raw))
    path = tmp_path / "mnist.npz"
    path.write_bytes(raw[:at] + junk + (b"" if cut else raw[at + len(junk) :]))
    read = read_or_refusal(path)
    if isinstance(read, str):
        assert read.startswith(str(path))
    else:
        assert read.train.images.shape == (2, 28, 28)


def read_or_refusal(path: Path) -> Dataset | str:
    try:
        return load_dataset(path)
    except DataError as refused:
        return str(refused)
