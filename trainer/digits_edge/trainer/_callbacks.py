"""Keras' side of a resumable training: batches in, epochs journalled. Only `fit` imports it, when it runs."""

from __future__ import annotations

import json
import math
import shutil
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from numpy.typing import NDArray

from digits_edge.trainer.epochs import Epochs, Shown
from digits_edge.trainer.errors import DivergedError, RunError
from digits_edge.trainer.runs import Run, write_csv, write_json

if TYPE_CHECKING:
    from digits_edge.trainer.fit import Watcher

# What Keras' own callbacks remember between epochs; they forget it in on_train_begin.
_REMEMBERED = ("best", "wait", "cooldown_counter", "best_epoch", "stopped_epoch")


@dataclass(frozen=True)
class TrainingState:
    """Where a training stands after an epoch.

    Attributes:
        epoch: Epochs done.
        checkpoint: File in the run directory with weights and optimizer after that epoch.
        kept_epoch: The epoch to keep, from 1: the last one, or the one with the lowest validation loss.
        kept_loss: Its validation loss.
        kept_checkpoint: File with that epoch's weights.
        stopped: Whether early stopping ended the training.
        callbacks: What each resumable callback remembers.
        history: A row an epoch.
    """

    epoch: int
    checkpoint: str
    kept_epoch: int
    kept_loss: float
    kept_checkpoint: str
    stopped: bool
    callbacks: list[dict[str, float]]
    history: list[dict[str, float]]

    @classmethod
    def load(cls, run: Run) -> TrainingState | None:
        """The state last written, or None where no epoch was finished.

        Raises:
            RunError: The state is not readable, or a file that it names is gone.
        """
        if not run.state_file.is_file():
            return None
        try:
            state = cls(**json.loads(run.state_file.read_text()))
        except (ValueError, TypeError) as error:
            raise RunError(f"{run.state_file}: not readable ({error!r}); start a new run") from error
        for name in (state.checkpoint, state.kept_checkpoint):
            if not (run.path / name).is_file():
                raise RunError(
                    f"{run.path}: {name} is missing, so there is nothing to resume; start a new run"
                )
        return state


