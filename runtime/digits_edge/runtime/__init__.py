"""Runs a digits-edge bundle on a CPU; needs numpy and onnxruntime only.

Example:
    >>> from digits_edge.runtime import Recognizer
    >>> with Recognizer.load("bundle") as recognizer:
    ...     predictions = recognizer.predict(images)  # uint8 (N, 28, 28), 0 = background, 255 = ink
    >>> predictions.labels, predictions.confidence, predictions.rejected
"""

from digits_edge.runtime.bundle import Bundle, Golden, default_bundle, read_bundle
from digits_edge.runtime.errors import (
    BundleError,
    BundleNotFoundError,
    DigitsEdgeError,
    EngineError,
    InexactProcessorWarning,
    InputError,
    IntegrityError,
    ManifestError,
    SelfTestError,
    SignatureError,
    UnsafeModelError,
)
from digits_edge.runtime.images import as_images, normalize
from digits_edge.runtime.manifest import FileEntry, Format, Manifest, Pixels, Precision, Tensor
from digits_edge.runtime.plan import Plan
from digits_edge.runtime.predictions import Prediction, Predictions
from digits_edge.runtime.recognizer import Recognizer

__all__ = [
    "Bundle",
    "BundleError",
    "BundleNotFoundError",
    "DigitsEdgeError",
    "EngineError",
    "FileEntry",
    "Format",
    "Golden",
    "InexactProcessorWarning",
    "InputError",
    "IntegrityError",
    "Manifest",
    "ManifestError",
    "Pixels",
    "Plan",
    "Precision",
    "Prediction",
    "Predictions",
    "Recognizer",
    "SelfTestError",
    "SignatureError",
    "Tensor",
    "UnsafeModelError",
    "as_images",
    "default_bundle",
    "normalize",
    "read_bundle",
]
