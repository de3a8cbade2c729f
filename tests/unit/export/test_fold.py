"""A folded network gives Keras' answers, whatever its order of layers; what cannot be folded is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from numpy.typing import NDArray

from digits_edge.export.border import border_map
from digits_edge.export.deploy import OUTPUT, tensorflow_function
from digits_edge.export.errors import UnsupportedLayerError
from digits_edge.export.fold import fold
from digits_edge.export.network import Affine, Conv, Dense, Flatten, MaxPool, Network
from digits_edge.trainer.architectures import Architecture, build

if TYPE_CHECKING:
    import keras

Chain = Callable[..., "keras.Model"]
Ask = Callable[["keras.Model", NDArray[np.uint8]], NDArray[np.float32]]
Softmax = Callable[[NDArray[np.float32]], NDArray[np.float32]]

TOLERANCE = 1e-5
SEEDS = range(32)
MORE_SEEDS = range(32, 200)


def deployed(
    network: Network, images: NDArray[np.uint8], *, pixels: bool, channels_first: bool
) -> NDArray[np.float32]:
    """The deploy model's logits."""
    function = tensorflow_function(network, pixels=pixels, channels_first_flatten=channels_first)
    taken = images if pixels else images.astype(np.float32) * np.float32(network.pixel_scale)
    return np.asarray(function(taken)[OUTPUT])


def assert_same(model: keras.Model, images: NDArray[np.uint8], ask: Ask, softmax: Softmax) -> None:
    """Both inputs and both orders of flattening give Keras' probabilities."""
    expected = ask(model, images)
    for pixels, channels_first in ((True, True), (True, False), (False, True), (False, False)):
        network = fold(model, pixel_scale=1.0 if pixels else 1 / 255)
        actual = softmax(deployed(network, images, pixels=pixels, channels_first=channels_first))
        assert np.abs(actual - expected).max() <= TOLERANCE, (pixels, channels_first)
        # A probability that rounds to another digit's by a hair would be the test's fault.
        sure = np.diff(np.sort(expected, axis=1)[:, -2:], axis=1)[:, 0] > 2 * TOLERANCE
        np.testing.assert_array_equal(actual.argmax(axis=1)[sure], expected.argmax(axis=1)[sure])


# The two networks of the toolkit.


@pytest.mark.parametrize("architecture", Architecture)
def test_an_architecture_folds_exactly(
    architecture: Architecture,
    randomise: Callable[[keras.Model, int], keras.Model],
    digits: NDArray[np.uint8],
    asked: Ask,
    softmax: Softmax,
) -> None:
    assert_same(randomise(build(architecture), 1), digits, asked, softmax)


@pytest.mark.parametrize("architecture", Architecture)
def test_nothing_but_convolutions_products_and_pools_is_left(architecture: Architecture) -> None:
    network = fold(build(architecture), pixel_scale=1.0)
    assert {type(layer) for layer in network.layers} <= {Conv, MaxPool, Flatten, Dense}


def test_multiply_adds_are_those_of_the_design() -> None:
    assert fold(build(Architecture.CNN), pixel_scale=1.0).multiply_adds == 98_604_692
    assert fold(build(Architecture.EDGE), pixel_scale=1.0).multiply_adds == 1_922_240
    assert fold(build(Architecture.M7), pixel_scale=1.0).multiply_adds == 42_246_720


# Random networks of the same grammar.


