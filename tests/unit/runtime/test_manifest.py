"""manifest.json: what is written is read back, and nothing else is taken."""

from __future__ import annotations

import copy
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from digits_edge.runtime import FileEntry, Format, Manifest, ManifestError, Precision, Tensor

Json = dict[str, Any]


@pytest.fixture
def text(tiny: Path) -> str:
    return (tiny / "manifest.json").read_text("utf-8")


@pytest.fixture
def values(text: str) -> Json:
    loaded: Json = json.loads(text)
    return loaded


MANIFEST = Manifest(
    name="ünï",
    format=Format.TFLITE,
    precision=Precision.INT8,
    model=FileEntry("model.tflite", 12, "a" * 64),
    golden=FileEntry("golden.npz", 1, "0" * 64),
    input=Tensor("images", "uint8", (28, 28)),
    output=Tensor("logits", "float32", (10,)),
    labels=tuple("0123456789"),
    temperature=1.25,
    reject_threshold=0.5,
    golden_tolerance=0.0,
    safe_on=("x86-vnni", "arm64"),
    provenance={"seed": 42, "rows": [1, 2]},
    parity={"agreement": 0.999},
)


def test_round_trip() -> None:
    assert Manifest.from_json(MANIFEST.to_json()) == MANIFEST
    assert Manifest.from_json(MANIFEST.to_json().encode()) == MANIFEST


def test_a_written_manifest_is_read(text: str) -> None:
    manifest = Manifest.from_json(text)
    assert (manifest.name, manifest.format, manifest.precision) == ("tiny", Format.ONNX, Precision.FLOAT32)
    assert manifest.model == FileEntry("model.onnx", manifest.model.size, manifest.model.sha256)
    assert manifest.input.shape == (28, 28)


def test_names_this_version_does_not_know_are_left_to_later_ones(values: Json) -> None:
    assert Manifest.from_json(json.dumps(values | {"colour": "blue"})).name == "tiny"


def changed(values: Json, field: str, value: Any) -> str:
    """The manifest with one field, ``model.size`` for a nested one, set; removed where the value is ...."""
    values = copy.deepcopy(values)
    *outer, name = field.split(".")
    inner = values[outer[0]] if outer else values
    if value is ...:
        del inner[name]
    else:
        inner[name] = value
    return json.dumps(values)


FIELDS = {
    "schema": int,
    "name": str,
    "format": str,
    "precision": str,
    "model": dict,
    "model.path": str,
    "model.size": int,
    "model.sha256": str,
    "golden": dict,
    "golden.path": str,
    "golden.size": int,
    "golden.sha256": str,
    "input": dict,
    "input.name": str,
    "input.dtype": str,
    "input.shape": list,
    "pixels": dict,
    "pixels.background": int,
    "pixels.ink": int,
    "output": dict,
    "output.name": str,
    "output.dtype": str,
    "output.shape": list,
    "labels": list,
    "temperature": float,
    "reject_threshold": float,
    "golden_tolerance": float,
    "safe_on": list,
    "provenance": dict,
    "parity": dict,
}
OTHERS: list[Any] = [None, True, 1, 0.5, "1", [], {}, [[]], {"path": {}}]


def naming(field: str) -> str:
    """What a complaint about a field says: ``model: size is …``."""
    return field.replace(".", r": ") + " is "


def test_all_fields_are_tested(values: Json) -> None:
    nested = {
        f"{name}.{inner}"
        for name in values
        if isinstance(values[name], dict) and name not in ("provenance", "parity")
        for inner in values[name]
    }
    assert set(FIELDS) == set(values) | nested


@pytest.mark.parametrize("field", FIELDS)
def test_a_missing_field_is_named(values: Json, field: str) -> None:
    with pytest.raises(ManifestError, match=f"^{naming(field)}missing; expected"):
        Manifest.from_json(changed(values, field, ...))


def is_of(kind: type, value: Any) -> bool:
    return isinstance(value, (int, float) if kind is float else kind) and not isinstance(value, bool)


@pytest.mark.parametrize(
    ("field", "other"),
    [(field, other) for field, kind in FIELDS.items() for other in OTHERS if not is_of(kind, other)],
)
def test_a_field_of_another_type_is_named(values: Json, field: str, other: Any) -> None:
    with pytest.raises(ManifestError, match=f"^{naming(field)}"):
        Manifest.from_json(changed(values, field, other))


