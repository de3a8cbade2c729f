"""Accuracy control on a trained network: what is easy stays plain, what was made hard is repaired."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from digits_edge.export.deploy import activations
from digits_edge.export.equalize import equalize
from digits_edge.export.fold import fold
from digits_edge.export.network import Conv, Layer, Network
from digits_edge.export.scheme import Calibrator, Scheme
from digits_edge.export.search import Candidate, Judge, find_int8, quantizer
from digits_edge.export.sensitivity import sensitivities
from digits_edge.runtime import Format, Precision, Predictions
from digits_edge.trainer.datasets import Dataset, Split

EDGE = Path(__file__).parents[3] / "models" / "edge-distill" / "seed-0" / "model.keras"

# TensorFlow's converter says so of each model that has no ranges of its own, which is every model here.
pytestmark = pytest.mark.filterwarnings("ignore:Statistics for quantized inputs were expected:UserWarning")


class Steps:
    """Remembers what was tried."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def on_step(self, what: str, done: int, total: int) -> None:
        if done == 0:
            self.seen.append(what)


@pytest.fixture(scope="module")
def edge() -> Network:
    """The published network for devices; takes pixel / 255."""
    import keras

    return fold(keras.models.load_model(EDGE, compile=False), pixel_scale=1 / 255)


@pytest.fixture(scope="module")
def validation(mnist: Dataset) -> Split:
    return mnist.train.take(np.arange(59_000, 60_000))


@pytest.fixture(scope="module")
def images(mnist: Dataset) -> NDArray[np.uint8]:
    """Calibration images."""
    return mnist.train.images[:128]


def one_loud_channel(network: Network, factor: float = 200) -> Network:
    """The same function: one channel leaves the first layer larger, and its readers' weights are smaller."""
    first, second = network.layers[:2]
    assert isinstance(first, Conv)
    assert isinstance(second, Conv)
    loud = np.ones(first.kernel.shape[-1], np.float32)
    loud[5] = factor
    quiet = (second.kernel / loud[:, None]).astype(np.float32)
    return replace(
        network,
        layers=(
            replace(first, kernel=first.kernel * loud, bias=first.bias * loud),
            replace(second, kernel=quiet),
            *network.layers[2:],
        ),
    )


def cancelling_twins(network: Network, factor: float = 200) -> Network:
    """The same function, with a channel there twice: what one twin adds too much, the other takes away.

    No rescaling of channels helps: both are as loud as their weights are.
    """
    first, second = network.layers[:2]
    assert isinstance(first, Conv)
    assert isinstance(second, Conv)
    twice = np.array([*range(first.kernel.shape[-1]), 5])
    kernel = second.kernel[:, :, twice, :].copy()
    kernel[:, :, -1, :] *= -(factor - 1)
    kernel[:, :, 5, :] *= factor
    return replace(
        network,
        layers=(
            replace(first, kernel=first.kernel[..., twice], bias=first.bias[twice]),
            replace(second, kernel=kernel),
            *network.layers[2:],
        ),
    )


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    return Predictions.from_logits(logits, temperature=1.0, threshold=0.0).probabilities


def judge(network: Network, kind: Format, split: Split) -> Judge:
    answers = [activations(network, split.images[start : start + 250])[-1] for start in range(0, 1000, 250)]
    return Judge(kind, split, softmax(np.concatenate(answers)))


@pytest.fixture
def find(validation: Split, images: NDArray[np.uint8]) -> Callable[..., list[Candidate]]:
    def search(network: Network, kind: Format, float_layers: int = 3) -> list[Candidate]:
        steps = Steps()
        found, ranking = find_int8(
            network,
            images,
            judge(network, kind, validation),
            seven_bits=False,
            float_layers=float_layers,
            watcher=steps,
        )
        assert len(steps.seen) == len(found)
        used = [candidate.scheme for candidate in found if candidate.scheme is not None]
        assert bool(ranking) == any(scheme.float_layers for scheme in used)
        return found

    return search


@pytest.mark.parametrize("kind", Format)
def test_what_is_easy_stays_plain(edge: Network, find: Callable[..., list[Candidate]], kind: Format) -> None:
    (only,) = find(edge, kind)
    assert only.scheme == Scheme()
    assert not only.misses


@pytest.mark.parametrize("kind", Format)
def test_a_loud_channel_ruins_plain_int8_and_equalizing_repairs_it(
    edge: Network, find: Callable[..., list[Candidate]], kind: Format
) -> None:
    plain, *between, last = find(one_loud_channel(edge), kind)
    assert plain.scheme == Scheme()
    assert plain.parity.accuracy_exported < 0.9
    assert all(candidate.misses for candidate in between)
    assert not last.misses
    assert last.scheme is not None
    assert last.scheme.equalized
    assert not last.scheme.float_layers
    # The same size but for some alignment: every weight still has 8 bits.
    assert len(last.model) == pytest.approx(len(plain.model), rel=0.01)


