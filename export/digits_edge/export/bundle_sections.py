"""What ``parity.html`` says of the files themselves: batches, engines, what was tried, how it was made."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from digits_edge.export.markup import Markup, element, joined, share_cell, table
from digits_edge.export.proof import FileProof, Proof
from digits_edge.export.verdict import counted
from digits_edge.runtime import Manifest

_TRIED = "tried"  # of the provenance: what accuracy control looked at
_NONE = "–"


def file_sections(files: tuple[FileProof, ...]) -> Iterator[Markup]:
    """Each bundle against itself, and in other engines."""
    for file in files:
        of = f": {file.name}" if len(files) > 1 else ""
        steadiness = file.steadiness
        yield element("h2", f"The same answer in any batch{of}")
        again = "the same bits" if steadiness.repeats else "other bits"
        anew = "the same bits" if steadiness.reopens else "other bits"
        yield element(
            "p",
            f"{counted(steadiness.images, 'image')}, each asked alone, then in batches. A batch asked twice "
            f"gets {again}; asked of the file opened anew, {anew}.",
            class_="lead",
        )
        yield table(
            ("batch of", "bits", "probabilities differ by", "logits differ by"),
            [
                (
                    f"{batch.size:,}",
                    "the same" if batch.identical else "others",
                    f"{batch.max_difference:.1g}" if batch.max_difference else "0",
                    f"{batch.max_logit_difference:.1g}" if batch.max_logit_difference else "0",
                )
                for batch in steadiness.batches
            ],
            words=(0, 1),
        )
        yield element("h2", f"The same file in other engines{of}")
        yield element(
            "p",
            "Reported, not asked for: other engines round otherwise, which is no fault of the file.",
            class_="lead",
        )
        yield table(
            ("engine", "same label", "images", "logits differ by"),
            [
                (
                    joined((engine.engine, ": ", element("span", str(engine.problem), class_="quiet"))),
                    _NONE,
                    "",
                    "",
                )
                if engine.same_label is None
                else (
                    engine.engine,
                    share_cell(engine.same_label),
                    f"{engine.same_label.of:,}",
                    f"{engine.max_logit_difference:.2g}",
                )
                for engine in file.engines
            ],
        )


def tried_section(manifest: Manifest | None) -> Iterator[Markup]:
    """What accuracy control looked at before it chose; nothing where it had nothing to choose."""
    rows = manifest.provenance.get(_TRIED) if manifest else None
    if not isinstance(rows, list | tuple) or not rows:
        return
    yield element("h2", "What was tried")
    yield element(
        "p",
        "On validation images; where the data has no test images, these also prove it, and flatter what was "
        "chosen by them. Speed is against float32, on the machine of the export, with quartiles.",
        class_="lead",
    )
    yield table(
        ("candidate", "accuracy", "same label", "bytes", "speed", "verdict"),
        [_candidate(row) for row in rows if isinstance(row, Mapping)],
        words=(0, 5),
    )


def _candidate(row: Mapping[str, Any]) -> tuple[str, ...]:
    def cell(name: str, words: str) -> str:
        value = row.get(name)
        return words.format(value) if isinstance(value, int | float) else _NONE

    return (
        str(row.get("name", _NONE)),
        cell("accuracy", "{:.2%}"),
        cell("agreement", "{:.2%}"),
        cell("bytes", "{:,}"),
        _speed(row.get("speed")),
        str(row.get("verdict", _NONE)),
    )


def _speed(told: object) -> str:
    """A ratio with its quartiles, as `race.Speed` gives them."""
    if not isinstance(told, Mapping) or not {"ratio", "low", "high"} <= told.keys():
        return _NONE
    ratio = f"{told['ratio']:.2f}×"
    return joined((ratio, element("span", f"{told['low']:.2f} – {told['high']:.2f}", class_="range")))


def making_section(proof: Proof, manifest: Manifest | None) -> Iterator[Markup]:
    """How a bundle was made; what the two are where models are compared."""
    if manifest is None:
        yield element("h2", "What was compared")
        names = dict.fromkeys((*proof.original.details, *proof.exported.details))
        yield table(
            ("", proof.original.name, proof.exported.name),
            [
                ("kind", proof.original.kind, proof.exported.kind),
                ("engine", proof.original.engine, proof.exported.engine),
                *(
                    (
                        name,
                        *(_code(side.details.get(name, _NONE)) for side in (proof.original, proof.exported)),
                    )
                    for name in names
                ),
            ],
            words=(0, 1, 2),
        )
        return
    provenance = manifest.provenance
    yield element("h2", "How it was made")
    yield table(("", ""), list(_origins(manifest)), words=(0, 1))
    if commands := _texts(provenance.get("commands")):
        yield element("pre", "\n".join(commands))


def _origins(manifest: Manifest) -> Iterator[tuple[str, str]]:
    model = manifest.model
    training, versions = manifest.provenance.get("training"), manifest.provenance.get("versions")
    yield "file", joined((_code(model.path), f", {model.size:,} bytes"))
    yield "SHA-256", _code(model.sha256)
    processors = "any processor" if manifest.safe_on == ("any",) else ", ".join(manifest.safe_on)
    yield "arithmetic", f"{manifest.format.value} {manifest.precision.value}, exact on {processors}"
    if isinstance(quantization := manifest.provenance.get("quantization"), Mapping):
        told = (f"{name.replace('_', ' ')} {_plain(value)}" for name, value in quantization.items())
        yield "quantization", ", ".join(told)
    yield "temperature", f"{manifest.temperature:g}; all figures here are at 1, the model's own"
    yield "reject threshold", f"{manifest.reject_threshold:g}"
    if isinstance(training, Mapping):
        for name in ("architecture", "recipe", "seed", "run"):
            if name in training:
                value = training[name]
                yield name, str(getattr(value, "value", value))
        if "data_digest" in training:
            yield "SHA-256 of the training data", _code(training["data_digest"])
    if isinstance(versions, Mapping) and versions:
        yield "libraries", ", ".join(f"{name} {told}" for name, told in versions.items())


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return (", ".join(map(str, value)) or "none") if isinstance(value, list | tuple) else str(value)


def _code(value: object) -> Markup:
    return element("code", str(value))


def _texts(values: object) -> list[str]:
    return (
        [str(value) for value in values]
        if isinstance(values, Iterable) and not isinstance(values, str)
        else []
    )
