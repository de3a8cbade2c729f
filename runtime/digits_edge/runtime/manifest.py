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
_LONGEST_NAME = 100
_SHA256 = re.compile(r"[0-9a-f]{64}")
_DIGITS = tuple("0123456789")
_TEMPERATURES = (0.01, 100.0)  # beyond, float32 logits overflow, or every answer is as likely as the next

_T = TypeVar("_T")
_E = TypeVar("_E", bound=Enum)


class Format(str, Enum):
    """File format of a model."""

    ONNX = "onnx"
    TFLITE = "tflite"


class Precision(str, Enum):
    """Arithmetic of a model file.

    Attributes:
        FLOAT32: As trained.
        FLOAT16: Weights of 16 bits, arithmetic of 32.
        INT8: Weights and activations of 8 bits, sums of 32.
        INT16X8: Activations of 16 bits, weights of 8.
        WEIGHTS8: Weights of 8 bits; activations are float, or rounded as they come (dynamic range).
    """

    FLOAT32 = "float32"
    FLOAT16 = "float16"
    INT8 = "int8"
    INT16X8 = "int16x8"
    WEIGHTS8 = "weights8"


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
        if len(self.path) > _LONGEST_NAME or not _FILE_NAME.fullmatch(self.path):
            raise ManifestError(f"path is {_shown(self.path)}; expected a plain file name inside the bundle")
        if self.size < 1:
            raise ManifestError(f"size is {self.size}; expected at least 1 byte")
        if not _SHA256.fullmatch(self.sha256):
            raise ManifestError(
                f"sha256 is {_shown(self.sha256)}; expected 64 hexadecimal digits, lower case"
            )


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
class Pixels:
    """What a pixel's value means: grey levels in equal steps between two ends.

    Attributes:
        background: The value of paper.
        ink: The value of full ink.
    """

    background: int = 0
    ink: int = 255


@dataclass(frozen=True)
class Manifest:
    """What a bundle says of itself.

    Attributes:
        name: The model's name, printable.
        format: File format.
        precision: Arithmetic.
        model: The model file.
        golden: Inputs and the exporter's answers, replayed at load.
        input: Images: uint8 ``(N, 28, 28)``.
        output: Logits, one for each label.
        labels: What the outputs mean, in their order: the digits 0 to 9.
        pixels: Polarity and scale of the input: 0 = background, 255 = ink.
        temperature: Divides the logits before the softmax, 0.01 to 100.
        reject_threshold: Answers with less confidence are rejected, 0 to 1.
        golden_tolerance: Largest difference of a logit allowed when the golden answers are replayed.
        safe_on: Instruction sets on which the arithmetic cannot saturate; ``any`` where it never does.
        provenance: How it was made: recipe, calibration, training run, versions. For people, not interpreted.
        parity: Figures of the proof that it is the model it was made from. For people, not interpreted.
    """

    name: str
    format: Format
    precision: Precision
    model: FileEntry
    golden: FileEntry
    input: Tensor
    output: Tensor
    labels: tuple[str, ...]
    pixels: Pixels = Pixels()
    temperature: float = 1.0
    reject_threshold: float = 0.0
    golden_tolerance: float = 1e-3
    safe_on: tuple[str, ...] = ("any",)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    parity: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # It is shown on terminals, which take control characters for commands.
        if not (self.name.isprintable() and 0 < len(self.name) <= _LONGEST_NAME):
            raise ManifestError(
                f"name is {_shown(self.name)}; expected 1 to {_LONGEST_NAME} printable characters"
            )
        if (self.input.dtype, self.input.shape) != ("uint8", (28, 28)):
            raise ManifestError(
                f"input is {_shown(self.input.dtype)} {str(self.input.shape)[:80]}; "
                "this runtime knows uint8 (28, 28)"
            )
        if self.output.shape != (len(_DIGITS),):
            raise ManifestError(f"output has shape {str(self.output.shape)[:80]}; this runtime knows (10,)")
        if self.labels != _DIGITS:
            raise ManifestError(
                f"labels are {str(self.labels)[:80]}; this runtime knows the digits 0 to 9, in order"
            )
        if self.pixels != Pixels():
            raise ManifestError(
                f"pixels are {str(self.pixels)[:80]}; this runtime knows 0 = background to 255 = ink"
            )
        # Each comparison is written so that NaN fails it.
        lowest, highest = _TEMPERATURES
        if not lowest <= self.temperature <= highest:
            raise ManifestError(f"temperature is {self.temperature}; expected {lowest:g} to {highest:g}")
        if not 0 <= self.reject_threshold <= 1:
            raise ManifestError(f"reject_threshold is {self.reject_threshold}; expected 0 to 1")
        if not 0 <= self.golden_tolerance < 1:
            raise ManifestError(f"golden_tolerance is {self.golden_tolerance}; expected 0 to below 1")
        if self.model.path == self.golden.path:
            raise ManifestError("model and golden are the same file")

    def to_json(self) -> str:
        """The text of ``manifest.json``.

        Raises:
            ManifestError: Provenance or parity hold what JSON has no form for, NaN among it.
        """
        try:
            return json.dumps({"schema": SCHEMA, **asdict(self)}, indent=2, allow_nan=False) + "\n"
        except (TypeError, ValueError) as error:
            raise ManifestError(
                f"{MANIFEST_FILE} cannot be written ({error}); expected plain finite values"
            ) from error

    @classmethod
    def from_json(cls, text: str | bytes) -> Manifest:
        """Parses and validates ``manifest.json``.

        Raises:
            ManifestError: Not JSON, another schema version, or a value that is missing or out of range; the
                message names the field.
        """
        try:
            # What Python takes beyond the standard, other readers of the same manifest would take otherwise.
            values = json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            raise ManifestError(f"{MANIFEST_FILE} is not JSON ({error})") from error
        if not isinstance(values, dict):
            raise ManifestError(f"{MANIFEST_FILE} holds {type(values).__name__}; expected an object")
        if _get(values, "schema", int) != SCHEMA:
            raise ManifestError(f"schema is {values['schema']}; this runtime reads {SCHEMA}")
        return cls(
            name=_get(values, "name", str),
            format=_choice(values, "format", Format),
            precision=_choice(values, "precision", Precision),
            model=_file(values, "model"),
            golden=_file(values, "golden"),
            input=_tensor(values, "input"),
            output=_tensor(values, "output"),
            labels=_list(values, "labels", str),
            pixels=_pixels(values, "pixels"),
            temperature=_number(values, "temperature"),
            reject_threshold=_number(values, "reject_threshold"),
            golden_tolerance=_number(values, "golden_tolerance"),
            safe_on=_list(values, "safe_on", str),
            provenance=_get(values, "provenance", dict),
            parity=_get(values, "parity", dict),
        )


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in pairs:
        if name in values:
            raise ManifestError(f"{_shown(name)} stands there twice; expected each name once")
        values[name] = value
    return values


