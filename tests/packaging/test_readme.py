"""README's commands work as they stand, one after the other, in an empty directory."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).resolve().parents[2] / "README.md"


def block(heading: str, language: str) -> str:
    """The first code block of that language below a heading."""
    found = re.search(
        rf"^## {re.escape(heading)}\n.*?^```{language}\n(.*?)^```",
        README.read_text("utf-8"),
        re.DOTALL | re.MULTILINE,
    )
    assert found is not None, f"README has no {language} block below {heading!r}"
    return found[1]


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        command, cwd=folder, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False
    )


def test_the_device_snippet_runs(tmp_path: Path) -> None:
    claim = "assert predictions.rejected.all()  # as its last comment says"
    snippet = f"{block('On the device', 'python')}\n{claim}"
    done = run([sys.executable, "-W", "error", "-c", snippet], tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.slow
def test_the_path_runs(tmp_path: Path) -> None:
    script = block("The path", "sh") + block("Sign it, trust it", "sh")
    done = run(["bash", "-euo", "pipefail", "-c", script], tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert len((tmp_path / "submission.csv").read_text().splitlines()) == 1001
    assert len(list((tmp_path / "bundles").glob("*/manifest.json"))) == 6
