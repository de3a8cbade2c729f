"""What the TFLite files hold, and that LiteRT computes from them what the deploy model says."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from numpy.typing import NDArray

from digits_edge.export.fold import fold
from digits_edge.export.scheme import Calibrator, Scheme
from digits_edge.export.tflite import to_tflite
from digits_edge.export.tflite_graph import PRODUCTS, TfliteGraph
from digits_edge.export.tflite_int8 import TfliteQuantizer
from digits_edge.runtime.engines import LiteRtEngine
from digits_edge.trainer.architectures import Architecture, build

if TYPE_CHECKING:
    import keras

Chain = Callable[..., "keras.Model"]
Ask = Callable[["keras.Model", NDArray[np.uint8]], NDArray[np.float32]]
Softmax = Callable[[NDArray[np.float32]], NDArray[np.float32]]

# TensorFlow's converter says so of each model that has no ranges of its own, which is every model here.
pytestmark = pytest.mark.filterwarnings("ignore:Statistics for quantized inputs were expected:UserWarning")


@pytest.fixture(scope="module")
def models(chain: Chain, randomise: Callable[[keras.Model, int], keras.Model]) -> dict[str, keras.Model]:
    """The edge network, and one with border maps, a normalisation that stays, and an average."""
    from keras import layers

    small = chain(
        *(layers.Conv2D(8, 5, padding="same", activation="relu"), layers.BatchNormalization()),
        *(layers.Conv2D(8, 3, strides=2, padding="same", activation="relu"), layers.BatchNormalization()),
        *(layers.MaxPooling2D(2), layers.Conv2D(8, 3, name="a conv"), layers.GlobalAveragePooling2D()),
        *(layers.Dense(10, activation="softmax"),),
    )
    return {"edge": randomise(build(Architecture.EDGE), 4), "small": small}


@pytest.fixture(scope="module", params=["edge", "small"])
def model(request: pytest.FixtureRequest, models: dict[str, keras.Model]) -> keras.Model:
    return models[request.param]


@pytest.fixture(scope="module")
def float32(model: keras.Model) -> bytes:
    return to_tflite(fold(model, pixel_scale=1.0))


@pytest.fixture(scope="module")
def int8(model: keras.Model, calibration: NDArray[np.uint8]) -> bytes:
    return TfliteQuantizer(fold(model, pixel_scale=1 / 255), calibration).quantize(Scheme())


def tensors(content: bytes) -> list[dict[str, Any]]:
    """Every tensor of the file, as it is stored: before kernels of this machine take over."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = Interpreter(model_content=content, experimental_op_resolver_type=plain)
    found: list[dict[str, Any]] = interpreter.get_tensor_details()
    return found


def ends(content: bytes) -> list[dict[str, Any]]:
    """The file's input and output."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content)
    return [*interpreter.get_input_details(), *interpreter.get_output_details()]


def test_both_take_raw_pixels_in_batches_of_any_size(
    float32: bytes, int8: bytes, digits: NDArray[np.uint8]
) -> None:
    for content, answer in ((float32, np.float32), (int8, np.uint8)):
        taken, given = ends(content)
        assert (taken["dtype"], given["dtype"]) == (np.uint8, answer)
        assert taken["shape_signature"].tolist() == [-1, 28, 28]
        assert given["shape_signature"].tolist() == [-1, 10]
        engine = LiteRtEngine(content)
        together = engine.logits(digits)
        apart = [engine.logits(digits[start:stop]) for start, stop in ((0, 1), (1, 8), (8, 32))]
        np.testing.assert_allclose(np.concatenate(apart), together, rtol=1e-5, atol=1e-5)


def test_float32_gives_keras_probabilities(
    model: keras.Model, float32: bytes, digits: NDArray[np.uint8], asked: Ask, softmax: Softmax
) -> None:
    assert np.abs(softmax(LiteRtEngine(float32).logits(digits)) - asked(model, digits)).max() <= 1e-5


def test_int8_holds_integers_only(int8: bytes, float32: bytes) -> None:
    assert {tensor["dtype"] for tensor in tensors(int8)} == {np.uint8, np.int8, np.int32}
    assert np.float32 in {tensor["dtype"] for tensor in tensors(float32)}


def test_weights_are_int8_per_channel(int8: bytes, model: keras.Model) -> None:
    sizes = {layer.kernel.shape[-1] for layer in model.layers if hasattr(layer, "kernel")}
    kernels = [
        tensor
        for tensor in tensors(int8)
        if tensor["dtype"] == np.int8 and len(tensor["quantization_parameters"]["scales"]) > 1
    ]
    assert {len(tensor["quantization_parameters"]["scales"]) for tensor in kernels} == sizes
    assert not any(tensor["quantization_parameters"]["zero_points"].any() for tensor in kernels)


def test_a_pixel_is_its_quantized_value(int8: bytes) -> None:
    scale, zero_point = ends(int8)[0]["quantization"]
    assert np.float32(scale) == np.float32(1 / 255)
    assert zero_point == 0


def test_int8_answers_as_float_does_nearly_always(
    float32: bytes, int8: bytes, digits: NDArray[np.uint8]
) -> None:
    exact, rounded = LiteRtEngine(float32).logits(digits), LiteRtEngine(int8).logits(digits)
    assert np.abs(rounded - exact).max() < 0.1 * np.ptp(exact)


@pytest.mark.parametrize("calibrator", [Calibrator.MIN_MAX, Calibrator.PERCENTILE])
def test_a_pixel_is_its_quantized_value_whatever_ink_calibration_saw(
    model: keras.Model, calibration: NDArray[np.uint8], calibrator: Calibrator
) -> None:
    quantizer = TfliteQuantizer(fold(model, pixel_scale=1 / 255), np.minimum(calibration, 250))
    graph = TfliteGraph(quantizer.quantize(Scheme(calibrator)))
    tensor, passed = int(graph.graph.inputs[0]), []
    while True:
        stored = graph.quantization(tensor)
        assert stored is not None
        assert np.float32(stored.scales[0]) == np.float32(1 / 255)
        assert stored.zero_points == ({"uint8": 0, "int8": -128}[stored.dtype],)
        reader = next(operator for operator in graph.operators if tensor in operator.inputs)
        if graph.kind(reader) in PRODUCTS:
            break
        passed.append(graph.kind(reader))
        tensor = int(reader.outputs[0])
    assert "RESHAPE" in passed


def test_converting_twice_gives_the_same_bytes(
    model: keras.Model, float32: bytes, int8: bytes, calibration: NDArray[np.uint8]
) -> None:
    again = (
        to_tflite(fold(model, pixel_scale=1.0)),
        TfliteQuantizer(fold(model, pixel_scale=1 / 255), calibration).quantize(Scheme()),
    )
    assert [hashlib.sha256(content).hexdigest() for content in again] == [
        hashlib.sha256(content).hexdigest() for content in (float32, int8)
    ]
