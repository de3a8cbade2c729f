"""Attacks by golden.npz: nothing is unpickled, nothing is unpacked without bounds."""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from digits_edge.runtime import Golden, IntegrityError

if TYPE_CHECKING:
    from tests.attacks.conftest import Forger

Refused = Callable[..., dict[str, Any]]


class _Payload:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self._mark = mark

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return (Path.touch, (self._mark,))


def npy(array: object) -> bytes:
    file = io.BytesIO()
    np.save(file, array)  # type: ignore[arg-type]
    return file.getvalue()


IMAGES, LOGITS = npy(np.zeros((3, 28, 28), np.uint8)), npy(np.zeros((3, 10), np.float32))


def archive(
    images: bytes = IMAGES, logits: bytes = LOGITS, *, method: int = zipfile.ZIP_DEFLATED, more: int = 0
) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as members:
        members.writestr("images.npy", images)
        members.writestr("logits.npy", logits)
        for number in range(more):
            members.writestr(f"{number}.npy", b"")
    return file.getvalue()


def header(shape: str, *, kind: str = "|u1") -> bytes:
    """The start of an .npy file that claims a shape."""
    text = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


def test_what_is_forged_here_is_sound() -> None:
    assert len(Golden.from_npz(archive()).images) == 3


def test_a_pickle(forger: Forger, refused: Refused, tmp_path: Path) -> None:
    refused(forger.seal(golden=pickle.dumps(_Payload(tmp_path / "owned"))), IntegrityError, "not readable")
    assert not (tmp_path / "owned").exists()


def test_an_array_of_pickled_objects(forger: Forger, refused: Refused, tmp_path: Path) -> None:
    objects = np.array([_Payload(tmp_path / "owned")] * 3, object)
    refused(forger.seal(golden=archive(images=npy(objects))), IntegrityError, "not readable.*allow_pickle")
    assert not (tmp_path / "owned").exists()


def test_a_pickle_in_place_of_an_array(forger: Forger, refused: Refused, tmp_path: Path) -> None:
    payload = pickle.dumps(_Payload(tmp_path / "owned"))
    refused(forger.seal(golden=archive(images=payload)), IntegrityError, "golden images are")
    assert not (tmp_path / "owned").exists()


def test_a_single_array(forger: Forger, refused: Refused) -> None:
    refused(forger.seal(golden=IMAGES), IntegrityError, "not readable")


def test_an_array_and_an_archive_at_once(forger: Forger, refused: Refused) -> None:
    refused(forger.seal(golden=IMAGES + archive()), IntegrityError, "golden")


def test_a_bomb(forger: Forger, refused: Refused) -> None:
    bomb = archive(images=header("(342392, 28, 28)") + bytes(1 << 28))
    assert len(bomb) < 1 << 20
    answer = refused(
        forger.seal(golden=bomb), IntegrityError, r"unpack to 26843\d{4} bytes; expected 4194304 at most"
    )
    assert answer["grown"] < 16


def test_a_bomb_that_tells_a_small_size(forger: Forger, refused: Refused) -> None:
    content = header("(342392, 28, 28)") + bytes(1 << 28)
    bomb = archive(images=content).replace(struct.pack("<I", len(content)), struct.pack("<I", 3000))
    answer = refused(forger.seal(golden=bomb), IntegrityError, "not readable")
    assert answer["grown"] < 64


@pytest.mark.parametrize("shape", ["(1000000, 28, 28)", "(1099511627776, 28, 28)", f"({10**30}, 28, 28)"])
def test_an_array_that_claims_to_be_huge(forger: Forger, refused: Refused, shape: str) -> None:
    answer = refused(
        forger.seal(golden=archive(images=header(shape) + bytes(100))), IntegrityError, "not readable"
    )
    assert answer["grown"] < 64


HEADERS = {
    "a negative shape": header("(-3, 28, 28)"),
    "a shape of text": header("('3', 28, 28)"),
    "a shape that is no tuple": header("3"),
    "a type that is none": header("(3, 28, 28)", kind="nonsense"),
    "bytes of no length": header("(4000000000000,)", kind="|S0"),
    "code": header("__import__('os').system('true')"),
    "brackets": header("(" * 5000 + ")" * 5000),
    "minuses": header("-" * 9000 + "1"),
    "a quote that does not end": header("'"),
    "a header without end": b"\x93NUMPY\x01\x00\xff\xff{",
    "a header of 4 GB": b"\x93NUMPY\x02\x00\xff\xff\xff\xff{",
    "a later version": b"\x93NUMPY\x09\x00" + IMAGES[8:],
    "the magic alone": b"\x93NUMPY",
    "nothing": b"",
}


@pytest.mark.parametrize("case", HEADERS)
def test_an_array_whose_header_is(case: str) -> None:
    with pytest.raises(IntegrityError, match="golden"):
        Golden.from_npz(archive(images=HEADERS[case]))


def test_many_members(forger: Forger, refused: Refused) -> None:
    refused(forger.seal(golden=archive(more=20_000)), IntegrityError, "golden answers hold")


def test_members_of_one_name(forger: Forger, refused: Refused) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as members:
        members.writestr("images.npy", IMAGES)
        members.writestr("logits.npy", LOGITS)
        with pytest.warns(UserWarning, match="Duplicate name"):
            members.writestr("images.npy", IMAGES)
    refused(
        forger.seal(golden=file.getvalue()),
        IntegrityError,
        "golden answers hold 'images.npy, images.npy, log",
    )


def test_members_that_lie_elsewhere(forger: Forger, refused: Refused) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as members:
        members.writestr("../images.npy", IMAGES)
        members.writestr("/logits.npy", LOGITS)
    refused(
        forger.seal(golden=file.getvalue()),
        IntegrityError,
        "golden answers hold '../images.npy, /logits.npy'",
    )


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_rare_method_of_packing(forger: Forger, refused: Refused, method: int) -> None:
    refused(forger.seal(golden=archive(method=method)), IntegrityError, "packed with a rare method")


def test_a_password(forger: Forger, refused: Refused) -> None:
    content = bytearray(archive())
    for marker, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = -1
        while (at := content.find(marker, at + 1)) >= 0:
            content[at + place] |= 1
    refused(forger.seal(golden=bytes(content)), IntegrityError, "not readable.*encrypted")


def test_it_is_cut_off_anywhere() -> None:
    content = archive()
    for length in range(len(content)):
        with pytest.raises(IntegrityError):
            Golden.from_npz(content[:length])


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1), junk=st.binary(min_size=1, max_size=8), stored=st.booleans())
@pytest.mark.filterwarnings("ignore:Reading `.npy` or `.npz` file required additional header parsing")
def test_damage_anywhere_is_refused_or_harmless(place: float, junk: bytes, stored: bool) -> None:
    content = archive(method=zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED)
    at = int(place * len(content))
    try:
        golden = Golden.from_npz(content[:at] + junk + content[at + len(junk) :])
    except IntegrityError:
        return
    assert golden.images.shape == (3, 28, 28)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_refused(content: bytes) -> None:
    with pytest.raises(IntegrityError):
        Golden.from_npz(content)
