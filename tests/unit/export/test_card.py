"""MODEL_CARD.md: front matter that a hub can read, and no figure that the proof does not have."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from digits_edge.export.card import model_card
from digits_edge.export.parity import Parity, compare
from digits_edge.runtime import Manifest, read_bundle
from digits_edge.trainer.architectures import Architecture
from digits_edge.trainer.recipes import RecipeName

MODELS = Path(__file__).parents[3] / "models"
yaml = pytest.importorskip("yaml", reason="PyYAML, a reader of front matter, is not installed")


@pytest.fixture(params=["edge-onnx-int8", "edge-tflite-float32"])
def bundle(request: pytest.FixtureRequest) -> Path:
    """A published bundle."""
    return MODELS / str(request.param)


@pytest.fixture
def manifest(bundle: Path) -> Manifest:
    return read_bundle(bundle).manifest


@pytest.fixture
def parity() -> Parity:
    """Figures that no two of are the same."""
    truth = np.zeros(1000, np.uint8)
    first, second = np.full((1000, 10), 0.05), np.full((1000, 10), 0.02)
    first[:, 0], second[:, 0] = 0.55, 0.82
    first[:3, 1] = 0.6
    second[2:9, 2] = 0.9
    first, second = (part / part.sum(axis=1, keepdims=True) for part in (first, second))
    return compare(first, second, truth, held_out="test")


def front_matter(card: str) -> dict[str, Any]:
    """As hubs do it: YAML between the first two lines of three dashes."""
    before, matter, _ = card.split("---\n", 2)
    assert before == ""
    values: dict[str, Any] = yaml.safe_load(matter)
    return values


def test_a_hub_finds_licence_task_library_and_data(manifest: Manifest, parity: Parity) -> None:
    values = front_matter(model_card(manifest, parity))
    assert values["license"] == "apache-2.0"
    assert values["pipeline_tag"] == "image-classification"
    assert values["library_name"] == manifest.format.value
    assert values["datasets"] == ["mnist"]
    assert {"mnist", manifest.format.value, manifest.precision.value} <= set(values["tags"])


def test_the_figures_are_those_of_the_proof(bundle: Path, manifest: Manifest, parity: Parity) -> None:
    figures = json.loads(json.dumps(parity.to_json()))
    (model,) = front_matter(model_card(manifest, parity))["model-index"]
    assert model["name"] == bundle.name
    (result,) = model["results"]
    assert result["dataset"] == {"name": "MNIST", "type": "mnist", "split": figures["held_out"]}
    assert [(metric["type"], metric["value"]) for metric in result["metrics"]] == [
        ("accuracy", figures["accuracy_exported"]),
        ("accuracy", figures["accuracy_original"]),
        ("agreement", figures["agreement"]),
    ]
    card = " ".join(model_card(manifest, parity).split())
    assert "Agreement 99.10% (95 % interval 98.30% – 99.53%)" in card
    assert (
        f"calibration error {figures['ece_original']:.2%} before, {figures['ece_exported']:.2%} after" in card
    )
    assert figures["ece_original"] > 2 * figures["ece_exported"]


@pytest.mark.parametrize("right", [0, 1, 7, 100_000])
def test_every_share_of_the_images_is_read_as_the_same_number(
    manifest: Manifest, parity: Parity, right: int
) -> None:
    share = right / 100_000
    (model,) = front_matter(model_card(manifest, replace(parity, accuracy_exported=share)))["model-index"]
    value = model["results"][0]["metrics"][0]["value"]
    assert isinstance(value, float)
    assert value == share


@pytest.mark.parametrize("name", ["on", "1.0", "null", 'a"b: #c', "ziffer–é"])
def test_any_name_stays_the_name_it_is(manifest: Manifest, parity: Parity, name: str) -> None:
    values = front_matter(model_card(replace(manifest, name=name), parity))
    kind = f"{manifest.format.value}-{manifest.precision.value}"
    assert values["model-index"][0]["name"] == f"{name}-{kind}"


def test_data_of_the_user_s_own_is_not_passed_off_as_mnist(manifest: Manifest, parity: Parity) -> None:
    training = {**manifest.provenance["training"], "data": "train: mine.csv"}
    card = model_card(replace(manifest, provenance={"training": training}), parity)
    values = front_matter(card)
    assert "datasets" not in values
    dataset = values["model-index"][0]["results"][0]["dataset"]
    assert (dataset["name"], dataset["type"]) == ("train: mine.csv", "custom")
    assert "trained on `train: mine.csv`" in card


def test_the_text_has_the_words_of_the_manifest_before_and_after_it_was_written(
    manifest: Manifest, parity: Parity
) -> None:
    training = manifest.provenance["training"]
    unwritten = {
        **training,
        "architecture": Architecture(training["architecture"]),
        "recipe": next(iter(RecipeName)),
    }
    card = model_card(replace(manifest, provenance={"training": unwritten}), parity)
    assert f"Network `edge`, recipe `{next(iter(RecipeName)).value}`," in card


def test_confidence_and_rejection_are_explained(manifest: Manifest, parity: Parity) -> None:
    plain = replace(manifest, temperature=1.0, reject_threshold=0.0)
    assert "softmax of logits / 1; nothing is rejected" in model_card(plain, parity)
    strict = replace(manifest, temperature=1.3, reject_threshold=0.9)
    assert "softmax of logits / 1.3; answers below 0.9 are rejected" in model_card(strict, parity)
