"""No file tells where it was written."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

# Put together here, so that this file does not hold what it looks for.
HOSTS = ("pypi" + r"\.org", "python" + "hosted", "--(extra-)?index" + "-url", "find" + "-links")
FOLDERS = ("root", "home", "Users", "work", "tmp/" + "pip")
LOCAL = re.compile("|".join(HOSTS) + r"|(?<![\w.~}\"'/-])/(" + "|".join(FOLDERS) + r")/\w")


def test_no_file_names_a_local_path_or_a_registry(root: Path) -> None:
    if not (root / ".git").exists():
        pytest.skip("no git checkout: which files belong to the project is not known")
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, cwd=root, capture_output=True, check=True).stdout.decode().split("\0")
    files = [root / name for name in names if name and (root / name).is_file()]
    assert len(files) > 20
    found = [
        f"{file.relative_to(root)}:{number}: {line[:100]}"
        for file in files
        for number, line in enumerate(text_of(file).splitlines(), start=1)
        if LOCAL.search(line)
    ]
    assert not found


def text_of(file: Path) -> str:
    """A text file's content; nothing of a binary one."""
    content = file.read_bytes()
    return "" if b"\0" in content[:4096] else content.decode("utf-8", errors="replace")
