"""A training step of each network in each arithmetic: what `fastest_precision` decides by."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from digits_edge.benchmarks.machine import this_machine
from digits_edge.trainer.architectures import Architecture, Precision
from digits_edge.trainer.datasets import load_dataset
from digits_edge.trainer.epochs import one_hot
from digits_edge.trainer.fit import compile_model, network, to_input
from digits_edge.trainer.recipes import RecipeName
from digits_edge.trainer.training import configure

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture


@pytest.mark.parametrize("precision", list(Precision), ids=lambda precision: precision.value)
@pytest.mark.parametrize("architecture", list(Architecture), ids=lambda architecture: architecture.value)
def test_training_step(architecture: Architecture, precision: Precision, benchmark: BenchmarkFixture) -> None:
    pytest.importorskip("keras")
    config = configure(architecture=architecture, recipe_name=RecipeName.STRONG, precision=precision)
    batch = config.batch_size
    data = load_dataset().train.take(np.arange(batch))
    images, targets = to_input(data.images), one_hot(data.labels)
    model = network(config, training=True)
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
