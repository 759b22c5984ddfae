"""JPEG XL: what is preserved, through the command line, and what its headers say."""

from __future__ import annotations

import base64
import functools
import io
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.command import BICUBIC, Run
from helpers.images import pixels_of, save, smooth
from numpy.typing import NDArray
from PIL import Image, ImageCms

from sr_cli.errors import SrError
from sr_cli.imaging.codecs import jxl_file
from sr_cli.imaging.codecs.jxl_file import Header, read_boxes, read_header
from sr_cli.imaging.decode import read_picture, read_size
from sr_cli.imaging.encode import write_picture
from sr_cli.imaging.formats import FORMATS, Encoding
from sr_cli.imaging.picture import Frame, Metadata, Picture
from sr_cli.imaging.profiles import color_space

OpenImageIO = pytest.importorskip("OpenImageIO")

TURNED = base64.b64decode(
    "AAAADEpYTCANCocKAAAAFGZ0eXBqeGwgAAAAAGp4bCAAAAAUanhscAAAAAD/CsEtEBS3BAAAACdicm9iRXhpZhsdAAAE"
    "cWM7gpgt0dQtWSyKNODfYSSrKIANAAAAAKhqeGxwgAAAAeBbABAAVAIMZAxkDGT+/w4AABgACAABAAAAAACAgCWJIuPY"
    "CWnuMAAhBfaECIsIOTYqxmDKxRiPWSWpKzEBSz4d6ZkkAAAQJ4AYuRYSAGXrMAPzfu4+4fMPAYhAwyh9YE0KN1DvREf0"
    "90FqybZmr6WNfb4+q1inhYsVeSoIF1g3hJm85HBTgOwfLzA7/jLYMOpUMGgAAAAAAAAlCQ=="
)
"""16x8 pixels, white and black halves, with orientation 6 in the codestream and again in EXIF."""

ANIMATED = base64.b64decode("/wpBBE0AIChuCQgEAQAYAEsYixWCAQgEBQAYAEsYixWCAQ==")
"""Two frames of 8x8 pixels."""


def written(frame: Frame, metadata: Metadata | None = None, **encoding: Any) -> bytes:
    file = io.BytesIO()
    picture = Picture([frame], "PNG", metadata or Metadata())
    write_picture(picture, file, FORMATS["JXL"], Encoding(**encoding))
    return file.getvalue()


