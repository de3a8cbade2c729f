"""Reads just enough of a model file to refuse one that asks for more than its own bytes.

ONNX Runtime and LiteRT are native parsers. Before they see a file, this module walks it in plain Python: an
ONNX model may use the standard operators and ONNX Runtime's own, a TFLite model built-in operators; all
weights are inside. Both are one plain graph: a loop could run for ever, and no digit needs a branch.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from digits_edge.runtime.errors import UnsafeModelError

# Field numbers of onnx.proto3 (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto3).
_MODEL_GRAPH, _MODEL_OPSETS, _MODEL_TRAINING, _MODEL_FUNCTIONS = 7, 8, 20, 25
_GRAPH_NODE, _GRAPH_INITIALIZER, _GRAPH_SPARSE = 1, 5, 15
_NODE_OP, _NODE_ATTRIBUTE, _NODE_DOMAIN = 4, 5, 7
_ATTRIBUTE_TENSOR, _ATTRIBUTE_GRAPH, _ATTRIBUTE_TENSORS, _ATTRIBUTE_GRAPHS = 5, 6, 10, 11
_ATTRIBUTE_SPARSE, _ATTRIBUTE_SPARSES = 22, 23
_TENSOR_EXTERNAL, _TENSOR_LOCATION = 13, 14
_OPSET_DOMAIN = 1

_DOMAINS = frozenset({b"", b"ai.onnx", b"com.microsoft"})
_READS_FILES = frozenset({b"EPContext"})  # holds, or names, what another provider compiled
_MOST_FIELDS = 1_000_000  # a thousand times what our models have; walked in about a second

# Field numbers of LiteRT's schema.fbs
# (https://github.com/google-ai-edge/LiteRT/blob/main/tflite/converter/schema/schema.fbs).
_TFLITE_CODES, _TFLITE_GRAPHS, _TFLITE_BUFFERS, _TFLITE_EXTERNAL = 1, 2, 4, (8, 9)
_CODE_CUSTOM = 1
_BUFFER_DATA, _BUFFER_OFFSET, _BUFFER_SIZE = 0, 1, 2
_MOST_ENTRIES = 10_000

Field = tuple[int, "memoryview | int"]


def check_onnx(model: bytes) -> None:
    """Refuses an ONNX file with external data, functions, graphs inside graphs, or unknown operator domains.

    Raises:
        UnsafeModelError: It has one of these, or is no ONNX file.
    """
    # ONNX Runtime takes what is marked like this for its own format, whatever it would be as ONNX.
    if model[4:8] == b"ORTM":
        raise UnsafeModelError("a file in ONNX Runtime's own format; expected plain ONNX")
    try:
        graphs = _OnnxWalk().model(memoryview(model))
    except IndexError as error:
        raise UnsafeModelError("not an ONNX file, or a truncated one") from error
    if graphs != 1:
        raise UnsafeModelError(f"the file holds {graphs} graphs; an ONNX model has exactly one")


def check_tflite(model: bytes) -> None:
    """Refuses a TFLite file with custom operators, weights outside of it, or several graphs.

    The file is a FlatBuffer. LiteRT verifies its offsets; this reads what that verification does not judge.

    Raises:
        UnsafeModelError: It has one of these, or is no TFLite file.
    """
    if model[4:8] != b"TFL3":
        raise UnsafeModelError("not a TFLite file: the identifier TFL3 is missing")
    try:
        root = _u32(model, 0)
        codes, graphs, buffers = (
            _tables(model, root, field) for field in (_TFLITE_CODES, _TFLITE_GRAPHS, _TFLITE_BUFFERS)
        )
        if not codes:
            raise UnsafeModelError("the TFLite file lists no operators")
        if len(graphs) != 1:
            raise UnsafeModelError(f"the file holds {len(graphs)} graphs; a TFLite model has exactly one")
        if any(_table_field(model, code, _CODE_CUSTOM) is not None for code in codes):
            raise UnsafeModelError("the model uses a custom operator; expected built-in operators only")
        if any(_table_field(model, root, field) is not None for field in _TFLITE_EXTERNAL):
            raise UnsafeModelError(
                "weights lie outside the model file (external buffers); expected all inside"
            )
        for buffer in buffers:
            _check_buffer(model, buffer)
    except struct.error as error:
        raise UnsafeModelError(f"damaged TFLite file ({error})") from error


class _OnnxWalk:
    """One walk over an ONNX file, which ends after a million fields however they are nested."""

    def __init__(self) -> None:
        self._left = _MOST_FIELDS

    def model(self, model: memoryview) -> int:
        """Checks a ModelProto; the number of its graphs."""
        graphs = 0
        for number, value in self._fields(model):
            if number == _MODEL_GRAPH:
                graphs += 1
                self._check_graph(_message(value))
            elif number == _MODEL_OPSETS:
                self._check_opset(_message(value))
            elif number == _MODEL_FUNCTIONS:
                raise UnsafeModelError(
                    "the model defines functions of its own; expected plain operators only"
                )
            elif number == _MODEL_TRAINING:
                raise UnsafeModelError("the model carries graphs for training; expected one to run")
        return graphs

    def _check_graph(self, graph: memoryview) -> None:
        for number, value in self._fields(graph):
            if number == _GRAPH_NODE:
                self._check_node(_message(value))
            elif number == _GRAPH_INITIALIZER:
                self._check_tensor(_message(value))
            elif number == _GRAPH_SPARSE:
                raise UnsafeModelError("the model has sparse weights; expected dense ones")

    def _check_node(self, node: memoryview) -> None:
        for number, value in self._fields(node):
            if number == _NODE_DOMAIN:
                _check_domain(_message(value))
            elif number == _NODE_OP and bytes(_message(value)) in _READS_FILES:
                raise UnsafeModelError(
                    "the model asks for one compiled elsewhere (EPContext); expected plain operators"
                )
            elif number == _NODE_ATTRIBUTE:
                self._check_attribute(_message(value))

    def _check_attribute(self, attribute: memoryview) -> None:
        for number, value in self._fields(attribute):
            if number in (_ATTRIBUTE_TENSOR, _ATTRIBUTE_TENSORS):
                self._check_tensor(_message(value))
            elif number in (_ATTRIBUTE_GRAPH, _ATTRIBUTE_GRAPHS):
                raise UnsafeModelError(
                    "an operator holds a graph of its own (If, Loop, Scan); expected one plain graph"
                )
            elif number in (_ATTRIBUTE_SPARSE, _ATTRIBUTE_SPARSES):
                raise UnsafeModelError("the model has sparse weights; expected dense ones")

    def _check_tensor(self, tensor: memoryview) -> None:
        for number, value in self._fields(tensor):
            if number == _TENSOR_EXTERNAL or (number == _TENSOR_LOCATION and value != 0):
                raise UnsafeModelError(
                    "a tensor lies outside the model file (external data); expected all weights inside"
                )

    def _check_opset(self, opset: memoryview) -> None:
        for number, value in self._fields(opset):
            if number == _OPSET_DOMAIN:
                _check_domain(_message(value))

    def _fields(self, data: memoryview) -> Iterator[Field]:
        """Field numbers and values of a protobuf message (https://protobuf.dev/programming-guides/encoding)."""
        position = 0
        while position < len(data):
            self._left -= 1
            if self._left < 0:
                raise UnsafeModelError(f"the model has more than {_MOST_FIELDS} fields")
            key, position = _varint(data, position)
            number, wire = key >> 3, key & 7
            # Native parsers keep 32 bits of a key: a higher one would make it another field there than here.
            if number == 0 or key >= 1 << 32:
                raise UnsafeModelError(f"not an ONNX file: field number {number}")
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
            yield number, value


def _check_domain(domain: memoryview) -> None:
    if bytes(domain) not in _DOMAINS:
        name = bytes(domain[:64]).decode(errors="replace")
        raise UnsafeModelError(f"operators of domain {name!r}; expected ai.onnx or com.microsoft only")


def _message(value: memoryview | int) -> memoryview:
    if isinstance(value, int):
        raise UnsafeModelError("not an ONNX file: a number stands where a message belongs")
    return value


def _varint(data: memoryview, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise UnsafeModelError("not an ONNX file: a number of more than ten bytes")


def _check_buffer(model: bytes, buffer: int) -> None:
    """A buffer's bytes follow its table; an offset and a size would place them behind the FlatBuffer."""
    for field in (_BUFFER_OFFSET, _BUFFER_SIZE):
        position = _table_field(model, buffer, field)
        if position is not None and struct.unpack_from("<Q", model, position)[0] > 1:
            raise UnsafeModelError("weights lie behind the model's own bytes; expected all inside")
    position = _table_field(model, buffer, _BUFFER_DATA)
    if position is not None:
        data = position + _u32(model, position)
        if data + 4 + _u32(model, data) > len(model):
            raise UnsafeModelError("damaged TFLite file: weights run over its end")


def _tables(model: bytes, table: int, field: int) -> list[int]:
    """Where the tables stand that a FlatBuffer table's field lists."""
    position = _table_field(model, table, field)
    if position is None:
        return []
    vector = position + _u32(model, position)
    count = _u32(model, vector)
    if count > _MOST_ENTRIES:
        raise UnsafeModelError(f"damaged TFLite file: a list of {count} entries")
    entries = range(vector + 4, vector + 4 + 4 * count, 4)
    return [entry + _u32(model, entry) for entry in entries]


def _table_field(model: bytes, table: int, field: int) -> int | None:
    """Where a FlatBuffer table's field stands, or None where the table leaves it out."""
    vtable = table - int(struct.unpack_from("<i", model, table)[0])
    if vtable < 0:
        raise UnsafeModelError("damaged TFLite file: a table points before the file")
    size = struct.unpack_from("<H", model, vtable)[0]
    slot = 4 + 2 * field
    offset = struct.unpack_from("<H", model, vtable + slot)[0] if slot < size else 0
    return table + int(offset) if offset else None


def _u32(data: bytes, position: int) -> int:
    return int(struct.unpack_from("<I", data, position)[0])
