"""The trainer's errors, under the runtime's root.

DigitsEdgeError
└── TrainerError
    ├── DataError        a data file is malformed; the message names file and row (exit code 2)
    ├── DivergedError    the loss is no number any more
    ├── RunError         a run directory is missing, incomplete or of another kind (exit code 2)
    └── SetupError       an optional package is not installed (exit code 2)
"""

from __future__ import annotations

from digits_edge.runtime.errors import DigitsEdgeError


class TrainerError(DigitsEdgeError):
    """Base of the trainer's errors."""


class DataError(TrainerError, ValueError):
    """A data file is not what its format promises."""

    exit_code = 2


class DivergedError(TrainerError):
    """Training produced a loss that is infinite or not a number."""


class RunError(TrainerError):
    """A run directory is not usable for what was asked."""

    exit_code = 2


class SetupError(TrainerError):
    """A package that this step needs is not installed."""

    exit_code = 2
