"""The export's errors, under the runtime's root.

    DigitsEdgeError
    └── ExportError
        ├── UnsupportedLayerError   the network has a layer that cannot be exported exactly
        ├── ConversionError         a converter failed, or gave something else than was asked for
        └── ParityError             the exported file is not the same model; nothing was published

A run or data that cannot be used is the trainer's error, a bundle that cannot be run the runtime's.
"""

from __future__ import annotations

from digits_edge.runtime.errors import DigitsEdgeError


class ExportError(DigitsEdgeError):
    """Base of the export's errors."""


class UnsupportedLayerError(ExportError):
    """The network has a layer, or an order of layers, that cannot be exported exactly."""


class ConversionError(ExportError):
    """A converter failed, or its result does not have the promised form."""


class ParityError(ExportError):
    """The exported model misses its gate. The message has the figures."""
