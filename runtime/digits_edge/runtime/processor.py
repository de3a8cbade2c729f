"""Which instruction sets this processor has, as far as a bundle's ``safe_on`` asks."""

from __future__ import annotations

import os
import warnings
from collections.abc import Collection
from pathlib import Path

from digits_edge.runtime.errors import InexactProcessorWarning
from digits_edge.runtime.manifest import Manifest

_CPUINFO = Path("/proc/cpuinfo")
_ARM64 = frozenset({"aarch64", "arm64"})
_X86 = frozenset({"x86_64", "amd64", "x86", "i686", "i386", ""})
_VNNI = frozenset({"avx512_vnni", "avx_vnni"})  # Linux' names of the two encodings


def warn_if_inexact(manifest: Manifest) -> None:
    """Warns where a bundle's integer arithmetic may saturate on this processor.

    The golden answers have passed by then: this is about images that they do not stand for.
    """
    if exact(manifest.safe_on, instruction_sets()) is False:
        warnings.warn(
            f"{manifest.name} is exact on {', '.join(manifest.safe_on)} only, and this processor has none of "
            "them: some answers may differ; export it with --target x86-avx2",
            InexactProcessorWarning,
            stacklevel=3,
        )


def exact(safe_on: Collection[str], here: frozenset[str] | None) -> bool | None:
    """Whether a processor computes exactly what is exact on certain instruction sets.

    Args:
        safe_on: These; ``any`` stands for all.
        here: What the processor has, as `instruction_sets` tells.

    Returns:
        None where nobody knows.
    """
    if "any" in safe_on:
        return True
    return None if here is None else not here.isdisjoint(safe_on)


def instruction_sets(machine: str | None = None, cpuinfo: Path = _CPUINFO) -> frozenset[str] | None:
    """Those of ``arm64`` and ``x86-vnni`` that this processor has.

    Args:
        machine: The architecture; by default what the system says.
        cpuinfo: Where Linux lists a processor's features.

    Returns:
        None where nobody can be asked: x86 without Linux.
    """
    if machine is None:
        machine = os.uname().machine if hasattr(os, "uname") else os.environ.get("PROCESSOR_ARCHITECTURE", "")
    machine = machine.lower()
    if machine in _ARM64:
        return frozenset({"arm64"})
    if machine not in _X86:
        return frozenset()
    try:
        lines = cpuinfo.read_text("utf-8", errors="replace").splitlines()
    except OSError:
        return None
    features = {word for line in lines if line.startswith("flags") for word in line.partition(":")[2].split()}
    return frozenset({"x86-vnni"} if features & _VNNI else ())
