"""What docs/results.md says of exports is what the saved JSON says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from digits_edge.benchmarks.errors import SaveError
from digits_edge.benchmarks.exports import exported, read_exports, read_sources

TRIED = {
    "name": "int8: min-max, per channel",
    "accuracy": 0.6515,
    "agreement": 0.6525,
    "bytes": 71_102,
    "speed": {"ratio": 1.46, "low": 1.4, "high": 1.5},
    "verdict": "accuracy drop 34.30 points, allowed 0.05",
}
SAVED: dict[str, Any] = {
    "benchmarks": [
        {
            "extra_info": {"run": "models/cnn/seed-0", "files": 7, "machine": "a processor"},
            "stats": {"median": 123.4},
        },
        {
            "extra_info": {
                "format": "onnx",
                "factor": 200,
                "original": 0.9969,
                "exported": 0.9968,
                "tried": [TRIED, {**TRIED, "speed": None}],
                "images": 10_000,
                "validation": 6_000,
                "machine": "a processor",
            },
            "stats": {"median": 9.8},
        },
    ]
}


def test_each_measurement_has_its_table(tmp_path: Path) -> None:
    saved = tmp_path / "export.json"
    saved.write_text(json.dumps(SAVED))
    text = "\n\n".join(exported(read_exports(saved), {}))
    assert "| `models/cnn/seed-0` | 7 | 123 s |" in text
    assert (
        "| int8: min-max, per channel | 65.15% | 65.25% | 71,102 | 1.46× [1.40–1.50] | accuracy drop" in text
    )
    assert "| 71,102 | – |" in text
    assert "Proved on 10,000 test images: 99.68%, Keras 99.69%; 10 s." in text
    assert "200 times louder" in text
    assert "microcontroller" not in text


def test_sources_are_found_at_any_depth_and_told(tmp_path: Path) -> None:
    told = {
        "flash_bytes": 70_208,
        "arena": {"total": 13_728},
        "operators": ["AddConv2D", "AddReshape"],
        "proof": {"images": 2000, "held_out": "test", "accuracy": 0.998, "agreement": 0.9995},
    }
    place = tmp_path / "series" / "edge-c-int8"
    place.mkdir(parents=True)
    (place / "micro.json").write_text(json.dumps(told))
    text = "\n\n".join(exported([], read_sources(tmp_path)))
    row = "| `series/edge-c-int8` | 70,208 | 13,728 | 2,000 test | 99.80% | 99.95% | Conv2D, Reshape |"
    assert row in text
    assert "How long" not in text


def test_without_measurements_nothing_is_said(tmp_path: Path) -> None:
    assert exported([], read_sources(tmp_path)) == []


@pytest.mark.parametrize("content", ["", "{}", '{"benchmarks": [{}]}', '{"benchmarks": 3}'])
def test_a_file_of_another_form_is_refused(tmp_path: Path, content: str) -> None:
    saved = tmp_path / "export.json"
    saved.write_text(content)
    with pytest.raises(SaveError, match=r"export\.json: .*test_export\.py` saves"):
        read_exports(saved)
