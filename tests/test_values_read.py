"""Measurements as they are read: every type, layout and number of bands, or a reason why not."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from helpers.command import BICUBIC, Run
from helpers.images import smooth
from helpers.tiffs import MEASURED_TYPES, random_samples, tiff, waves
from hypothesis import given, settings
from hypothesis import strategies as st

from sr_cli.errors import Note, SrError
from sr_cli.imaging.decode import read_picture
from sr_cli.imaging.picture import Frame


def frame_of(data: bytes) -> Frame:
    (frame,) = read_picture(data).frames
    return frame


def planes_of(frame: Frame) -> Any:
    return np.dstack([frame.pixels, *(band.pixels for band in frame.bands)])


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_adobe_deflate", "packbits"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", *MEASURED_TYPES])
def test_every_sample_of_every_type_is_read(
    dtype: str, compression: str | None, planar: bool, order: str
) -> None:
    for count in (1, 2, 3, 5):
        samples = random_samples(21, 13, count, dtype=dtype)
        rgb = count in (3, 5)
        data = tiff(
            samples, compression=compression, planar=planar, order=order,
            photometric=2 if rgb else 1, extra=(0,) * (count - (3 if rgb else 1)),
        )  # fmt: skip
        frame = frame_of(data)
        assert frame.alpha is None and frame.pixels.dtype == dtype
        assert np.array_equal(planes_of(frame), samples)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("dtype", ["uint16", "int16", "uint32"])
def test_differences_are_summed(dtype: str, order: str) -> None:
    samples = random_samples(21, 13, 3, dtype=dtype)
    data = tiff(samples, compression="tiff_lzw", predictor=2, photometric=2, order=order)
    assert np.array_equal(frame_of(data).pixels, samples)


def test_files_of_another_library_are_read() -> None:
    for samples in (
        random_samples(70, 33, 3, dtype="float32"),
        random_samples(70, 33, 3, dtype="uint16"),
    ):
        # LZW with differences.
        ok, data = cv2.imencode(".tif", samples)
        assert ok and np.array_equal(frame_of(data.tobytes()).pixels, samples[..., ::-1])
    values = random_samples(40, 52, 5, dtype="float32")
    file = io.BytesIO()
    tifffile.imwrite(file, values, photometric="minisblack", planarconfig="contig", tile=(16, 32))
    assert np.array_equal(planes_of(frame_of(file.getvalue())), values)


@pytest.mark.parametrize("planar", [False, True])
def test_lzw_gray_with_alpha_needs_no_other_package(sr: Run, tmp_path: Path, planar: bool) -> None:
    samples = np.dstack([waves(low=0, high=65535), np.full((24, 30), 40_000)]).astype(np.uint16)
    data = tiff(samples, compression="tiff_lzw", planar=planar, extra=(2,))
    (tmp_path / "a.tif").write_bytes(data)
    done = sr(*BICUBIC, "a.tif", "--json")
    assert done.returncode == 0 and done.notes == []
    made = tifffile.imread(tmp_path / "a_x2.tif")
    assert made.shape == (48, 60, 2) and (made[..., 1] == 40_000).all()


@pytest.mark.parametrize(("bits", "top"), [(2, 255), (4, 255), (6, 255), (10, 65535), (12, 65535),
                                           (14, 65535)])  # fmt: skip
def test_packed_integers_are_widened(bits: int, top: int) -> None:
    stored = random_samples(9, 7, 3, dtype="uint16") >> (16 - bits)
    stored[0, 0], stored[0, 1] = 0, 2**bits - 1
    pixels = frame_of(tiff(stored, bits=bits, photometric=2)).pixels
    assert np.abs(pixels - stored / (2**bits - 1) * top).max() <= 0.5
    gray = frame_of(tiff(stored[..., :1], bits=bits)).pixels
    assert np.abs(gray - pixels[..., 0].astype(float)).max() <= top / 4000


@pytest.mark.parametrize(
    ("data", "code", "facts"),
    [
        (tiff(random_samples(4, 4, 1, dtype="float32").astype(np.complex64)), "unsupported-samples",
         {"samples": "64-bit complex"}),
        (tiff(np.ones((4, 4, 1), np.uint64)), "unsupported-samples", {"samples": "64-bit uint"}),
        (tiff(np.ones((4, 4, 1), np.float32), photometric=0), "unsupported-samples",
         {"samples": "float32 with 0 as white"}),
        (tiff(np.ones((4, 4, 5), np.uint8), extra=(0,) * 4)[:-30], "damaged-image", None),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_with_the_reason(
    data: bytes, code: str, facts: dict[str, str] | None
) -> None:
    with pytest.raises(SrError) as caught:
        read_picture(data)
    assert caught.value.code == code
    assert facts is None or caught.value.facts == facts


@pytest.mark.parametrize(
    ("samples", "photometric", "said"),
    [
        (np.ones((8, 8, 3), np.uint16), 8, b"16-bit CIELAB (3 channels)"),
        (np.ones((8, 8, 5), np.uint8), 5, b"8-bit SEPARATED (5 channels)"),
        (np.ones((8, 8, 1), np.float32), 0, b"float32 with 0 as white"),
    ],
)
def test_colours_that_cannot_be_read_are_named(
    sr: Run, tmp_path: Path, samples: Any, photometric: int, said: bytes
) -> None:
    extra = (2,) if samples.shape[2] == 5 else ()
    (tmp_path / "a.tif").write_bytes(tiff(samples, photometric=photometric, extra=extra))
    done = sr(*BICUBIC, "a.tif")
    assert done.error_codes == ["unsupported-samples"] and said in done.stderr
    assert b"floats" not in done.stderr


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_masks_are_skipped_with_a_count(sr: Run, tmp_path: Path, dtype: str) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(smooth(8, 8).astype(dtype), photometric="rgb")
        file.write(np.ones((8, 8), np.bool_), photometric="mask", subfiletype=4)
    done = sr(*BICUBIC, "a.tif", "--json")
    assert done.returncode == 0
    assert {"kind": "mask-pages-skipped", "count": 1} in done.notes
    assert tifffile.imread(tmp_path / "a_x2.tif").shape == (16, 16, 3)


def test_a_palette_with_a_mask_is_read(sr: Run, tmp_path: Path) -> None:
    colours = np.arange(768, dtype=np.uint16).reshape(3, 256) * 85
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(smooth(8, 8)[..., 0], photometric="palette", colormap=colours)
        file.write(np.ones((8, 8), np.bool_), photometric="mask", subfiletype=4)
    done = sr(*BICUBIC, "a.tif", "--json")
    assert done.notes == [{"kind": "mask-pages-skipped", "count": 1}]


def test_an_unknown_compression_is_named() -> None:
    data = tiff(random_samples(8, 8, 5, dtype="float32"), compression="tiff_lzw", extra=(0,) * 4)
    lerc = data.replace(b"\3\1\4\0\1\0\0\0\5\0\0\0", b"\3\1\4\0\1\0\0\0\x47\x88\0\0")
    with pytest.raises(SrError) as caught:
        read_picture(lerc)
    assert caught.value.code == "unsupported-compression"
    assert caught.value.facts == {"compression": "LERC"}


@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
@pytest.mark.parametrize("count", [1, 5])
def test_what_is_left_of_a_cut_file_can_be_read(compression: str | None, count: int) -> None:
    samples = np.abs(random_samples(24, 6, count, dtype="float32")) + 1
    whole = tiff(samples, compression=compression, extra=(0,) * (count - 1))
    with pytest.raises(SrError) as caught:
        read_picture(whole[:-20])
    assert (caught.value.code, caught.value.hint) == ("damaged-image", "allow-truncated")
    (frame,) = read_picture(whole[:-20], allow_truncated=True).frames
    found = planes_of(frame)
    assert np.array_equal(found[:16], samples[:16]) and not found[-1, -1].any()


def test_tiles_without_compression_may_reach_beyond_the_edges() -> None:
    file = io.BytesIO()
    values = random_samples(35, 50, dtype="uint8")
    tifffile.imwrite(file, values, tile=(16, 32), photometric="miniswhite")
    assert np.array_equal(frame_of(file.getvalue()).pixels, 255 - values)


def test_sparse_files_have_nodata_where_nothing_is_stored() -> None:
    file = io.BytesIO()
    values = random_samples(16, 48, dtype="float32")
    tiles = [values[:, :16], None, values[:, 32:]]
    tifffile.imwrite(
        file, iter(tiles), shape=(16, 48), dtype=np.float32, tile=(16, 16),
        extratags=[(42113, 2, 0, "-5", True)],
    )  # fmt: skip
    pixels = frame_of(file.getvalue()).pixels
    assert (pixels[:, 16:32] == -5).all()
    assert np.array_equal(np.delete(pixels, slice(16, 32), 1), np.delete(values, slice(16, 32), 1))


def test_directories_in_a_circle_are_read_once() -> None:
    data = bytearray(tiff(np.ones((4, 4, 5), np.float32), extra=(0,) * 4))
    size = 2 + 12 * struct.unpack_from("<H", data, 8)[0]
    directory = bytes(data[8 : 8 + size])
    struct.pack_into("<I", data, 8 + size, 8)
    assert len(read_picture(bytes(data)).frames) == 1
    struct.pack_into("<I", data, 8 + size, len(data))
    assert len(read_picture(bytes(data) + directory + struct.pack("<I", 8)).frames) == 2


def test_measurements_without_a_photometric_tag_are_not_inverted() -> None:
    data = tiff(np.full((4, 4, 1), 7, np.float32))
    tag = struct.pack("<HHII", 262, 4, 1, 1)
    data = data.replace(tag, struct.pack("<HHII", 263, 4, 1, 1))
    assert (frame_of(data).pixels == 7).all()


def test_many_bands_count_as_many_pixels() -> None:
    data = tiff(np.zeros((10, 10, 9), np.uint8), extra=(0,) * 8)
    assert len(frame_of(data).bands) == 8
    with pytest.raises(SrError) as caught:
        read_picture(data, max_pixels=299)
    assert caught.value.facts == {"pixels": 300, "max_pixels": 299}


def test_plain_and_other_pages_in_one_file() -> None:
    for first in (True, False):
        file = io.BytesIO()
        with tifffile.TiffWriter(file) as writer:
            pages = [random_samples(6, 5, dtype="uint8"), random_samples(6, 5, 2, dtype="uint16"),
                     random_samples(6, 5, dtype="float32")]  # fmt: skip
            for page in pages if first else pages[::-1]:
                writer.write(page, photometric="minisblack",
                             extrasamples=["unassalpha"] if page.ndim == 3 else None)  # fmt: skip
        found = read_picture(file.getvalue()).frames
        assert {f.pixels.dtype.name for f in found} == {"uint8", "uint16", "float32"}
        assert [f.alpha is not None for f in found] == [False, True, False]


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_flipped_bytes_give_a_picture_or_one_clean_error(data: st.DataObject) -> None:
    content = bytearray(
        data.draw(
            st.sampled_from(
                [
                    tiff(
                        random_samples(8, 6, 5, dtype="uint16"),
                        compression="tiff_lzw",
                        extra=(0,) * 4,
                    ),
                    tiff(random_samples(8, 6, 3, dtype="float32"), photometric=2),
                    tiff(
                        random_samples(8, 6, 2, dtype="int16"), planar=True, predictor=2, extra=(0,)
                    ),
                ]
            )
        )
    )
    for _ in range(data.draw(st.integers(1, 5))):
        content[data.draw(st.integers(0, min(250, len(content) - 1)))] = data.draw(
            st.integers(0, 255)
        )
    try:
        picture = read_picture(bytes(content), max_pixels=1_000_000)
    except SrError as error:
        assert " " not in error.code
    else:
        assert picture.frames[0].pixels.size > 0
        assert all(isinstance(note, Note) for note in picture.notes)
