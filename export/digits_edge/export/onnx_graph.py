"""An ONNX graph as questions: whose node is it, where does a constant come from, how is a value rounded."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from digits_edge.export.layers import Quantization

if TYPE_CHECKING:
    import onnx

QUANTIZE, DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"


class OnnxGraph:
    """Reads a model whose nodes are named ``layer/Operator``, as ``onnx.to_onnx`` names them.

    A node that is named otherwise belongs to the layer of its output, failing that to a layer of its own.
    """

    def __init__(self, content: bytes) -> None:
        import onnx

        self.model: onnx.ModelProto = onnx.shape_inference.infer_shapes(onnx.load_from_string(content))
        self.nodes: list[onnx.NodeProto] = list(self.model.graph.node)
        self.constants: dict[str, onnx.TensorProto] = {
            tensor.name: tensor for tensor in self.model.graph.initializer
        }
        self._writers = {output: node for node in self.nodes for output in node.output}

    @cached_property
    def prepared(self) -> frozenset[str]:
        """Values that constants alone decide: each weight behind its DequantizeLinear."""
        values = set(self.constants)
        for node in self.nodes:  # which are in the order of computation
            if all(name in values for name in node.input if name):
                values.update(node.output)
        return frozenset(values)

    @cached_property
    def computing(self) -> list[onnx.NodeProto]:
        """The nodes that compute something of an image, without those that only round."""
        return [
            node
            for node in self.nodes
            if node.op_type not in (QUANTIZE, DEQUANTIZE) and node.output[0] not in self.prepared
        ]

    def layer_of(self, node: onnx.NodeProto) -> str:
        """The layer that a node belongs to."""
        for name in (node.name, node.output[0]):
            layer, slash, _ = name.partition("/")
            if slash and layer:
                return str(layer)
        return str(node.name or node.output[0])

    def readers(self, value: str) -> Iterator[onnx.NodeProto]:
        """The nodes that take a value."""
        return (node for node in self.nodes if value in node.input)

    def stored(self, value: str) -> tuple[str, Quantization | None, int] | None:
        """Where a value comes from that an image does not change.

        Returns:
            The constant's name, how it is quantized, and the axis of its channels; None for any other value.
        """
        quantization, axis = None, 0
        while value not in self.constants:
            if value not in self.prepared or (node := self._writers.get(value)) is None or not node.input:
                return None
            if node.op_type == DEQUANTIZE:
                quantization, axis = self.quantization(node), attribute(node, "axis", 1)
            value = node.input[0]
        return value, quantization, axis

    def array(self, name: str) -> NDArray[Any]:
        """A constant's numbers."""
        import onnx

        return np.asarray(onnx.numpy_helper.to_array(self.constants[name]))

    def quantization(self, node: onnx.NodeProto) -> Quantization | None:
        """Scale and zero point of a QuantizeLinear or DequantizeLinear; None if they are no constants."""
        names = [name for name in node.input[1:] if name]
        if not names or any(name not in self.constants for name in names):
            return None
        scales = self.array(names[0]).ravel()
        zero_points = self.array(names[1]).ravel() if len(names) > 1 else np.zeros(len(scales), np.uint8)
        return Quantization(
            str(zero_points.dtype),
            tuple(float(scale) for scale in scales),
            tuple(int(zero) for zero in zero_points),
        )

    def rounding(self, value: str) -> onnx.NodeProto | None:
        """The node that says how a value is stored: it quantizes it, or takes its integers for numbers."""
        for kind in (QUANTIZE, DEQUANTIZE):
            for node in self.readers(value):
                if node.op_type == kind and node.input[0] == value:
                    return node
        return None

    def outputs(self) -> dict[str, str]:
        """Each layer's output: what its last node computes."""
        return {self.layer_of(node): str(node.output[0]) for node in self.computing}


def attribute(node: onnx.NodeProto, name: str, default: Any) -> Any:
    """A node's attribute."""
    import onnx

    for candidate in node.attribute:
        if candidate.name == name:
            return onnx.helper.get_attribute_value(candidate)
    return default
