"""Picture files of any kind become images as MNIST has them."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from digits_edge.runtime.errors import InputError
from digits_edge.trainer.datasets import Digits, Images, load_dataset, read_images
from digits_edge.trainer.errors import DataError


@pytest.fixture(scope="module")
def digits() -> Images:
    """One image of each class, 0 to 9."""
    test = load_dataset().test
    assert test is not None
    return test.images[[int(np.argmax(test.labels == label)) for label in range(10)]]


@pytest.fixture
def page(digits: Images) -> Image.Image:
    """A five, enlarged to 140×140, dark ink on light paper."""
    enlarged = Image.fromarray(digits[5]).resize((140, 140), Image.Resampling.BICUBIC)
    return Image.fromarray(np.uint8(245 - np.asarray(enlarged) * 0.85))


def most_like(image: np.ndarray, digits: Images) -> int:
    """Which of the ten digits an image correlates with most; -1 where it is none of them."""
    likeness = [float(np.corrcoef(image.ravel(), digit.ravel())[0, 1]) for digit in digits]
    return int(np.argmax(likeness)) if max(likeness) > 0.7 else -1


def read_one(path: Path) -> Images:
    images = read_images(path).images
    assert images.shape == (1, 28, 28)
    assert images.dtype == np.uint8
    return images.reshape(28, 28)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".gif", ".tif", ".webp", ".pgm"])
def test_an_mnist_image_is_taken_as_it_is(tmp_path: Path, digits: Images, suffix: str) -> None:
    for number, digit in enumerate(digits):
        path = tmp_path / f"{number}{suffix}"
        Image.fromarray(digit).save(path, lossless=True)  # which only WebP needs to be told
        np.testing.assert_array_equal(read_one(path), digit)


def test_an_mnist_image_on_white_is_inverted(tmp_path: Path, digits: Images) -> None:
    for number, digit in enumerate(digits):
        path = tmp_path / f"{number}.png"
        Image.fromarray(255 - digit).save(path)
        np.testing.assert_array_equal(read_one(path), digit)


def test_a_small_photograph_is_normalised(tmp_path: Path, digits: Images) -> None:
    path = tmp_path / "five.png"
    Image.fromarray(np.uint8(200 - digits[5] * 0.6)).save(path)
    read = read_one(path)
    assert read[0].max() == 0
    assert read.max() == 255
    assert most_like(read, digits) == 5


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".gif", ".tif", ".webp", ".pgm"])
def test_formats(tmp_path: Path, digits: Images, page: Image.Image, suffix: str) -> None:
    path = tmp_path / f"five{suffix}"
    page.save(path)
    assert most_like(read_one(path), digits) == 5


def _deep(page: Image.Image) -> Image.Image:
    return Image.fromarray(np.asarray(page).astype(np.uint16) * 257)


def _dim_and_deep(page: Image.Image) -> Image.Image:
    return Image.fromarray(np.asarray(page).astype(np.uint16) * 100)


def _cut_out(page: Image.Image, ink: int) -> Image.Image:
    """Ink of one colour on nothing: what drawing programs export."""
    opacity = 255 - np.asarray(page)
    return Image.merge("LA", [Image.new("L", page.size, ink), Image.fromarray(opacity * (opacity > 40))])


def _cut_out_palette(page: Image.Image) -> Image.Image:
    paper_and_ink = Image.fromarray(np.uint8(np.asarray(page) < 128), mode="P")
    paper_and_ink.putpalette([255, 255, 255, 20, 20, 60])
    paper_and_ink.info["transparency"] = 0
    return paper_and_ink


def _rounded_photo(page: Image.Image) -> Image.Image:
    """Grey paper whose corners are transparent."""
    y, x = np.mgrid[-1:1:140j, -1:1:140j]
    photo = page.point(lambda level: level * 0.6).convert("RGBA")
    photo.putalpha(Image.fromarray(np.uint8(255 * (x**2 + y**2 < 0.9))))
    return photo


KINDS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "light on dark": lambda page: Image.fromarray(255 - np.asarray(page)),
    "colour": lambda page: Image.merge("RGB", [page, page, Image.new("L", page.size, 250)]),
    "opaque alpha": lambda page: page.convert("RGBA"),
    "black ink on nothing": lambda page: _cut_out(page, 0),
    "white ink on nothing": lambda page: _cut_out(page, 255),
    "palette": lambda page: page.convert("RGB").quantize(16),
    "palette, transparent paper": _cut_out_palette,
    "transparent corners": _rounded_photo,
    "one bit": lambda page: page.convert("1", dither=Image.Dither.NONE),
    "16 bits": _deep,
    "16 bits, dim": _dim_and_deep,
    "not square": lambda page: page.crop((10, -50, 130, 150)).point(lambda level: level or 245),
}


@pytest.mark.parametrize("kind", KINDS)
def test_kinds_of_pixels(tmp_path: Path, digits: Images, page: Image.Image, kind: str) -> None:
    path = tmp_path / "five.png"
    KINDS[kind](page).save(path)
    assert most_like(read_one(path), digits) == 5


@pytest.mark.parametrize(("mode", "suffix"), [("CMYK", ".jpg"), ("CMYK", ".tif"), ("YCbCr", ".jpg")])
def test_colour_spaces_of_print(
    tmp_path: Path, digits: Images, page: Image.Image, mode: str, suffix: str
) -> None:
    path = tmp_path / f"five{suffix}"
    page.convert("RGB").convert(mode).save(path)
    assert most_like(read_one(path), digits) == 5


@pytest.mark.parametrize(("orientation", "turn"), [(3, 180), (6, 90), (8, 270)])
def test_the_camera_s_note_turns_the_picture_upright(
    tmp_path: Path, digits: Images, page: Image.Image, orientation: int, turn: int
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "five.jpg"
    page.rotate(turn).save(path, exif=exif)
    assert most_like(read_one(path), digits) == 5


def test_a_phone_s_jpeg_with_previews_behind_it(tmp_path: Path, digits: Images, page: Image.Image) -> None:
    path = tmp_path / "five.jpg"
    page.convert("RGB").save(path, "MPO", save_all=True, append_images=[Image.new("RGB", (30, 30))])
    assert most_like(read_one(path), digits) == 5


def test_a_directory_is_read_in_the_order_of_names(tmp_path: Path, digits: Images) -> None:
    for number in (7, 0, 3):
        Image.fromarray(digits[number]).save(tmp_path / f"{number}.png")
    Image.fromarray(digits[5]).save(tmp_path / "5.PNG")
    for other in (".hidden.png", "labels.csv", "README"):
        (tmp_path / other).write_text("no picture")
    (tmp_path / "directory.png").mkdir()
    read = read_images(tmp_path)
    assert read.names == tuple(str(tmp_path / name) for name in ("0.png", "3.png", "5.PNG", "7.png"))
    np.testing.assert_array_equal(read.images, digits[[0, 3, 5, 7]])
    assert read.labels is None


def test_several_sources_come_in_the_order_given(tmp_path: Path, digits: Images) -> None:
    paths = [tmp_path / f"{number}.png" for number in range(10)]
    for path, digit in zip(paths, digits, strict=True):
        Image.fromarray(digit).save(path)
    read = read_images(paths[4], tmp_path, paths[2])
    assert read.names == tuple(map(str, [paths[4], *paths, paths[2]]))
    np.testing.assert_array_equal(read.images, digits[[4, *range(10), 2]])


def encoded(picture: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    content = io.BytesIO()
    picture.save(content, kind, **options)
    return content.getvalue()


def png(width: int, height: int) -> bytes:
    """A PNG whose header claims a size that its few pixels do not bear out."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 9))
        + chunk(b"IEND", b"")
    )


