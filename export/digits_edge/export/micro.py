"""A model for microcontrollers: C sources of a proved int8 bundle, proved again in TensorFlow Lite Micro.

The second proof takes 2,000 images; a large network, slow there, gets fewer (`images_for`).

    NAME_model.h      what to include, and what the model takes and gives
    NAME_model.c      the TFLite file as an array, and what its logits mean
    NAME_example.cc   reads a digit with TensorFlow Lite Micro
    README.md         what to compile, how much memory it takes, how it was proved
    micro.json        the same for programs
    LICENSE

``micro.json``, schema 1::

    name                 the model's name
    model_sha256         SHA-256 of the array, which is the bundle's model file byte for byte
    flash_bytes          its length; TFLM's own code and its kernels come on top
    arena                bytes of RAM: total (the least that works), head (activations and scratch),
                         tail (what stays), recommended (what the example sets aside)
    operators            methods of tflite::MicroMutableOpResolver to call
    input, output        scale and zero_point: a quantized value q stands for scale * (q - zero_point)
    temperature, reject_threshold    the bundle's
    proof                images, held_out (where they come from), accuracy (of TFLM), accuracy_litert,
                         agreement (part with the same label), disagreements, largest_step (difference of a
                         quantized logit)
    versions             of what proved it
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from digits_edge.export.micro_proof import MicroProof, images_for, prove, require_golden_answers
from digits_edge.export.micro_source import example_source, identifier, model_header, model_source, readme
from digits_edge.export.original import StepWatcher
from digits_edge.export.publish import Kind, discard, publish, stage
from digits_edge.export.sampling import evenly
from digits_edge.export.tflite_graph import TfliteGraph
from digits_edge.export.tflm import Arena, Quantization, Tflm, require_tflm, resolver_methods
from digits_edge.runtime import Bundle, Format, InputError, Manifest, Precision, read_bundle
from digits_edge.runtime.engines import open_engine
from digits_edge.trainer.datasets import Split
from digits_edge.trainer.runs import installed_version
from digits_edge.trainer.subject import held_out, open_subject

MICRO_FILE = "micro.json"

_KIND = Kind(MICRO_FILE, "export of C sources")
_SCHEMA = 1


@dataclass(frozen=True)
class Micro:
    """C sources that were proved.

    Attributes:
        path: Their directory.
        name: The model's name.
        model_sha256: Digest of the model, the bundle's byte for byte.
        flash_bytes: Size of the model; TFLM and its kernels come on top.
        arena: RAM that it needs.
        operators: Methods of ``tflite::MicroMutableOpResolver`` to call.
        input: Quantization of the pixels.
        output: Quantization of the logits.
        proof: The proof.
    """

    path: Path
    name: str
    model_sha256: str
    flash_bytes: int
    arena: Arena
    operators: tuple[str, ...]
    input: Quantization
    output: Quantization
    proof: MicroProof

    def to_json(self) -> dict[str, Any]:
        """Plain values, for scripts; without the path, and with more, they are ``micro.json``."""
        return {
            "path": str(self.path),
            "name": self.name,
            "model_sha256": self.model_sha256,
            "flash_bytes": self.flash_bytes,
            "arena": {**asdict(self.arena), "recommended": self.arena.recommended},
            "operators": list(self.operators),
            "input": asdict(self.input),
            "output": asdict(self.output),
            "proof": self.proof.to_json(),
        }


def export_micro(
    bundle: Path,
    out: Path,
    held_out: Split,
    watcher: StepWatcher,
    *,
    held_out_name: str = "test",
    images: int | None = None,
) -> Micro:
    """Writes a bundle's model as C sources, once TFLM has shown that it computes the same.

    Args:
        bundle: A published int8 TFLite bundle; it is verified first.
        out: Directory that the sources' directory, ``NAME-c-int8``, goes to; an older one is replaced.
        held_out: Images that training never saw.
        watcher: Told how the proof goes.
        held_out_name: Where they come from: ``test`` or ``validation``.
        images: How many of them to prove it on, spread evenly; by default as many as `images_for` says.

    Raises:
        SetupError: TFLM is not installed.
        BundleError: The bundle was refused.
        EngineError: LiteRT does not take the model.
        InputError: It is of another format or precision, has layers in float, its name is no file name, or
            there are no images.
        ConversionError: TFLM does not run the model.
        ParityError: TFLM answers otherwise than LiteRT; nothing was published. The message has the figures.
        ExportError: The place cannot be written to, or holds something else.
    """
    staging, micro = stage_micro(bundle, out, held_out, watcher, held_out_name=held_out_name, images=images)
    try:
        publish(staging, micro.path)
    finally:
        discard(staging)
    return micro


def sources_of(bundle: Path, out: Path, watcher: StepWatcher) -> Micro:
    """`export_micro` on the images that the bundle's own training never saw.

    Raises:
        InputError: It was trained on other data than the bundled MNIST.
        DataError: MNIST's files are damaged.
        DigitsEdgeError: As in `export_micro`.
    """
    require_tflm()
    with open_subject(bundle) as subject:
        trained = subject.trained_on
        if trained is not None and trained.data is not None:
            raise InputError(
                f"{bundle}: trained on {trained.data}, of which its run alone knows what was held out; "
                "export the run with --format c"
            )
        data = held_out(subject, None)
    return export_micro(bundle, out, data.split, watcher, held_out_name=data.part)


def stage_micro(
    bundle: Path,
    out: Path,
    held_out: Split,
    watcher: StepWatcher,
    *,
    held_out_name: str = "test",
    images: int | None = None,
) -> tuple[Path, Micro]:
    """`export_micro` but for the publishing: for exports that publish all they make, or nothing.

    The bundle may be a staged one itself. Arguments and errors are those of `export_micro`.

    Returns:
        The staging directory, to be published at `Micro.path` or discarded, and what is in it.
    """
    read = read_bundle(bundle)
    manifest = read.manifest
    require_int8_tflite(manifest)
    images = images_for(manifest.provenance.get("multiply_adds")) if images is None else images
    if images < 1:
        raise InputError(f"{images} images; expected at least one to prove the model on")
    litert = open_engine(Format.TFLITE, read.model)  # first, as it checks that the file is whole
    _require_integers(read)
    operators = resolver_methods(read.model)
    arena = _arena(read)
    tflm = Tflm(read.model, arena.recommended)  # the proof runs in the arena that the example sets aside
    require_golden_answers(tflm, read)
    rows = evenly(len(held_out), images)
    micro = Micro(
        path=out / f"{manifest.name}-c-{manifest.precision.value}",
        name=manifest.name,
        model_sha256=manifest.model.sha256,
        flash_bytes=len(read.model),
        arena=arena,
        operators=operators,
        input=tflm.input,
        output=tflm.output,
        proof=prove(tflm, litert, held_out.take(rows), held_out_name, watcher),
    )
    return stage(micro.path, _files(micro, read), _KIND), micro


def require_int8_tflite(manifest: Manifest) -> None:
    """Refuses a bundle that is nothing for a microcontroller.

    Raises:
        InputError: It is no int8 TFLite bundle, or its name cannot be part of a file's name.
    """
    if (manifest.format, manifest.precision) != (Format.TFLITE, Precision.INT8):
        raise InputError(
            f"{manifest.name} is {manifest.format.value} {manifest.precision.value}; C sources are made of "
            "int8 TFLite bundles: export with --format tflite --precision int8"
        )
    # It stands in comments of the sources too, which it must not end.
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", manifest.name):
        raise InputError(f"name {manifest.name!r} is no file name; export the bundle with another --name")


def _require_integers(bundle: Bundle) -> None:
    """Refuses what `export` repaired by layers put back to float.

    Raises:
        InputError: There is a tensor of floats.
    """
    graph = TfliteGraph(bundle.model)
    if any(graph.dtype(index).startswith("float") for index in range(len(graph.tensors))):
        raise InputError(
            f"{bundle.manifest.name} has layers in float, which a microcontroller lacks; export the run with "
            "--format c"
        )


def _arena(bundle: Bundle) -> Arena:
    """What TFLM says it needs once the model has answered."""
    tflm = Tflm(bundle.model)
    tflm.answer(bundle.golden.images[0])
    return tflm.arena()


def _files(micro: Micro, bundle: Bundle) -> dict[str, bytes]:
    name, manifest = identifier(micro.name), bundle.manifest
    image = bundle.golden.images[-1]  # a 9: a 0 would prove little
    label = int(bundle.golden.logits[-1].argmax())
    texts = {
        f"{name}_model.h": model_header(micro, manifest),
        f"{name}_model.c": model_source(micro, manifest, bundle.model),
        f"{name}_example.cc": example_source(micro, manifest, image, label),
        "README.md": readme(micro, manifest, installed_version("tflite-micro")),
        MICRO_FILE: _record(micro, manifest),
        "LICENSE": Path(__file__).with_name("LICENSE").read_text("utf-8"),
    }
    return {name: text.encode() for name, text in texts.items()}


def _record(micro: Micro, manifest: Manifest) -> str:
    values = micro.to_json()
    del values["path"]
    record = {
        "schema": _SCHEMA,
        **values,
        "temperature": manifest.temperature,
        "reject_threshold": manifest.reject_threshold,
        "versions": {
            name: installed_version(name)
            for name in ("digits-edge", "tflite-micro", "ai-edge-litert", "numpy")
        },
    }
    return json.dumps(record, indent=2) + "\n"
