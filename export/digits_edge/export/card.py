"""``MODEL_CARD.md``: for model hubs in its front matter, for people below it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import Enum
from typing import Any

from digits_edge.export.parity import Parity
from digits_edge.runtime import Format, Manifest

_LIBRARIES = {Format.ONNX: "onnx", Format.TFLITE: "tflite"}  # the hubs' words


def model_card(manifest: Manifest, parity: Parity) -> str:
    """What it is, what it takes, how well it does.

    The front matter is what model hubs read (https://huggingface.co/docs/hub/model-cards). Every figure is
    the manifest's or the proof's.
    """
    return f"{_front_matter(manifest, parity)}\n{_text(manifest, parity)}"


def _front_matter(manifest: Manifest, parity: Parity) -> str:
    data = _training(manifest).get("data")
    dataset = (
        {"name": _quoted("MNIST"), "type": "mnist", "split": parity.held_out}
        # What else somebody trained on is no data set that a hub knows.
        if data is None
        else {"name": _quoted(data), "type": "custom", "split": parity.held_out}
    )
    tags = ("mnist", "digit-recognition", "edge", manifest.format.value, manifest.precision.value)
    lines = [
        "---",
        "license: apache-2.0",
        f"library_name: {_LIBRARIES[manifest.format]}",
        "pipeline_tag: image-classification",
        *_list("tags", tags),
        *(_list("datasets", ("mnist",)) if data is None else ()),
        *_list("metrics", ("accuracy",)),
        "model-index:",
        f"- name: {_quoted(f'{manifest.name}-{manifest.format.value}-{manifest.precision.value}')}",
        "  results:",
        "  - task:",
        "      type: image-classification",
        "    dataset:",
        *(f"      {name}: {value}" for name, value in dataset.items()),
        "    metrics:",
        *_metric("accuracy", "Accuracy", parity.accuracy_exported),
        *_metric("accuracy", "Accuracy of the Keras model it was made from", parity.accuracy_original),
        *_metric("agreement", "Same label as the Keras model", parity.agreement),
        "---",
        "",
    ]
    return "\n".join(lines)


def _list(name: str, items: tuple[str, ...]) -> list[str]:
    return [f"{name}:", *(f"- {item}" for item in items)]


def _metric(kind: str, name: str, value: float) -> list[str]:
    return [f"    - type: {kind}", f"      name: {_quoted(name)}", f"      value: {_number(value)}"]


def _quoted(text: object) -> str:
    """A string as YAML's double-quoted form, which JSON's is."""
    return json.dumps(str(text))


def _number(value: float) -> str:
    """A float as YAML 1.1 reads it: ``5e-05`` would be a word there, ``5.0e-05`` is a number."""
    digits, mark, exponent = repr(value).partition("e")
    return f"{digits}.0e{exponent}" if mark and "." not in digits else repr(value)


def _training(manifest: Manifest) -> dict[str, Any]:
    """The training's provenance in plain values: before it is written, enums stand in it."""
    training: Mapping[str, Any] = manifest.provenance.get("training", {})
    return {name: value.value if isinstance(value, Enum) else value for name, value in training.items()}


def _text(manifest: Manifest, parity: Parity) -> str:
    training = _training(manifest)
    return f"""# {manifest.name}, {manifest.format.value} {manifest.precision.value}

Recognizes a handwritten digit. Network `{training.get("architecture")}`, recipe `{training.get("recipe")}`,
seed {training.get("seed")}, trained on `{training.get("data") or "MNIST"}`.

| | |
|---|---|
| input | `{manifest.input.name}`: uint8 (N, 28, 28), 0 = background, 255 = ink |
| output | `{manifest.output.name}`: 10 logits |
| confidence | softmax of logits / {manifest.temperature:g}; {_rejection(manifest)} |
| file | `{manifest.model.path}`, {manifest.model.size:,} bytes |
| SHA-256 | `{manifest.model.sha256}` |
| exact on | {", ".join(manifest.safe_on)} |

## Use

```python
from digits_edge.runtime import Recognizer  # pip install digits-edge-runtime

with Recognizer.load("path of this directory") as recognizer:
    predictions = recognizer.predict(images)
```

Photographs, of any size and polarity: `digits-edge predict --bundle BUNDLE photo.png`.

## Made by

```sh
{_commands(manifest)}
```

## Is it still the same model?

Compared with the Keras model on {parity.images:,} {parity.held_out} images, through the runtime:

| | Keras | this file |
|---|---|---|
| accuracy | {parity.accuracy_original:.2%} | {parity.accuracy_exported:.2%} |
| images only it gets right | {parity.only_original_right} | {parity.only_exported_right} |

Agreement {parity.agreement:.2%}{_interval(parity)}; exact McNemar p = {parity.mcnemar_p:.3g}; largest
difference of a probability {parity.max_difference:.2g}, mean {parity.mean_difference:.2g}; calibration error
{parity.ece_original:.2%} before, {parity.ece_exported:.2%} after. To look at: `parity.html`. For programs:
`parity.json`.

## Limits

Digits only, one to an image, prepared as MNIST's are: anything else also gets one of ten answers. Trained and
tested on MNIST (LeCun, Cortes, Burges; CC BY-SA 3.0) unless said otherwise above; other writers, pens and
cameras differ.
"""


def _interval(parity: Parity) -> str:
    low, high = parity.same_label.interval
    return f" (95 % interval {low:.2%} – {high:.2%})"


def _commands(manifest: Manifest) -> str:
    return "\n".join(manifest.provenance.get("commands", ()))


def _rejection(manifest: Manifest) -> str:
    if not manifest.reject_threshold:
        return "nothing is rejected"
    return f"answers below {manifest.reject_threshold:g} are rejected"
