"""``parity.html``: a proof as one page that opens offline and prints well."""

from __future__ import annotations

from collections.abc import Iterator

from digits_edge.export.bundle_sections import file_sections, making_section, tried_section
from digits_edge.export.markup import Markup, element, intervals, picture, share_cell, table
from digits_edge.export.page_style import STYLE
from digits_edge.export.proof import Flip, Proof
from digits_edge.export.verdict import counted, verdict
from digits_edge.runtime import Manifest

SHOWN = 40  # flipped images; the rest is in parity.json
_NONE = "–"


def parity_page(proof: Proof, manifest: Manifest | None = None) -> str:
    """The page: no address, no script, no time; the same proof gives the same bytes.

    Args:
        proof: What to show.
        manifest: The bundle that it is the proof of; None where two models are compared.
    """
    title = proof.exported.name if manifest else f"{proof.original.name} and {proof.exported.name}"
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", f"{title}: parity"),
        element("style", Markup(STYLE)),
    )
    body = element(
        "body",
        _header(proof, title, proved=manifest is not None),
        element("div", *_figures(proof, _names(proof, manifest)), class_="figures"),
        *_classes(proof, _names(proof, manifest)),
        *_corruptions(proof, _names(proof, manifest)),
        *_gallery(proof, _names(proof, manifest)),
        *file_sections(proof.files),
        *tried_section(manifest),
        *making_section(proof, manifest),
        element("footer", "All figures, for programs: parity.json beside this page."),
    )
    return f"<!doctype html>\n{element('html', head, body, lang='en')}\n"


def _names(proof: Proof, manifest: Manifest | None) -> tuple[str, str]:
    return ("Keras", "this file") if manifest else (proof.original.name, proof.exported.name)


def _header(proof: Proof, title: str, *, proved: bool) -> Markup:
    parity = proof.parity
    what = "held against the model it was made from" if proved else "held against each other"
    engines = (
        f"{proof.original.name} in {proof.original.engine}, {proof.exported.name} in {proof.exported.engine}"
    )
    return element(
        "header",
        element("p", "Parity", class_="eyebrow"),
        element("h1", title),
        element(
            "p",
            f"{what.capitalize()}, image by image, on {parity.images:,} {parity.held_out} images of "
            f"{proof.data}: {engines}.",
            class_="lead",
        ),
        element(
            "div",
            *(
                element(
                    "section",
                    element("h3", finding.question),
                    element("strong", finding.answer),
                    element("p", finding.reason),
                    class_=finding.tone.value,
                )
                for finding in verdict(proof)
            ),
            class_="verdict",
        ),
    )


def _figures(proof: Proof, names: tuple[str, str]) -> Iterator[Markup]:
    parity, (before, after) = proof.parity, proof.right
    yield element("h2", "The figures")
    yield element("p", "Behind a share, in grey, is its 95 % interval (Wilson).", class_="lead")
    yield _asked(proof)
    yield table(
        ("", *names),
        [
            ("accuracy", share_cell(before), share_cell(after)),
            ("images only it gets right", str(parity.only_original_right), str(parity.only_exported_right)),
            ("calibration error (ECE, 15 bins)", f"{parity.ece_original:.2%}", f"{parity.ece_exported:.2%}"),
        ],
    )
    yield table(
        ("", "largest", "99th percentile", "mean"),
        [
            (
                "difference of a probability",
                f"{parity.max_difference:.2g}",
                f"{parity.p99_difference:.2g}",
                f"{parity.mean_difference:.2g}",
            ),
            (
                "difference of a logit, each row's mean taken off",
                f"{parity.max_logit_difference:.2g}",
                f"{parity.p99_logit_difference:.2g}",
                f"{parity.mean_logit_difference:.2g}",
            ),
            (
                f"Kullback-Leibler divergence from {names[0]}, nats an image",
                f"{parity.max_kl:.2g}",
                _NONE,
                f"{parity.mean_kl:.2g}",
            ),
        ],
    )


