"""The most memory that this process ever held."""

from __future__ import annotations

import sys
from pathlib import Path

_STATUS = Path("/proc/self/status")


def peak_bytes() -> int | None:
    """Peak resident set size in bytes; None on a system that tells neither way.

    ``getrusage`` comes second: on Linux a process inherits its parent's peak there, as large as the parent
    was when it started it.
    """
    status = _STATUS.read_text() if _STATUS.is_file() else ""
    lines = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    if "VmHWM" in lines:
        return int(lines["VmHWM"].split()[0]) * 1024
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
