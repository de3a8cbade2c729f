"""parity.html: one page that needs nothing else, speaks plainly, and escapes what it is told."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.typing import NDArray

from digits_edge.export.elsewhere import Elsewhere
from digits_edge.export.markup import element, picture
from digits_edge.export.parity import GATES
from digits_edge.export.parity_page import SHOWN, parity_page
from digits_edge.export.proof import FileProof
from digits_edge.export.steadiness import BatchAnswers, Steadiness
from digits_edge.export.verdict import verdict
from digits_edge.runtime import Manifest, Precision, read_bundle
from digits_edge.trainer.confidence import Share
from digits_edge.trainer.datasets import Dataset

if TYPE_CHECKING:
    from tests.unit.export.conftest import ProofMaker

MODELS = Path(__file__).parents[3] / "models"
HOSTILE = '<script src="//x">&\'"</script>'


@pytest.fixture(scope="module")
def manifest() -> Manifest:
    return read_bundle(MODELS / "edge-onnx-int8").manifest


class Reader(HTMLParser):
    """Reads a page; fails where tags do not match."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[list[str]] = []
        self.words: list[str] = []
        self.feed(page)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("img", "meta"):
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words.append(data)
        if "td" in self.open or "th" in self.open:
            self.rows[-1][-1] += data

    def row(self, first: str) -> list[str]:
        """The cells behind the first one."""
        (found,) = [row[1:] for row in self.rows if row and row[0] == first]
        return found

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())


def test_the_page_needs_nothing_but_itself(proof_with: ProofMaker, manifest: Manifest) -> None:
    for told in (manifest, None):
        page = parity_page(proof_with(lost=2, won=1), told)
        assert "http" not in page
        assert not re.search(r"url\(|@import|javascript|\bon\w+=", page)
        reader = Reader(page)
        assert not {tag for tag, _ in reader.tags} & {"script", "link", "iframe", "object", "a", "base"}
        sources = [values["src"] for _, values in reader.tags if "src" in values]
        assert len(sources) == 3
        assert all(str(source).startswith("data:image/png;base64,") for source in sources)


def test_the_same_proof_gives_the_same_bytes(proof_with: ProofMaker, manifest: Manifest) -> None:
    assert parity_page(proof_with(lost=2), manifest) == parity_page(proof_with(lost=2), manifest)


def test_a_page_of_many_flips_shows_forty_and_stays_small(proof_with: ProofMaker, manifest: Manifest) -> None:
    reader = Reader(page := parity_page(proof_with(lost=100), manifest))
    assert len([tag for tag, _ in reader.tags if tag == "figure"]) == SHOWN == 40
    assert "60 further images with another label" in reader.text
    assert len(page.encode()) < 150_000


def test_the_gallery_shows_image_label_answers_and_confidences(
    proof_with: ProofMaker, manifest: Manifest, mnist: Dataset
) -> None:
    assert mnist.test is not None
    page = parity_page(proof_with(lost=1), manifest)
    assert "true 7 · test image 0" in Reader(page).text
    assert "Keras: 7 90.0%" in Reader(page).text
    assert "this file: 8 80.0%" in Reader(page).text
    assert decoded(page).tolist() == (255 - mnist.test.images[0]).tolist()
    assert "another label" not in Reader(parity_page(proof_with(), manifest)).text.replace("other labels", "")


def decoded(page: str) -> NDArray[np.uint8]:
    """The first picture of a page."""
    from PIL import Image

    found = re.search(r"data:image/png;base64,([^\"]+)", page)
    assert found is not None
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(found[1]))))


def test_what_it_is_told_is_text_and_never_markup(proof_with: ProofMaker, manifest: Manifest) -> None:
    provenance = {
        "commands": [HOSTILE],
        "versions": {HOSTILE: HOSTILE},
        "training": {"architecture": HOSTILE, "run": HOSTILE, "data_digest": HOSTILE},
        "tried": [{"name": HOSTILE, "verdict": HOSTILE}],
    }
    engines = (Elsewhere(HOSTILE, problem=HOSTILE),)
    files = (FileProof(HOSTILE, Steadiness(32, (), repeats=True, reopens=True), engines),)
    proof = replace(proof_with(lost=1, names=(HOSTILE, HOSTILE), files=files), data=HOSTILE)
    for told in (replace(manifest, name=HOSTILE, provenance=provenance), None):
        reader = Reader(parity_page(proof, told))
        assert "script" not in {tag for tag, _ in reader.tags}
        assert reader.text.count(" ".join(HOSTILE.split())) >= 5


def test_attributes_are_escaped_too() -> None:
    assert element("p", "<", title='"&') == '<p title="&quot;&amp;">&lt;</p>'
    assert picture(np.zeros((28, 28), np.uint8), '"><b>').count("<") == 1


