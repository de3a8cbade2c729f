"""Attacks on manifest.json as a file; its fields are tested with the manifest itself."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from digits_edge.runtime import IntegrityError, Manifest, ManifestError

if TYPE_CHECKING:
    from tests.attacks.conftest import Forger

Refused = Callable[..., dict[str, Any]]

MALFORMED: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "is not JSON"),
    "blanks": (b" \n\t", "is not JSON"),
    "null": (b"null", "holds NoneType; expected an object"),
    "true": (b"true", "holds bool"),
    "a number": (b"1", "holds int"),
    "text": (b'"schema"', "holds str"),
    "a list": (b'[{"schema": 1}]', "holds list"),
    "an empty object": (b"{}", "schema is missing"),
    "no JSON": (b"schema: 1", "is not JSON"),
    "a comment": (b'{"schema": 1} // sound', "is not JSON"),
    "two objects": (b'{"schema": 1}{"schema": 1}', "is not JSON"),
    "a comma too much": (b'{"schema": 1,}', "is not JSON"),
    "no UTF-8": (b'{"schema": 1, "name": "\xff\xfe"}', "is not JSON"),
    "zero bytes": (bytes(1000), "is not JSON"),
    "an integer of 100,000 digits": (b'{"schema": ' + b"9" * 100_000 + b"}", "is not JSON"),
    "lists in lists": (b"[" * 100_000, "is not JSON"),
    "objects in objects": (b'{"a":' * 100_000, "is not JSON"),
    "closed lists in lists": (b"[" * 100_000 + b"]" * 100_000, "is not JSON"),
    "a pickle": (b"cposix\nsystem\n(S'touch owned'\ntR.", "is not JSON"),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_what_is_no_manifest(forger: Forger, refused: Refused, case: str) -> None:
    content, complaint = MALFORMED[case]
    forger.manifest.write_bytes(content)
    refused(forger.path, ManifestError, complaint)


@pytest.mark.parametrize("padding", ["blanks", "provenance", "labels"])
def test_a_huge_manifest(forger: Forger, refused: Refused, padding: str) -> None:
    values = forger.values()
    if padding == "provenance":
        values["provenance"] = {"notes": "x" * (1 << 20)}
    if padding == "labels":
        values["labels"] = ["0"] * (1 << 18)
    forger.manifest.write_text(json.dumps(values) + " " * (1 << 20))
    refused(forger.path, IntegrityError, r"manifest\.json: more than 1048576 bytes")


def test_a_manifest_that_never_ends(forger: Forger, refused: Refused) -> None:
    with forger.manifest.open("r+b") as file:
        file.truncate(1 << 40)
    answer = refused(forger.path, IntegrityError, r"manifest\.json: more than 1048576 bytes")
    assert answer["grown"] < 16


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
@pytest.mark.parametrize("field", ["temperature", "reject_threshold", "golden_tolerance", "provenance"])
def test_numbers_that_json_has_not(forger: Forger, refused: Refused, field: str, constant: str) -> None:
    text = forger.manifest.read_text()
    value = json.dumps(forger.values()[field])
    forged = f'{{"loss": {constant}}}' if field == "provenance" else constant
    forger.manifest.write_text(
        json.dumps(json.loads(text)).replace(f'"{field}": {value}', f'"{field}": {forged}')
    )
    refused(forger.path, ManifestError, f"{constant} is no JSON number")


def test_numbers_too_large_for_a_float(forger: Forger, refused: Refused) -> None:
    text = forger.manifest.read_text()
    assert '"temperature": 1.0' in text
    for value in ("1e999", "-1e999", "1" + "0" * 400):
        forger.manifest.write_text(text.replace('"temperature": 1.0', f'"temperature": {value}'))
        refused(forger.path, ManifestError, "temperature is")


@pytest.mark.parametrize("field", ["model", "schema", "labels", "golden_tolerance"])
def test_a_name_that_stands_there_twice(forger: Forger, refused: Refused, field: str) -> None:
    # A reader that takes the first, and one that takes the last, would disagree on what was verified.
    values = forger.values()
    forger.manifest.write_text(f'{{"{field}": {json.dumps(values[field])}, {json.dumps(values)[1:]}')
    refused(forger.path, ManifestError, f"'{field}' stands there twice")


def test_a_nested_name_that_stands_there_twice(forger: Forger, refused: Refused) -> None:
    text = forger.manifest.read_text()
    assert '"sha256": ' in text
    forger.manifest.write_text(text.replace('"sha256": ', f'"sha256": "{"0" * 64}", "sha256": ', 1))
    refused(forger.path, ManifestError, "'sha256' stands there twice")


def test_100000_names_that_stand_there_twice(forger: Forger, refused: Refused) -> None:
    names = ",".join(f'"{number}":0' for number in (*range(50_000), 49_999))
    forger.manifest.write_text(f"{{{names}}}")
    refused(forger.path, ManifestError, "'49999' stands there twice")


@pytest.mark.parametrize("depth", [100, 900, 990, 1000, 3000, 9000, 50_000])
@pytest.mark.parametrize("field", ["name", "provenance", "model"])
def test_a_depth_near_the_interpreters_limit(forger: Forger, field: str, depth: int) -> None:
    values = json.dumps(forger.values() | {field: "HERE"})
    for opening, closing in (("[", "]"), ('{"a":', "}")):
        nested = opening * depth + "0" + closing * depth
        text = values.replace('"HERE"', nested)
        if field == "provenance":
            text = values.replace('"HERE"', f'{{"deep": {nested}}}')
        try:
            Manifest.from_json(text)
        except ManifestError:
            continue
        assert field == "provenance"  # for people; whatever it holds is not looked at


def test_it_is_cut_off_anywhere(forger: Forger) -> None:
    content = forger.manifest.read_bytes().rstrip()
    for length in range(len(content)):
        with pytest.raises(ManifestError):
            Manifest.from_json(content[:length])


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_value_in_any_field_is_taken_or_refused(forger: Forger, data: st.DataObject) -> None:
    values = forger.values()
    for field in data.draw(st.lists(st.sampled_from(sorted(values)), min_size=1, max_size=3)):
        inner = values[field]
        if isinstance(inner, dict) and inner and data.draw(st.booleans()):
            inner[data.draw(st.sampled_from(sorted(inner)))] = data.draw(json_values)
        else:
            values[field] = data.draw(json_values)
    try:
        manifest = Manifest.from_json(json.dumps(values))
    except ManifestError:
        return
    assert manifest.labels == tuple("0123456789")
    assert "/" not in manifest.model.path + manifest.golden.path


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_refused(content: bytes) -> None:
    with pytest.raises(ManifestError):
        Manifest.from_json(content)


def test_a_copy_of_the_manifest_alone(forger: Forger, refused: Refused) -> None:
    for file in (forger.model, forger.golden):
        file.unlink()
    (forger.path / "model").mkdir()
    shutil.copy(forger.manifest, forger.path / "model" / "manifest.json")
    refused(forger.path / "model", IntegrityError, r"model\.onnx: not readable")
