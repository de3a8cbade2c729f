"""What is evaluated, a bundle in the runtime or a run's model in Keras, and on which images."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from digits_edge.runtime import Manifest, Recognizer
from digits_edge.runtime.errors import InputError
from digits_edge.runtime.manifest import MANIFEST_FILE
from digits_edge.trainer.backend import start_keras
from digits_edge.trainer.datasets import Images, Split, load_dataset, split_validation
from digits_edge.trainer.errors import RunError
from digits_edge.trainer.fit import to_input
from digits_edge.trainer.runs import Run, installed_version

if TYPE_CHECKING:
    import keras


_TOLD: Mapping[str, type | tuple[type, ...]] = MappingProxyType(
    {
        "data": (str, type(None)),
        "data_digest": str,
        "limit": (int, type(None)),
        "validation": float,
        "split_seed": int,
        "stratify": bool,
    }
)


@dataclass(frozen=True)
class TrainedOn:
    """What a training was given, and which part of it validated.

    Attributes:
        data: Where it lay, or None for the bundled MNIST. A bundle has the last part of the path only;
            whether two are the same data, the digest tells.
        digest: SHA-256 of the labelled images and labels.
        limit: Only so many of them were used, or None for all.
        validation: Part of these that validated.
        split_seed: Drew both.
        stratify: Each digit was split by itself.
    """

    data: str | None = field(compare=False)
    digest: str
    limit: int | None
    validation: float
    split_seed: int
    stratify: bool

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> TrainedOn:
        """From the settings of a run, as ``run.json`` and the bundles made of it have them.

        Raises:
            KeyError: One is missing.
        """
        return cls(
            config.get("data"),
            config["data_digest"],
            config["limit"],
            config["validation"],
            config["split_seed"],
            config["stratify"],
        )


@dataclass(frozen=True, eq=False)
class Subject:
    """A trained network that answers.

    Attributes:
        name: Name of its directory.
        kind: ``bundle``, ``run`` or ``ensemble``.
        engine: What computes its answers.
        details: What else tells it from others, as plain values.
        trained_on: On what it was trained; None where a bundle does not tell.
        threshold: Answers with less confidence are rejected, 0 to 1; None where nothing was chosen.
        answer: uint8 ``(N, 28, 28)`` to probabilities, float32 ``(N, 10)``.
        data: Where the data of a run lies; None for the bundled MNIST, and for a bundle, which does not know.
    """

    name: str
    kind: str
    engine: str
    details: dict[str, Any]
    trained_on: TrainedOn | None
    threshold: float | None
    answer: Callable[[Images], NDArray[np.float32]]
    data: Path | None = None


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Images that training never saw.

    Attributes:
        data: Name of the data set.
        part: ``test``, or ``validation`` where the data has no test images.
        split: The images and their labels.
        rows: Their numbers in ``source``.
        source: All images of that part of the data, uint8 ``(M, 28, 28)``.
    """

    data: str
    part: str
    split: Split
    rows: NDArray[np.int64]
    source: Images


@contextmanager
def open_subject(path: Path) -> Iterator[Subject]:
    """Opens a bundle or a finished run, for as long as the block runs.

    Raises:
        InputError: The path holds neither.
        BundleError: The bundle was refused.
        EngineError: Its engine is missing.
        RunError: The run is not finished, or its model is damaged.
        SetupError: Keras is not installed.
    """
    name = path.resolve().name
    if (path / MANIFEST_FILE).is_file():
        with Recognizer.load(path) as recognizer:
            manifest = recognizer.manifest
            yield Subject(
                name,
                "bundle",
                recognizer.engine,
                {
                    "format": manifest.format.value,
                    "precision": manifest.precision.value,
                    "bytes": manifest.model.size,
                    "sha256": manifest.model.sha256,
                    "temperature": manifest.temperature,
                },
                _told(manifest),
                manifest.reject_threshold,
                lambda images: recognizer.predict(images).probabilities,
            )
        return
    run = Run(path)
    if not run.config_file.is_file():
        raise InputError(
            f"{path}: neither a bundle ({MANIFEST_FILE}) nor a run (run.json) there; expected one"
        )
    config = run.config()
    run.metrics()  # raises unless the run is finished
    start_keras()
    model = load_model(run)
    yield Subject(
        name,
        "run",
        f"keras {installed_version('keras')}",
        {
            "architecture": config.architecture.value,
            "recipe": config.recipe.value,
            "seed": config.seed,
            "sha256": hashlib.sha256(run.model_file.read_bytes()).hexdigest(),
        },
        TrainedOn.of(config.to_json()),
        None,
        lambda images: np.asarray(model.predict_on_batch(to_input(images)), np.float32),
        None if config.data is None else Path(config.data),
    )


