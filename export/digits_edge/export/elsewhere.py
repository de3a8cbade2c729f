"""The same file in other engines: is it the file that says so, or the engine?

Reported, and no part of a gate. A bundle promises the runtime's engine, and that is what the gate looks at;
others round otherwise, and what they do is no fault of the file. But a file on which independent
implementations agree means what it says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from digits_edge.export.onnx_session import session_options
from digits_edge.runtime import Format
from digits_edge.runtime.engines import open_engine
from digits_edge.runtime.errors import EngineError
from digits_edge.trainer.confidence import Share
from digits_edge.trainer.runs import installed_version

if TYPE_CHECKING:
    from ai_edge_litert.interpreter import OpResolverType

IMAGES = 256
_FEW = 16  # for an engine that is written to be read, not to be quick
_SMALL = 10_000_000  # multiply-adds an image; above that, a few images are minutes in such an engine
_BATCH = 64
_REFERENCE_OPSET = 21
_OPENVINO = "onnxruntime_ep_openvino"

Answer = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


@dataclass(frozen=True)
class Elsewhere:
    """One other engine.

    Attributes:
        engine: Its name and version.
        same_label: The images that get the same label as in the runtime's engine; None where it has not run.
        max_logit_difference: Largest difference of a logit; None where it has not run.
        problem: Why it has not run; None where it has.
    """

    engine: str
    same_label: Share | None = None
    max_logit_difference: float | None = None
    problem: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "engine": self.engine,
            "same_label": None if self.same_label is None else self.same_label.to_json(),
            "max_logit_difference": self.max_logit_difference,
            "problem": self.problem,
        }


def run_elsewhere(
    format: Format, model: bytes, images: NDArray[np.uint8], *, multiply_adds: int | None = None
) -> tuple[Elsewhere, ...]:
    """Runs a file in every other engine that is installed, on the first 256 images.

    Args:
        format: File format.
        model: The verified bytes of the file.
        images: uint8 ``(N, 28, 28)``, one at least.
        multiply_adds: Of the network, an image; None where nobody knows. Slow engines run small networks
            only.

    Raises:
        EngineError: The runtime's own engine failed.
    """
    some = images[:IMAGES]
    expected = _batched(open_engine(format, model).logits, some)
    small = multiply_adds is not None and multiply_adds <= _SMALL
    others = _onnx_engines(model, small) if format is Format.ONNX else _tflite_engines(model, small)
    return tuple(_run(*other, some, expected) for other in others)


# An engine's name, how many images it is asked, and what opens it or says why it cannot be had.
_Other = tuple[str, int, "Callable[[], Answer] | str"]


def _run(
    engine: str,
    count: int,
    opener: Callable[[], Answer] | str,
    images: NDArray[np.uint8],
    expected: NDArray[np.float32],
) -> Elsewhere:
    if isinstance(opener, str):
        return Elsewhere(engine, problem=opener)
    try:
        answers = _batched(opener(), images[:count])
    except Exception as error:  # noqa: BLE001 (engines raise what they like; that one cannot is a finding)
        return Elsewhere(engine, problem=f"does not run the file: {' '.join(str(error).split())[:200]}")
    expected = expected[: len(answers)]
    return Elsewhere(
        engine,
        Share.true(expected.argmax(axis=1) == answers.argmax(axis=1)),
        float(np.abs(expected.astype(np.float64) - answers).max()),
    )


def _batched(answer: Answer, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.concatenate([answer(images[start : start + _BATCH]) for start in range(0, len(images), _BATCH)])


def _onnx_engines(model: bytes, small: bool) -> Iterator[_Other]:
    import onnxruntime as ort

    yield f"onnxruntime {ort.__version__}, no graph optimization", IMAGES, lambda: _unoptimized(model)
    version = installed_version("onnx")
    reference = f"onnx {version}, reference evaluator"
    if find_spec("onnx") is None:
        yield "onnx, reference evaluator", 0, "not installed"
    elif not small:
        yield reference, 0, "not asked: too slow for a network of this size"
    else:
        yield reference, _FEW, lambda: _reference(model)
    if find_spec(_OPENVINO) is None:
        yield "onnxruntime-ep-openvino", 0, "not installed"
    else:
        name = f"onnxruntime-ep-openvino {installed_version('onnxruntime-ep-openvino')}"
        yield name, IMAGES, lambda: _openvino(model)


def _unoptimized(model: bytes) -> Answer:
    """ONNX Runtime, node by node as the file has them: QDQ pairs are computed in float."""
    import onnxruntime as ort

    options = session_options()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return _session(ort.InferenceSession(model, options, providers=["CPUExecutionProvider"]))


def _openvino(model: bytes) -> Answer:
    """OpenVINO as a plugin of ONNX Runtime."""
    import onnxruntime as ort

    plugin = import_module(_OPENVINO)

    def devices() -> list[Any]:
        known = [device for device in ort.get_ep_devices() if device.ep_name.startswith("OpenVINO")]
        return [device for device in known if device.device.type == ort.OrtHardwareDeviceType.CPU]

    if not devices():  # a plugin is registered with the process, once
        ort.register_execution_provider_library(_OPENVINO, plugin.get_library_path())
    if not devices():
        ort.unregister_execution_provider_library(_OPENVINO)
        raise EngineError("the plugin offers no device on this processor")
    options = session_options()
    options.add_provider_for_devices(devices()[:1], {})
    return _session(ort.InferenceSession(model, options))


def _session(session: Any) -> Answer:
    (taken,), (given,) = session.get_inputs(), session.get_outputs()
    return lambda images: np.asarray(session.run([given.name], {taken.name: images})[0])


def _reference(model: bytes) -> Answer:
    """ONNX's own definition of its operators, in Python. It has the newer definitions of some only."""
    import onnx
    from onnx.reference import ReferenceEvaluator
    from onnx.version_converter import convert_version

    evaluator: Any = ReferenceEvaluator(convert_version(onnx.load_from_string(model), _REFERENCE_OPSET))
    (taken,), (given,) = evaluator.input_names, evaluator.output_names
    return lambda images: np.asarray(evaluator.run([given], {taken: images})[0])


def _tflite_engines(model: bytes, small: bool) -> Iterator[_Other]:
    import ai_edge_litert
    from ai_edge_litert.interpreter import OpResolverType

    litert = f"litert {ai_edge_litert.__version__}"
    plain, reference = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES, OpResolverType.BUILTIN_REF
    yield f"{litert}, own kernels without XNNPACK", IMAGES, lambda: _litert(model, plain)
    if small:
        yield f"{litert}, reference kernels", _FEW, lambda: _litert(model, reference)
    else:
        yield f"{litert}, reference kernels", 0, "not asked: too slow for a network of this size"


def _litert(model: bytes, kernels: OpResolverType) -> Answer:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=model, num_threads=1, experimental_op_resolver_type=kernels)
    taken, given = interpreter.get_input_details()[0], interpreter.get_output_details()[0]

    def answer(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        interpreter.resize_tensor_input(taken["index"], images.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(taken["index"], images)
        interpreter.invoke()
        raw = interpreter.get_tensor(given["index"])
        if raw.dtype == np.float32:
            return np.asarray(raw)
        scale, zero_point = given["quantization"]
        return np.asarray((raw.astype(np.float32) - np.float32(zero_point)) * np.float32(scale))

    return answer
