"""What the published models are judged by: each figure beside what it should be at least."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, stdev
from typing import Any

from digits_edge.runtime import Manifest, Precision
from digits_edge.trainer.architectures import Architecture
from digits_edge.trainer.recipes import RecipeName
from digits_edge.trainer.runs import RunConfig

DEFAULT = "edge-onnx-int8"  # the bundle that ships inside the runtime


@dataclass(frozen=True)
class TrainedModel:
    """A finished run.

    Attributes:
        name: Its directory's name; that of a series' run is ``SERIES/seed-N``.
        config: What was asked for.
        metrics: Content of its metrics.json.
    """

    name: str
    config: RunConfig
    metrics: dict[str, Any]

    def made_by(self, architecture: Architecture, recipe: RecipeName) -> bool:
        """Whether it is that network, trained by that recipe."""
        return (self.config.architecture, self.config.recipe) == (architecture, recipe)


@dataclass(frozen=True)
class PublishedBundle:
    """A bundle, by its manifest.

    Attributes:
        name: Its directory's name.
        manifest: The manifest; it holds the proof's figures.
    """

    name: str
    manifest: Manifest

    @property
    def accuracy(self) -> float:
        """Of the bundle on held-out images."""
        return float(self.manifest.parity["accuracy_exported"])

    @property
    def architecture(self) -> str:
        """Of the network it holds, as an `Architecture` has it."""
        return str(self.manifest.provenance["training"]["architecture"])

    @property
    def network(self) -> tuple[Any, ...]:
        """What was trained and how, but for the seed: architecture, recipe, widths."""
        training = self.manifest.provenance["training"]
        return self.architecture, training["recipe"], training["widths"]


@dataclass(frozen=True)
class Goal:
    """One figure and what it should be.

    Attributes:
        what: What was measured.
        seen: The figure, as text.
        least: What it should be at least, as text.
        reach: What to reach for, as text.
        held: Whether it is at least what it should be.
    """

    what: str
    seen: str
    least: str
    reach: str
    held: bool


def scorecard(
    trained: Sequence[TrainedModel],
    published: Sequence[PublishedBundle],
    evaluations: Mapping[str, Mapping[str, Any]],
) -> Iterator[Goal]:
    """The goals of which there is something to tell.

    Args:
        trained: Finished runs.
        published: Bundles; those of a series' other seeds among them.
        evaluations: By the bundle's name.
    """
    yield from _references(trained)
    default = next((bundle for bundle in published if bundle.name == DEFAULT), None)
    if default is not None:
        edge = [
            bundle
            for bundle in published
            if bundle.network == default.network and bundle.manifest.precision is Precision.INT8
        ]
        yield from _edges(edge, published)
    for figures in evaluations.values():
        if figures["subject"]["kind"] == "ensemble":
            right = figures["accuracy"]["share"]
            what = f"teachers together ({', '.join(figures['subject']['members'])}), test images"
            yield Goal(what, f"{right:.2%}", "99.75%", "99.85%", right >= 0.9975)
    if DEFAULT in evaluations:
        yield from _robust(evaluations[DEFAULT])


def _references(trained: Sequence[TrainedModel]) -> Iterator[Goal]:
    for model in trained:
        if model.made_by(Architecture.CNN, RecipeName.NOTEBOOK):
            accuracy = model.metrics["valid"]["accuracy"]
            what = "reference CNN, notebook recipe, validation images"
            yield Goal(what, f"{accuracy:.2%}", "99.31%", "–", accuracy >= 0.9931)
    strong = [model for model in trained if model.made_by(Architecture.CNN, RecipeName.STRONG)]
    if strong:
        accuracies = [model.metrics["test"]["accuracy"] for model in strong]
        what = f"reference CNN, strong recipe, test images, {_seeds(accuracies)}"
        yield Goal(what, _spread(accuracies), "99.65%", "99.75%", _enough(accuracies, 0.9965))


def _edges(edge: Sequence[PublishedBundle], published: Sequence[PublishedBundle]) -> Iterator[Goal]:
    by_format: dict[str, list[PublishedBundle]] = {}
    for bundle in edge:
        by_format.setdefault(bundle.manifest.format.value, []).append(bundle)
    for kind, bundles in by_format.items():
        accuracies = [bundle.accuracy for bundle in bundles]
        what = f"edge, int8 {kind}, test images, {_seeds(accuracies)}"
        yield Goal(what, _spread(accuracies), "99.60%", "99.75%", _enough(accuracies, 0.9960))
    cost = edge[0].manifest.provenance["multiply_adds"]
    reference = next((bundle for bundle in published if bundle.architecture == Architecture.CNN), None)
    if reference is not None:
        whole = reference.manifest.provenance["multiply_adds"]
        yield Goal(
            "edge, multiply-adds, part of the reference CNN's",
            f"1/{whole / cost:.0f} ({cost:,})",
            "1/40",
            "1/60",
            whole / cost >= 40,
        )
    sizes = {kind: max(bundle.manifest.model.size for bundle in part) for kind, part in by_format.items()}
    seen = ", ".join(f"{kind} {size / 1024:.1f} KiB" for kind, size in sizes.items())
    yield Goal("edge, int8 model file", seen, "80 KiB", "40 KiB", max(sizes.values()) <= 80 * 1024)
    drop = max(float(bundle.manifest.parity["drop_points"]) for bundle in edge)
    what = "edge, points lost by int8, the worst of all seeds and formats"
    yield Goal(what, f"{drop:+.2f}", "0.05", "0", drop <= 0.05 + 1e-9)


def _robust(figures: Mapping[str, Any]) -> Iterator[Goal]:
    at_threshold = figures["selection"]["at_threshold"]
    coverage, errors = at_threshold["coverage"]["share"], at_threshold["errors"]
    wrong = 0.0 if errors is None else errors["share"]
    yield Goal(
        "edge int8, errors among the accepted at the default threshold, and coverage",
        f"{wrong:.3%} at {coverage:.2%}",
        "0.1% at 98%",
        "0.1% at 99%",
        wrong <= 0.001 and coverage >= 0.98,
    )
    corrupted = figures["corruptions"]["mean"]
    yield Goal("edge int8, mean over the corruptions", f"{corrupted:.2%}", "96%", "98%", corrupted >= 0.96)
    foreign = figures["foreign"]["right"]["share"]
    what = f"edge int8, {figures['foreign']['name']}"
    yield Goal(what, f"{foreign:.2%}", "95%", "97%", foreign >= 0.95)
    rejected = figures["non_digits"]["rejected"]["share"]
    what = "edge int8, images of no digit that are rejected at the default threshold"
    yield Goal(what, f"{rejected:.2%}", "90%", "99%", rejected >= 0.9)


def _seeds(figures: Sequence[float]) -> str:
    return f"mean of {len(figures)} seeds" if len(figures) > 1 else "one seed"


def _spread(figures: Sequence[float]) -> str:
    if len(figures) == 1:
        return f"{figures[0]:.2%}"
    each = ", ".join(f"{figure:.2%}" for figure in figures)
    return f"{mean(figures):.3%} ± {stdev(figures):.3%} ({each})"


def _enough(figures: Sequence[float], least: float) -> bool:
    return mean(figures) >= least - 1e-9
