"""The pictures exist, have the right size, and change when what they show changes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from digits_edge.runtime.errors import InputError
from digits_edge.trainer import diagram, figures
from digits_edge.trainer.architectures import Architecture, build
from digits_edge.trainer.datasets import Dataset, Split
from digits_edge.trainer.evaluate import Evaluation, evaluate

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH = 1300  # 6.5 inches at 200 dots an inch


@pytest.fixture(scope="module")
def held_out(few: Dataset) -> Split:
    assert few.test is not None
    return few.test


@pytest.fixture(scope="module")
def evaluation(held_out: Split) -> Evaluation:
    return evaluation_with(held_out, wrong=12)


def evaluation_with(data: Split, *, wrong: int) -> Evaluation:
    probabilities = np.full((len(data), 10), 0.01)
    probabilities[np.arange(len(data)), data.labels] = 0.91
    for row in range(wrong):
        probabilities[row] = (1 - (sure := 0.5 + row / 50)) / 9
        probabilities[row, (data.labels[row] + 1) % 10] = sure
    return evaluate(probabilities, data.labels)


def history(epochs: int) -> list[dict[str, float]]:
    return [
        {
            "epoch": float(epoch),
            "loss": 1 / epoch,
            "accuracy": 1 - 0.5 / epoch,
            "val_loss": 1.2 / epoch,
            "val_accuracy": 1 - 0.4 / epoch,
            "learning_rate": 1e-3 if epoch < 4 else 1e-4,
            "seconds": 1.0,
        }
        for epoch in range(1, epochs + 1)
    ]


def drawn(figure: Figure, directory: Path) -> np.ndarray:
    """The picture as a file has it: uint8 (height, width)."""
    from PIL import Image

    path = directory / "picture.png"
    figures.save(figure, path)
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        assert round(picture.info["dpi"][0]) == 200
        return np.asarray(picture.convert("L"))


def differ(one: np.ndarray, other: np.ndarray) -> bool:
    return one.shape != other.shape or not np.array_equal(one, other)


def words(figure: Figure) -> str:
    from matplotlib.text import Text

    return "\n".join(text.get_text() for text in figure.findobj(Text))


def test_samples(held_out: Split, tmp_path: Path) -> None:
    figure = figures.samples(held_out, rows=3)
    picture = drawn(figure, tmp_path)
    assert picture.shape[1] == WIDTH
    assert (picture < 30).mean() > 0.02  # there is ink
    assert "200 labelled images" in words(figure)
    shuffled = Split(held_out.images, np.roll(held_out.labels, 1))
    assert differ(picture, drawn(figures.samples(shuffled, rows=3), tmp_path))


def test_samples_of_data_that_lacks_a_digit(held_out: Split, tmp_path: Path) -> None:
    only_ones = held_out.take(np.flatnonzero(held_out.labels == 1))
    assert drawn(figures.samples(only_ones), tmp_path).shape[1] == WIDTH


def test_curves(tmp_path: Path) -> None:
    rows = history(6)
    figure = figures.curves(rows, kept_epoch=6)
    picture = drawn(figure, tmp_path)
    assert picture.shape == (1160, WIDTH)
    assert "Epoch 6 of 6 kept: validation loss 0.2000, accuracy 93.33 %" in words(figure)
    assert differ(picture, drawn(figures.curves(rows, kept_epoch=5), tmp_path))
    for name in ("loss", "accuracy", "val_loss", "val_accuracy"):
        other = [{**row, name: row[name] * 0.9} for row in rows]
        assert differ(picture, drawn(figures.curves(other, kept_epoch=6), tmp_path)), name
    later = [{**row, "learning_rate": 1e-3 if row["epoch"] < 5 else 1e-4} for row in rows]
    assert differ(picture, drawn(figures.curves(later, kept_epoch=6), tmp_path))


@pytest.mark.parametrize("rates", [[1e-3], [0.0], [1e-3, 1e-3, 1e-4], [3e-3, 1e-3, 0.0]])
def test_curves_of_short_trainings_and_schedules_that_end_at_zero(rates: list[float], tmp_path: Path) -> None:
    rows = [
        {**row, "accuracy": 1.0, "learning_rate": rate}
        for row, rate in zip(history(len(rates)), rates, strict=True)
    ]
    assert drawn(figures.curves(rows, kept_epoch=1), tmp_path).shape == (1160, WIDTH)


@pytest.mark.parametrize(("epochs", "best"), [(0, 1), (3, 4)])
def test_curves_without_the_kept_epoch_are_refused(epochs: int, best: int) -> None:
    with pytest.raises(InputError, match=f"none of them number {best}"):
        figures.curves(history(epochs), kept_epoch=best)


def test_confusion(evaluation: Evaluation, tmp_path: Path) -> None:
    figure = figures.confusion(evaluation, subject="test images")
    picture = drawn(figure, tmp_path)
    assert picture.shape == (1200, 1240)
    assert "200 test images: 12 wrong, 94.00 % right" in words(figure)
    sabotaged = [list(row) for row in evaluation.confusion]
    sabotaged[4][9] += 1
    other = replace(evaluation, confusion=tuple(map(tuple, sabotaged)))
    assert differ(picture, drawn(figures.confusion(other, subject="test images"), tmp_path))


def test_confusion_without_errors(held_out: Split, tmp_path: Path) -> None:
    figure = figures.confusion(evaluation_with(held_out, wrong=0), subject="test images")
    assert drawn(figure, tmp_path).shape == (1200, 1240)


def test_misclassified_shows_the_most_confident_first(
    held_out: Split, evaluation: Evaluation, tmp_path: Path
) -> None:
    figure = figures.misclassified(held_out.images, evaluation, subject="test images", most=5)
    picture = drawn(figure, tmp_path)
    assert picture.shape[1] == WIDTH
    text = words(figure).split("\n")
    assert "12 of 200 test images wrong; the 5 most confident (label → answer, confidence)" in text
    assert [word for word in text if word.endswith(" %")] == [
        "72.0 %",
        "70.0 %",
        "68.0 %",
        "66.0 %",
        "64.0 %",
    ]
    worst = max(evaluation.errors, key=lambda error: error.confidence)
    assert text.index(f"{worst.true} →") < text.index("72.0 %")
    assert str(worst.predicted) in text
    blank = np.zeros_like(held_out.images)
    assert differ(picture, drawn(figures.misclassified(blank, evaluation, subject="x", most=5), tmp_path))


def test_misclassified_without_errors(held_out: Split, tmp_path: Path) -> None:
    perfect = evaluation_with(held_out, wrong=0)
    figure = figures.misclassified(held_out.images, perfect, subject="test images")
    assert drawn(figure, tmp_path).shape[1] == WIDTH
    assert "0 of 200 test images wrong" in words(figure)


@pytest.mark.parametrize("count", [1, 30, 45])
def test_predictions(few: Dataset, count: int, tmp_path: Path) -> None:
    assert few.unlabelled is not None
    images, labels = few.unlabelled[:count], np.arange(count) % 10
    confidence = np.linspace(0.9, 0.2, count)
    figure = figures.predictions(images, labels, confidence)
    picture = drawn(figure, tmp_path)
    assert picture.shape[1] == WIDTH
    assert ("The least certain 30 of 45" in words(figure)) == (count > 30)
    assert differ(picture, drawn(figures.predictions(images, labels, confidence / 2), tmp_path))
    assert differ(picture, drawn(figures.predictions(images, (labels + 1) % 10, confidence), tmp_path))


@pytest.mark.parametrize(
    ("architecture", "title"), [(Architecture.CNN, "1,029,160"), (Architecture.EDGE, "61,658")]
)
def test_architecture(architecture: Architecture, title: str, tmp_path: Path) -> None:
    model = build(architecture)
    figure = diagram.architecture(model)
    text = words(figure)
    assert title in text
    for layer in model.layers:
        assert layer.name in text
    picture = drawn(figure, tmp_path)
    assert picture.shape[1] == WIDTH
    assert picture.shape[0] > 200 * 0.3 * len(model.layers)


def test_the_diagram_says_what_a_layer_does() -> None:
    rows = {row.name: row for row in diagram.describe(build(Architecture.EDGE, augment=True))}
    assert rows["conv1"].settings == "5×5, 16 filters, same, stride 2"
    assert rows["conv1"].shape == "14×14×16"
    assert rows["rotate"].settings == "±9°"
    assert rows["pool1"].settings == "2×2, stride 2"
    assert rows["classifier"].settings == "10 units, softmax"
    assert rows["classifier"].parameters == 650


def test_drawing_leaves_matplotlib_as_it_was(evaluation: Evaluation, tmp_path: Path) -> None:
    import matplotlib
    from matplotlib import pyplot

    before = dict(matplotlib.rcParams)
    figures.save(figures.confusion(evaluation, subject="test images"), tmp_path / "one.png")
    figures.save(figures.confusion(evaluation, subject="test images"), tmp_path / "two.png")
    assert dict(matplotlib.rcParams) == before
    assert pyplot.get_fignums() == []
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.png", "two.png"]
