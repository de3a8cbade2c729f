"""Distillation: what a small network is shown, and where its targets come from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from digits_edge.runtime import BundleError, Recognizer, default_bundle, read_bundle
from digits_edge.trainer.clutter import clutter
from digits_edge.trainer.datasets import Dataset, Split
from digits_edge.trainer.distill import Distilled, Pool, fill_pool
from digits_edge.trainer.errors import RunError
from digits_edge.trainer.recipes import Deformation, Distillation, RecipeName
from digits_edge.trainer.runs import RunConfig
from digits_edge.trainer.training import configure
from digits_edge.trainer.wear import wear

Watch = Callable[..., Any]
SETTINGS = Distillation(copies=2)


@pytest.fixture(scope="module")
def digits(mnist: Dataset) -> Split:
    return mnist.train.take(np.arange(300))


@pytest.fixture(scope="module")
def teacher() -> Path:
    return default_bundle()


def filled(root: Path, teacher: Path, digits: Split, watcher: Any, **changes: Any) -> Pool:
    options = {"deformation": Deformation(untouched=0.25), "copies": 2, "seed": 3, **changes}
    known = {str(teacher): read_bundle(teacher).manifest.model.sha256}
    return fill_pool(root, known, digits, watcher=watcher, **options)


@pytest.fixture(scope="module")
def pool(teacher: Path, digits: Split, silent: Watch, tmp_path_factory: pytest.TempPathFactory) -> Pool:
    return filled(tmp_path_factory.mktemp("pool"), teacher, digits, silent())


def test_the_pool_holds_digits_most_of_them_deformed_and_what_the_teacher_says(
    pool: Pool, teacher: Path, digits: Split
) -> None:
    images, answers = pool.load(0)
    assert images.shape == (300, 28, 28)
    assert 0.65 < (images != digits.images).any(axis=(1, 2)).mean() < 0.85  # a quarter is left as it is
    with Recognizer.load(teacher) as recognizer:
        np.testing.assert_allclose(answers, recognizer.predict(images).probabilities, atol=1e-6)
    assert not np.array_equal(images, pool.load(1)[0])


def test_a_filled_pool_is_kept_and_a_broken_off_one_completed(
    teacher: Path, digits: Split, silent: Watch, tmp_path: Path
) -> None:
    pool = filled(tmp_path, teacher, digits, silent())
    kept, again = pool.file(0), pool.file(1)
    before, written = again.read_bytes(), kept.stat().st_mtime_ns
    again.unlink()
    assert filled(tmp_path, teacher, digits, silent()) == pool
    assert kept.stat().st_mtime_ns == written
    assert again.read_bytes() == before


@pytest.mark.parametrize(
    "changes",
    [
        {"deformation": Deformation(degrees=1)},
        {"deformation": Deformation(untouched=0.5)},
        {"seed": 4},
        {"digits": "fewer"},
    ],
    ids=["degrees", "untouched", "seed", "digits"],
)
def test_another_question_gets_another_pool(
    pool: Pool, teacher: Path, digits: Split, silent: Watch, tmp_path: Path, changes: dict[str, Any]
) -> None:
    if changes == {"digits": "fewer"}:
        other = filled(tmp_path, teacher, digits.take(np.arange(200)), silent())
    else:
        other = filled(tmp_path, teacher, digits, silent(), **changes)
    assert other.directory.name != pool.directory.name


def test_an_epoch_shows_worn_digits_and_things_that_are_none(pool: Pool, digits: Split) -> None:
    epochs = Distilled(pool, digits.labels, SETTINGS, seed=0)
    images, targets = epochs.show(0)
    assert len(epochs) == len(images) == len(targets) == 315
    plain, answers = pool.load(0)
    unworn = (images[:300] == plain).all(axis=(1, 2)).mean()
    assert 0.7 < unworn < 0.85
    soft = answers ** (1 / SETTINGS.temperature)  # of the unworn digits
    soft /= soft.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(targets[:300], soft, atol=1e-6)
    np.testing.assert_allclose(targets[300:], 0.1)
    assert not np.allclose(epochs.show(1)[1][:300], soft, atol=1e-6)  # of the next block
    same, other, wrapped = epochs.show(0)[0], epochs.show(1)[0], epochs.show(2)[0]
    np.testing.assert_array_equal(images, same)
    assert not np.array_equal(images, other)
    assert not np.array_equal(images, wrapped)  # the same block, worn anew
    np.testing.assert_array_equal(epochs.show(2)[1][:300], targets[:300])


def test_wear_leaves_digits_that_can_be_read(digits: Split) -> None:
    whole = wear(digits.images, np.random.default_rng(0), share=1.0)
    assert (whole != digits.images).any(axis=(1, 2)).mean() > 0.9
    with Recognizer.load() as recognizer:
        read = recognizer.predict(whole).labels == digits.labels
    assert read.mean() > 0.6
    np.testing.assert_array_equal(wear(digits.images, np.random.default_rng(0), share=0.0), digits.images)


def test_clutter_is_no_copy_of_the_digits(digits: Split) -> None:
    sheets = clutter(digits.images, 101, np.random.default_rng(0))
    assert sheets.shape == (101, 28, 28)
    assert sheets.dtype == np.uint8
    known = {image.tobytes() for image in digits.images}
    assert not any(sheet.tobytes() in known for sheet in sheets)
    assert len({sheet.tobytes() for sheet in sheets}) > 95
    np.testing.assert_array_equal(sheets, clutter(digits.images, 101, np.random.default_rng(0)))


def test_only_a_distillation_has_teachers(
    config: RunConfig, digits: Split, silent: Watch, tmp_path: Path
) -> None:
    with pytest.raises(RunError, match="needs one"):
        configure(recipe_name=RecipeName.DISTILL)
    with pytest.raises(RunError, match="no other recipe takes any"):
        configure(recipe_name=RecipeName.STRONG, teachers=[default_bundle()])
    with pytest.raises(BundleError, match="no bundle there"):
        configure(recipe_name=RecipeName.DISTILL, teachers=[tmp_path / "nobody"])
    with pytest.raises(RunError, match="another model than this run began with"):
        fill_pool(
            tmp_path,
            {str(default_bundle()): "0" * 64},
            digits,
            deformation=Deformation(),
            copies=2,
            seed=0,
            watcher=silent(),
        )
