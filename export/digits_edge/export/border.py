"""Why a shift in front of a ``same`` convolution is no bias: the padding comes after it and stays zero."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def border_map(
    taps: NDArray[np.float64], shape: tuple[int, ...], strides: tuple[int, int]
) -> NDArray[np.float64]:
    """What the shift adds at each output pixel of a ``same`` convolution, less what it adds in the middle.

    Args:
        taps: ``(height, width, out)``, the shift's contribution through each tap of the kernel.
        shape: ``(H, W)`` of the input.
        strides: Step in each direction.

    Returns:
        ``(H', W', out)``: minus the taps that fall into the padding.
    """
    rows = _inside(shape[0], taps.shape[0], strides[0])
    columns = _inside(shape[1], taps.shape[1], strides[1])
    seen = np.einsum("yh,xw,hwo->yxo", rows, columns, taps)
    border: NDArray[np.float64] = seen - taps.sum(axis=(0, 1))
    inner = np.outer(rows.all(axis=1), columns.all(axis=1))
    border[inner] = 0.0  # exactly, not to within rounding
    return border


def _inside(size: int, kernel: int, stride: int) -> NDArray[np.float64]:
    """``(outputs, kernel)``: 1 where a tap lies inside the image, 0 in the padding.

    The padding is TensorFlow's ``same``: max((outputs - 1)·stride + kernel - size, 0), the smaller half first
    (https://www.tensorflow.org/api_docs/python/tf/nn#notes_on_padding_2).
    """
    outputs = -(-size // stride)
    before = max((outputs - 1) * stride + kernel - size, 0) // 2
    position = np.arange(outputs)[:, None] * stride - before + np.arange(kernel)
    return ((position >= 0) & (position < size)).astype(np.float64)
