"""Trains one network on one dataset, an epoch at a time, so that it can be killed and resumed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from digits_edge.runtime.errors import InputError
from digits_edge.trainer.architectures import Precision, build
from digits_edge.trainer.datasets import Images, Split, split_validation
from digits_edge.trainer.distill import Distilled, fill_pool
from digits_edge.trainer.epochs import Deformed, Epochs, Plain, one_hot
from digits_edge.trainer.errors import RunError
from digits_edge.trainer.recipes import Cosine, Notebook, Recipe, RecipeName, recipe
from digits_edge.trainer.runs import Run, RunConfig

if TYPE_CHECKING:
    import keras

# Processor flags (Linux names) of bfloat16 dot products; without them bfloat16 is emulated and slower.
_BFLOAT16_FLAGS = frozenset({"amx_bf16", "avx512_bf16"})


class Watcher(Protocol):
    """Is told how the training goes; a progress bar, usually."""

    def on_epoch(self, epoch: int, epochs: int, steps: int) -> None:
        """An epoch begins; it has ``steps`` steps."""

    def on_step(self, step: int, loss: float, accuracy: float) -> None:
        """A step of the epoch is done."""

    def on_row(self, row: dict[str, float]) -> None:
        """An epoch is over; its line of the history."""

    def on_stage(self, stage: str) -> None:
        """Something else than training begins, such as "evaluating"."""

    def on_progress(self, what: str, done: int, total: int) -> None:
        """``done`` of ``total`` parts of a long preparation are done."""


@dataclass(frozen=True)
class Fitted:
    """A trained network.

    Attributes:
        model: Weights of the kept epoch, float32 throughout.
        train_rows: Rows of the labelled data it was trained on.
        valid_rows: Rows of the labelled data that validated it, and chose the epoch if the recipe lets them.
        history: A row an epoch: epoch, loss, accuracy, val_loss, val_accuracy, learning_rate, seconds.
        kept_epoch: The epoch whose weights these are, from 1.
    """

    model: keras.Model
    train_rows: NDArray[np.int64]
    valid_rows: NDArray[np.int64]
    history: list[dict[str, float]]
    kept_epoch: int


def fastest_precision() -> Precision:
    """The faster arithmetic for training here, by what the processor says it has.

    bfloat16 wins where the processor multiplies it natively (``docs/results.md``); elsewhere it is emulated.
    """
    cpuinfo = Path("/proc/cpuinfo")
    flags = cpuinfo.read_text().split() if cpuinfo.is_file() else []
    return Precision.MIXED_BFLOAT16 if _BFLOAT16_FLAGS.intersection(flags) else Precision.FLOAT32


def to_input(images: Images) -> NDArray[np.float32]:
    """Pixels as the networks take them: uint8 ``(N, 28, 28)`` to float32 ``(N, 28, 28, 1)`` in [0, 1]."""
    return (images.astype(np.float32) / np.float32(255))[..., None]


def split_rows(config: RunConfig, data: Split) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The rows that a run trains on, and those it validates on; the same ones whenever asked.

    Raises:
        InputError: The data is too small to be split so.
    """
    try:
        return split_validation(
            data.labels, fraction=config.validation, seed=config.split_seed, stratify=config.stratify
        )
    except ValueError as error:
        raise InputError(
            f"{len(data)} labelled images do not split into training and validation ({error}); "
            "give more data, or leave out --stratify"
        ) from error


