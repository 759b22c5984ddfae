"""Animated GIF: each frame is disposed of as it says, and only as it says."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from helpers.command import BICUBIC, Run
from numpy.typing import NDArray
from PIL import Image

from sr_cli.imaging.decode import read_picture

WIDTH, HEIGHT = 8, 6
COLOURS = np.random.default_rng(0).integers(0, 256, (16, 3), dtype=np.uint8)
LEAVE, CLEAR, RESTORE = 1, 2, 3


class Part(NamedTuple):
    """A frame as it is stored: indices (h, w), 0 for transparent, at a place.

    Without a disposal it has no graphic control, and is opaque.
    """

    indices: NDArray[Any]
    left: int = 0
    top: int = 0
    disposal: int | None = LEAVE


def packed(indices: NDArray[Any]) -> bytes:
    """LZW codes of 5 bits that never use the dictionary (GIF89a, appendix F)."""
    codes: list[int] = []
    for place, index in enumerate(indices.ravel()):
        codes += [16] * (place % 14 == 0) + [int(index)]
    whole = sum(code << 5 * place for place, code in enumerate([*codes, 17]))
    data = whole.to_bytes((5 * len(codes) + 12) // 8, "little")
    return b"\x04" + bytes([len(data)]) + data + b"\0"


def gif(*parts: Part) -> bytes:
    made = b"GIF89a" + struct.pack("<HHBBB", WIDTH, HEIGHT, 0x80 | 3, 0, 0) + COLOURS.tobytes()
    for part in parts:
        if part.disposal is not None:
            made += b"\x21\xf9\x04" + struct.pack("<BHBB", part.disposal << 2 | 1, 5, 0, 0)
        high, wide = part.indices.shape
        made += b"," + struct.pack("<HHHHB", part.left, part.top, wide, high, 0)
        made += packed(part.indices)
    return made + b";"


NOTHING = Part(np.zeros((HEIGHT, WIDTH), int))


def bar(left: int, disposal: int | None) -> Part:
    return Part(np.full((HEIGHT, 1), 5), left, 0, disposal)


def painted(alpha: NDArray[Any]) -> list[int]:
    """The columns that are not transparent."""
    return [int(column) for column in np.flatnonzero(alpha.all(0))]


@pytest.mark.parametrize("first", [CLEAR, RESTORE])
@pytest.mark.parametrize("then", [0, None])
def test_frames_without_a_disposal_stay(first: int, then: int | None) -> None:
    picture = read_picture(gif(NOTHING, bar(0, first), bar(2, then), bar(4, then), bar(6, LEAVE)))
    columns = [painted(frame.alpha) for frame in picture.frames]
    assert columns == [[], [0], [2], [2, 4], [2, 4, 6]]
    wanted = [50.0, 50.0, *([0.0 if then is None else 50.0] * 2), 50.0]
    assert [frame.duration for frame in picture.frames] == wanted


def test_stray_bytes_between_blocks_change_nothing() -> None:
    parts = [NOTHING, bar(1, CLEAR), bar(3, None), bar(5, LEAVE)]
    data = gif(*parts)
    stray = data.replace(b"\0,", b"\0\0\0,")
    assert len(stray) > len(data)
    pairs = zip(read_picture(data).frames, read_picture(stray).frames, strict=True)
    assert all((a.pixels == b.pixels).all() for a, b in pairs)


def test_the_result_shows_what_stays(sr: Run, tmp_path: Path) -> None:
    (tmp_path / "a.gif").write_bytes(gif(NOTHING, bar(0, CLEAR), bar(2, 0), bar(5, 0)))
    assert sr(*BICUBIC, "a.gif").returncode == 0
    with Image.open(tmp_path / "a_x2.gif") as made:
        made.seek(3)
        pixels = np.asarray(made.convert("RGBA"))
    assert painted(pixels[..., 3]) == [4, 5, 10, 11]
    assert (pixels[:, [4, 5, 10, 11], :3] == COLOURS[5]).all()


def expected(parts: list[Part]) -> list[NDArray[Any]]:
    """Indices of each frame as section 23 of GIF89a says, with cleared pixels transparent."""
    canvas = np.zeros((HEIGHT, WIDTH), int)
    frames = []
    for part in parts:
        before = canvas.copy()
        high, wide = part.indices.shape
        area = canvas[part.top : part.top + high, part.left : part.left + wide]
        area[part.indices > 0] = part.indices[part.indices > 0]
        frames.append(canvas.copy())
        if part.disposal == CLEAR:
            area[:] = 0
        elif part.disposal == RESTORE:
            canvas = before
    return frames


def test_any_order_of_disposals() -> None:
    for seed in range(40):
        random = np.random.default_rng(seed)
        parts = [NOTHING._replace(disposal=seed % 4)]
        for _ in range(5):
            high, wide = random.integers(1, 5, 2)
            indices = random.integers(0, 16, (high, wide))
            left, top = random.integers(0, (WIDTH - wide + 1, HEIGHT - high + 1))
            parts.append(Part(indices, int(left), int(top), int(random.integers(0, 4))))
        frames = read_picture(gif(*parts)).frames
        for frame, wanted in zip(frames, expected(parts), strict=True):
            assert np.array_equal(frame.alpha > 0, wanted > 0)
            assert np.array_equal(frame.pixels[wanted > 0], COLOURS[wanted[wanted > 0]])