def test_figures_stand_there_with_their_intervals(proof_with: ProofMaker, manifest: Manifest) -> None:
    gate = GATES[Precision.INT8]
    reader = Reader(parity_page(proof_with(lost=4, won=1), manifest))
    assert reader.row("same label")[0].startswith("98.75%97.")
    assert reader.row("same label")[1] == f"at least {gate.min_agreement:.2%}"
    assert reader.row("accuracy lost") == ["+0.75 points", f"at most {gate.max_drop:.2f} points"]
    assert reader.row("images only it gets right") == ["4", "1"]
    assert reader.row("stroke gap")[1:] == ["100.0%", "100.0%", "100.0%"]
    assert [row[0] for row in reader.rows if row[0].isdigit() and len(row) == 6] == list("0123456789")
    assert reader.row("another 1.2")[0].startswith("100.00%")
    assert reader.row("a third: not installed")[0] == "–"
    assert reader.row("1,000")[0] == "the same"
    assert manifest.model.sha256 in reader.row("SHA-256")[0]


def test_what_was_tried_is_shown_where_something_was(proof_with: ProofMaker, manifest: Manifest) -> None:
    tried = [
        {
            "name": "min-max",
            "accuracy": 0.9912,
            "agreement": 0.9971,
            "bytes": 71102,
            "speed": {"ratio": 1.5, "low": 1.4, "high": 1.62},
            "verdict": "missed",
        },
        {"name": "entropy", "verdict": "chosen"},
    ]
    assert "What was tried" not in parity_page(proof_with(), manifest)
    told = replace(manifest, provenance={**manifest.provenance, "tried": tried})
    reader = Reader(parity_page(proof_with(), told))
    assert reader.row("min-max") == ["99.12%", "99.71%", "71,102", "1.50×1.40 – 1.62", "missed"]
    assert reader.row("entropy") == ["–", "–", "–", "–", "chosen"]


# The three questions.


@pytest.mark.parametrize(
    ("ask", "answers", "tones"),
    [
        (
            lambda make: make(),
            ["Yes, label for label.", "In no label.", "As far as was looked, yes."],
            ["good", "plain", "good"],
        ),
        (
            lambda make: make(lost=1, won=1, gate=replace(GATES[Precision.INT8], min_agreement=0.99)),
            ["Yes, within its gate.", "On 2 images of 400.", "As far as was looked, yes."],
            ["good", "plain", "good"],
        ),
        (
            lambda make: make(lost=9),
            ["No.", "On 9 images of 400.", "Not as that model."],
            ["bad", "plain", "bad"],
        ),
        (
            lambda make: make(lost=9, gate=None),
            ["No: run is right more often.", "On 9 images of 400.", "As far as was looked, yes."],
            ["bad", "plain", "good"],
        ),
        (
            lambda make: make(won=9, gate=None),
            ["No: small-onnx-int8 is right more often.", "On 9 images of 400.", "As far as was looked, yes."],
            ["bad", "plain", "good"],
        ),
        (
            lambda make: make(lost=2, won=1, wavered=1, gate=None),
            ["Neither is right more often.", "On 4 images of 400.", "As far as was looked, yes."],
            ["plain", "plain", "good"],
        ),
        (
            lambda make: make(gate=None, files=()),
            ["The same labels.", "In no label.", "There is none."],
            ["good", "plain", "plain"],
        ),
    ],
)
def test_the_answers_are_those_of_the_figures(
    ask: Callable[[ProofMaker], object], answers: list[str], tones: list[str], proof_with: ProofMaker
) -> None:
    found = verdict(ask(proof_with))  # type: ignore[arg-type]
    assert [finding.answer for finding in found] == answers
    assert [finding.tone.value for finding in found] == tones


def test_a_file_that_answers_in_two_ways_is_not_to_be_trusted(proof_with: ProofMaker) -> None:
    engines = (Elsewhere("another", Share(250, 256), 3.0),)
    batches = (BatchAnswers(7, False, 3e-7, 1e-5),)
    fickle = FileProof("fickle", Steadiness(32, batches, repeats=False, reopens=True), engines)
    trust = verdict(proof_with(files=(fickle,), gate=None))[2]
    assert (trust.answer, trust.tone.value) == ("No.", "bad")
    assert "fickle answers the same batch in two ways" in trust.reason
    assert "97.7% of the labels alike" in trust.reason
    nearly = FileProof("nearly", Steadiness(32, batches, repeats=True, reopens=True), engines)
    assert "but for 3e-07 of a probability" in verdict(proof_with(files=(nearly,), gate=None))[2].reason
