"""A TFLite graph as questions: whose operator is it, where does a constant come from, how is it stored."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from digits_edge.export.layers import PIXELS, Quantization

if TYPE_CHECKING:
    from ai_edge_litert.schema_py_generated import ModelT, OperatorT, TensorT

QUANTIZE, DEQUANTIZE = "QUANTIZE", "DEQUANTIZE"
PRODUCTS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")

# Continue the layer that they follow: its border map, its activation, its rounding.
_FOLLOWS = frozenset({"ADD", "MUL", "RELU", "CAST", QUANTIZE, DEQUANTIZE})
# Names of TensorFlow and its converter, in tensors that are called "Relu;BiasAdd;conv1;BiasAdd/bias1".
_NO_LAYER = re.compile(
    r"(Relu|BiasAdd|[Aa]dd(V2)?|[Mm]ul|Reshape|Identity|Cast|Mean|MatMul|Conv2D|transpose|images|logits"
    r"|(Stateful)?PartitionedCall\S*|arith\.constant|tfl\.\w+)?[_\d]*(_int\d+)?"
)
# Numbers of TensorType in LiteRT's schema.fbs, for what our models are made of.
_DTYPES = {0: "float32", 1: "float16", 2: "int32", 3: "uint8", 4: "int64", 7: "int16", 9: "int8"}


class TfliteGraph:
    """Reads the one graph of a model whose bytes were verified, and that LiteRT takes."""

    def __init__(self, content: bytes) -> None:
        from ai_edge_litert.tools.flatbuffer_utils import convert_bytearray_to_object

        self.model: ModelT = convert_bytearray_to_object(bytearray(content))
        self.graph = self.model.subgraphs[0]
        self.tensors: list[TensorT] = list(self.graph.tensors)
        self.operators: list[OperatorT] = list(self.graph.operators)
        self.writers = {int(output): operator for operator in self.operators for output in operator.outputs}

    def kind(self, operator: OperatorT) -> str:
        """The operator's name in the schema, like ``CONV_2D``."""
        from ai_edge_litert.tools.flatbuffer_utils import opcode_to_name

        return opcode_to_name(self.model, operator.opcodeIndex) or "CUSTOM"

    def inputs(self, operator: OperatorT) -> Iterator[int]:
        """The tensors that it takes; the schema has −1 for one left out."""
        return (int(index) for index in operator.inputs if index >= 0)

    def name(self, tensor: int) -> str:
        """A tensor's name."""
        name = self.tensors[tensor].name
        return name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name or "")

    def dtype(self, tensor: int) -> str:
        """A tensor's type in numpy's words; the schema's number for a type that our models do not have."""
        number = int(self.tensors[tensor].type)
        return _DTYPES.get(number, f"type {number}")

    def shape(self, tensor: int) -> tuple[int, ...]:
        """A tensor's shape, batch axis included."""
        shape = self.tensors[tensor].shape
        return () if shape is None else tuple(int(axis) for axis in shape)

    def array(self, tensor: int) -> NDArray[Any] | None:
        """A constant's numbers; None of a tensor that is computed, or of a type numpy has not."""
        data = self.model.buffers[self.tensors[tensor].buffer].data
        if data is None or not len(data) or int(self.tensors[tensor].type) not in _DTYPES:
            return None
        numbers = np.frombuffer(np.asarray(data, np.uint8).tobytes(), self.dtype(tensor))
        return numbers.reshape(self.shape(tensor))

    def quantization(self, tensor: int) -> Quantization | None:
        """How a tensor is stored as integers; None of floats, and of shapes."""
        found = self.tensors[tensor].quantization
        if found is None or found.scale is None or not len(found.scale):
            return None
        zero_points = [0] * len(found.scale) if found.zeroPoint is None else found.zeroPoint
        return Quantization(
            self.dtype(tensor),
            tuple(float(scale) for scale in found.scale),
            tuple(int(zero) for zero in zero_points),
        )

    def axis(self, tensor: int) -> int:
        """The axis that a tensor's scales count along."""
        return int(self.tensors[tensor].quantization.quantizedDimension)

    def stored(self, tensor: int) -> int | None:
        """The constant that a tensor comes from, directly or dequantized; None if it is computed."""
        while self.array(tensor) is None:
            operator = self.writers.get(tensor)
            if operator is None or self.kind(operator) != DEQUANTIZE:
                return None
            tensor = int(operator.inputs[0])
        return tensor

    @cached_property
    def computing(self) -> list[tuple[str, OperatorT]]:
        """What computes something of an image, in order, each with its layer. Rounding is among it."""
        layers: dict[int, str] = {}
        found = []
        for operator in self.operators:
            if self.stored(int(operator.inputs[0])) is not None:
                continue  # unpacks a weight
            before = layers.get(int(operator.inputs[0]))
            layer = self._layer(operator, before)
            layers.update(dict.fromkeys((int(output) for output in operator.outputs), layer))
            found.append((layer, operator))
        return found

    def _layer(self, operator: OperatorT, before: str | None) -> str:
        """The layer's name stands in that of what it computes, or of its kernel; else its kind must tell."""
        kind, output = self.kind(operator), int(operator.outputs[0])
        kernel = self.stored(int(operator.inputs[1])) if kind in PRODUCTS else None
        for tensor in (output, kernel):
            for part in () if tensor is None else self.name(tensor).split(";"):
                name = part.partition("/")[0]
                if not _NO_LAYER.fullmatch(name):
                    return name
        if kind in _FOLLOWS or kind == "RESHAPE":
            if before in (None, PIXELS):
                return PIXELS
            return "flatten" if kind == "RESHAPE" else str(before)
        return self.name(output) or kind.lower()

    def outputs(self) -> dict[str, int]:
        """Each layer's output: what its last operator computes."""
        return {layer: int(operator.outputs[0]) for layer, operator in self.computing}
