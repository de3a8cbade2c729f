"""Kaggle's submission file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from digits_edge.runtime.errors import InputError
from digits_edge.trainer.runs import write_csv


def write_submission(path: Path, labels: NDArray[np.integer]) -> None:
    """Writes ``ImageId,Label``, counting images from 1, as Kaggle's sample_submission.csv does.

    A reader sees the old file or the new one, never a part. Missing directories are made.

    Args:
        path: Where to.
        labels: Integers 0–9, ``(N,)``, in the order of test.csv.

    Raises:
        InputError: The labels are not that, or the place cannot be written to.
    """
    if labels.ndim != 1 or not len(labels) or not np.issubdtype(labels.dtype, np.integer):
        raise InputError(f"labels are {labels.dtype} {labels.shape}; expected integers (N,), one at least")
    if labels.min() < 0 or labels.max() > 9:
        raise InputError(f"labels range from {labels.min()} to {labels.max()}; expected 0-9")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = ({"ImageId": number, "Label": label} for number, label in enumerate(labels.tolist(), 1))
        write_csv(path, rows)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}); choose another place") from error
