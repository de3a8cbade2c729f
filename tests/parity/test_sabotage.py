"""A file that is not the same model any more is never published, however it came about."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from digits_edge.export.errors import ParityError
from digits_edge.export.jobs import Job
from digits_edge.export.naive import naive_tflite_int8
from digits_edge.export.parity import GATES, compare
from digits_edge.export.pipeline import export, request_for
from digits_edge.export.selection import convert
from digits_edge.runtime import Format, Precision, read_bundle
from digits_edge.runtime.engines import open_engine
from digits_edge.trainer.datasets import Dataset
from digits_edge.trainer.fit import to_input
from digits_edge.trainer.runs import Run

if TYPE_CHECKING:
    import keras
    from numpy.typing import NDArray
    from tests.parity.conftest import Done, Silent

pytestmark = pytest.mark.filterwarnings("ignore:Statistics for quantized inputs were expected:UserWarning")


def two_faced() -> type[keras.layers.Layer]:
    """A convolution that computes with its kernel, and shows zeros to whoever looks: the export does."""
    import keras

    def with_its_kernel(method: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(method)  # Keras looks at the arguments
        def call(self: Any, *arguments: Any) -> Any:
            self.honest = True
            answer = method(self, *arguments)
            self.honest = False
            return answer

        return call

    @keras.saving.register_keras_serializable(package="sabotage")
    class Conv2D(keras.layers.Conv2D):  # type: ignore[misc]  # Keras has no types
        honest = False
        call = with_its_kernel(keras.layers.Conv2D.call)
        save_own_variables = with_its_kernel(keras.layers.Conv2D.save_own_variables)
        load_own_variables = with_its_kernel(keras.layers.Conv2D.load_own_variables)

        @property
        def kernel(self) -> Any:
            return super().kernel if self.honest else np.zeros_like(super().kernel)

    return Conv2D


@pytest.fixture
def sabotaged(run: Run) -> Run:
    """A run whose model answers as well as ever, but comes out of the export with one kernel zeroed."""
    import keras

    model = keras.models.load_model(run.model_file, compile=False)
    treacherous = two_faced()

    def swap(layer: keras.layers.Layer) -> keras.layers.Layer:
        kind = treacherous if layer.name == "conv3" else type(layer)
        return kind.from_config(layer.get_config())

    copy = keras.models.clone_model(model, clone_function=swap)
    copy.set_weights(model.get_weights())
    copy.save(run.model_file)
    return run


def test_with_a_kernel_zeroed_nothing_is_published_and_the_old_bundle_stays(
    run: Run, sabotaged: Run, tmp_path: Path, watcher: Silent, published_run: Run
) -> None:
    out = tmp_path / "bundles"
    wanted = tuple(
        Job(kind, precision) for kind in Format for precision in (Precision.FLOAT32, Precision.INT8)
    )
    honest = request_for(published_run, out=out, jobs=(Job(Format.ONNX, Precision.INT8),))
    export(honest, watcher)
    before = read_bundle(out / "edge-onnx-int8")
    watcher.results.clear()

    with pytest.raises(ParityError) as refused:
        export(request_for(sabotaged, out=out, jobs=wanted), watcher)

    assert len(watcher.results) == 4
    assert all(result.misses for result in watcher.results)
    assert all(result.parity.accuracy_original > 0.99 for result in watcher.results)
    for name in ("edge-onnx-float32", "edge-onnx-int8", "edge-tflite-float32", "edge-tflite-int8"):
        assert f"{name}: " in str(refused.value)
    assert "accuracy drop" in str(refused.value)
    assert "nothing was published" in str(refused.value)
    assert sorted(path.name for path in out.iterdir()) == ["edge-onnx-int8", "export.log"]
    after = read_bundle(out / "edge-onnx-int8")
    assert (after.model, after.manifest) == (before.model, before.manifest)


def test_the_command_exits_1_with_the_figures(
    sabotaged: Run, tmp_path: Path, cli: Callable[..., Done]
) -> None:
    done = cli("export", sabotaged.path, "--format", "onnx", "--out", tmp_path / "bundles")
    assert done.code == 1
    assert "refused" in done.out
    (line,) = [line for line in done.err.splitlines() if line.startswith("error: ")]
    assert "edge-onnx-int8: accuracy drop" in line
    assert "agreement" in line
    assert "Traceback" not in done.err
    assert [path.name for path in (tmp_path / "bundles").iterdir()] == ["export.log"]


@contextmanager
def one_filter_halved(model: keras.Model, layer: str) -> Iterator[None]:
    kernel = model.get_layer(layer).kernel
    good = kernel.numpy()
    bad = good.copy()
    bad[..., 0] *= 0.5
    kernel.assign(bad)
    yield
    kernel.assign(good)


def test_one_halved_filter_is_too_much_for_float32(published_run: Run, mnist: Dataset) -> None:
    import keras

    assert mnist.test is not None
    model = keras.models.load_model(published_run.model_file, compile=False)
    held_out = mnist.test.take(np.arange(1_000))
    original = model.predict(to_input(held_out.images), verbose=0)
    with one_filter_halved(model, "conv1"):
        content = convert(model, Format.ONNX, Precision.FLOAT32, mnist.train.images[:64])
    answers = softmax(open_engine(Format.ONNX, content).logits(held_out.images))
    assert GATES[Precision.FLOAT32].misses(compare(original, answers, held_out.labels, held_out="test"))
    honest = convert(model, Format.ONNX, Precision.FLOAT32, mnist.train.images[:64])
    answers = softmax(open_engine(Format.ONNX, honest).logits(held_out.images))
    assert not GATES[Precision.FLOAT32].misses(compare(original, answers, held_out.labels, held_out="test"))


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


@pytest.mark.slow
def test_the_reference_cnn_unfolded_in_tflite_int8_misses_the_gate_and_folded_it_passes(
    reference: keras.Model, mnist: Dataset
) -> None:
    assert mnist.test is not None
    held_out, calibration = mnist.test.take(np.arange(2_000)), mnist.train.images[:512]
    original = reference.predict(to_input(held_out.images), batch_size=250, verbose=0)

    unfolded = naive_answers(naive_tflite_int8(reference, calibration), held_out.images)
    misses = GATES[Precision.INT8].misses(compare(original, unfolded, held_out.labels, held_out="test"))
    assert any("accuracy drop" in miss for miss in misses)
    assert any("agreement" in miss for miss in misses)

    folded = open_engine(Format.TFLITE, convert(reference, Format.TFLITE, Precision.INT8, calibration))
    answers = softmax(np.concatenate([folded.logits(part) for part in np.split(held_out.images, 20)]))
    # One image of 2,000 is 0.05 points, which so few do not tell from chance.
    gate = replace(GATES[Precision.INT8], max_drop=0.1)
    assert not gate.misses(compare(original, answers, held_out.labels, held_out="test"))


def naive_answers(content: bytes, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Its probabilities, uint8 ``(N, 28, 28, 1)`` in."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content)
    taken, given = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    interpreter.resize_tensor_input(taken["index"], (100, 28, 28, 1))
    interpreter.allocate_tensors()
    answers = []
    for part in np.split(images, len(images) // 100):
        interpreter.set_tensor(taken["index"], part[..., None])
        interpreter.invoke()
        answers.append(interpreter.get_tensor(given["index"]))
    scale, zero_point = given["quantization"]
    return np.asarray((np.concatenate(answers).astype(np.float32) - zero_point) * np.float32(scale))
