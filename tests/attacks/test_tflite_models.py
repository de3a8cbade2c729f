"""Attacks by TFLite files. All are refused before LiteRT, a native parser, has seen a byte."""

from __future__ import annotations

import struct
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from digits_edge.runtime import UnsafeModelError
from digits_edge.runtime.modelfile import check_tflite

if TYPE_CHECKING:
    from tests.attacks.conftest import Device, Forger

Refused = Callable[..., dict[str, Any]]

REFUSED = {
    "custom-operator": "custom operator",
    "second-graph": "holds 2 graphs",
    "external-buffers": r"external buffers\)",
    "weights-behind": "behind the model's own bytes",
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_that_asks_for_more_than_its_bytes(
    tflite_forger: Forger, refused: Refused, hostile: Path, name: str
) -> None:
    bundle = tflite_forger.seal(model=(hostile / f"{name}.tflite").read_bytes())
    refused(bundle, UnsafeModelError, REFUSED[name])


def test_every_file_is_tested_here(hostile: Path) -> None:
    assert {file.stem for file in hostile.glob("*.tflite")} == set(REFUSED)


def test_the_model_that_is_forged_here_is_sound(tflite_forger: Forger) -> None:
    check_tflite(tflite_forger.model.read_bytes())


# ── FlatBuffers by hand ────────────────────────────────────────────────────────────────────────────────────


def u32(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}I", *values)


def table(*slots: int) -> bytes:
    """A vtable with the offsets of fields, and behind it a table of 16 bytes that uses it."""
    entries = struct.pack(f"<{len(slots) + 2}H", 4 + 2 * len(slots), 20, *slots)
    entries += bytes(-len(entries) % 4)
    return entries + struct.pack("<i", len(entries))


START = b"TFL3"


def rooted(body: bytes, root: int) -> bytes:
    """A file with its root table at a place in the body."""
    return u32(8 + root) + START + body


VTABLE = table(
    0, 4, 8
)  # version absent, operator codes at 4, graphs at 8; the table itself begins 4 before the end
ROOT = len(VTABLE) - 4

NO_MODELS: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "TFL3 is missing"),
    "the identifier alone": (bytes(4) + START, "no operators"),
    "text": (b"this is no model", "TFL3 is missing"),
    "a root far away": (u32(1 << 30) + START + bytes(100), "damaged"),
    "a root at the very end": (u32(106) + START + bytes(100), "damaged"),
    "zeros": (u32(8) + START + bytes(100), "lists no operators|damaged"),
    "a vtable before the file": (rooted(struct.pack("<i", 1000) + bytes(50), 0), "points before the file"),
    "a vtable behind the file": (rooted(struct.pack("<i", -(1 << 30)) + bytes(50), 0), "damaged"),
    "a vtable that is its table": (rooted(struct.pack("<i", 0) + bytes(50), 0), "lists no operators"),
    "no operators": (rooted(table(0) + bytes(50), 4), "lists no operators|damaged"),
    "a list far away": (rooted(VTABLE + u32(1 << 31, 1 << 31) + bytes(50), ROOT), "damaged"),
    "a list of 4 billion": (rooted(VTABLE + u32(8, 4, 0xFFFFFFFF) + bytes(50), ROOT), "a list of 4294967295"),
    "a list longer than the file": (rooted(VTABLE + u32(8, 4, 5000) + bytes(50), ROOT), "damaged"),
    "a list of itself": (rooted(VTABLE + u32(0, 0) + bytes(50), ROOT), "damaged|no operators|graphs"),
    "operators that are their own vtable": (
        rooted(VTABLE + u32(8, 4, 2, 0, 0) + bytes(50), ROOT),
        "damaged|no operators|graphs",
    ),
}


@pytest.mark.parametrize("case", NO_MODELS)
def test_what_is_no_model(tflite_forger: Forger, refused: Refused, case: str) -> None:
    content, complaint = NO_MODELS[case]
    with pytest.raises(UnsafeModelError, match=complaint):
        check_tflite(content)
    if content:  # an empty file cannot be declared
        refused(tflite_forger.seal(model=content), UnsafeModelError, complaint)


def test_it_is_cut_off_anywhere(tflite_forger: Forger, device: Device) -> None:
    content = tflite_forger.model.read_bytes()
    accepted = []
    for length in range(len(content)):
        try:
            check_tflite(content[:length])
        except UnsafeModelError:
            continue
        accepted.append(length)
    # Parts that this check does not judge lie at the end; LiteRT verifies them.
    if find_spec("ai_edge_litert") and accepted:
        for length in {accepted[0], accepted[len(accepted) // 2], accepted[-1]}:
            assert device.ask(tflite_forger.seal(model=content[:length]))["error"] == "EngineError"


def test_offsets_that_point_anywhere(tflite_forger: Forger) -> None:
    content = tflite_forger.model.read_bytes()
    targets = [0, 1, 4, 8, len(content) - 4, len(content), 1 << 31, 0xFFFFFFFF]
    for place in range(0, len(content) - 4, 4):
        for target in (*targets, (0x100000000 - place) & 0xFFFFFFFF):  # the last one points back to the start
            damaged = content[:place] + u32(target) + content[place + 4 :]
            try:
                check_tflite(damaged)
            except UnsafeModelError:
                continue


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=300), st.integers(0, 400))
def test_any_bytes_are_taken_or_refused(content: bytes, root: int) -> None:
    for model in (content, u32(root) + START + content):
        try:
            check_tflite(model)
        except UnsafeModelError:
            continue


@settings(max_examples=500, deadline=None)
@given(words=st.lists(st.integers(0, 40) | st.integers(2**32 - 40, 2**32 - 1), max_size=40))
def test_any_tangle_of_offsets_is_taken_or_refused(words: list[int]) -> None:
    try:
        check_tflite(u32(8) + START + u32(*words))
    except UnsafeModelError:
        return
