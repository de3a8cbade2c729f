"""What `digits-edge inspect` says of real bundles, and of models made for it."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from numpy.typing import NDArray

from digits_edge.export.differences import Differences
from digits_edge.export.fold import fold
from digits_edge.export.inspection import Inspection, inspect_bundle
from digits_edge.export.layer_times import BETWEEN
from digits_edge.export.layers import Layer, Quantization
from digits_edge.export.noise import dequantized, measured_sqnr, weights_sqnr
from digits_edge.export.tflite import to_tflite
from digits_edge.runtime import Bundle, FileEntry, Format, InputError, Precision, read_bundle
from digits_edge.runtime.engines import open_engine
from digits_edge.trainer.architectures import Architecture, build

if TYPE_CHECKING:
    import keras
    import onnx

ROOT = Path(__file__).resolve().parents[3]
MODELS = ROOT / "models"
PUBLISHED = [
    *(f"edge-{kind}" for kind in ("onnx-float32", "onnx-int8", "tflite-float32", "tflite-int8")),
    *("cnn-notebook-onnx-int8", "cnn-notebook-tflite-int8"),
]
EDGE = ["pixels", "conv1", "conv2", "pool1", "conv3", "pool2", "conv4", "flatten", "classifier"]

pytestmark = pytest.mark.filterwarnings("ignore:Statistics for quantized inputs were expected:UserWarning")


@pytest.fixture(scope="module")
def published() -> dict[str, Inspection]:
    return {name: inspect_bundle(MODELS / name) for name in PUBLISHED}


def bundle_of(model: bytes, like: Bundle, place: Path, **changes: Any) -> Path:
    """A bundle with another model, whose golden answers are that model's own."""
    manifest = replace(like.manifest, **changes)
    logits = open_engine(manifest.format, model).logits(like.golden.images)
    golden = replace(like.golden, logits=logits).to_npz()
    place.mkdir()
    (place / manifest.model.path).write_bytes(model)
    (place / manifest.golden.path).write_bytes(golden)
    manifest = replace(manifest, model=entry(manifest.model, model), golden=entry(manifest.golden, golden))
    (place / "manifest.json").write_text(manifest.to_json())
    return place


def entry(file: FileEntry, content: bytes) -> FileEntry:
    return FileEntry(file.path, len(content), hashlib.sha256(content).hexdigest())


def by_name(inspection: Inspection) -> dict[str, Layer]:
    return {layer.name: layer for layer in inspection.layers}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_parts_are_the_file(published: dict[str, Inspection], name: str) -> None:
    inspection = published[name]
    manifest, layers = inspection.manifest, inspection.layers
    assert sum(layer.size for layer in layers) + inspection.contents.other_size == manifest.model.size
    most = 200 if manifest.format is Format.ONNX else 0.06 * manifest.model.size
    assert 0 < inspection.contents.other_size < most
    assert sum(layer.multiply_adds for layer in layers) == manifest.provenance["multiply_adds"]
    assert inspection.golden_difference <= manifest.golden_tolerance


def test_layers_bear_their_keras_names_in_both_formats(published: dict[str, Inspection]) -> None:
    for name in PUBLISHED[:4]:
        assert [layer.name for layer in published[name].layers] == EDGE
    onnx, tflite = (by_name(published[f"cnn-notebook-{kind}-int8"]) for kind in ("onnx", "tflite"))
    assert list(onnx) == list(tflite)
    for layer in onnx:  # the border maps count, the scales do not
        assert onnx[layer].parameters == tflite[layer].parameters
        assert onnx[layer].multiply_adds == tflite[layer].multiply_adds
    assert onnx["conv2"].parameters == 5 * 5 * 64 * 64 + 64 + 28 * 28 * 64
    assert onnx["conv2"].operators == ("Conv", "Add")
    assert tflite["conv2"].operators == ("CONV_2D", "ADD")
    assert (onnx["conv2"].shape, tflite["conv2"].shape) == ((64, 28, 28), (28, 28, 64))


def test_scales_are_those_of_the_file(published: dict[str, Inspection]) -> None:
    for name, dtype, zero_point in (("edge-onnx-int8", "uint8", 0), ("edge-tflite-int8", "int8", -128)):
        layers = by_name(published[name])
        assert layers["pixels"].output == Quantization(dtype, (float(np.float32(1 / 255)),), (zero_point,))
        weights = layers["conv3"].weights
        assert weights is not None
        assert (weights.dtype, len(weights.scales), set(weights.zero_points)) == ("int8", 64, {0})
    assert by_name(published["edge-onnx-int8"])["classifier"].output is None  # logits leave as floats
    assert all(layer.weights is layer.output is None for layer in published["edge-onnx-float32"].layers)


