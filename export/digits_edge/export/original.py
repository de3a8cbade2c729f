"""The trained model, and what its exports are made from and compared with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from digits_edge.export.calibrate import calibration_rows
from digits_edge.export.fold import fold
from digits_edge.export.questions import Answers, Questions, ask
from digits_edge.trainer.commands import public_path
from digits_edge.trainer.datasets import Split
from digits_edge.trainer.errors import RunError
from digits_edge.trainer.fit import split_rows, to_input
from digits_edge.trainer.runs import Run, RunConfig, installed_version
from digits_edge.trainer.subject import load_model
from digits_edge.trainer.training import load_data

if TYPE_CHECKING:
    import keras

_BATCH = 500


class StepWatcher(Protocol):
    """Is told how a step goes."""

    def on_step(self, what: str, done: int, total: int) -> None:
        """``done`` of ``total`` parts of a step are done; the last call of a step has them equal."""


@dataclass(frozen=True, eq=False)
class Original:
    """A trained model with its data.

    Attributes:
        name: The run's.
        engine: What computed its answers.
        model: The Keras model.
        config: How it was trained.
        calibration: uint8 ``(N, 28, 28)`` training images that int8 takes its ranges from.
        calibration_rows: Their rows in the run's labelled data.
        validation: Images that chose things, and that nothing was fitted to but confidence.
        questions: What its exports are asked: images that training never saw.
        answers: The model's own answers to that.
        validation_answers: Its probabilities for the validation images, ``(N, 10)``.
    """

    name: str
    engine: str
    model: keras.Model
    config: RunConfig
    calibration: NDArray[np.uint8]
    calibration_rows: NDArray[np.int64]
    validation: Split
    questions: Questions
    answers: Answers
    validation_answers: NDArray[np.floating]

    @property
    def held_out(self) -> Split:
        """Images that training never saw; the validation images where the data has no others."""
        return self.questions.split

    @property
    def held_out_name(self) -> str:
        """``test``, or ``validation`` where the data has no test images."""
        return self.questions.part

    @property
    def probabilities(self) -> NDArray[np.floating]:
        """The model's answers for the held-out images, ``(N, 10)``."""
        return self.answers.held_out


def load_original(run: Run, *, calibration_images: int, seed: int, watcher: StepWatcher) -> Original:
    """Loads a run's model and data, and has the model answer all that its exports will be asked.

    Args:
        run: A finished run.
        calibration_images: How many training images to draw for calibration.
        seed: Draws them.
        watcher: Told how the answers go.

    Raises:
        RunError: The run is not finished, its model is damaged, or its data has changed.
        DataError: Its data is gone or damaged.
        UnsupportedLayerError: The model cannot be folded.
    """
    config = run.config()
    run.metrics()  # raises unless the run is finished
    data = load_data(config)
    if data.train.digest() != config.data_digest:
        raise RunError(
            f"{run.path}: {data.name} is no longer the data that this run was trained on, so its training "
            "and validation images cannot be told apart; put that data back, or train again"
        )
    model = load_model(run)
    fold(model, pixel_scale=1.0)  # refused here, a network costs no minute of Keras' answers
    rows = calibration_rows(config, data.train, count=calibration_images, seed=seed)
    validation = data.train.take(split_rows(config, data.train)[1])
    held_out, name = (validation, "validation") if data.test is None else (data.test, "test")
    # In what is published nobody reads where the data lay.
    questions = Questions.of(held_out, data=public_path(data.name), part=name)

    def answer(images: NDArray[np.uint8]) -> NDArray[np.floating]:
        return np.asarray(model.predict_on_batch(to_input(images)))

    validated = []
    for start in range(0, len(validation), _BATCH):
        validated.append(answer(validation.images[start : start + _BATCH]))
        watcher.on_step("Keras answers, validation", min(start + _BATCH, len(validation)), len(validation))
    return Original(
        name=run.path.name,
        engine=f"keras {installed_version('keras')}",
        model=model,
        config=config,
        calibration=data.train.images[rows],
        calibration_rows=rows,
        validation=validation,
        questions=questions,
        answers=ask(
            questions,
            answer,
            lambda done, total: watcher.on_step("Keras answers", done, total),
        ),
        validation_answers=np.concatenate(validated),
    )
