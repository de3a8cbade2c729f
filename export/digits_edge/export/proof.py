"""The whole proof that a model is still the model it was made from; also the comparison of any two models.

``parity.json``, schema 1. A share is an object ``{count, of, share, low, high}``; the last two are the ends
of its 95 % Wilson interval. Both models answer at temperature 1: a bundle's own temperature is chosen for it
and says nothing of whether it is the same model.

    schema          1
    original        name, kind (run or bundle), engine, and what identifies it
    exported        the same of the model that is held against it
    data            name, part (test or validation), images
    gate            what it had to reach: max_difference, max_drop, min_agreement, max_batch_difference; null
                    where nothing was asked of it
    misses          what it misses of that, in words
    parity          the figures that the manifest has too: `digits_edge.export.parity.Parity`
    agreement       share of the images with the same label
    accuracy        original, exported (shares)
    classes         a row a digit: digit, images, original, exported (right answers), changed (other labels)
    corruptions     seed, and each: name, original, exported, agreement (shares)
    flips           every image with another label, the most confident first: row (of the held-out images),
                    label, original, exported (answers), original_confidence, exported_confidence
    files           for each bundle of the two: name, steadiness (images, batches: size, identical,
                    max_difference, max_logit_difference; repeats, reopens) and engines: engine, same_label
                    (share), max_logit_difference, problem (why it did not run, or null)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from digits_edge.export.elsewhere import Elsewhere
from digits_edge.export.parity import Gate, Parity
from digits_edge.export.steadiness import Steadiness
from digits_edge.trainer.assessment import SEED
from digits_edge.trainer.confidence import Share
from digits_edge.trainer.corruptions import Corruption
from digits_edge.trainer.datasets import Images

SCHEMA = 1


@dataclass(frozen=True)
class Side:
    """One of the two models.

    Attributes:
        name: What it is called.
        kind: ``run`` or ``bundle``.
        engine: What computed its answers.
        details: What else tells it from others, as plain values.
    """

    name: str
    kind: str
    engine: str
    details: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"name": self.name, "kind": self.kind, "engine": self.engine, **self.details}


@dataclass(frozen=True)
class ClassChange:
    """One digit before and after.

    Attributes:
        digit: 0–9.
        images: How many show it.
        original: Those that the original gets right.
        exported: Those that the exported model gets right.
        changed: Those with another label, right or wrong.
    """

    digit: int
    images: int
    original: int
    exported: int
    changed: int


@dataclass(frozen=True)
class Strain:
    """Both models on images that were corrupted one way.

    Attributes:
        kind: How.
        original: Right answers of the original.
        exported: Right answers of the exported model.
        agreement: Same labels.
    """

    kind: Corruption
    original: Share
    exported: Share
    agreement: Share


@dataclass(frozen=True, eq=False)
class Flip:
    """An image that gets another label.

    Attributes:
        row: Its number among the held-out images, from 0.
        label: The true digit.
        original: The original's answer.
        exported: The exported model's answer.
        original_confidence: Probability of the first.
        exported_confidence: Probability of the second.
        image: uint8 ``(28, 28)``.
    """

    row: int
    label: int
    original: int
    exported: int
    original_confidence: float
    exported_confidence: float
    image: Images = field(repr=False)

    def to_json(self) -> dict[str, Any]:
        """Plain values; the image is in the data."""
        return {name: value for name, value in vars(self).items() if name != "image"}


@dataclass(frozen=True)
class FileProof:
    """A bundle's file against itself, and in other engines.

    Attributes:
        name: The bundle's.
        steadiness: The same image in other batches, and asked again.
        engines: The other engines.
    """

    name: str
    steadiness: Steadiness
    engines: tuple[Elsewhere, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "name": self.name,
            "steadiness": self.steadiness.to_json(),
            "engines": [engine.to_json() for engine in self.engines],
        }


@dataclass(frozen=True, eq=False)
class Proof:
    """All of it; ``to_json`` gives the content of parity.json, documented above.

    Attributes:
        original: The model that was there first.
        exported: The model that is held against it.
        data: Name of the data set.
        parity: The figures.
        classes: Each digit.
        corruptions: Each corruption.
        flips: Every image with another label, the most confident first.
        files: Each bundle of the two.
        gate: What was asked of it; None where nothing was.
    """

    original: Side
    exported: Side
    data: str
    parity: Parity
    classes: tuple[ClassChange, ...]
    corruptions: tuple[Strain, ...]
    flips: tuple[Flip, ...]
    files: tuple[FileProof, ...]
    gate: Gate | None

    @property
    def misses(self) -> tuple[str, ...]:
        """What it misses of its gate; empty if it passes, or nothing was asked of it."""
        if self.gate is None:
            return ()
        (file,) = self.files
        return tuple(self.gate.misses(self.parity, file.steadiness))

    @property
    def right(self) -> tuple[Share, Share]:
        """Right answers of the original, and of the exported model."""
        before, after = (sum(row.original for row in self.classes), sum(row.exported for row in self.classes))
        return Share(before, self.parity.images), Share(after, self.parity.images)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        before, after = self.right
        return {
            "schema": SCHEMA,
            "original": self.original.to_json(),
            "exported": self.exported.to_json(),
            "data": {"name": self.data, "part": self.parity.held_out, "images": self.parity.images},
            "gate": None if self.gate is None else asdict(self.gate),
            "misses": list(self.misses),
            "parity": self.parity.to_json(),
            "agreement": self.parity.same_label.to_json(),
            "accuracy": {"original": before.to_json(), "exported": after.to_json()},
            "classes": [asdict(row) for row in self.classes],
            "corruptions": {
                "seed": SEED,
                "each": [
                    {
                        "name": strain.kind.value,
                        "original": strain.original.to_json(),
                        "exported": strain.exported.to_json(),
                        "agreement": strain.agreement.to_json(),
                    }
                    for strain in self.corruptions
                ],
            },
            "flips": [flip.to_json() for flip in self.flips],
            "files": [file.to_json() for file in self.files],
        }
