"""What a small network learns from: digits, answered by larger networks (Hinton et al. 2015)."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from digits_edge.runtime import Recognizer
from digits_edge.trainer.architectures import CLASSES
from digits_edge.trainer.clutter import clutter
from digits_edge.trainer.datasets import Images, Split
from digits_edge.trainer.deform import deform
from digits_edge.trainer.errors import RunError
from digits_edge.trainer.recipes import Deformation, Distillation
from digits_edge.trainer.wear import wear

if TYPE_CHECKING:
    from digits_edge.trainer.fit import Watcher

_CHUNK = 2000  # images between two steps of the progress bar
# Half of one of these is often another digit: a 1; a 0 or a 1; a 0 or a 3.
_NOT_HALVED = (1, 6, 8)


@dataclass(frozen=True)
class Pool:
    """Blocks of digits, most of them deformed, with the teachers' answers; one file each, written once.

    Attributes:
        directory: Where the blocks are.
        blocks: How many there are.
    """

    directory: Path
    blocks: int

    def load(self, block: int) -> tuple[Images, NDArray[np.float32]]:
        """Images uint8 ``(N, 28, 28)`` and the teachers' mean probabilities, float32 ``(N, 10)``."""
        with np.load(self.file(block)) as arrays:
            return arrays["images"], arrays["answers"]

    def file(self, block: int) -> Path:
        return self.directory / f"block-{block:03}.npz"


@dataclass(frozen=True)
class Distilled:
    """Epochs of a distillation: a block of the pool, worn in part, and images of no digit.

    Attributes:
        pool: What the teachers answered.
        labels: uint8 ``(N,)``, the true digits of a block.
        distillation: In which proportions.
        seed: Draws wear and clutter.
    """

    pool: Pool
    labels: NDArray[np.uint8]
    distillation: Distillation
    seed: int

    def __len__(self) -> int:
        return len(self.labels) + self._clutter

    @property
    def _clutter(self) -> int:
        return round(self.distillation.clutter * len(self.labels))

    def show(self, epoch: int) -> tuple[Images, NDArray[np.float32]]:
        rng = np.random.default_rng((self.seed, epoch))
        images, answers = self.pool.load(epoch % self.pool.blocks)
        answers = _softened(answers, self.distillation.temperature)
        whole = images[~np.isin(self.labels, _NOT_HALVED)]
        no_digits = clutter(whole, self._clutter, rng)
        worn = wear(images, rng, share=self.distillation.worn)
        unknown = np.full((len(no_digits), CLASSES), 1 / CLASSES, np.float32)
        return np.concatenate([worn, no_digits]), np.concatenate([answers, unknown])


def fill_pool(
    root: Path,
    teachers: Mapping[str, str],
    digits: Split,
    *,
    deformation: Deformation,
    copies: int,
    seed: int,
    watcher: Watcher,
) -> Pool:
    """Deforms most of the training digits and has all teachers answer them; what is there already is kept.

    The pool's directory is named after everything that it depends on, so that runs with other seeds share it.

    Args:
        root: Directory that the pool is kept in.
        teachers: Bundles, each with its model's SHA-256; their answers are averaged.
        digits: Training digits, and none that validate.
        deformation: How far they are deformed, and how many.
        copies: Blocks, each with every digit once.
        seed: Draws the deformations.
        watcher: Told how it goes.

    Raises:
        RunError: There is no teacher, or one is not what it was.
        BundleError: A teacher was refused.
    """
    if not teachers:
        raise RunError("nobody to learn from; name one bundle at least with --teacher")
    with ExitStack() as stack:
        recognizers = [stack.enter_context(Recognizer.load(teacher)) for teacher in teachers]
        digests = [recognizer.manifest.model.sha256 for recognizer in recognizers]
        for teacher, expected, found in zip(teachers, teachers.values(), digests, strict=True):
            if found != expected:
                raise RunError(f"{teacher}: another model than this run began with; start a new run")
        facts = (digits.digest(), sorted(digests), deformation, seed)
        key = hashlib.sha256(repr(facts).encode()).hexdigest()[:12]
        pool = Pool(root / f"pool-{key}", copies)
        pool.directory.mkdir(parents=True, exist_ok=True)
        for block in range(pool.blocks):
            if pool.file(block).is_file():
                continue
            rng = np.random.default_rng((seed, block))
            images = deform(digits.images, deformation, rng)
            answers = np.zeros((len(images), CLASSES), np.float32)
            for start in range(0, len(images), _CHUNK):
                part = slice(start, start + _CHUNK)
                for recognizer in recognizers:
                    answers[part] += recognizer.predict(images[part]).probabilities
                done = block * len(images) + min(start + _CHUNK, len(images))
                watcher.on_progress("asking the teachers", done, pool.blocks * len(images))
            answers /= len(recognizers)
            _write(pool.file(block), images=images, answers=answers)
    return pool


def _softened(probabilities: NDArray[np.float32], temperature: float) -> NDArray[np.float32]:
    powers = probabilities ** np.float32(1 / temperature)
    softened: NDArray[np.float32] = powers / powers.sum(axis=1, keepdims=True)
    return softened


def _write(path: Path, **arrays: NDArray[np.generic]) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with temporary.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]  # numpy's stub takes the names for its own options
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
