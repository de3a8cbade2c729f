"""A model repository that Triton takes: by the schema that it publishes, and by the model file itself."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from digits_edge.export.errors import ExportError
from digits_edge.export.triton import write_repository
from digits_edge.runtime import InputError, IntegrityError, read_bundle

ROOT = Path(__file__).parents[3]
TINY, TFLITE = (ROOT / "tests" / "golden" / name for name in ("tiny-onnx-float32", "tiny-tflite-int8"))
NAME = "tiny-onnx-float32"


def config_of(model: Path) -> Any:
    """``config.pbtxt`` by Triton's own protobuf schema: an unknown field or a wrong type is an error."""
    schema = pytest.importorskip("tritonclient.grpc.model_config_pb2", reason="Triton's schema is not there")
    text_format = pytest.importorskip("google.protobuf.text_format")
    return text_format.Parse((model / "config.pbtxt").read_text("utf-8"), schema.ModelConfig())


def files_below(folder: Path) -> list[str]:
    return sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """The tiny bundle as a model of a repository."""
    return write_repository(TINY, tmp_path / "models")


def test_the_repository_has_triton_s_layout_and_the_proved_bytes(model: Path) -> None:
    assert model.name == NAME
    assert files_below(model.parent) == [
        f"{NAME}/{file}" for file in ("1/model.onnx", "config.pbtxt", "labels.txt")
    ]
    assert (model / "1" / "model.onnx").read_bytes() == (TINY / "model.onnx").read_bytes()


def test_the_config_says_what_to_serve_and_how(model: Path) -> None:
    config = config_of(model)
    assert (config.name, config.platform, config.backend) == (NAME, "onnxruntime_onnx", "onnxruntime")
    (group,) = config.instance_group
    assert group.Kind.Name(group.kind) == "KIND_CPU"
    sizes = list(config.dynamic_batching.preferred_batch_size)
    assert sizes
    assert max(sizes) <= config.max_batch_size
    manifest = read_bundle(TINY).manifest
    values = {name: value.string_value for name, value in config.parameters.items()}
    assert float(values["temperature"]) == manifest.temperature
    assert float(values["reject_threshold"]) == manifest.reject_threshold
    assert values["model_sha256"] == manifest.model.sha256


def test_labels_are_there_for_each_output(model: Path) -> None:
    (output,) = config_of(model).output
    labels = (model / output.label_filename).read_text("utf-8").splitlines()
    assert labels == list("0123456789")
    assert len(labels) == output.dims[0]


def test_inputs_and_outputs_are_those_of_the_model_file(model: Path, digits: NDArray[np.uint8]) -> None:
    """What Triton checks when it loads the model; its shapes leave the batch axis out."""
    import onnxruntime

    kinds = {"tensor(uint8)": "TYPE_UINT8", "tensor(float)": "TYPE_FP32"}
    session = onnxruntime.InferenceSession(model / "1" / "model.onnx", providers=["CPUExecutionProvider"])
    config = config_of(model)
    for declared, actual in ((config.input, session.get_inputs()), (config.output, session.get_outputs())):
        assert [(tensor.name, list(tensor.dims)) for tensor in declared] == [
            (tensor.name, tensor.shape[1:]) for tensor in actual
        ]
        names = [type(config).DESCRIPTOR.file.enum_types_by_name["DataType"].values_by_number] * len(actual)
        assert [name[tensor.data_type].name for name, tensor in zip(names, declared, strict=True)] == [
            kinds[tensor.type] for tensor in actual
        ]
        assert isinstance(actual[0].shape[0], str)  # any batch
    images = digits[: config.max_batch_size]
    (answers,) = session.run([config.output[0].name], {config.input[0].name: images})
    assert answers.shape == (len(images), 10)


