"""Attacks on a signed bundle: a device that trusts one key loads what its owner signed, or nothing."""

from __future__ import annotations

import base64
import hashlib
import json
import random
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from digits_edge.runtime import BundleError, InputError, Recognizer, SignatureError, read_bundle

if TYPE_CHECKING:
    from tests.attacks.conftest import Device, Forger

pytest.importorskip("cryptography", reason="the extra signing is not installed")
pytest.importorskip("model_signing", reason="the signer is not installed")
pytest.importorskip("OpenSSL", reason="the signer is not installed")

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from model_signing import hashing, signing, verifying

Refused = Callable[..., None]
FILES = ["MODEL_CARD.md", "golden.npz", "manifest.json", "model.onnx", "model.sig"]
MISSING = """
import sys
sys.modules["cryptography"] = None  # how Python marks what it cannot import
from digits_edge.runtime import Recognizer, SignatureError
try:
    Recognizer.load(sys.argv[1], trusted_key=sys.argv[2])
except SignatureError as error:
    print(error)
"""


def write_keys(folder: Path, name: str, curve: ec.EllipticCurve | None = None) -> Path:
    """Makes a pair of keys; the path of the private one, with the public one beside it as ``.pub``."""
    key = ec.generate_private_key(curve or ec.SECP256R1())
    private = folder / f"{name}.pem"
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    write_public(private.with_suffix(".pub"), key.public_key())
    return private


def write_public(path: Path, key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey) -> Path:
    path.write_bytes(
        key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    return path


def sign(bundle: Path, key: Path) -> Path:
    """Has model-signing sign a bundle."""
    files = hashing.Config()  # type: ignore[no-untyped-call]
    files.set_ignored_paths(paths=["model.sig"], ignore_git_paths=False)
    signer = signing.Config()  # type: ignore[no-untyped-call]
    signer.use_elliptic_key_signer(private_key=key).set_hashing_config(files)
    signer.sign(bundle, bundle / "model.sig")
    return bundle


def sign_statement(bundle: Path, key: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """Signs another statement than model-signing would, in the same form."""
    private = serialization.load_pem_private_key(key.read_bytes(), password=None)
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    document = json.loads((sign(bundle, key) / "model.sig").read_text())
    envelope = document["dsseEnvelope"]
    statement = json.loads(base64.b64decode(envelope["payload"]))
    change(statement)
    payload, kind = json.dumps(statement).encode(), envelope["payloadType"]
    made = private.sign(
        f"DSSEv1 {len(kind)} {kind} {len(payload)} ".encode() + payload, ec.ECDSA(hashes.SHA256())
    )
    envelope["payload"] = base64.b64encode(payload).decode()
    envelope["signatures"][0]["sig"] = base64.b64encode(made).decode()
    (bundle / "model.sig").write_text(json.dumps(document))
    return bundle


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the keys: those of the maker (``key``), and those of somebody else (``other``)."""
    folder = tmp_path_factory.mktemp("keys")
    write_keys(folder, "key")
    write_keys(folder, "other")
    return folder


@pytest.fixture
def signed(forger: Forger, keys: Path) -> Path:
    """A signed bundle."""
    (forger.path / "MODEL_CARD.md").write_text("A digit recognizer.\n")
    return sign(forger.path, keys / "key.pem")


@pytest.fixture
def untrusted(device: Device, keys: Path) -> Refused:
    """Asserts that a device that trusts the maker's key refuses a bundle, before any engine is imported."""

    def check(bundle: Path, message: str, key: str = "key.pub") -> None:
        answer = device.ask(bundle, trusted_key=str(keys / key))
        assert answer["error"] == "SignatureError", answer
        assert message in answer["message"], answer
        assert answer["message"].startswith(f"{bundle}: "), answer
        assert answer["engines"] == []

    return check


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()], ids=lambda c: c.name)
def test_what_model_signing_signed_is_loaded_and_what_is_loaded_model_signing_verifies(
    forger: Forger, tmp_path: Path, curve: ec.EllipticCurve
) -> None:
    key = write_keys(tmp_path, "key", curve)
    sign(forger.path, key)
    Recognizer.load(forger.path, trusted_key=key.with_suffix(".pub")).close()
    verifier = verifying.Config()  # type: ignore[no-untyped-call]
    verifier.use_elliptic_key_verifier(public_key=key.with_suffix(".pub"))
    verifier.verify(forger.path, forger.path / "model.sig")
    forger.model.write_bytes(forger.model.read_bytes() + b"\0")
    with pytest.raises(ValueError, match="Hash mismatch"):
        verifier.verify(forger.path, forger.path / "model.sig")
    with pytest.raises(BundleError):
        read_bundle(forger.path, trusted_key=key.with_suffix(".pub"))


def test_a_signed_bundle_is_loaded_with_its_key_and_without_any(
    device: Device, signed: Path, keys: Path
) -> None:
    for options in ({"trusted_key": str(keys / "key.pub")}, {}):
        answer = device.ask(signed, **options)
        assert (answer["error"], answer["engines"]) == (None, ["onnxruntime"]), answer