def _asked(proof: Proof) -> Markup:
    """What is asked of it; nothing is where two models are compared."""
    parity = proof.parity
    rows = [
        ("same label", share_cell(parity.same_label), *_bar(proof, "min_agreement", "at least {:.2%}")),
        ("accuracy lost", f"{parity.drop:+.2f} points", *_bar(proof, "max_drop", "at most {:.2f} points")),
        (
            "largest difference of a probability",
            f"{parity.max_difference:.2g}",
            *_bar(proof, "max_difference", "at most {:.0e}"),
        ),
        ("exact McNemar test, p", f"{parity.mcnemar_p:.3g}", *((_NONE,) if proof.gate else ())),
    ]
    return table(("", "found", "asked") if proof.gate else ("", ""), rows)


def _bar(proof: Proof, name: str, words: str) -> tuple[str, ...]:
    """What the gate asks, in words; nothing where there is no gate."""
    if proof.gate is None:
        return ()
    value = getattr(proof.gate, name)
    return (_NONE if value is None else words.format(value),)


def _classes(proof: Proof, names: tuple[str, str]) -> Iterator[Markup]:
    yield element("h2", "Digit by digit")
    yield table(
        ("digit", "images", f"right, {names[0]}", f"right, {names[1]}", "recall changes by", "other labels"),
        [
            (
                str(row.digit),
                f"{row.images:,}",
                f"{row.original:,}",
                f"{row.exported:,}",
                f"{100 * change:+.2f} points" if change else "0",
                str(row.changed),
            )
            for row, change in zip(proof.classes, proof.parity.recall_change, strict=True)
        ],
    )


def _corruptions(proof: Proof, names: tuple[str, str]) -> Iterator[Markup]:
    strains = proof.corruptions
    if not strains:
        return
    ends = [share.interval[0] for strain in strains for share in (strain.original, strain.exported)]
    low = int(min(ends) * 20) / 20  # the scale begins at a multiple of 5 %
    yield element("h2", "On damaged digits")
    yield element(
        "p",
        f"{strains[0].agreement.of:,} of the images, damaged in {len(strains)} ways. The scale of the "
        f"drawings runs from {low:.0%} to 100 %; lines are 95 % intervals.",
        class_="lead",
    )
    yield element(
        "p", element("i"), element("span", names[0]), element("i"), element("span", names[1]), class_="key"
    )
    yield table(
        ("damage", "accuracy", names[0], names[1], "same label"),
        [
            (
                strain.kind.value,
                intervals((strain.original, strain.exported), low=low),
                f"{strain.original.part:.1%}",
                f"{strain.exported.part:.1%}",
                f"{strain.agreement.part:.1%}",
            )
            for strain in strains
        ],
        words=(0, 1),
    )


def _gallery(proof: Proof, names: tuple[str, str]) -> Iterator[Markup]:
    if not proof.flips:
        return
    shown, more = proof.flips[:SHOWN], len(proof.flips) - SHOWN
    text = "Those that both models are surest of come first; right answers are green, wrong ones red."
    if more > 0:
        text += f" {counted(more, 'further image')} with another label: in parity.json."
    yield element("h2", "Images with another label")
    yield element("p", text, class_="lead")
    yield element("div", *(_flip(flip, names, proof.parity.held_out) for flip in shown), class_="gallery")


def _flip(flip: Flip, names: tuple[str, str], part: str) -> Markup:
    def answer(name: str, digit: int, confidence: float) -> Markup:
        tone = "right" if digit == flip.label else "wrong"
        said = element("b", str(digit), class_=tone)
        return element("div", f"{name}: ", said, f" {confidence:.1%}")

    return element(
        "figure",
        picture(flip.image, f"a handwritten {flip.label}"),
        element(
            "figcaption",
            element("div", f"true {flip.label} · {part} image {flip.row:,}", class_="quiet"),
            answer(names[0], flip.original, flip.original_confidence),
            answer(names[1], flip.exported, flip.exported_confidence),
        ),
    )
