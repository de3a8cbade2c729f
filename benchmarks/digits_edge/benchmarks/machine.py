"""What the figures belong to: processor, instruction sets, limits, system, libraries, and how busy it was."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass, fields
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_LIBRARIES = ("numpy", "onnxruntime", "ai-edge-litert")
_CGROUP = Path("/sys/fs/cgroup")
_CPUINFO = Path("/proc/cpuinfo")
_GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
# Instruction sets that decide which kernels run, by the names that Linux gives them on x86 and on ARM.
_FLAGS: Mapping[str, str] = {
    "avx2": "avx2",
    "avx512f": "avx512",
    "avx_vnni": "avx-vnni",
    "avx512_vnni": "avx512-vnni",
    "avx512_bf16": "avx512-bf16",
    "amx_int8": "amx-int8",
    "amx_bf16": "amx-bf16",
    "asimd": "neon",
    "neon": "neon",
    "asimddp": "dotprod",
    "i8mm": "i8mm",
    "bf16": "bf16",
    "sve": "sve",
}


@dataclass(frozen=True)
class Machine:
    """Where a result was measured. Two results are comparable where these are equal.

    Attributes:
        processor: Its name, and the numbers that tell generations of one name apart.
        instructions: Instruction sets that matter here, such as ``avx512-vnni``.
        processors: How many this process may use, by its affinity.
        quota: Processors' worth of time that the control group grants, or None where it sets no limit.
        governor: Frequency governor, or None where it cannot be read.
        system: Operating system, release and architecture.
        python: Implementation and version.
        libraries: Versions of what computes.
    """

    processor: str
    instructions: tuple[str, ...]
    processors: int
    quota: float | None
    governor: str | None
    system: str
    python: str
    libraries: Mapping[str, str]

    def differences(self, now: Machine) -> tuple[str, ...]:
        """What is not the same on the machine of another result, in words; empty if nothing."""
        return tuple(
            f"{field.name}: {_text(then)} then, {_text(value)} now"
            for field in fields(self)
            if (then := getattr(self, field.name)) != (value := getattr(now, field.name))
        )

    def __str__(self) -> str:
        quota = "" if self.quota is None else f", quota {self.quota:g}"
        governor = f", governor {self.governor}" if self.governor else ""
        instructions = " ".join(self.instructions) or "instruction sets unknown"
        return (
            f"{self.processor}; {instructions}; processors {self.processors}{quota}{governor}; "
            f"{self.system}; {self.python}; {_text(self.libraries)}"
        )


def this_machine() -> Machine:
    """The machine that this process runs on."""
    text = _CPUINFO.read_text(errors="replace") if _CPUINFO.is_file() else ""
    processor, instructions = describe_processor(text)
    return Machine(
        processor=processor or platform.processor() or platform.machine(),
        instructions=instructions,
        processors=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        quota=cpu_quota(_CGROUP),
        governor=_GOVERNOR.read_text().strip() if _GOVERNOR.is_file() else None,
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        python=f"{platform.python_implementation()} {platform.python_version()}",
        libraries={name: library_version(name) for name in _LIBRARIES},
    )


def load_average() -> float | None:
    """Processes that were running or waited to, on average over the last minute; None where nobody counts."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def describe_processor(cpuinfo: str) -> tuple[str, tuple[str, ...]]:
    """Name and instruction sets of the first processor in the text of ``/proc/cpuinfo``.

    Returns:
        An empty name and no instruction sets where the text has none. ARM gives no name but numbers of the
        maker and the core, which serve as one.
    """
    entries: dict[str, str] = {}
    for line in cpuinfo.splitlines():
        key, colon, value = line.partition(":")
        if colon:
            entries.setdefault(key.strip().lower(), value.strip())
    numbers = [
        f"{short} {entries[key]}"
        for key, short in (
            ("cpu family", "family"),
            ("model", "model"),
            ("stepping", "stepping"),
            ("cpu implementer", "implementer"),
            ("cpu part", "part"),
        )
        if key in entries
    ]
    name = " ".join(part for part in (entries.get("model name", ""), " ".join(numbers)) if part)
    present = set((entries.get("flags") or entries.get("features") or "").split())
    return name, tuple(dict.fromkeys(ours for theirs, ours in _FLAGS.items() if theirs in present))


def cpu_quota(cgroup: Path) -> float | None:
    """Processors' worth of time that a control group (version 2, then 1) grants; None without a limit."""
    limits = [
        (cgroup / "cpu.max",),
        (cgroup / "cpu" / "cpu.cfs_quota_us", cgroup / "cpu" / "cpu.cfs_period_us"),
    ]
    for files in limits:
        try:
            words = " ".join(file.read_text() for file in files).split()
        except OSError:
            continue
        if len(words) == 2 and words[0].isdigit() and words[1].isdigit() and int(words[1]):
            return int(words[0]) / int(words[1])  # no limit is "max" in version 2 and -1 in version 1
    return None


def library_version(library: str) -> str:
    """Version of a distribution, or ``not installed``."""
    try:
        return version(library)
    except PackageNotFoundError:
        return "not installed"


def _text(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {item}" for name, item in value.items())
    if isinstance(value, tuple):
        return " ".join(map(str, value)) or "none"
    return "unknown" if value is None else str(value)
