"""What the built distributions hold: each module once, the data in one of them, nothing else."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

SMALL = 60 * 1024  # bytes of the runtime's wheel, the model that ships with it not counted


@dataclass(frozen=True)
class Built:
    """A distribution's two files."""

    wheel: Path
    sdist: Path

    @classmethod
    def of(cls, project: Path, out: Path) -> Built:
        # The wheel is made from the sdist, so what the sdist lacks, the wheel lacks too.
        command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(project)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        (wheel,), (sdist,) = out.glob("*.whl"), out.glob("*.tar.gz")
        return cls(wheel, sdist)

    def modules(self) -> set[str]:
        """Files of the wheel outside its metadata."""
        with zipfile.ZipFile(self.wheel) as archive:
            return {name for name in archive.namelist() if ".dist-info/" not in name}

    def metadata(self) -> set[str]:
        """Names of the wheel's metadata files, below its dist-info."""
        with zipfile.ZipFile(self.wheel) as archive:
            return {name.partition(".dist-info/")[2] for name in archive.namelist() if ".dist-info/" in name}

    def sources(self) -> set[str]:
        """Files of the sdist, below its top folder."""
        with tarfile.open(self.sdist) as archive:
            return {member.name.partition("/")[2] for member in archive if member.isfile()}


@pytest.fixture(scope="module")
def runtime(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Built:
    return Built.of(root / "runtime", tmp_path_factory.mktemp("runtime"))


@pytest.fixture(scope="module")
def toolkit(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Built:
    return Built.of(root, tmp_path_factory.mktemp("toolkit"))


def files_of(*packages: Path) -> set[str]:
    """What a checkout holds in these portions, as a wheel names it."""
    return {
        str(file.relative_to(package.parents[1]))
        for package in packages
        for file in package.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }


def test_each_wheel_holds_its_portions_whole_and_nothing_else(
    portions: dict[str, Path], runtime: Built, toolkit: Built
) -> None:
    package, *packages = portions.values()
    assert runtime.modules() == files_of(package)
    assert toolkit.modules() == files_of(*packages)


def test_each_module_has_one_owner(runtime: Built, toolkit: Built) -> None:
    assert not runtime.modules() & toolkit.modules()
    assert "digits_edge/__init__.py" not in runtime.modules() | toolkit.modules()


def test_the_digits_lie_in_the_toolkit_only(runtime: Built, toolkit: Built) -> None:
    assert len([name for name in toolkit.modules() if name.endswith("-ubyte.gz")]) == 4
    assert not [name for name in runtime.modules() if name.endswith(".gz")]


def test_licence_and_attribution_travel_along(runtime: Built, toolkit: Built) -> None:
    assert "licenses/LICENSE" in runtime.metadata()
    assert {"licenses/LICENSE", "licenses/trainer/digits_edge/trainer/data/LICENSE"} <= toolkit.metadata()


def test_the_runtime_is_small(runtime: Built) -> None:
    with zipfile.ZipFile(runtime.wheel) as archive:
        model = [
            item for item in archive.infolist() if item.filename.startswith("digits_edge/runtime/models/")
        ]
    assert runtime.wheel.stat().st_size - sum(item.compress_size for item in model) <= SMALL


def test_sdists_hold_what_builds_the_wheels_and_no_tests(runtime: Built, toolkit: Built) -> None:
    assert {"pyproject.toml", "README.md", "LICENSE", "digits_edge/runtime/__init__.py"} <= runtime.sources()
    assert {"pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md"} <= toolkit.sources()
    assert not [
        name for name in runtime.sources() | toolkit.sources() if name.startswith(("tests/", "runtime/"))
    ]
