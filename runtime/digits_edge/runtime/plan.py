"""How a batch is cut up and spread over this machine's processors."""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass
from pathlib import Path

from digits_edge.runtime.errors import InputError

# Throughput peaks at 8–64 images a call and falls for hundreds: activations leave the cache.
_CHUNK = 32
# Handing a chunk to another thread costs some tens of microseconds; fewer images are not worth it.
_SMALLEST_CHUNK = 8
_CGROUPS = Path("/sys/fs/cgroup")
_OWN_CGROUPS = Path("/proc/self/cgroup")


@dataclass(frozen=True)
class Plan:
    """How to run a batch.

    Attributes:
        workers: Threads that each run one chunk at a time, 1 or more. With 1, the caller's does it all.
        chunk: Images a call of the engine at most, 1 or more.
    """

    workers: int
    chunk: int

    def __post_init__(self) -> None:
        if self.workers < 1 or self.chunk < 1:
            raise InputError(f"workers {self.workers}, chunk {self.chunk}; expected at least 1 each")

    def slices(self, count: int) -> list[slice]:
        """Cuts ``count`` images into parts that differ by one image at most.

        There are as many parts as the chunk size asks for, rounded up to a multiple of the workers where the
        parts stay worth a thread, so that no worker idles at the end.
        """
        parts = -(-count // self.chunk)
        rounded = -(-parts // self.workers) * self.workers
        if count >= rounded * min(_SMALLEST_CHUNK, self.chunk):
            parts = rounded
        if parts <= 1:
            return [slice(0, count)] * parts
        # The larger parts come first: an engine that adapts to a batch size does so twice, not every time.
        size, larger = divmod(count, parts)
        edges = [part * size + min(part, larger) for part in range(parts + 1)]
        return [slice(start, stop) for start, stop in itertools.pairwise(edges)]


def plan(*, workers: int | None = None, chunk: int | None = None) -> Plan:
    """A plan for this machine; what is not given is chosen.

    Args:
        workers: Threads; by default one for each processor this process may use.
        chunk: Images a call of the engine; by default 32.

    Raises:
        InputError: A number below 1.
    """
    return Plan(
        workers=available_processors() if workers is None else workers,
        chunk=_CHUNK if chunk is None else chunk,
    )


def available_processors() -> int:
    """Processors this process may use: the affinity mask, cut by the CPU quota of its control groups.

    Returns:
        At least 1. A quota of 1.5 processors counts as 1: a second worker would be throttled.
    """
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota = _quota(_CGROUPS, _OWN_CGROUPS.read_text())
    except OSError:  # no Linux, or one without control groups
        quota = None
    return max(1, min(affinity, quota or affinity))


def _quota(root: Path, memberships: str) -> int | None:
    """Whole processors of the tightest quota that this process is under, or None where there is none.

    Args:
        root: Where the control groups are mounted.
        memberships: Lines ``hierarchy:controllers:group``; version 2 of control groups names no controllers.
    """
    quotas = []
    for line in memberships.splitlines():
        _, controllers, group = line.split(":", 2)
        if not controllers or "cpu" in controllers.split(","):
            mount = root / "cpu" if controllers else root
            own = mount / group.lstrip("/")
            # A group's quota holds for all below it. In a container the root is the container's own group.
            chain = [own, *own.parents]
            quotas += [quota for above in chain[: chain.index(mount) + 1] if (quota := _quota_of(above))]
    return min(quotas, default=None)


def _quota_of(group: Path) -> int | None:
    try:
        quota, period = (group / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            quota = (group / "cpu.cfs_quota_us").read_text().strip()
            period = (group / "cpu.cfs_period_us").read_text().strip()
        except OSError:
            return None
    if not (quota.isdigit() and period.isdigit() and int(period)):
        return None  # "max", or -1 in version 1
    return max(1, int(quota) // int(period))
