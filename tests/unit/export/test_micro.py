"""C sources for microcontrollers: what a compiler makes of them, and what TensorFlow Lite Micro says."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from digits_edge.export.errors import ConversionError, ExportError, ParityError
from digits_edge.export.micro import Micro, export_micro, sources_of
from digits_edge.export.micro_proof import prove
from digits_edge.export.micro_source import identifier
from digits_edge.export.tflm import Tflm, require_tflm, resolver_methods
from digits_edge.runtime import InputError, read_bundle
from digits_edge.runtime.engines import LiteRtEngine
from digits_edge.runtime.predictions import Predictions
from digits_edge.trainer.datasets import Dataset, Split
from digits_edge.trainer.errors import SetupError

ROOT = Path(__file__).parents[3]
EDGE = ROOT / "models" / "edge-tflite-int8"
TINY = ROOT / "tests" / "golden" / "tiny-tflite-int8"
CUSTOM = ROOT / "tests" / "golden" / "hostile" / "custom-operator.tflite"

WRITES_ITSELF = """
#include <stdio.h>
#include "edge_model.h"

int main(void) {
  uint8_t output[EDGE_CLASSES], blank[4] = {9, 9, 9, 9}, image[EDGE_PIXELS];
  float confidence;
  if (edge_image(blank, 2, 2, image)) return 1;
  printf("%zu %d\\n", edge_model_length, (int)((uintptr_t)edge_model % 16));
  for (size_t i = 0; i < edge_model_length; ++i) printf("%02x", edge_model[i]);
  printf("\\n");
  while (fread(output, 1, sizeof output, stdin) == sizeof output) {
    int digit = edge_digit(output, &confidence);
    if (edge_digit(output, NULL) != digit) return 1;
    printf("%d %.9g %d\\n", digit, confidence, confidence < EDGE_REJECT_THRESHOLD);
  }
  return 0;
}
"""


class Steps:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.done: list[tuple[int, int]] = []

    def on_step(self, what: str, done: int, total: int) -> None:
        self.done.append((done, total))


@pytest.fixture(scope="session")
def tflm() -> None:
    pytest.importorskip("tflite_micro", reason="TensorFlow Lite Micro has no wheel for this platform")


@pytest.fixture(scope="session")
def held_out(mnist: Dataset) -> Split:
    assert mnist.test is not None
    return mnist.test


@pytest.fixture(scope="module")
def micro(tflm: None, held_out: Split, tmp_path_factory: pytest.TempPathFactory) -> Micro:
    return export_micro(EDGE, tmp_path_factory.mktemp("micro"), held_out, Steps(), images=60)


def compiler(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"no {name} on this machine")
    return found


def text_of(micro: Micro, name: str) -> str:
    return (micro.path / name).read_text("utf-8")


def altered(source: Path, target: Path, **values: object) -> Path:
    """A copy of a bundle that says other things of itself."""
    bundle = shutil.copytree(source, target)
    manifest = json.loads((bundle / "manifest.json").read_text())
    (bundle / "manifest.json").write_text(json.dumps({**manifest, **values}))
    return bundle


def damaged(model: bytes) -> bytes:
    """The same file with the channels of its largest layer in another order."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=model)
    stored = [
        interpreter.get_tensor(tensor["index"])
        for tensor in interpreter.get_tensor_details()
        if len(tensor["quantization_parameters"]["scales"]) > 1 and tensor["dtype"] == np.int8
    ]
    weights = max(stored, key=np.size)
    assert weights.tobytes() in model
    return model.replace(weights.tobytes(), weights[::-1].tobytes())


# What is published.


