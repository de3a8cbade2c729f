"""README's commands work as they stand, one after the other, in an empty directory."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"


def block(heading: str, language: str) -> str:
    """The first code block of that language below a heading."""
    found = re.search(
        rf"^## {re.escape(heading)}\n.*?^```{language}\n(.*?)^```",
        README.read_text("utf-8"),
        re.DOTALL | re.MULTILINE,
    )
    assert found is not None, f"README has no {language} block below {heading!r}"
    return found[1]


def python_blocks(readme: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", readme.read_text("utf-8"), re.DOTALL | re.MULTILINE)


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


@pytest.fixture
def photo(tmp_path: Path) -> int:
    """Makes photo.jpg, a digit on paper; the digit."""
    import numpy as np
    from PIL import Image

    from digits_edge.trainer.datasets import load_dataset

    test = load_dataset().test
    assert test is not None
    grey = 230 - (0.7 * np.kron(test.images[0], np.ones((9, 9)))).astype(np.uint8)
    Image.fromarray(np.pad(grey, ((80, 20), (10, 120)), constant_values=230)).save(tmp_path / "photo.jpg")
    return int(test.labels[0])


def test_the_photograph_is_read(photo: int, tmp_path: Path) -> None:
    (snippet,) = (code for code in python_blocks(README) if "photo.jpg" in code)
    done = run([sys.executable, "-W", "error", "-c", snippet], tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{photo}\n", "")


def test_the_runtime_s_own_readme_runs(photo: int, tmp_path: Path) -> None:
    read, normalized = python_blocks(ROOT / "runtime" / "README.md")
    done = run([sys.executable, "-W", "error", "-c", f"{normalized}\n{read}"], tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"[{photo}] ")


@pytest.mark.slow
def test_the_path_runs(tmp_path: Path) -> None:
    script = block("The path", "sh") + block("Sign it, trust it", "sh")
    done = run(["bash", "-euo", "pipefail", "-c", script], tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert len((tmp_path / "submission.csv").read_text().splitlines()) == 1001
    assert len(list((tmp_path / "bundles").glob("*/manifest.json"))) == 6
