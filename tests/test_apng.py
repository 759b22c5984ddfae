"""Animated PNG: what is shown with each frame, by the specification."""

from __future__ import annotations

import struct
import zlib
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from helpers.command import BICUBIC, Run
from numpy.typing import NDArray
from PIL import Image

from sr_cli.errors import Note, SrError
from sr_cli.imaging.codecs.png_chunks import SIGNATURE, chunk
from sr_cli.imaging.decode import read_picture

LEAVE, CLEAR, RESTORE = 0, 1, 2
SOURCE, OVER = 0, 1
CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}
"""By colour type."""


class Part(NamedTuple):
    """A frame as it is stored: (h, w, C) at a place."""

    pixels: NDArray[Any]
    left: int = 0
    top: int = 0
    disposal: int = LEAVE
    blend: int = SOURCE


def apng(
    width: int,
    height: int,
    depth: int,
    kind: int,
    parts: list[Part],
    *,
    still: NDArray[Any] | None = None,
    before: bytes = b"",
    after: bytes = b"",
) -> bytes:
    """An animation, after an image for other viewers if there is one."""

    def packed(pixels: NDArray[Any]) -> bytes:
        rows = pixels.astype(f">u{depth // 8}")
        return zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))

    made = SIGNATURE + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0))
    made += before + chunk(b"acTL", struct.pack(">II", len(parts), 0))
    made += b"" if still is None else chunk(b"IDAT", packed(still))
    number = 0
    for part in parts:
        high, wide = part.pixels.shape[:2]
        place = (wide, high, part.left, part.top, 5, 100, part.disposal, part.blend)
        made += chunk(b"fcTL", struct.pack(">5IHHBB", number, *place))
        if part is parts[0] and still is None:
            made += chunk(b"IDAT", packed(part.pixels))
            number += 1
        else:
            made += chunk(b"fdAT", struct.pack(">I", number + 1) + packed(part.pixels))
            number += 2
    return made + after + chunk(b"IEND", b"")


def flat(value: tuple[int, ...], width: int = 4, height: int = 4) -> NDArray[Any]:
    return np.full((height, width, len(value)), value)


def shown(data: bytes) -> list[NDArray[Any]]:
    """RGBA or gray and alpha of each frame."""
    return [np.dstack([frame.pixels, frame.alpha]) for frame in read_picture(data).frames]


def test_glass_over_nothing_stays_what_it_is(sr: Run, tmp_path: Path) -> None:
    nothing, glass = flat((0, 0, 0, 0)), flat((255, 200, 0, 128))
    parts = [Part(nothing), Part(glass, blend=OVER, disposal=CLEAR), Part(glass, blend=OVER)]
    (tmp_path / "a.png").write_bytes(apng(4, 4, 8, 6, parts))
    assert sr(*BICUBIC, "a.png").returncode == 0
    with Image.open(tmp_path / "a_x2.png") as made:
        assert made.n_frames == 3 and made.convert("RGBA").getextrema()[3] == (0, 0)
        for number in (1, 2):
            made.seek(number)
            assert (np.asarray(made.convert("RGBA")) == (255, 200, 0, 128)).all()


def test_16_bits_are_cleared_where_the_frame_was(sr: Run, tmp_path: Path) -> None:
    white, gray = (65535,) * 4, (30_000, 30_000, 30_000, 65535)
    parts = [
        Part(flat(white, 16, 8)),
        Part(flat(gray, 8, 4), 4, 2, disposal=CLEAR),
        Part(flat(white, 1, 1)),
    ]
    data = apng(16, 8, 16, 6, parts)
    assert [frame.pixels.dtype for frame in read_picture(data).frames] == [np.uint16] * 3
    (tmp_path / "a.png").write_bytes(data)
    wanted = np.full((8, 16), 65535)
    wanted[2:6, 4:12] = 0
    assert np.array_equal(shown(data)[2][..., 3], wanted)
    assert sr(*BICUBIC, "a.png", "--flatten").returncode == 0
    with Image.open(tmp_path / "a_x2.png") as made:
        made.seek(2)
        # Away from the edges, which bicubic blurs.
        alpha = np.asarray(made.convert("RGBA"))[..., 3]
        assert (alpha[7:9, 12:20] == 0).all() and (alpha[:, :4] == 255).all()


