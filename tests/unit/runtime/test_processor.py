"""A bundle that this processor cannot compute exactly is loaded with a warning; one that it can, without."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from digits_edge.runtime import InexactProcessorWarning, Recognizer
from digits_edge.runtime.processor import exact, instruction_sets

FLAGS = "processor\t: 0\nmodel name\t: a processor with avx512_vnni in its name\nflags\t\t: fpu sse2 avx2{}\n"


@pytest.mark.parametrize(
    ("machine", "flags", "found"),
    [
        ("x86_64", " avx512_vnni", {"x86-vnni"}),
        ("x86_64", " avx_vnni", {"x86-vnni"}),
        ("x86_64", "", set()),
        ("aarch64", "", {"arm64"}),
        ("arm64", "", {"arm64"}),
        ("riscv64", "", set()),
    ],
)
def test_what_linux_says_of_a_processor(tmp_path: Path, machine: str, flags: str, found: set[str]) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(FLAGS.format(flags))
    assert instruction_sets(machine, cpuinfo) == frozenset(found)


@pytest.mark.parametrize("machine", ["x86_64", "AMD64"])
def test_where_nobody_can_be_asked_nothing_is_claimed(tmp_path: Path, machine: str) -> None:
    assert instruction_sets(machine, tmp_path / "nowhere") is None


@pytest.mark.parametrize(
    ("sets", "here", "answer"),
    [
        (("any",), frozenset(), True),
        (("any",), None, True),
        (("x86-vnni", "arm64"), frozenset({"arm64"}), True),
        (("x86-vnni", "arm64"), frozenset(), False),
        (("x86-vnni", "arm64"), None, None),
    ],
)
def test_a_processor_is_exact_or_not_or_nobody_knows(
    sets: tuple[str, ...], here: frozenset[str] | None, answer: bool | None
) -> None:
    assert exact(sets, here) is answer


def safe_on(bundle: Path, place: Path, sets: list[str]) -> Path:
    copy = shutil.copytree(bundle, place / "bundle")
    manifest = json.loads((copy / "manifest.json").read_text())
    (copy / "manifest.json").write_text(json.dumps({**manifest, "safe_on": sets}))
    return copy


def test_a_bundle_for_other_processors_warns_and_works(
    tiny: Path, tmp_path: Path, digits: NDArray[np.uint8], labels: NDArray[np.uint8]
) -> None:
    if instruction_sets() is None:
        pytest.skip("nothing is known of this processor")
    foreign = safe_on(tiny, tmp_path, ["s390x-nnpa"])
    with pytest.warns(
        InexactProcessorWarning, match="exact on s390x-nnpa only.*export it with --target x86-avx2"
    ):
        recognizer = Recognizer.load(foreign)
    assert (recognizer.predict(digits).labels == labels).mean() > 0.9


@pytest.mark.parametrize("sets", [["any"], ["x86-vnni", "arm64", "any"]])
def test_a_bundle_for_any_processor_does_not(tiny: Path, tmp_path: Path, sets: list[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Recognizer.load(safe_on(tiny, tmp_path, sets))
