"""What ``digits-edge evaluate`` found, as a part of docs/results.md."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from digits_edge.benchmarks.errors import SaveError
from digits_edge.benchmarks.scorecard import DEFAULT
from digits_edge.benchmarks.tables import Row, table

_ABOUT = (
    "Each bundle in the runtime, at the temperature and the reject threshold of its manifest. A fixed seed "
    "draws corruptions and images of no digit; neither training nor threshold saw them."
)

# Copied beside docs/results.md by `make evaluations`.
_PICTURES = ("risk-coverage", "corruptions", "non-digits")

Evaluations = Mapping[str, Mapping[str, Any]]


def read_evaluations(directory: Path) -> dict[str, dict[str, Any]]:
    """What ``digits-edge evaluate --json`` printed, by the subject's name.

    Raises:
        SaveError: A file is of another form.
    """
    found = {}
    for path in sorted(directory.glob("*.json")):
        try:
            values = json.loads(path.read_text("utf-8"))
            found[str(values["subject"]["name"])] = values
        except (ValueError, KeyError, TypeError) as error:
            raise SaveError(
                f"{path}: {error!r}; expected what `digits-edge evaluate --json` prints"
            ) from error
    return found


def evaluated(evaluations: Evaluations) -> list[str]:
    """The paragraphs and tables about confidence and robustness; none if nothing was evaluated."""
    if not evaluations:
        return []
    shown = DEFAULT in evaluations
    pictures = [f"![{name} of {DEFAULT}](edge-{name}.png)" for name in _PICTURES if shown]
    return [
        "## How sure, how robust?",
        _ABOUT,
        table(_rows(evaluations)),
        "Accuracy on corrupted test images:",
        table(_corruption_rows(evaluations)),
        "Images of no digit that are rejected:",
        table(_non_digit_rows(evaluations)),
        *pictures,
        "Made by `digits-edge evaluate models/BUNDLE`, all of them by `make evaluations`.",
    ]


def _rows(evaluations: Evaluations) -> Iterator[Row]:
    yield (
        "bundle",
        "accuracy",
        "ECE",
        "threshold",
        "coverage",
        "errors among the accepted",
        "corruptions, mean",
        "load_digits",
        "no digits rejected",
    )
    for name, figures in evaluations.items():
        chosen = figures["selection"]["at_threshold"]
        yield (
            f"`{name}`",
            _share(figures["accuracy"]),
            f"{figures['calibration']['ece']:.2%}",
            "–" if chosen is None else f"{figures['subject']['threshold']:.4f}",
            "–" if chosen is None else f"{chosen['coverage']['share']:.2%}",
            "–" if chosen is None or chosen["errors"] is None else _share(chosen["errors"]),
            f"{figures['corruptions']['mean']:.2%}",
            _share(figures["foreign"]["right"]),
            _rejected(figures["non_digits"]),
        )


def _corruption_rows(evaluations: Evaluations) -> Iterator[Row]:
    for number, (name, figures) in enumerate(evaluations.items()):
        each = figures["corruptions"]["each"]
        if number == 0:
            yield "bundle", *(row["name"] for row in each)
        yield f"`{name}`", *(f"{row['right']['share']:.2%}" for row in each)


def _non_digit_rows(evaluations: Evaluations) -> Iterator[Row]:
    for number, (name, figures) in enumerate(evaluations.items()):
        kinds = figures["non_digits"]["kinds"]
        if number == 0:
            yield "bundle", *(row["name"] for row in kinds)
        yield f"`{name}`", *(_rejected(row) for row in kinds)


def _rejected(figures: Mapping[str, Any]) -> str:
    return "–" if figures["rejected"] is None else f"{figures['rejected']['share']:.1%}"


def _share(share: Mapping[str, float]) -> str:
    return f"{share['share']:.2%} [{share['low']:.2%}–{share['high']:.2%}]"