@pytest.mark.parametrize("name", ["edge-onnx-int8", "cnn-strong-onnx-float32"])
def test_published_bundles_go_in_too_side_by_side(name: str, tmp_path: Path) -> None:
    write_repository(TINY, tmp_path)
    assert write_repository(ROOT / "models" / name, tmp_path) == tmp_path / name
    assert config_of(tmp_path / name).name == name
    assert config_of(tmp_path / NAME).name == NAME


def test_a_second_export_replaces_the_model(model: Path) -> None:
    (model / "1" / "model.onnx").write_bytes(b"old")
    (model / "2").mkdir()
    assert write_repository(TINY, model.parent) == model
    assert files_below(model) == ["1/model.onnx", "config.pbtxt", "labels.txt"]
    assert [path.name for path in model.parent.iterdir()] == [NAME]


def test_every_byte_is_on_disk_before_the_model_is_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed, fsync = set(), os.fsync

    def flush(descriptor: int) -> None:
        flushed.add(os.fstat(descriptor).st_ino)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", flush)
    model = write_repository(TINY, tmp_path / "models")
    assert {path.stat().st_ino for path in model.rglob("*")} <= flushed


def test_tflite_is_refused_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"Triton has no backend that runs TFLite.*--format onnx"):
        write_repository(TFLITE, tmp_path / "models")
    assert not (tmp_path / "models").exists()


def test_a_damaged_bundle_is_refused(tmp_path: Path) -> None:
    bundle = shutil.copytree(TINY, tmp_path / "bundle")
    (bundle / "model.onnx").write_bytes(b"another")
    with pytest.raises(IntegrityError):
        write_repository(bundle, tmp_path / "models")
    assert not (tmp_path / "models").exists()


def test_a_name_that_is_no_folder_s_is_refused(tmp_path: Path) -> None:
    bundle = shutil.copytree(TINY, tmp_path / "bundle")
    values = json.loads((bundle / "manifest.json").read_text())
    (bundle / "manifest.json").write_text(json.dumps({**values, "name": '../"up'}))
    with pytest.raises(InputError, match="is no file name"):
        write_repository(bundle, tmp_path / "models")


def test_what_a_manifest_says_cannot_become_a_field_of_the_config(tmp_path: Path) -> None:
    odd = 'any" } }\nmax_batch_size: 1 # é\\'
    bundle = shutil.copytree(TINY, tmp_path / "bundle")
    values = json.loads((bundle / "manifest.json").read_text())
    (bundle / "manifest.json").write_text(json.dumps({**values, "safe_on": [odd]}))
    config = config_of(write_repository(bundle, tmp_path / "models"))
    assert config.parameters["safe_on"].string_value == odd


def test_something_else_in_its_place_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / NAME).mkdir()
    (tmp_path / NAME / "notes.txt").write_text("mine")
    with pytest.raises(ExportError, match="is there and no Triton model"):
        write_repository(TINY, tmp_path)
    assert files_below(tmp_path) == [f"{NAME}/notes.txt"]
    (tmp_path / "file").touch()
    with pytest.raises(ExportError, match="cannot be written"):
        write_repository(TINY, tmp_path / "file")


# The command line.


def command(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    code = "from digits_edge.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, "export", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_command_makes_a_repository_of_a_bundle(tmp_path: Path) -> None:
    done = command(TINY, "--layout", "triton", "--out", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert str(tmp_path / "triton" / NAME) in done.stdout
    assert config_of(tmp_path / "triton" / NAME).name == NAME
    (told,) = json.loads(command(TINY, "--layout", "triton", "--out", tmp_path, "--json").stdout)
    assert told == {"bundle": str(TINY), "triton": str(tmp_path / "triton" / NAME)}


@pytest.mark.parametrize(
    "arguments", [[TFLITE], [ROOT / "models" / "edge-distill" / "seed-0", "--format", "all"]]
)
def test_the_command_refuses_tflite_before_it_starts(arguments: list[str | Path], tmp_path: Path) -> None:
    done = command(*arguments, "--layout", "triton", "--out", tmp_path / "out")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: Triton has no backend that runs TFLite")
    assert not (tmp_path / "out").exists()
