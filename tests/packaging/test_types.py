"""mypy checks every file of every portion, strictly."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

MISTYPED = 'length: int = "28"\n\n\ndef untyped(value):\n    return value\n'


def mypy(directory: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Runs mypy as the repository configures it, on the files that the configuration names."""
    command = [sys.executable, "-m", "mypy", "--no-error-summary", *options]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)


def test_mypy_sees_every_file_and_finds_nothing(
    portions: dict[str, Path], root: Path, tmp_path: Path
) -> None:
    done = mypy(root, "--linecount-report", str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    seen = set(re.findall(r"\bdigits_edge\.[\w.]+", (tmp_path / "linecount.txt").read_text()))
    assert seen == {
        ".".join(file.relative_to(package.parents[1]).with_suffix("").parts).removesuffix(".__init__")
        for package in portions.values()
        for file in package.rglob("*.py")
    }


def test_no_file_switches_its_checks_off(portion: Path) -> None:
    switched = [file for file in portion.rglob("*.py") if re.search(r"#\s*mypy:", file.read_text("utf-8"))]
    assert not switched


def test_a_mistyped_file_in_any_portion_fails(portions: dict[str, Path], root: Path, tmp_path: Path) -> None:
    shutil.copy(root / "pyproject.toml", tmp_path)
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/test_nothing.py").touch()
    for portion in portions:
        package = tmp_path / portion / "digits_edge" / portion
        package.mkdir(parents=True)
        (package / "mistyped.py").write_text(MISTYPED)
    done = mypy(tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    for portion in portions:
        place = f"{portion}/digits_edge/{portion}/mistyped.py"
        assert re.search(rf"^{place}:1: error: .*\[assignment\]$", done.stdout, re.MULTILINE), done.stdout
        assert re.search(rf"^{place}:4: error: .*\[no-untyped-def\]$", done.stdout, re.MULTILINE), done.stdout
