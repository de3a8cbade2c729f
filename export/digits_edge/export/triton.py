"""A model repository for the servers Triton and KServe, from a proved ONNX bundle.

    REPOSITORY/NAME/config.pbtxt    what the server must know
    REPOSITORY/NAME/labels.txt      what the outputs mean, for its classification extension
    REPOSITORY/NAME/1/model.onnx    the bundle's model file, byte for byte

The format: https://github.com/triton-inference-server/server/blob/main/docs/user_guide/model_configuration.md
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from digits_edge.export.publish import Kind, discard, publish, stage
from digits_edge.runtime import Format, InputError, Manifest, read_bundle

CONFIG_FILE = "config.pbtxt"
LABELS_FILE = "labels.txt"
_KIND = Kind(CONFIG_FILE, "Triton model")

# Measured in our own runtime: throughput peaks at batches of 8 to 64, and is lower at 512.
_PREFERRED_BATCHES = (8, 32)
_LARGEST_BATCH = 64
_LONGEST_WAIT = 500  # microseconds that a request may wait for others to share its batch


def require_onnx(formats: Sequence[Format]) -> None:
    """Refuses what Triton cannot serve, before it is exported.

    Raises:
        InputError: There is another format than ONNX.
    """
    if any(kind is not Format.ONNX for kind in formats):
        raise InputError("Triton has no backend that runs TFLite files; export for it with --format onnx")


def write_repository(bundle: Path, repository: Path) -> Path:
    """Writes a bundle as a model of a repository; an older one of that name is replaced.

    Args:
        bundle: A published ONNX bundle; it is verified first.
        repository: The repository's directory; made if it is not there.

    Returns:
        The model's directory, ``repository / NAME``.

    Raises:
        BundleError: The bundle was refused.
        InputError: It is a TFLite bundle, or its name is no file name.
        ExportError: The place cannot be written to, or holds something that is no such model.
    """
    read = read_bundle(bundle)
    manifest = read.manifest
    require_onnx([manifest.format])
    name = f"{manifest.name}-{manifest.format.value}-{manifest.precision.value}"
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise InputError(f"{bundle}: name {manifest.name!r} is no file name; export it with another --name")
    target = repository / name
    files = {
        CONFIG_FILE: triton_config(manifest, name).encode(),
        LABELS_FILE: ("\n".join(manifest.labels) + "\n").encode(),
        "1/model.onnx": read.model,
    }
    staging = stage(target, files, _KIND)
    try:
        publish(staging, target)
    finally:
        discard(staging)
    return target


def triton_config(manifest: Manifest, name: str) -> str:
    """The text of ``config.pbtxt``.

    Args:
        manifest: The bundle's.
        name: The model's name, that of its directory.
    """
    output = manifest.output
    return f"""# Output: logits. Confidence: max softmax(logits / temperature); reject below reject_threshold.
name: {_quoted(name)}
platform: "onnxruntime_onnx"
backend: "onnxruntime"
max_batch_size: {_LARGEST_BATCH}
input [
  {{ name: {_quoted(manifest.input.name)} data_type: TYPE_UINT8 dims: {list(manifest.input.shape)} }}
]
output [
  {{
    name: {_quoted(output.name)} data_type: TYPE_FP32 dims: {list(output.shape)}
    label_filename: "{LABELS_FILE}"
  }}
]
dynamic_batching {{
  preferred_batch_size: {list(_PREFERRED_BATCHES)}
  max_queue_delay_microseconds: {_LONGEST_WAIT}
}}
instance_group [
  {{ kind: KIND_CPU count: 1 }}
]
{_parameter("temperature", repr(manifest.temperature))}
{_parameter("reject_threshold", repr(manifest.reject_threshold))}
{_parameter("safe_on", ", ".join(manifest.safe_on))}
{_parameter("model_sha256", manifest.model.sha256)}
"""


def _parameter(name: str, value: str) -> str:
    return f"parameters {{ key: {_quoted(name)} value: {{ string_value: {_quoted(value)} }} }}"


def _quoted(text: str) -> str:
    """A string of protobuf's text format, which knows JSON's escapes: a manifest may say anything."""
    return json.dumps(text)