def test_noise_is_the_same_in_both_formats_and_float_has_none(published: dict[str, Inspection]) -> None:
    onnx, tflite = (by_name(published[f"cnn-notebook-{kind}-int8"]) for kind in ("onnx", "tflite"))
    for name in ("conv1", "conv2", "conv3", "conv4", "conv5", "dense1"):
        assert onnx[name].weights_sqnr == pytest.approx(tflite[name].weights_sqnr, abs=0.01)
        assert onnx[name].output_sqnr == pytest.approx(tflite[name].output_sqnr, abs=0.5)
    for name in ("edge-onnx-float32", "edge-tflite-float32"):
        assert all(layer.weights_sqnr is layer.output_sqnr is None for layer in published[name].layers)
        assert any("nothing is rounded" in note for note in published[name].notes)


def test_the_uniform_model_foretells_the_noise_of_rounding() -> None:
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(8, 400)) * rng.uniform(0.5, 4, (8, 1))
    scales = np.abs(weights).max(axis=1) / 127
    steps = Quantization("int8", tuple(scales), (0,) * 8)
    stored = np.rint(weights / scales[:, None]).astype(np.int8)
    rounded = measured_sqnr(weights, dequantized(stored, steps))
    assert weights_sqnr(stored, steps) == pytest.approx(rounded, abs=0.2)
    half = weights.astype(np.float16)
    assert weights_sqnr(half, None) == pytest.approx(measured_sqnr(weights, half), abs=0.4)
    # Channels along another axis are met there.
    assert weights_sqnr(stored.T, steps, axis=1) == pytest.approx(rounded, abs=0.2)


def edited(name: str, edit: Callable[[onnx.GraphProto], None]) -> tuple[bytes, Bundle]:
    import onnx

    bundle = read_bundle(MODELS / name)
    model = onnx.load_from_string(bundle.model)
    edit(model.graph)
    return model.SerializeToString(), bundle


def constant(graph: onnx.GraphProto, name: str) -> onnx.TensorProto:
    found: list[onnx.TensorProto] = [tensor for tensor in graph.initializer if tensor.name == name]
    return found[0]


def test_a_step_four_times_as_wide_costs_nearly_twelve_decibels(
    published: dict[str, Inspection], tmp_path: Path
) -> None:
    import onnx

    def coarser(graph: onnx.GraphProto) -> None:
        # The step of a bias is the product of those of the weights and of what comes in.
        for name, factor in (
            ("conv1/Relu_scale", 4),
            ("conv2/bias_quantized_scale", 4),
            ("conv2/bias_quantized", 1 / 4),
        ):
            tensor = constant(graph, name)
            before = onnx.numpy_helper.to_array(tensor)
            after = np.asarray(np.rint(before * factor) if factor < 1 else before * factor, before.dtype)
            tensor.CopyFrom(onnx.numpy_helper.from_array(after, name))

    found = by_name(inspect_bundle(bundle_of(*edited("edge-onnx-int8", coarser), tmp_path / "coarse")))
    before = by_name(published["edge-onnx-int8"])
    lost = [
        (before[name].output_sqnr or np.nan) - (found[name].output_sqnr or np.nan)
        for name in ("conv1", "conv2")
    ]
    assert 9 < lost[0] < 20 * np.log10(4)  # the noise of weights of 7 bits is there before, too
    assert lost[1] > 3  # noise goes on into the next layer
    assert found["conv1"].weights_sqnr == before["conv1"].weights_sqnr


def test_a_layer_may_be_float_among_integers(tmp_path: Path) -> None:
    import onnx

    def free(graph: onnx.GraphProto) -> None:
        """Takes the rounding off conv3: its kernel, and its output."""
        (unpack,) = (node for node in graph.node if node.name == "conv3/kernel_DequantizeLinear")
        integers, scale = (onnx.numpy_helper.to_array(constant(graph, name)) for name in unpack.input[:2])
        floats = integers.astype(np.float32) * scale[:, None, None, None]
        graph.initializer.append(onnx.numpy_helper.from_array(floats, unpack.output[0]))
        graph.node.remove(unpack)
        (quantize,) = (node for node in graph.node if node.name == "conv3/Relu_QuantizeLinear")
        (pair,) = (node for node in graph.node if node.name == "conv3/Relu_DequantizeLinear")
        pair.CopyFrom(
            onnx.helper.make_node("Relu", [quantize.input[0]], list(pair.output), name="conv3/Relu")
        )
        graph.node.remove(quantize)

    layers = by_name(inspect_bundle(bundle_of(*edited("edge-onnx-int8", free), tmp_path / "mixed")))
    assert list(layers) == EDGE
    free_one = layers["conv3"]
    assert (free_one.weights_dtype, free_one.weights, free_one.output) == ("float32", None, None)
    assert free_one.weights_sqnr is None
    assert free_one.output_sqnr is not None  # what conv2 rounded is still in it
    assert free_one.operators == ("Conv", "Relu")
    assert layers["conv4"].weights_dtype == "int8"
    assert free_one.parameters == 64 * 32 * 9 + 64


