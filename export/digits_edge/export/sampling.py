"""Some of many: evenly spread, as data may come sorted."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def evenly(total: int, most: int) -> NDArray[np.int64]:
    """Rows evenly spread over all of them.

    Args:
        total: How many there are.
        most: How many to take at most.

    Returns:
        Row numbers from 0, ascending, each once.
    """
    count = min(total, most)
    return np.arange(count, dtype=np.int64) * total // max(count, 1)