def over(front: Any, back: Any, top: int) -> list[int]:
    """A pixel over another, exactly (PNG third edition, section 13.16)."""
    *colour, alpha = (Fraction(int(value), top) for value in front)
    *behind, behind_alpha = (Fraction(int(value), top) for value in back)
    left = behind_alpha * (1 - alpha)
    whole = alpha + left
    mixed = [(c * alpha + b * left) / (whole or 1) for c, b in zip(colour, behind, strict=True)]
    return [int(value * top + Fraction(1, 2)) for value in (*mixed, whole)]


def expected(width: int, height: int, top: int, parts: list[Part]) -> list[NDArray[Any]]:
    """Pixel by pixel, as section 11.3.6.2 says."""
    canvas = np.zeros((height, width, parts[0].pixels.shape[2]), int)
    frames = []
    for part in parts:
        before = canvas.copy()
        high, wide = part.pixels.shape[:2]
        places = [(y, x) for y in range(high) for x in range(wide)]
        for y, x in places:
            place = part.top + y, part.left + x
            front = part.pixels[y, x]
            canvas[place] = over(front, canvas[place], top) if part.blend == OVER else front
        frames.append(canvas.copy())
        for y, x in places:
            if part.disposal == CLEAR:
                canvas[part.top + y, part.left + x] = 0
        if part.disposal == RESTORE:
            canvas = before
    return frames