def test_one_byte_changed_at_200_places_of_the_signed_bundle(signed: Path, untrusted: Refused) -> None:
    assert sorted(file.name for file in signed.iterdir()) == FILES
    choose = random.Random(42)
    for _ in range(200):
        file = signed / choose.choice(FILES)
        content = file.read_bytes()
        damaged = bytearray(content)
        damaged[choose.randrange(len(content))] ^= choose.randrange(1, 256)
        file.write_bytes(damaged)
        untrusted(signed, "")
        file.write_bytes(content)


def test_one_byte_changed_anywhere_in_the_signature(signed: Path, keys: Path) -> None:
    content = (signed / "model.sig").read_bytes()
    choose = random.Random(7)
    for place in range(len(content)):
        damaged = bytearray(content)
        damaged[place] ^= choose.randrange(1, 256)
        (signed / "model.sig").write_bytes(damaged)
        with pytest.raises(SignatureError):
            read_bundle(signed, trusted_key=keys / "key.pub")


def test_bits_of_the_signature_that_nobody_reads(signed: Path, keys: Path, untrusted: Refused) -> None:
    while True:  # of three signatures, about two end in base64 with bits to spare
        document = json.loads((sign(signed, keys / "key.pem") / "model.sig").read_text())
        (made,) = document["dsseEnvelope"]["signatures"]
        if made["sig"].endswith("="):
            break
    sound = made["sig"]
    last = sound.rstrip("=")[-1]
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    padding = sound.count("=")
    made["sig"] = sound[: -padding - 1] + alphabet[alphabet.index(last) + 1] + "=" * padding
    assert base64.b64decode(made["sig"]) == base64.b64decode(sound)
    (signed / "model.sig").write_text(json.dumps(document))
    untrusted(signed, "stray bits")


def test_another_key(signed: Path, untrusted: Refused) -> None:
    untrusted(signed, "signed with another key", key="other.pub")


def test_another_key_that_says_it_is_the_trusted_one(signed: Path, keys: Path, untrusted: Refused) -> None:
    hint = json.loads((signed / "model.sig").read_text())["verificationMaterial"]
    forged = json.loads((sign(signed, keys / "other.pem") / "model.sig").read_text())
    forged["verificationMaterial"] = hint
    (signed / "model.sig").write_text(json.dumps(forged))
    untrusted(signed, "not what the trusted key signed")


def test_no_signature(signed: Path, untrusted: Refused) -> None:
    (signed / "model.sig").unlink()
    untrusted(signed, "not signed (model.sig is missing); sign it where it was made: digits-edge sign")


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[]", b"null", b"\xff\xfe\x00", b"[" * 200_000, b"0" * (2 << 20)]
)
def test_a_signature_that_is_none(signed: Path, keys: Path, content: bytes) -> None:
    (signed / "model.sig").write_bytes(content)
    with pytest.raises(BundleError, match=r"model\.sig"):
        read_bundle(signed, trusted_key=keys / "key.pub")


def test_the_signature_of_another_bundle(
    signed: Path, tflite_forger: Forger, keys: Path, untrusted: Refused
) -> None:
    shutil.copy(sign(tflite_forger.path, keys / "key.pem") / "model.sig", signed)
    untrusted(signed, "was not signed")
    shutil.copy(tflite_forger.golden, signed)
    for name in ("MODEL_CARD.md", "model.onnx"):
        (signed / name).unlink()
    shutil.copy(tflite_forger.model, signed)
    untrusted(signed, "manifest.json: not what was signed")  # the signed files, but a manifest of before


@pytest.mark.parametrize("name", ["notes.txt", ".gitignore", ".git", "model.sig.bak", "model.onnx.data"])
def test_a_file_more(signed: Path, untrusted: Refused, name: str) -> None:
    (signed / name).write_text("")
    untrusted(signed, f"{name!r} was not signed")


def test_a_folder_more(signed: Path, untrusted: Refused) -> None:
    (signed / "1").mkdir()
    untrusted(signed, "'1' was not signed")


@pytest.mark.parametrize("name", FILES[:2])
def test_a_file_less(signed: Path, untrusted: Refused, name: str) -> None:
    (signed / name).unlink()
    untrusted(signed, f"{name!r} was signed and is missing")


def test_two_files_with_their_names_changed(signed: Path, untrusted: Refused) -> None:
    (signed / "MODEL_CARD.md").rename(signed / "swap")
    (signed / "golden.npz").rename(signed / "MODEL_CARD.md")
    (signed / "swap").rename(signed / "golden.npz")
    untrusted(signed, "not what was signed")


@pytest.mark.parametrize("name", ["MODEL_CARD.md", "model.sig"])
def test_a_link_to_the_right_bytes(
    device: Device, signed: Path, keys: Path, tmp_path: Path, name: str
) -> None:
    (signed / name).rename(tmp_path / "elsewhere")
    (signed / name).symlink_to(tmp_path / "elsewhere")
    answer = device.ask(signed, trusted_key=str(keys / "key.pub"))
    assert (answer["error"], answer["engines"]) == ("IntegrityError", [])


