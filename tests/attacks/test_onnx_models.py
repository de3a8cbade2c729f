"""Attacks by ONNX files. All are refused before ONNX Runtime, a native parser, has seen a byte."""

from __future__ import annotations

import contextlib
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from digits_edge.runtime import UnsafeModelError
from digits_edge.runtime.modelfile import check_onnx

if TYPE_CHECKING:
    from tests.attacks.conftest import Device, Forger

Refused = Callable[..., dict[str, Any]]

# ── A few bytes of protobuf ────────────────────────────────────────────────────────────────────────────────


def varint(value: int, *, padding: int = 0) -> bytes:
    """A number; ``padding`` more bytes than it needs."""
    parts = []
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    for _ in range(padding):
        parts[-1] |= 0x80
        parts.append(0)
    return bytes(parts)


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def message(field: int, *content: bytes, key_bits: int = 0, padding: int = 0) -> bytes:
    """A message or bytes; ``key_bits`` are set in the key beside the field's number."""
    joined = b"".join(content)
    return varint(field << 3 | 2 | key_bits, padding=padding) + varint(len(joined)) + joined


def outside(*, key_bits: int = 0) -> bytes:
    """A TensorProto of 40 bytes that lie in a file beside the model."""
    places = [(b"location", b"secret.bin"), (b"offset", b"0"), (b"length", b"40")]
    entries = [message(13, message(1, key), message(2, value), key_bits=key_bits) for key, value in places]
    location = varint(14 << 3 | key_bits) + varint(1)
    return number(1, 1) + number(1, 10) + number(2, 1) + message(8, b"row") + b"".join(entries) + location


def value(name: bytes, *shape: int) -> bytes:
    """A ValueInfoProto of floats."""
    sizes = [message(1, number(1, size)) for size in shape]
    return message(1, name) + message(2, message(1, number(1, 1), message(2, *sizes)))


def adding(tensor: bytes, *, key_bits: int = 0) -> bytes:
    """A ModelProto that adds a tensor to its input."""
    node = message(1, message(1, b"x"), message(1, b"row"), message(2, b"y"), message(4, b"Add"))
    graph = [node, message(2, b"g"), message(5, tensor, key_bits=key_bits)]
    graph += [message(11, value(b"x", 1, 10)), message(12, value(b"y", 1, 10))]
    return number(1, 8) + message(7, *graph) + message(8, number(2, 17))


# ── Files that ask for more than their own bytes ───────────────────────────────────────────────────────────