class Batches(keras.utils.PyDataset):
    """Shuffled batches of float images and targets; what comes when depends on seed and epoch only.

    While the network is busy with an epoch, a thread prepares the next one.
    """

    def __init__(self, epochs: Epochs, *, batch_size: int, seed: int) -> None:
        super().__init__()
        self._epochs = epochs
        self._batch_size = batch_size
        self._seed = seed
        self._ahead = ThreadPoolExecutor(1, thread_name_prefix="next-epoch")
        self._next: tuple[int, Future[Shown]] | None = None
        self._shown: Shown | None = None

    def start_at(self, epoch: int) -> None:
        """Shows the epoch of that number, from 0."""
        if self._next is None or self._next[0] != epoch:
            self._prepare(epoch)
        assert self._next is not None
        self._shown = self._next[1].result()
        self._prepare(epoch + 1)
        self._order = np.random.default_rng((self._seed, epoch)).permutation(len(self._epochs))

    def _prepare(self, epoch: int) -> None:
        self._next = epoch, self._ahead.submit(self._epochs.show, epoch)

    def __len__(self) -> int:
        return -(-len(self._epochs) // self._batch_size)

    def __getitem__(self, step: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        from digits_edge.trainer.fit import to_input

        if self._shown is None:  # Keras looks at a batch before the first epoch begins
            self.start_at(0)
        assert self._shown is not None
        images, targets = self._shown
        rows = self._order[step * self._batch_size : (step + 1) * self._batch_size]
        return to_input(images[rows]), targets[rows]


class Draws(keras.callbacks.Callback):
    """Makes what an epoch draws depend on seed and epoch only, as if no process had ever ended in between.

    Keras saves neither the state of its seed generators nor the order of the images, so a resumed training
    would repeat the first epoch's augmentations and dropout masks.
    """

    def __init__(self, batches: Batches) -> None:
        super().__init__()
        self._batches = batches

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._batches.start_at(epoch)
        for variable in self.model.variables:
            if variable.name == "seed_generator_state":  # (seed, draws so far)
                seed, _ = keras.ops.convert_to_numpy(variable)
                variable.assign(np.array([seed, epoch << 20]))


class Journal(keras.callbacks.Callback):
    """Keeps the state after each epoch in the run directory.

    Files are written under new names first; replacing ``state.json`` is the one step that counts. A training
    killed at any moment finds either the old epoch's files or the new one's.
    """

    def __init__(
        self,
        run: Run,
        *,
        resumable: Sequence[keras.callbacks.Callback],
        keep_last: bool,
        state: TrainingState | None,
    ) -> None:
        super().__init__()
        self._run = run
        self._resumable = resumable
        self._keep_last = keep_last
        self._state = state
        self._epoch_began = 0.0

    @property
    def state(self) -> TrainingState:
        """The state after the last epoch."""
        assert self._state is not None, "no epoch has been trained"
        return self._state

    def finished(self, epochs: int) -> bool:
        """Whether there is nothing left to train."""
        return self._state is not None and (self._state.stopped or self._state.epoch >= epochs)

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        if self._state is not None:  # the callbacks before this one have just reset themselves
            for callback, remembered in zip(self._resumable, self._state.callbacks, strict=True):
                vars(callback).update(remembered)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._epoch_began = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        logs = logs or {}
        loss, val_loss = logs["loss"], logs["val_loss"]
        if not (math.isfinite(loss) and math.isfinite(val_loss)):
            raise DivergedError(
                f"epoch {epoch + 1}: loss {loss}, validation loss {val_loss}; expected finite numbers. "
                "The training diverged: start a new run with another --seed or --precision float32"
            )
        row = {
            "epoch": epoch + 1,
            **{name: float(logs[name]) for name in ("loss", "accuracy", "val_loss", "val_accuracy")},
            # The plateau callback may have cut the rate by now, but has logged the one this epoch used.
            "learning_rate": float(logs.get("learning_rate", self.model.optimizer.learning_rate)),
            "seconds": time.monotonic() - self._epoch_began,
        }
        previous = self._state
        state = TrainingState(
            epoch=epoch + 1,
            checkpoint=f"checkpoint-{epoch + 1:04}.keras",
            kept_epoch=previous.kept_epoch if previous else 0,
            kept_loss=previous.kept_loss if previous else np.inf,
            kept_checkpoint=previous.kept_checkpoint if previous else "",
            stopped=bool(self.model.stop_training),
            callbacks=[_remembered(callback) for callback in self._resumable],
            history=[*(previous.history if previous else []), row],
        )
        self.model.save(self._run.path / state.checkpoint)
        if self._keep_last or row["val_loss"] < state.kept_loss:
            kept = f"kept-{epoch + 1:04}.keras"
            shutil.copyfile(self._run.path / state.checkpoint, self._run.path / kept)
            state = replace(state, kept_epoch=epoch + 1, kept_loss=row["val_loss"], kept_checkpoint=kept)
        write_json(self._run.state_file, asdict(state))
        write_csv(self._run.history_file, state.history)
        self._state = state
        self._remove_older(state)

    def _remove_older(self, state: TrainingState) -> None:
        for pattern, kept in (
            ("checkpoint-*.keras", state.checkpoint),
            ("kept-*.keras", state.kept_checkpoint),
        ):
            for file in self._run.path.glob(pattern):
                if file.name != kept:
                    file.unlink()


class Reporter(keras.callbacks.Callback):
    """Passes on to a Watcher what Keras tells its callbacks."""

    def __init__(self, watcher: Watcher, *, steps: int) -> None:
        super().__init__()
        self._watcher = watcher
        self._steps = steps

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._watcher.on_epoch(epoch + 1, self.params["epochs"], self._steps)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        logs = logs or {}
        self._watcher.on_step(batch + 1, float(logs.get("loss", np.nan)), float(logs.get("accuracy", np.nan)))

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        logs = logs or {}
        self._watcher.on_row({"epoch": epoch + 1, **{name: float(value) for name, value in logs.items()}})


def _remembered(callback: keras.callbacks.Callback) -> dict[str, float]:
    return {name: float(value) for name in _REMEMBERED if (value := vars(callback).get(name)) is not None}
