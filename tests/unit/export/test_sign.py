"""Signing: what a device that trusts the key then takes, and what is never signed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from digits_edge.export.errors import ExportError
from digits_edge.export.sign import sign
from digits_edge.runtime import BundleNotFoundError, InputError, IntegrityError, Recognizer, read_bundle
from digits_edge.trainer.errors import SetupError

pytest.importorskip("model_signing", reason="the extra sign is not installed")

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from model_signing import verifying

TINY = Path(__file__).parents[2] / "golden" / "tiny-onnx-float32"


def write_private(
    path: Path, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, password: bytes = b""
) -> Path:
    lock: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if password:
        lock = serialization.BestAvailableEncryption(password)
    path.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, lock))
    return path


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """A private key, with the public one beside it as ``key.pub``."""
    key = ec.generate_private_key(ec.SECP256R1())
    (tmp_path / "key.pub").write_bytes(
        key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    return write_private(tmp_path / "key.pem", key)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    copy = shutil.copytree(TINY, tmp_path / "bundles" / "tiny")
    (copy / "MODEL_CARD.md").write_text("A digit recognizer.\n")
    return copy


def test_a_signed_bundle_has_one_file_more_and_both_verifiers_take_it(bundle: Path, key: Path) -> None:
    before = {file.name: file.read_bytes() for file in bundle.iterdir()}
    sign(bundle, key)
    after = {file.name: file.read_bytes() for file in bundle.iterdir()}
    assert after.pop("model.sig")
    assert after == before
    Recognizer.load(bundle, trusted_key=key.with_suffix(".pub")).close()
    verifier = verifying.Config()  # type: ignore[no-untyped-call]
    verifier.use_elliptic_key_verifier(public_key=key.with_suffix(".pub"))
    verifier.verify(bundle, bundle / "model.sig")
    assert [path.name for path in bundle.parent.iterdir()] == [bundle.name]  # nothing left beside it


def test_signing_again_replaces_the_signature(bundle: Path, key: Path) -> None:
    sign(bundle, key)
    (bundle / ".gitignore").write_text("*.tmp\n")  # model-signing would leave it out by itself
    sign(bundle, key)
    read_bundle(bundle, trusted_key=key.with_suffix(".pub"))


def test_a_bundle_that_a_device_would_refuse_is_not_signed(bundle: Path, key: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleNotFoundError, match="no bundle there"):
        sign(tmp_path / "nothing", key)
    model = (bundle / "model.onnx").read_bytes()
    (bundle / "model.onnx").write_bytes(model[:-1] + b"\0\0")
    with pytest.raises(IntegrityError, match=r"model\.onnx"):
        sign(bundle, key)
    (bundle / "model.onnx").write_bytes(model)
    (bundle / "link").symlink_to("model.onnx")
    with pytest.raises(ExportError, match="'link' is no regular file"):
        sign(bundle, key)
    (bundle / "link").unlink()
    (bundle / "folder").mkdir()
    with pytest.raises(ExportError, match="'folder' is no regular file"):
        sign(bundle, key)
    assert not (bundle / "model.sig").exists()


def test_keys_that_cannot_sign(bundle: Path, key: Path, tmp_path: Path) -> None:
    odd = ec.generate_private_key(ec.SECP256K1())
    (tmp_path / "text").write_text("no key")
    for path, message in (
        (key.with_suffix(".pub"), "no private key in PEM form; make one with: openssl"),
        (tmp_path / "text", "no private key in PEM form"),
        (tmp_path / "nothing", "not readable"),
        (write_private(tmp_path / "locked.pem", ec.generate_private_key(ec.SECP256R1()), b"pw"), "encrypted"),
        (write_private(tmp_path / "rsa.pem", rsa.generate_private_key(65537, 2048)), "expected an elliptic"),
        (write_private(tmp_path / "odd.pem", odd), "expected an elliptic-curve key on P-256"),
    ):
        with pytest.raises(InputError, match=message):
            sign(bundle, path)
    assert not (bundle / "model.sig").exists()


@pytest.mark.parametrize("package", ["model_signing", "OpenSSL", "cryptography"])
def test_the_package_that_signs_is_not_installed(
    package: str, bundle: Path, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)  # how Python marks what it cannot import
    with pytest.raises(SetupError, match=rf'needs {package}.*pip install "digits-edge\[sign\]"'):
        sign(bundle, key)


# The command line.


def command(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    code = "from digits_edge.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, check=False
    )


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_the_path_that_the_help_describes(bundle: Path, tmp_path: Path) -> None:
    private, public = tmp_path / "mine.pem", tmp_path / "mine.pub"
    for words, made in (
        (["ecparam", "-name", "prime256v1", "-genkey", "-noout"], private),
        (["ec", "-in", str(private), "-pubout"], public),
    ):
        subprocess.run(["openssl", *words, "-out", str(made)], check=True, capture_output=True)
    signed = command("sign", bundle, "--key", private)
    assert (signed.returncode, signed.stderr) == (0, "")
    assert "digits-edge verify" in signed.stdout
    sound = command("verify", bundle, "--key", public)
    assert (sound.returncode, sound.stderr) == (0, "")
    assert sound.stdout.startswith(f"sound: {bundle}")
    (bundle / "MODEL_CARD.md").write_text("A better digit recognizer.\n")
    altered = command("verify", bundle, "--key", public)
    assert (altered.returncode, altered.stdout) == (1, "")
    assert altered.stderr.startswith(f"error: {bundle}: MODEL_CARD.md: not what was signed")
    mistaken = command("verify", bundle, "--key", private)
    assert (mistaken.returncode, mistaken.stdout) == (2, "")
    assert "a private key; expected the public one" in mistaken.stderr
