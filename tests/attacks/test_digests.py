"""Attacks on the bytes: whatever differs from the manifest by as much as a bit is refused."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from digits_edge.runtime import BundleError, IntegrityError, read_bundle

if TYPE_CHECKING:
    from tests.attacks.conftest import Forger

Refused = Callable[..., dict[str, Any]]


def test_a_byte_more(forger: Forger, refused: Refused) -> None:
    content = forger.model.read_bytes()
    forger.model.write_bytes(content + b"\0")
    refused(forger.path, IntegrityError, rf"model\.onnx: more than {len(content)} bytes")


@pytest.mark.parametrize("kept", [0, 1, -1])
def test_bytes_missing(forger: Forger, refused: Refused, kept: int) -> None:
    content = forger.model.read_bytes()
    forger.model.write_bytes(content[:kept])
    refused(
        forger.path,
        IntegrityError,
        rf"model\.onnx: {len(content[:kept])} bytes; the manifest says {len(content)}",
    )


def test_a_size_that_was_changed(forger: Forger, refused: Refused) -> None:
    size = forger.values()["model"]["size"]
    refused(
        forger.declare(model_size=size + 1), IntegrityError, f"{size} bytes; the manifest says {size + 1}"
    )


@pytest.mark.parametrize("which", ["model", "golden"])
def test_a_size_that_would_fill_the_memory(forger: Forger, refused: Refused, which: str) -> None:
    answer = refused(
        forger.declare(**{f"{which}_size": 2**62}), IntegrityError, f"{2**62} bytes by the manifest"
    )
    assert answer["grown"] < 16


def test_a_large_size_takes_no_more_memory_than_the_file(forger: Forger, refused: Refused) -> None:
    answer = refused(forger.declare(model_size=200 << 20), IntegrityError, "the manifest says")
    assert answer["grown"] < 16


def test_a_file_far_larger_than_declared(forger: Forger, refused: Refused) -> None:
    with forger.model.open("r+b") as file:
        file.truncate(1 << 40)  # takes no room on the disk
    answer = refused(forger.path, IntegrityError, "more than")
    assert answer["grown"] < 16


def test_a_digest_that_was_changed(forger: Forger, refused: Refused) -> None:
    refused(
        forger.declare(model_sha256="0" * 64), IntegrityError, r"SHA-256 \w{12}…; the manifest says 0{12}…"
    )


def test_the_files_swapped(forger: Forger, refused: Refused) -> None:
    model, golden = forger.model.read_bytes(), forger.golden.read_bytes()
    forger.model.write_bytes(golden)
    forger.golden.write_bytes(model)
    refused(forger.path, IntegrityError, "the manifest says")


def test_one_byte_changed_at_100_places_of_the_model(forger: Forger, refused: Refused) -> None:
    content = forger.model.read_bytes()
    choose = random.Random(42)
    for _ in range(100):
        damaged = bytearray(content)
        damaged[choose.randrange(len(content))] ^= choose.randrange(1, 256)
        forger.model.write_bytes(damaged)
        refused(forger.path, IntegrityError, r"model\.onnx: SHA-256")


def test_one_bit_changed_anywhere_in_the_golden_answers(forger: Forger) -> None:
    content = forger.golden.read_bytes()
    for place in range(0, len(content), 41):
        damaged = bytearray(content)
        damaged[place] ^= 1 << place % 8
        forger.golden.write_bytes(damaged)
        with pytest.raises(IntegrityError, match=r"golden\.npz: SHA-256"):
            read_bundle(forger.path)


def test_one_bit_changed_anywhere_in_the_manifest(forger: Forger) -> None:
    content = forger.manifest.read_bytes()
    sound = read_bundle(forger.path)
    for place in range(len(content)):
        damaged = bytearray(content)
        damaged[place] ^= 1 << place % 8
        forger.manifest.write_bytes(damaged)
        try:
            bundle = read_bundle(forger.path)
        except BundleError:
            continue
        # A name, a tolerance, a provenance may become another; what is run may not.
        assert (bundle.model, bundle.manifest.model) == (sound.model, sound.manifest.model)
        assert bundle.manifest.labels == sound.manifest.labels
