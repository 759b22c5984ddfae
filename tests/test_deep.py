"""16 bits a channel, and the rarer layouts of PNG and TIFF, in and out."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from helpers.command import BICUBIC, Run
from helpers.images import smooth
from PIL import Image, ImageCms

from sr_cli.imaging.profiles import fit_to_samples
from sr_cli.imaging.resize import resize_bicubic

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def ramp(h: int = 40, w: int = 48) -> np.ndarray:
    """(h, w) uint16 whose lower bytes matter."""
    y, x = np.mgrid[:h, :w]
    return (1000 + 211 * x + 307 * y).astype(np.uint16)


def read_deep(path: Path) -> np.ndarray:
    """Decoded by another library than the one that wrote it."""
    found = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert found is not None
    return found


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_deep_png_is_what_an_8_bit_result_would_be_with_more_digits(
    sr: Run, tmp_path: Path, channels: int
) -> None:
    planes = [ramp(), ramp()[::-1], ramp()[:, ::-1], np.full((40, 48), 65535, np.uint16)]
    deep = planes[0] if channels == 1 else np.dstack(planes[:channels])
    cv2.imwrite(str(tmp_path / "a.png"), deep)
    assert sr(*BICUBIC, "a.png").returncode == 0
    made = read_deep(tmp_path / "a_x2.png")
    assert made.dtype == np.uint16 and made.shape[:2] == (80, 96)
    assert len(np.unique(made & 255)) > 100
    inner = made[20:60, 20:76].astype(int)
    wanted = cv2.resize(deep, (96, 80), interpolation=cv2.INTER_CUBIC)[20:60, 20:76]
    assert np.abs(inner - wanted.astype(int)).max() < 200


def test_gray_with_alpha_goes_from_png_to_tiff_and_back(sr: Run, tmp_path: Path) -> None:
    gray, alpha = ramp(), np.full((40, 48), 30_000, np.uint16)
    tifffile.imwrite(
        tmp_path / "a.tif",
        np.dstack([gray, alpha]),
        photometric="minisblack",
        extrasamples=["unassalpha"],
    )
    assert sr(*BICUBIC, "a.tif", "-o", "b.tif").returncode == 0
    made = tifffile.imread(tmp_path / "b.tif")
    assert made.shape == (80, 96, 2) and made.dtype == np.uint16
    assert (made[..., 1] == 30_000).all()
    assert sr(*BICUBIC, "b.tif", "-o", "c.png").returncode == 0
    with Image.open(tmp_path / "c.png") as image:
        assert image.size == (192, 160)
    assert (tmp_path / "c.png").read_bytes()[24:26] == bytes([16, 4])


def test_pages_of_different_depths_each_keep_theirs(sr: Run, tmp_path: Path) -> None:
    deep = np.dstack([ramp()] * 3)
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for page in (deep, (deep >> 8).astype(np.uint8), ramp()):
            writer.write(page, photometric="rgb" if page.ndim == 3 else "minisblack")
    assert sr(*BICUBIC, "a.tif").returncode == 0
    with tifffile.TiffFile(tmp_path / "a_x2.tif") as tiff:
        assert [(p.dtype, p.shape) for p in tiff.pages] == [
            (np.uint16, (80, 96, 3)),
            (np.uint8, (80, 96, 3)),
            (np.uint16, (80, 96)),
        ]


def test_the_transparent_gray_of_a_deep_png_becomes_alpha(sr: Run, tmp_path: Path) -> None:
    gray = ramp()
    gray[:20] = 7
    Image.fromarray(gray).save(tmp_path / "a.png", transparency=7)
    assert sr(*BICUBIC, "a.png").returncode == 0
    assert (tmp_path / "a_x2.png").read_bytes()[24:26] == bytes([16, 4])
    alpha = read_deep(tmp_path / "a_x2.png")[..., 3]
    assert (alpha[:30] == 0).all() and (alpha[50:] == 65535).all()


def test_the_picture_for_viewers_without_animation_is_no_frame(sr: Run, tmp_path: Path) -> None:
    red, green, blue = (Image.new("RGB", (20, 16), c) for c in ("red", "lime", "blue"))
    red.save(
        tmp_path / "a.png", save_all=True, append_images=[green, blue], default_image=True,
        duration=[100, 200],
    )  # fmt: skip
    assert sr(*BICUBIC, "a.png").returncode == 0
    with Image.open(tmp_path / "a_x2.png") as made:
        assert getattr(made, "n_frames", 1) == 2
        assert made.convert("RGB").getpixel((5, 5)) == (0, 255, 0)
        assert made.info["duration"] == 100


def test_alpha_in_a_tiff_of_many_strips(sr: Run, tmp_path: Path) -> None:
    colour = np.dstack([smooth(300, 20), np.full((300, 20), 128, np.uint8)])
    Image.fromarray(colour, "RGBA").save(tmp_path / "a.tif")
    assert sr(*BICUBIC, "a.tif").returncode == 0
    made = tifffile.imread(tmp_path / "a_x2.tif")
    assert made.shape == (600, 40, 4) and (made[..., 3] == 128).all()
    assert np.abs(made[::2, ::2, 0].astype(int) - colour[..., 0]).max() <= 12


@pytest.mark.parametrize("orientation", range(1, 9))
def test_deep_tiff_is_turned_once(sr: Run, tmp_path: Path, orientation: int) -> None:
    rgb = np.zeros((24, 32, 3), np.uint16)
    rgb[:8, :8] = 60_000
    rgb[-8:, :8, 0] = 60_000
    rgb[:8, -8:, 2] = 60_000
    small = (rgb >> 8).astype(np.uint8)
    for name, pixels in (("deep", rgb), ("small", small)):
        tag = (274, 3, 1, orientation, True)
        tifffile.imwrite(tmp_path / f"{name}.tif", pixels, photometric="rgb", extratags=[tag])
    gray = np.dstack([rgb[..., 0], np.full_like(rgb[..., 0], 65535)])
    tags = [tag, (34675, 7, len(SRGB), SRGB, True)]
    for name in ("gray", "large"):
        tifffile.imwrite(
            tmp_path / f"{name}.tif", gray, photometric="minisblack", extrasamples=["unassalpha"],
            extratags=tags, bigtiff=name == "large",
        )  # fmt: skip
    tifffile.imwrite(
        tmp_path / "planes.tif", np.moveaxis(rgb, 2, 0), photometric="rgb", extratags=tags,
        planarconfig="separate", compression="zlib",
    )  # fmt: skip
    names = ("deep", "small", "gray", "large", "planes")
    assert sr(*BICUBIC, *(f"{name}.tif" for name in names)).returncode == 0
    wanted = tifffile.imread(tmp_path / "small_x2.tif")
    made = tifffile.imread(tmp_path / "deep_x2.tif")
    assert made.shape == wanted.shape
    assert np.abs((made >> 8).astype(int) - wanted).max() <= 1
    assert (tifffile.imread(tmp_path / "planes_x2.tif") == made).all()
    for name in ("gray", "large"):
        of_gray = tifffile.imread(tmp_path / f"{name}_x2.tif")[..., 0]
        assert np.abs((of_gray >> 8).astype(int) - wanted[..., 0]).max() <= 1
        with tifffile.TiffFile(tmp_path / f"{name}_x2.tif") as tiff:
            # For gray samples, a profile with the same curve.
            assert tiff.pages[0].tags[34675].value == fit_to_samples(SRGB, gray=True)


def test_each_page_says_itself_whether_it_has_alpha(sr: Run, tmp_path: Path) -> None:
    page = np.dstack([ramp()] * 4)
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for kind in ("unassalpha", "unspecified"):
            writer.write(page, photometric="rgb", extrasamples=[kind])
    assert sr(*BICUBIC, "a.tif").returncode == 0
    with tifffile.TiffFile(tmp_path / "a_x2.tif") as tiff:
        assert [p.extrasamples for p in tiff.pages] == [(2,), (0,)]


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_the_transparent_gray_of_a_small_png_becomes_alpha(
    sr: Run, tmp_path: Path, bits: int
) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    row = b"\0" + b"\0" * bits + b"\xff" * bits
    header = struct.pack(">IIBBBBB", 16, 12, bits, 0, 0, 0, 0)
    parts = [(b"IHDR", header), (b"tRNS", struct.pack(">H", 2**bits - 1))]
    parts += [(b"IDAT", zlib.compress(row * 12)), (b"IEND", b"")]
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*p) for p in parts))
    assert sr(*BICUBIC, "a.png").returncode == 0
    with Image.open(tmp_path / "a_x2.png") as made:
        alpha = np.asarray(made.convert("RGBA"))[..., 3]
    assert (alpha[:, :12] == 255).all() and (alpha[:, -12:] == 0).all()


def test_a_fourth_sample_is_alpha_only_where_the_file_says_so(sr: Run, tmp_path: Path) -> None:
    pixels = np.dstack([ramp(), ramp(), ramp(), np.zeros((40, 48), np.uint16)])
    pixels[:, :24, 3] = 60_000
    for kind in ("unspecified", "unassalpha"):
        tifffile.imwrite(tmp_path / f"{kind}.tif", pixels, photometric="rgb", extrasamples=[kind])
    assert sr(*BICUBIC, "unspecified.tif", "unassalpha.tif").returncode == 0
    band = tifffile.imread(tmp_path / "unspecified_x2.tif")
    alpha = tifffile.imread(tmp_path / "unassalpha_x2.tif")
    assert band.shape == alpha.shape == (80, 96, 4)
    # What is no alpha hides no colour.
    assert np.abs(band[::2, 60::2, :3].astype(int) - pixels[:, 30:, :3]).max() < 300
    refused = sr(*BICUBIC, "unspecified.tif", "-f", "png")
    assert (refused.returncode, refused.error_codes) == (1, ["unsupported-by-format"])
    assert sr(*BICUBIC, "unspecified.tif", "-f", "png", "--flatten").returncode == 0
    assert read_deep(tmp_path / "unspecified_x2.png").shape == (80, 96, 3)


def test_gray_with_alpha_keeps_what_its_tiff_says(sr: Run, tmp_path: Path) -> None:
    pixels = np.dstack([ramp(), ramp()])
    tifffile.imwrite(
        tmp_path / "a.tif", pixels, photometric="minisblack", extrasamples=["unassalpha"],
        resolution=(300, 300), resolutionunit="INCH", extratags=[(315, 2, 0, "Anna", True)],
    )  # fmt: skip
    assert sr(*BICUBIC, "a.tif").returncode == 0
    with tifffile.TiffFile(tmp_path / "a_x2.tif") as tiff:
        tags = tiff.pages[0].tags
        assert tags[315].value == "Anna"
        assert tags[282].value == (300, 1)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_cut_off_deep_pictures_are_named_so_and_can_be_read(
    sr: Run, tmp_path: Path, suffix: str
) -> None:
    pixels = np.random.default_rng(0).integers(0, 65535, (60, 60, 3)).astype(np.uint16)
    whole = tmp_path / f"whole.{suffix}"
    if suffix == "png":
        cv2.imwrite(str(whole), pixels)
    else:
        tifffile.imwrite(whole, pixels, photometric="rgb", rowsperstrip=8)
    cut = tmp_path / f"cut.{suffix}"
    data = whole.read_bytes()
    cut.write_bytes(data[: len(data) * 2 // 3])
    failed = sr(*BICUBIC, cut)
    assert failed.returncode == 1
    assert failed.error_codes in (["unsupported-16-bit-image"], ["damaged-image"])
    assert b"--allow-truncated" in failed.stderr
    done = sr(*BICUBIC, cut, "--allow-truncated", "--json")
    assert done.note_kinds == (["read-at-8-bits"] if suffix == "png" else [])
    if suffix == "tif":
        made = read_deep(tmp_path / "cut_x2.tif")
        assert made.dtype == np.uint16 and made[:60].any() and not made[-20:].any()


@pytest.mark.parametrize(
    ("photometric", "kind", "wanted"),
    [
        ("minisblack", "unassalpha", (20_000, 32_768)),
        ("minisblack", "assocalpha", (40_000, 32_768)),
        ("minisblack", "unspecified", (20_000, 32_768)),
        ("miniswhite", "unassalpha", (45_535, 32_768)),
    ],
)
def test_gray_with_a_second_sample_is_what_its_tags_say(
    sr: Run, tmp_path: Path, photometric: str, kind: str, wanted: tuple[int, int]
) -> None:
    page = np.dstack([np.full((12, 16), v, np.uint16) for v in (20_000, 32_768)])
    tifffile.imwrite(tmp_path / "a.tif", page, photometric=photometric, extrasamples=[kind])
    assert sr(*BICUBIC, "a.tif").returncode == 0
    made = tifffile.imread(tmp_path / "a_x2.tif")
    assert np.abs(made[..., 0].astype(int) - wanted[0]).max() <= 2
    assert (made[..., 1] == wanted[1]).all()


def test_white_of_twelve_bits_is_white(sr: Run, tmp_path: Path) -> None:
    w, h, data = 16, 12, b"\xff" * (16 * 12 * 3 // 2)
    tags = [(256, w), (257, h), (258, 12), (259, 1), (262, 1), (273, 8), (277, 1), (278, h),
            (279, len(data))]  # fmt: skip
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    directory = struct.pack("<H", len(tags)) + entries + bytes(4)
    head = b"II*\0" + struct.pack("<I", 8 + len(data))
    (tmp_path / "a.tif").write_bytes(head + data + directory)
    assert sr(*BICUBIC, "a.tif").returncode == 0
    assert (tifffile.imread(tmp_path / "a_x2.tif") == 65535).all()


def test_every_page_keeps_the_profile_and_counts_by_itself(sr: Run, tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for side in (100, 10, 10, 10, 10, 10, 10):
            tag = (34675, 7, len(SRGB), SRGB, True)
            writer.write(smooth(side, side), photometric="rgb", extratags=[tag])
    run = ("upscale", "-m", "bicubic", "-x1.1", "a.tif", "-o", "b.tif", "--max-pixels")
    assert sr(*run, "20000").returncode == 0
    with tifffile.TiffFile(tmp_path / "b.tif") as tiff:
        assert [p.tags[34675].value == SRGB for p in tiff.pages] == [True] * 7
    refused = sr(*run, "10300", "-y")
    assert refused.returncode == 1 and refused.error_codes == ["too-many-pixels"]


def test_alpha_is_smooth_where_a_picture_is_reduced(sr: Run, tmp_path: Path) -> None:
    y, x = np.mgrid[:200, :200] - 99.5
    disc = (np.hypot(x, y) < 70).astype(np.uint8) * 255
    Image.fromarray(np.dstack([smooth(200, 200), disc])).save(tmp_path / "a.png")
    done = sr("upscale", "-m", "bicubic", "-x2", "a.png", "--max-side", "20", "-o", "b.png")
    assert done.returncode == 0, done.stderr.decode()
    alpha = np.asarray(Image.open(tmp_path / "b.png"))[..., 3].astype(int)
    assert np.abs(alpha - resize_bicubic(disc, 20, 20)).max() <= 1
    assert ((alpha > 10) & (alpha < 245)).sum() > 20
