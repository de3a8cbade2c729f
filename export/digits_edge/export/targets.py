"""What follows from where a model is to run. Data, no code: one row a target.

Every target takes uint8 pixels: in int8 a pixel is its own quantized value, in float the scaling is part of
the first kernel, so a float input would only cost a device its preprocessing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType

from digits_edge.runtime import Format, Precision

F32, F16, I8, W8, I16 = (
    Precision.FLOAT32,
    Precision.FLOAT16,
    Precision.INT8,
    Precision.WEIGHTS8,
    Precision.INT16X8,
)


class TargetName(str, Enum):
    """The targets that can be asked for."""

    GENERIC = "generic"
    X86_AVX2 = "x86-avx2"
    ARM64 = "arm64"
    MCU = "mcu"


@dataclass(frozen=True)
class Target:
    """Where a model is to run.

    Attributes:
        name: Its name.
        precisions: For each format the precisions worth having there, the ones that `all` makes.
        candidates: For each format what ``auto`` tries, the best first; the last is what is left when int8 is
            not accurate or not faster.
        seven_bits: int8 weights in ONNX use 7 of their bits. On x86 without VNNI, ONNX Runtime adds two
            products of a pixel and a weight in 16 bits: 2·255·127 does not fit into them, 2·255·64 does
            (onnxruntime issues 5849 and 14642).
        safe_on: Instruction sets on which int8 ONNX is exact; everything else is exact on any.
        machines: Speed is measured on a machine that has one of these; None on any, empty on none: what it
            says elsewhere is nothing about the target.
        float_layers: Layers that int8 may put back to float at most.
    """

    name: TargetName
    precisions: Mapping[Format, tuple[Precision, ...]]
    candidates: Mapping[Format, tuple[Precision, ...]]
    seven_bits: bool
    safe_on: tuple[str, ...]
    machines: tuple[str, ...] | None = None
    float_layers: int = 100


_EVERYWHERE = MappingProxyType({Format.ONNX: (F32, I8), Format.TFLITE: (F32, F16, I8, W8)})
_FASTEST = MappingProxyType({Format.ONNX: (I8, F32), Format.TFLITE: (I8, W8, F16, F32)})

_EXACT = ("x86-vnni", "arm64")  # where eight bits are

TARGETS: Mapping[TargetName, Target] = MappingProxyType(
    {
        target.name: target
        for target in (
            Target(TargetName.GENERIC, _EVERYWHERE, _FASTEST, seven_bits=False, safe_on=_EXACT),
            Target(TargetName.X86_AVX2, _EVERYWHERE, _FASTEST, seven_bits=True, safe_on=("any",)),
            # Its kernels sum up in 32 bits, with the dot product instructions and without.
            Target(
                TargetName.ARM64,
                _EVERYWHERE,
                _FASTEST,
                seven_bits=False,
                safe_on=_EXACT,
                machines=("arm64",),
            ),
            # A float unit and megabytes of RAM are what it does not have.
            Target(
                TargetName.MCU,
                MappingProxyType({Format.TFLITE: (I8,)}),
                MappingProxyType({Format.TFLITE: (I8, I16)}),
                seven_bits=False,
                safe_on=("any",),
                machines=(),
                float_layers=0,
            ),
        )
    }
)

# Why a format has no such precision; what is in no row of the table and not here is made when it is named.
REFUSED: Mapping[tuple[Format, Precision], str] = MappingProxyType(
    {
        (Format.ONNX, F16): "ONNX Runtime's CPU kernels compute in 32 bits and would convert at every step",
        (Format.ONNX, I16): "ONNX Runtime's CPU kernels have no integers of 16 bits",
        (Format.ONNX, W8): (
            "ONNX Runtime would quantize activations at every call (dynamic int8): measured on a CNN to be "
            "five times slower than float32"
        ),
    }
)
