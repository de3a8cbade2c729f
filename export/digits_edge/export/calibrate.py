"""Calibration: which images int8 takes its ranges from."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from digits_edge.trainer.datasets import Split
from digits_edge.trainer.fit import split_rows
from digits_edge.trainer.runs import RunConfig


def calibration_rows(config: RunConfig, data: Split, *, count: int, seed: int) -> NDArray[np.int64]:
    """Draws rows of the training part: neither validation nor test images may shape the exported model.

    Args:
        config: The run that was trained on the data.
        data: All its labelled images.
        count: How many rows; all of the training part if it has fewer.
        seed: Draws them.

    Returns:
        Row numbers into ``data``, ascending.
    """
    train, _ = split_rows(config, data)
    return np.sort(np.random.default_rng(seed).permutation(train)[:count])