class Grammar:
    """Draws the layers of a network: blocks of convolution, activation and normalisation, then a head."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self._size = 28

    def layers(self) -> list[Any]:
        from keras import layers

        found = []
        if self._often(0.3):
            found.append(layers.Rescaling(self._pick(2.0, -1.0, 3.2), self._pick(0.0, -1.0, 0.5)))
        if self._often(0.4):
            found.append(self._pick(layers.RandomRotation, layers.RandomZoom)(0.1))
        if self._often(0.1):
            found.append(layers.BatchNormalization())
        for _ in range(self._rng.integers(1, 4)):
            found += self._block()
        return found + self._head()

    def _block(self) -> list[Any]:
        from keras import layers

        found = self._normalised(self._conv())
        if self._size >= 4 and self._often(0.6):
            found.append(self._pool())
        if self._often(0.3):
            found.append(layers.Dropout(0.3))
        if self._often(0.1):
            found.append(layers.BatchNormalization())
        return found

    def _conv(self) -> Any:
        from keras import layers

        kernel = (int(self._rng.integers(1, 6)), int(self._rng.integers(1, 6)))
        if self._often(0.7):
            kernel = (kernel[0], kernel[0])
        padding = self._pick("same", "same", "valid") if self._size > max(kernel) else "same"
        stride = self._pick(1, 1, 2)
        self._shrink(max(kernel), stride, padding)
        return layers.Conv2D(
            int(self._rng.integers(2, 7)),
            kernel,
            strides=stride,
            padding=padding,
            use_bias=self._often(0.7),
        )

    def _normalised(self, conv: Any) -> list[Any]:
        from keras import layers

        norm = layers.BatchNormalization(center=self._often(0.9), scale=self._often(0.9))
        relu = self._pick(layers.ReLU(), layers.Activation("relu"))
        order: list[Any] = self._pick(
            [conv, relu, norm],
            [conv, norm, relu],
            [conv, relu, norm, layers.Dropout(0.2), layers.BatchNormalization()],  # two in a row
            [conv, relu, norm, layers.ReLU()],  # stays where it is
            [conv, norm],
            [conv],
        )
        return order

    def _pool(self) -> Any:
        from keras import layers

        size, stride = int(self._rng.integers(2, 4)), self._pick(None, 1, 2)
        padding = self._pick("same", "valid")
        self._shrink(size, stride or size, padding)
        return layers.MaxPooling2D(size, strides=stride, padding=padding)

    def _head(self) -> list[Any]:
        from keras import layers

        if self._often(0.2):
            return [layers.Conv2D(10, 1), layers.GlobalAveragePooling2D(), layers.Softmax()]
        found = [self._pick(layers.Flatten(), layers.GlobalAveragePooling2D())]
        if self._often(0.2):
            found.append(layers.BatchNormalization())
        for _ in range(self._rng.integers(0, 3)):
            found += self._pick(
                [layers.Dense(12, activation="relu"), layers.BatchNormalization(), layers.Dropout(0.2)],
                [layers.Dense(9, use_bias=False), layers.BatchNormalization(), layers.ReLU()],
                [layers.Dense(8)],
            )
        found += self._pick(
            [layers.Dense(10, activation="softmax")],
            [layers.Dense(10), layers.Softmax()],
            [layers.Dense(10, use_bias=False), layers.BatchNormalization(), layers.Activation("softmax")],
            [layers.Dense(10, activation="relu"), layers.BatchNormalization(), layers.Softmax()],
        )
        return found

    def _shrink(self, window: int, stride: int, padding: str) -> None:
        self._size = -(-(self._size - (window - 1 if padding == "valid" else 0)) // stride)

    def _often(self, part: float) -> bool:
        return bool(self._rng.random() < part)

    def _pick(self, *choices: Any) -> Any:
        return choices[self._rng.integers(len(choices))]


@pytest.mark.parametrize(
    "seed", [*SEEDS, *(pytest.param(seed, marks=pytest.mark.slow) for seed in MORE_SEEDS)]
)
def test_a_random_network_folds_exactly(
    seed: int, chain: Chain, digits: NDArray[np.uint8], asked: Ask, softmax: Softmax
) -> None:
    assert_same(chain(*Grammar(seed).layers(), seed=seed), digits, asked, softmax)


def test_the_random_networks_have_it_all(chain: Chain, digits: NDArray[np.uint8], asked: Ask) -> None:
    """Otherwise the test above would prove less than it says."""
    seen, lively = set[str](), 0
    for seed in SEEDS:
        model = chain(*Grammar(seed).layers(), seed=seed)
        lively += np.ptp(asked(model, digits), axis=0).max() > 0.01
        layers = fold(model, pixel_scale=1.0).layers
        for before, layer in zip((None, *layers), layers, strict=False):
            seen.add(type(layer).__name__)
            if isinstance(layer, Conv):
                height, width = layer.kernel.shape[:2]
                seen |= {f"kernel {height}", f"stride {layer.strides[0]}", layer.padding}
                seen |= {"oblong"} if height != width else set()
                seen |= (
                    {"border", f"border, stride {layer.strides[0]}"} if layer.border is not None else set()
                )
            if isinstance(layer, MaxPool):
                seen |= {f"pool {layer.size[0]}", f"pool {layer.padding}", f"pool stride {layer.strides[0]}"}
                seen |= {"negative gammas before a pool"} if isinstance(before, Affine) else set()
    assert lively > 0.8 * len(SEEDS)
    assert seen >= {
        *("Conv", "Dense", "Affine", "MaxPool", "GlobalAverage", "Flatten", "oblong", "same", "valid"),
        *(f"kernel {size}" for size in range(1, 6)),
        *("stride 1", "stride 2", "border, stride 1", "border, stride 2", "negative gammas before a pool"),
        *("pool 2", "pool 3", "pool same", "pool valid", "pool stride 1", "pool stride 2", "pool stride 3"),
    }


@pytest.mark.parametrize("kind", ["Sequential", "Functional"])
def test_a_network_from_a_file_folds_as_before(
    kind: str, chain: Chain, tmp_path: Path, digits: NDArray[np.uint8], asked: Ask, softmax: Softmax
) -> None:
    import keras

    model = chain(*Grammar(0).layers())
    if kind == "Functional":
        model = keras.Model(model.inputs[0], model.outputs[0])
    assert type(model).__name__ == kind
    model.save(tmp_path / "model.keras")
    assert_same(keras.models.load_model(tmp_path / "model.keras"), digits, asked, softmax)


# Where a normalisation goes.


def test_positive_gammas_pass_a_pool_and_negative_ones_are_computed_before_it(chain: Chain) -> None:
    from keras import layers

    norm = layers.BatchNormalization(name="norm")
    model = chain(
        layers.Conv2D(3, 3, activation="relu", name="conv"),
        norm,
        layers.MaxPooling2D(2, name="pool"),
        layers.Flatten(name="flat"),
        layers.Dense(10, activation="softmax", name="out"),
    )
    norm.gamma.assign([0.5, 0.0, 2.0])
    assert [layer.name for layer in fold(model, pixel_scale=1.0).layers] == ["conv", "pool", "flat", "out"]
    norm.gamma.assign([0.5, -0.1, 2.0])
    folded = fold(model, pixel_scale=1.0).layers
    assert [layer.name for layer in folded] == ["conv", "norm", "pool", "flat", "out"]
    assert isinstance(folded[1], Affine)


def bordered(chain: Chain, *, kernel: int = 3, stride: int = 1, padding: str = "same", **norm: Any) -> Conv:
    """The second of two convolutions with a normalisation between them, folded; 28×28 in."""
    from keras import layers

    model = chain(
        layers.Conv2D(3, 3, padding="same", activation="relu"),
        layers.BatchNormalization(**norm),
        layers.Conv2D(4, kernel, strides=stride, padding=padding, activation="relu"),
        layers.GlobalAveragePooling2D(),
        layers.Dense(10, activation="softmax"),
    )
    conv = fold(model, pixel_scale=1.0).layers[1]
    assert isinstance(conv, Conv)
    return conv


@pytest.mark.parametrize("kernel", [2, 3, 4, 5])
def test_a_border_map_is_nonzero_within_half_a_kernel_of_the_border_only(chain: Chain, kernel: int) -> None:
    border = bordered(chain, kernel=kernel).border
    assert border is not None
    assert border.shape == (28, 28, 4)
    half = kernel // 2
    assert not border[half:-half, half:-half].any()
    assert border[-half:].all()
    assert border[:, -half:].all()
    if kernel % 2:  # an even kernel needs no padding in front on one side
        assert border[:half].all()


@pytest.mark.parametrize("case", ["valid", "one by one", "no shift"])
def test_there_is_no_border_map_where_nothing_is_lost_to_padding(chain: Chain, case: str) -> None:
    conv = {
        "valid": lambda: bordered(chain, padding="valid"),
        "one by one": lambda: bordered(chain, kernel=1),
        "no shift": lambda: shiftless(chain),
    }[case]()
    assert conv.border is None
    assert conv.bias.any()


def shiftless(chain: Chain) -> Conv:
    from keras import layers

    norm = layers.BatchNormalization(center=False)
    model = chain(
        layers.Conv2D(3, 3, padding="same", activation="relu"),
        norm,
        layers.Conv2D(4, 3, padding="same", activation="relu"),
        layers.GlobalAveragePooling2D(),
        layers.Dense(10, activation="softmax"),
    )
    norm.moving_mean.assign(np.zeros(3))
    conv = fold(model, pixel_scale=1.0).layers[1]
    assert isinstance(conv, Conv)
    return conv


@pytest.mark.parametrize("size", [1, 4, 7, 9])
@pytest.mark.parametrize("kernel", [(1, 1), (2, 3), (3, 3), (4, 5), (5, 2)])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_a_border_map_is_what_tensorflow_s_padding_takes_away(
    size: int, kernel: tuple[int, int], stride: int
) -> None:
    import tensorflow as tf

    rng = np.random.default_rng(size)
    weights, shift = rng.normal(size=(*kernel, 3, 2)), rng.normal(size=3)
    shifted = np.broadcast_to(shift, (1, size, size + 2, 3))
    seen = tf.nn.conv2d(tf.constant(shifted), tf.constant(weights), stride, "SAME")[0]
    taps = np.einsum("hwio,i->hwo", weights, shift)
    border = border_map(taps, (size, size + 2), (stride, stride))
    np.testing.assert_allclose(border, seen - taps.sum(axis=(0, 1)), atol=1e-12)


# What is refused.


def refused(build_model: Callable[[], keras.Model], words: str) -> None:
    with pytest.raises(UnsupportedLayerError, match=words):
        fold(build_model(), pixel_scale=1.0)


def head() -> list[Any]:
    from keras import layers

    return [layers.Flatten(name="flat"), layers.Dense(10, activation="softmax", name="out")]


def pool_first(k: Any) -> Any:
    return k.MaxPooling2D(2, data_format="channels_first", name="here")


@pytest.mark.parametrize(
    ("words", "body"),
    [
        (r"activation 'tanh' of 'here'", lambda k: [k.Conv2D(2, 3, activation="tanh", name="here")]),
        (
            r"activation 'LeakyReLU' of 'here'",
            lambda k: [k.Conv2D(2, 3, activation=k.LeakyReLU(), name="here")],
        ),
        (r"'here' is a LeakyReLU", lambda k: [k.LeakyReLU(name="here")]),
        (r"'here' is a PReLU", lambda k: [k.PReLU(name="here")]),
        (r"'here' is no plain ReLU", lambda k: [k.Conv2D(2, 3), k.ReLU(max_value=6.0, name="here")]),
        (r"ReLU 'here' follows no layer", lambda k: [k.Conv2D(2, 3), k.MaxPooling2D(2), k.ReLU(name="here")]),
        (r"'here' is dilated or grouped", lambda k: [k.Conv2D(2, 3, dilation_rate=2, name="here")]),
        (r"'here' is dilated or grouped", lambda k: [k.Conv2D(2, 1), k.Conv2D(2, 3, groups=2, name="here")]),
        (r"'here' is a DepthwiseConv2D", lambda k: [k.DepthwiseConv2D(3, name="here")]),
        (r"'here' is a AveragePooling2D", lambda k: [k.AveragePooling2D(2, name="here")]),
        (r"'here' is over axis 1", lambda k: [k.BatchNormalization(axis=1, name="here")]),
        (r"'here' is a LayerNormalization", lambda k: [k.LayerNormalization(name="here")]),
        (r"'here' is channels-first", lambda k: [k.Conv2D(2, 3), pool_first(k)]),
        (r"'here' is a RandomCrop", lambda k: [k.RandomCrop(24, 24, name="here")]),
        (r"dense layer 'here' on shape \(28, 28, 1\)", lambda k: [k.Dense(3, name="here")]),
        (r"'here' keeps its dimensions", lambda k: [k.GlobalAveragePooling2D(keepdims=True, name="here")]),
    ],
)
def test_a_layer_outside_the_grammar_is_refused_by_name(
    words: str, body: Callable[[Any], list[Any]], chain: Chain
) -> None:
    from keras import layers

    refused(lambda: chain(*body(layers), *head()), words)


@pytest.mark.parametrize(
    ("words", "tail"),
    [
        (r"does not end in a softmax", lambda k: [k.Flatten(), k.Dense(10)]),
        (r"activation 'sigmoid' of 'here'", lambda k: [k.Flatten(), k.Dense(10, "sigmoid", name="here")]),
        (
            r"'here' comes after a softmax",
            lambda k: [k.Flatten(), k.Dense(10), k.Softmax(), k.Dense(10, "softmax", name="here")],
        ),
        (r"'small' goes from .*\(28, 28, 1\).* to .*\(5,\)", lambda k: [k.Flatten(), k.Dense(5, "softmax")]),
    ],
)
def test_an_end_that_is_no_softmax_over_ten_digits_is_refused(
    words: str, tail: Callable[[Any], list[Any]], chain: Chain
) -> None:
    from keras import layers

    refused(lambda: chain(*tail(layers)), words)


def test_branches_are_refused() -> None:
    import keras
    from keras import layers

    def residual() -> keras.Model:
        images = keras.Input((28, 28, 1))
        before = layers.Conv2D(2, 3, padding="same", name="before")(images)
        after = layers.Conv2D(2, 3, padding="same", name="after")(before)
        joined = layers.Add(name="joined")([before, after])
        return keras.Model(images, layers.Dense(10, activation="softmax")(layers.Flatten()(joined)))

    def two_paths() -> keras.Model:
        images = keras.Input((28, 28, 1))
        paths = [layers.Flatten(name="left")(images), layers.Flatten(name="right")(images)]
        return keras.Model(images, layers.Dense(10, activation="softmax")(layers.Concatenate()(paths)))

    def shared() -> keras.Model:
        images = keras.Input((28, 28, 1))
        twice = layers.Conv2D(1, 3, padding="same", name="twice")
        return keras.Model(
            images, layers.Dense(10, activation="softmax")(layers.Flatten()(twice(twice(images))))
        )

    def two_answers() -> keras.Model:
        images = keras.Input((28, 28, 1))
        logits = layers.Dense(10)(layers.Flatten()(images))
        return keras.Model(images, [logits, layers.Softmax()(logits)], name="both")

    refused(residual, r"'joined' does not follow 'after'")
    refused(two_paths, r"'right' does not follow 'left'")
    refused(shared, r"does not follow 'twice'")
    refused(two_answers, r"'both' goes from")


def test_networks_inside_networks_are_refused(chain: Chain) -> None:
    import keras
    from keras import layers

    augmentation = keras.Sequential([layers.RandomRotation(0.1)], name="augmentation")
    images = keras.Input((28, 28, 1))
    body = keras.Model(images, layers.Conv2D(2, 3)(images), name="body")
    refused(lambda: chain(augmentation, *head()), "'augmentation' is a network of its own")
    refused(lambda: chain(body, *head()), "'body' is a network of its own")


@pytest.mark.parametrize("shape", [(32, 32, 1), (28, 28, 3), (784,)])
def test_other_images_are_refused(shape: tuple[int, ...]) -> None:
    import keras
    from keras import layers

    model = [keras.Input(shape), layers.Flatten(), layers.Dense(10, activation="softmax")]
    refused(lambda: keras.Sequential(model), r"expected \(28, 28, 1\) to \(10,\)")


def test_a_network_without_layers_to_walk_is_refused() -> None:
    import keras

    class Own(keras.Model):  # type: ignore[misc]  # Keras has no types
        def call(self, images: Any) -> Any:
            return images

    refused(Own, "goes from")
    refused(lambda: keras.Sequential([keras.layers.Flatten()]), "goes from")
