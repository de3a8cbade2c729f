"""The networks and their training settings are the notebook's, to the last parameter."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from digits_edge.trainer.architectures import Architecture, Precision, build
from digits_edge.trainer.backend import start_keras
from digits_edge.trainer.recipes import Cosine, Notebook, RecipeName, default_recipe, recipe

if TYPE_CHECKING:
    import keras

CNN = [
    ("images", "InputLayer", (28, 28, 1), 0),
    ("rotate", "RandomRotation", (28, 28, 1), 0),
    ("translate", "RandomTranslation", (28, 28, 1), 0),
    ("zoom", "RandomZoom", (28, 28, 1), 0),
    ("conv1", "Conv2D", (28, 28, 64), 1_664),
    ("conv1_norm", "BatchNormalization", (28, 28, 64), 256),
    ("conv2", "Conv2D", (28, 28, 64), 102_464),
    ("conv2_norm", "BatchNormalization", (28, 28, 64), 256),
    ("pool1", "MaxPooling2D", (14, 14, 64), 0),
    ("drop1", "Dropout", (14, 14, 64), 0),
    ("conv3", "Conv2D", (14, 14, 64), 36_928),
    ("conv3_norm", "BatchNormalization", (14, 14, 64), 256),
    ("conv4", "Conv2D", (14, 14, 64), 36_928),
    ("conv4_norm", "BatchNormalization", (14, 14, 64), 256),
    ("pool2", "MaxPooling2D", (7, 7, 64), 0),
    ("drop2", "Dropout", (7, 7, 64), 0),
    ("conv5", "Conv2D", (7, 7, 64), 36_928),
    ("conv5_norm", "BatchNormalization", (7, 7, 64), 256),
    ("drop3", "Dropout", (7, 7, 64), 0),
    ("flatten", "Flatten", (3136,), 0),
    ("dense1", "Dense", (258,), 809_346),
    ("dense1_norm", "BatchNormalization", (258,), 1_032),
    ("drop4", "Dropout", (258,), 0),
    ("classifier", "Dense", (10,), 2_590),
]


@pytest.fixture(scope="module")
def cnn() -> keras.Model:
    start_keras()
    return build(Architecture.CNN, augment=True)


def trainable(model: keras.Model) -> int:
    return sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)


def test_the_reference_has_the_notebooks_layers(cnn: keras.Model) -> None:
    table = [
        (layer.name, type(layer).__name__, layer.output.shape[1:], layer.count_params())
        for layer in cnn.layers
    ]
    assert table == CNN
    assert cnn.count_params() == 1_029_160
    assert trainable(cnn) == 1_028_004


def test_the_reference_has_the_notebooks_settings(cnn: keras.Model) -> None:
    layers = {layer.name: layer for layer in cnn.layers}
    assert layers["rotate"].factor == (-0.1, 0.1)
    shift = layers["translate"]
    assert (shift.height_lower, shift.height_upper) == (-0.1, 0.1)
    assert (shift.width_lower, shift.width_upper) == (-0.1, 0.1)
    assert (layers["zoom"].height_lower, layers["zoom"].height_upper) == (-0.1, 0.1)
    assert (layers["zoom"].width_lower, layers["zoom"].width_upper) == (-0.1, 0.1)
    for name, size in (("conv1", 5), ("conv2", 5), ("conv3", 3), ("conv4", 3), ("conv5", 3)):
        conv = layers[name]
        assert (conv.kernel_size, conv.strides, conv.padding) == ((size, size), (1, 1), "same")
        assert conv.activation.__name__ == "relu"
    for name in ("pool1", "pool2"):
        assert (layers[name].pool_size, layers[name].strides) == ((2, 2), (2, 2))
    assert {layers[f"drop{number}"].rate for number in (1, 2, 3, 4)} == {0.25}
    assert layers["dense1"].activation.__name__ == "relu"
    assert layers["classifier"].activation.__name__ == "softmax"


def test_the_edge_network_is_small_and_normalises_before_the_activation() -> None:
    model = build(Architecture.EDGE, augment=True)
    assert model.count_params() == 61_658
    assert trainable(model) == 61_306
    kinds = [type(layer).__name__ for layer in model.layers]
    for place, kind in enumerate(kinds):
        if kind == "Conv2D":
            assert kinds[place + 1 : place + 3] == ["BatchNormalization", "ReLU"]
    assert model.output.shape == (None, 10)


def test_m7_neither_pads_nor_pools() -> None:
    model = build(Architecture.M7)
    sizes = [layer.output.shape[1] for layer in model.layers if type(layer).__name__ == "Conv2D"]
    assert sizes == [22, 16, 10, 4]
    assert not any("Pooling" in type(layer).__name__ for layer in model.layers)
    assert model.count_params() == 887_962


@pytest.mark.parametrize("architecture", list(Architecture))
def test_a_seed_gives_the_same_weights_and_the_same_draws(architecture: Architecture) -> None:
    images = np.random.default_rng(0).random((4, 28, 28, 1), np.float32)

    def trained_and_drawn(seed: int) -> tuple[list[np.ndarray], np.ndarray]:
        model = build(architecture, seed=seed, augment=True)
        return model.get_weights(), np.asarray(model(images, training=True))

    (weights, drawn), (same_weights, same_drawn) = trained_and_drawn(7), trained_and_drawn(7)
    other_weights, other_drawn = trained_and_drawn(8)
    assert all(np.array_equal(one, other) for one, other in zip(weights, same_weights, strict=True))
    np.testing.assert_allclose(drawn, same_drawn, atol=1e-6)
    assert not np.array_equal(weights[0], other_weights[0])
    assert np.abs(drawn - other_drawn).max() > 1e-3


@pytest.mark.parametrize("architecture", list(Architecture))
def test_bfloat16_changes_the_arithmetic_and_nothing_else(architecture: Architecture) -> None:
    plain, mixed = build(architecture), build(architecture, precision=Precision.MIXED_BFLOAT16)
    assert mixed.get_layer("conv1").compute_dtype == "bfloat16"
    assert mixed.get_layer("classifier").compute_dtype == "float32"
    assert {str(variable.dtype) for variable in mixed.weights} == {"float32"}
    assert [weight.path for weight in mixed.weights] == [weight.path for weight in plain.weights]
    for one, other in zip(plain.get_weights(), mixed.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    images = np.random.default_rng(0).random((4, 28, 28, 1), np.float32)
    np.testing.assert_allclose(plain(images), mixed(images), atol=0.05)


@pytest.mark.parametrize("precision", list(Precision))
@pytest.mark.parametrize("architecture", list(Architecture))
def test_a_fused_norm_trains_as_keras_own(architecture: Architecture, precision: Precision) -> None:
    rng = np.random.default_rng(0)
    images, targets = (
        rng.random((32, 28, 28, 1), np.float32),
        np.eye(10, dtype=np.float32)[np.arange(32) % 10],
    )

    def step(fused: bool) -> tuple[float, list[np.ndarray]]:
        """The loss, and what one step changed in each variable."""
        model = build(architecture, precision=precision, fused=fused)
        model.compile("sgd", "categorical_crossentropy")
        before = model.get_weights()
        loss = float(model.train_on_batch(images, targets))
        return loss, [after - old for after, old in zip(model.get_weights(), before, strict=True)]

    (loss, changes), (fused_loss, fused_changes) = step(False), step(True)
    # Of 32 numbers, the unbiased variance is 3 % more.
    close = 0.1 if precision is Precision.FLOAT32 else 0.3
    assert fused_loss == pytest.approx(loss, rel=0.1 * close)
    for one, other in zip(changes, fused_changes, strict=True):
        assert np.linalg.norm(one - other) <= close * np.linalg.norm(one) + 1e-5


def test_the_recipes_figures() -> None:
    plan = recipe(RecipeName.NOTEBOOK, Architecture.CNN)
    assert isinstance(plan, Notebook)
    assert (plan.learning_rate, plan.rho, plan.epsilon) == (1e-3, 0.9, 1e-8)
    assert (plan.batch_size, plan.epochs) == (128, 50)
    cut = plan.plateau
    assert (cut.factor, cut.patience, cut.min_delta, cut.cooldown) == (0.1, 3, 1e-4, 1)
    assert cut.min_learning_rate == 1e-8
    assert (plan.early_stop.patience, plan.early_stop.min_delta) == (5, 1e-4)
    for architecture in Architecture:
        strong, distill = recipe(RecipeName.STRONG, architecture), recipe(RecipeName.DISTILL, architecture)
        assert isinstance(strong, Cosine)
        assert strong.distillation is None
        assert isinstance(distill, Cosine)
        assert distill.distillation is not None
    assert default_recipe(Architecture.CNN) is RecipeName.NOTEBOOK
    assert {default_recipe(other) for other in Architecture if other is not Architecture.CNN} == {
        RecipeName.STRONG
    }
