"""What the ONNX files hold, and that ONNX Runtime computes from them what the deploy model says."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from numpy.typing import NDArray

from digits_edge.export.deploy import INPUT, OUTPUT, tensorflow_function
from digits_edge.export.errors import ConversionError
from digits_edge.export.fold import fold
from digits_edge.export.onnx import to_onnx
from digits_edge.export.onnx_int8 import OnnxQuantizer
from digits_edge.export.scheme import Calibrator, Scheme
from digits_edge.runtime.engines import OnnxEngine
from digits_edge.trainer.architectures import Architecture, build

if TYPE_CHECKING:
    import keras
    import onnx

Chain = Callable[..., "keras.Model"]
Ask = Callable[["keras.Model", NDArray[np.uint8]], NDArray[np.float32]]
Softmax = Callable[[NDArray[np.float32]], NDArray[np.float32]]


def all_alike(shape: tuple[int, ...], dtype: str) -> NDArray[np.float32]:
    return np.full(shape, 0.03, np.float32)


# Bodies and heads with everything that folding can leave, as functions of keras.layers.
NETWORKS: dict[str, Callable[[Any], list[Any]]] = {
    "border maps": lambda k: [
        *(k.Conv2D(4, 5, padding="same", activation="relu", name="a"), k.BatchNormalization()),
        *(k.Conv2D(5, 4, padding="same", strides=2, activation="relu", name="b"), k.BatchNormalization()),
        *(k.Conv2D(6, 3, padding="same", name="c"), k.BatchNormalization(), k.ReLU(), k.Flatten(name="f")),
        k.Dense(10, activation="softmax", name="d"),
    ],
    "affine before a pool": lambda k: [
        *(
            k.Conv2D(8, 3, activation="relu", name="a"),
            k.BatchNormalization(name="n"),
            k.MaxPooling2D(2, name="p"),
        ),
        *(k.Conv2D(8, 3, activation="relu", name="b"), k.BatchNormalization(name="m"), k.ReLU()),
        *(
            k.MaxPooling2D(3, strides=2, padding="same", name="q"),
            k.Flatten(name="f"),
            k.BatchNormalization(name="l"),
        ),
        *(k.ReLU(), k.Dense(10, activation="softmax", name="d")),
    ],
    "average, then dense": lambda k: [
        *(
            k.Conv2D(8, 3, activation="relu", name="a"),
            k.BatchNormalization(),
            k.GlobalAveragePooling2D(name="g"),
        ),
        *(
            k.Dense(12, activation="relu", name="d"),
            k.BatchNormalization(),
            k.Dense(10, name="e"),
            k.Softmax(),
        ),
    ],
    "convolutions to the end": lambda k: [
        *(k.Conv2D(8, 3, strides=2, activation="relu", name="a"), k.Conv2D(10, 1, name="b")),
        *(k.GlobalAveragePooling2D(name="g"), k.Activation("softmax")),
    ],
    "affine at the end": lambda k: [
        *(k.Conv2D(4, 3, name="a"), k.GlobalAveragePooling2D(name="g"), k.BatchNormalization(name="n")),
        *(k.ReLU(), k.BatchNormalization(name="o"), k.Dense(10, activation="relu", name="d")),
        *(k.BatchNormalization(name="m"), k.Softmax()),
    ],
    "no convolution": lambda k: [
        *(k.Flatten(name="f"), k.Dense(20, activation="relu", name="d"), k.BatchNormalization()),
        k.Dense(10, use_bias=False, activation="softmax", name="e"),
    ],
    "flatten one pixel": lambda k: [
        *(k.Conv2D(8, 3, strides=3, name="a"), k.MaxPooling2D(9, name="p"), k.Flatten(name="f")),
        k.Dense(10, activation="softmax", name="d"),
    ],
    "pool first, names with blanks": lambda k: [
        *(
            k.MaxPooling2D(2, name="_a pool"),
            k.Conv2D(4, 3, use_bias=False, name="a conv"),
            k.Flatten(name="a flat"),
        ),
        k.Dense(10, activation="softmax", name="the end"),
    ],
    "equal weights": lambda k: [
        *(k.Conv2D(4, 3, padding="same", kernel_initializer=all_alike, name=name) for name in "abc"),
        *(k.GlobalAveragePooling2D(name="g"), k.Dense(10, kernel_initializer=all_alike, name="d")),
        *(k.Dense(10, kernel_initializer=all_alike, name="e"), k.Softmax()),
    ],
}


@pytest.fixture(params=NETWORKS)
def network(request: pytest.FixtureRequest, chain: Chain) -> keras.Model:
    from keras import layers

    return chain(*NETWORKS[request.param](layers), seed=3)


@pytest.fixture(scope="module", params=Architecture)
def architecture(
    request: pytest.FixtureRequest, randomise: Callable[[keras.Model, int], keras.Model]
) -> keras.Model:
    model = build(request.param)
    randomise(model, 4)
    for layer in model.layers:
        if hasattr(layer, "gamma"):
            layer.gamma.assign(np.abs(layer.gamma))  # as training leaves them
    return model


@pytest.fixture(scope="module")
def int8(architecture: keras.Model, calibration: NDArray[np.uint8]) -> onnx.ModelProto:
    return quantized(architecture, calibration)


@pytest.fixture(scope="module")
def optimized(int8: onnx.ModelProto, tmp_path_factory: pytest.TempPathFactory) -> onnx.ModelProto:
    """What ONNX Runtime makes of it, and runs."""
    import onnx
    import onnxruntime

    path = tmp_path_factory.mktemp("optimized") / "model.onnx"
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # it warns that such a file is for this machine only
    options.optimized_model_filepath = str(path)
    onnxruntime.InferenceSession(int8.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return onnx.load(path)


def operators(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


def constants(model: onnx.ModelProto) -> dict[str, NDArray[Any]]:
    from onnx import numpy_helper

    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


# Float.


def test_the_reference_cnn_becomes_these_nodes_and_no_other(
    randomise: Callable[[keras.Model, int], keras.Model],
) -> None:
    model = randomise(build(Architecture.CNN), 4)
    for layer in model.layers:
        if hasattr(layer, "gamma"):
            layer.gamma.assign(np.abs(layer.gamma))
    graph = to_onnx(fold(model, pixel_scale=1.0), pixels=True).graph
    assert [node.name for node in graph.node] == [
        *("pixels/Cast", "pixels/Reshape"),
        *("conv1/Conv", "conv1/Relu", "conv2/Conv", "conv2/Add", "conv2/Relu", "pool1/MaxPool"),
        *("conv3/Conv", "conv3/Add", "conv3/Relu", "conv4/Conv", "conv4/Add", "conv4/Relu", "pool2/MaxPool"),
        *("conv5/Conv", "conv5/Add", "conv5/Relu", "flatten/Reshape"),
        *("dense1/Gemm", "dense1/Relu", "classifier/Gemm"),
    ]


def test_a_float_model_has_no_node_that_folding_or_the_batch_would_cost(architecture: keras.Model) -> None:
    model = to_onnx(fold(architecture, pixel_scale=1.0), pixels=True)
    assert set(operators(model)) <= {"Cast", "Reshape", "Conv", "Add", "Relu", "MaxPool", "Gemm"}
    assert operators(model).count("Cast") == 1
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 17)]
    assert {node.domain for node in model.graph.node} == {""}
    assert model.ir_version == 8


def test_every_dynamic_axis_is_called_batch(network: keras.Model) -> None:
    model = to_onnx(fold(network, pixel_scale=1.0), pixels=True)
    values = (*model.graph.input, *model.graph.output)
    shapes = {value.name: value.type.tensor_type.shape.dim for value in values}
    assert [(axis.dim_param, axis.dim_value) for axis in shapes[INPUT]] == [("batch", 0), ("", 28), ("", 28)]
    assert [(axis.dim_param, axis.dim_value) for axis in shapes[OUTPUT]] == [("batch", 0), ("", 10)]
    assert b"unk__" not in model.SerializeToString()


def test_nodes_and_weights_are_named_after_the_keras_layers(network: keras.Model) -> None:
    folded = fold(network, pixel_scale=1.0)
    graph = to_onnx(folded, pixels=True).graph
    names = [node.name for node in graph.node]
    assert len(set(names)) == len(names)
    own = {layer.name for layer in folded.layers}
    assert own <= {layer.name for layer in network.layers}
    assert own <= {name.split("/")[0] for name in names} <= {"pixels", *own}
    assert {tensor.name.split("/")[0] for tensor in graph.initializer} <= {"pixels", *own}
    assert {tensor.name.split("/")[1] for tensor in graph.initializer} <= {
        *("kernel", "bias", "border", "scale", "shift", "shape", "axes")
    }


def test_onnx_runtime_computes_the_deploy_model(
    network: keras.Model, digits: NDArray[np.uint8], asked: Ask, softmax: Softmax
) -> None:
    folded = fold(network, pixel_scale=1.0)
    expected = np.asarray(
        tensorflow_function(folded, pixels=True, channels_first_flatten=False)(digits)[OUTPUT]
    )
    engine = OnnxEngine(to_onnx(folded, pixels=True).SerializeToString())
    for images in (digits, digits[:1]):
        actual = engine.logits(images)
        np.testing.assert_allclose(actual, expected[: len(images)], rtol=1e-4, atol=1e-4)
    assert np.abs(softmax(engine.logits(digits)) - asked(network, digits)).max() <= 1e-5


def test_an_architecture_in_onnx_runtime_gives_keras_probabilities(
    architecture: keras.Model, digits: NDArray[np.uint8], asked: Ask, softmax: Softmax
) -> None:
    engine = OnnxEngine(to_onnx(fold(architecture, pixel_scale=1.0), pixels=True).SerializeToString())
    assert np.abs(softmax(engine.logits(digits)) - asked(architecture, digits)).max() <= 1e-5


def test_a_graph_of_another_form_is_an_error(chain: Chain) -> None:
    from keras import layers

    averaged = chain(layers.GlobalAveragePooling2D(), layers.Dense(10, activation="softmax"))
    with pytest.raises(ConversionError, match=r"tf2onnx made .*ReduceMean.*; expected .*GlobalAveragePool"):
        to_onnx(fold(averaged, pixel_scale=1.0), pixels=True)


# int8.


def quantized(model: keras.Model, calibration: NDArray[np.uint8]) -> onnx.ModelProto:
    import onnx

    quantizer = OnnxQuantizer(fold(model, pixel_scale=1 / 255), calibration)
    return onnx.load_from_string(quantizer.quantize(Scheme()))


def test_pixels_reach_the_first_quantized_convolution_untouched(optimized: onnx.ModelProto) -> None:
    graph = optimized.graph
    producers = {name: node for node in graph.node for name in node.output}
    first = next(node for node in graph.node if node.op_type == "QLinearConv")
    path, name = [], first.input[0]
    while name in producers:
        path.append(producers[name].op_type)
        name = producers[name].input[0]
    assert name == INPUT
    assert graph.input[0].type.tensor_type.elem_type == 2  # uint8
    # They change the layout only; with one channel, not a byte moves.
    assert set(path) <= {"Reshape", "Transpose"}


def test_no_layer_computes_in_float(architecture: keras.Model, optimized: onnx.ModelProto) -> None:
    found = operators(optimized)
    convolutions = sum(type(layer).__name__ == "Conv2D" for layer in architecture.layers)
    products = sum(type(layer).__name__ == "Dense" for layer in architecture.layers)
    assert found.count("QLinearConv") == convolutions
    assert found.count("QGemm") == products
    assert not set(found) & {
        *("Conv", "FusedConv", "Gemm", "FusedGemm", "MatMul", "Add", "Mul", "Relu", "Cast"),
        *("QuantizeLinear", "DequantizeLinear"),
    }


def test_weights_are_int8_per_channel_and_activations_uint8(int8: onnx.ModelProto) -> None:
    values = constants(int8)
    sources = {node.output[0]: node for node in int8.graph.node if node.op_type == "DequantizeLinear"}
    for node in int8.graph.node:
        if node.op_type in ("Conv", "Gemm"):
            data, weights, bias = (sources[name] for name in node.input)
            kernel, scales, zero_points = (values[name] for name in weights.input)
            outputs = kernel.shape[0] if node.op_type == "Conv" else kernel.shape[1]
            assert kernel.dtype == np.int8
            assert scales.shape == (outputs,)
            assert not zero_points.any()
            assert values[bias.input[0]].dtype == np.int32
            assert values[data.input[2]].dtype == np.uint8
        if node.op_type == "QuantizeLinear":
            assert values[node.input[2]].dtype == np.uint8
    assert {value.dtype for value in values.values()} == {
        np.dtype(kind) for kind in ("int8", "uint8", "int32", "int64", "float32")
    }


def test_a_pixel_is_its_quantized_value(int8: onnx.ModelProto) -> None:
    values = constants(int8)
    reshape = next(node for node in int8.graph.node if node.input[0] == INPUT)
    dequantize = next(node for node in int8.graph.node if node.input[0] == reshape.output[0])
    assert (reshape.op_type, dequantize.op_type) == ("Reshape", "DequantizeLinear")
    scale, zero_point = (values[name] for name in dequantize.input[1:])
    assert scale.dtype == np.float32
    assert scale == np.float32(1 / 255)
    assert zero_point.dtype == np.uint8
    assert zero_point == 0


def test_logits_are_not_rounded_to_8_bits(int8: onnx.ModelProto, digits: NDArray[np.uint8]) -> None:
    logits = OnnxEngine(int8.SerializeToString()).logits(digits)
    assert logits.dtype == np.float32
    assert len(np.unique(logits)) > 256


def test_int8_answers_as_float_does_nearly_always(
    network: keras.Model, calibration: NDArray[np.uint8], digits: NDArray[np.uint8]
) -> None:
    exact = OnnxEngine(to_onnx(fold(network, pixel_scale=1.0), pixels=True).SerializeToString()).logits(
        digits
    )
    rounded = OnnxEngine(quantized(network, calibration).SerializeToString()).logits(digits)
    assert np.abs(rounded - exact).max() < 0.1 * np.ptp(exact)


def test_the_first_biases_are_rounded_by_the_scale_that_pixels_have(
    chain: Chain, calibration: NDArray[np.uint8]
) -> None:
    """Even where hardly an image has full ink, and a calibrator would cut what it takes for an outlier."""
    from keras import layers

    model = chain(layers.Conv2D(4, 3), layers.Flatten(), layers.Dense(10, activation="softmax"))
    pale = calibration // 2
    pale[0, 14, 14] = 255
    quantizer = OnnxQuantizer(fold(model, pixel_scale=1 / 255), pale)
    import onnx

    graph = onnx.load_from_string(quantizer.quantize(Scheme(Calibrator.PERCENTILE)))
    values = constants(graph)
    sources = {node.output[0]: node for node in graph.graph.node if node.op_type == "DequantizeLinear"}
    convolution = next(node for node in graph.graph.node if node.op_type == "Conv")
    pixels, weights, bias = (values[sources[name].input[1]] for name in convolution.input)
    assert pixels == np.float32(1 / 255)
    assert np.allclose(bias, pixels * weights, rtol=1e-6)


@pytest.mark.parametrize("calibrator", [Calibrator.MIN_MAX, Calibrator.PERCENTILE])
def test_a_pixel_is_its_quantized_value_whatever_ink_calibration_saw(
    chain: Chain, calibration: NDArray[np.uint8], calibrator: Calibrator
) -> None:
    from keras import layers

    model = chain(layers.Conv2D(4, 3), layers.Flatten(), layers.Dense(10, activation="softmax"))
    quantizer = OnnxQuantizer(fold(model, pixel_scale=1 / 255), np.minimum(calibration, 250))
    import onnx

    graph = onnx.load_from_string(quantizer.quantize(Scheme(calibrator)))
    values = constants(graph)
    unpacked = [node for node in graph.graph.node if node.op_type == "DequantizeLinear"]
    pixels = next(node for node in unpacked if node.input[0] not in values)
    assert [values[name] for name in pixels.input[1:]] == [np.float32(1 / 255), 0]


# The same again.


def test_converting_twice_gives_the_same_bytes(network: keras.Model, calibration: NDArray[np.uint8]) -> None:
    def digests() -> list[str]:
        folded = fold(network, pixel_scale=1.0)
        models = (to_onnx(folded, pixels=True), quantized(network, calibration))
        return [hashlib.sha256(model.SerializeToString()).hexdigest() for model in models]

    first = digests()
    assert first == digests()
    assert first[0] != first[1]


PROGRAM = """
import hashlib, sys
import keras
from digits_edge.export.selection import convert
from digits_edge.export.targets import REFUSED
from digits_edge.runtime import Format, Precision
from digits_edge.trainer.datasets import load_dataset

model = keras.models.load_model(sys.argv[1], compile=False)
calibration = load_dataset().train.images[:64]
for format in Format:
    for precision in Precision:
        if (format, precision) in REFUSED:
            continue
        print("sha", hashlib.sha256(convert(model, format, precision, calibration)).hexdigest())
"""


@pytest.mark.slow
def test_converting_in_another_process_gives_the_same_bytes(chain: Chain, tmp_path: Path) -> None:
    from keras import layers

    chain(*NETWORKS["affine before a pool"](layers)).save(tmp_path / "model.keras")

    def digests(seed: str) -> list[str]:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, tmp_path / "model.keras"],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return [line for line in done.stdout.splitlines() if line.startswith("sha ")]

    first = digests("1")
    assert len(set(first)) == 7
    assert first == digests("2")
