"""What can be measured: a bundle in the runtime, and what people would use without this project.

A subject is described by a few plain values that travel to the process that opens it. An opened subject takes
images as the test data has them, brings them into its input's form, answers, and reads labels off the answer;
only answering is timed, so the baselines get their float images for nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from digits_edge.runtime import Format, Precision, Predictions, Recognizer
from digits_edge.runtime.plan import available_processors

if TYPE_CHECKING:
    from ai_edge_litert.interpreter import Interpreter

Images = NDArray[np.uint8]
Labels = NDArray[np.int64]


class Kind(str, Enum):
    """What runs a subject.

    Attributes:
        RUNTIME: digits_edge.runtime, a bundle.
        KERAS: ``Model.predict`` with its default batch size, a .keras file.
        ONNXRUNTIME: Plain ONNX Runtime with default options, the whole batch at once, a .onnx file.
        LITERT: Plain LiteRT with a thread for each processor, the whole batch at once, a .tflite file.
    """

    RUNTIME = "runtime"
    KERAS = "keras"
    ONNXRUNTIME = "onnxruntime"
    LITERT = "litert"


@dataclass(frozen=True)
class Subject:
    """Something to be measured.

    Attributes:
        name: What to call it; unlike the others'.
        kind: What runs it.
        path: The bundle's directory, or the model file.
        format: File format of the model, or None for Keras' own.
        precision: Arithmetic.
    """

    name: str
    kind: Kind
    path: str
    format: Format | None
    precision: Precision

    @property
    def libraries(self) -> tuple[str, ...]:
        """Modules that it stands on; their import is not its own."""
        engines = {None: "keras", Format.ONNX: "onnxruntime", Format.TFLITE: "ai_edge_litert.interpreter"}
        return ("numpy", engines[self.format])

    def to_json(self) -> str:
        """As text, for the command line of another process."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Subject:
        """The reverse of ``to_json``."""
        values = json.loads(text)
        form = None if values["format"] is None else Format(values["format"])
        return cls(values["name"], Kind(values["kind"]), values["path"], form, Precision(values["precision"]))


class Opened(Protocol):
    """A subject that is ready to answer."""

    @property
    def engine(self) -> str:
        """Name and version of what computes."""

    def prepare(self, images: Images) -> NDArray[Any]:
        """uint8 ``(N, 28, 28)`` in the form that ``answer`` takes, along the same first axis. Not timed."""

    def answer(self, prepared: NDArray[Any]) -> object:
        """What is timed."""

    def labels(self, answer: Any) -> Labels:
        """int64 ``(N,)``, from what ``answer`` gave. Not timed."""


def open_subject(subject: Subject, *, workers: int | None = None) -> Opened:
    """Loads what is needed to answer.

    Args:
        subject: What to open.
        workers: Threads of the runtime, or None for its default. Must be None for others.

    Raises:
        DigitsEdgeError: A bundle was refused, or an engine is missing or does not take the model.
    """
    match subject.kind:
        case Kind.RUNTIME:
            return _Runtime(subject.path, workers)
        case Kind.KERAS:
            return _Keras(subject.path)
        case Kind.ONNXRUNTIME:
            return _Onnx(subject.path)
        case Kind.LITERT:
            return _LiteRt(subject.path)


class _Runtime:
    def __init__(self, bundle: str, workers: int | None) -> None:
        self._recognizer = Recognizer.load(bundle, workers=workers)
        self.engine = self._recognizer.engine

    def prepare(self, images: Images) -> Images:
        return images

    def answer(self, prepared: Images) -> Predictions:
        return self._recognizer.predict(prepared)

    def labels(self, answer: Predictions) -> Labels:
        return answer.labels


class _Probabilities:
    """What the baselines have in common: they answer with ten numbers an image."""

    def labels(self, answer: NDArray[Any]) -> Labels:
        labels: Labels = answer.argmax(axis=1)
        return labels


class _Keras(_Probabilities):
    def __init__(self, model: str) -> None:
        from digits_edge.export.baselines import keras_predict

        self._predict: Callable[[NDArray[np.float32]], NDArray[np.float32]]
        self._predict, self.engine = keras_predict(Path(model))

    def prepare(self, images: Images) -> NDArray[np.float32]:
        return _floats(images)

    def answer(self, prepared: NDArray[np.float32]) -> NDArray[np.float32]:
        return self._predict(prepared)


class _Onnx(_Probabilities):
    def __init__(self, model: str) -> None:
        import onnxruntime as ort

        # The provider is named because some builds of ONNX Runtime ask for it; it is the only one of the
        # plain build.
        self._session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name
        self.engine = f"onnxruntime {ort.__version__}"

    def prepare(self, images: Images) -> NDArray[np.float32]:
        return _floats(images)

    def answer(self, prepared: NDArray[np.float32]) -> NDArray[np.float32]:
        outputs: list[NDArray[np.float32]] = self._session.run(None, {self._input: prepared})
        return outputs[0]


class _LiteRt(_Probabilities):
    def __init__(self, model: str) -> None:
        import ai_edge_litert
        from ai_edge_litert.interpreter import Interpreter

        # By default LiteRT has one thread only; with one for each processor it is no easy opponent.
        self._interpreter: Interpreter = Interpreter(model_path=model, num_threads=available_processors())
        self._input = self._interpreter.get_input_details()[0]["index"]
        self._output = self._interpreter.get_output_details()[0]["index"]
        self._batch = 0
        self.engine = f"litert {ai_edge_litert.__version__}"

    def prepare(self, images: Images) -> Images:
        return images[..., None]

    def answer(self, prepared: Images) -> NDArray[np.uint8]:
        if len(prepared) != self._batch:
            self._interpreter.resize_tensor_input(self._input, prepared.shape)
            self._interpreter.allocate_tensors()
            self._batch = len(prepared)
        self._interpreter.set_tensor(self._input, prepared)
        self._interpreter.invoke()
        answer: NDArray[np.uint8] = self._interpreter.get_tensor(self._output)
        return answer


def _floats(images: Images) -> NDArray[np.float32]:
    """Pixels as a network takes them that nobody prepared: float32 ``(N, 28, 28, 1)`` in [0, 1]."""
    return (images.astype(np.float32) / np.float32(255))[..., None]
