"""What the two distributions say of themselves."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Project = dict[str, Any]


def project(file: Path) -> Project:
    """The ``[project]`` table of a pyproject.toml."""
    values: Project = tomllib.loads(file.read_text("utf-8"))["project"]
    return values


@pytest.fixture(scope="module")
def toolkit(root: Path) -> Project:
    return project(root / "pyproject.toml")


@pytest.fixture(scope="module")
def runtime(root: Path) -> Project:
    return project(root / "runtime/pyproject.toml")


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[^\w-]", requirement, maxsplit=1)[0] for requirement in requirements}


def with_extras(toolkit: Project, *extras: str) -> list[str]:
    """Requirements of the toolkit with extras, those that name further extras of its own followed."""
    requirements = list(toolkit["dependencies"])
    for extra in extras:
        for requirement in toolkit["optional-dependencies"][extra]:
            own = re.match(r"digits-edge\[([\w,]+)\]", requirement)
            requirements += with_extras(toolkit, *own[1].split(",")) if own else [requirement]
    return requirements


def test_both_have_the_same_version_and_pythons(toolkit: Project, runtime: Project) -> None:
    assert toolkit["version"] == runtime["version"]
    assert toolkit["requires-python"] == runtime["requires-python"] == ">=3.10,<3.14"


def test_the_toolkit_asks_for_the_runtime_of_its_own_version(toolkit: Project) -> None:
    asked = [item for item in with_extras(toolkit, "dev") if item.startswith("digits-edge-runtime")]
    assert asked
    assert {item.partition("==")[2] for item in asked} == {toolkit["version"]}


def test_the_changelog_tells_of_this_version(toolkit: Project, root: Path) -> None:
    assert f"\n## {toolkit['version']} " in (root / "CHANGELOG.md").read_text("utf-8")


def test_the_runtime_needs_numpy_and_onnxruntime_only(runtime: Project) -> None:
    assert names(runtime["dependencies"]) == {"numpy", "onnxruntime"}
    assert names(runtime["optional-dependencies"]["litert"]) == {"ai-edge-litert"}


def test_nobody_installs_tensorflow_to_measure_or_to_classify(toolkit: Project) -> None:
    assert not names(with_extras(toolkit, "bench")) & {"tensorflow", "keras", "tf2onnx"}
    assert {"tensorflow", "tf2onnx"} <= names(with_extras(toolkit, "all"))


def test_both_carry_the_same_licence_text(root: Path) -> None:
    assert (root / "LICENSE").read_bytes() == (root / "runtime/LICENSE").read_bytes()


def test_constraints_pin_every_dependency_exactly(toolkit: Project, runtime: Project, root: Path) -> None:
    text = (root / "constraints.txt").read_text("utf-8")
    pins = [line for line in text.splitlines() if not line.startswith("#")]
    form = r"[a-z0-9-]+==[\w.]+(; python_version [<>=]=? '3\.\d+'( or python_version == '3\.\d+')*)?"
    assert [pin for pin in pins if not re.fullmatch(form, pin)] == []
    wanted = names(with_extras(toolkit, "dev") + runtime["dependencies"]) - {"digits-edge-runtime"}
    assert wanted <= {pin.partition("==")[0] for pin in pins}
