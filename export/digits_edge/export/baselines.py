"""A run's model without this project: in Keras, and as the stock converters leave it. For benchmarks.

    python -m digits_edge.export.baselines RUN DIRECTORY

writes the converted files in a process of its own, so that whoever measures them has no TensorFlow in theirs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from digits_edge.runtime.errors import DigitsEdgeError
from digits_edge.trainer.backend import start_keras
from digits_edge.trainer.runs import Run, write_atomically

ONNX, ONNX_INT8, TFLITE_INT8 = "naive.onnx", "naive-int8.onnx", "naive-int8.tflite"

# As many and the same training images as an export of the run takes, so that only the preparation differs.
_CALIBRATION_IMAGES, _CALIBRATION_SEED = 512, 42


def make_baselines(run: Run, directory: Path) -> None:
    """Converts a finished run's model as it is; writes ``ONNX``, ``ONNX_INT8`` and ``TFLITE_INT8``.

    Args:
        run: A finished run whose data is still where it was.
        directory: Where to write; must exist.

    Raises:
        RunError: The run is not usable.
        DataError: Its data is gone or damaged.
        SetupError: A package is not installed.
    """
    from digits_edge.export.calibrate import calibration_rows
    from digits_edge.export.naive import naive_onnx, naive_onnx_int8, naive_tflite_int8
    from digits_edge.trainer.subject import load_model
    from digits_edge.trainer.training import load_data

    config = run.config()
    train = load_data(config).train
    rows = calibration_rows(config, train, count=_CALIBRATION_IMAGES, seed=_CALIBRATION_SEED)
    calibration = train.images[rows]
    start_keras()
    model = load_model(run)
    write_atomically(directory / ONNX, naive_onnx(model))
    write_atomically(directory / ONNX_INT8, naive_onnx_int8(model, calibration))
    write_atomically(directory / TFLITE_INT8, naive_tflite_int8(model, calibration))


def keras_predict(model_file: Path) -> tuple[Callable[[NDArray[np.float32]], NDArray[np.float32]], str]:
    """``Model.predict`` as most people call it: in batches of 32, whatever it is given.

    Args:
        model_file: A .keras file.

    Returns:
        A function from float32 ``(N, 28, 28, 1)`` in [0, 1] to probabilities ``(N, 10)``, and what computes
        them.
    """
    import keras

    model = keras.models.load_model(model_file, compile=False)

    def predict(images: NDArray[np.float32]) -> NDArray[np.float32]:
        answers: NDArray[np.float32] = model.predict(images, verbose=0)
        return answers

    return predict, f"keras {keras.__version__}, {keras.backend.backend()}"


def _main(run: str, directory: str) -> int:
    try:
        make_baselines(Run(Path(run)), Path(directory))
    except DigitsEdgeError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(_main(*sys.argv[1:]))
