"""How a training looks in a terminal: a bar with figures and time left, and a line an epoch."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn


class EpochProgress:
    """Watches a training (a ``digits_edge.trainer.fit.Watcher``) and shows it on standard error.

    The bar covers all epochs that may be trained: the time left is an upper bound where a recipe stops early.
    Without a terminal there are only the lines.
    """

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=16),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
            speed_estimate_period=120,
        )
        self._task: TaskID | None = None
        self._steps_before = 0
        self._began = 0.0
        self._valid = ""

    def __enter__(self) -> EpochProgress:
        return self  # the bar starts with the first event, after Keras has been loaded silently

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def on_epoch(self, epoch: int, epochs: int, steps: int) -> None:
        self._steps_before = (epoch - 1) * steps
        self._began = time.monotonic()
        description = f"epoch {epoch}/{epochs}"
        self._progress.start()
        if self._task is None:  # not always the first epoch: a resumed training begins later
            self._task = self._progress.add_task(
                description, total=epochs * steps, completed=self._steps_before, figures=""
            )
        self._progress.update(self._task, description=description)

    def on_step(self, step: int, loss: float, accuracy: float) -> None:
        assert self._task is not None, "a step before the first epoch"
        figures = f"loss {loss:.4f}  acc {accuracy:.2%}{self._valid}"
        self._progress.update(self._task, completed=self._steps_before + step, figures=figures)

    def on_row(self, row: dict[str, float]) -> None:
        self._valid = f"  val acc {row['val_accuracy']:.2%}"
        rate = f"  rate {row['learning_rate']:.0e}" if "learning_rate" in row else ""
        self.say(
            f"epoch {row['epoch']:2.0f}  loss {row['loss']:.4f}  acc {row['accuracy']:.2%}  "
            f"val loss {row['val_loss']:.4f}  val acc {row['val_accuracy']:.2%}{rate}  "
            f"{time.monotonic() - self._began:.0f} s"
        )

    def on_stage(self, stage: str) -> None:
        self._progress.start()
        if self._task is not None:
            self._progress.remove_task(self._task)
        self._task = self._progress.add_task(stage, total=None, figures="")
        if not self._console.is_terminal:
            self.say(stage)

    def on_progress(self, what: str, done: int, total: int) -> None:
        self._progress.start()
        if self._task is None:
            self._task = self._progress.add_task(what, total=total, figures="")
            if not self._console.is_terminal:
                self.say(what)
        self._progress.update(self._task, completed=done)
        if done == total:
            self._progress.remove_task(self._task)
            self._task = None

    def say(self, line: str) -> None:
        """Prints a line, above the bar if there is one."""
        self._progress.console.print(line, markup=False, soft_wrap=True)
