"""Small networks with lively weights, and real digits to ask them about."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pytest
from numpy.typing import NDArray

from digits_edge.trainer.backend import start_keras
from digits_edge.trainer.datasets import Dataset, load_dataset

if TYPE_CHECKING:
    import keras

    from digits_edge.export.parity import Gate
    from digits_edge.export.proof import FileProof, Proof


@pytest.fixture(scope="session", autouse=True)
def _keras() -> None:
    start_keras()


@pytest.fixture(scope="session")
def mnist() -> Dataset:
    return load_dataset()


@pytest.fixture(scope="session")
def digits(mnist: Dataset) -> NDArray[np.uint8]:
    """32 test images."""
    assert mnist.test is not None
    return mnist.test.images[:32]


@pytest.fixture(scope="session")
def calibration(mnist: Dataset) -> NDArray[np.uint8]:
    """128 training images."""
    return mnist.train.images[:128]


class ProofMaker(Protocol):
    """Makes a proof in which so many images went wrong, went right, or from one wrong label to another."""

    def __call__(
        self,
        *,
        lost: int = 0,
        won: int = 0,
        wavered: int = 0,
        gate: Gate | None = ...,
        names: tuple[str, str] = ...,
        files: tuple[FileProof, ...] | None = None,
    ) -> Proof: ...


@pytest.fixture(scope="session")
def proof_with(mnist: Dataset) -> ProofMaker:
    """Proofs of made-up answers on 400 real digits."""
    from digits_edge.export.elsewhere import Elsewhere
    from digits_edge.export.parity import GATES
    from digits_edge.export.proof import FileProof, Side
    from digits_edge.export.proving import confront
    from digits_edge.export.questions import Answers, Questions
    from digits_edge.export.steadiness import BATCHES, BatchAnswers, Steadiness
    from digits_edge.runtime import Precision
    from digits_edge.trainer.confidence import Share

    assert mnist.test is not None
    questions = Questions.of(mnist.test.take(np.arange(400)), data="mnist", part="test")
    truth = questions.split.labels.astype(int)
    same = tuple(BatchAnswers(size, True, 0.0, 0.0) for size in BATCHES)
    others = (Elsewhere("another 1.2", Share(256, 256), 1e-6), Elsewhere("a third", problem="not installed"))
    sound = FileProof("small-onnx-int8", Steadiness(32, same, repeats=True, reopens=True), others)

    def answers(labels: NDArray[np.integer], confidence: float) -> NDArray[np.float32]:
        rest = (1 - confidence) / 9
        return np.where(np.eye(10, dtype=bool)[labels], confidence, rest).astype(np.float32)

    def make(
        *,
        lost: int = 0,
        won: int = 0,
        wavered: int = 0,
        gate: Gate | None = GATES[Precision.INT8],
        names: tuple[str, str] = ("run", "small-onnx-int8"),
        files: tuple[FileProof, ...] | None = None,
    ) -> Proof:
        first, second = truth.copy(), truth.copy()
        second[:lost] = (truth[:lost] + 1) % 10
        first[lost : lost + won] = (truth[lost : lost + won] + 1) % 10
        part = slice(lost + won, lost + won + wavered)
        first[part], second[part] = (truth[part] + 1) % 10, (truth[part] + 2) % 10
        corrupted = dict.fromkeys(questions.corrupted, answers(questions.corrupted_labels.astype(int), 0.9))
        return confront(
            (Side(names[0], "run", "keras 3", {}), Answers(answers(first, 0.9), corrupted)),
            (Side(names[1], "bundle", "onnxruntime 1", {}), Answers(answers(second, 0.8), corrupted)),
            questions,
            files=(sound,) if files is None else files,
            gate=gate,
        )

    return make


Randomise = Callable[["keras.Model", int], "keras.Model"]


@pytest.fixture(scope="session")
def randomise() -> Randomise:
    """Gives normalisations statistics as if trained, gammas of both signs and of zero among them."""

    def draw(model: keras.Model, seed: int) -> keras.Model:
        import keras

        rng = np.random.default_rng(seed)
        for layer in model.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                channels = layer.moving_mean.shape[0]
                if layer.scale:
                    gamma = rng.normal(1.0, 0.7, channels)
                    layer.gamma.assign(np.where(rng.random(channels) < 0.1, 0.0, gamma))
                if layer.center:
                    layer.beta.assign(rng.normal(0.0, 0.5, channels))
                layer.moving_mean.assign(rng.normal(0.2, 0.3, channels))
                layer.moving_variance.assign(rng.uniform(0.3, 2.0, channels))
            elif getattr(layer, "bias", None) is not None:
                layer.bias.assign(rng.normal(0.0, 0.3, layer.bias.shape))
        return model

    return draw


@pytest.fixture(scope="session")
def chain(randomise: Randomise) -> Callable[..., keras.Model]:
    """Builds a network from its layers."""

    def build(*layers: Any, seed: int = 0) -> keras.Model:
        import keras

        keras.utils.set_random_seed(seed)
        model = keras.Sequential([keras.Input((28, 28, 1)), *layers], name="small")
        for layer in model.layers:
            if hasattr(layer, "kernel"):  # or so small a network says nearly the same of all digits
                layer.kernel.assign(layer.kernel * 2)
        return randomise(model, seed)

    return build


@pytest.fixture(scope="session")
def asked() -> Callable[[keras.Model, NDArray[np.uint8]], NDArray[np.float32]]:
    """A Keras model's probabilities for uint8 images."""

    def ask(model: keras.Model, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        from digits_edge.trainer.fit import to_input

        return np.asarray(model(to_input(images), training=False))

    return ask


@pytest.fixture(scope="session")
def softmax() -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    def probabilities(logits: NDArray[np.float32]) -> NDArray[np.float32]:
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))

    return probabilities
