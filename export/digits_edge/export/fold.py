"""Keras model → deploy model: dropout and augmentation gone, every normalisation folded exactly.

A BatchNorm is s·x + t per channel. Behind a convolution without activation it folds into that convolution.
Behind an activation, where the reference CNN has it, no converter folds it; here it travels forward into the
*next* layer:

- dense: W' = diag(s)·W, b' = b + tᵀW.
- max-pool: commutes where s ≥ 0; with a negative s it is computed where it stands.
- average over all pixels, flatten, dropout: commute.
- ``valid`` convolution: the scale goes into the kernel, the shift into the bias.
- ``same`` convolution: the scale goes into the kernel. The zero padding comes *after* the normalisation, so
  a pixel near the border sees fewer taps of t: the shift becomes a map, whose value in the middle is the bias
  and whose difference from it, nonzero within half a kernel of the border, is one constant addition.

All sums are done in float64; what is stored is float32.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from digits_edge.export.border import border_map
from digits_edge.export.errors import UnsupportedLayerError
from digits_edge.export.network import (
    Affine,
    Array,
    Conv,
    Dense,
    Flatten,
    GlobalAverage,
    Layer,
    MaxPool,
    Network,
)

if TYPE_CHECKING:
    import keras

_Float64 = NDArray[np.float64]
# Layers that do nothing at inference.
_IDENTITY = frozenset(
    {
        "InputLayer",
        "Identity",
        "Dropout",
        "SpatialDropout2D",
        "GaussianDropout",
        "GaussianNoise",
        "ActivityRegularization",
    }
)


@dataclass(frozen=True, eq=False)
class _Pending:
    """A normalisation on its way to the next layer: x · scale + shift along the last axis."""

    name: str
    scale: _Float64
    shift: _Float64

    def then(self, name: str, scale: _Float64, shift: _Float64) -> _Pending:
        return _Pending(name, self.scale * scale, self.shift * scale + shift)


def fold(model: keras.Model, *, pixel_scale: float) -> Network:
    """Folds a trained Keras network into a deploy model.

    Args:
        model: A chain of layers from float images ``(N, 28, 28, 1)`` in [0, 1] to a softmax over ten digits.
            Convolutions, dense layers, BatchNormalization, ReLU, max-pooling, global average pooling,
            flatten, rescaling; dropout and augmentation layers are removed.
        pixel_scale: What the deploy model's input is, for a pixel of 0 to 255: ``pixel · pixel_scale``. With
            1 the scaling to [0, 1] is folded into the first layer.

    Returns:
        The deploy model, from images to logits: the softmax is left to the runtime.

    Raises:
        UnsupportedLayerError: A layer, or an order of layers, outside this grammar.
    """
    folder = _Folder(input_scale=1.0 / (255.0 * pixel_scale))
    for layer in _chain(model):
        folder.add(layer)
    return Network(name=model.name, layers=folder.finished(), pixel_scale=pixel_scale)


def _chain(model: keras.Model) -> list[Any]:
    """The layers in order, none of them used twice, those without effect at inference left out."""
    import keras

    inputs, outputs = (
        [tuple(tensor.shape[1:]) for tensor in getattr(model, end, None) or ()]
        for end in ("inputs", "outputs")
    )
    if (inputs, outputs) != ([(28, 28, 1)], [(10,)]):
        raise UnsupportedLayerError(
            f"{model.name!r} goes from {inputs} to {outputs}; expected (28, 28, 1) to (10,)"
        )
    for layer in model.layers:
        if hasattr(layer, "layers"):
            raise UnsupportedLayerError(f"layer {layer.name!r} is a network of its own; expected its layers")
    # A Sequential is a chain by itself; once loaded from a file, its layers have inputs of former builds.
    for before, after in () if isinstance(model, keras.Sequential) else pairwise(model.layers):
        if _ids(before.output) != _ids(after.input):
            raise UnsupportedLayerError(
                f"layer {after.name!r} does not follow {before.name!r}; expected a plain chain"
            )
    return [layer for layer in model.layers if not _is_identity(layer)]


def _is_identity(layer: Any) -> bool:
    """Whether it does nothing at inference: dropout, noise, augmentation (but RandomCrop always crops)."""
    kind = type(layer).__name__
    return kind in _IDENTITY or (kind.startswith("Random") and layer.input.shape == layer.output.shape)


def _ids(tensors: Any) -> list[int]:
    return [id(tensor) for tensor in (tensors if isinstance(tensors, list | tuple) else [tensors])]


class _Folder:
    """Walks the chain, holding back the normalisation that waits for the next layer."""

    def __init__(self, *, input_scale: float) -> None:
        self._layers: list[Layer] = []
        self._shape: tuple[int, ...] = (28, 28, 1)
        self._ended = False
        self._pending: _Pending | None = None
        if input_scale != 1.0:
            self._pending = _Pending("pixels", np.array([input_scale]), np.zeros(1))

    def add(self, layer: Any) -> None:
        kind = type(layer).__name__
        handler = getattr(self, f"_add_{kind.lower()}", None)
        if handler is None:
            raise UnsupportedLayerError(f"layer {layer.name!r} is a {kind}, which the export does not know")
        if self._ended:
            raise UnsupportedLayerError(
                f"layer {layer.name!r} comes after a softmax; expected that to be the end"
            )
        if getattr(layer, "data_format", "channels_last") != "channels_last":
            raise UnsupportedLayerError(f"layer {layer.name!r} is channels-first; expected channels-last")
        handler(layer)
        self._activate(layer)
        self._shape = tuple(layer.output.shape[1:])

    def finished(self) -> tuple[Layer, ...]:
        if not self._ended:
            raise UnsupportedLayerError(
                "the network does not end in a softmax; its outputs would be no probabilities"
            )
        return tuple(self._layers)

    # One method a layer type; Keras' class name in lower case.

    def _add_conv2d(self, layer: Any) -> None:
        if layer.dilation_rate != (1, 1) or layer.groups != 1:
            raise UnsupportedLayerError(f"convolution {layer.name!r} is dilated or grouped")
        kernel, bias = _weights(layer)
        border = None
        if self._pending is not None:
            scale, shift = self._pending.scale, self._pending.shift
            taps = np.einsum("hwio,i->hwo", kernel, shift)
            kernel, bias = kernel * scale[:, None], bias + taps.sum(axis=(0, 1))
            if layer.padding == "same":
                border = border_map(taps, self._shape[:2], layer.strides)
            self._pending = None
        self._layers.append(
            Conv(
                layer.name,
                _float32(kernel),
                _float32(bias),
                None if border is None or not border.any() else _float32(border),
                tuple(layer.strides),
                layer.padding,
                relu=False,
            )
        )

    def _add_dense(self, layer: Any) -> None:
        if len(self._shape) != 1:
            raise UnsupportedLayerError(f"dense layer {layer.name!r} on shape {self._shape}; flatten first")
        kernel, bias = _weights(layer)
        if self._pending is not None:
            kernel, bias = kernel * self._pending.scale[:, None], bias + self._pending.shift @ kernel
            self._pending = None
        self._layers.append(Dense(layer.name, _float32(kernel), _float32(bias), relu=False))

    def _add_batchnormalization(self, layer: Any) -> None:
        if layer.axis not in (-1, len(self._shape)):
            raise UnsupportedLayerError(
                f"normalisation {layer.name!r} is over axis {layer.axis}; expected the last"
            )
        scale = 1.0 / np.sqrt(_value(layer.moving_variance) + layer.epsilon)
        if layer.scale:
            scale = scale * _value(layer.gamma)
        shift = -_value(layer.moving_mean) * scale
        if layer.center:
            shift = shift + _value(layer.beta)
        self._normalise(layer.name, scale, shift)

    def _add_rescaling(self, layer: Any) -> None:
        channels = self._shape[-1]
        self._normalise(
            layer.name,
            np.broadcast_to(np.asarray(layer.scale, np.float64), channels).copy(),
            np.broadcast_to(np.asarray(layer.offset, np.float64), channels).copy(),
        )

    def _add_maxpooling2d(self, layer: Any) -> None:
        if self._pending is not None and (self._pending.scale < 0).any():
            self._compute_pending()  # the largest x is the smallest s·x
        self._layers.append(MaxPool(layer.name, tuple(layer.pool_size), tuple(layer.strides), layer.padding))

    def _add_globalaveragepooling2d(self, layer: Any) -> None:
        if layer.keepdims:
            raise UnsupportedLayerError(
                f"pooling {layer.name!r} keeps its dimensions; expected keepdims=False"
            )
        self._layers.append(GlobalAverage(layer.name))

    def _add_flatten(self, layer: Any) -> None:
        if len(self._shape) == 1:
            return
        height, width, channels = self._shape
        if self._pending is not None:
            self._pending = replace(
                self._pending,
                scale=np.tile(self._pending.scale, height * width),
                shift=np.tile(self._pending.shift, height * width),
            )
        self._layers.append(Flatten(layer.name, (height, width, channels)))

    def _add_relu(self, layer: Any) -> None:
        if layer.max_value is not None or layer.negative_slope or layer.threshold:
            raise UnsupportedLayerError(f"activation {layer.name!r} is no plain ReLU")
        self._relu(layer.name)

    def _add_activation(self, layer: Any) -> None:
        """The work is in ``_activate``: this layer is nothing but its activation."""

    def _add_softmax(self, layer: Any) -> None:
        self._compute_pending()
        self._ended = True

    # What the handlers share.

    def _activate(self, layer: Any) -> None:
        function = getattr(layer, "activation", None)
        # An activation may also be a layer, which has no __name__.
        name = "linear" if function is None else getattr(function, "__name__", type(function).__name__)
        if name == "relu":
            self._relu(layer.name)
        elif name == "softmax":
            self._add_softmax(layer)
        elif name != "linear":
            raise UnsupportedLayerError(
                f"activation {name!r} of {layer.name!r}; expected relu, or a final softmax"
            )

    def _normalise(self, name: str, scale: _Float64, shift: _Float64) -> None:
        previous = self._layers[-1] if self._layers else None
        if self._pending is not None:
            self._pending = self._pending.then(name, scale, shift)
        elif isinstance(previous, Conv | Dense) and not previous.relu:
            self._layers[-1] = _scaled(previous, scale, shift)
        else:
            self._pending = _Pending(name, scale, shift)

    def _relu(self, name: str) -> None:
        self._compute_pending()
        previous = self._layers[-1] if self._layers else None
        if not isinstance(previous, Conv | Dense | Affine):
            raise UnsupportedLayerError(f"ReLU {name!r} follows no layer with weights")
        self._layers[-1] = replace(previous, relu=True)

    def _compute_pending(self) -> None:
        """Where the normalisation cannot travel on, it stays as a layer of its own."""
        if self._pending is not None:
            scale, shift = _float32(self._pending.scale), _float32(self._pending.shift)
            self._layers.append(Affine(self._pending.name, scale, shift, relu=False))
            self._pending = None


def _scaled(layer: Conv | Dense, scale: _Float64, shift: _Float64) -> Conv | Dense:
    """The layer with a normalisation of its own output folded in."""
    kernel, bias = _float32(layer.kernel * scale), _float32(layer.bias * scale + shift)
    if isinstance(layer, Conv) and layer.border is not None:
        return replace(layer, kernel=kernel, bias=bias, border=_float32(layer.border * scale))
    return replace(layer, kernel=kernel, bias=bias)


def _weights(layer: Any) -> tuple[_Float64, _Float64]:
    kernel = _value(layer.kernel)
    return kernel, _value(layer.bias) if layer.use_bias else np.zeros(kernel.shape[-1])


def _value(variable: Any) -> _Float64:
    return np.asarray(variable, np.float64)


def _float32(values: NDArray[np.floating]) -> Array:
    return np.ascontiguousarray(values, np.float32)
