"""The run directory: everything a training leaves behind, and where.

run.json               what was asked for, seeds, data digest, library versions
state.json             where a training in progress stands; names the two files below
checkpoint-0007.keras  weights and optimizer after that epoch, to resume from
kept-0005.keras        the epoch to keep, so far: the last, or the one with the lowest validation loss
history.csv            a row an epoch
model.keras            the finished model: the kept epoch, float32 variables
metrics.json           loss, accuracy, per-class figures, confusion matrix, errors
predictions.csv        answers for unlabelled images, where the data had any
pictures/              what the notebook drew
"""

from __future__ import annotations

import csv
import io
import json
import os
import platform
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from digits_edge.trainer.architectures import EDGE_WIDTHS, Architecture, Precision
from digits_edge.trainer.errors import RunError
from digits_edge.trainer.recipes import RecipeName

_LIBRARIES = ("digits-edge", "tensorflow", "keras", "numpy", "scikit-learn")

_LARGEST_SEED = 2**31 - 1


@dataclass(frozen=True)
class RunConfig:
    """What was asked for; enough to do it again.

    Attributes:
        architecture: Which network.
        recipe: Which recipe.
        epochs: At most so many epochs.
        batch_size: Images a step.
        seed: Seeds initialisers, augmentation, dropout and the order of the images.
        split_seed: Seeds the training/validation split.
        validation: Part of the labelled data that validates, between 0 and 1.
        stratify: Keep class proportions equal in both parts.
        precision: Arithmetic of the training.
        teachers: Bundles that a distillation learns from, each with its model's SHA-256.
        widths: Filters of each convolution, or None for the architecture's own.
        data: Path of the data, or None for the bundled MNIST.
        limit: Only so many labelled images were used (drawn with ``split_seed``), or None for all.
        data_digest: SHA-256 of the labelled images and labels; empty until they were read.
        versions: Library versions.
        machine: Processor and system.
        started: ISO time, UTC.
    """

    architecture: Architecture
    recipe: RecipeName
    epochs: int
    batch_size: int
    seed: int = 42
    split_seed: int = 42
    validation: float = 0.1
    stratify: bool = False
    precision: Precision = Precision.FLOAT32
    teachers: Mapping[str, str] = field(default_factory=dict)
    widths: tuple[int, ...] | None = None
    data: str | None = None
    limit: int | None = None
    data_digest: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    machine: str = ""
    started: str = ""

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 1:
            raise RunError(f"epochs {self.epochs}, batch size {self.batch_size}; expected at least 1 each")
        if not (0 <= self.seed <= _LARGEST_SEED and 0 <= self.split_seed <= _LARGEST_SEED):
            raise RunError(f"seeds {self.seed}, {self.split_seed}; expected 0 to {_LARGEST_SEED}")
        if not 0 < self.validation < 1:
            raise RunError(f"validation fraction {self.validation}; expected between 0 and 1")
        if self.widths is not None and not (
            self.architecture is Architecture.EDGE
            and len(self.widths) == len(EDGE_WIDTHS)
            and min(self.widths)
            >= 2  # with one filter, converters drop the channel axis in ways of their own
        ):
            raise RunError(
                f"widths {', '.join(map(str, self.widths))} for {self.architecture.value}; expected "
                f"{len(EDGE_WIDTHS)} numbers of 2 at least, for the edge network"
            )
        if bool(self.teachers) != (self.recipe is RecipeName.DISTILL):
            raise RunError(
                f"{len(self.teachers)} teachers for the recipe {self.recipe.value}; --recipe distill needs "
                "one at least, a bundle named with --teacher, and no other recipe takes any"
            )

    def stamped(self, *, data_digest: str) -> RunConfig:
        """The same configuration with what is known only when it starts."""
        return replace(
            self,
            data_digest=data_digest,
            versions={name: installed_version(name) for name in _LIBRARIES},
            machine=f"{_processor()} · {os.cpu_count()} CPUs · {platform.system()}",
            started=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        )

    def to_json(self) -> dict[str, Any]:
        """Plain values, for ``run.json``."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> RunConfig:
        """The reverse of ``to_json``."""
        return cls(
            **{
                **values,
                "architecture": Architecture(values["architecture"]),
                "recipe": RecipeName(values["recipe"]),
                "precision": Precision(values["precision"]),
                "teachers": dict(values["teachers"]),
                "widths": None if values["widths"] is None else tuple(values["widths"]),
            }
        )


@dataclass(frozen=True)
class Run:
    """A run directory and its files."""

    path: Path

    @property
    def config_file(self) -> Path:
        return self.path / "run.json"

    @property
    def state_file(self) -> Path:
        return self.path / "state.json"

    @property
    def history_file(self) -> Path:
        return self.path / "history.csv"

    @property
    def model_file(self) -> Path:
        return self.path / "model.keras"

    @property
    def metrics_file(self) -> Path:
        return self.path / "metrics.json"

    @property
    def predictions_file(self) -> Path:
        return self.path / "predictions.csv"

    @property
    def pictures(self) -> Path:
        return self.path / "pictures"

    @property
    def finished(self) -> bool:
        return self.metrics_file.is_file()

    def config(self) -> RunConfig:
        """Reads ``run.json``.

        Raises:
            RunError: It is missing or not readable.
        """
        if not self.config_file.is_file():
            raise RunError(
                f"{self.path}: no run directory (run.json is missing); `digits-edge train` makes one"
            )
        try:
            return RunConfig.from_json(json.loads(self.config_file.read_text()))
        except (ValueError, KeyError, TypeError) as error:
            raise RunError(f"{self.config_file}: not readable ({error!r})") from error

    def metrics(self) -> dict[str, Any]:
        """Reads ``metrics.json``.

        Raises:
            RunError: The training has not finished.
        """
        if not self.finished:
            raise RunError(
                f"{self.path}: not finished; continue it with `digits-edge train --resume {self.path}`"
            )
        metrics: dict[str, Any] = json.loads(self.metrics_file.read_text())
        return metrics

    def history(self) -> list[dict[str, float]]:
        """Reads ``history.csv``: a row an epoch."""
        with self.history_file.open(newline="") as file:
            return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def create_run(path: Path, config: RunConfig) -> Run:
    """Makes a run directory.

    Raises:
        RunError: There is a run already, or the place cannot be written to.
    """
    run = Run(path)
    if run.config_file.exists():
        raise RunError(
            f"{path}: holds a run already; resume it with --resume {path}, or choose another --out"
        )
    try:
        path.mkdir(parents=True, exist_ok=True)
        write_json(run.config_file, config.to_json())
    except OSError as error:
        raise RunError(f"{path}: cannot be written ({error.strerror}); choose another --out") from error
    return run


def new_run_path(root: Path, config: RunConfig) -> Path:
    """A fresh directory name below ``root``: architecture, recipe, date and time."""
    return root / f"{config.architecture.value}-{config.recipe.value}-{time.strftime('%Y%m%d-%H%M%S')}"


def latest_run(root: Path) -> Run:
    """The run below ``root`` that finished last; those of a series lie one deeper.

    Raises:
        RunError: There is none.
    """
    configs = (config for depth in ("*", "*/*") for config in root.glob(f"{depth}/run.json"))
    finished = [run for config in configs if (run := Run(config.parent)).finished]
    if not finished:
        raise RunError(f"{root}: no finished run there; `digits-edge train` makes one")
    return max(finished, key=lambda run: run.metrics_file.stat().st_mtime)


def write_json(path: Path, value: object) -> None:
    """Writes JSON so that a reader sees the old file or the new one, never a part."""
    write_atomically(path, (json.dumps(value, indent=2) + "\n").encode())


def write_csv(path: Path, rows: Iterable[Mapping[str, object]]) -> None:
    """Writes rows under a header taken from the first of them, atomically."""
    rows = list(rows)
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(path, text.getvalue().encode())


def write_atomically(path: Path, content: bytes) -> None:
    """Writes a sibling, flushes it to disk, renames it over ``path``."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _processor() -> str:
    """The processor's name; Linux tells it in one file only, and on ARM not even there."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(errors="replace").splitlines() if cpuinfo.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def installed_version(library: str) -> str:
    """The version of a distribution, or ``not installed``."""
    try:
        return version(library)
    except PackageNotFoundError:
        return "not installed"
