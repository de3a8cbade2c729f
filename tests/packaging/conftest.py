"""The repository as data: its portions and the files in them."""

from __future__ import annotations

from pathlib import Path

import pytest

# From the lowest to the highest; a portion may import itself and those before it.
_PORTIONS = ("runtime", "trainer", "export", "benchmarks", "cli")


@pytest.fixture(scope="session")
def root() -> Path:
    return Path(__file__).parents[2]


@pytest.fixture(scope="session")
def portions(root: Path) -> dict[str, Path]:
    """Each portion's package by name, lowest first: trainer → ROOT/trainer/digits_edge/trainer."""
    return {name: root / name / "digits_edge" / name for name in _PORTIONS}


@pytest.fixture(params=_PORTIONS)
def portion(request: pytest.FixtureRequest, portions: dict[str, Path]) -> Path:
    """One portion's package."""
    return portions[request.param]
