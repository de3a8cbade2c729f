"""What was asked for, file by file; what a format or a target does not do well is refused, and why."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from digits_edge.export.targets import REFUSED, Target
from digits_edge.runtime import Format, InputError, Precision


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