def frames(kind: str) -> bytes:
    return encoded(Image.new("L", (9, 9)), kind, save_all=True, append_images=[Image.new("L", (9, 9), 200)])


REFUSED = {
    "empty": (b"", "empty file"),
    "text": (b"seven", "no readable picture; expected PNG, JPEG"),
    "cut off": (encoded(Image.effect_noise((99, 99), 50))[:2000], "damaged picture"),
    "no pixels in it": (encoded(Image.new("L", (40, 40))).replace(b"IDAT", b"IDAX"), "no readable picture"),
    "JPEG cut off": (encoded(Image.effect_noise((99, 99), 50), "JPEG")[:2000], "damaged picture"),
    "two frames, GIF": (frames("GIF"), "2 frames; expected one picture"),
    "two frames, PNG": (frames("PNG"), "2 frames; expected one picture"),
    "two pages, TIFF": (frames("TIFF"), "2 frames; expected one picture"),
    "a bomb": (png(50_000, 50_000), "too large"),
    "half a bomb": (png(10_000, 10_000), "too large"),
    "no pixels": (png(0, 0), "picture"),
    "no pixels, PGM": (b"P5 0 0 255\n", "picture"),
    "one pixel": (encoded(Image.new("L", (1, 1))), "2×2"),
    "floats": (encoded(Image.new("F", (40, 40), 0.5), "TIFF"), "pixels are float32"),
    "32 bits": (encoded(Image.new("I", (40, 40), 1 << 20), "TIFF"), "pixels are int32"),
    "PostScript": (encoded(Image.new("L", (40, 40)), "EPS"), "no readable picture"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_pictures_are_named(tmp_path: Path, digits: Images, case: str) -> None:
    content, complaint = REFUSED[case]
    Image.fromarray(digits[0]).save(tmp_path / "1.png")
    path = tmp_path / "2.png"
    path.write_bytes(content)
    for source in (path, tmp_path):
        with pytest.raises(DataError, match=complaint) as refused:
            read_images(source)
        assert str(refused.value).startswith(str(path))
        assert "\n" not in str(refused.value)


def test_a_directory_without_pictures_is_refused(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("picture,label\n")
    with pytest.raises(DataError, match="no pictures there"):
        read_images(tmp_path)


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"absent\.png: cannot be read .*expected a picture, a directory"):
        read_images(tmp_path / "absent.png")
    with pytest.raises(InputError, match="nothing to read"):
        read_images()


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(["PNG", "JPEG", "BMP", "GIF", "WEBP", "PPM"]),
    place=st.floats(0, 1),
    junk=st.binary(min_size=1, max_size=4),
    cut=st.booleans(),
)
def test_damage_anywhere_is_refused_or_harmless(
    tmp_path: Path, digits: Images, kind: str, place: float, junk: bytes, cut: bool
) -> None:
    raw = encoded(Image.fromarray(digits[8]).resize((60, 60)), kind)
    at = int(place * len(raw))
    path = tmp_path / "eight"
    path.write_bytes(raw[:at] + junk + (b"" if cut else raw[at + len(junk) :]))
    read = read_or_refusal(path)
    if isinstance(read, str):
        assert read.startswith(str(path))
    else:
        assert read.images.shape == (1, 28, 28)


def read_or_refusal(path: Path) -> Digits | str:
    try:
        return read_images(path)
    except DataError as refused:
        return str(refused)
