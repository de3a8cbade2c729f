"""What a microcontroller makes of a picture is what the runtime makes of it."""

from __future__ import annotations

import shutil
import struct
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from string import Template

import numpy as np
import pytest
from numpy.typing import NDArray

from digits_edge.export.micro_image import IMAGE_DECLARATION, IMAGE_SOURCE
from digits_edge.runtime import Recognizer, normalize
from digits_edge.trainer.datasets import Dataset

Photo = NDArray[np.uint8]

PROGRAM = f"""
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#define A_PIXELS 784
{IMAGE_DECLARATION}
{IMAGE_SOURCE}
int main(void) {{
  static uint8_t grey[1024 * 1024], image[A_PIXELS];
  uint32_t size[2];
  while (fread(size, sizeof size, 1, stdin) == 1) {{
    if (fread(grey, size[0], size[1], stdin) != size[1]) return 1;
    putchar(a_image(grey, (int)size[0], (int)size[1], image));
    fwrite(image, 1, sizeof image, stdout);
  }}
  return 0;
}}
"""
STRICT = ["-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wconversion", "-Werror"]

Prepare = Callable[[Sequence[Photo]], "tuple[list[bool], NDArray[np.uint8]]"]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("image") / "main.c"
    path.write_text(Template(PROGRAM).substitute(id="a", ID="A"))
    return path


def compiler(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"no {name} on this machine")
    return found


@pytest.fixture(scope="module")
def prepare(source: Path) -> Prepare:
    """Compiles it; pictures to what it returns and to images."""
    program = source.with_suffix("")
    subprocess.run([compiler("cc"), "-std=c99", "-O2", *STRICT, source, "-lm", "-o", program], check=True)

    def call(photos: Sequence[Photo]) -> tuple[list[bool], NDArray[np.uint8]]:
        told = b"".join(struct.pack("=II", *photo.shape[::-1]) + photo.tobytes() for photo in photos)
        done = subprocess.run([program], input=told, capture_output=True, check=True)
        answers = np.frombuffer(done.stdout, np.uint8).reshape(len(photos), 785)
        return answers[:, 0].astype(bool).tolist(), answers[:, 1:].reshape(-1, 28, 28)

    return call


def photograph(digit: NDArray[np.uint8], rng: np.random.Generator) -> Photo:
    """The digit on paper: of any size and place, dark on light or the reverse, with noise."""
    factor = int(rng.integers(1, 9))
    margins = rng.integers(0, 8 * factor, (2, 2))
    ink = np.pad(np.kron(digit, np.ones((factor, factor))), margins) * rng.uniform(0.3, 0.55)
    grey = rng.integers(150, 256) - ink if rng.random() < 0.5 else rng.integers(0, 100) + ink
    return np.clip(np.rint(grey + rng.normal(0, rng.choice([0, 2, 6]), grey.shape)), 0, 255).astype(np.uint8)


def test_digits_on_paper_become_the_runtime_s_images(prepare: Prepare, mnist: Dataset) -> None:
    assert mnist.test is not None
    rng = np.random.default_rng(5)
    photos = [photograph(digit, rng) for digit in mnist.test.images[:300]]
    seen, images = prepare(photos)
    expected = np.stack([normalize(photo) for photo in photos])
    assert all(seen)
    difference = np.abs(images.astype(int) - expected)
    assert (difference <= 2).mean() > 0.999
    with Recognizer.load(workers=1) as recognizer:
        digits, wanted = (recognizer.predict(each).labels for each in (images, expected))
    assert (digits == wanted).mean() >= 0.99
    assert (digits == mnist.test.labels[:300]).mean() > 0.98


def test_a_large_picture_and_odd_ones(prepare: Prepare, mnist: Dataset) -> None:
    large = np.full((1024, 1020), 200, np.uint8)
    large[8:1016, 6:1014] -= np.kron(mnist.train.images[0] // 2, np.ones((36, 36), np.uint8))
    line = np.full((40, 30), 90, np.uint8)
    line[5:35, 14] = 250  # one pixel wide: not a block of strokes in it
    speck = np.pad(mnist.train.images[1], 20)
    speck[2, 3] = 255
    photos = [large, line, speck, np.array([[0, 255], [0, 0]], np.uint8)]
    seen, images = prepare(photos)
    assert all(seen)
    expected = np.stack([normalize(photo) for photo in photos])
    np.testing.assert_allclose(images.astype(int), expected, atol=2)


@pytest.mark.parametrize("shape", [(2, 2), (40, 50), (1, 9), (9, 1)])
def test_where_there_is_no_ink_it_says_so(prepare: Prepare, shape: tuple[int, int]) -> None:
    faint = np.full(shape, 180, np.uint8)
    faint[0, 0] = 170
    seen, images = prepare([faint])
    assert seen == [False]
    assert not images.any()


def test_c_plus_plus_takes_it_too(source: Path) -> None:
    strict = ["-x", "c++", "-std=c++11", "-Wall", "-Wextra", "-Werror", "-fsyntax-only"]
    subprocess.run([compiler("c++"), *strict, source], check=True)