@pytest.fixture(scope="module")
def network(randomise: Callable[[keras.Model, int], keras.Model]) -> Any:
    return fold(randomise(build(Architecture.EDGE), 4), pixel_scale=1.0)


@pytest.mark.parametrize("precision", [Precision.FLOAT16, Precision.WEIGHTS8, Precision.INT16X8])
def test_every_precision_of_tflite(
    network: Any, precision: Precision, calibration: NDArray[np.uint8], tmp_path: Path
) -> None:
    like = read_bundle(MODELS / "edge-tflite-float32")
    model = to_tflite(network, precision, calibration)
    place = bundle_of(model, like, tmp_path / "bundle", precision=precision, golden_tolerance=0.5)
    inspection = inspect_bundle(place)
    layers = by_name(inspection)
    assert list(layers) == EDGE
    conv = layers["conv3"]
    expected = "float16" if precision is Precision.FLOAT16 else "int8"
    assert (conv.weights_dtype, conv.weights is None) == (expected, precision is Precision.FLOAT16)
    assert conv.parameters == 64 * 32 * 9 + 64
    assert conv.weights_sqnr is not None
    assert (conv.weights_sqnr > 60) == (precision is Precision.FLOAT16)
    if precision is Precision.INT16X8:
        assert conv.output is not None
        assert conv.output.dtype == "int16"
        assert conv.output_sqnr is not None
        assert conv.output_sqnr > 45
    else:
        assert conv.output is None
    if precision is Precision.FLOAT16:
        assert conv.output_sqnr is None
        assert any("only weights are rounded" in note for note in inspection.notes)
    assert sum(layer.size for layer in layers.values()) + inspection.contents.other_size == len(model)


@pytest.mark.parametrize("name", ["edge-onnx-float32", "edge-onnx-int8", "cnn-notebook-onnx-int8"])
def test_the_parts_of_the_time_are_the_whole(published: dict[str, Inspection], name: str) -> None:
    times = published[name].times
    assert times is not None
    assert times.calls >= 5
    parts = [layer.microseconds or 0 for layer in published[name].layers]
    assert sum(parts) + sum(times.other.values()) == pytest.approx(times.total)
    assert all(part > 0 for part in parts)
    assert times.other[BETWEEN] > 0


def test_a_fused_operator_counts_for_its_layer() -> None:
    from digits_edge.export.layer_times import profile_onnx

    bundle = read_bundle(MODELS / "cnn-notebook-onnx-float32")
    layers = ["pixels", "conv1", "conv2", "pool1", "conv3", "conv4", "pool2", "conv5", "flatten", "dense1"]
    times = profile_onnx(bundle.model, [*layers, "classifier"], bundle.golden.images[:1])
    assert times.layers["dense1"] > 0  # "fused dense1/Gemm"
    assert not any("Gemm" in name or "Conv" in name for name in times.other)


def test_tflite_says_why_there_is_no_time(published: dict[str, Inspection]) -> None:
    inspection = published["edge-tflite-int8"]
    assert inspection.times is None
    assert all(layer.microseconds is None for layer in inspection.layers)
    assert any("no profiler" in note for note in inspection.notes)
    assert inspection.to_json()["times"] is None


def test_two_bundles_side_by_side(published: dict[str, Inspection]) -> None:
    differences = Differences(published["edge-onnx-float32"], published["edge-onnx-int8"])
    fields = {change.field: (change.first, change.second) for change in differences.changes}
    assert fields["precision"] == ("float32", "int8")
    assert fields["model.size"][0] > 3 * fields["model.size"][1]
    assert not {"name", "format", "labels"} & set(fields)
    assert fields["provenance.calibration.seed"] == (None, 42)
    assert [pair.name for pair in differences.pairs] == EDGE
    mixed = Differences(published["edge-onnx-int8"], published["cnn-notebook-tflite-int8"]).pairs
    names = [pair.name for pair in mixed]
    assert names == [*EDGE[:6], "conv5", *EDGE[6:8], "dense1", "classifier"]
    (only,) = (pair for pair in mixed if pair.name == "dense1")
    assert only.first is None
    assert only.second is not None