def random_parts(seed: int, top: int, channels: int) -> list[Part]:
    random = np.random.default_rng(seed)
    parts = [Part(random.integers(0, top + 1, (5, 6, channels)), 0, 0, seed % 3, seed % 2)]
    for _ in range(4):
        wide, high = random.integers(1, (7, 6))
        pixels = random.integers(0, top + 1, (high, wide, channels))
        pixels[..., -1] = random.choice([0, top // 3, top // 2, top], (high, wide))
        left, upper = random.integers(0, (7 - wide, 6 - high))
        parts.append(Part(pixels, left, upper, *random.integers(0, (3, 2))))
    return parts


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("kind", [4, 6])
@pytest.mark.parametrize("has_still", [False, True])
def test_frames_are_composed_as_the_specification_says(
    depth: int, kind: int, has_still: bool
) -> None:
    top = 2**depth - 1
    for seed in range(12):
        parts = random_parts(seed, top, CHANNELS[kind])
        if has_still:
            # Only an image that is a frame has to fill the canvas.
            parts = parts[1:]
        still = flat((7,) * CHANNELS[kind], 6, 5) if has_still else None
        frames = shown(apng(6, 5, depth, kind, parts, still=still))
        for frame, wanted in zip(frames, expected(6, 5, top, parts), strict=True):
            visible = wanted[..., -1] > 0
            assert np.array_equal(frame[..., -1], wanted[..., -1])
            assert np.array_equal(frame[visible], wanted[visible])


@pytest.mark.parametrize("depth", [8, 16])
def test_images_without_alpha_get_it_only_where_something_is_cleared(depth: int) -> None:
    colours = [flat((n, 2 * n, 3 * n)) for n in (10, 20, 30)]
    kept = [Part(colours[0]), Part(colours[1], blend=OVER), Part(colours[2][:2, :2], 2, 2)]
    frames = read_picture(apng(4, 4, depth, 2, kept)).frames
    assert all(frame.alpha is None for frame in frames)
    assert frames[2].pixels[:, :, 0].tolist() == [[20] * 4] * 2 + [[20, 20, 30, 30]] * 2
    cleared = [Part(colours[0]), Part(colours[1][:2], disposal=CLEAR), Part(colours[2][2:], 0, 2)]
    last = shown(apng(4, 4, depth, 2, cleared))[2]
    assert (last[:2, :, 3] == 0).all() and (last[2:] == (30, 60, 90, 2**depth - 1)).all()


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("kind", [0, 2])
def test_the_transparent_colour_shows_what_is_behind(depth: int, kind: int) -> None:
    channels = CHANNELS[kind]
    key = chunk(b"tRNS", struct.pack(">H", 9) * channels)
    front = flat((9,) * channels)
    front[1:3] = 100
    parts = [Part(flat((50,) * channels)), Part(front, blend=OVER)]
    last = shown(apng(4, 4, depth, kind, parts, before=key))[1]
    assert last[..., 0].tolist() == [[50] * 4, [100] * 4, [100] * 4, [50] * 4]
    assert (last[..., -1] == 2**depth - 1).all()


def test_a_palette_with_half_transparent_colours() -> None:
    before = chunk(b"PLTE", bytes([0, 0, 0, 255, 200, 0])) + chunk(b"tRNS", bytes([0, 128]))
    parts = [Part(flat((0,))), Part(flat((1,)), blend=OVER), Part(flat((1,)), blend=OVER)]
    frames = shown(apng(4, 4, 8, 3, parts, before=before))
    assert (frames[0][..., 3] == 0).all() and (frames[1] == (255, 200, 0, 128)).all()
    assert (frames[2] == (255, 200, 0, 192)).all()


def test_metadata_may_follow_the_frames() -> None:
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "Maker", 6
    after = chunk(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0"))
    parts = [Part(flat((n, n, n, 255), 4, 3)) for n in (10, 20)]
    picture = read_picture(apng(4, 3, 8, 6, parts, after=after))
    assert (picture.width, picture.height) == (3, 4)
    assert picture.metadata.exif is not None and b"Maker" in picture.metadata.exif


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("damage", ["missing", "outside", "order", "short", "cut"])
def test_damaged_animations_are_errors(depth: int, damage: str) -> None:
    parts = [Part(flat((1, 2, 3, 4))), Part(flat((5, 6, 7, 8)))]
    if damage == "outside":
        parts[1] = parts[1]._replace(left=1)
    data = apng(4, 4, depth, 6, parts)
    if damage == "missing":
        data = data.replace(chunk(b"acTL", struct.pack(">II", 2, 0)),
                            chunk(b"acTL", struct.pack(">II", 3, 0)))  # fmt: skip
    elif damage == "order":
        data = data.replace(b"fdAT" + struct.pack(">I", 2), b"fdAT" + struct.pack(">I", 5))
    elif damage == "short":
        control = data.index(b"fcTL", data.index(b"IDAT")) - 4
        data = data[:control] + chunk(b"fcTL", struct.pack(">I", 1)) + data[control + 38 :]
    elif damage == "cut":
        data = data[:-30]
    with pytest.raises(SrError) as caught:
        read_picture(data)
    is_deep_cut = (depth, damage) == (16, "cut")
    assert caught.value.code == ("unsupported-16-bit-image" if is_deep_cut else "damaged-image")


def test_a_damaged_frame_of_16_bits_makes_8_bits_of_all() -> None:
    parts = [Part(flat((65535, 0, 0, 65535))), Part(flat((0, 65535, 0, 65535)))]
    data = apng(4, 4, 16, 6, parts)
    picture = read_picture(data[:-30], allow_truncated=True)
    assert [frame.pixels.dtype for frame in picture.frames] == [np.uint8] * 2
    assert (picture.frames[0].pixels == (255, 0, 0)).all()
    assert picture.notes == [Note("read-at-8-bits")]


def test_what_is_said_twice_or_after_the_last_frame_does_not_count() -> None:
    """A second header must not make a frame larger than the image, whose size was checked."""
    parts = [Part(flat((9, 8, 7, 255))), Part(flat((1, 2, 3, 255)))]
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 60000, 60000, 8, 6, 0, 0, 0))
    large = chunk(b"fcTL", struct.pack(">5IHHBB", 3, 60000, 60000, 0, 0, 5, 100, LEAVE, SOURCE))
    made = shown(apng(4, 4, 8, 6, parts, after=header + large))
    assert len(made) == 2 and (made[1] == (1, 2, 3, 255)).all()
    data = apng(4, 4, 8, 6, parts)
    control = data.index(b"fcTL", data.index(b"IDAT")) - 4
    wide = chunk(b"fcTL", struct.pack(">5IHHBB", 1, 60000, 60000, 0, 0, 5, 100, LEAVE, SOURCE))
    larger = data[:control] + header + wide + data[control + len(wide) :]
    with pytest.raises(SrError) as caught:
        read_picture(larger)
    assert caught.value.code == "damaged-image"