def _refuse_constant(constant: str) -> float:
    raise ManifestError(f"{constant} is no JSON number")


def _shown(value: object) -> str:
    """A value of the manifest for a message: short, and containers by their type alone."""
    if value is None:
        return "missing"
    return repr(value)[:80] if isinstance(value, str | int | float) else type(value).__name__


def _get(values: Mapping[str, Any], name: str, kind: type[_T]) -> _T:
    value = values.get(name)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ManifestError(f"{name} is {_shown(value)}; expected {kind.__name__}")
    return value


def _number(values: Mapping[str, Any], name: str) -> float:
    value = values.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ManifestError(f"{name} is {_shown(value)}; expected a number")
    try:
        return float(value)
    except OverflowError as error:
        raise ManifestError(f"{name} is {_shown(value)}…; expected a number of common size") from error


def _list(values: Mapping[str, Any], name: str, kind: type[_T]) -> tuple[_T, ...]:
    items = _get(values, name, list)
    if not all(isinstance(item, kind) and not isinstance(item, bool) for item in items):
        raise ManifestError(f"{name} is a list of other things; expected {kind.__name__} only")
    return tuple(items)


def _choice(values: Mapping[str, Any], name: str, kind: type[_E]) -> _E:
    try:
        return kind(_get(values, name, str))
    except ValueError as error:
        known = ", ".join(member.value for member in kind)
        raise ManifestError(f"{name} is {_shown(values[name])}; this runtime knows {known}") from error


def _file(values: Mapping[str, Any], name: str) -> FileEntry:
    entry = _get(values, name, dict)
    try:
        return FileEntry(_get(entry, "path", str), _get(entry, "size", int), _get(entry, "sha256", str))
    except ManifestError as error:
        raise ManifestError(f"{name}: {error}") from error


def _pixels(values: Mapping[str, Any], name: str) -> Pixels:
    pixels = _get(values, name, dict)
    try:
        return Pixels(_get(pixels, "background", int), _get(pixels, "ink", int))
    except ManifestError as error:
        raise ManifestError(f"{name}: {error}") from error


def _tensor(values: Mapping[str, Any], name: str) -> Tensor:
    tensor = _get(values, name, dict)
    try:
        return Tensor(_get(tensor, "name", str), _get(tensor, "dtype", str), _list(tensor, "shape", int))
    except ManifestError as error:
        raise ManifestError(f"{name}: {error}") from error
