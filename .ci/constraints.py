"""Remakes constraints.txt: resolves both distributions with every supported Python on this machine.

    make constraints

pip resolves ``digits-edge[dev]`` afresh for each Python; what they agree on is pinned once, what differs gets
an environment marker. All of 3.10 to 3.13 must be there: a missing one would silently lose its pins.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "constraints.txt"
PYTHONS = ("3.10", "3.11", "3.12", "3.13")
OWN = frozenset({"digits-edge", "digits-edge-runtime"})
HEADER = """\
# Exact versions of everything that `pip install -e ./runtime -e ".[dev]"` installs, for each supported
# Python, resolved on 64-bit Linux. Made by `make constraints`; do not edit.
"""

Pins = dict[str, dict[str, str]]
"""Package → Python → version."""


def main() -> None:
    """Resolves, merges, writes."""
    pins: Pins = defaultdict(dict)
    for version, interpreter in interpreters().items():
        sys.stderr.write(f"resolving for Python {version}\n")
        for name, pinned in resolve(interpreter).items():
            pins[name][version] = pinned
    lines = [line for name in sorted(pins) for line in requirements(name, pins[name])]
    TARGET.write_text(HEADER + "\n".join(lines) + "\n")
    sys.stderr.write(f"{TARGET.name}: {len(pins)} packages, {len(lines)} lines\n")


def interpreters() -> dict[str, str]:
    """Python version → path, all of PYTHONS."""
    listing = subprocess.run([ROOT / ".ci/pythons"], check=True, capture_output=True, text=True).stdout
    found = dict(line.split(" ", 1) for line in listing.splitlines())
    missing = [version for version in PYTHONS if version not in found]
    if missing:
        sys.exit(
            f"Python {', '.join(missing)} not found; expected all of {', '.join(PYTHONS)}: install them first"
        )
    return found


def resolve(interpreter: str) -> dict[str, str]:
    """What pip would install into an empty environment: normalised name → version."""
    with tempfile.TemporaryDirectory() as directory:
        environment, report = Path(directory, "venv"), Path(directory, "report.json")
        subprocess.run([interpreter, "-m", "venv", environment], check=True)
        pip = [environment / "bin/python", "-m", "pip", "--quiet"]
        subprocess.run([*pip, "install", "--upgrade", "pip"], check=True)  # older ones lack --report
        targets = ["-e", "./runtime", "-e", ".[dev]"]
        options = ["--dry-run", "--ignore-installed", "--report", report]
        subprocess.run([*pip, "install", *options, *targets], check=True, cwd=ROOT)
        installed = json.loads(report.read_text())["install"]
    found = {normalised(item["metadata"]["name"]): item["metadata"]["version"] for item in installed}
    return {name: version for name, version in found.items() if name not in OWN}


def normalised(name: str) -> str:
    """One spelling for each name (https://packaging.python.org/en/latest/specifications/name-normalization)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def requirements(name: str, versions: dict[str, str]) -> list[str]:
    """Lines that pin one package; markers only where the Pythons differ."""
    if len(set(versions.values())) == 1:
        return [f"{name}=={next(iter(versions.values()))}"]
    return [f"{name}=={version}; {marker(versions, version)}" for version in dict.fromkeys(versions.values())]


def marker(versions: dict[str, str], version: str) -> str:
    """Which Pythons take this version; a range where they are neighbours at one end."""
    takers = tuple(python for python in PYTHONS if versions.get(python) == version)
    if takers == PYTHONS[: len(takers)]:
        return f"python_version < '{PYTHONS[len(takers)]}'"
    if takers == PYTHONS[-len(takers) :]:
        return f"python_version >= '{takers[0]}'"
    return " or ".join(f"python_version == '{python}'" for python in takers)


if __name__ == "__main__":
    main()
