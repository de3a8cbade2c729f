"""A network made hard to quantize on purpose, while it stays the same function."""

from __future__ import annotations

from typing import Any

LOUDER = 200


def loud_channel(model: Any, *, channel: int = 5, factor: float = LOUDER) -> None:
    """Makes one channel behind the small network's first layer louder, and has the next layer listen less.

    The range of that layer's output is then the loud channel's, and the others share the few steps that it
    leaves them. In floats nothing changes but rounding.

    Args:
        model: The small network (`Architecture.EDGE`), a Keras model; changed in place.
        channel: Which channel.
        factor: How much louder.
    """
    normalisation, reader = model.get_layer("conv1_norm"), model.get_layer("conv2")
    gamma, beta, *statistics = normalisation.get_weights()
    gamma[channel] *= factor
    beta[channel] *= factor
    normalisation.set_weights([gamma, beta, *statistics])
    (kernel,) = reader.get_weights()
    kernel[:, :, channel] /= factor
    reader.set_weights([kernel])
