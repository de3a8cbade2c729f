"""The subjects that the runtime is compared with: what a run's model gives without this project."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from digits_edge.benchmarks.processes import run_quietly
from digits_edge.benchmarks.subjects import Kind, Subject
from digits_edge.export.baselines import ONNX, ONNX_INT8, TFLITE_INT8
from digits_edge.runtime import Format, Precision
from digits_edge.trainer.errors import RunError, SetupError
from digits_edge.trainer.runs import Run

_NEEDED = ("keras", "tensorflow", "tf2onnx", "onnx", "sklearn", "ai_edge_litert")


def usable_run(path: Path) -> Run:
    """Checks that baselines can be made from a run, without importing what makes them.

    Raises:
        RunError: It is missing or not finished.
        SetupError: A package is not installed.
    """
    run = Run(path)
    run.config()
    run.metrics()
    if not run.model_file.is_file():
        raise RunError(f"{run.model_file}: missing; baselines are made from it")
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise SetupError(
            f"baselines from a run need {', '.join(missing)}, which is not installed; "
            'install it with: pip install "digits-edge[train,export]"'
        )
    return run


def make_baselines(run: Run, directory: Path, log: Path) -> tuple[Subject, ...]:
    """Converts a run's model as it is; TensorFlow stays in a process of its own.

    Args:
        run: A run that `usable_run` has checked.
        directory: Where the files go; must exist as long as the subjects are used.
        log: Is written what the converters print.

    Raises:
        SubjectError: A converter failed.
    """
    run_quietly(
        ["-m", "digits_edge.export.baselines", str(run.path), str(directory)],
        what=f"converting {run.model_file}",
        log=log,
    )
    float32, int8 = Precision.FLOAT32, Precision.INT8
    model = str(run.model_file)
    return (
        Subject("Keras predict", Kind.KERAS, model, None, float32),
        Subject("naive ONNX float32", Kind.ONNXRUNTIME, str(directory / ONNX), Format.ONNX, float32),
        Subject("naive ONNX int8", Kind.ONNXRUNTIME, str(directory / ONNX_INT8), Format.ONNX, int8),
        Subject("naive TFLite int8", Kind.LITERT, str(directory / TFLITE_INT8), Format.TFLITE, int8),
    )
