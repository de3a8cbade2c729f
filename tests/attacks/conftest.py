"""A forger of bundles, and a device that is asked to load them.

A forger can do all that whoever publishes a bundle can: the manifest's digests are then right. The device is
a fresh interpreter that loads what it is told to and says how that ended; no attack may get as far as the
inference engines, so it also says which of them it has imported.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from digits_edge.runtime import DigitsEdgeError

GOLDEN = Path(__file__).parents[1] / "golden"
PATIENCE = 60  # seconds until an answer counts as a hang

DEVICE = """
import json, resource, sys
from digits_edge.runtime import DigitsEdgeError, Recognizer

for line in sys.stdin:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        Recognizer.load(**json.loads(line)).close()
        answer = {"error": None, "message": "loaded"}
    except DigitsEdgeError as error:
        answer = {"error": type(error).__name__, "message": str(error)}
    except BaseException as error:
        answer = {"error": "not ours: " + type(error).__name__, "message": str(error)}
    answer["grown"] = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    answer["engines"] = [name for name in ("onnxruntime", "ai_edge_litert") if name in sys.modules]
    print(json.dumps(answer), flush=True)
"""


class Device:
    """Loads bundles in an interpreter of its own, replaced when it has imported an engine or died."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def ask(self, bundle: Path, **options: str) -> dict[str, Any]:
        """How loading a bundle with these options ended."""
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-c", DEVICE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        impatience = threading.Timer(PATIENCE, process.kill)
        impatience.start()
        process.stdin.write(json.dumps({"bundle": str(bundle), **options}) + "\n")
        process.stdin.flush()
        line = process.stdout.readline()
        impatience.cancel()
        if not line:
            self.close()
            pytest.fail(f"loading {bundle} hung, or killed the process")
        answer: dict[str, Any] = json.loads(line)
        if answer["engines"]:
            self.close()
        return answer

    def close(self) -> None:
        if self._process is not None:
            self._process.communicate()
            self._process = None


class Forger:
    """Changes a copy of a real bundle.

    Attributes:
        path: The bundle.
        model: Its model file.
        golden: Its golden answers.
        manifest: Its manifest.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.manifest = path / "manifest.json"
        self.model = path / self.values()["model"]["path"]
        self.golden = path / "golden.npz"

    def values(self) -> dict[str, Any]:
        """The manifest's values."""
        values: dict[str, Any] = json.loads(self.manifest.read_text("utf-8"))
        return values

    def declare(self, **fields: Any) -> Path:
        """Sets fields of the manifest, ``model_path`` for a nested one; returns the bundle."""
        values = self.values()
        for field, value in fields.items():
            outer, _, name = field.partition("_")
            if name and isinstance(values.get(outer), dict):
                values[outer][name] = value
            else:
                values[field] = value
        self.manifest.write_text(json.dumps(values), "utf-8")
        return self.path

    def seal(self, *, model: bytes | None = None, golden: bytes | None = None) -> Path:
        """Puts other files in, and their sizes and digests into the manifest; returns the bundle."""
        for name, file, content in (("model", self.model, model), ("golden", self.golden, golden)):
            if content is not None:
                file.write_bytes(content)
                digest = hashlib.sha256(content).hexdigest()
                self.declare(**{f"{name}_size": len(content), f"{name}_sha256": digest})
        return self.path


@pytest.fixture(scope="session")
def device() -> Iterator[Device]:
    device = Device()
    yield device
    device.close()


@pytest.fixture
def refused(device: Device) -> Callable[[Path, type[DigitsEdgeError], str], dict[str, Any]]:
    """Asserts that a bundle is refused with this type and message, before any engine is imported."""

    def check(bundle: Path, error: type[DigitsEdgeError], message: str) -> dict[str, Any]:
        answer = device.ask(bundle)
        assert answer["error"] == error.__name__, answer
        assert re.search(message, answer["message"]), answer
        assert answer["message"].startswith(f"{bundle}: "), answer
        assert answer["engines"] == []
        return answer

    return check


@pytest.fixture
def forger(tmp_path: Path) -> Forger:
    """A float32 ONNX bundle to be forged."""
    return Forger(shutil.copytree(GOLDEN / "tiny-onnx-float32", tmp_path / "onnx"))


@pytest.fixture
def tflite_forger(tmp_path: Path) -> Forger:
    """An int8 TFLite bundle to be forged."""
    return Forger(shutil.copytree(GOLDEN / "tiny-tflite-int8", tmp_path / "tflite"))


@pytest.fixture(scope="session")
def hostile() -> Path:
    """Folder of the hostile model files."""
    return GOLDEN / "hostile"