@contextmanager
def open_ensemble(paths: Sequence[Path]) -> Iterator[Subject]:
    """Opens several bundles or runs as one that answers with their mean probabilities.

    It has no threshold: none was chosen for it. Its name tells it from other ensembles of as many members.

    Raises:
        InputError: Its members were trained on different data, so that nothing is known to be held out.
        DigitsEdgeError: As in `open_subject`.
    """
    with ExitStack() as stack:
        members = [stack.enter_context(open_subject(path)) for path in paths]
        trained_on = members[0].trained_on
        if any(member.trained_on != trained_on for member in members):
            raise InputError(
                f"{', '.join(member.name for member in members)}: trained on different data, or split "
                "otherwise; what one has not seen another may have"
            )
        told = repr([(member.name, member.details) for member in members])
        yield Subject(
            f"ensemble-of-{len(members)}-{hashlib.sha256(told.encode()).hexdigest()[:6]}",
            "ensemble",
            ", ".join(dict.fromkeys(member.engine for member in members)),
            {"members": [member.name for member in members]},
            trained_on,
            None,
            lambda images: np.mean([member.answer(images) for member in members], axis=0, dtype=np.float32),
            next((member.data for member in members if member.data is not None), None),
        )


def load_model(run: Run) -> keras.Model:
    """Loads a run's model.

    Raises:
        RunError: It is missing or damaged.
    """
    import keras

    try:
        return keras.models.load_model(run.model_file, compile=False)
    except Exception as error:  # Keras raises whatever went wrong inside it
        raise RunError(f"{run.model_file}: not readable ({error}); train again") from error


def held_out(subject: Subject, data: Path | None) -> HeldOut:
    """The images to evaluate on: test images, else those that the training validated on.

    Args:
        subject: What is evaluated.
        data: Where the data is; None for a run's own, and for the bundled MNIST.

    Raises:
        DataError: The data is malformed.
        InputError: It has no test images, and is not what the subject was trained on: training may have seen
            any of it. Or none is given for a bundle that was trained on other data than the bundled MNIST.
    """
    trained = subject.trained_on
    data = data or subject.data
    if data is None and trained is not None and trained.data is not None:
        # Kaggle's train.csv, for one, is drawn from all of MNIST, its test images too.
        raise InputError(
            f"{subject.name}: trained on {trained.data}, which may hold any image of the bundled MNIST; "
            "give --data, other test images or the data that it was trained on"
        )
    dataset = load_dataset(data)
    if dataset.test is not None:
        test = dataset.test
        return HeldOut(dataset.name, "test", test, np.arange(len(test)), test.images)
    if trained is not None and trained.limit is not None and trained.limit <= len(dataset.train):
        dataset = dataset.limited(trained.limit, seed=trained.split_seed)
    if trained is None or dataset.train.digest() != trained.digest:
        raise InputError(
            f"{dataset.name}: has no test images, and is not the data that {subject.name} was trained on, so "
            "nothing in it is known to be held out; give --data with test images"
        )
    _, rows = split_validation(
        dataset.train.labels,
        fraction=trained.validation,
        seed=trained.split_seed,
        stratify=trained.stratify,
    )
    return HeldOut(dataset.name, "validation", dataset.train.take(rows), rows, dataset.train.images)


def _told(manifest: Manifest) -> TrainedOn | None:
    """The training that a bundle tells of; None where it says nothing of use, as a manifest is free to."""
    told = manifest.provenance.get("training")
    if not isinstance(told, Mapping) or not all(
        isinstance(told.get(name), kinds) for name, kinds in _TOLD.items()
    ):
        return None
    return TrainedOn.of(told)