def fit(run: Run, config: RunConfig, data: Split, watcher: Watcher, *, resume: bool = False) -> Fitted:
    """Trains, or goes on training, the network of a run.

    The function is given no test images: every choice is made on validation rows split off ``data``.

    Args:
        run: The run directory; the state after each epoch is kept there.
        config: What to train.
        data: All labelled training data.
        watcher: Told of each step and epoch.
        resume: Go on from the last finished epoch instead of starting anew.

    Returns:
        The finished network.

    Raises:
        RunError: ``resume`` was asked for data that differs from what the run began with, or the run's files
            are damaged.
        DivergedError: The loss became infinite or NaN.
    """
    import keras

    from digits_edge.trainer._callbacks import Batches, Draws, Journal, Reporter, TrainingState

    if resume and config.data_digest != data.digest():
        raise RunError(
            f"{run.path}: the data differs from what this run began with; resume with the same --data"
        )

    keras.utils.set_random_seed(config.seed)
    train_rows, valid_rows = split_rows(config, data)
    valid = data.take(valid_rows)
    plan = recipe(config.recipe, config.architecture)
    epochs = _epochs(run, config, plan, data.take(train_rows), watcher)
    batches = Batches(epochs, batch_size=config.batch_size, seed=config.seed)

    model = network(config, training=True)
    compile_model(model, config, steps=len(batches))
    state = TrainingState.load(run) if resume else None
    if state is not None:
        # Not load_model: a loaded optimizer has forgotten which variables it must not decay.
        model.optimizer.build(model.trainable_variables)
        model.load_weights(run.path / state.checkpoint)

    stops = _plateau_callbacks(plan)
    journal = Journal(run, resumable=stops, keep_last=isinstance(plan, Cosine), state=state)
    if not journal.finished(config.epochs):
        model.fit(
            batches,
            validation_data=(to_input(valid.images), one_hot(valid.labels)),
            validation_batch_size=500,
            initial_epoch=state.epoch if state else 0,
            epochs=config.epochs,
            callbacks=[*stops, journal, Draws(batches), Reporter(watcher, steps=len(batches))],
            shuffle=False,  # the batches are; this would shuffle their order again, without our seed
            verbose=0,
        )
    model.load_weights(run.path / journal.state.kept_checkpoint)
    # What is published never depends on the arithmetic that it was trained in.
    published = network(config, training=False)
    published.set_weights(model.get_weights())
    return Fitted(
        model=published,
        train_rows=train_rows,
        valid_rows=valid_rows,
        history=list(journal.state.history),
        kept_epoch=journal.state.kept_epoch,
    )


def network(config: RunConfig, *, training: bool) -> keras.Model:
    """A run's network, untrained: as it is trained, or as it is published, with the same variables."""
    return build(
        config.architecture,
        seed=config.seed,
        widths=config.widths,
        precision=config.precision if training else Precision.FLOAT32,
        augment=config.recipe is RecipeName.NOTEBOOK,
        fused=training,
    )


def _epochs(run: Run, config: RunConfig, plan: Recipe, digits: Split, watcher: Watcher) -> Epochs:
    if isinstance(plan, Notebook):
        return Plain(digits)
    if plan.distillation is None:
        return Deformed(digits, plan.deformation, config.seed)
    pool = fill_pool(
        run.path.parent,
        config.teachers,
        digits,
        deformation=plan.deformation,
        copies=plan.distillation.copies,
        seed=config.split_seed,
        watcher=watcher,
    )
    return Distilled(pool, digits.labels, plan.distillation, config.seed)


def compile_model(model: keras.Model, config: RunConfig, *, steps: int) -> None:
    """Gives a network the optimizer of its recipe, for epochs of so many steps."""
    import keras

    model.compile(
        optimizer=_optimizer(recipe(config.recipe, config.architecture), steps=steps, epochs=config.epochs),
        loss="categorical_crossentropy",
        metrics=["accuracy"],
        # XLA compiles these networks to slower CPU code than oneDNN's kernels; JAX has nothing else.
        jit_compile=keras.backend.backend() != "tensorflow",
    )


def _optimizer(plan: Recipe, *, steps: int, epochs: int) -> keras.optimizers.Optimizer:
    import keras

    match plan:
        case Notebook():
            return keras.optimizers.RMSprop(plan.learning_rate, rho=plan.rho, epsilon=plan.epsilon)
        case Cosine():
            total = steps * epochs
            warmup = max(1, round(plan.warmup * total))
            schedule = keras.optimizers.schedules.CosineDecay(
                0.0, max(1, total - warmup), warmup_target=plan.learning_rate, warmup_steps=warmup
            )
            optimizer = keras.optimizers.AdamW(schedule, weight_decay=plan.weight_decay)
            # Shrinking offsets and normalisation only costs accuracy (He et al. 2019, section 3.1).
            optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
            return optimizer


def _plateau_callbacks(plan: Recipe) -> list[keras.callbacks.Callback]:
    import keras

    if not isinstance(plan, Notebook):
        return []
    return [
        keras.callbacks.ReduceLROnPlateau(
            "val_loss",
            factor=plan.plateau.factor,
            patience=plan.plateau.patience,
            min_delta=plan.plateau.min_delta,
            cooldown=plan.plateau.cooldown,
            min_lr=plan.plateau.min_learning_rate,
            mode="min",
        ),
        keras.callbacks.EarlyStopping(
            "val_loss", patience=plan.early_stop.patience, min_delta=plan.early_stop.min_delta, mode="min"
        ),
    ]
