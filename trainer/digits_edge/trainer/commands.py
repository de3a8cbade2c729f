"""The command line that a run was made with."""

from __future__ import annotations

from pathlib import Path

from digits_edge.trainer.recipes import recipe
from digits_edge.trainer.runs import RunConfig


def train_command(config: RunConfig) -> str:
    """What to type to train it again; figures that are the recipe's own are left out, paths made public."""
    plan = recipe(config.recipe, config.architecture)
    words = ["digits-edge train", f"--arch {config.architecture.value}", f"--recipe {config.recipe.value}"]
    if config.data is not None:
        words.append(f"--data {public_path(config.data)}")
    if config.epochs != plan.epochs:
        words.append(f"--epochs {config.epochs}")
    if config.batch_size != plan.batch_size:
        words.append(f"--batch-size {config.batch_size}")
    if config.limit is not None:
        words.append(f"--limit {config.limit}")
    if config.stratify:
        words.append("--stratify")
    if config.widths is not None:
        words.append(f"--widths {','.join(map(str, config.widths))}")
    words += [f"--teacher {public_path(teacher)}" for teacher in config.teachers]
    words += [f"--seed {config.seed}", f"--split-seed {config.split_seed}"]
    return " ".join([*words, f"--precision {config.precision.value}"])


def public_path(path: str) -> str:
    """A relative path as it is, an absolute one by its last name: the rest of it is nobody's business."""
    return Path(path).name if Path(path).is_absolute() else path
