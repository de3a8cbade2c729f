"""A bundle's place holds the old bundle, the new one or none; whatever happens while it is written."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from digits_edge.export.errors import ExportError
from digits_edge.export.publish import Kind, discard, entry, publish, stage
from digits_edge.runtime import BundleNotFoundError, Format, Golden, Manifest, Precision, Tensor, read_bundle

# The smallest content that `read_bundle` takes: an ONNX file with an empty graph (field 7, no bytes).
EMPTY_GRAPH = b"\x3a\x00"


def small_bundle(name: str) -> dict[str, bytes]:
    """A bundle's files; the name is in the manifest and in the golden answers."""
    golden = Golden(np.zeros((1, 28, 28), np.uint8), np.full((1, 10), len(name), np.float32)).to_npz()
    manifest = Manifest(
        name=name,
        format=Format.ONNX,
        precision=Precision.INT8,
        model=entry("model.onnx", EMPTY_GRAPH),
        golden=entry("golden.npz", golden),
        input=Tensor("images", "uint8", (28, 28)),
        output=Tensor("logits", "float32", (10,)),
        labels=tuple("0123456789"),
    )
    return {"model.onnx": EMPTY_GRAPH, "golden.npz": golden, "manifest.json": manifest.to_json().encode()}


def name_of(bundle: Path) -> str:
    """The name of a bundle all of whose digests are right."""
    return read_bundle(bundle).manifest.name


def test_a_bundle_appears_whole_and_replaces_an_older_one(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "bundles" / "cnn"
    for name in ("old", "newer"):
        staging = stage(target, small_bundle(name))
        assert staging.parent == target.parent
        assert name_of(staging) == name
        publish(staging, target)
        assert name_of(target) == name
        assert [path.name for path in target.parent.iterdir()] == ["cnn"]


def test_files_of_the_older_bundle_do_not_stay(tmp_path: Path) -> None:
    target = tmp_path / "cnn"
    publish(stage(target, {**small_bundle("old"), "parity.json": b"{}"}), target)
    publish(stage(target, small_bundle("new")), target)
    assert sorted(path.name for path in target.iterdir()) == ["golden.npz", "manifest.json", "model.onnx"]


def test_staging_leaves_the_older_bundle_alone_and_can_be_taken_back(tmp_path: Path) -> None:
    target = tmp_path / "cnn"
    publish(stage(target, small_bundle("old")), target)
    staging = stage(target, small_bundle("new"))
    assert name_of(target) == "old"
    discard(staging)
    assert [path.name for path in tmp_path.iterdir()] == ["cnn"]
    assert name_of(target) == "old"


def test_staging_again_starts_afresh(tmp_path: Path) -> None:
    target = tmp_path / "cnn"
    stage(target, {**small_bundle("first"), "left.over": b"x"})
    staging = stage(target, small_bundle("second"))
    assert name_of(staging) == "second"
    assert not (staging / "left.over").exists()


@pytest.mark.parametrize("obstacle", ["file", "directory", "link", "dangling link"])
def test_what_is_no_bundle_is_not_replaced(obstacle: str, tmp_path: Path) -> None:
    target, elsewhere = tmp_path / "cnn", tmp_path / "elsewhere"
    publish(stage(elsewhere, small_bundle("mine")), elsewhere)
    match obstacle:
        case "file":
            target.write_text("notes")
        case "directory":
            target.mkdir()
            (target / "notes.txt").write_text("notes")
        case "link":
            target.symlink_to(elsewhere)
        case "dangling link":
            target.symlink_to(tmp_path / "nowhere")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ExportError, match=r"cnn: is there and no bundle; .*--out"):
        stage(target, small_bundle("new"))
    assert sorted(tmp_path.rglob("*")) == before


def test_what_is_of_another_kind_is_not_replaced(tmp_path: Path) -> None:
    target, drawings = tmp_path / "cnn", Kind("drawing.json", "drawing")
    publish(stage(target, small_bundle("mine")), target)
    with pytest.raises(ExportError, match=r"cnn: is there and no drawing"):
        stage(target, {"drawing.json": b"{}"}, drawings)
    assert name_of(target) == "mine"
    with pytest.raises(ValueError, match=r"a drawing without drawing\.json"):
        stage(tmp_path / "other", small_bundle("mine"), drawings)


def test_a_place_that_cannot_be_written_to_is_an_error_with_a_way_out(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a directory")
    with pytest.raises(ExportError, match=r"file/cnn: cannot be written \(Not a directory\); .*--out"):
        stage(tmp_path / "file" / "cnn", small_bundle("new"))


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_directory_without_permission_is_such_a_place(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(ExportError, match="cannot be written"):
        stage(tmp_path / "cnn", small_bundle("new"))


def test_a_disk_that_fills_up_leaves_nothing(tmp_path: Path) -> None:
    program = f"""
import resource, signal, sys
sys.path[:] = {sys.path!r}
from pathlib import Path
from digits_edge.export.errors import ExportError
from digits_edge.export.publish import stage
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))  # no file may grow beyond
try:
    stage(Path({str(tmp_path / "cnn")!r}), {{"manifest.json": b"x", "model.onnx": bytes(5000)}})
except ExportError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "cnn: cannot be written (File too large)" in done.stdout
    assert not list(tmp_path.iterdir())


def test_a_bundle_needs_a_manifest(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"without manifest\.json"):
        stage(tmp_path / "cnn", {"model.onnx": EMPTY_GRAPH})


EXPORTER = """
import importlib.util, sys
from pathlib import Path
sys.path[:] = {path!r}
specification = importlib.util.spec_from_file_location("test_publish", {module!r})
module = importlib.util.module_from_spec(specification)
specification.loader.exec_module(module)
bundles = [module.small_bundle(name) for name in ("odd", "even")]
target = Path({target!r})
print("ready", flush=True)
for count in range(1_000_000):
    module.publish(module.stage(target, bundles[count % 2]), target)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_killed_at_any_moment_it_leaves_a_whole_bundle_or_none(tmp_path: Path) -> None:
    target = tmp_path / "cnn"
    program = EXPORTER.format(path=sys.path, module=__file__, target=str(target))
    draw = random.Random(7)
    for _ in range(10):
        with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as exporter:
            assert exporter.stdout is not None
            assert exporter.stdout.readline() == b"ready\n"
            time.sleep(draw.uniform(0.0, 0.05))
            exporter.send_signal(signal.SIGKILL)
        try:
            assert name_of(target) in ("odd", "even")
        except BundleNotFoundError:
            assert not target.exists()
    publish(stage(target, small_bundle("last")), target)
    assert name_of(target) == "last"
    assert [path.name for path in tmp_path.iterdir()] == ["cnn"]
