"""The trained model, and what its exports are made from and compared with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from digits_edge.export.calibrate import calibration_rows
from digits_edge.export.fold import fold
from digits_edge.trainer.datasets import Split
from digits_edge.trainer.errors import RunError
from digits_edge.trainer.fit import split_rows, to_input
from digits_edge.trainer.runs import Run, RunConfig
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
        model: The Keras model.
        config: How it was trained.
        calibration: uint8 ``(N, 28, 28)`` training images that int8 takes its ranges from.
        calibration_rows: Their rows in the run's labelled data.
        validation: Images that chose things, and that nothing was fitted to but confidence.
        held_out: Images that training never saw; the validation images where the data has no others.
        held_out_name: ``test``, or ``validation`` where the data has no test images.
        probabilities: The model's answers for them, float32 ``(N, 10)``.
    """

    model: keras.Model
    config: RunConfig
    calibration: NDArray[np.uint8]
    calibration_rows: NDArray[np.int64]
    validation: Split
    held_out: Split
    held_out_name: str
    probabilities: NDArray[np.float32]


def load_original(run: Run, *, calibration_images: int, seed: int, watcher: StepWatcher) -> Original:
    """Loads a run's model and data, and has the model answer every held-out image.

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
    return Original(
        model=model,
        config=config,
        calibration=data.train.images[rows],
        calibration_rows=rows,
        validation=validation,
        held_out=held_out,
        held_out_name=name,
        probabilities=_probabilities(model, held_out.images, watcher),
    )


def _probabilities(
    model: keras.Model, images: NDArray[np.uint8], watcher: StepWatcher
) -> NDArray[np.float32]:
    answers = []
    for start in range(0, len(images), _BATCH):
        answers.append(np.asarray(model.predict_on_batch(to_input(images[start : start + _BATCH]))))
        watcher.on_step("Keras answers", min(start + _BATCH, len(images)), len(images))
    return np.concatenate(answers)