def test_a_batch_that_is_none_is_refused() -> None:
    with pytest.raises(InputError, match="expected 1 to 4096"):
        inspect_bundle(MODELS / "edge-onnx-int8", batch=0)


def cli(*arguments: str | Path, code: str = "") -> subprocess.CompletedProcess[str]:
    program = f"{code}\nfrom digits_edge.cli import main\nmain()"
    command = [sys.executable, "-c", program, "inspect", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def test_the_command_prints_tables_and_draws(tmp_path: Path) -> None:
    from PIL import Image

    picture = tmp_path / "layers.png"
    done = cli(MODELS / "edge-onnx-int8", "--plot", picture)
    assert done.returncode == 0, done.stderr
    for text in (*EDGE, "1,922,240", "61,130", "71,102", "16×14×14", "int8 ×64", "Transpose"):
        assert text in done.stdout
    with Image.open(picture) as image:
        assert image.width > 1500
        pixels = np.asarray(image.convert("RGB"))
    assert (pixels == (0x00, 0x72, 0xB2)).all(axis=-1).mean() > 0.02  # bars
    alone = tmp_path / "alone"
    shutil.copytree(ROOT / "tests/golden/tiny-tflite-int8", alone)  # nothing but the bundle is needed
    values = json.loads(cli(alone, "--json").stdout)
    assert [layer["name"] for layer in values["layers"]][-1] == "classifier"
    assert values["manifest"]["sha256"] == hashlib.sha256((alone / "model.tflite").read_bytes()).hexdigest()
    assert values["times"] is None


def test_the_command_compares(tmp_path: Path) -> None:
    both = (MODELS / "edge-onnx-int8", MODELS / "edge-tflite-int8")
    done = cli("--diff", *both, "--plot", tmp_path / "both.png", "--batch", "8")
    assert done.returncode == 0, done.stderr
    assert "provenance.commands" in done.stdout
    assert (tmp_path / "both.png").stat().st_size > 10_000
    values = json.loads(cli("--diff", *both, "--json").stdout)
    (second,) = (layer["first"]["output"] for layer in values["layers"] if layer["name"] == "conv2")
    assert f"uint8 {second['quantization']['scale']['min']:.3g}" in done.stdout
    assert {"field": "format", "first": "onnx", "second": "tflite"} in values["manifest"]
    assert values["layers"][1]["second"]["bytes"] < values["layers"][1]["first"]["bytes"]


def test_refused_in_one_line(tmp_path: Path) -> None:
    sound = MODELS / "edge-onnx-int8"
    damaged = tmp_path / "damaged"
    shutil.copytree(sound, damaged)
    content = bytearray((damaged / "model.onnx").read_bytes())
    content[1000] ^= 1
    (damaged / "model.onnx").write_bytes(content)
    for arguments, exit_code, complaint in (
        ((tmp_path,), 2, "no bundle there"),
        ((damaged,), 1, "SHA-256"),
        ((sound, sound), 2, "two with --diff"),
        (("--diff", sound), 2, "--diff compares two"),
        ((sound, "--plot", tmp_path / "gone" / "a.png"), 2, "no directory"),
        ((sound, "--plot", tmp_path), 2, "expected the name of a PNG file"),
    ):
        done = cli(*arguments)
        assert done.returncode == exit_code, done.stderr
        (line,) = done.stderr.splitlines()
        assert line.startswith("error: ")
        assert complaint in line
        assert done.stdout == ""


def test_without_its_readers_there_is_a_hint() -> None:
    missing = "import importlib.util as u\nfind = u.find_spec\n"
    missing += "u.find_spec = lambda name, *rest: None if name == 'ai_edge_litert' else find(name, *rest)"
    done = cli(MODELS / "edge-tflite-int8", code=missing)
    assert done.returncode == 2
    assert 'pip install "digits-edge[export]"' in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_text_of_a_bundle_is_no_command_to_the_terminal(tmp_path: Path) -> None:
    like = read_bundle(MODELS / "edge-onnx-int8")
    provenance = {**like.manifest.provenance, "commands": ["[red]\x1b[2Jgone"]}
    place = bundle_of(like.model, like, tmp_path / "hostile", provenance=provenance)
    done = cli(place)
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout
    assert "[red]?[2Jgone" in done.stdout
