"""Importing the runtime does nothing but define names."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

MODULES = """
import sys, numpy
before = set(sys.modules)
import digits_edge.runtime
print(*sorted(set(sys.modules) - before), file=sys.stderr)
"""

STATE = """
import json, logging, os, sys, threading, warnings
import numpy
tasks = os.listdir("/proc/self/task") if os.path.exists("/proc/self/task") else []
handlers, filters, path, hook = logging.root.handlers[:], warnings.filters[:], sys.path[:], sys.excepthook
environment, random = dict(os.environ), numpy.random.get_state()[1].tolist()

import digits_edge.runtime

print(json.dumps({
    "python threads": threading.active_count() == 1,
    "native threads": not tasks or os.listdir("/proc/self/task") == tasks,
    "environment": dict(os.environ) == environment,
    "logging": logging.root.handlers == handlers and not logging.getLogger("digits_edge").handlers,
    "warnings": warnings.filters == filters,
    "random numbers": numpy.random.get_state()[1].tolist() == random,
    "path": sys.path == path,
    "hook": sys.excepthook is hook,
}), file=sys.stderr)
"""


def told_by(code: str) -> str:
    """What a fresh interpreter writes to standard error; it must write nothing else."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    return line


@pytest.fixture(scope="module")
def modules() -> set[str]:
    return set(told_by(MODULES).split())


@pytest.fixture(scope="module")
def state() -> dict[str, bool]:
    values: dict[str, bool] = json.loads(told_by(STATE))
    return values


def test_nothing_but_numpy_and_the_standard_library_is_imported(modules: set[str]) -> None:
    libraries = {name.partition(".")[0] for name in modules} - set(sys.stdlib_module_names)
    assert "digits_edge.runtime.recognizer" in modules
    assert libraries - {"numpy"} == {"digits_edge"}


@pytest.mark.parametrize(
    "module", ["hashlib", "concurrent.futures", "logging", "zipfile", "importlib.resources"]
)
def test_what_is_slow_in_the_standard_library_waits_for_a_bundle(modules: set[str], module: str) -> None:
    assert module not in modules


@pytest.mark.parametrize(
    "what",
    [
        "python threads",
        "native threads",
        "environment",
        "logging",
        "warnings",
        "random numbers",
        "path",
        "hook",
    ],
)
def test_the_process_is_left_alone(state: dict[str, bool], what: str) -> None:
    assert state[what]
