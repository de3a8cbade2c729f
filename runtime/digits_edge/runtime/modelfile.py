"""Reads just enough of a model file to refuse one that asks for more than its own bytes.

ONNX Runtime and LiteRT are native parsers. Before they see a file, this module walks it in plain Python: an ONNX model
may use the standard operators and ONNX Runtime's own, with all weights inside; a TFLite model built-in operators only.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from digits_edge.runtime.errors import UnsafeModelError

# Field numbers of onnx.proto3 (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto3).
_MODEL_GRAPH, _MODEL_OPSETS, _MODEL_FUNCTIONS = 7, 8, 25
_GRAPH_NODE, _GRAPH_INITIALIZER, _GRAPH_SPARSE = 1, 5, 15
_NODE_OP, _NODE_ATTRIBUTE, _NODE_DOMAIN = 4, 5, 7
_ATTRIBUTE_TENSOR, _ATTRIBUTE_GRAPH, _ATTRIBUTE_TENSORS, _ATTRIBUTE_GRAPHS = 5, 6, 10, 11
_TENSOR_EXTERNAL, _TENSOR_LOCATION = 13, 14
_OPSET_DOMAIN = 1

_DOMAINS = frozenset({b"", b"ai.onnx", b"com.microsoft"})
_DEEPEST = 8  # graphs inside graphs; ours have none

Field = tuple[int, int, "memoryview | int"]


def check_onnx(model: bytes) -> None:
    """Refuses an ONNX file with external data, functions, or operators of unknown domains.

    Raises:
        UnsafeModelError: It has one of these, or is no ONNX file.
    """
    graphs = 0
    try:
        for number, _, value in _fields(memoryview(model)):
            if number == _MODEL_GRAPH:
                graphs += 1
                _check_graph(_message(value), depth=0)
            elif number == _MODEL_OPSETS:
                _check_domain(_message(value), _OPSET_DOMAIN)
            elif number == _MODEL_FUNCTIONS:
                raise UnsafeModelError("the model defines functions of its own; expected plain operators only")
    except (IndexError, struct.error) as error:
        raise UnsafeModelError(f"not an ONNX file, or a damaged one ({error})") from error
    if graphs != 1:
        raise UnsafeModelError(f"the file holds {graphs} graphs; an ONNX model has exactly one")


def check_tflite(model: bytes) -> None:
    """Refuses a TFLite file with custom operators.

    The file is a FlatBuffer (schema.fbs of TensorFlow Lite): a root table whose second field lists operator codes;
    an operator code's second field is the name of a custom operator.

    Raises:
        UnsafeModelError: It has one, or is no TFLite file.
    """
    if model[4:8] != b"TFL3":
        raise UnsafeModelError("not a TFLite file: the identifier TFL3 is missing")
    try:
        root = _u32(model, 0)
        codes = _table_field(model, root, 1)
        if codes is None:
            raise UnsafeModelError("the TFLite file lists no operators")
        start = codes + _u32(model, codes)
        for index in range(_u32(model, start)):
            entry = start + 4 + 4 * index
            custom = _table_field(model, entry + _u32(model, entry), 1)
            if custom is not None:
                raise UnsafeModelError("the model uses a custom operator; expected built-in operators only")
    except (IndexError, struct.error) as error:
        raise UnsafeModelError(f"damaged TFLite file ({error})") from error


def _check_graph(graph: memoryview, *, depth: int) -> None:
    if depth > _DEEPEST:
        raise UnsafeModelError(f"graphs nested more than {_DEEPEST} deep")
    for number, _, value in _fields(graph):
        if number == _GRAPH_NODE:
            _check_node(_message(value), depth=depth)
        elif number == _GRAPH_INITIALIZER:
            _check_tensor(_message(value))
        elif number == _GRAPH_SPARSE:
            raise UnsafeModelError("the model has sparse initializers; expected dense ones")


def _check_node(node: memoryview, *, depth: int) -> None:
    _check_domain(node, _NODE_DOMAIN)
    for number, _, value in _fields(node):
        if number != _NODE_ATTRIBUTE:
            continue
        for inner, _, part in _fields(_message(value)):
            if inner in (_ATTRIBUTE_TENSOR, _ATTRIBUTE_TENSORS):
                _check_tensor(_message(part))
            elif inner in (_ATTRIBUTE_GRAPH, _ATTRIBUTE_GRAPHS):
                _check_graph(_message(part), depth=depth + 1)


def _check_tensor(tensor: memoryview) -> None:
    for number, _, value in _fields(tensor):
        if number == _TENSOR_EXTERNAL or (number == _TENSOR_LOCATION and value != 0):
            raise UnsafeModelError("a tensor lies outside the model file (external data); expected all weights inside")


def _check_domain(message: memoryview, field: int) -> None:
    for number, _, value in _fields(message):
        if number == field and bytes(_message(value)) not in _DOMAINS:
            name = bytes(_message(value))[:64].decode(errors="replace")
            raise UnsafeModelError(f"operators of domain {name!r}; expected ai.onnx or com.microsoft only")


def _message(value: memoryview | int) -> memoryview:
    if isinstance(value, int):
        raise UnsafeModelError("not an ONNX file: a number stands where a message belongs")
    return value


def _fields(data: memoryview) -> Iterator[Field]:
    """Field number, wire type and value of a protobuf message (https://protobuf.dev/programming-guides/encoding)."""
    position = 0
    while position < len(data):
        key, position = _varint(data, position)
        number, wire = key >> 3, key & 7
        value: memoryview | int
        if wire == 0:
            value, position = _varint(data, position)
        elif wire in (1, 5):
            width = 8 if wire == 1 else 4
            value, position = data[position : position + width], position + width
        elif wire == 2:
            length, position = _varint(data, position)
            value, position = data[position : position + length], position + length
        else:
            raise UnsafeModelError(f"not an ONNX file: wire type {wire}")
        if position > len(data):
            raise UnsafeModelError("not an ONNX file, or a truncated one")
        yield number, wire, value


def _varint(data: memoryview, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise UnsafeModelError("not an ONNX file: a number of more than ten bytes")


def _u32(data: bytes, position: int) -> int:
    return int(struct.unpack_from("<I", data, position)[0])


def _table_field(data: bytes, table: int, field: int) -> int | None:
    """Where a FlatBuffer table's field stands, or None where the table leaves it out."""
    vtable = table - int(struct.unpack_from("<i", data, table)[0])
    if vtable < 0:
        raise UnsafeModelError("damaged TFLite file: a table points before the file")
    size = struct.unpack_from("<H", data, vtable)[0]
    slot = 4 + 2 * field
    offset = struct.unpack_from("<H", data, vtable + slot)[0] if slot < size else 0
    return table + int(offset) if offset else None
