"""Help and the runtime start without the heavy libraries."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = (
    "tensorflow",
    "keras",
    "pandas",
    "pyarrow",
    "onnxruntime",
    "onnx",
    "sklearn",
    "matplotlib",
    "ai_edge_litert",
)

HELP = """
import sys
from digits_edge.cli import main
sys.argv = ["digits-edge", *sys.argv[1:]]
try:
    main()
finally:
    print(*sorted({name.partition(".")[0] for name in sys.modules}), file=sys.stderr)
"""
COMMANDS = [
    "train",
    "evaluate",
    "inspect",
    "compare",
    "export",
    "sign",
    "verify",
    "predict",
    "bench",
    "samples",
]


def libraries_after(code: str, *arguments: str) -> tuple[str, set[str]]:
    """Standard output of a fresh interpreter, and the libraries on the last line of its standard error."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, set(done.stderr.splitlines()[-1].split())


def test_help_lists_the_commands_and_imports_nothing_heavy() -> None:
    text, libraries = libraries_after(HELP, "--help")
    assert all(command in text for command in COMMANDS)
    assert "typer" in libraries
    assert not libraries & set(HEAVY)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_a_command_shows_an_example_and_imports_nothing_heavy(command: str) -> None:
    text, libraries = libraries_after(HELP, command, "--help")
    assert f"digits-edge {command}" in text
    assert not libraries & set(HEAVY)


def test_the_runtime_imports_its_two_dependencies_at_most() -> None:
    code = "import sys; before = set(sys.modules); import digits_edge.runtime\n"
    code += "print(*{name.partition('.')[0] for name in set(sys.modules) - before}, file=sys.stderr)"
    text, libraries = libraries_after(code)
    assert text == ""
    assert libraries - set(sys.stdlib_module_names) <= {"numpy", "onnxruntime", "digits_edge"}
