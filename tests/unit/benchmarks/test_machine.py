"""Whose figures they are."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from digits_edge.benchmarks.machine import cpu_quota, describe_processor, this_machine

X86 = """processor\t: 0
vendor_id\t: GenuineIntel
cpu family\t: 6
model\t\t: 143
model name\t: Intel(R) Xeon(R) Platinum 8488C
stepping\t: 8
flags\t\t: fpu avx2 avx512f avx512_vnni avx_vnni avx512_bf16 amx_bf16 amx_tile amx_int8
bugs\t\t: spectre_v1

processor\t: 1
model name\t: another one
flags\t\t: fpu
"""
ARM = """processor\t: 0
BogoMIPS\t: 108.00
Features\t: fp asimd evtstrm aes crc32 atomics fphp asimdhp asimddp
CPU implementer\t: 0x41
CPU part\t: 0xd0b
"""


def test_an_x86_processor() -> None:
    name, instructions = describe_processor(X86)
    assert name == "Intel(R) Xeon(R) Platinum 8488C family 6 model 143 stepping 8"
    assert instructions == (
        "avx2", "avx512", "avx-vnni", "avx512-vnni", "avx512-bf16", "amx-int8", "amx-bf16",
    )  # fmt: skip


def test_an_arm_processor_has_numbers_for_a_name() -> None:
    assert describe_processor(ARM) == ("implementer 0x41 part 0xd0b", ("neon", "dotprod"))


def test_a_system_without_the_file_has_nothing_to_tell() -> None:
    assert describe_processor("") == ("", ())


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({}, None),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu.max": "150000 100000\n"}, 1.5),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "50000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 0.5),
    ],
)
def test_the_quota_of_a_control_group(files: dict[str, str], quota: float | None, tmp_path: Path) -> None:
    (tmp_path / "cpu").mkdir()
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert cpu_quota(tmp_path) == quota


def test_the_same_machine_is_the_same() -> None:
    machine = this_machine()
    assert machine == this_machine()
    assert machine.differences(this_machine()) == ()
    assert machine.processors >= 1
    assert machine.libraries["numpy"][0].isdigit()


def test_differences_are_named() -> None:
    then = this_machine()
    now = dataclasses.replace(
        then, processors=then.processors + 1, libraries={**then.libraries, "numpy": "9.9"}
    )
    processors, libraries = then.differences(now)
    assert processors == f"processors: {then.processors} then, {then.processors + 1} now"
    assert libraries.startswith("libraries: numpy ")
    assert "numpy 9.9" in libraries


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="the system does not count it so")
def test_the_peak_of_a_process_is_not_that_of_its_large_parent() -> None:
    ballast = bytearray(300 << 20)
    ballast[:: 1 << 12] = b"x" * len(ballast[:: 1 << 12])  # touched, so that it counts
    code = "from digits_edge.benchmarks.memory import peak_bytes; print(peak_bytes())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 5 << 20 < int(done.stdout) < 200 << 20
