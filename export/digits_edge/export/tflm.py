"""TensorFlow Lite Micro on this machine: a microcontroller's interpreter, with its reference kernels."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from digits_edge.export.errors import ConversionError
from digits_edge.trainer.backend import quiet
from digits_edge.trainer.errors import SetupError

if TYPE_CHECKING:
    from types import ModuleType

# The methods of tflite::MicroMutableOpResolver, by the operator that each adds: what the TFLite converter
# makes of our layers, and their neighbours.
_ADDERS = {
    "ADD": "AddAdd",
    "AVERAGE_POOL_2D": "AddAveragePool2D",
    "CONV_2D": "AddConv2D",
    "DEPTHWISE_CONV_2D": "AddDepthwiseConv2D",
    "DEQUANTIZE": "AddDequantize",
    "FULLY_CONNECTED": "AddFullyConnected",
    "MAX_POOL_2D": "AddMaxPool2D",
    "MEAN": "AddMean",
    "MUL": "AddMul",
    "PACK": "AddPack",
    "PAD": "AddPad",
    "QUANTIZE": "AddQuantize",
    "RELU": "AddRelu",
    "RESHAPE": "AddReshape",
    "SHAPE": "AddShape",
    "SOFTMAX": "AddSoftmax",
    "STRIDED_SLICE": "AddStridedSlice",
    "TRANSPOSE": "AddTranspose",
}
_PLENTY = (
    16 << 20
)  # bytes; to measure in. More than microcontrollers have, and only what is used costs memory here.
_HEADROOM = 1.1  # other kernels and later versions of TFLM may need a little more
_STEP = 1024
_REPORT = re.compile(r"Arena allocation (total|head|tail) (\d+) bytes")


@dataclass(frozen=True)
class Arena:
    """What a model needs of TFLM's arena, in bytes, as TFLM reports it.

    Attributes:
        total: The smallest arena that the model runs in.
        head: Activations and scratch buffers, which take turns in the same memory.
        tail: What stays for as long as the interpreter does.
    """

    total: int
    head: int
    tail: int

    @property
    def recommended(self) -> int:
        """The arena to set aside: a tenth more, in whole KiB."""
        return -int(-self.total * _HEADROOM // _STEP) * _STEP


@dataclass(frozen=True)
class Quantization:
    """What a quantized value q stands for: ``scale * (q - zero_point)``."""

    scale: float
    zero_point: int


class Tflm:
    """One TFLM interpreter with a model in it. For one image at a time: a microcontroller has no batches.

    TFLM reads each tensor's ``shape``, which the converter writes with a batch of 1, and not its
    ``shape_signature``, where the batch is open. So it takes the very file that LiteRT takes.

    Attributes:
        input: Quantization of the pixels.
        output: Quantization of the logits.
    """

    def __init__(self, model: bytes, arena_bytes: int = _PLENTY) -> None:
        """Opens a model.

        Args:
            model: A TFLite file whose bytes were verified: uint8 ``(1, 28, 28)`` in, uint8 ``(1, 10)`` out.
            arena_bytes: Memory for all that the interpreter keeps.

        Raises:
            SetupError: The package ``tflite-micro`` is not installed.
            ConversionError: TFLM does not take the model, or not in this arena; or it has another input or
                output.
        """
        runtime = _runtime()
        # Too little for TFLM's own first objects ends the process, where a little more is only refused.
        if arena_bytes < _STEP:
            raise ConversionError(f"an arena of {arena_bytes} bytes; expected at least {_STEP}")
        printed: list[str] = []
        try:
            with _printed(printed):
                self._interpreter = runtime.Interpreter.from_bytes(model, arena_size=arena_bytes)
        except (RuntimeError, ValueError) as error:
            raise ConversionError(
                f"TFLM does not take the model in an arena of {arena_bytes} bytes: "
                f"{' '.join((str(error), *printed[0].split()))}"
            ) from error
        self.input = _quantization(self._interpreter.get_input_details(0), (1, 28, 28), "input")
        self.output = _quantization(self._interpreter.get_output_details(0), (1, 10), "output")

    def answer(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """uint8 ``(28, 28)`` to quantized logits, uint8 ``(10,)``.

        Raises:
            ConversionError: A kernel failed.
        """
        try:
            self._interpreter.set_input(image[None], 0)
            self._interpreter.invoke()
        except (RuntimeError, ValueError) as error:
            raise ConversionError(f"TFLM does not run the model: {error}") from error
        (logits,) = np.asarray(self._interpreter.get_output(0), np.uint8)
        return np.asarray(logits)

    def arena(self) -> Arena:
        """What the model needs, once it has answered.

        Raises:
            ConversionError: This version of TFLM reports it in words that are not known here.
        """
        printed: list[str] = []
        with _printed(printed):
            self._interpreter.print_allocations()
        found = {name: int(count) for name, count in _REPORT.findall(printed[0])}
        if found.keys() != {"total", "head", "tail"} or found["total"] < max(found["head"], found["tail"]):
            raise ConversionError(
                f"TFLM reports its arena as {printed[0][:200]!r}; expected 'Arena allocation total … bytes', "
                "head and tail; install another version of tflite-micro"
            )
        return Arena(**found)


def installed() -> bool:
    """Whether TFLM is there, without importing it."""
    return find_spec("tflite_micro") is not None


def require_tflm() -> None:
    """Checks that TFLM is there, before a minute is spent on what needs it.

    Raises:
        SetupError: It is not.
    """
    _runtime()


def resolver_methods(model: bytes) -> tuple[str, ...]:
    """The methods of ``tflite::MicroMutableOpResolver`` that a TFLite file needs called, sorted, each once.

    Raises:
        ConversionError: The file has an operator that is not known to run in TFLM.
    """
    from ai_edge_litert import schema_py_generated as schema

    names = {code: name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)}
    root = schema.Model.GetRootAsModel(model, 0)
    codes = [root.OperatorCodes(index) for index in range(root.OperatorCodesLength())]
    # Operators after number 127 are in the newer of the two fields only.
    numbers = {max(code.BuiltinCode(), code.DeprecatedBuiltinCode()) for code in codes}
    operators = sorted(names.get(number, f"number {number}") for number in numbers)
    unknown = [name for name in operators if name not in _ADDERS]
    if unknown:
        raise ConversionError(
            f"the model has {', '.join(unknown)}, not known to run on microcontrollers; "
            f"expected operators out of {', '.join(_ADDERS)}"
        )
    return tuple(_ADDERS[name] for name in operators)


def _runtime() -> ModuleType:
    try:
        from tflite_micro.python.tflite_micro import runtime
    except ImportError as error:
        raise SetupError(
            "C sources are proved in TensorFlow Lite Micro, which is not installed; install it with: "
            'pip install "digits-edge[micro]" (its wheels are for Linux on x86-64)'
        ) from error
    module: ModuleType = runtime
    return module


@contextmanager
def _printed(lines: list[str]) -> Iterator[None]:
    """Appends what native code prints while the block runs; TFLM reports in no other way."""
    with tempfile.TemporaryDirectory() as directory:
        log = Path(directory, "printed")
        try:
            with quiet(log):
                yield
        finally:
            lines.append(log.read_text("utf-8", errors="replace"))


def _quantization(details: dict[str, Any], shape: tuple[int, ...], what: str) -> Quantization:
    """A tensor's scale and zero point.

    Raises:
        ConversionError: It is of another type or shape, or has no such numbers.
    """
    parameters = details["quantization_parameters"]
    scales, zero_points = parameters["scales"], parameters["zero_points"]
    actual = tuple(int(size) for size in details["shape"])
    if details["dtype"] is not np.uint8 or actual != shape or len(scales) != 1 or len(zero_points) != 1:
        raise ConversionError(
            f"the model's {what} is {np.dtype(details['dtype'])} {actual} with {len(scales)} scales; "
            f"expected uint8 {shape} with one"
        )
    return Quantization(float(scales[0]), int(zero_points[0]))
