"""The inference engines behind one protocol: ONNX Runtime's CPU provider, and LiteRT."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from digits_edge.runtime.errors import EngineError
from digits_edge.runtime.manifest import Format

if TYPE_CHECKING:
    from ai_edge_litert.interpreter import Interpreter

_OUTPUTS = 10


class Engine(Protocol):
    """Runs one model. Safe to call from several threads; each call computes on the calling thread alone."""

    @property
    def name(self) -> str:
        """Name and version of the library."""

    def logits(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """uint8 ``(N, 28, 28)`` to float32 ``(N, 10)``.

        Raises:
            EngineError: The engine failed, or answered in another shape.
        """


def open_engine(format: Format, model: bytes) -> Engine:
    """The engine for a model whose bytes were verified.

    Raises:
        EngineError: It is not installed, or does not take the model.
    """
    return OnnxEngine(model) if format is Format.ONNX else LiteRtEngine(model)


class OnnxEngine:
    """ONNX Runtime's CPU provider: one single-threaded session that any number of threads share.

    ``InferenceSession.run`` releases the interpreter lock, and two callers on one session are 5–20 % faster
    than one caller with two intra-op threads: they never wait for each other.
    """

    def __init__(self, model: bytes) -> None:
        import onnxruntime as ort

        # A device reports nothing to anyone (only Windows builds would).
        ort.disable_telemetry_events()
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 4  # what fails is raised, and told once
        # Otherwise the file chooses its parser, and ONNX Runtime has one more than `check_onnx` knows.
        options.add_session_config_entry("session.load_model_format", "ONNX")
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry("session.inter_op.allow_spinning", "0")
        try:
            self._session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's errors share no base class
            raise EngineError(f"ONNX Runtime {ort.__version__} does not take the model: {error}") from error
        self._name = f"onnxruntime {ort.__version__}"
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        types = [value.type for value in (*inputs, *outputs)]
        if len(inputs) != 1 or types != ["tensor(uint8)", "tensor(float)"]:
            raise EngineError(
                f"the model's inputs and outputs are {', '.join(types)[:200]}; "
                "expected one tensor(uint8) in and one tensor(float) out"
            )
        self._input, self._output = inputs[0].name, [outputs[0].name]

    @property
    def name(self) -> str:
        return self._name

    def logits(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        try:
            outputs = self._session.run(self._output, {self._input: images})
        except Exception as error:  # as above
            raise EngineError(f"{self._name} failed: {error}") from error
        return _checked(outputs[0], len(images))


class LiteRtEngine:
    """LiteRT with its XNNPACK kernels. An interpreter serves one thread at a time, so callers borrow one."""

    def __init__(self, model: bytes) -> None:
        try:
            import ai_edge_litert
            import ai_edge_litert.interpreter  # its native part: may not load where the package is there
        except ImportError as error:
            raise EngineError(
                'TFLite bundles need LiteRT; install it with `pip install "digits-edge-runtime[litert]"`'
            ) from error
        self._model = model
        self._name = f"litert {ai_edge_litert.__version__}"
        # A list, whose append and pop are atomic: a lock could be held for ever in a forked child.
        self._idle = [_Interpreter(model)]  # a model that cannot be loaded fails here, not at the first call

    @property
    def name(self) -> str:
        return self._name

    def logits(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        try:
            interpreter = self._idle.pop()
        except IndexError:
            interpreter = _Interpreter(self._model)
        try:
            return interpreter.logits(images)
        finally:
            self._idle.append(interpreter)


class _Interpreter:
    """One LiteRT interpreter, resized to the batch at hand."""

    def __init__(self, model: bytes) -> None:
        from ai_edge_litert.interpreter import Interpreter

        try:
            self._interpreter: Interpreter = Interpreter(model_content=model, num_threads=1)
            inputs, outputs = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        except (ValueError, RuntimeError) as error:
            raise EngineError(f"LiteRT does not take the model: {error}") from error
        if len(inputs) != 1 or len(outputs) != 1:
            raise EngineError(
                f"the model has {len(inputs)} inputs and {len(outputs)} outputs; expected one of each"
            )
        self._input: dict[str, Any] = inputs[0]
        self._output: dict[str, Any] = outputs[0]
        self._batch = 0

    def logits(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        try:
            if len(images) != self._batch:
                self._interpreter.resize_tensor_input(self._input["index"], images.shape)
                self._interpreter.allocate_tensors()
                self._batch = len(images)
            self._interpreter.set_tensor(self._input["index"], images)
            self._interpreter.invoke()
            raw = self._interpreter.get_tensor(self._output["index"])
        except (ValueError, RuntimeError) as error:
            self._batch = 0
            raise EngineError(f"LiteRT failed: {error}") from error
        if raw.dtype != np.float32:
            scale, zero_point = self._output["quantization"]
            raw = (raw.astype(np.float32) - np.float32(zero_point)) * np.float32(scale)
        return _checked(raw, len(images))


def _checked(logits: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    if logits.shape != (count, _OUTPUTS):
        raise EngineError(
            f"the model answers {count} images with shape {logits.shape}; expected ({count}, {_OUTPUTS})"
        )
    return logits
