"""``digits-edge predict`` as a user types it, on pictures whose names somebody else chose."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from digits_edge.trainer.datasets import Dataset

Cli = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.mark.parametrize(
    ("name", "shown"),
    [("scan[old].png", "scan[old].png"), ("a[/x].png", "a[/x].png"), ("a\x1b[31mb.png", "a?[31mb.png")],
)
def test_a_name_is_shown_as_it_is(cli: Cli, few: Dataset, name: str, shown: str, tmp_path: Path) -> None:
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    Image.fromarray(few.train.images[0]).save(file)
    done = cli("predict", name, code=f"import os; os.chdir({str(tmp_path)!r})")
    assert done.returncode == 0, done.stderr
    assert f" {shown} " in done.stdout
    assert "\x1b" not in done.stdout


def test_neither_does_an_error_take_the_terminal_over(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "a\x1b[2Jb.png").write_bytes(b"no picture")
    done = cli("predict", tmp_path)
    assert done.returncode in (1, 2)
    assert "a?[2Jb.png" in done.stderr
    assert "\x1b" not in done.stderr
