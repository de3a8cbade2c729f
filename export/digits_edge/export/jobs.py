"""What was asked for, file by file; what a format, a target or a processor cannot do is refused, and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType

from digits_edge.export.targets import REFUSED, TARGETS, Target, TargetName
from digits_edge.export.tflm import installed
from digits_edge.runtime import Format, InputError, Precision
from digits_edge.runtime.processor import exact
from digits_edge.trainer.errors import SetupError


class FormatWord(str, Enum):
    """What can be asked for by ``--format``.

    Attributes:
        ONNX: ONNX bundles.
        TFLITE: TFLite bundles.
        C: An int8 TFLite bundle, and C sources of it.
        ALL: Bundles of every format that the target runs, and C sources where they can be had.
    """

    ONNX = "onnx"
    TFLITE = "tflite"
    C = "c"
    ALL = "all"


class Several(str, Enum):
    """In place of a precision.

    Attributes:
        ALL: Every one that is worth having on the target.
        AUTO: One, chosen by measuring.
    """

    ALL = "all"
    AUTO = "auto"


@dataclass(frozen=True)
class Job:
    """One file to make.

    Attributes:
        format: File format.
        precision: Arithmetic; None to choose it by measuring.
    """

    format: Format
    precision: Precision | None


# What C sources are made of.
FOR_C = Job(Format.TFLITE, Precision.INT8)

_FORMATS: Mapping[FormatWord, tuple[Format, ...]] = MappingProxyType(
    {
        FormatWord.ONNX: (Format.ONNX,),
        FormatWord.TFLITE: (Format.TFLITE,),
        FormatWord.C: (Format.TFLITE,),
        FormatWord.ALL: tuple(Format),
    }
)


@dataclass(frozen=True)
class Asked:
    """What an export is to make.

    Attributes:
        jobs: The files, each once.
        c_sources: C sources, too.
        notes: What is left out of "all", and why.
    """

    jobs: tuple[Job, ...]
    c_sources: bool
    notes: tuple[str, ...] = ()


def asked_for(
    kinds: Sequence[FormatWord], precisions: Sequence[Precision | Several], target: Target
) -> Asked:
    """What to make for the words of a command.

    Args:
        kinds: Formats, or none: C sources for a target that runs no ONNX, else ONNX.
        precisions: As in `jobs_for`.
        target: Where the model is to run.

    Raises:
        InputError: It cannot be had, and the message says why.
    """
    kinds = kinds or ((FormatWord.ONNX,) if Format.ONNX in target.precisions else (FormatWord.C,))
    jobs = jobs_for([kind for each in kinds for kind in _FORMATS[each]], precisions, target)
    if FormatWord.C in kinds:
        if FOR_C not in jobs:
            raise InputError("C sources are made of the int8 TFLite model; use --precision int8")
        return Asked(jobs, c_sources=True)
    if FormatWord.ALL not in kinds:
        return Asked(jobs, c_sources=False)
    if FOR_C not in jobs:
        return Asked(jobs, False, ("no C sources: they are made of int8 TFLite, by --precision int8 or all",))
    if not installed():
        return Asked(jobs, False, ("no C sources: tflite-micro is not installed (Linux on x86-64 only)",))
    return Asked(jobs, c_sources=True)


def jobs_for(
    formats: Iterable[Format], precisions: Sequence[Precision | Several], target: Target
) -> tuple[Job, ...]:
    """The files to make, each once.

    Args:
        formats: File formats. Of several, those that have no such precision are left out.
        precisions: Arithmetics, or one word for several.
        target: Where the model is to run.

    Raises:
        InputError: Nothing is left, and the message says why; or ``auto`` is named beside others.
    """
    if Several.AUTO in precisions and len(precisions) > 1:
        raise InputError("auto chooses one precision; expected it alone")
    jobs: dict[Job, None] = {}
    reasons: list[str] = []
    for kind in formats:
        if kind not in target.precisions:
            runs = f"the target {target.name.value} runs no {kind.value}"
            reasons.append(f"{runs}; ask for --format c or tflite")
            continue
        for precision in precisions:
            if precision is Several.ALL:
                jobs |= dict.fromkeys(Job(kind, each) for each in target.precisions[kind])
            elif precision is Several.AUTO:
                jobs[Job(kind, None)] = None
            elif target.float_layers == 0 and precision not in target.candidates[kind]:
                known = " or ".join(candidate.value for candidate in target.candidates[kind])
                reasons.append(f"the target {target.name.value} has no floats; ask for {known}")
            elif (kind, precision) in REFUSED:
                reasons.append(f"no {precision.value} {kind.value}: {REFUSED[kind, precision]}")
            else:
                jobs[Job(kind, Precision(precision))] = None
    made = {job.precision for job in jobs}
    if not jobs or any(isinstance(named, Precision) and named not in made for named in precisions):
        raise InputError("; ".join(reasons) or "nothing to export; expected a format and a precision")
    return tuple(jobs)


def provable_target(target: Target, jobs: Iterable[Job], here: frozenset[str] | None) -> Target:
    """The target, or the nearest that this processor can prove: what it computes inexactly it cannot.

    Args:
        target: Where the model is to run.
        jobs: The files to make.
        here: This processor's instruction sets, as `instruction_sets` tells.

    Returns:
        ``x86-avx2``, exact anywhere, in place of ``generic`` where int8 ONNX of 8-bit weights is inexact.

    Raises:
        SetupError: Another target was named, and its int8 ONNX is inexact here.
    """
    int8 = any(job.format is Format.ONNX and job.precision in (None, Precision.INT8) for job in jobs)
    if not int8 or exact(target.safe_on, here) is not False:
        return target
    if target.name is TargetName.GENERIC:
        return TARGETS[TargetName.X86_AVX2]
    raise SetupError(
        f"int8 ONNX for {target.name.value} cannot be proved on this processor, which computes it "
        f"inexactly; export on {' or '.join(target.safe_on)}, or with --target x86-avx2"
    )
