"""What is in a bundle, from the bundle alone: its manifest, and layer by layer its file, noise and time."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Any

import numpy as np

from digits_edge.export.layer_times import Times, profile_onnx
from digits_edge.export.layers import Contents, Layer
from digits_edge.runtime import Bundle, Format, InputError, Manifest, read_bundle
from digits_edge.runtime.engines import open_engine
from digits_edge.trainer.errors import SetupError

LARGEST_BATCH = 4096
_NEEDED = {Format.ONNX: "onnx", Format.TFLITE: "ai_edge_litert"}
_NO_PROFILER = "time by layer: not measured; LiteRT's Python package has no profiler"


@dataclass(frozen=True)
class Inspection:
    """A bundle, taken apart.

    Attributes:
        bundle: Where it lies.
        manifest: What it says of itself.
        engine: Name and version of what ran it.
        golden_difference: Largest difference between a golden logit and this machine's.
        contents: The model file by layers, noise and time included.
        times: Where the time of a call goes; None of a TFLite file.
        notes: What is not there, and why.
    """

    bundle: str
    manifest: Manifest
    engine: str
    golden_difference: float
    contents: Contents
    times: Times | None
    notes: tuple[str, ...]

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers, in the order of computation."""
        return self.contents.layers

    def summary(self) -> dict[str, Any]:
        """The manifest's main fields, and how it was made."""
        manifest = self.manifest
        commands = manifest.provenance.get("commands")
        return {
            "name": manifest.name,
            "format": manifest.format.value,
            "precision": manifest.precision.value,
            "file": manifest.model.path,
            "bytes": manifest.model.size,
            "sha256": manifest.model.sha256,
            "temperature": manifest.temperature,
            "reject_threshold": manifest.reject_threshold,
            "safe_on": list(manifest.safe_on),
            "golden_tolerance": manifest.golden_tolerance,
            "golden_difference": self.golden_difference,
            "engine": self.engine,
            "commands": [str(command) for command in commands] if isinstance(commands, list) else [],
        }

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "bundle": self.bundle,
            "manifest": self.summary(),
            "operators": dict(self.contents.operators),
            "layers": [layer.to_json() for layer in self.layers],
            "other_bytes": self.contents.other_size,
            "times": None if self.times is None else self.times.to_json(),
            "notes": list(self.notes),
        }


def inspect_bundle(path: str | os.PathLike[str], *, batch: int = 1) -> Inspection:
    """Takes a bundle apart. Needs neither the run it was made of, nor data, nor TensorFlow.

    Args:
        path: The bundle's directory.
        batch: Images a call while the time is taken, 1 to 4096.

    Raises:
        InputError: ``batch`` is out of range.
        SetupError: What reads the file is not installed.
        BundleError: There is no bundle, or it was refused.
        EngineError: The engine does not take the model.
    """
    if not 1 <= batch <= LARGEST_BATCH:
        raise InputError(f"batch is {batch}; expected 1 to {LARGEST_BATCH}")
    bundle = read_bundle(path)
    manifest = bundle.manifest
    if find_spec(needed := _NEEDED[manifest.format]) is None:
        raise SetupError(
            f"looking into {manifest.format.value} files needs {needed}, which is not installed; "
            'install it with: pip install "digits-edge[export]"'
        )
    # The engine verifies the file's structure; nothing reads it before.
    engine = open_engine(manifest.format, bundle.model)
    answers = engine.logits(bundle.golden.images)
    contents, noise, times = _onnx(bundle, batch) if manifest.format is Format.ONNX else _tflite(bundle)
    return Inspection(
        bundle=os.fspath(path),
        manifest=manifest,
        engine=engine.name,
        golden_difference=float(np.abs(answers - bundle.golden.logits).max()),
        contents=_measured(contents, noise, times),
        times=times,
        notes=tuple(_notes(contents, noise, times)),
    )


Noise = Mapping[str, "float | None"]


def _onnx(bundle: Bundle, batch: int) -> tuple[Contents, Noise, Times | None]:
    from digits_edge.export.layers_onnx import read_onnx
    from digits_edge.export.noise_onnx import onnx_noise
    from digits_edge.export.onnx_graph import OnnxGraph

    graph = OnnxGraph(bundle.model)
    contents = read_onnx(graph, len(bundle.model))
    noise = onnx_noise(graph, bundle.golden.images)
    images = np.resize(bundle.golden.images, (batch, 28, 28))  # one after the other, over and over
    return contents, noise, profile_onnx(bundle.model, [layer.name for layer in contents.layers], images)


def _tflite(bundle: Bundle) -> tuple[Contents, Noise, Times | None]:
    from digits_edge.export.layers_tflite import read_tflite
    from digits_edge.export.noise_tflite import tflite_noise
    from digits_edge.export.tflite_graph import TfliteGraph

    contents = read_tflite(TfliteGraph(bundle.model), len(bundle.model))
    return contents, tflite_noise(bundle.model, bundle.golden.images), None


def _measured(contents: Contents, noise: Noise, times: Times | None) -> Contents:
    """The layers with what was measured of them."""
    layers = tuple(
        replace(
            layer,
            output_sqnr=noise.get(layer.name),
            microseconds=None if times is None else times.layers[layer.name],
        )
        for layer in contents.layers
    )
    return replace(contents, layers=layers)


def _notes(contents: Contents, noise: Noise, times: Times | None) -> list[str]:
    notes = []
    if not any(ratio is not None for ratio in noise.values()):
        rounded = any(layer.weights_sqnr is not None for layer in contents.layers)
        what = "only weights are rounded" if rounded else "nothing is rounded"
        notes.append(f"noise of the outputs: none; {what}, the arithmetic is float32")
    if times is None:
        notes.append(_NO_PROFILER)
    return notes
