"""The measuring side: one process a subject that works when told to, and fresh ones started cold."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from digits_edge.benchmarks.errors import SubjectError
from digits_edge.benchmarks.scenarios import Case, Effort
from digits_edge.benchmarks.subjects import Kind, Labels, Subject
from digits_edge.benchmarks.timing import Turn

_COLD_START = Path(__file__).with_name("_coldstart.py")
_RUNTIME = "digits_edge.runtime"


class Worker:
    """A subject in a process of its own: its threads, its memory and its libraries disturb no other's.

    Used as a context; leaving it ends the process.

    Attributes:
        subject: What it measures.
        engine: Name and version of what computes.
        labels: int64 ``(N,)``, its answers for all images.
    """

    def __init__(self, subject: Subject, images: Path, log: Path) -> None:
        """Starts the process and waits until it has answered all images.

        Args:
            subject: What to measure.
            images: An .npy file of uint8 ``(N, 28, 28)``.
            log: Is written what the libraries print.

        Raises:
            SubjectError: It does not start, or does not answer.
        """
        self.subject = subject
        self._child = _Child(
            subject, ["-m", "digits_edge.benchmarks.worker", subject.to_json(), str(images)], log
        )
        try:
            ready = self._child.read()
        except BaseException:
            self._child.stop()
            raise
        self.engine: str = ready["engine"]
        self.labels: Labels = np.array(ready["labels"], np.int64)

    def turn(self, case: Case, effort: Effort) -> Turn:
        """Has it work, and waits.

        Raises:
            SubjectError: It failed; also where its answers changed.
        """
        self._child.write(
            {
                "batch": case.batch,
                "workers": case.workers,
                "seconds": effort.seconds,
                "warm_up": effort.warm_up,
            }
        )
        return Turn(**self._child.read())

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._child.stop()


@dataclass(frozen=True, eq=False)
class ColdStart:
    """What it took a fresh process to give its first answers. The files were in the disk cache.

    Attributes:
        libraries_ms: Importing what the subject stands on, such as NumPy and ONNX Runtime.
        own_ms: Importing digits_edge.runtime after that; 0 for a subject without it.
        load_ms: From the file to being ready to answer.
        first_ms: The first answer, for one image.
        ready_ms: From starting the process to that answer, interpreter and all.
        peak_bytes: The most memory held after a batch of all images, or None where the system does not tell.
        labels: int64 ``(N,)``, answers for all images.
    """

    libraries_ms: float
    own_ms: float
    load_ms: float
    first_ms: float
    ready_ms: float
    peak_bytes: int | None
    labels: Labels


def start_cold(subject: Subject, images: Path, log: Path) -> ColdStart:
    """Starts a subject in a fresh process and measures the way to its answers.

    Args:
        subject: What to start.
        images: An .npy file of uint8 ``(N, 28, 28)``; one call answers them all.
        log: Is written what the libraries print.

    Raises:
        SubjectError: It does not start, or does not answer.
    """
    own = _RUNTIME if subject.kind is Kind.RUNTIME else ""
    began = time.perf_counter()
    child = _Child(subject, [str(_COLD_START), subject.to_json(), str(images), own, *subject.libraries], log)
    try:
        first = child.read()
        ready_ms = (time.perf_counter() - began) * 1e3
        del first["labels"]
        last = child.read()
    finally:
        child.stop()
    return ColdStart(
        **first, ready_ms=ready_ms, peak_bytes=last["peak_bytes"], labels=np.array(last["labels"], np.int64)
    )


def run_quietly(arguments: list[str], *, what: str, log: Path) -> None:
    """Runs Python to its end; what it prints goes to a file.

    Raises:
        SubjectError: It failed; the message has the last it said.
    """
    with log.open("ab") as sink:
        done = subprocess.run(
            [sys.executable, *arguments], stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, check=False
        )
    if done.returncode:
        raise SubjectError(f"{what} failed: {_last_words(log)}")


class _Child:
    """A Python process that speaks lines of JSON."""

    def __init__(self, subject: Subject, arguments: list[str], log: Path) -> None:
        self._subject, self._log = subject, log
        with log.open("ab") as sink:
            self._process = subprocess.Popen(
                [sys.executable, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=sink,
                text=True,
            )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in, self._out = self._process.stdin, self._process.stdout

    def write(self, message: Mapping[str, Any]) -> None:
        try:
            self._in.write(json.dumps(message) + "\n")
            self._in.flush()
        except BrokenPipeError as error:
            raise self._ended() from error

    def read(self) -> dict[str, Any]:
        line = self._out.readline()
        if not line:
            raise self._ended()
        message: dict[str, Any] = json.loads(line)
        if "error" in message:
            raise SubjectError(f"{self._subject.name}: {message['error']}")
        return message

    def stop(self) -> None:
        """Ends the process; at its input's end it goes by itself, but not in the middle of a turn."""
        self._process.kill()
        self._process.wait()
        self._out.close()
        try:
            self._in.close()
        except BrokenPipeError:  # a request it never read; nobody waits for the answer
            return

    def _ended(self) -> SubjectError:
        code = self._process.wait()
        return SubjectError(
            f"{self._subject.name}: its process ended (exit code {code}): {_last_words(self._log)}"
        )


def _last_words(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return " / ".join(lines[-3:]) or "it said nothing"
