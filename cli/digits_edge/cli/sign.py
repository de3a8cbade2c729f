"""``digits-edge sign``: vouch for a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def sign(
    bundle: Annotated[Path, typer.Argument(help="Bundle to sign.")],
    key: Annotated[Path, typer.Option(help="Private key: PEM, elliptic curve P-256, P-384 or P-521.")],
) -> None:
    """Sign a bundle, every file of it, with a key of your own; works offline.

    The signature is OpenSSF model-signing's, in the file model.sig in the bundle. A device that loads with
    your public key takes this bundle and no other: neither an altered one nor one with a file more.

    To make a pair of keys: openssl ecparam -name prime256v1 -genkey -noout -out key.pem && openssl ec -in
    key.pem -pubout -out key.pub

    Example: digits-edge sign bundles/cnn-onnx-int8 --key key.pem
    """
    from digits_edge.export.sign import sign as sign_bundle

    fingerprint = sign_bundle(bundle, key)
    typer.echo(f"signed: {bundle}, key {fingerprint[:12]}")
    typer.echo(f"check it: digits-edge verify {bundle} --key key.pub")
