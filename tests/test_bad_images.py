"""Files that cannot be decoded: one error each, with its code, and the next file is upscaled."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import pytest
from helpers.command import BICUBIC, Run
from helpers.images import encoded, save
from hypothesis import given, settings
from hypothesis import strategies as st

from sr_cli.cli.messages import sentence
from sr_cli.errors import SrError
from sr_cli.imaging.decode import read_picture


def bomb() -> bytes:
    """A small PNG that declares 100000 x 100000 pixels."""
    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    pixels = zlib.compress(b"\0" * 1000)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    )


ENCODED = {s: encoded(s) for s in ("jpg", "png", "webp", "tif", "bmp", "gif", "avif")}

BAD_FILES = {
    "empty.png": (b"", "empty-file"),
    "text.jpg": (b"hello, I am no image", "unknown-image-format"),
    "broken.tif": (b"II*\0" + bytes(40), "unsupported-image"),
    "cut.jpg": (ENCODED["jpg"][:-300], "damaged-image"),
    "cut.png": (ENCODED["png"][:-300], "damaged-image"),
    "bomb.png": (bomb(), "too-many-pixels"),
}


@pytest.mark.parametrize("name", list(BAD_FILES))
def test_bad_files_are_refused_with_their_code(name: str) -> None:
    content, code = BAD_FILES[name]
    with pytest.raises(SrError) as caught:
        read_picture(content)
    assert caught.value.code == code
    assert caught.value.subject == "stdin"


def test_a_bomb_is_refused_before_it_is_decoded() -> None:
    with pytest.raises(SrError) as caught:
        read_picture(bomb())
    assert caught.value.facts == {"pixels": 100_000**2, "max_pixels": 512_000_000}


def test_missing_and_unreadable_files(tmp_path: Path) -> None:
    for path, code in ((tmp_path / "none.png", "file-not-found"), (tmp_path, "unreadable-file")):
        with pytest.raises(SrError) as caught:
            read_picture(path)
        assert (caught.value.code, caught.value.subject) == (code, str(path))


def test_bad_files_fail_alone_and_the_batch_goes_on(sr: Run, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name, (content, _) in BAD_FILES.items():
        (tmp_path / "in" / name).write_bytes(content)
    save(tmp_path / "in" / "zgood.png")
    done = sr(*BICUBIC, "in", "nothere.png", "-o", "out", "--json")
    assert done.returncode == 1
    failed = {Path(r["input"]).name: r["error"]["code"] for r in done.records if "error" in r}
    codes = {name: code for name, (_, code) in BAD_FILES.items()}
    assert failed.items() >= codes.items()
    assert set(failed) == {*codes, "nothere.png"}
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["zgood.png"]


@pytest.mark.parametrize("name", ["cut.jpg", "cut.png"])
def test_truncated_files_can_be_allowed(sr: Run, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(BAD_FILES[name][0])
    failed = sr(*BICUBIC, name)
    assert (failed.returncode, failed.error_codes) == (1, ["damaged-image"])
    assert b"--allow-truncated" in failed.stderr
    assert sr(*BICUBIC, name, "--allow-truncated").returncode == 0


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_flipped_bytes_give_a_picture_or_one_clean_error(data: st.DataObject) -> None:
    suffix = data.draw(st.sampled_from(sorted(ENCODED)))
    content = bytearray(ENCODED[suffix])
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        picture = read_picture(bytes(content), max_pixels=10_000_000)
    except SrError as error:
        assert " " not in error.code
        assert "\n" not in sentence(error)
    else:
        assert picture.frames[0].pixels.size > 0
