"""``manifest.json``: what a bundle says of itself, as frozen, validated values."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import Any, TypeVar

from digits_edge.runtime.errors import ManifestError

SCHEMA = 1
MANIFEST_FILE = "manifest.json"

_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_T = TypeVar("_T")


class Format(str, Enum):
    """File format of a model."""

    ONNX = "onnx"
    TFLITE = "tflite"


class Precision(str, Enum):
    """Arithmetic of a model file."""

    FLOAT32 = "float32"
    INT8 = "int8"


@dataclass(frozen=True)
class FileEntry:
    """One file of the bundle.

    Attributes:
        path: Its plain name; files lie directly in the bundle.
        size: Bytes.
        sha256: Digest of its bytes, 64 hexadecimal digits.
    """

    path: str
    size: int
    sha256: str

    def __post_init__(self) -> None:
        if not _FILE_NAME.fullmatch(self.path):
            raise ManifestError(f"file name {self.path!r}; expected a plain name inside the bundle")
        if self.size < 1:
            raise ManifestError(f"{self.path}: size {self.size}; expected at least 1 byte")
        if not _SHA256.fullmatch(self.sha256):
            raise ManifestError(f"{self.path}: sha256 {self.sha256[:80]!r}; expected 64 hexadecimal digits")


@dataclass(frozen=True)
class Tensor:
    """The model's input or output.

    Attributes:
        name: Its name in the model file.
        dtype: Its numpy type.
        shape: Its shape after the batch axis.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Manifest:
    """What a bundle says of itself.

    Attributes:
        name: The model's name.
        format: File format.
        precision: Arithmetic.
        model: The model file.
        golden: Inputs and the exporter's answers, replayed at load.
        input: Pixels: uint8 ``(N, 28, 28)``, 0 = background, 255 = ink.
        output: Logits, one for each label.
        labels: What the outputs mean, in their order.
        temperature: Divides the logits before the softmax, above 0.
        reject_threshold: Answers with less confidence are rejected, 0 to 1.
        golden_tolerance: Largest probability difference allowed when the golden answers are replayed.
        safe_on: Instruction sets on which the arithmetic cannot saturate; ``any`` where it never does.
        provenance: How it was made: recipe, calibration, training run, versions. For people; never interpreted.
        parity: Figures of the proof that it is the model it was made from. For people; never interpreted.
    """

    name: str
    format: Format
    precision: Precision
    model: FileEntry
    golden: FileEntry
    input: Tensor
    output: Tensor
    labels: tuple[str, ...]
    temperature: float = 1.0
    reject_threshold: float = 0.0
    golden_tolerance: float = 1e-4
    safe_on: tuple[str, ...] = ("any",)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    parity: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if (self.input.dtype, self.input.shape) != ("uint8", (28, 28)):
            raise ManifestError(f"input is {self.input.dtype} {self.input.shape}; this runtime knows uint8 (28, 28)")
        if self.output.shape != (len(self.labels),) or not self.labels:
            raise ManifestError(f"output has shape {self.output.shape} for {len(self.labels)} labels")
        if not self.temperature > 0 or self.temperature == float("inf"):
            raise ManifestError(f"temperature {self.temperature}; expected a finite number above 0")
        if not 0 <= self.reject_threshold <= 1:
            raise ManifestError(f"reject_threshold {self.reject_threshold}; expected 0 to 1")
        if not 0 <= self.golden_tolerance < 1:
            raise ManifestError(f"golden_tolerance {self.golden_tolerance}; expected 0 to below 1")
        if self.model.path == self.golden.path:
            raise ManifestError("model and golden are the same file")

    def to_json(self) -> str:
        """The text of ``manifest.json``."""
        return json.dumps({"schema": SCHEMA, **asdict(self)}, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> Manifest:
        """Parses and validates ``manifest.json``.

        Raises:
            ManifestError: Not JSON, another schema version, or a value that is missing or out of range.
        """
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ManifestError(f"{MANIFEST_FILE} is not JSON ({error})") from error
        if not isinstance(values, dict):
            raise ManifestError(f"{MANIFEST_FILE} holds {type(values).__name__}; expected an object")
        if values.get("schema") != SCHEMA:
            raise ManifestError(f"manifest schema {values.get('schema')!r}; this runtime reads {SCHEMA}")
        return cls(
            name=_get(values, "name", str),
            format=_choice(values, "format", Format),
            precision=_choice(values, "precision", Precision),
            model=_file(_get(values, "model", dict)),
            golden=_file(_get(values, "golden", dict)),
            input=_tensor(_get(values, "input", dict)),
            output=_tensor(_get(values, "output", dict)),
            labels=_list(values, "labels", str),
            temperature=_number(values, "temperature"),
            reject_threshold=_number(values, "reject_threshold"),
            golden_tolerance=_number(values, "golden_tolerance"),
            safe_on=_list(values, "safe_on", str),
            provenance=_get(values, "provenance", dict),
            parity=_get(values, "parity", dict),
        )


def _get(values: Mapping[str, Any], name: str, kind: type[_T]) -> _T:
    value = values.get(name)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ManifestError(f"{name} is {str(value)[:80]!r}; expected {kind.__name__}")
    return value


def _number(values: Mapping[str, Any], name: str) -> float:
    value = values.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ManifestError(f"{name} is {str(value)[:80]!r}; expected a number")
    return float(value)


def _list(values: Mapping[str, Any], name: str, kind: type[_T]) -> tuple[_T, ...]:
    items = _get(values, name, list)
    if not all(isinstance(item, kind) and not isinstance(item, bool) for item in items):
        raise ManifestError(f"{name} is {str(items)[:80]!r}; expected a list of {kind.__name__}")
    return tuple(items)


_E = TypeVar("_E", bound=Enum)


def _choice(values: Mapping[str, Any], name: str, kind: type[_E]) -> _E:
    try:
        return kind(values.get(name))
    except ValueError as error:
        known = ", ".join(member.value for member in kind)
        raise ManifestError(f"{name} is {str(values.get(name))[:80]!r}; this runtime knows {known}") from error


def _file(values: Mapping[str, Any]) -> FileEntry:
    return FileEntry(_get(values, "path", str), _get(values, "size", int), _get(values, "sha256", str))


def _tensor(values: Mapping[str, Any]) -> Tensor:
    return Tensor(_get(values, "name", str), _get(values, "dtype", str), _list(values, "shape", int))
