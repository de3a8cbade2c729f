"""Every way this toolkit says no, in one tree.

    DigitsEdgeError                 anything below; ``exit_code`` is what a command line ends with
    ├── InputError                  what you passed is not what was asked for (exit code 2)
    ├── EngineError                 an inference engine is missing, or refused to run the model
    └── BundleError                 the artifact cannot be trusted, so it was not loaded
        ├── BundleNotFoundError     there is no bundle at that place (exit code 2)
        ├── ManifestError           manifest.json is malformed or contradicts itself
        ├── IntegrityError          a file is not, byte for byte, what the manifest says
        ├── SignatureError          it is not, byte for byte, what the owner of the trusted key signed
        ├── UnsafeModelError        the model file asks for more than its own bytes
        └── SelfTestError           the engine does not give the exporter's answers on this machine

One thing is only warned of: `InexactProcessorWarning`.

The other packages of the toolkit hang their own errors under the same root.
"""

from __future__ import annotations


class DigitsEdgeError(Exception):
    """Base of every error raised on purpose. The message says what came, what was expected and what to do.

    Attributes:
        exit_code: What a command line exits with: 1 for "refused", 2 for "asked for wrongly".
    """

    exit_code = 1


class InputError(DigitsEdgeError, ValueError):
    """An argument breaks its contract: wrong shape, type, range or path."""

    exit_code = 2


class EngineError(DigitsEdgeError):
    """An inference engine is not installed, or could not load or run the model."""


class BundleError(DigitsEdgeError):
    """A bundle was refused."""


class BundleNotFoundError(BundleError):
    """The path holds no bundle."""

    exit_code = 2


class ManifestError(BundleError):
    """``manifest.json`` is not valid, or has a schema this version does not know."""


class IntegrityError(BundleError):
    """A file's size or SHA-256 differs from the manifest, or a path leaves the bundle."""


class SignatureError(BundleError):
    """The bundle is unsigned, signed with another key, or changed since; or that cannot be checked."""


class UnsafeModelError(BundleError):
    """The model file refers to external data, custom operators or unknown domains, or is no model at all."""


class SelfTestError(BundleError):
    """The golden answers were not reproduced: this machine would compute wrong results."""


class InexactProcessorWarning(UserWarning):
    """The bundle's integers may saturate on this processor; the golden answers came out right, though."""
