"""JSON → frozen dataclasses, by their type annotations; anything else than they say is refused."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from digits_edge.runtime.errors import InputError

_T = TypeVar("_T")


def decode(kind: type[_T], value: object) -> _T:
    """Builds a dataclass from what ``json.loads`` gave; its ``__post_init__`` checks ranges.

    Args:
        kind: A dataclass of numbers, strings, enums, tuples of one type, mappings of strings to one type,
            dataclasses, and None besides one of these.
        value: The object.

    Raises:
        InputError: A value is missing, superfluous, or of another type; the message says which.
    """
    decoded: _T = _decode(kind, value, "")
    return decoded


def _decode(kind: Any, value: object, where: str) -> Any:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        if value is None:
            return None
        (kind,) = (argument for argument in arguments if argument is not types.NoneType)
        return _decode(kind, value, where)
    if origin is tuple:
        items = _expect(list, value, where)
        return tuple(_decode(arguments[0], item, f"{where}[{number}]") for number, item in enumerate(items))
    if origin is Mapping:
        entries = _expect(dict, value, where)
        return {name: _decode(arguments[1], item, _below(where, name)) for name, item in entries.items()}
    if is_dataclass(kind):
        return _decode_fields(kind, _expect(dict, value, where), where)
    if issubclass(kind, Enum):
        return _decode_choice(kind, value, where)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return _expect(kind, value, where)


def _decode_fields(kind: Any, values: Mapping[str, object], where: str) -> Any:
    names = {field.name for field in fields(kind)}
    if wrong := sorted(names ^ values.keys()):
        state = "is missing" if wrong[0] in names else "is not known"
        raise InputError(f"{_below(where, wrong[0])} {state}")
    hints = get_type_hints(kind)
    decoded = {name: _decode(hints[name], values[name], _below(where, name)) for name in names}
    try:
        return kind(**decoded)
    except InputError as error:
        raise InputError(f"{where}: {error}" if where else str(error)) from error


def _decode_choice(kind: type[Enum], value: object, where: str) -> Enum:
    try:
        return kind(value)
    except ValueError as error:
        known = ", ".join(str(member.value) for member in kind)
        raise InputError(f"{where} is {str(value)[:80]!r}; expected one of {known}") from error


def _expect(kind: Any, value: Any, where: str) -> Any:
    if not isinstance(value, kind) or isinstance(value, bool):
        raise InputError(f"{where or 'it'} is {str(value)[:80]!r}; expected {kind.__name__}")
    return value


def _below(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name
