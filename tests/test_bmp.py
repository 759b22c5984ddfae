"""BMP of every kind: palettes, masks, runs, headers of Windows and OS/2, alpha in and out."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers.bitmaps import INFO, V3, V4, V5, bitmap, packed_rows
from helpers.command import BICUBIC, Run
from helpers.images import noise, smooth
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from sr_cli.errors import Note, SrError
from sr_cli.imaging.decode import read_picture
from sr_cli.imaging.encode import write_picture
from sr_cli.imaging.formats import FORMATS, Encoding
from sr_cli.imaging.picture import Frame, Picture

WIDTH, HEIGHT = 13, 7


def frame_of(data: bytes) -> Frame:
    (frame,) = read_picture(data).frames
    return frame


@pytest.mark.parametrize("header", [12, 16, INFO, 52, V3, 64, V4, V5])
@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_indices_are_colours_behind_every_header(bits: int, header: int) -> None:
    palette = noise(1, 2**bits)[0]
    indices = noise(HEIGHT, WIDTH)[..., 0] & 2**bits - 1
    data = bitmap(packed_rows(indices, bits), WIDTH, HEIGHT, bits, header=header, palette=palette)
    assert np.array_equal(frame_of(data).pixels, palette[indices])


def test_a_palette_of_grays_gives_gray() -> None:
    palette = np.repeat(np.arange(16, dtype=np.uint8)[::-1, None] * 17, 3, axis=1)
    indices = noise(HEIGHT, WIDTH)[..., 0] % 16
    data = bitmap(packed_rows(indices, 4), WIDTH, HEIGHT, 4, palette=palette)
    assert np.array_equal(frame_of(data).pixels, palette[indices, 0])


def test_a_palette_may_be_short_or_too_long() -> None:
    indices = np.array([[0, 1, 2, 200]], np.uint8)
    for count in (2, 300):
        palette = noise(1, count)[0]
        found = frame_of(bitmap(packed_rows(indices, 8), 4, 1, 8, palette=palette)).pixels[0]
        wanted = np.zeros((4, 3), np.uint8)
        known = [i for i in (0, 1, 2, 200) if i < count]
        wanted[: len(known)] = palette[known]
        assert np.array_equal(found, wanted)


@pytest.mark.parametrize("top_down", [False, True])
@pytest.mark.parametrize("header", [12, INFO, V5])
def test_24_bits_from_either_end(header: int, top_down: bool) -> None:
    if header == 12 and top_down:
        pytest.skip("this header has no sign")
    pixels = noise(HEIGHT, WIDTH)
    body = packed_rows((pixels[::-1] if top_down else pixels)[..., ::-1], 24)
    data = bitmap(body, WIDTH, -HEIGHT if top_down else HEIGHT, 24, header=header)
    assert np.array_equal(frame_of(data).pixels, pixels)


MASKS = {
    "555": (16, INFO, 0, ()),
    "555-named": (16, INFO, 3, (0x7C00, 0x03E0, 0x001F)),
    "565": (16, INFO, 3, (0xF800, 0x07E0, 0x001F)),
    "565-v4": (16, V4, 3, (0xF800, 0x07E0, 0x001F)),
    "231": (16, INFO, 3, (0x0600, 0x01C0, 0x0020)),
    "4444": (16, V3, 3, (0x0F00, 0x00F0, 0x000F, 0xF000)),
    "5551": (16, V5, 3, (0x7C00, 0x03E0, 0x001F, 0x8000)),
    "888": (32, INFO, 0, ()),
    "rgbx": (32, 52, 3, (0xFF000000, 0xFF0000, 0xFF00)),
    "8888": (32, V4, 3, (0xFF0000, 0xFF00, 0xFF, 0xFF000000)),
    "8888-first": (32, V5, 3, (0xFF, 0xFF00, 0xFF0000, 0xFF000000)),
    "8888-after": (32, INFO, 6, (0xFF0000, 0xFF00, 0xFF, 0xFF000000)),
    "1010102": (32, V5, 3, (0x3FF, 0xFFC00, 0x3FF00000, 0xC0000000)),
    "no-blue": (16, INFO, 3, (0xFF00, 0x00FF, 0)),
}


@pytest.mark.parametrize("kind", list(MASKS))
def test_masks_tell_the_channels_apart(kind: str) -> None:
    bits, header, compression, masks = MASKS[kind]
    stored = np.random.default_rng(1).integers(0, 2**bits, (HEIGHT, WIDTH)).astype(f"<u{bits // 8}")
    body = packed_rows(stored.view(np.uint8).reshape(HEIGHT, WIDTH, -1), bits)
    picture = read_picture(
        bitmap(body, WIDTH, HEIGHT, bits, header=header, compression=compression, masks=masks)
    )
    (frame,) = picture.frames
    masks = masks or ((0x7C00, 0x03E0, 0x001F) if bits == 16 else (0xFF0000, 0xFF00, 0xFF))
    planes = [*np.moveaxis(frame.pixels, 2, 0), frame.alpha]
    assert (frame.alpha is None) == (len(masks) == 3)
    for plane, mask in zip(planes, masks, strict=False):
        shift = f"{mask:b}"[::-1].index("1") if mask else 0
        top = max(1, mask >> shift)
        exact = (stored.astype(np.int64) & mask >> 0) / (1 << shift) / top * 255
        assert np.abs(plane - exact).max() <= 0.5
    assert picture.notes == ([Note("depth-reduced", {"bits": 10})] if kind == "1010102" else [])


def test_the_unused_byte_of_32_bits_is_no_alpha() -> None:
    pixels = noise(HEIGHT, WIDTH)
    body = packed_rows(np.dstack([pixels[..., ::-1], pixels[..., 0]]), 32)
    frame = frame_of(bitmap(body, WIDTH, HEIGHT, 32))
    assert frame.alpha is None and np.array_equal(frame.pixels, pixels)


def test_64_bits_are_linear_light() -> None:
    stored = np.zeros((1, 4, 4), "<i2")
    stored[0, :, :3] = np.array([-5, 0, 1761, 9000])[:, None]
    stored[..., 3] = [0, 4096, 8192, 8192]
    picture = read_picture(bitmap(stored.tobytes(), 4, 1, 64))
    (frame,) = picture.frames
    # 0.214 of linear light is half of the way from black to white in sRGB.
    assert frame.pixels[0, :, 0].tolist() == [0, 0, 128, 255]
    assert frame.alpha is not None and frame.alpha.tolist() == [[0, 128, 255, 255]]
    assert picture.notes == [Note("depth-reduced", {"bits": 16})]


PALETTE = noise(1, 256, seed=3)[0]


@pytest.mark.parametrize(
    ("bits", "body", "wanted"),
    [
        # Three equal, three written out (padded), end of line; a step; the end.
        (8, b"\3\7\0\3\1\2\3\0\0\0" b"\0\2\2\1" b"\2\x09\0\1",
         [[0] * 6, [0, 0, 9, 9, 0, 0], [0] * 6, [7, 7, 7, 1, 2, 3]]),
        # A run beyond the end of its row, and rows that are left out.
        (8, b"\x09\5\0\0\0\1", [[0] * 6] * 3 + [[5] * 6]),
        # Two that alternate; five written out in three bytes, padded to four.
        (4, b"\5\x12\0\0\0\5\x34\x56\x70\0\0\1",
         [[0] * 6, [0] * 6, [3, 4, 5, 6, 7, 0], [1, 2, 1, 2, 1, 0]]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("header", [INFO, 64])
def test_runs(bits: int, body: bytes, wanted: list[list[int]], header: int) -> None:
    data = bitmap(
        body, 6, 4, bits, header=header, compression=1 if bits == 8 else 2, palette=PALETTE
    )
    assert np.array_equal(frame_of(data).pixels, PALETTE[np.array(wanted)])


def test_runs_of_colours() -> None:
    body = b"\2\1\2\3\0\3" + bytes(range(10, 19)) + b"\0" + b"\0\1"
    pixels = frame_of(bitmap(body, 6, 1, 24, header=64, compression=4)).pixels
    assert pixels[0].tolist() == [
        [3, 2, 1], [3, 2, 1], [12, 11, 10], [15, 14, 13], [18, 17, 16], [0, 0, 0],
    ]  # fmt: skip


@pytest.mark.parametrize(("compression", "name"), [(4, "JPEG"), (5, "PNG")])
def test_embedded_files(compression: int, name: str) -> None:
    file = io.BytesIO()
    Image.fromarray(smooth(HEIGHT, WIDTH)).save(file, name)
    data = bitmap(file.getvalue(), WIDTH, HEIGHT, 0, compression=compression)
    assert np.abs(frame_of(data).pixels.astype(int) - smooth(HEIGHT, WIDTH)).max() < 60
    with pytest.raises(SrError) as caught:
        read_picture(data, max_pixels=HEIGHT * WIDTH - 1)
    assert caught.value.code == "too-many-pixels"


def test_resolution_and_profile_are_read() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    body = packed_rows(noise(HEIGHT, WIDTH), 24)
    found = read_picture(bitmap(body, WIDTH, HEIGHT, 24, header=V5, profile=profile)).metadata
    assert found.icc == profile
    assert found.dpi is not None and np.allclose(found.dpi, 100, atol=0.01)


@pytest.mark.parametrize("gray", [False, True])
def test_alpha_is_kept_by_default(sr: Run, tmp_path: Path, gray: bool) -> None:
    colour = smooth(150, 20)
    colour = np.repeat(colour[..., :1], 3, axis=2) if gray else colour
    alpha = np.zeros((150, 20), np.uint8)
    alpha[:, 10:] = 200
    body = packed_rows(np.dstack([colour[..., ::-1], alpha]), 32)
    masks = (0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    (tmp_path / "a.bmp").write_bytes(
        bitmap(body, 20, 150, 32, header=V5, compression=3, masks=masks)
    )
    done = sr(*BICUBIC, "a.bmp", "--json")
    assert done.returncode == 0 and done.notes == []
    with Image.open(tmp_path / "a_x2.bmp") as made:
        assert made.mode == "RGBA" and made.size == (40, 300)
        found = np.asarray(made)
        assert np.allclose(made.info["dpi"], 100, atol=0.1)
    assert (found[:, :16, 3] == 0).all() and (found[:, 24:, 3] == 200).all()
    assert np.abs(found[::2, 24::2, :3].astype(int) - colour[:, 12:]).max() <= 24
    other = cv2.imread(str(tmp_path / "a_x2.bmp"), cv2.IMREAD_UNCHANGED)
    assert other is not None and np.array_equal(other[..., [2, 1, 0, 3]], found)


@pytest.mark.parametrize("height", [1, 64, 65])
@pytest.mark.parametrize("gray", [False, True])
def test_written_alpha_comes_back(height: int, gray: bool) -> None:
    pixels = noise(height, 9)
    file = io.BytesIO()
    colour = np.ascontiguousarray(pixels[..., 0] if gray else pixels)
    picture = Picture([Frame(colour, np.ascontiguousarray(pixels[..., 1]))], "PNG")
    write_picture(picture, file, FORMATS["BMP"], Encoding())
    data = file.getvalue()
    assert struct.unpack_from("<I", data, 2)[0] == len(data)
    frame = frame_of(data)
    assert np.array_equal(frame.pixels, np.dstack([colour] * 3) if gray else colour)
    assert frame.alpha is not None and np.array_equal(frame.alpha, pixels[..., 1])


@pytest.mark.parametrize("runs", [False, True])
def test_missing_pixels_can_be_allowed(runs: bool) -> None:
    if runs:
        data = bitmap(b"\3\7\0\0", 6, 4, 8, compression=1, palette=PALETTE - PALETTE[0])
    else:
        data = bitmap(packed_rows(noise(4, 6), 24)[:-20], 6, 4, 24)
    with pytest.raises(SrError) as caught:
        read_picture(data)
    assert (caught.value.code, caught.value.hint) == ("damaged-image", "allow-truncated")
    frame = read_picture(data, allow_truncated=True).frames[0]
    assert frame.pixels[-1, 0].any() and not frame.pixels[0].any()


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (bitmap(b"", 100_000, 100_000, 8, compression=1, palette=PALETTE), "too-many-pixels"),
        (bitmap(bytes(16), 4, 4, 1, header=64, compression=3), "unsupported-image"),
        (bitmap(bytes(16), 4, 4, 7), "unsupported-image"),
        (bitmap(bytes(16), 4, 4, 8, header=70), "unsupported-image"),
        (bitmap(bytes(16), 0, 4, 8), "damaged-image"),
        (b"BM" + bytes(12), "damaged-image"),
    ],
)
def test_what_cannot_be_read_is_an_error_with_its_reason(data: bytes, code: str) -> None:
    with pytest.raises(SrError) as caught:
        read_picture(data)
    assert caught.value.code == code


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_flipped_bytes_give_a_picture_or_one_clean_error(data: st.DataObject) -> None:
    content = bytearray(
        data.draw(
            st.sampled_from(
                [
                    bitmap(b"\3\7\0\3\1\2\3\0\0\0\0\2\2\1\2\x09\0\1", 6, 4, 8, compression=1,
                           palette=PALETTE),
                    bitmap(b"\5\x12\0\0\0\5\x34\x56\x70\0\0\1", 6, 4, 4, compression=2),
                    bitmap(bytes(64), 4, 4, 32, header=V5, compression=3, masks=(255,) * 4),
                    bitmap(bytes(128), 4, 4, 64),
                ]
            )
        )
    )  # fmt: skip
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(2, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        picture = read_picture(bytes(content), max_pixels=1_000_000)
    except SrError as error:
        assert error.code in ("damaged-image", "unsupported-image", "too-many-pixels")
    else:
        assert picture.frames[0].pixels.size > 0
