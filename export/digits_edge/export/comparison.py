"""Any two models held against each other: bundles in the runtime, runs in Keras."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from digits_edge.export.original import StepWatcher
from digits_edge.export.parity import FLOOR
from digits_edge.export.proof import Proof, Side
from digits_edge.export.proving import confront, prove_file
from digits_edge.export.questions import Answers, Questions, ask
from digits_edge.runtime import read_bundle
from digits_edge.runtime.errors import InputError
from digits_edge.trainer.commands import public_path
from digits_edge.trainer.subject import HeldOut, Subject, held_out, open_subject


def compare_models(first: Path, second: Path, data: Path | None, watcher: StepWatcher) -> Proof:
    """Holds two models against each other, with the same statistics as an export's proof, and no gate.

    Args:
        first: A bundle, or the directory of a finished run.
        second: Another.
        data: Data whose test images are used; None for a run's own, and for the bundled MNIST.
        watcher: Told how it goes.

    Raises:
        InputError: A path holds neither, or nothing is known to be held out from both.
        DigitsEdgeError: As in `open_subject` and `held_out`.
    """
    with open_subject(first) as one, open_subject(second) as other:
        names = _names(first, second)
        images = _held_out(one, other, data)
        questions = Questions.of(images.split, data=public_path(images.data), part=images.part)
        answers = [
            _answers(subject, name, questions, watcher)
            for subject, name in zip((one, other), names, strict=True)
        ]
        sides = [
            Side(name, subject.kind, subject.engine, subject.details)
            for subject, name in zip((one, other), names, strict=True)
        ]
    files = tuple(
        prove_file(read_bundle(path), images.split.images, name=side.name, what=side.name, watcher=watcher)
        for path, side in zip((first, second), sides, strict=True)
        if side.kind == "bundle"
    )
    return confront(
        (sides[0], answers[0]),
        (sides[1], answers[1]),
        questions,
        files=files,
        # Of a probability that was rounded away, the temperature's power is all that is known.
        floor=max(FLOOR ** _temperature(one), FLOOR ** _temperature(other)),
    )


def _names(first: Path, second: Path) -> tuple[str, str]:
    """The directories' names, with as many of their parents' as it takes to tell them apart."""
    one, other = first.resolve().parts, second.resolve().parts
    if one == other:
        raise InputError(f"{first} is compared with itself; expected two models")
    count = 1
    while one[-count:] == other[-count:]:
        count += 1
    return "/".join(one[-count:]), "/".join(other[-count:])


def _held_out(one: Subject, other: Subject, data: Path | None) -> HeldOut:
    # One that was trained on other data than MNIST may have seen MNIST's test images.
    asked = other if one.trained_on is None or one.trained_on.data is None else one
    images = held_out(asked, data or one.data or other.data)
    if images.part == "validation" and one.trained_on != other.trained_on:
        raise InputError(
            f"{one.name} and {other.name}: trained on different data, or split otherwise; what one has not "
            "seen the other may have; give --data with test images"
        )
    return images


def _answers(subject: Subject, name: str, questions: Questions, watcher: StepWatcher) -> Answers:
    temperature = _temperature(subject)
    return ask(
        questions,
        lambda images: without_temperature(subject.answer(images), temperature),
        lambda done, total: watcher.on_step(f"asking {name}", done, total),
    )


def _temperature(subject: Subject) -> float:
    return float(subject.details.get("temperature", 1.0))


def without_temperature(probabilities: NDArray[np.floating], temperature: float) -> NDArray[np.floating]:
    """What the softmax would have given at temperature 1.

    A bundle's temperature was chosen for it alone: with it, two files of one model would seem to differ.

    Args:
        probabilities: float ``(N, 10)``, at ``temperature``.
        temperature: What the logits were divided by.
    """
    if temperature == 1.0:
        return probabilities
    # p is proportional to exp(z / T), so its T-th power is to exp(z).
    powers = np.maximum(probabilities.astype(np.float64), FLOOR) ** temperature
    plain: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return plain
