"""How a network is trained: optimizer, schedule, augmentation, when to stop. Data, no code."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

from digits_edge.trainer.architectures import Architecture


class RecipeName(str, Enum):
    """The recipes that can be asked for.

    Attributes:
        NOTEBOOK: RMSprop, rate cut on plateaus, early stopping: the notebook this project reproduces.
        STRONG: AdamW with warm-up and cosine decay to zero, on digits deformed anew each epoch.
        DISTILL: The same, learning teachers' answers, on worn digits too and on images of no digit.
    """

    NOTEBOOK = "notebook"
    STRONG = "strong"
    DISTILL = "distill"


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
    """RMSprop with a plateau schedule, as in the notebook; the epoch of least validation loss is kept."""

    epochs: int = 50
    batch_size: int = 128
    learning_rate: float = 1e-3
    rho: float = 0.9
    epsilon: float = 1e-8
    plateau: Plateau = Plateau()
    early_stop: EarlyStop = EarlyStop()


@dataclass(frozen=True)
class Deformation:
    """How far digits are deformed, and how many. Ranges are drawn from evenly, both ways; 0 leaves one out.

    The idea is that of Simard et al. (2003); within these ranges a digit stays the same one.

    Attributes:
        degrees: Rotation.
        shift: Pixels, along each axis.
        zoom: Part of the size.
        stretch: Part of the width.
        shear: Pixels sideways for each pixel of height.
        distortion: Largest strength of a smooth distortion, in pixels (`warp.distortion`); drawn from 0.
        untouched: Part of the digits that are left as they are. Interpolation blurs, and what is to be read
            is sharp. A pupil that is shown no sharp digits even takes some for the clutter, which is sharp.
    """

    degrees: float = 10.0
    shift: float = 2.0
    zoom: float = 0.1
    stretch: float = 0.1
    shear: float = 0.15
    distortion: float = 1.2
    untouched: float = 0.0


@dataclass(frozen=True)
class Distillation:
    """How a teacher's answers are learned.

    Attributes:
        copies: Epochs' worth of deformed digits in the pool; a longer training begins anew with the first.
        temperature: Softens the teachers' answers, so that they tell how a digit resembles others. What
            learns them is less sure than its teachers; the bundle's own temperature sets that right.
        worn: Part of the digits that the pupil sees worn. The teachers saw them as they were.
        clutter: Images of no digit for each digit shown; what is to be answered there is "I don't know". More
            of them cost validation accuracy: a sheet of noise outweighs dozens of digits in the statistics
            that BatchNorm takes of a batch, and scribbles that look like digits make digits doubtful.
    """

    copies: int = 12
    temperature: float = 2.0
    worn: float = 0.25
    clutter: float = 0.05


@dataclass(frozen=True)
class Cosine:
    """AdamW, warmed up linearly, then decayed along half a cosine to zero. The last epoch is kept.

    A rate that ends at zero settles the weights by itself, so no epoch is chosen. Labels are not smoothed:
    that makes confidence a worse guide to what should be rejected (Xia et al. 2024), and a worse
    teacher (Müller et al. 2019).
    """

    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float = 1e-2
    warmup: float = 0.1
    deformation: Deformation = Deformation()
    distillation: Distillation | None = None


Recipe = Notebook | Cosine

# Found while distilling: the references, which take an hour, were trained without it.
_SOME_SHARP = Deformation(untouched=0.25)


def recipe(name: RecipeName, architecture: Architecture) -> Recipe:
    """The recipe of that name, for that network."""
    if name is RecipeName.NOTEBOOK:
        return Notebook()
    match architecture:
        case Architecture.CNN:
            plan = Cosine(epochs=20, batch_size=128, learning_rate=2e-3)
        case Architecture.EDGE:
            epochs = 48 if name is RecipeName.DISTILL else 50
            plan = Cosine(epochs=epochs, batch_size=256, learning_rate=3e-3)
        case Architecture.M7:
            plan = Cosine(epochs=16, batch_size=128, learning_rate=2e-3, deformation=_SOME_SHARP)
    if name is RecipeName.DISTILL:
        return replace(plan, deformation=_SOME_SHARP, distillation=Distillation())
    return plan


def default_recipe(architecture: Architecture) -> RecipeName:
    """What an architecture is trained with unless told otherwise."""
    return RecipeName.NOTEBOOK if architecture is Architecture.CNN else RecipeName.STRONG
