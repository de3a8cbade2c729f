"""Real bundles that are quick to make, linear classifiers of digits; and results that never were."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from digits_edge.benchmarks.estimates import Estimate
from digits_edge.benchmarks.machine import Machine
from digits_edge.benchmarks.results import Data, Latency, Rate, Results, Start, SubjectResult
from digits_edge.benchmarks.subjects import Kind, Subject
from digits_edge.export.publish import entry
from digits_edge.runtime import Format, Golden, Manifest, Precision, Tensor
from digits_edge.runtime.engines import open_engine
from digits_edge.runtime.manifest import MANIFEST_FILE
from digits_edge.trainer.datasets import Dataset, Split, load_dataset

Weights = NDArray[np.float32]


@pytest.fixture(scope="session")
def mnist() -> Dataset:
    return load_dataset()


@pytest.fixture(scope="session")
def test_data(mnist: Dataset) -> Split:
    assert mnist.test is not None
    return mnist.test


def fitted(data: Split, *, pixels: slice) -> tuple[Weights, Weights]:
    """Weights (784, 10) and bias (10,) by least squares, from some of the pixels."""
    inputs = np.zeros((len(data), 785))
    inputs[:, pixels] = data.images.reshape(-1, 784)[:, pixels] / 255
    inputs[:, 784] = 1
    targets = 10 * np.eye(10)[data.labels]
    solution = np.linalg.solve(inputs.T @ inputs + np.eye(785), inputs.T @ targets).astype(np.float32)
    return solution[:784], solution[784]


def onnx_model(weights: Weights, bias: Weights, *, dtype: int, shape: Sequence[int], softmax: bool) -> bytes:
    """Images of any batch size to logits or probabilities."""
    constants: dict[str, NDArray[Any]] = {"w": weights, "b": bias, "flat": np.array([-1, 784], np.int64)}
    last = "p" if softmax else "logits"
    nodes = [
        helper.make_node("Cast", ["images"], ["x"], to=TensorProto.FLOAT),
        helper.make_node("Reshape", ["x", "flat"], ["r"]),
        helper.make_node("Gemm", ["r", "w", "b"], ["logits"]),
    ]
    if softmax:
        nodes.append(helper.make_node("Softmax", ["logits"], ["p"]))
    graph = helper.make_graph(
        nodes,
        "linear",
        [helper.make_tensor_value_info("images", dtype, ["batch", *shape])],
        [helper.make_tensor_value_info(last, TensorProto.FLOAT, ["batch", 10])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def write_bundle(directory: Path, name: str, model: bytes, images: NDArray[np.uint8]) -> Path:
    golden = Golden(images, open_engine(Format.ONNX, model).logits(images)).to_npz()
    manifest = Manifest(
        name=name,
        format=Format.ONNX,
        precision=Precision.FLOAT32,
        model=entry("model.onnx", model),
        golden=entry("golden.npz", golden),
        input=Tensor("images", "uint8", (28, 28)),
        output=Tensor("logits", "float32", (10,)),
        labels=tuple("0123456789"),
    )
    directory.mkdir(parents=True)
    files = {"model.onnx": model, "golden.npz": golden, MANIFEST_FILE: manifest.to_json().encode()}
    for file, content in files.items():
        (directory / file).write_bytes(content)
    return directory


@pytest.fixture(scope="session")
def bundles(mnist: Dataset, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """``whole`` sees every pixel, ``upper`` those of the upper half; so they answer differently well."""
    data = mnist.train.take(np.arange(10_000))
    made = {}
    for name, pixels in {"whole": slice(0, 784), "upper": slice(0, 392)}.items():
        weights, bias = fitted(data, pixels=pixels)
        model = onnx_model(
            weights / np.float32(255), bias, dtype=TensorProto.UINT8, shape=(28, 28), softmax=False
        )
        made[name] = write_bundle(tmp_path_factory.mktemp("bundles") / name, name, model, data.images[:20])
    return made


@pytest.fixture(scope="session")
def whole(bundles: dict[str, Path]) -> Subject:
    return Subject("whole-onnx-float32", Kind.RUNTIME, str(bundles["whole"]), Format.ONNX, Precision.FLOAT32)


@pytest.fixture(scope="session")
def plain(mnist: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Subject:
    """The same classifier as ``whole``, as a file for plain ONNX Runtime: floats in, probabilities out."""
    weights, bias = fitted(mnist.train.take(np.arange(10_000)), pixels=slice(0, 784))
    model = onnx_model(weights, bias, dtype=TensorProto.FLOAT, shape=(28, 28, 1), softmax=True)
    path = tmp_path_factory.mktemp("plain") / "naive.onnx"
    path.write_bytes(model)
    return Subject("naive ONNX float32", Kind.ONNXRUNTIME, str(path), Format.ONNX, Precision.FLOAT32)


CALM = (1.00, 1.01, 0.99, 1.02, 0.98)


def subject_result(
    name: str, kind: Kind, *, speed: float, memory: float, rounds: Sequence[float]
) -> SubjectResult:
    """A subject of 1,000 images a second at batch 1, times ``speed``; more in larger batches."""

    def around(value: float) -> Estimate:
        return Estimate.of([value * part for part in rounds])

    is_bundle = kind is Kind.RUNTIME
    return SubjectResult(
        name=name,
        kind=kind,
        format=Format.ONNX,
        precision=Precision.INT8,
        engine="onnxruntime 1.2.3",
        sha256="0" * 64,
        bytes=70_000,
        accuracy=0.9931,
        default_workers=2 if is_bundle else None,
        start=Start(
            libraries_ms=around(110),
            own_ms=around(12 / speed) if is_bundle else None,
            load_ms=around(5 / speed),
            first_ms=around(0.5 / speed),
            ready_ms=around(150 / speed),
            peak_mib=around(90 * memory),
        ),
        latency=Latency(500, around(1000 / speed), around(1100 / speed), around(1500 / speed)),
        rates=tuple(
            Rate(batch, workers, around(per_second * speed), around(1e-4 / speed))
            for batch, workers, per_second in ((1, None, 1000), (1024, None, 5000), (1024, 1, 2600))
            if is_bundle or workers is None
        ),
    )


@pytest.fixture
def make_results() -> Callable[..., Results]:
    """Makes results: subject ``own``, and ``naive`` if asked for, times given factors of speed and memory."""

    def make(
        *,
        own: float = 1.0,
        baseline: bool = False,
        drift: float = 1.0,
        memory: float = 1.0,
        rounds: Sequence[float] = CALM,
    ) -> Results:
        subjects = [subject_result("own", Kind.RUNTIME, speed=own, memory=memory, rounds=rounds)]
        if baseline:
            naive = subject_result("naive", Kind.ONNXRUNTIME, speed=drift / 4, memory=1, rounds=rounds)
            subjects.append(naive)
        machine = Machine(
            processor="Testor 3000",
            instructions=("avx2", "avx512-vnni"),
            processors=2,
            quota=None,
            governor=None,
            system="Linux 6 x86_64",
            python="CPython 3.12.1",
            libraries={"numpy": "2.0.0", "onnxruntime": "1.2.3"},
        )
        return Results(
            toolkit="0.1.0",
            created="2025-01-02T03:04:05Z",
            effort="quick",
            machine=machine,
            load_average=0.25,
            data=Data("mnist", 2000, "1" * 64),
            subjects=tuple(subjects),
            notes=("something was running",),
        )

    return make
