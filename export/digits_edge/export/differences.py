"""Two bundles side by side: the fields of their manifests that differ, and their layers by name."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from digits_edge.export.inspection import Inspection
from digits_edge.export.layers import Layer
from digits_edge.runtime import Manifest


@dataclass(frozen=True)
class Change:
    """A field of two manifests that is not the same.

    Attributes:
        field: Its name, with dots where it lies deeper.
        first: The first bundle's value; None where it has no such field.
        second: The second's.
    """

    field: str
    first: Any
    second: Any


@dataclass(frozen=True)
class Pair:
    """A layer in two bundles.

    Attributes:
        name: Its name in both.
        first: In the first; None where it has no such layer.
        second: In the second.
    """

    name: str
    first: Layer | None
    second: Layer | None


@dataclass(frozen=True)
class Differences:
    """Two bundles side by side.

    Attributes:
        first: One.
        second: The other.
    """

    first: Inspection
    second: Inspection

    @property
    def changes(self) -> tuple[Change, ...]:
        """The fields of the manifests that differ."""
        first, second = (dict(_fields(side.manifest)) for side in (self.first, self.second))
        return tuple(
            Change(field, first.get(field), second.get(field))
            for field in dict.fromkeys((*first, *second))
            if first.get(field) != second.get(field)
        )

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """The layers in the first's order; what only the second has stands behind what it follows there."""
        first, second = ({layer.name: layer for layer in side.layers} for side in (self.first, self.second))
        names, place = list(first), 0
        for name in second:
            if name not in first:
                names.insert(place, name)
            place = names.index(name) + 1
        return tuple(Pair(name, first.get(name), second.get(name)) for name in names)

    def to_json(self) -> dict[str, Any]:
        """Plain values: both inspections, what differs in the manifests, and the layers in pairs."""
        return {
            "first": self.first.to_json(),
            "second": self.second.to_json(),
            "manifest": [
                {"field": change.field, "first": change.first, "second": change.second}
                for change in self.changes
            ],
            "layers": [
                {
                    "name": pair.name,
                    "first": None if pair.first is None else pair.first.to_json(),
                    "second": None if pair.second is None else pair.second.to_json(),
                }
                for pair in self.pairs
            ],
        }


def _fields(manifest: Manifest) -> Iterator[tuple[str, Any]]:
    return _leaves(json.loads(manifest.to_json()), "")


def _leaves(values: dict[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