@functools.cache
def swapped_profile() -> bytes:
    """A profile of sRGB with red and blue exchanged: nobody's default."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    at = {bytes(profile[p : p + 4]): p for p in range(132, 132 + 12 * profile[131], 12)}
    red, blue = at[b"rXYZ"], at[b"bXYZ"]
    profile[red : red + 4], profile[blue : blue + 4] = b"bXYZ", b"rXYZ"
    return bytes(profile)


def gray_profile() -> bytes:
    """A profile for gray of gamma 1.8 (ICC.1:2022): header, two tags, white point and curve."""
    header = bytearray(128)
    header[8:12], header[12:24], header[36:40] = b"\x02\x10\0\0", b"mntrGRAYXYZ ", b"acsp"
    header[68:80] = struct.pack(">3I", 0xF6D6, 0x10000, 0xD32D)
    tags = struct.pack(">I4sII4sII", 2, b"wtpt", 156, 20, b"kTRC", 176, 14)
    white = b"XYZ \0\0\0\0" + bytes(header[68:80])
    curve = struct.pack(">4sIIH", b"curv", 0, 1, round(1.8 * 256)) + b"\0\0"
    whole = bytes(header) + tags + white + curve
    return struct.pack(">I", len(whole)) + whole[4:]


def blue_of(profile: bytes) -> tuple[float, ...]:
    parsed = ImageCms.ImageCmsProfile(io.BytesIO(profile)).profile
    return tuple(round(v, 3) for v in parsed.blue_primary[1][:2])


def random_pixels(*shape: int, dtype: type) -> NDArray[Any]:
    top = np.iinfo(dtype).max
    return np.random.default_rng(0).integers(0, top + 1, shape).astype(dtype)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(9, 13), (9, 13, 3)])
@pytest.mark.parametrize("alpha", [False, True])
def test_lossless_gives_back_every_bit(dtype: type, shape: tuple[int, ...], alpha: bool) -> None:
    pixels = random_pixels(*shape, dtype=dtype)
    transparency = random_pixels(9, 13, dtype=dtype)[::-1].copy() if alpha else None
    data = written(Frame(pixels.copy(), transparency), lossless=True)
    (frame,) = read_picture(data).frames
    # OpenImageIO writes gray with alpha as RGB.
    wanted = np.dstack([pixels] * 3) if alpha and pixels.ndim == 2 else pixels
    assert frame.pixels.dtype == dtype and np.array_equal(frame.pixels, wanted)
    assert (frame.alpha is None) == (transparency is None)
    assert frame.alpha is None or np.array_equal(frame.alpha, transparency)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("lossless", [True, False])
def test_colours_mean_what_they_meant(dtype: type, lossless: bool) -> None:
    """Lossy files hold an equal description of the profile; without one, both depths are sRGB."""
    pixels = smooth(48, 64) if dtype is np.uint8 else smooth(48, 64).astype(np.uint16) * 257
    frame = Frame(pixels.copy())
    made = read_picture(written(frame, Metadata(icc=swapped_profile()), lossless=lossless))
    assert made.metadata.icc is not None
    assert blue_of(made.metadata.icc) == blue_of(swapped_profile()) == (0.648, 0.331)
    assert lossless == (made.metadata.icc == swapped_profile())
    error = made.frames[0].pixels.astype(float) / np.iinfo(dtype).max - pixels / np.iinfo(dtype).max
    assert np.abs(error).mean() < (1e-9 if lossless else 0.03)
    plain = read_picture(written(Frame(pixels.copy()), lossless=lossless))
    assert plain.metadata.icc is None


@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("space", [b"GRAY", b"RGB "])
def test_profiles_fit_the_samples_that_are_written(alpha: bool, space: bytes) -> None:
    profile = gray_profile() if space == b"GRAY" else swapped_profile()
    gray = np.ascontiguousarray(smooth(9, 13)[..., 0])
    frame = Frame(gray.copy(), np.full_like(gray, 200) if alpha else None)
    picture = Picture([frame], "PNG", Metadata(icc=profile))
    file = io.BytesIO()
    write_picture(picture, file, FORMATS["JXL"], Encoding(lossless=True))
    made = read_picture(file.getvalue())
    written_as = "RGB" if alpha else "GRAY"
    assert made.metadata.icc is None or color_space(made.metadata.icc) == written_as
    assert made.frames[0].pixels.ndim == (3 if alpha else 2)
    if space != b"GRAY" or not alpha:
        # Otherwise gray was converted to what sRGB shows.
        assert np.array_equal(made.frames[0].pixels, np.dstack([gray] * 3) if alpha else gray)


def test_everything_is_preserved_through_the_command_line(sr: Run, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "Camera", 6
    xmp = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>"
    image = Image.fromarray(smooth(20, 30))
    image.save(tmp_path / "a.jpg", exif=exif, xmp=xmp, icc_profile=swapped_profile(), quality=95)
    assert sr(*BICUBIC, "a.jpg", "-f", "jxl", "--lossless").returncode == 0
    assert sr(*BICUBIC, "a.jpg", "-o", "a.png").returncode == 0
    made = read_picture(tmp_path / "a_x2.jxl")
    assert np.array_equal(made.frames[0].pixels, pixels_of(tmp_path / "a.png"))
    assert (made.width, made.height) == (40, 60) and made.metadata.icc == swapped_profile()
    assert b"Camera" in (made.metadata.exif or b"") and b"xmpmeta" in (made.metadata.xmp or b"")
    # And back again.
    done = sr(*BICUBIC, "a_x2.jxl", "-o", "b.tif", "--json")
    assert done.returncode == 0, done.stderr.decode()
    again = read_picture(tmp_path / "b.tif")
    assert (again.width, again.height, again.metadata.icc) == (80, 120, swapped_profile())
    assert b"Camera" in (again.metadata.exif or b"") and b"xmpmeta" in (again.metadata.xmp or b"")
    assert sr(*BICUBIC, "a.jpg", "-o", "bare.jxl", "--strip").returncode == 0
    bare = read_picture(tmp_path / "bare.jxl").metadata
    assert (bare.exif, bare.xmp, bare.icc) == (None, None, None)


def test_sixteen_bits_and_alpha_through_the_command_line(sr: Run, tmp_path: Path) -> None:
    frame = Frame(random_pixels(10, 12, 3, dtype=np.uint16), random_pixels(10, 12, dtype=np.uint16))
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.jxl").write_bytes(written(frame, lossless=True))
    done = sr(*BICUBIC, "in", "-o", "out/", "--lossless")
    assert done.returncode == 0, done.stderr.decode()
    assert sr(*BICUBIC, "in/a.jxl", "-o", "a.png").returncode == 0
    made, wanted = (read_picture(tmp_path / p).frames[0] for p in ("out/a.jxl", "a.png"))
    assert made.pixels.dtype == np.uint16 and np.array_equal(made.pixels, wanted.pixels)
    assert np.array_equal(made.alpha, wanted.alpha)


def test_orientation_is_applied_once(sr: Run, tmp_path: Path) -> None:
    (tmp_path / "a.jxl").write_bytes(TURNED)
    assert read_size(tmp_path / "a.jxl") == (8, 16)
    done = sr("upscale", "-m", "bicubic", "a.jxl", "--height", "32", "-o", "b.png", "--json")
    assert done.returncode == 0, done.stderr.decode()
    pixels = pixels_of(tmp_path / "b.png")
    assert pixels.shape == (32, 16) and pixels[4].min() > 200 and pixels[-4].max() < 50
    assert Image.open(tmp_path / "b.png").getexif().get(0x0112, 1) == 1


def test_quality_and_repetition(sr: Run, tmp_path: Path) -> None:
    save(tmp_path / "a.png", 60, 50)
    sizes = []
    for quality in ("40", "95"):
        for name in ("b.jxl", "c.jxl"):
            done = sr(*BICUBIC, "a.png", "-o", name, "-q", quality, "-y")
            assert done.returncode == 0, done.stderr.decode()
        assert (tmp_path / "b.jxl").read_bytes() == (tmp_path / "c.jxl").read_bytes()
        sizes.append((tmp_path / "b.jxl").stat().st_size)
    assert sizes[0] < sizes[1]
    assert sr(*BICUBIC, "a.png", "-o", "d.jxl").returncode == 0
    default = read_picture(tmp_path / "d.jxl").frames[0].pixels
    assert sr(*BICUBIC, "a.png", "-o", "d.png").returncode == 0
    assert np.abs(default - pixels_of(tmp_path / "d.png").astype(float)).mean() < 3


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (ANIMATED, "animation-not-supported"),
        (TURNED[:120], "damaged-image"),
        (b"\xff\x0a", "damaged-image"),
        (b"\xff\x0a\xff" + bytes(200), "damaged-image"),
    ],
)
def test_what_cannot_be_read_is_named(sr: Run, tmp_path: Path, content: bytes, code: str) -> None:
    (tmp_path / "a.jxl").write_bytes(content)
    save(tmp_path / "b.png")
    done = sr(*BICUBIC, "a.jxl", "b.png", "-o", "out/")
    assert (done.returncode, done.error_codes) == (1, [code])
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["b.png"]


def test_a_jxl_holds_no_animation(sr: Run, tmp_path: Path) -> None:
    frames = [Image.fromarray(smooth(8, 8, seed=n)) for n in range(2)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    done = sr(*BICUBIC, "a.gif", "-f", "jxl")
    assert (done.returncode, done.error_codes) == (1, ["unsupported-by-format"])
    assert sr(*BICUBIC, "a.gif", "-f", "jxl", "--flatten").returncode == 0


def test_without_the_extra(sr: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "OpenImageIO", None)
    save(tmp_path / "in/a.png")
    (tmp_path / "in/b.jxl").write_bytes(TURNED)
    for asked in (("-f", "jxl"), ("-o", "c.jxl")):
        done = sr(*BICUBIC, "in/a.png", *asked)
        assert (done.returncode, done.error_codes) == (2, ["extra-missing"])
    done = sr(*BICUBIC, "in", "-o", "out/", "--json")
    assert (done.returncode, done.error_codes) == (1, ["extra-missing"])
    assert b"[jxl]" in done.stderr
    assert [r.get("error", {}).get("extra") for r in done.records] == [None, "jxl"]
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["a.png"]


def packed(*fields: tuple[int, int]) -> bytes:
    """A codestream that begins with these fields, each a number of bits and a value."""
    value = position = 0
    for bits, field in fields:
        value |= field << position
        position += bits
    return b"\xff\x0a" + value.to_bytes(position // 8 + 9, "little")


LARGE = ((1, 0), (2, 3), (30, (1 << 20) - 1), (3, 1))
"""SizeHeader of 1048576x1048576."""

EIGHT = ((1, 1), (5, 0), (3, 2))
"""SizeHeader of 8 pixels high, 12 to 10."""

PLAIN = ((1, 0), (2, 0), (1, 1))
"""BitDepth of 8 bits, and that 16 bits suffice for buffers."""

CMYK = (*PLAIN, (2, 2), (4, 0), (1, 1), (1, 0), (2, 2), (4, 2), (1, 0), (2, 0), (2, 0), (2, 0))
"""Two extra channels: alpha (all default), and black (type 4)."""

PREMULTIPLIED = (*PLAIN, (2, 1), (1, 0), (2, 0), (1, 0), (2, 0), (2, 0), (2, 0), (1, 1))
"""One extra channel: alpha with its bit for premultiplied colours."""

PREVIEW = ((1, 1), (2, 0), (3, 0), (2, 1))
"""PreviewHeader of 256x128."""


HEADERS = {
    "large": ((*LARGE, (1, 1)), Header(1 << 20, 1 << 20)),
    "ten bits": (
        (*EIGHT, (1, 0), (1, 0), (1, 0), (2, 1), (1, 1), (2, 0)),
        Header(9, 8, 10),
    ),
    "half": (
        (*EIGHT, (1, 0), (1, 0), (1, 1), (2, 1), (4, 4), (1, 1), (2, 0)),
        Header(9, 8, 16, is_float=True),
    ),
    "turned, with an intrinsic size, CMYK": (
        (*EIGHT, (1, 0), (1, 1), (3, 5), (1, 1), *EIGHT, (1, 0), (1, 0), *CMYK),
        Header(8, 9, extra=(0, 4)),
    ),
    "with a preview, animated": (
        (*EIGHT, (1, 0), (1, 1), (3, 0), (1, 0), (1, 1), *PREVIEW, (1, 1)),
        Header(9, 8, is_animated=True),
    ),
    "premultiplied": (
        (*EIGHT, (1, 0), (1, 0), *PREMULTIPLIED),
        Header(9, 8, extra=(0,), is_premultiplied=True),
    ),
}


@pytest.mark.parametrize("kind", list(HEADERS))
def test_headers(kind: str) -> None:
    fields, header = HEADERS[kind]
    assert read_header(packed(*fields)) == header


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("large", "too-many-pixels"),
        ("half", "unsupported-samples"),
        ("turned, with an intrinsic size, CMYK", "unsupported-image"),
    ],
)
def test_what_the_header_says_is_refused_before_decoding(kind: str, code: str) -> None:
    with pytest.raises(SrError) as caught:
        read_picture(packed(*HEADERS[kind][0]))
    assert caught.value.code == code


def test_premultiplied_colours_are_divided(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.full((4, 4, 4), 100, np.uint8)
    pixels[..., 3] = 200
    monkeypatch.setattr("sr_cli.imaging.codecs.jxl._decode", lambda _: (pixels, None, None))
    (frame,) = read_picture(packed(*HEADERS["premultiplied"][0])).frames
    assert frame.pixels.dtype == np.uint8 and (frame.pixels == 128).all()
    assert frame.alpha is not None and (frame.alpha == 200).all()


def test_boxes_are_added_and_damaged_ones_left_out() -> None:
    plain = written(Frame(smooth(8, 8)))
    assert plain.startswith(jxl_file.CODESTREAM)
    boxed = jxl_file.with_boxes(plain, {b"Exif": bytes(4) + b"II*\0", b"xml ": b"<x/>"})
    assert [kind for kind, _ in read_boxes(boxed)] == [b"JXL ", b"ftyp", b"Exif", b"xml ", b"jxlc"]
    assert jxl_file.read_metadata_boxes(boxed) == {b"Exif": b"II*\0", b"xml ": b"<x/>"}
    assert read_header(boxed) == read_header(plain)
    bad = jxl_file.with_boxes(plain, {b"brob": b"xml rubbish", b"Exif": b"\xff" * 4 + b"II"})
    assert jxl_file.read_metadata_boxes(bad) == {}
    assert read_picture(bad).metadata.exif is None
    # The size of a box may be 64 bits, 0 for the rest of the file, or too small.
    assert list(read_boxes(b"\0\0\0\1free" + (19).to_bytes(8, "big") + b"abc")) == [
        (b"free", b"abc")
    ]
    assert list(read_boxes(b"\0\0\0\0jxlcabc")) == [(b"jxlc", b"abc")]
    assert list(read_boxes(b"\0\0\0\3jxlc")) == []
