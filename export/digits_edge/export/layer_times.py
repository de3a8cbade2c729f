"""Where the time of a call goes, by ONNX Runtime's profiler."""

from __future__ import annotations

import json
import tempfile
import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from digits_edge.export.onnx_session import open_session

BETWEEN = "between operators"
_WARM_UP, _FEWEST, _MOST = 3, 7, 300
_SECONDS = 4.0  # a large batch gets fewer calls


@dataclass(frozen=True)
class Times:
    """Time of one call of the model, in µs. The parts add up to the whole.

    Attributes:
        batch: Images a call.
        calls: Calls that the figures are the mean of.
        total: The whole call.
        layers: By layer, in the order of computation; an operator that several were fused into counts where
            its name says.
        other: By operator: what ONNX Runtime put in between, as a change of memory layout, which is no
            layer's; and the time between operators, with the profiler's own.
    """

    batch: int
    calls: int
    total: float
    layers: Mapping[str, float]
    other: Mapping[str, float]

    def to_json(self) -> dict[str, Any]:
        """Plain values; the layers' own are with the layers."""
        return {
            "batch": self.batch,
            "calls": self.calls,
            "total_microseconds": round(self.total, 2),
            "other_microseconds": {name: round(value, 2) for name, value in self.other.items()},
        }


def profile_onnx(content: bytes, layers: Collection[str], images: NDArray[np.uint8]) -> Times:
    """Calls a model over and over on one thread, graph optimizations on, and shares out its time.

    Of all calls the middle half by duration counts, and of these the mean: as little moved by an interruption
    as the median, and unlike medians the parts still add up. ONNX Runtime counts in whole microseconds and
    rounds down, so a mean can lack half of one an operator; it is then in ``between operators``.

    Args:
        content: The model.
        layers: Names of its layers.
        images: What to call it with.

    Raises:
        EngineError: ONNX Runtime does not take the model.
    """
    with tempfile.TemporaryDirectory() as directory:
        session = open_session(content, profile=Path(directory))
        name = session.get_inputs()[0].name
        began, calls = time.perf_counter(), 0
        while calls < _WARM_UP + _FEWEST or (
            calls < _WARM_UP + _MOST and time.perf_counter() - began < _SECONDS
        ):
            session.run(None, {name: images})
            calls += 1
        events = json.loads(Path(session.end_profiling()).read_text("utf-8"))
    runs = sorted(list(_runs(events, layers))[_WARM_UP:], key=lambda run: run[0])
    middle = runs[len(runs) // 4 : -(-3 * len(runs) // 4)]
    return _mean(middle, layers, batch=len(images))


Parts = Counter[tuple[bool, str]]  # µs by whether it is a layer, and its name


def _runs(events: list[dict[str, Any]], layers: Collection[str]) -> Iterator[tuple[int, Parts]]:
    """Each call's time, whole and in parts. Its operators come before it in the profile."""
    parts: Parts = Counter()
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            name = event["name"].removesuffix("_kernel_time")
            layer = next((layer for layer in layers if _belongs(name, layer)), None)
            parts[layer is not None, layer or event["args"].get("op_name", name)] += event["dur"]
        elif event.get("name") == "model_run":
            yield event["dur"], parts
            parts = Counter()


def _belongs(operator: str, layer: str) -> bool:
    """Operators keep the name of the first that was fused into them, some with "fused" before it."""
    name = operator.removeprefix("fused ")
    return name == layer or name.startswith(f"{layer}/")


def _mean(runs: list[tuple[int, Parts]], layers: Collection[str], *, batch: int) -> Times:
    total = sum(duration for duration, _ in runs) / len(runs)
    sums: Parts = Counter()
    for _, parts in runs:
        sums.update(parts)
    means = {part: value / len(runs) for part, value in sums.items()}
    other = {name: value for (known, name), value in means.items() if not known}
    return Times(
        batch=batch,
        calls=len(runs),
        total=total,
        # A layer that the optimizations made vanish takes no time.
        layers={layer: means.get((True, layer), 0.0) for layer in layers},
        other={**other, BETWEEN: total - sum(means.values())},
    )