@pytest.mark.parametrize("kind", Format)
def test_what_no_rescaling_repairs_gets_its_worst_layers_back_in_float(
    edge: Network, find: Callable[..., list[Candidate]], kind: Format
) -> None:
    found = find(cancelling_twins(edge), kind)
    *others, last = found
    assert all(candidate.misses for candidate in others)
    assert not last.misses
    assert last.scheme is not None
    # The twins leave the first layer and cancel in the second.
    assert {"conv2"} <= set(last.scheme.float_layers) <= {"conv1", "conv2"}
    assert last.to_json()["name"].endswith(f"{', '.join(last.scheme.float_layers)} float")
    # The rest has 8 bits.
    assert len(last.model) < 120_000


def test_no_more_layers_go_back_than_allowed(edge: Network, find: Callable[..., list[Candidate]]) -> None:
    found = find(cancelling_twins(edge), Format.ONNX, 1)
    assert all(candidate.misses for candidate in found)
    counts = [len(candidate.scheme.float_layers) for candidate in found if candidate.scheme is not None]
    assert max(counts) == 1


@pytest.mark.parametrize("kind", Format)
@pytest.mark.parametrize("layers", [("conv1",), ("conv2", "conv3"), ("classifier",)])
def test_layers_in_float_change_nothing_for_the_worse(
    edge: Network,
    kind: Format,
    layers: tuple[str, ...],
    images: NDArray[np.uint8],
    validation: Split,
) -> None:
    maker, asked = quantizer(kind, edge, images), judge(edge, kind, validation)
    plain = asked.judge(Precision.INT8, Scheme(), maker.quantize(Scheme()))
    scheme = Scheme(float_layers=layers)
    mixed = asked.judge(Precision.INT8, scheme, maker.quantize(scheme))
    assert len(mixed.model) > len(plain.model)
    # Errors of two layers cancel at times, so one of them alone may be a little more.
    assert mixed.parity.mean_logit_difference < 1.5 * plain.parity.mean_logit_difference
    assert not mixed.misses


@pytest.mark.parametrize("kind", Format)
@pytest.mark.parametrize(
    "scheme", [*(Scheme(calibrator) for calibrator in Calibrator), Scheme(per_channel=False)]
)
def test_every_scheme_makes_a_model_that_reads_digits(
    edge: Network, kind: Format, scheme: Scheme, images: NDArray[np.uint8], validation: Split
) -> None:
    made = quantizer(kind, edge, images).quantize(scheme)
    assert judge(edge, kind, validation).judge(Precision.INT8, scheme, made).parity.agreement > 0.99


def test_equalizing_changes_no_answer(edge: Network, images: NDArray[np.uint8]) -> None:
    for network in (edge, one_loud_channel(edge), cancelling_twins(edge)):
        before, after = activations(network, images)[-1], activations(equalize(network, images), images)[-1]
        assert np.abs(before - after).max() < 1e-3 * np.abs(before).max()


def test_equalizing_makes_channels_and_weights_of_like_sizes(
    edge: Network, images: NDArray[np.uint8]
) -> None:
    level = equalize(one_loud_channel(edge), images)
    second = level.layers[1]
    assert isinstance(second, Conv)
    largest = activations(level, images)[0].max(axis=(0, 1, 2))
    weights = np.abs(second.kernel).max(axis=(0, 1, 3))
    # The next pair rescales the second layer's outputs, so its weights are no longer exactly of that size.
    assert largest.max() < 10 * largest.min()
    assert weights.max() < 10 * weights.min()


def test_a_channel_that_is_always_zero_stays_harmless(edge: Network, images: NDArray[np.uint8]) -> None:
    first, second = edge.layers[:2]
    assert isinstance(first, Conv)
    assert isinstance(second, Conv)
    bias, kernel = first.bias.copy(), second.kernel.copy()
    bias[3], kernel[:, :, 3, :] = -1e4, 1e4  # dead, with huge weights behind it
    layers: tuple[Layer, ...] = (replace(first, bias=bias), replace(second, kernel=kernel), *edge.layers[2:])
    level = equalize(replace(edge, layers=layers), images).layers[1]
    assert isinstance(level, Conv)
    sizes = np.abs(level.kernel).max(axis=(0, 1, 3))
    assert sizes[3] < 2 * np.delete(sizes, 3).max()


def test_the_layers_that_hurt_most_come_first(edge: Network, images: NDArray[np.uint8]) -> None:
    calm = sensitivities(edge, images, Scheme())
    assert {found.layer for found in calm} == {"conv1", "conv2", "conv3", "conv4", "classifier"}
    assert [found.logit_error for found in calm] == sorted(
        (found.logit_error for found in calm), reverse=True
    )
    assert all(25 < found.noise_ratio < 60 for found in calm)

    hurt = sensitivities(one_loud_channel(edge), images, Scheme())
    assert {hurt[0].layer, hurt[1].layer} == {"conv1", "conv2"}
    assert hurt[0].logit_error > 10 * calm[0].logit_error