def test_a_manifest_that_is_well_formed_and_names_files_that_were_not_signed(
    forger: Forger, signed: Path, untrusted: Refused
) -> None:
    forger.declare(model_path="model.sig")
    untrusted(signed, "manifest.json: not what was signed")


def test_bundles_that_change_while_they_are_read(
    forger: Forger, signed: Path, keys: Path, tmp_path: Path
) -> None:
    """The signed files and an attacker's, in turns, under the same names: what is loaded was signed."""
    good = {name: (signed / name).read_bytes() for name in ("manifest.json", "model.onnx")}
    swapped = shutil.copy(Path(__file__).parents[1] / "golden" / "hostile" / "honest.onnx", tmp_path)
    forger.seal(model=Path(swapped).read_bytes())
    bad = {name: (signed / name).read_bytes() for name in good}
    assert read_bundle(signed).model == bad["model.onnx"]  # without a key, it would do
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            for files in (good, bad):
                for name, content in files.items():
                    (tmp_path / name).write_bytes(content)
                    (tmp_path / name).replace(signed / name)

    attacker = threading.Thread(target=swap)
    attacker.start()
    loaded: list[bytes | None] = []
    try:
        for _ in range(150):
            try:
                loaded.append(read_bundle(signed, trusted_key=keys / "key.pub").model)
            except SignatureError:
                loaded.append(None)
    finally:
        stop.set()
        attacker.join()
    assert set(loaded) <= {None, good["model.onnx"]}


# What the owner of the key signed, but not as a bundle's files.


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.update(predicateType="https://slsa.dev/provenance/v1"), "something else"),
        (lambda s: s.update(_type="https://in-toto.io/Statement/v0.1"), "something else"),
        (lambda s: s["predicate"]["serialization"].update(method="shards"), "something else"),
        (lambda s: s["predicate"]["resources"][0].update(algorithm="blake3"), "other digests"),
        (lambda s: s["predicate"]["resources"].append(s["predicate"]["resources"][0]), "other digests"),
        (lambda s: s["predicate"]["resources"].pop(), "was not signed"),
        (lambda s: s["predicate"]["resources"][0].update(name="../golden.npz"), "was not signed"),
        (lambda s: s["predicate"].pop("resources"), "no model-signing statement"),
        (lambda s: s["predicate"].update(resources=[[]]), "no model-signing statement"),
    ],
)
def test_a_statement_about_something_else(
    signed: Path, keys: Path, untrusted: Refused, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    untrusted(sign_statement(signed, keys / "key.pem", change), message)


def test_the_statements_that_are_made_here_are_sound_but_for_what_is_changed(
    signed: Path, keys: Path
) -> None:
    sign_statement(signed, keys / "key.pem", dict.copy)
    assert read_bundle(signed, trusted_key=keys / "key.pub").model == (signed / "model.onnx").read_bytes()


# Keys.


def test_a_private_key_where_the_public_one_belongs(signed: Path, keys: Path) -> None:
    with pytest.raises(InputError, match=r"key\.pem: a private key; expected the public one"):
        Recognizer.load(signed, trusted_key=keys / "key.pem")


@pytest.mark.parametrize(
    "content",
    [b"", b"\0" * 100, b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", b"x" * 100_000],
)
def test_a_key_that_is_none(signed: Path, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.pub").write_bytes(content)
    with pytest.raises(InputError, match=r"bad\.pub: no public key in PEM form; make a pair with: openssl"):
        Recognizer.load(signed, trusted_key=tmp_path / "bad.pub")


def test_a_key_that_is_not_there(signed: Path, tmp_path: Path) -> None:
    for key in (tmp_path / "none.pub", tmp_path, "", "a\0b"):
        with pytest.raises(InputError, match="expected a public key in PEM form"):
            Recognizer.load(signed, trusted_key=key)


def test_a_key_of_another_kind(signed: Path, tmp_path: Path) -> None:
    for key in (rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP256K1())):
        with pytest.raises(InputError, match="expected an elliptic-curve key on P-256, P-384 or P-521"):
            Recognizer.load(signed, trusted_key=write_public(tmp_path / "odd.pub", key.public_key()))


def test_the_package_that_checks_signatures_is_not_installed(signed: Path, keys: Path) -> None:
    command = [sys.executable, "-c", MISSING, str(signed), str(keys / "key.pub")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"{signed}: signatures cannot be checked: ")
    assert done.stdout.endswith('install it with: pip install "digits-edge-runtime[signing]"\n')


def test_the_fingerprint_is_that_of_the_key_file(signed: Path, keys: Path) -> None:
    """So that ``sha256sum key.pub`` shows what messages and signatures call a key."""
    hint = json.loads((signed / "model.sig").read_text())["verificationMaterial"]["publicKey"]["hint"]
    assert hint == hashlib.sha256((keys / "key.pub").read_bytes()).hexdigest()
