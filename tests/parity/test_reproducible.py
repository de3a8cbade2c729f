"""The same network exported twice is the same file, byte for byte, whichever process does it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

MODEL = Path(__file__).parents[2] / "models" / "edge-distill" / "seed-0" / "model.keras"
EXPORT = """
import hashlib, itertools, json, sys
from digits_edge.trainer.backend import start_keras
start_keras()
import keras
from digits_edge.export.selection import convert
from digits_edge.runtime import Format, Precision
from digits_edge.trainer.datasets import load_dataset

model = keras.models.load_model(sys.argv[1], compile=False)
calibration = load_dataset().train.images[:128]
digests = {}
for kind, precision in itertools.product(Format, (Precision.FLOAT32, Precision.INT8)):
    content = convert(model, kind, precision, calibration)
    digests[f"{kind.value} {precision.value}"] = hashlib.sha256(content).hexdigest()
print(json.dumps(digests))
"""


def digests(hash_seed: str) -> dict[str, str]:
    """SHA-256 of each export, made in a process whose sets and dicts of strings have this order."""
    done = subprocess.run(
        [sys.executable, "-c", EXPORT, str(MODEL)],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    values: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return values


@pytest.mark.slow
def test_the_same_network_exported_twice_has_the_same_digests() -> None:
    first = digests("1")
    assert len(set(first.values())) == 4
    assert digests("2") == first