def test_everything_a_firmware_needs_lies_there(micro: Micro) -> None:
    assert micro.path.name == "edge-c-int8"
    assert sorted(file.name for file in micro.path.iterdir()) == [
        *("LICENSE", "README.md", "edge_example.cc", "edge_model.c", "edge_model.h", "micro.json")
    ]
    assert (micro.path / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()


def test_the_record_has_the_figures_of_the_proof(micro: Micro) -> None:
    record = json.loads(text_of(micro, "micro.json"))
    model = (EDGE / "model.tflite").read_bytes()
    assert record["model_sha256"] == hashlib.sha256(model).hexdigest()
    assert record["flash_bytes"] == len(model)
    assert record["arena"]["head"] + record["arena"]["tail"] == record["arena"]["total"]
    assert record["arena"]["recommended"] >= record["arena"]["total"]
    assert record["input"] == {"scale": pytest.approx(1 / 255), "zero_point": 0}
    assert record["proof"]["images"] == 60
    assert record["proof"]["agreement"] == 1.0
    assert record["proof"]["accuracy"] == record["proof"]["accuracy_litert"] > 0.95
    assert record["versions"]["tflite-micro"] != "not installed"
    told = {"schema": 1, **micro.to_json()}
    assert {name: record.get(name, told["path"]) for name in told} == told


def test_header_and_readme_say_what_it_takes(micro: Micro) -> None:
    for name in ("edge_model.h", "README.md"):
        text = text_of(micro, name)
        for figure in (micro.model_sha256, str(micro.flash_bytes), str(micro.arena.total), "60 test images"):
            assert figure in text
        assert "$" not in text
    assert "SPDX-License-Identifier: Apache-2.0" in text_of(micro, "edge_model.h")


def test_a_compiler_reads_the_model_and_the_digits_back(
    micro: Micro, held_out: Split, tmp_path: Path
) -> None:
    """The array is the bundle's file, and ``edge_digit`` decides as the runtime does."""
    (tmp_path / "main.c").write_text(WRITES_ITSELF)
    strict = ["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", f"-I{micro.path}"]
    sources = [tmp_path / "main.c", micro.path / "edge_model.c"]
    subprocess.run([compiler("cc"), *strict, *sources, "-lm", "-o", tmp_path / "main"], check=True)

    bundle = read_bundle(EDGE)
    logits = LiteRtEngine(bundle.model).logits(held_out.images[:300])
    quantized = np.round(logits / micro.output.scale + micro.output.zero_point).astype(np.uint8)
    done = subprocess.run([tmp_path / "main"], input=quantized.tobytes(), capture_output=True, check=True)
    size, content, *answers = done.stdout.decode().splitlines()
    assert size == f"{len(bundle.model)} 0"
    assert "_Alignas(16) const unsigned char edge_model" in text_of(micro, "edge_model.c")  # not by luck
    assert bytes.fromhex(content) == bundle.model

    expected = Predictions.from_logits(
        logits, temperature=bundle.manifest.temperature, threshold=bundle.manifest.reject_threshold
    )
    digits, confidence, rejected = np.array([answer.split() for answer in answers], np.float64).T
    np.testing.assert_array_equal(digits, expected.labels)
    np.testing.assert_allclose(confidence, expected.confidence, rtol=1e-5)
    np.testing.assert_array_equal(rejected, expected.rejected)
    assert 0 < rejected.sum() < 300


def test_c_plus_plus_takes_the_header(micro: Micro) -> None:
    options = ["-x", "c++", "-std=c++17", "-Wall", "-Wextra", "-Werror", "-fsyntax-only"]
    subprocess.run([compiler("c++"), *options, micro.path / "edge_model.h"], check=True)


def test_the_example_adds_exactly_the_operators_of_the_file(micro: Micro) -> None:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = Interpreter(model_path=str(EDGE / "model.tflite"), experimental_op_resolver_type=plain)
    in_file = {operator["op_name"].replace("_", "").lower() for operator in interpreter._get_ops_details()}
    example = text_of(micro, "edge_example.cc")
    added = re.findall(r"resolver\.Add(\w+)\(\)", example)
    assert len(added) == len(in_file)
    assert {name.lower() for name in added} == in_file
    assert set(re.findall(r"MicroMutableOpResolver<(\d+)>", example)) == {str(len(added))}


def test_the_example_s_digit_is_a_golden_image(micro: Micro) -> None:
    example = text_of(micro, "edge_example.cc")
    (inside,) = re.findall(r"kDigit\[EDGE_PIXELS\] = \{([^}]*)\}", example)
    image = np.array([int(value) for value in inside.split(",") if value.strip()], np.uint8).reshape(28, 28)
    golden = read_bundle(EDGE).golden
    (row,) = np.flatnonzero((golden.images == image).all(axis=(1, 2)))
    assert f"kLabel = {golden.logits[row].argmax()};" in example
    assert f"kArenaSize = {micro.arena.recommended};" in example


@pytest.mark.parametrize(
    ("name", "word"), [("edge", "edge"), ("cnn-notebook", "cnn_notebook"), ("3.b", "model_3_b")]
)
def test_any_name_becomes_a_word_of_c(name: str, word: str) -> None:
    assert identifier(name) == word


# The interpreter.


def test_the_arena_is_what_the_model_needs_and_no_byte_more(
    micro: Micro, held_out: Split, capfd: pytest.CaptureFixture[str]
) -> None:
    model = read_bundle(EDGE).model
    tight, roomy = (Tflm(model, size) for size in (micro.arena.total, micro.arena.recommended))
    np.testing.assert_array_equal(tight.answer(held_out.images[0]), roomy.answer(held_out.images[0]))
    for too_small in (micro.arena.total - 16, micro.arena.total // 2, 1024, 16):
        with pytest.raises(ConversionError, match=rf"arena of {too_small} bytes"):
            Tflm(model, too_small)
    assert capfd.readouterr() == ("", "")  # TFLM's own words are in the errors


def test_it_answers_as_litert_does(tflm: None, digits: NDArray[np.uint8]) -> None:
    model = read_bundle(EDGE).model
    interpreter = Tflm(model)
    answers = np.stack([interpreter.answer(image) for image in digits]).astype(np.float32)
    logits = interpreter.output.scale * (answers - interpreter.output.zero_point)
    difference = np.abs(logits - LiteRtEngine(model).logits(digits))
    assert difference.max() < 5 * interpreter.output.scale  # kernels round ties differently


def test_a_model_of_floats_is_refused(tflm: None) -> None:
    with pytest.raises(ConversionError, match=r"input is uint8 \(1, 28, 28\) with 0 scales; expected .* one"):
        Tflm(read_bundle(ROOT / "models" / "edge-tflite-float32").model)


def test_an_operator_that_is_not_known_there_is_named() -> None:
    with pytest.raises(ConversionError, match="the model has CUSTOM, not known to run on microcontrollers"):
        resolver_methods(CUSTOM.read_bytes())


def test_without_the_package_it_says_what_to_install(
    held_out: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tflite_micro.python.tflite_micro", None)
    for refused in (require_tflm, lambda: export_micro(EDGE, tmp_path, held_out, Steps(), images=1)):
        with pytest.raises(SetupError, match=r'pip install "digits-edge\[micro\]"'):
            refused()
    assert not list(tmp_path.iterdir())


# The gate.


def test_a_model_that_answers_otherwise_is_not_published(tflm: None, held_out: Split, tmp_path: Path) -> None:
    content = damaged((EDGE / "model.tflite").read_bytes())
    entry = {"path": "model.tflite", "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    bundle = altered(EDGE, tmp_path / "bundle", model=entry)
    (bundle / "model.tflite").write_bytes(content)
    with pytest.raises(ParityError, match=r"golden answers differ by .*nothing was published"):
        export_micro(bundle, tmp_path / "out", held_out, Steps(), images=60)
    assert not (tmp_path / "out").exists()


def test_answers_that_part_from_litert_s_miss_the_gate(tflm: None, held_out: Split) -> None:
    model = read_bundle(EDGE).model
    few = held_out.take(np.arange(60))
    with pytest.raises(ParityError, match=r"the same digit for [\d.]+% of 60 images, at least 99\.9%"):
        prove(Tflm(damaged(model)), LiteRtEngine(model), few, "test", Steps())


def test_the_images_are_spread_over_the_set_and_progress_is_told(
    tflm: None, held_out: Split, tmp_path: Path
) -> None:
    """The second half is labelled wrongly, which the first images alone would not show."""
    steps = Steps()
    broken = held_out.labels.copy()
    broken[5000:] = (broken[5000:] + 1) % 10
    proof = export_micro(TINY, tmp_path, Split(held_out.images, broken), steps, images=100).proof
    assert proof.accuracy <= 0.55
    assert steps.done == [(50, 100), (100, 100)]


def test_more_images_than_there_are_is_all_of_them(tflm: None, held_out: Split, tmp_path: Path) -> None:
    few = held_out.take(np.arange(7))
    assert export_micro(TINY, tmp_path, few, Steps(), held_out_name="validation").proof.images == 7
    assert "7 validation images" in (tmp_path / "tiny-c-int8" / "tiny_model.h").read_text()


@pytest.mark.parametrize("name", ["edge-onnx-int8", "edge-tflite-float32"])
def test_other_bundles_are_refused(name: str, held_out: Split, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"C sources are made of int8 TFLite bundles"):
        export_micro(ROOT / "models" / name, tmp_path / "out", held_out, Steps())
    assert not (tmp_path / "out").exists()


def test_a_bundle_of_other_data_sends_to_its_run(tflm: None, tmp_path: Path) -> None:
    made = read_bundle(EDGE).manifest.provenance
    training = {**made["training"], "data": "train.csv"}
    bundle = altered(EDGE, tmp_path / "bundle", provenance={**made, "training": training})
    with pytest.raises(InputError, match=r"trained on train\.csv, .*export the run with --format c"):
        sources_of(bundle, tmp_path / "out", Steps())
    assert not (tmp_path / "out").exists()


def test_a_bundle_with_layers_in_float_is_refused(held_out: Split, tmp_path: Path) -> None:
    bundle = altered(ROOT / "models" / "edge-tflite-weights8", tmp_path / "bundle", precision="int8")
    with pytest.raises(InputError, match=r"edge has layers in float, .*export the run with --format c"):
        export_micro(bundle, tmp_path / "out", held_out, Steps())
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["*/ int main", "../up", "a b"])
def test_what_a_manifest_says_cannot_become_code(name: str, held_out: Split, tmp_path: Path) -> None:
    bundle = altered(TINY, tmp_path / "bundle", name=name)
    with pytest.raises(InputError, match="is no file name"):
        export_micro(bundle, tmp_path / "out", held_out, Steps())


def test_a_second_export_replaces_the_first_with_the_same_bytes(
    tflm: None, held_out: Split, tmp_path: Path
) -> None:
    def export() -> dict[str, bytes]:
        path = export_micro(TINY, tmp_path, held_out, Steps(), images=10).path
        return {file.name: file.read_bytes() for file in path.iterdir()}

    first = export()
    (tmp_path / "tiny-c-int8" / "left.over").touch()
    assert export() == first
    assert [path.name for path in tmp_path.iterdir()] == ["tiny-c-int8"]


def test_something_else_in_its_place_is_left_alone(tflm: None, held_out: Split, tmp_path: Path) -> None:
    (tmp_path / "tiny-c-int8").mkdir()
    (tmp_path / "tiny-c-int8" / "manifest.json").write_text("{}")
    with pytest.raises(ExportError, match="is there and no export of C sources"):
        export_micro(TINY, tmp_path, held_out, Steps(), images=1)
    assert [path.name for path in (tmp_path / "tiny-c-int8").iterdir()] == ["manifest.json"]


@pytest.mark.slow
def test_two_thousand_images_are_read_as_litert_reads_them(
    tflm: None, held_out: Split, tmp_path: Path
) -> None:
    micro = export_micro(EDGE, tmp_path, held_out, Steps(), images=2000)
    assert micro.proof.images == 2000
    assert micro.proof.agreement >= 0.999
    assert micro.proof.accuracy > 0.99
