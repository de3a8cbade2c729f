"""Attacks by names and kinds of files: a bundle makes a device read its own regular files, nothing else."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from digits_edge.runtime import IntegrityError, ManifestError

if TYPE_CHECKING:
    from tests.attacks.conftest import Device, Forger

Refused = Callable[..., dict[str, Any]]
FILES = ["model", "golden", "manifest"]
NO_FILE = r"{}: not (readable|a regular file)"


def test_the_bundle_that_is_forged_here_is_sound(device: Device, forger: Forger) -> None:
    answer = device.ask(forger.path)
    assert (answer["error"], answer["engines"]) == (None, ["onnxruntime"])


def file_of(forger: Forger, which: str) -> Path:
    file: Path = getattr(forger, which)
    return file


@pytest.mark.parametrize("which", ["model", "golden"])
@pytest.mark.parametrize("place", ["../outside", "weights/../../outside", "./outside", "weights/outside"])
def test_a_path_that_leaves_the_bundle(forger: Forger, refused: Refused, which: str, place: str) -> None:
    original = file_of(forger, which)
    (forger.path / "weights").mkdir()
    shutil.copy(original, (forger.path / place).resolve())  # the bytes, and so the digest, are the right ones
    refused(
        forger.declare(**{f"{which}_path": place}),
        ManifestError,
        f"{which}: path is .* expected a plain file name",
    )


@pytest.mark.parametrize("which", ["model", "golden"])
def test_an_absolute_path(forger: Forger, refused: Refused, which: str) -> None:
    place = str(file_of(forger, which).resolve())
    refused(forger.declare(**{f"{which}_path": place}), ManifestError, f"{which}: path is")


def test_an_absolute_path_to_a_device(forger: Forger, refused: Refused) -> None:
    refused(forger.declare(model_path="/dev/zero"), ManifestError, "model: path is")


@pytest.mark.parametrize("which", FILES)
def test_a_link_in_place_of_a_file(forger: Forger, refused: Refused, tmp_path: Path, which: str) -> None:
    original = file_of(forger, which)
    original.rename(tmp_path / "elsewhere")
    original.symlink_to(tmp_path / "elsewhere")
    refused(forger.path, IntegrityError, NO_FILE.format(original.name))


@pytest.mark.parametrize("which", FILES)
def test_a_link_to_a_file_of_the_bundle(forger: Forger, refused: Refused, which: str) -> None:
    original = file_of(forger, which)
    original.rename(forger.path / "renamed")
    original.symlink_to("renamed")
    refused(forger.path, IntegrityError, NO_FILE.format(original.name))


@pytest.mark.parametrize("which", FILES)
@pytest.mark.parametrize("target", ["/dev/zero", "/dev/stdin", "nowhere", "manifest.json"])
def test_a_link_to_a_device_to_nowhere_or_to_itself(
    forger: Forger, refused: Refused, which: str, target: str
) -> None:
    original = file_of(forger, which)
    original.unlink()
    original.symlink_to(target)
    refused(forger.path, IntegrityError, NO_FILE.format(original.name))


@pytest.mark.parametrize("which", FILES)
def test_a_named_pipe_that_nobody_writes_to(forger: Forger, refused: Refused, which: str) -> None:
    original = file_of(forger, which)
    original.unlink()
    os.mkfifo(original)
    refused(forger.path, IntegrityError, NO_FILE.format(original.name))


@pytest.mark.parametrize("which", FILES)
def test_a_folder_in_place_of_a_file(forger: Forger, refused: Refused, which: str) -> None:
    original = file_of(forger, which)
    original.unlink()
    original.mkdir()
    refused(forger.path, IntegrityError, NO_FILE.format(original.name))


@pytest.mark.parametrize("which", FILES)
def test_a_device_in_place_of_a_file(forger: Forger, refused: Refused, which: str) -> None:
    original = file_of(forger, which)
    original.unlink()
    try:
        os.mknod(original, 0o20666, os.makedev(1, 5))  # what /dev/zero is
    except OSError:
        pytest.skip("only root may make devices")
    refused(forger.path, IntegrityError, NO_FILE.format(original.name))


@pytest.mark.parametrize("which", FILES)
def test_a_socket_in_place_of_a_file(
    forger: Forger, refused: Refused, monkeypatch: pytest.MonkeyPatch, which: str
) -> None:
    original = file_of(forger, which)
    original.unlink()
    monkeypatch.chdir(forger.path)  # the path of a socket must be short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(original.name)
        refused(forger.path, IntegrityError, NO_FILE.format(original.name))


@pytest.mark.parametrize("which", ["model", "golden"])
def test_a_file_that_is_not_there(forger: Forger, refused: Refused, which: str) -> None:
    file_of(forger, which).unlink()
    refused(forger.path, IntegrityError, rf"{file_of(forger, which).name}: not readable \(No such file")


def test_one_file_in_two_parts(forger: Forger, refused: Refused) -> None:
    refused(
        forger.declare(golden_path=forger.model.name), ManifestError, "model and golden are the same file"
    )
