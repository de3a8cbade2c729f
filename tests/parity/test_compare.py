"""``digits-edge compare``: any two models, in the terminal, as JSON, as a page."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from digits_edge.trainer.datasets import Dataset
from digits_edge.trainer.runs import Run

if TYPE_CHECKING:
    from tests.parity.conftest import Done

MODELS = Path(__file__).parents[2] / "models"
BUNDLE, OTHER = MODELS / "edge-onnx-float32", MODELS / "edge-tflite-int8"

Cli = Callable[..., "Done"]


@pytest.fixture(scope="module")
def few(mnist: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """300 test images as an .npz."""
    assert mnist.test is not None
    path = tmp_path_factory.mktemp("few") / "few.npz"
    part = mnist.test.take(np.arange(300))
    np.savez(
        path,
        x_train=mnist.train.images[:100],
        y_train=mnist.train.labels[:100],
        x_test=part.images,
        y_test=part.labels,
    )
    return path


def test_two_bundles_are_compared_in_tables_json_and_a_page(cli: Cli, few: Path, tmp_path: Path) -> None:
    out = tmp_path / "report"
    done = cli("compare", BUNDLE, OTHER, "--data", few, "--out", out)
    assert done.code == 0, done.err
    assert {path.name for path in out.iterdir()} == {"parity.json", "parity.html"}
    for words in ("300 test images", "edge-onnx-float32", "edge-tflite-int8", "same label", "McNemar"):
        assert words in done.out
    assert "Is it the same model? The same labels." in done.out
    values = json.loads((out / "parity.json").read_text("utf-8"))
    assert (values["schema"], values["gate"]) == (1, None)
    assert [file["name"] for file in values["files"]] == ["edge-onnx-float32", "edge-tflite-int8"]
    page = (out / "parity.html").read_text("utf-8")
    assert "edge-onnx-float32 and edge-tflite-int8" in page
    assert values["exported"]["sha256"] in page
    again = cli("compare", BUNDLE, OTHER, "--data", few, "--out", out, "--json")
    assert json.loads(again.out) == values
    assert (out / "parity.html").read_text("utf-8") == page


def test_a_bundle_is_the_run_it_was_made_from(
    cli: Cli, published_run: Run, few: Path, tmp_path: Path
) -> None:
    done = cli("compare", published_run.path, BUNDLE, "--data", few, "--out", tmp_path, "--json")
    values = json.loads(done.out)
    assert done.code == 0
    assert (values["original"]["kind"], values["exported"]["kind"]) == ("run", "bundle")
    assert values["original"]["engine"].startswith("keras ")
    # At temperature 1: the bundle's own would move probabilities by tenths.
    assert values["exported"]["temperature"] != 1.0
    assert values["parity"]["max_difference"] <= 1e-5
    assert values["parity"]["disagreements"] == 0
    assert len(values["files"]) == 1


def test_models_that_differ_are_no_error(cli: Cli, few: Path, tmp_path: Path) -> None:
    tiny = Path(__file__).parents[1] / "golden" / "tiny-onnx-float32"
    done = cli("compare", BUNDLE, tiny, "--data", few, "--out", tmp_path)
    assert done.code == 0, done.err
    assert "<figure>" in (tmp_path / "parity.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("second", "words"),
    [(BUNDLE, "is compared with itself"), (MODELS, "neither a bundle (manifest.json) nor a run (run.json)")],
)
def test_what_cannot_be_compared_is_refused_in_a_line(
    cli: Cli, second: Path, words: str, few: Path, tmp_path: Path
) -> None:
    done = cli("compare", BUNDLE, second, "--data", few, "--out", tmp_path / "below" / "none")
    assert done.code == 2
    assert words in done.err
    assert "Traceback" not in done.err
    assert list(tmp_path.iterdir()) == []


def test_seeds_of_two_series_do_not_overwrite_each_other(
    cli: Cli, few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names = ["strong/seed-0", "distill/seed-0"]
    for name in names:
        shutil.copytree(OTHER, tmp_path / name)
    done = cli("compare", *names, "--data", few)
    assert done.code == 0, done.err
    assert [path.name for path in (tmp_path / "comparison").iterdir()] == ["strong-seed-0-and-distill-seed-0"]


def test_where_it_cannot_write_it_does_not_begin(cli: Cli, few: Path, tmp_path: Path) -> None:
    place = tmp_path / "report"
    place.touch()
    done = cli("compare", BUNDLE, OTHER, "--data", few, "--out", place)
    assert done.code == 1
    assert str(place) in done.err
    assert "asking" not in done.err


def test_validation_images_are_held_out_from_both_or_from_none(
    cli: Cli, kaggle_run: Run, tmp_path: Path
) -> None:
    """A bundle trained on all of MNIST may have seen what another run validates on."""
    done = cli("compare", kaggle_run.path, BUNDLE, "--out", tmp_path / "none")
    assert done.code == 2
    assert "what one has not seen the other may have; give --data with test images" in done.err


@pytest.fixture
def kaggle_bundle(kaggle_run: Run, tmp_path: Path) -> Path:
    """A bundle as an export of that run tells of its training: only the last name of the data is left."""
    bundle = shutil.copytree(BUNDLE, tmp_path / "kaggle-onnx-float32")
    manifest = json.loads((bundle / "manifest.json").read_text("utf-8"))
    told = {"data": "train.csv", "data_digest": kaggle_run.config().data_digest}
    manifest["provenance"]["training"] |= told
    (bundle / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    return bundle


@pytest.mark.parametrize("turned", [False, True])
def test_a_run_and_its_bundle_know_what_both_have_not_seen(
    cli: Cli, kaggle_run: Run, kaggle_bundle: Path, turned: bool, tmp_path: Path
) -> None:
    both = (kaggle_bundle, kaggle_run.path) if turned else (kaggle_run.path, kaggle_bundle)
    done = cli("compare", *both, "--out", tmp_path / "report", "--json")
    assert done.code == 0, done.err
    parity = json.loads(done.out)["parity"]
    assert (parity["images"], parity["held_out"], parity["disagreements"]) == (300, "validation", 0)


@pytest.mark.parametrize("turned", [False, True])
def test_mnist_is_held_out_from_both_or_from_none(
    cli: Cli, kaggle_bundle: Path, turned: bool, tmp_path: Path
) -> None:
    both = (OTHER, kaggle_bundle) if turned else (kaggle_bundle, OTHER)
    done = cli("compare", *both, "--out", tmp_path / "none")
    assert done.code == 2
    assert "trained on train.csv" in done.err
    assert "give --data" in done.err
    assert not (tmp_path / "none").exists()
