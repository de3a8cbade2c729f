"""Reading a bundle: what is verified is what is handed on."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import zipfile
from dataclasses import FrozenInstanceError
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from digits_edge.runtime import (
    Bundle,
    BundleNotFoundError,
    Format,
    Golden,
    IntegrityError,
    Precision,
    Recognizer,
    default_bundle,
    read_bundle,
)

Logits = NDArray[np.float32]


@pytest.fixture
def copied(tiny: Path, tmp_path: Path) -> Path:
    return shutil.copytree(tiny, tmp_path / "bundle")


def test_the_bytes_handed_on_are_those_of_the_files(tiny: Path) -> None:
    bundle = read_bundle(tiny)
    assert bundle.model == (tiny / "model.onnx").read_bytes()
    assert hashlib.sha256(bundle.model).hexdigest() == bundle.manifest.model.sha256
    assert bundle.golden.images.shape == (40, 28, 28)
    assert bundle.golden.logits.shape == (40, 10)


def test_it_is_read_once_and_needs_no_file_afterwards(copied: Path) -> None:
    bundle = read_bundle(copied)
    before = bundle.model
    shutil.rmtree(copied)
    assert bundle.model == before
    with pytest.raises(FrozenInstanceError):
        bundle.model = b""  # type: ignore[misc]


def test_the_default_bundle_ships_with_the_package() -> None:
    bundle = read_bundle(default_bundle())
    assert (bundle.manifest.format, bundle.manifest.precision) == (Format.ONNX, Precision.INT8)


@pytest.mark.parametrize("as_what", [str, Path, os.fspath])
def test_a_path_may_be_of_any_kind(tiny: Path, as_what: type) -> None:
    assert isinstance(read_bundle(as_what(tiny)), Bundle)


def test_a_link_to_a_bundle_is_followed(copied: Path, tmp_path: Path) -> None:
    (tmp_path / "current").symlink_to(copied)
    assert read_bundle(tmp_path / "current").manifest.name == "tiny"


@pytest.mark.parametrize(
    "place",
    ["missing", "missing/further", "x" * 300, "a\0b", "", "bundle/model.onnx", "bundle/model.onnx/further"],
)
def test_where_there_is_no_bundle(copied: Path, tmp_path: Path, place: str) -> None:
    with pytest.raises(
        BundleNotFoundError, match=r"no bundle there .* make one with `digits-edge export`"
    ) as refused:
        Recognizer.load(tmp_path / place)
    assert refused.value.exit_code == 2


def test_a_folder_without_manifest(copied: Path) -> None:
    (copied / "manifest.json").unlink()
    with pytest.raises(BundleNotFoundError, match=r"manifest\.json is missing"):
        read_bundle(copied)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
@pytest.mark.parametrize("name", ["model.onnx", "golden.npz", "manifest.json"])
def test_a_file_one_may_not_read(copied: Path, name: str) -> None:
    (copied / name).chmod(0)
    with pytest.raises(IntegrityError, match=f"{name}: not readable"):
        read_bundle(copied)


def test_a_refusal_names_bundle_and_file(copied: Path) -> None:
    (copied / "model.onnx").unlink()
    with pytest.raises(IntegrityError) as refused:
        read_bundle(copied)
    assert str(refused.value).startswith(f"{copied}: model.onnx: not readable (No such file")


def test_no_descriptor_is_left_open(copied: Path) -> None:
    if not Path("/proc/self/fd").exists():
        pytest.skip("no /proc")
    (copied / "golden.npz").unlink()
    (copied / "golden.npz").mkdir()
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        with pytest.raises(IntegrityError):
            read_bundle(copied)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


# ── Golden answers ─────────────────────────────────────────────────────────────────────────────────────────


def test_golden_answers_round_trip(digits: NDArray[np.uint8]) -> None:
    logits = np.random.default_rng(0).normal(size=(7, 10)).astype(np.float32)
    golden = Golden.from_npz(Golden(digits[:7], logits).to_npz())
    np.testing.assert_array_equal(golden.images, digits[:7])
    np.testing.assert_array_equal(golden.logits, logits)


def npz(**arrays: object) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)  # type: ignore[arg-type]
    return file.getvalue()


IMAGES = np.zeros((3, 28, 28), np.uint8)
LOGITS: Logits = np.zeros((3, 10), np.float32)


@pytest.mark.parametrize(
    ("images", "logits", "complaint"),
    [
        (IMAGES[:0], LOGITS[:0], r"golden images are uint8 \(0, 28, 28\)"),
        (IMAGES[0], LOGITS, r"golden images are uint8 \(28, 28\)"),
        (IMAGES[..., None], LOGITS, r"golden images are uint8 \(3, 28, 28, 1\)"),
        (IMAGES.astype(np.float32), LOGITS, "golden images are float32"),
        (np.uint8(3), LOGITS, r"golden images are uint8 \(\)"),
        (IMAGES, LOGITS[:2], r"golden logits are float32 \(2, 10\)"),
        (IMAGES, LOGITS[:, :9], r"golden logits are float32 \(3, 9\)"),
        (IMAGES, LOGITS.astype(np.float64), "golden logits are float64"),
        (IMAGES, LOGITS + np.nan, "golden logits are not finite"),
        (IMAGES, LOGITS + np.inf, "golden logits are not finite"),
    ],
)
def test_golden_answers_of_another_form(images: NDArray[np.uint8], logits: Logits, complaint: str) -> None:
    with pytest.raises(IntegrityError, match=complaint):
        Golden.from_npz(npz(images=images, logits=logits))


@pytest.mark.parametrize(
    ("arrays", "complaint"),
    [
        ({"images": IMAGES}, r"hold 'images\.npy'; expected images\.npy, logits\.npy"),
        ({"logits": LOGITS}, r"hold 'logits\.npy'"),
        ({}, "hold ''"),
        ({"images": IMAGES, "logits": LOGITS, "more": LOGITS}, r"images\.npy, logits\.npy, more\.npy"),
    ],
)
def test_golden_answers_of_other_arrays(arrays: dict[str, object], complaint: str) -> None:
    with pytest.raises(IntegrityError, match=complaint):
        Golden.from_npz(npz(**arrays))


def test_members_that_are_no_arrays() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("images.npy", b"no array")
        archive.writestr("logits.npy", b"no array")
    with pytest.raises(IntegrityError, match="golden images are"):
        Golden.from_npz(file.getvalue())
