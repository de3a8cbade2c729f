"""A training step of each network in each arithmetic: what `fastest_precision` decides by."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from digits_edge.benchmarks.machine import this_machine
from digits_edge.trainer.architectures import Architecture, Precision, build
from digits_edge.trainer.datasets import load_dataset
from digits_edge.trainer.fit import compile_model, to_input, to_targets
from digits_edge.trainer.recipes import default_recipe, recipe
from digits_edge.trainer.training import configure

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture


@pytest.mark.parametrize("precision", list(Precision), ids=lambda precision: precision.value)
@pytest.mark.parametrize("architecture", list(Architecture), ids=lambda architecture: architecture.value)
def test_training_step(architecture: Architecture, precision: Precision, benchmark: BenchmarkFixture) -> None:
    pytest.importorskip("keras")
    batch = recipe(default_recipe(architecture)).batch_size
    config = configure(architecture=architecture, precision=precision)
    data = load_dataset().train.take(np.arange(batch))
    images, targets = to_input(data.images), to_targets(data.labels)
    model = build(architecture, precision=precision)
    compile_model(model, config, steps=1)
    first = float(model.train_on_batch(images, targets)[0])

    benchmark.pedantic(  # type: ignore[no-untyped-call]  # pytest-benchmark leaves it untyped
        model.train_on_batch, (images, targets), warmup_rounds=5, rounds=30
    )

    machine = this_machine()
    benchmark.extra_info.update(
        architecture=architecture.value,
        precision=precision.value,
        batch=batch,
        machine=f"{machine.processor}, {machine.processors} processors",
    )
    # Thirty steps on the same images: a step that does not learn was not one.
    assert float(model.train_on_batch(images, targets, return_dict=True)["loss"]) < first
