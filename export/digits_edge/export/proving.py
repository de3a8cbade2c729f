"""Runs a proof: every question to the bundle in the runtime, and the answers held against the original's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from digits_edge.export.elsewhere import run_elsewhere
from digits_edge.export.original import Original, StepWatcher
from digits_edge.export.parity import FLOOR, Gate, compare
from digits_edge.export.proof import ClassChange, FileProof, Flip, Proof, Side, Strain
from digits_edge.export.questions import Answers, Questions, ask
from digits_edge.export.steadiness import examine
from digits_edge.runtime import Bundle, Recognizer, read_bundle
from digits_edge.trainer.confidence import Share
from digits_edge.trainer.corruptions import Corruption
from digits_edge.trainer.datasets import Images


def prove(
    original: Original, bundle: Path, *, name: str, what: str, gate: Gate, watcher: StepWatcher
) -> Proof:
    """Holds a staged bundle, run in the runtime, against the model it was made from.

    Args:
        original: The model, with its answers.
        bundle: Where the bundle lies; its temperature must be 1.
        name: What the bundle is to be called.
        what: What it is, for the watcher: format and precision.
        gate: What it must reach.
        watcher: Told how it goes.

    Raises:
        BundleError: The bundle was refused.
        EngineError: The engine failed.
        ParityError: Nothing can be compared.
    """
    opened = read_bundle(bundle)
    with Recognizer.load(bundle) as recognizer:
        answers = ask(
            original.questions,
            lambda images: recognizer.predict(images).probabilities,
            lambda done, total: watcher.on_step(f"proving {what}", done, total),
        )
        engine = recognizer.engine
    file = prove_file(opened, original.held_out.images, name=name, what=what, watcher=watcher)
    training = {"architecture": original.config.architecture.value, "recipe": original.config.recipe.value}
    return confront(
        (Side(original.name, "run", original.engine, training), original.answers),
        (Side(name, "bundle", engine, described(opened)), answers),
        original.questions,
        files=(file,),
        gate=gate,
    )


def prove_file(
    bundle: Bundle, images: NDArray[np.uint8], *, name: str, what: str, watcher: StepWatcher
) -> FileProof:
    """Holds a bundle's file against itself, and against other engines.

    Args:
        bundle: The bundle.
        images: uint8 ``(N, 28, 28)``; the first of them are asked.
        name: What the bundle is called.
        what: What it is, for the watcher.
        watcher: Told how it goes.
    """
    manifest, step = bundle.manifest, f"other batches and engines, {what}"
    watcher.on_step(step, 0, 2)
    steadiness = examine(manifest.format, bundle.model, images)
    watcher.on_step(step, 1, 2)
    told = manifest.provenance.get("multiply_adds")
    engines = run_elsewhere(
        manifest.format, bundle.model, images, multiply_adds=told if isinstance(told, int) else None
    )
    watcher.on_step(step, 2, 2)
    return FileProof(name, steadiness, engines)


def described(bundle: Bundle) -> dict[str, Any]:
    """What tells a bundle from others."""
    manifest = bundle.manifest
    return {
        "format": manifest.format.value,
        "precision": manifest.precision.value,
        "bytes": manifest.model.size,
        "sha256": manifest.model.sha256,
    }


def confront(
    original: tuple[Side, Answers],
    exported: tuple[Side, Answers],
    questions: Questions,
    *,
    files: tuple[FileProof, ...],
    gate: Gate | None = None,
    floor: float = FLOOR,
) -> Proof:
    """Compares two models' answers to the same questions.

    Args:
        original: One model.
        exported: The other.
        questions: What both answered.
        files: What was found about the bundles among them.
        gate: What is asked of the second; None where nothing is.
        floor: As in `compare`.

    Raises:
        ParityError: Nothing can be compared.
    """
    (first, before), (second, after) = original, exported
    split = questions.split
    return Proof(
        original=first,
        exported=second,
        data=questions.data,
        parity=compare(before.held_out, after.held_out, split.labels, held_out=questions.part, floor=floor),
        classes=_classes(before.held_out, after.held_out, split.labels),
        corruptions=tuple(
            _strain(kind, before.corrupted[kind], after.corrupted[kind], questions.corrupted_labels)
            for kind in questions.corrupted
        ),
        flips=_flips(before.held_out, after.held_out, split.images, split.labels),
        files=files,
        gate=gate,
    )


def _classes(
    before: NDArray[np.floating], after: NDArray[np.floating], labels: NDArray[np.uint8]
) -> tuple[ClassChange, ...]:
    first, second = before.argmax(axis=1), after.argmax(axis=1)

    def row(digit: int) -> ClassChange:
        shown = labels == digit
        counts = (shown, shown & (first == digit), shown & (second == digit), shown & (first != second))
        return ClassChange(digit, *(int(count.sum()) for count in counts))

    return tuple(map(row, range(10)))


def _strain(
    kind: Corruption, before: NDArray[np.floating], after: NDArray[np.floating], truth: NDArray[np.uint8]
) -> Strain:
    first, second = before.argmax(axis=1), after.argmax(axis=1)
    return Strain(kind, Share.true(first == truth), Share.true(second == truth), Share.true(first == second))


def _flips(
    before: NDArray[np.floating], after: NDArray[np.floating], images: Images, labels: NDArray[np.uint8]
) -> tuple[Flip, ...]:
    first, second = before.argmax(axis=1), after.argmax(axis=1)
    rows = np.flatnonzero(first != second)
    # The worst are those that both models are sure of.
    sureness = before.max(axis=1)[rows] + after.max(axis=1)[rows]
    return tuple(
        Flip(
            row=int(row),
            label=int(labels[row]),
            original=int(first[row]),
            exported=int(second[row]),
            original_confidence=float(before[row, first[row]]),
            exported_confidence=float(after[row, second[row]]),
            image=images[row],
        )
        for row in rows[np.argsort(-sureness, kind="stable")]
    )
