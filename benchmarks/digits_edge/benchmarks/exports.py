"""What docs/results.md says of exports: their time, the repair of a hard network, C sources."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from digits_edge.benchmarks.errors import SaveError
from digits_edge.benchmarks.tables import Row, table
from digits_edge.export.micro import MICRO_FILE

_SUITE = "benchmarks/suites/test_export.py"


def read_exports(path: Path) -> list[dict[str, Any]]:
    """Reads what pytest-benchmark saved of the export suite.

    Returns:
        What each test noted, and the seconds it took as ``seconds``.

    Raises:
        SaveError: The file is missing or of another form.
    """
    try:
        benchmarks = json.loads(path.read_text("utf-8"))["benchmarks"]
        return [{**each["extra_info"], "seconds": each["stats"]["median"]} for each in benchmarks]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SaveError(f"{path}: {error!r}; expected what `pytest {_SUITE}` saves") from error


def read_sources(models: Path) -> dict[str, dict[str, Any]]:
    """What `digits-edge export --format c` wrote of its proofs, by directory below ``models``.

    Raises:
        SaveError: A file is damaged.
    """
    found = {}
    for place in sorted(models.rglob(MICRO_FILE)):
        try:
            told = json.loads(place.read_text("utf-8"))
            found[place.parent.relative_to(models).as_posix()] = told
            tuple(_source_rows({"": told}))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise SaveError(
                f"{place}: {error!r}; expected what `digits-edge export --format c` writes"
            ) from error
    return found


def exported(measured: Sequence[Mapping[str, Any]], sources: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The sections, in Markdown; none where there is nothing to tell.

    Args:
        measured: What `read_exports` gave.
        sources: What `read_sources` gave.
    """
    whole = [export for export in measured if "files" in export]
    repaired = [export for export in measured if "tried" in export]
    parts: list[str] = []
    if sources:
        parts += ["## On a microcontroller", _MICRO, table(_source_rows(sources))]
        parts += ["Made by `digits-edge export RUN --format c`."]
    if whole:
        parts += ["## How long an export takes", f"On {whole[0]['machine']}.", table(_time_rows(whole))]
        parts += [f"Made by `pytest {_SUITE}`."]
    if repaired:
        parts += ["## A network made hard on purpose", _HARD.format(**repaired[0])]
        for export in repaired:
            parts += [table(_repair_rows(export)), _outcome(export)]
        parts += [f"On {repaired[0]['machine']}, by `pytest {_SUITE}`."]
    return parts


_MICRO = (
    "C sources of the int8 TFLite file, run in TensorFlow Lite Micro's own interpreter, in the arena that "
    "they set aside. Flash is the model's; the kernels come on top."
)
_HARD = (
    "The small network with one channel behind its first layer {factor} times louder, and the next layer's "
    "weights for it as many times smaller: the same function. `digits-edge export --precision auto` tries, "
    "in this order and on {validation:,} validation images, until one passes its gate. Speed is against "
    "float32: same engine, one thread, quartiles in brackets."
)


def _source_rows(sources: Mapping[str, Mapping[str, Any]]) -> Iterator[Row]:
    yield "sources", "flash, bytes", "arena, bytes", "images", "accuracy", "same label as LiteRT", "operators"
    for name, told in sources.items():
        proof = told["proof"]
        yield (
            f"`{name}`",
            f"{told['flash_bytes']:,}",
            f"{told['arena']['total']:,}",
            f"{proof['images']:,} {proof['held_out']}",
            f"{proof['accuracy']:.2%}",
            f"{proof['agreement']:.2%}",
            ", ".join(name.removeprefix("Add") for name in told["operators"]),
        )


def _time_rows(whole: Iterable[Mapping[str, Any]]) -> Iterator[Row]:
    yield "run", "bundles and sources", "all of it, proofs included"
    for export in whole:
        yield f"`{export['run']}`", str(export["files"]), f"{export['seconds']:.0f} s"


def _repair_rows(export: Mapping[str, Any]) -> Iterator[Row]:
    yield export["format"], "accuracy", "same label", "bytes", "speed", ""
    for row in export["tried"]:
        speed = row["speed"]
        yield (
            row["name"],
            f"{row['accuracy']:.2%}",
            f"{row['agreement']:.2%}",
            f"{row['bytes']:,}",
            f"{speed['ratio']:.2f}× [{speed['low']:.2f}–{speed['high']:.2f}]" if speed else "–",
            row["verdict"],
        )


def _outcome(export: Mapping[str, Any]) -> str:
    return (
        f"Proved on {export['images']:,} test images: {export['exported']:.2%}, Keras "
        f"{export['original']:.2%}; {export['seconds']:.0f} s."
    )
