"""An export killed at any moment leaves the old bundle or none, and the next one succeeds."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from digits_edge.runtime import Recognizer

MODELS = Path(__file__).parents[2] / "models"
RUN = MODELS / "edge-distill" / "seed-0"

# Starts what takes long before it says that it is ready, so that each kill falls into the export itself.
CHILD = """
import sys
from pathlib import Path
from digits_edge.export.jobs import Job
from digits_edge.export.pipeline import export, request_for
from digits_edge.runtime import Format, Precision
from digits_edge.trainer.backend import start_keras
from digits_edge.trainer.runs import Run

class Deaf:
    def on_step(self, what, done, total): ...
    def on_result(self, exported): ...
    def on_sources(self, micro): ...

start_keras()
import onnxruntime, tensorflow, tf2onnx
jobs = (Job(Format.ONNX, Precision.INT8),)
print("ready", flush=True)
export(request_for(Run(Path(sys.argv[1])), out=Path(sys.argv[2]), jobs=jobs), Deaf())
"""


@contextmanager
def started(out: Path) -> Iterator[subprocess.Popen[bytes]]:
    """An export that is about to begin."""
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, str(RUN), str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        yield child


def digest(bundle: Path) -> str | None:
    """Of all that a device would load; None where there is nothing."""
    if not bundle.exists():
        return None
    Recognizer.load(bundle).close()  # a half one would be refused
    files = sorted(path for path in bundle.iterdir())
    return hashlib.sha256(b"".join(path.name.encode() + path.read_bytes() for path in files)).hexdigest()


@pytest.mark.slow
def test_killed_at_twenty_moments(tmp_path: Path) -> None:
    whole, out = tmp_path / "whole", tmp_path / "bundles"
    with started(whole) as child:
        began = time.monotonic()
        assert child.wait() == 0
        duration = time.monotonic() - began
    new = digest(whole / "edge-onnx-int8")

    target = out / "edge-onnx-int8"
    shutil.copytree(MODELS / "cnn-notebook-onnx-int8", target)
    old = digest(target)
    assert old != new
    moments = random.Random(20)
    killed = 0
    for _ in range(20):
        with started(out) as child:
            # A bit beyond the end, as some exports are quicker than the first.
            time.sleep(moments.uniform(0, 1.05 * duration))
            child.send_signal(signal.SIGKILL)
            killed += child.wait() == -signal.SIGKILL
        assert digest(target) in (old, new, None)
        assert [path.name for path in out.iterdir() if not path.name.startswith(".")] in (
            ["edge-onnx-int8", "export.log"],
            ["export.log", "edge-onnx-int8"],
            ["export.log"],
        )
    assert killed >= 10

    with started(out) as child:
        assert child.wait() == 0
    assert digest(target) == new
    assert {path.name for path in out.iterdir()} == {"edge-onnx-int8", "export.log"}
