"""A training step of each network: which arithmetic, which BatchNorm and which batch are quickest here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from digits_edge.benchmarks.machine import this_machine
from digits_edge.trainer.architectures import Architecture, Precision, build
from digits_edge.trainer.datasets import load_dataset
from digits_edge.trainer.epochs import one_hot
from digits_edge.trainer.fit import compile_model, to_input
from digits_edge.trainer.recipes import RecipeName
from digits_edge.trainer.training import configure

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture


@pytest.mark.parametrize("batch", [128, 512])
@pytest.mark.parametrize("fused", [False, True], ids=["keras", "fused"])
@pytest.mark.parametrize("precision", list(Precision), ids=lambda precision: precision.value)
@pytest.mark.parametrize("architecture", list(Architecture), ids=lambda architecture: architecture.value)
def test_training_step(
    architecture: Architecture, precision: Precision, fused: bool, batch: int, benchmark: BenchmarkFixture
) -> None:
    pytest.importorskip("keras")
    config = configure(
        architecture=architecture, recipe_name=RecipeName.STRONG, precision=precision, batch_size=batch
    )
    data = load_dataset().train.take(np.arange(batch))
    images, targets = to_input(data.images), one_hot(data.labels)
    model = build(architecture, precision=precision, fused=fused)
    compile_model(model, config, steps=1)
    first = float(model.train_on_batch(images, targets)[0])

    benchmark.pedantic(  # type: ignore[no-untyped-call]  # pytest-benchmark leaves it untyped
        model.train_on_batch, (images, targets), warmup_rounds=3, rounds=12
    )

    machine = this_machine()
    benchmark.extra_info.update(
        architecture=architecture.value,
        precision=precision.value,
        fused=fused,
        batch=batch,
        machine=f"{machine.processor}, {machine.processors} processors",
    )
    # A dozen steps on the same images: a step that does not learn was not one.
    assert float(model.train_on_batch(images, targets, return_dict=True)["loss"]) < first
