"""How a network is trained: optimizer, schedule, when to stop. Data, no code."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from digits_edge.trainer.architectures import Architecture


class RecipeName(str, Enum):
    """The recipes that can be asked for.

    Attributes:
        NOTEBOOK: RMSprop, rate cut on plateaus, early stopping: the notebook this project reproduces.
        COSINE: AdamW with warm-up and cosine decay to zero, for a fixed number of epochs.
    """

    NOTEBOOK = "notebook"
    COSINE = "cosine"


@dataclass(frozen=True)
class Plateau:
    """Cuts the learning rate when validation loss stops falling (Keras' ReduceLROnPlateau)."""

    factor: float = 0.1
    patience: int = 3
    min_delta: float = 1e-4
    cooldown: int = 1
    min_learning_rate: float = 1e-8


@dataclass(frozen=True)
class EarlyStop:
    """Ends training when validation loss has stopped falling (Keras' EarlyStopping)."""

    patience: int = 5
    min_delta: float = 1e-4


@dataclass(frozen=True)
class Notebook:
    """RMSprop with a plateau schedule; figures as in the notebook."""

    learning_rate: float = 1e-3
    rho: float = 0.9
    epsilon: float = 1e-8
    batch_size: int = 128
    epochs: int = 50
    plateau: Plateau = Plateau()
    early_stop: EarlyStop = EarlyStop()


@dataclass(frozen=True)
class Cosine:
    """AdamW, warmed up linearly, then decayed along half a cosine to zero."""

    learning_rate: float = 3e-3
    weight_decay: float = 1e-2
    warmup: float = 0.1
    batch_size: int = 256
    epochs: int = 50


Recipe = Notebook | Cosine


def recipe(name: RecipeName) -> Recipe:
    """The recipe of that name."""
    return Notebook() if name is RecipeName.NOTEBOOK else Cosine()


def default_recipe(architecture: Architecture) -> RecipeName:
    """What an architecture is trained with unless told otherwise."""
    return RecipeName.NOTEBOOK if architecture is Architecture.CNN else RecipeName.COSINE
