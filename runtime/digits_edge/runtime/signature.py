"""Whose bundle is it? Checks an OpenSSF model signature against the public key that a device trusts.

The signature is what the package ``model-signing`` writes with a plain elliptic-curve key: a Sigstore bundle
around a DSSE envelope around an in-toto statement of every file's SHA-256. That package's own verifier hashes
paths, which may change before they are read again, and brings some thirty packages along. Here the signature
is checked with ``cryptography`` alone, and its digests are for the caller to compare with the bytes it uses.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from digits_edge.runtime.errors import InputError, SignatureError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

SIGNATURE_FILE = "model.sig"  # model-signing's own name for it

# https://github.com/sigstore/protobuf-specs/blob/main/protos/sigstore_bundle.proto
_MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
_PAYLOAD_TYPE = "application/vnd.in-toto+json"
_STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
_PREDICATE_TYPE = "https://model_signing/signature/v1.0"

_LARGEST_KEY = 1 << 16
# model-signing's curves, each with the digest that goes with its size.
_DIGESTS = {"secp256r1": "SHA256", "secp384r1": "SHA384", "secp521r1": "SHA512"}
_MAKE_KEYS = (
    "make a pair with: openssl ecparam -name prime256v1 -genkey -noout -out key.pem && "
    "openssl ec -in key.pem -pubout -out key.pub"
)


@dataclass(frozen=True, eq=False)
class TrustedKey:
    """A public key that bundles must be signed with.

    Attributes:
        fingerprint: SHA-256 of its PEM form, 64 hexadecimal digits; a signature names its key by it.
    """

    fingerprint: str
    _key: EllipticCurvePublicKey

    def signed(self, message: bytes, signature: bytes) -> bool:
        """Whether the key's owner signed the message (ECDSA, DER form)."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric.ec import ECDSA

        digest: hashes.HashAlgorithm = getattr(hashes, _DIGESTS[self._key.curve.name])()
        try:
            self._key.verify(signature, message, ECDSA(digest))
        except InvalidSignature:
            return False
        return True


def read_key(path: str | os.PathLike[str]) -> TrustedKey:
    """Reads a public key.

    Args:
        path: A PEM file; an elliptic-curve key on P-256, P-384 or P-521.

    Raises:
        InputError: There is no such key; a private key is refused too.
        SignatureError: The package ``cryptography`` is not installed.
    """
    try:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
        from cryptography.hazmat.primitives.serialization import (
            Encoding,
            PublicFormat,
            load_pem_public_key,
        )
    except ImportError as error:
        raise SignatureError(
            "signatures cannot be checked: the package cryptography is not installed; "
            'install it with: pip install "digits-edge-runtime[signing]"'
        ) from error
    try:
        with Path(path).open("rb") as file:
            content = file.read(_LARGEST_KEY)
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        raise InputError(f"key {path}: not readable ({error}); expected a public key in PEM form") from error
    if b"PRIVATE KEY" in content:
        raise InputError(
            f"key {path}: a private key; expected the public one (openssl ec -in KEY -pubout -out key.pub); "
            "the private one stays with whoever signs"
        )
    try:
        key = load_pem_public_key(content)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InputError(f"key {path}: no public key in PEM form; {_MAKE_KEYS}") from error
    if not isinstance(key, EllipticCurvePublicKey) or key.curve.name not in _DIGESTS:
        raise InputError(f"key {path}: expected an elliptic-curve key on P-256, P-384 or P-521; {_MAKE_KEYS}")
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return TrustedKey(hashlib.sha256(pem).hexdigest(), key)


def signed_digests(signature: bytes, key: TrustedKey) -> dict[str, str]:
    """What a signature vouches for.

    Args:
        signature: The bytes of ``model.sig``.
        key: The key it must be made with.

    Returns:
        SHA-256, 64 hexadecimal digits, by file name.

    Raises:
        SignatureError: It is damaged, of another form than model-signing's, or made with another key.
    """
    payload, made = _envelope(signature, key)
    # DSSE's encoding of what is signed (https://github.com/secure-systems-lab/dsse/blob/v1.0.0/protocol.md).
    message = f"DSSEv1 {len(_PAYLOAD_TYPE)} {_PAYLOAD_TYPE} {len(payload)} ".encode() + payload
    if not key.signed(message, made):
        raise SignatureError(f"{SIGNATURE_FILE} is not what the trusted key signed; do not use this bundle")
    # From here on, the words are those of the key's owner.
    try:
        statement = json.loads(payload)
        kind = (
            statement["_type"],
            statement["predicateType"],
            statement["predicate"]["serialization"]["method"],
        )
        if kind != (_STATEMENT_TYPE, _PREDICATE_TYPE, "files"):
            raise SignatureError(f"{SIGNATURE_FILE} signs something else than a model's files: {kind}")
        files = [
            (file["name"], file["algorithm"], file["digest"]) for file in statement["predicate"]["resources"]
        ]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise SignatureError(f"{SIGNATURE_FILE} signs no model-signing statement ({error!r})") from error
    digests = {name: digest for name, algorithm, digest in files if algorithm == "sha256"}
    if len(digests) != len(files):
        raise SignatureError(f"{SIGNATURE_FILE} signs other digests than one SHA-256 a file; sign again")
    return digests


def _envelope(signature: bytes, key: TrustedKey) -> tuple[bytes, bytes]:
    """The signed payload and the signature's own bytes, out of a file that may hold nothing else.

    What the signature does not cover is compared as a whole with what it must be, so that no byte of the file
    can change unseen.
    """
    try:
        document = json.loads(signature)
        envelope = document["dsseEnvelope"]
        payload, made = envelope["payload"], envelope["signatures"][0]["sig"]
        hint = document["verificationMaterial"]["publicKey"]["hint"]
        decoded = _from_base64(payload), _from_base64(made)
    except (ValueError, KeyError, IndexError, TypeError, RecursionError) as error:
        raise SignatureError(f"{SIGNATURE_FILE} is damaged, or not model-signing's ({error!r})") from error
    if hint != key.fingerprint:
        raise SignatureError(
            f"signed with another key ({str(hint)[:12]!r}…) than the trusted one ({key.fingerprint[:12]}…)"
        )
    expected: dict[str, Any] = {
        "mediaType": _MEDIA_TYPE,
        "verificationMaterial": {"publicKey": {"hint": key.fingerprint}, "tlogEntries": []},
        "dsseEnvelope": {
            "payload": payload,
            "payloadType": _PAYLOAD_TYPE,
            "signatures": [{"sig": made, "keyid": ""}],
        },
    }
    if document != expected:
        raise SignatureError(f"{SIGNATURE_FILE} has other fields than model-signing 1.1 writes; sign again")
    return decoded


def _from_base64(text: str) -> bytes:
    """Decodes the one canonical spelling; others differ in bits that nobody reads."""
    content = base64.b64decode(text, validate=True)
    if base64.b64encode(content).decode() != text:
        raise ValueError("base64 with stray bits")
    return content
