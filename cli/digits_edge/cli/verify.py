"""``digits-edge verify``: is a bundle what its maker signed?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def verify(
    bundle: Annotated[Path, typer.Argument(help="Bundle to check.")],
    key: Annotated[Path, typer.Option(help="Public key that it must be signed with: a PEM file.")],
) -> None:
    """Check that a bundle is, file for file and byte for byte, what the owner of a key signed.

    The exit code is 1 if it is not. In a program, Recognizer.load(bundle, trusted_key=key) checks the same,
    on the very bytes that it then runs.

    Example: digits-edge verify bundles/cnn-onnx-int8 --key key.pub
    """
    from digits_edge.runtime import read_bundle

    manifest = read_bundle(bundle, trusted_key=key).manifest
    model = manifest.model
    typer.echo(f"sound: {bundle}, signed with {key}; {model.path} has SHA-256 {model.sha256}")
