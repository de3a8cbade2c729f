"""How batches are cut, and how many processors there are to run them."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from digits_edge.runtime import InputError, Plan
from digits_edge.runtime.plan import _quota, available_processors, plan

counts = st.integers(1, 5000) | st.integers(1, 10**7)


@settings(max_examples=500, deadline=None)
@given(count=counts, workers=st.integers(1, 70), chunk=st.integers(1, 3000))
def test_parts_cover_every_image_once_in_order_and_none_is_too_long(
    count: int, workers: int, chunk: int
) -> None:
    parts = Plan(workers, max(chunk, count // 5000)).slices(count)
    assert parts[0].start == 0
    assert parts[-1].stop == count
    assert all(left.stop == right.start for left, right in itertools.pairwise(parts))
    lengths = [part.stop - part.start for part in parts]
    assert min(lengths) >= 1
    assert max(lengths) <= max(chunk, count // 5000)
    assert max(lengths) - min(lengths) <= 1


@settings(max_examples=200, deadline=None)
@given(count=st.integers(1, 5000), workers=st.integers(1, 16))
def test_no_worker_idles_while_parts_are_worth_a_thread(count: int, workers: int) -> None:
    parts = Plan(workers, 32).slices(count)
    assert len(parts) % workers == 0 or count < 8 * workers * -(-len(parts) // workers)


@settings(max_examples=200, deadline=None)
@given(count=st.integers(1, 5000), workers=st.integers(1, 16), chunk=st.integers(8, 100))
def test_a_part_shorter_than_8_is_all_there_is_to_do(count: int, workers: int, chunk: int) -> None:
    parts = Plan(workers, chunk).slices(count)
    assert len(parts) == -(-count // chunk) or min(part.stop - part.start for part in parts) >= 8


def test_an_engine_meets_two_lengths_and_changes_once() -> None:
    lengths = [part.stop - part.start for part in Plan(2, 32).slices(1000)]
    assert sorted(lengths, reverse=True) == lengths
    assert set(lengths) == {31, 32}


@pytest.mark.parametrize(
    ("count", "workers", "lengths"),
    [(1, 4, [1]), (15, 2, [15]), (16, 2, [8, 8]), (33, 1, [17, 16]), (64, 4, [16] * 4), (0, 2, [])],
)
def test_examples(count: int, workers: int, lengths: list[int]) -> None:
    assert [part.stop - part.start for part in Plan(workers, 32).slices(count)] == lengths


@pytest.mark.parametrize(("workers", "chunk"), [(0, 1), (1, 0), (-1, 32), (2, -5)])
def test_numbers_below_one_are_refused(workers: int, chunk: int) -> None:
    with pytest.raises(InputError, match=f"workers {workers}, chunk {chunk}; expected at least 1 each"):
        plan(workers=workers, chunk=chunk)


def test_what_is_given_is_taken() -> None:
    assert plan(workers=3, chunk=7) == Plan(3, 7)
    assert plan().workers == available_processors()


# ── Processors ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity masks on this system")
def test_the_affinity_mask_is_kept_to() -> None:
    code = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "from digits_edge.runtime import Recognizer; print(Recognizer.load().plan.workers)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"


def write(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)


@pytest.mark.parametrize(
    ("limit", "processors"),
    [
        ("max 100000\n", None),
        ("200000 100000\n", 2),
        ("150000 100000\n", 1),
        ("50000 100000\n", 1),
        ("1600000 100000\n", 16),
        ("100000 0\n", None),
        ("", None),
        ("nonsense\n", None),
        ("-1 100000\n", None),
    ],
)
def test_quota_of_version_2(tmp_path: Path, limit: str, processors: int | None) -> None:
    write(tmp_path, cpu__max=limit)
    assert _quota(tmp_path, "0::/\n") == processors


@pytest.mark.parametrize(
    ("quota", "period", "processors"),
    [("-1", "100000", None), ("300000", "100000", 3), ("90000", "100000", 1)],
)
@pytest.mark.parametrize("controllers", ["cpu", "cpu,cpuacct"])
def test_quota_of_version_1(
    tmp_path: Path, quota: str, period: str, processors: int | None, controllers: str
) -> None:
    write(tmp_path / "cpu", cpu__cfs_quota_us=f"{quota}\n", cpu__cfs_period_us=f"{period}\n")
    memberships = f"9:memory:/\n4:{controllers}:/\n2:cpuacct:/elsewhere\n0::/\n"
    assert _quota(tmp_path, memberships) == processors


def test_the_tightest_quota_above_a_process_holds(tmp_path: Path) -> None:
    write(tmp_path / "system.slice", cpu__max="400000 100000")
    write(tmp_path / "system.slice" / "reader.service", cpu__max="max 100000")
    assert _quota(tmp_path, "0::/system.slice/reader.service\n") == 4
    write(tmp_path / "system.slice" / "reader.service", cpu__max="200000 100000")
    assert _quota(tmp_path, "0::/system.slice/reader.service\n") == 2
    write(tmp_path, cpu__max="100000 100000")
    assert _quota(tmp_path, "0::/system.slice/reader.service\n") == 1


def test_another_groups_quota_does_not_count(tmp_path: Path) -> None:
    write(tmp_path / "other", cpu__max="100000 100000")
    assert _quota(tmp_path, "0::/mine\n") is None


def test_a_container_that_sees_its_group_as_the_root(tmp_path: Path) -> None:
    write(tmp_path, cpu__max="200000 100000")
    assert _quota(tmp_path, "0::/docker/0123456789ab\n") == 2
    assert _quota(tmp_path, "0::/../../elsewhere\n") == 2


def test_a_system_without_control_groups(tmp_path: Path) -> None:
    assert _quota(tmp_path / "missing", "") is None
    assert _quota(tmp_path / "missing", "0::/\n") is None