REFUSED = {
    "external-initializer": r"lies outside the model file \(external data\)",
    "external-attribute": r"lies outside the model file \(external data\)",
    "external-sparse": "sparse weights",
    "external-branch": "a graph of its own",
    "sparse-initializer": "sparse weights",
    "custom-domain": "operators of domain 'com.attacker'",
    "custom-opset": "operators of domain 'com.attacker'",
    "function": "functions of its own",
    "training-info": "graphs for training",
    "loop": "a graph of its own",
    "compiled-elsewhere": "EPContext",
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_that_asks_for_more_than_its_bytes(
    forger: Forger, refused: Refused, hostile: Path, name: str
) -> None:
    bundle = forger.seal(model=(hostile / f"{name}.onnx").read_bytes())
    (bundle / "secret.bin").write_bytes((hostile / "secret.bin").read_bytes())
    refused(bundle, UnsafeModelError, REFUSED[name])


HARMLESS = ["honest", "two-outputs", "eleven-logits", "float-input", "nan-logits", "fails-on-a-marked-corner"]


def test_every_file_is_either_tested_here_or_harmless(hostile: Path) -> None:
    assert {file.stem for file in hostile.glob("*.onnx")} == {*REFUSED, *HARMLESS}


@pytest.mark.parametrize("name", HARMLESS)
def test_a_file_of_its_own_bytes_is_left_to_the_engine(hostile: Path, name: str) -> None:
    check_onnx((hostile / f"{name}.onnx").read_bytes())


RUN = """
import sys, onnxruntime
options = onnxruntime.SessionOptions()
options.log_severity_level = 4
session = onnxruntime.InferenceSession(sys.stdin.buffer.read(), options, providers=["CPUExecutionProvider"])
print(session.get_outputs()[0].name)
"""


def loads_in_plain_onnxruntime(model: bytes, folder: Path) -> bool:
    done = subprocess.run(
        [sys.executable, "-c", RUN], input=model, cwd=folder, capture_output=True, check=False
    )
    return done.returncode == 0


@pytest.mark.parametrize(
    "name",
    ["external-initializer", "external-attribute", "external-branch", "external-sparse", "loop", "function"],
)
def test_the_attack_would_succeed_on_onnxruntime_alone(hostile: Path, name: str) -> None:
    assert loads_in_plain_onnxruntime((hostile / f"{name}.onnx").read_bytes(), hostile)


# ── Files that are read in two ways ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("high_bit", range(32, 40))
def test_a_field_number_that_only_a_native_parser_understands(
    forger: Forger, refused: Refused, hostile: Path, high_bit: int
) -> None:
    # C++ protobuf drops all but 32 bits of a key: for it, this is plain external data.
    model = adding(outside(key_bits=1 << high_bit))
    refused(forger.seal(model=model), UnsafeModelError, "not an ONNX file: field number")
    if high_bit == 32:
        assert loads_in_plain_onnxruntime(adding(outside()), hostile)
        assert loads_in_plain_onnxruntime(model, hostile)


def test_a_whole_tensor_hidden_like_that(forger: Forger, refused: Refused) -> None:
    refused(forger.seal(model=adding(outside(), key_bits=1 << 33)), UnsafeModelError, "field number")


@pytest.mark.parametrize("padding", [1, 2, 3])
def test_a_key_longer_than_it_must_be_hides_nothing(padding: int) -> None:
    graph = message(5, outside(), padding=padding)
    with pytest.raises(UnsafeModelError, match="external data"):
        check_onnx(message(7, graph, padding=padding))


def test_a_file_for_another_parser(forger: Forger, refused: Refused) -> None:
    # Four bytes in the right place, and ONNX Runtime takes the rest for its own format.
    filler = b"ORTM" + bytes(300)
    model = varint(2 << 3 | 2) + varint(len(filler), padding=1) + filler + forger.model.read_bytes()
    assert model[4:8] == b"ORTM"
    refused(forger.seal(model=model), UnsafeModelError, "ONNX Runtime's own format")


def test_onnx_that_is_declared_as_tflite(forger: Forger, refused: Refused) -> None:
    forger.declare(format="tflite")
    refused(forger.path, UnsafeModelError, "not a TFLite file")


def test_tflite_that_is_declared_as_onnx(forger: Forger, tflite_forger: Forger, refused: Refused) -> None:
    refused(tflite_forger.declare(format="onnx"), UnsafeModelError, "not an ONNX file")


# ── Files that are no ONNX ─────────────────────────────────────────────────────────────────────────────────

NODE = message(1, message(4, b"Add"))

NO_MODELS: dict[str, tuple[bytes, str]] = {
    "one byte": (b"\x08", "truncated"),
    "zeros": (bytes(100), "field number 0"),
    "text": (b"this is no model", "not an ONNX file"),
    "a pickle": (b"\x80\x04\x95\x10\x00\x00\x00\x00", "not an ONNX file"),
    "no graph": (number(1, 8), "holds 0 graphs"),
    "two graphs": (message(7, NODE) + message(7, NODE), "holds 2 graphs"),
    "a number for a graph": (number(7, 3), "a number stands where a message belongs"),
    "a number for a node": (message(7, number(1, 3)), "a number stands where"),
    "a number for a domain": (message(7, message(1, number(7, 0))), "a number stands where"),
    "a group": (varint(7 << 3 | 3) + NODE + varint(7 << 3 | 4), "wire type 3"),
    "a wire type that is none": (varint(7 << 3 | 6), "wire type 6"),
    "a graph longer than the file": (varint(7 << 3 | 2) + varint(1 << 30) + NODE, "truncated"),
    "a graph of 2^60 bytes": (varint(7 << 3 | 2) + varint(1 << 60) + NODE, "truncated"),
    "a node longer than its graph": (message(7, varint(1 << 3 | 2) + varint(50)) + bytes(100), "truncated"),
    "a number that does not end": (b"\x80" * 5, "truncated"),
    "a number of eleven bytes": (b"\x80" * 11 + b"\x01", "more than ten bytes"),
    "a key of eleven bytes": (message(7, b"\xff" * 11), "more than ten bytes"),
    "a float cut off": (message(7, varint(1 << 3 | 5) + b"\0\0"), "truncated"),
    "a domain that is no text": (message(7, message(1, message(7, b"\xff\xfe"))), "operators of domain"),
    "a domain of a megabyte": (message(7, message(1, message(7, b"x" * (1 << 20)))), "of domain 'x{64}'"),
    "a training opset": (message(8, message(1, b"ai.onnx.training")) + message(7, NODE), "ai.onnx.training"),
    "a domain but for case": (message(7, message(1, message(7, b"AI.ONNX"))), "operators of domain"),
    "a domain with a zero": (message(7, message(1, message(7, b"ai.onnx\0"))), "operators of domain"),
    "a domain given twice": (message(7, message(1, message(7, b"attacker"), message(7, b""))), "'attacker'"),
    "external data without a location": (message(7, message(5, message(13, b""))), "external data"),
    "a location given twice": (
        message(7, message(5, varint(14 << 3), varint(1), varint(14 << 3), varint(0))),
        "external data",
    ),
    "a location of another wire type": (message(7, message(5, message(14, b""))), "external data"),
    "a list of tensors": (message(7, message(1, message(5, message(10, outside())))), "external data"),
    "a list of graphs": (message(7, message(1, message(5, message(11, NODE)))), "a graph of its own"),
    "a list of sparse tensors": (message(7, message(1, message(5, message(23, b"")))), "sparse weights"),
}  # fmt: skip


@pytest.mark.parametrize("case", NO_MODELS)
def test_what_is_no_model(forger: Forger, refused: Refused, case: str) -> None:
    content, complaint = NO_MODELS[case]
    refused(forger.seal(model=content), UnsafeModelError, complaint)


def test_graphs_in_graphs_in_graphs(forger: Forger, refused: Refused) -> None:
    graph = NODE
    for _ in range(5000):
        graph = message(1, message(5, message(6, graph)))
    refused(forger.seal(model=message(7, graph)), UnsafeModelError, "a graph of its own")


@pytest.mark.parametrize("level", ["model", "graph", "node", "attribute", "tensor"])
def test_more_fields_than_one_can_wait_for(forger: Forger, refused: Refused, level: str) -> None:
    fields = number(2, 0) * 8_000_000
    for field in {"model": [], "graph": [7], "node": [1, 7], "attribute": [5, 1, 7], "tensor": [5, 7]}[level]:
        fields = message(field, fields)
    answer = refused(forger.seal(model=fields), UnsafeModelError, "more than 1000000 fields")
    assert answer["grown"] < 128


def boundaries(data: bytes, *, start: int = 0, depth: int = 0) -> Iterator[int]:
    """Where the fields of a message begin and end, and those of what may be messages in it."""
    position = 0
    while position < len(data):
        yield start + position
        key = position
        while data[position] >= 0x80:
            position += 1
        position += 1
        wire, length, shift = data[key] & 7, 0, 0
        if wire in (0, 2):
            while True:
                byte = data[position]
                length, shift, position = length | (byte & 0x7F) << shift, shift + 7, position + 1
                if byte < 0x80:
                    break
        if wire == 2:
            yield start + position
            inner = data[position : position + length]
            with contextlib.suppress(IndexError):  # it is no message but text or weights
                yield from boundaries(inner, start=start + position, depth=depth + 1) if depth < 4 else ()
        position += {1: 8, 2: length, 5: 4}.get(wire, 0)
    yield start + len(data)


def test_it_is_cut_off_at_every_kind_of_boundary(forger: Forger, device: Device) -> None:
    content = forger.model.read_bytes()
    places = {place + step for place in boundaries(content) for step in (-1, 0, 1)}
    places |= set(random.Random(42).sample(range(len(content)), 500))
    accepted = []
    for length in sorted(places & set(range(len(content)))):
        try:
            check_onnx(content[:length])
        except UnsafeModelError:
            continue
        accepted.append(length)
    # The graph is whole in these; what else is missing, ONNX Runtime says.
    assert len(accepted) < 5
    for length in accepted:
        answer = device.ask(forger.seal(model=content[:length]))
        assert answer["error"] == "EngineError", answer


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_taken_or_refused(content: bytes) -> None:
    try:
        check_onnx(content)
    except UnsafeModelError:
        return


FIELDS = st.sampled_from([1, 2, 4, 5, 6, 7, 8, 10, 11, 13, 14, 15, 20, 22, 23, 25, 1 << 29, 99])
fragments = st.recursive(
    st.binary(max_size=12) | st.builds(number, FIELDS, st.integers(0, 2**70)),
    lambda inner: st.builds(
        lambda field, parts, bits, padding: message(field, *parts, key_bits=bits, padding=padding),
        FIELDS,
        st.lists(inner, max_size=4),
        st.sampled_from([0, 0, 0, 1 << 32, 1 << 60]),
        st.integers(0, 3),
    ),
    max_leaves=20,
)


@settings(max_examples=500, deadline=None)
@given(parts=st.lists(fragments, max_size=5), graph=st.lists(fragments, max_size=5))
def test_any_nesting_of_fields_is_taken_or_refused(parts: list[bytes], graph: list[bytes]) -> None:
    try:
        check_onnx(b"".join(parts) + message(7, *graph))
    except UnsafeModelError:
        return


@settings(max_examples=300, deadline=None)
@given(
    place=st.floats(0, 1, exclude_max=True),
    junk=st.binary(min_size=1, max_size=6),
    name=st.sampled_from(HARMLESS),
)
def test_damage_anywhere_is_taken_or_refused(hostile: Path, place: float, junk: bytes, name: str) -> None:
    content = (hostile / f"{name}.onnx").read_bytes()
    at = int(place * len(content))
    try:
        check_onnx(content[:at] + junk + content[at + len(junk) :])
    except UnsafeModelError:
        return