OUT_OF_RANGE: list[tuple[str, Any, str]] = [
    ("schema", 0, "schema is 0; this runtime reads 1"),
    ("schema", 2, "schema is 2; this runtime reads 1"),
    ("name", "", "name is ''; expected 1 to 100 printable characters"),
    ("name", "n" * 101, "name is 'nnn"),
    ("name", "tiny\n", r"name is 'tiny\\n'"),
    ("name", "\x1b[2Jtiny", r"name is '\\x1b\[2Jtiny'"),
    ("name", "\ud800", r"name is '\\ud800'"),
    ("format", "keras", "format is 'keras'; this runtime knows onnx, tflite"),
    ("format", "ONNX", "format is 'ONNX'"),
    (
        "precision",
        "int4",
        "precision is 'int4'; this runtime knows float32, float16, int8, int16x8, weights8",
    ),
    ("model.path", "", "model: path is ''"),
    ("model.path", "../model.onnx", "model: path is"),
    ("model.path", "/model.onnx", "model: path is"),
    ("model.path", "weights/model.onnx", "model: path is"),
    ("model.path", "weights\\model.onnx", "model: path is"),
    ("model.path", "C:model.onnx", "model: path is"),
    ("model.path", "model.onnx:stream", "model: path is"),
    ("model.path", "model.onnx\n", "model: path is"),
    ("model.path", "model.onnx\0", "model: path is"),
    ("model.path", ".", "model: path is"),
    ("model.path", "..", "model: path is"),
    ("model.path", ".hidden", "model: path is"),
    ("model.path", "model..onnx", "model: path is"),
    ("model.path", "model.", "model: path is"),
    ("model.path", "~", "model: path is"),
    ("model.path", "mödel.onnx", "model: path is"),
    ("model.path", "m" * 101, "model: path is"),
    ("golden.path", "../golden.npz", "golden: path is"),
    ("golden.path", "model.onnx", "model and golden are the same file"),
    ("model.size", 0, "model: size is 0"),
    ("model.size", -1, "model: size is -1"),
    ("golden.size", 0, "golden: size is 0"),
    ("model.sha256", "a" * 63, "model: sha256 is"),
    ("model.sha256", "a" * 65, "model: sha256 is"),
    ("model.sha256", "A" * 64, "model: sha256 is"),
    ("model.sha256", "g" * 64, "model: sha256 is"),
    ("golden.sha256", "a" * 64 + "\n", "golden: sha256 is"),
    ("input.dtype", "float32", r"input is 'float32' \(28, 28\)"),
    ("input.shape", [28, 28, 1], r"input is 'uint8' \(28, 28, 1\)"),
    ("pixels.ink", 0, r"pixels are Pixels\(.*\); this runtime knows 0 = background to 255 = ink"),
    ("pixels.background", 255, r"pixels are Pixels\(.*\); this runtime knows 0 = background to 255 = ink"),
    ("input.shape", [], r"input is 'uint8' \(\)"),
    ("input.shape", [28.0, 28], "input: shape is a list of other things; expected int"),
    ("input.shape", [True, 28], "input: shape is a list of other things"),
    ("output.shape", [11], r"output has shape \(11,\)"),
    ("output.shape", [], r"output has shape \(\)"),
    ("labels", [], "labels are"),
    ("labels", list("012345678"), "labels are"),
    ("labels", list("9876543210"), "labels are .* in order"),
    ("labels", list(range(10)), "labels is a list of other things; expected str"),
    ("temperature", 0, "temperature is 0.0; expected 0.01 to 100"),
    ("temperature", -1.0, "temperature is -1.0"),
    ("temperature", 1e-300, "temperature is 1e-300"),
    ("temperature", 1e300, r"temperature is 1e\+300"),
    ("temperature", 10**400, "temperature is 1000.*expected a number"),
    ("reject_threshold", -0.01, "reject_threshold is -0.01"),
    ("reject_threshold", 1.01, "reject_threshold is 1.01"),
    ("golden_tolerance", -1e-9, "golden_tolerance is -1e-09"),
    ("golden_tolerance", 1, "golden_tolerance is 1.0; expected 0 to below 1"),
    ("safe_on", [1], "safe_on is a list of other things"),
]


@pytest.mark.parametrize(("field", "value", "complaint"), OUT_OF_RANGE)
def test_a_value_out_of_range_is_refused(values: Json, field: str, value: Any, complaint: str) -> None:
    with pytest.raises(ManifestError, match=f"^{complaint}"):
        Manifest.from_json(changed(values, field, value))


@pytest.mark.parametrize("name", ["model.onnx", "model-v1.2.onnx", "a", "0", "MODEL_1.tflite"])
def test_plain_file_names_are_taken(name: str) -> None:
    assert FileEntry(name, 1, "0" * 64).path == name


@pytest.mark.parametrize("field", ["temperature", "reject_threshold", "golden_tolerance"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_none_are_refused(field: str, value: float) -> None:
    with pytest.raises(ManifestError, match=field):
        replace(MANIFEST, **{field: value})  # type: ignore[arg-type]


def test_messages_stay_short(values: Json) -> None:
    for field in ("name", "format", "model.path", "model.sha256", "input.dtype", "pixels.ink"):
        for value in ("x" * 500_000, [["x" * 500_000]], {"x": "x" * 500_000}, 10**4000):
            with pytest.raises(ManifestError) as refused:
                Manifest.from_json(changed(values, field, value))
            assert len(str(refused.value)) < 300


@pytest.mark.parametrize("value", [math.nan, object(), {1, 2}], ids=["NaN", "object", "set"])
def test_what_json_cannot_hold_is_not_written(value: Any) -> None:
    with pytest.raises(ManifestError, match="cannot be written"):
        replace(MANIFEST, parity={"difference": value}).to_json()
