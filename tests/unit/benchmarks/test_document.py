"""docs/results.md and README's table say what the committed JSON says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from digits_edge.benchmarks import document
from digits_edge.benchmarks.errors import SaveError
from digits_edge.benchmarks.estimates import Estimate
from digits_edge.benchmarks.evaluations import read_evaluations
from digits_edge.benchmarks.exports import exported, read_exports, read_sources
from digits_edge.benchmarks.results import Results
from digits_edge.benchmarks.scorecard import PublishedBundle
from digits_edge.runtime import InputError, Precision

ROOT = Path(__file__).resolve().parents[3]
MODELS = ROOT / "models"
MEASURED = [MODELS / "bench-cnn.json", MODELS / "bench-edge.json"]


@pytest.fixture(scope="module")
def measured() -> list[Results]:
    return [Results.load(path) for path in MEASURED]


def test_the_document_is_what_the_json_gives(measured: list[Results]) -> None:
    trained, published = document.read_models(MODELS)
    steps = document.read_training_steps(MODELS / "bench-training.json")
    evaluations = read_evaluations(MODELS / "evaluations")
    alone = {name for name, figures in evaluations.items() if figures["subject"]["kind"] == "bundle"}
    assert alone <= {bundle.name for bundle in published}
    about = exported(read_exports(MODELS / "bench-export.json"), read_sources(MODELS))
    text = document.document(trained, published, evaluations, measured, steps, about)
    assert (ROOT / "docs/results.md").read_text("utf-8") == text


def test_readme_quotes_what_the_json_gives(measured: list[Results]) -> None:
    _, published = document.read_models(MODELS)
    assert document.headline(published, measured) in (ROOT / "README.md").read_text("utf-8")


def test_the_reference_reaches_the_notebook() -> None:
    trained, _ = document.read_models(MODELS)
    (reference,) = (model for model in trained if model.name == "cnn-notebook")
    assert reference.metrics["valid"]["accuracy"] >= 0.9931
    assert reference.metrics["valid"]["images"] == 4200


def test_the_table_goes_between_the_markers(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("before\n<!-- results -->\nold\n<!-- /results -->\nafter\n")
    document.write_headline(r"new \1 table", readme)
    assert readme.read_text() == "before\n<!-- results -->\n\nnew \\1 table\n<!-- /results -->\nafter\n"


def test_a_readme_without_markers_is_refused(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("nothing here\n")
    with pytest.raises(InputError, match="no `<!-- results -->`"):
        document.write_headline("table", readme)
    assert readme.read_text() == "nothing here\n"


def test_a_directory_without_models_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="0 runs and 0 bundles"):
        document.read_models(tmp_path)


@pytest.mark.parametrize("text", ["", "{}", '{"benchmarks": [{}]}', "[]"])
def test_another_file_than_the_training_suite_s_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "training.json"
    path.write_text(text)
    with pytest.raises(SaveError, match="expected what `make results` saves"):
        document.read_training_steps(path)


def test_what_was_measured_is_what_is_published(measured: list[Results]) -> None:
    _, published = document.read_models(MODELS)
    document.require_same_files(published, measured)


@pytest.fixture
def published() -> list[PublishedBundle]:
    return document.read_models(MODELS)[1]


@pytest.fixture
def of_edge(published: list[PublishedBundle], make_results: Callable[..., Results]) -> Results:
    """A quick measurement of a published bundle and of a naive file."""
    (edge,) = (bundle for bundle in published if bundle.name == "edge-onnx-int8")
    results = make_results(baseline=True)
    own, naive = results.subjects
    return replace(
        results,
        subjects=(
            replace(own, name=edge.name, sha256=edge.manifest.model.sha256),
            replace(naive, precision=Precision.FLOAT32),
        ),
    )


def test_a_row_has_the_ratio_of_single_images_and_of_large_batches(
    published: list[PublishedBundle], of_edge: Results
) -> None:
    own, naive = of_edge.subjects
    slow = tuple(
        replace(rate, images_per_second=Estimate.of([500.0] * 5)) if rate.batch == 1 else rate
        for rate in own.rates
    )
    table = document.headline(published, [replace(of_edge, subjects=(replace(own, rates=slow), naive))])
    (row,) = (line for line in table.splitlines() if line.startswith("| `"))  # a naive file has none
    assert row.startswith("| `edge-onnx-int8` |")
    assert row.endswith("| 2.00× | 4.00× |")
    assert "`--quick`" in table
    assert "--quick" not in document.headline(published, [replace(of_edge, effort="full")])


def test_another_file_of_that_name_is_refused(published: list[PublishedBundle], of_edge: Results) -> None:
    own, naive = of_edge.subjects
    older = [replace(of_edge, subjects=(replace(own, sha256="0" * 64), naive))]
    with pytest.raises(InputError, match="edge-onnx-int8 was measured as another file; measure again"):
        document.headline(published, older)
    with pytest.raises(InputError, match="edge-onnx-int8 was measured as another file; measure again"):
        document.document([], published, {}, older, [], [])
