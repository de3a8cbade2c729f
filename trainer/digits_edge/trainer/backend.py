"""Brings up Keras without its chatter."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from digits_edge.trainer.errors import SetupError

_HINT = 'install it with: pip install "digits-edge[train]"'


def require_packages() -> None:
    """Checks that everything a training needs is installed, without importing any of it.

    Raises:
        SetupError: Something is not.
    """
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    missing = [name for name in ("keras", backend, "sklearn", "matplotlib") if find_spec(name) is None]
    if missing:
        raise SetupError(f"training needs {', '.join(missing)}, which is not installed; {_HINT}")


def start_keras(log: Path | None = None) -> None:
    """Imports Keras and its backend; costs nothing where that has been done.

    Sets environment variables that native libraries read as they load; what the user has set stays.

    Args:
        log: File that is appended what the libraries print while loading; thrown away where None.

    Raises:
        SetupError: Keras or its backend is not installed.
    """
    if "keras" in sys.modules:
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # also after loading: nothing below a fatal error
    try:
        with quiet(log):
            import keras

            keras.ops.zeros(1)  # TensorFlow looks for devices at its first operation, and says so
    except ImportError as error:
        raise SetupError(f"Keras does not start ({error}); {_HINT}") from error


@contextmanager
def quiet(log: Path | None = None) -> Iterator[None]:
    """Sends standard output and error elsewhere, native libraries' included, for as long as the block runs.

    Works on the file descriptors, so it is for the whole process, threads too. A console that must go on
    reaching the terminal has to be opened on a duplicate of the descriptor beforehand.

    Args:
        log: File that is appended what is printed; thrown away where None.
    """
    _flush()
    saved = [os.dup(descriptor) for descriptor in (1, 2)]
    try:
        sink = os.open(log or os.devnull, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            os.dup2(sink, 1)
            os.dup2(sink, 2)
        finally:
            os.close(sink)
        yield
    finally:
        _flush()
        for descriptor, original in zip((1, 2), saved, strict=True):
            os.dup2(original, descriptor)
            os.close(original)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    if os.name == "posix":
        ctypes.CDLL(None).fflush(None)  # what C libraries printed and still hold back
