"""Asserts that this environment holds the runtime and what it needs, and nothing of the toolkit."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import digits_edge.runtime

ABSENT = ("tensorflow", "keras", "pandas", "typer", "rich", "sklearn", "matplotlib", "PIL")
PORTIONS = ("trainer", "export", "benchmarks", "cli")

present = [name for name in (*ABSENT, *(f"digits_edge.{portion}" for portion in PORTIONS)) if find_spec(name)]
if present:
    sys.exit(f"{', '.join(present)} can be imported; expected numpy, onnxruntime and the runtime alone")

place = Path(str(digits_edge.runtime.__file__))
if not place.is_relative_to(sys.prefix):
    sys.exit(f"digits_edge.runtime comes from {place}; expected the installed wheel")
