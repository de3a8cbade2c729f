"""Quiet is quiet, for native code too, and always ends."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import ctypes, os, sys
from pathlib import Path
from digits_edge.trainer.backend import quiet

libc = ctypes.CDLL(None)
print("before")
try:
    with quiet(Path(sys.argv[1]) if len(sys.argv) > 1 else None):
        print("Python's own")
        print("Python's error", file=sys.stderr)
        os.write(2, b"a native library\\n")
        libc.puts(b"a buffered C library")
        os.system("echo a child process")
        raise RuntimeError("inside")
except RuntimeError as error:
    print("after", error)
print("error after", file=sys.stderr)
"""
CHATTER = ["Python's own", "Python's error", "a native library", "a buffered C library", "a child process"]


def python(program: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        env={**inherited, **environment},
        timeout=300,
        check=False,
    )


@pytest.mark.skipif(os.name != "posix", reason="calls the C library by its POSIX name")
@pytest.mark.parametrize("logged", [True, False])
def test_quiet(tmp_path: Path, logged: bool) -> None:
    log = tmp_path / "log.txt"
    log.write_text("earlier\n")
    done = python(PROGRAM, *([str(log)] if logged else []))
    assert done.returncode == 0, done.stderr
    assert done.stdout == "before\nafter inside\n"
    assert done.stderr == "error after\n"
    assert log.read_text().startswith("earlier\n")
    assert all((line in log.read_text()) == logged for line in CHATTER)


def test_quiet_closes_what_it_opens() -> None:
    program = "import os\nfrom digits_edge.trainer.backend import quiet\n"
    program += "before = os.listdir('/proc/self/fd')\nfor _ in range(5):\n    with quiet(): pass\n"
    program += "assert os.listdir('/proc/self/fd') == before"
    if not Path("/proc/self/fd").is_dir():
        pytest.skip("counts descriptors as Linux lists them")
    assert python(program).returncode == 0


@pytest.mark.slow
def test_keras_starts_and_works_without_a_word() -> None:
    program = "from digits_edge.trainer.backend import start_keras\nstart_keras()\nstart_keras()\n"
    program += "import keras\nassert float(keras.ops.sum(keras.ops.ones(3))) == 3\n"
    program += "import os\nassert os.environ['TF_CPP_MIN_LOG_LEVEL'] == '2'"  # the user's choice
    done = python(program, TF_CPP_MIN_LOG_LEVEL="2")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("call", ["require_packages", pytest.param("start_keras", id="start_keras as well")])
def test_without_tensorflow_there_is_a_hint(call: str) -> None:
    program = "import sys\nsys.modules['tensorflow'] = None\n"
    program += f"from digits_edge.trainer.backend import {call} as call\n"
    program += "from digits_edge.trainer.errors import SetupError\n"
    program += "try: call()\nexcept SetupError as error: print(error, error.exit_code)"
    done = python(program, KERAS_BACKEND="tensorflow")
    assert done.returncode == 0, done.stderr
    assert 'pip install "digits-edge[train]" 2' in done.stdout
    assert done.stdout.count("\n") == 1
