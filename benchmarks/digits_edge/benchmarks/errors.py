"""The benchmarks' errors, under the runtime's root.

DigitsEdgeError
└── BenchmarkError
├── SubjectError       something that was to be measured does not start, or ended while it was measured
├── AnswersError       a subject answered otherwise while it was timed
├── SaveError          a saved result is missing, damaged or of another version (exit code 2)
└── RegressionError    slower than the saved result, by more than was allowed
"""

from __future__ import annotations

from digits_edge.runtime.errors import DigitsEdgeError


class BenchmarkError(DigitsEdgeError):
    """Base of the benchmarks' errors."""


class SubjectError(BenchmarkError):
    """A subject could not be opened or measured. The message says what it said last."""


class AnswersError(BenchmarkError):
    """A subject's answers changed while it was timed: its figures would be of something else."""


class SaveError(BenchmarkError, ValueError):
    """A file is no saved result that this version reads."""

    exit_code = 2


class RegressionError(BenchmarkError):
    """A figure is worse than the saved one by more than the noise and more than was allowed."""
