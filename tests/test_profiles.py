"""ICC profiles: those that are written, and that each frame has one that fits its samples."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from helpers.colour import srgb_of_p3
from helpers.command import BICUBIC, Run
from helpers.images import smooth
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms

from sr_cli.imaging.cicp import CURVES, PRIMARIES, Cicp
from sr_cli.imaging.decode import read_picture
from sr_cli.imaging.profiles import (
    adobe_rgb_profile,
    color_space,
    fit_to_samples,
    profile_of_cicp,
    profile_of_gamma,
    srgb_profile,
)

P3 = profile_of_cicp(Cicp(12, 13))
LCMS_SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def hand_made(space: bytes, tags: dict[bytes, bytes], connection: bytes = b"XYZ ") -> bytes:
    """A profile of version 2, byte by byte (ICC.1:2001-04)."""
    white = b"XYZ \0\0\0\0" + struct.pack(">3i", 63190, 65536, 54061)
    tags = {b"wtpt": white, b"desc": b"desc\0\0\0\0\0\0\0\2g\0".ljust(92, b"\0"), **tags}
    place = 132 + 12 * len(tags)
    table = body = b""
    for name, content in tags.items():
        table += name + struct.pack(">II", place + len(body), len(content))
        body += content + b"\0" * (-len(content) % 4)
    head = struct.pack(">I4sI", place + len(body), b"\0" * 4, 0x02400000)
    head += b"mntr" + space + connection + struct.pack(">6H", 2024, 5, 6, 7, 8, 9) + b"acsp"
    head = head.ljust(68, b"\0") + struct.pack(">3i", 63190, 65536, 54061)
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def gamma_tag(gamma: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256))


GRAY = hand_made(b"GRAY", {b"kTRC": gamma_tag(1.0)})
GRAY_LAB = hand_made(b"GRAY", {b"kTRC": gamma_tag(1.0)}, b"Lab ")
CMYK = hand_made(b"CMYK", {})
UNEQUAL = hand_made(
    b"RGB ",
    {
        **{
            name: b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(v * 65536) for v in values))
            for name, values in (
                (b"rXYZ", (0.436, 0.2225, 0.0139)),
                (b"gXYZ", (0.3851, 0.7169, 0.0971)),
                (b"bXYZ", (0.1431, 0.0606, 0.7139)),
            )
        },
        b"rTRC": gamma_tag(1.0),
        b"gTRC": gamma_tag(2.2),
        b"bTRC": gamma_tag(2.2),
    },
)


def shown(image: Image.Image, profile: bytes | None = None) -> NDArray[Any]:
    """A pixel in sRGB as littleCMS shows it under the image's profile; sRGB where there is none."""
    profile = profile or image.info.get("icc_profile")
    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image) // 257).astype(np.uint8))
    if profile is None:
        return np.asarray(image.convert("RGB"))[4, 4].astype(int)
    mode = "L" if color_space(profile) == "GRAY" else "RGB"
    # A profile for other samples than those of the image does not fit.
    assert image.mode.removesuffix("A") == mode
    transform = ImageCms.buildTransform(
        io.BytesIO(profile), ImageCms.createProfile("sRGB"), mode, "RGB"
    )
    plain = ImageCms.applyTransform(image.convert(mode), transform)
    return np.asarray(plain)[4, 4].astype(int)


def flat(value: int | tuple[int, ...], mode: str) -> Image.Image:
    return Image.new(mode, (9, 8), value)


TARGETS = ("jpg", "png", "webp", "tif", "bmp", "gif", "avif")


@pytest.mark.parametrize("suffix", TARGETS)
@pytest.mark.parametrize("source", ["jpg", "png", "tif", "avif"])
@pytest.mark.parametrize("profile", [GRAY, GRAY_LAB, P3, UNEQUAL], ids=["gray", "lab", "p3", "lut"])
def test_a_gray_image_is_shown_alike_in_every_format(
    sr: Run, tmp_path: Path, profile: bytes, source: str, suffix: str
) -> None:
    options = {"subsampling": "4:0:0", "quality": 100} if source == "avif" else {}
    flat(100, "L").save(tmp_path / f"a.{source}", icc_profile=profile, **options)
    as_rgb = color_space(profile) == "RGB"
    wanted = shown(flat((100,) * 3, "RGB") if as_rgb else flat(100, "L"), profile)
    assert abs(wanted[0] - 100) > 5 or profile == P3
    done = sr(*BICUBIC, f"a.{source}", "-f", suffix, "-q", "100", "--json")
    assert done.returncode == 0, done.stderr
    with Image.open(tmp_path / f"a_x2.{suffix}") as made:
        made.load()
        assert np.abs(shown(made) - wanted).max() <= 2
        if suffix in ("bmp", "gif"):
            assert "icc_profile" not in made.info
        if profile == GRAY and suffix != "webp":
            assert made.mode in ("L", "P") and (suffix == "gif" or made.mode == "L")


@pytest.mark.parametrize("suffix", ["png", "webp", "tif", "avif"])
@pytest.mark.parametrize("deep", [False, True])
def test_gray_with_alpha_is_shown_alike(sr: Run, tmp_path: Path, suffix: str, deep: bool) -> None:
    if deep and suffix in ("webp", "avif"):
        pytest.skip("no 16 bits")
    if deep:
        pixels = np.full((8, 9, 2), 100 * 257, np.uint16)
        tag = (34675, 7, len(GRAY), GRAY, True)
        tifffile.imwrite(
            tmp_path / "a.tif", pixels, photometric="minisblack", extrasamples=["unassalpha"],
            extratags=[tag],
        )  # fmt: skip
    else:
        flat((100, 200), "LA").save(tmp_path / "a.png", icc_profile=GRAY)
    done = sr(*BICUBIC, "a.tif" if deep else "a.png", "-f", suffix, "--json")
    assert done.returncode == 0 and done.notes == []
    if deep:
        # Pillow shows such pixels as RGB.
        made = read_picture(tmp_path / f"a_x2.{suffix}")
        assert made.metadata.icc == GRAY and made.frames[0].pixels.shape == (16, 18)
        return
    with Image.open(tmp_path / f"a_x2.{suffix}") as made:
        made.load()
        assert np.abs(shown(made) - shown(flat(100, "L"), GRAY)).max() <= 2


@pytest.mark.parametrize("suffix", ["png", "webp", "avif", "gif"])
@pytest.mark.parametrize("mode", ["L", "LA"])
def test_animated_gray_is_shown_alike(sr: Run, tmp_path: Path, suffix: str, mode: str) -> None:
    frames = [flat(v if mode == "L" else (v, 255), mode) for v in (100, 101)]
    frames[1].putpixel((0, 0), 0 if mode == "L" else (0, 0))
    frames[0].save(
        tmp_path / "a.png", save_all=True, append_images=frames[1:], icc_profile=GRAY, loop=0
    )
    assert sr(*BICUBIC, "a.png", "-f", suffix).returncode == 0
    with Image.open(tmp_path / f"a_x2.{suffix}") as made:
        made.load()
        assert made.n_frames == 2
        assert np.abs(shown(made) - shown(flat(100, "L"), GRAY)).max() <= 2


def test_every_page_of_a_tiff_keeps_its_own_profile(sr: Run, tmp_path: Path) -> None:
    cmyk = np.zeros((8, 9, 4), np.uint8)
    pages: list[tuple[NDArray[Any], str, bytes | None]] = [
        (np.full((8, 9, 3), 90, np.uint8), "rgb", P3),
        (np.full((8, 9), 100, np.uint8), "minisblack", GRAY),
        (cmyk, "separated", None),
        (np.full((8, 9, 3), 40, np.uint8), "rgb", None),
        (np.full((8, 9, 3), 9_000, np.uint16), "rgb", LCMS_SRGB),
    ]
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for pixels, kind, profile in pages:
            tags = [(34675, 7, len(profile), profile, True)] if profile else []
            writer.write(pixels, photometric=kind, extratags=tags, metadata=None)
    done = sr(*BICUBIC, "a.tif", "--json")
    assert done.returncode == 0 and done.note_kinds == ["converted-without-profile"]
    with tifffile.TiffFile(tmp_path / "a_x2.tif") as made:
        found = [page.tags.get(34675) for page in made.pages]
        profiles = [None if tag is None else tag.value for tag in found]
    assert profiles == [P3, GRAY, srgb_profile(), None, LCMS_SRGB]
    # Other formats hold the first page, with its profile.
    assert sr(*BICUBIC, "a.tif", "-f", "png", "--flatten").returncode == 0
    assert Image.open(tmp_path / "a_x2.png").info["icc_profile"] == P3


def test_a_page_after_a_thumbnail_has_not_its_profile(sr: Run, tmp_path: Path) -> None:
    tag = (34675, 7, len(P3), P3, True)
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(smooth(4, 4), photometric="rgb", extratags=[tag], subfiletype=1)
        writer.write(smooth(8, 9), photometric="rgb")
    for suffix in ("tif", "png"):
        assert sr(*BICUBIC, "a.tif", "-f", suffix, "--json").note_kinds == ["reduced-pages-skipped"]
        assert "icc_profile" not in Image.open(tmp_path / f"a_x2.{suffix}").info


@pytest.mark.parametrize(("profile", "space"), [(CMYK, "CMYK"), (b"junk" * 60, "?")])
@pytest.mark.parametrize("suffix", ["jpg", "gif"])
def test_a_profile_for_other_samples_is_dropped_and_said(
    sr: Run, tmp_path: Path, profile: bytes, space: str, suffix: str
) -> None:
    Image.fromarray(smooth(8, 9)).save(tmp_path / "a.jpg", icc_profile=profile)
    done = sr(*BICUBIC, "a.jpg", "-f", suffix, "--json")
    assert done.returncode == 0
    assert done.notes[0] == {"kind": "profile-unusable", "space": space}
    assert done.note_kinds[1:] == ["reduced-to-palette"] * (suffix == "gif")
    assert "icc_profile" not in Image.open(tmp_path / f"a_x2.{suffix}").info


@pytest.mark.parametrize("suffix", ["bmp", "gif"])
def test_pixels_are_converted_where_no_profile_can_be_written(
    sr: Run, tmp_path: Path, suffix: str
) -> None:
    image = flat((200, 120, 60), "RGB")
    image.save(tmp_path / "a.png", icc_profile=P3)
    done = sr(*BICUBIC, "a.png", "-f", suffix, "--json")
    assert done.notes == [{"kind": "converted-to-srgb", "mode": "Display P3"}]
    made = Image.open(tmp_path / f"a_x2.{suffix}").convert("RGB").getpixel((5, 5))
    assert np.abs(np.array(made) - srgb_of_p3((200, 120, 60))).max() <= 1
    # sRGB is what a file without a profile means: nothing to convert, nothing to say.
    image.save(tmp_path / "b.png", icc_profile=LCMS_SRGB)
    done = sr(*BICUBIC, "b.png", "-f", suffix, "--json")
    assert done.notes == []
    made = Image.open(tmp_path / f"b_x2.{suffix}").convert("RGB").getpixel((5, 5))
    assert made == (200, 120, 60)


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "avif"])
def test_adobe_rgb_of_a_camera_becomes_a_profile(sr: Run, tmp_path: Path, suffix: str) -> None:
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ColorSpace] = 0xFFFF
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.IFD.Interop] = {1: "R03"}
    Image.fromarray(smooth(8, 9)).save(tmp_path / "a.jpg", exif=exif)
    assert sr(*BICUBIC, "a.jpg", "-f", suffix).returncode == 0
    with Image.open(tmp_path / f"a_x2.{suffix}") as made:
        assert made.info["icc_profile"] == adobe_rgb_profile()


def test_profiles_are_the_same_at_any_time(sr: Run, tmp_path: Path) -> None:
    Image.fromarray(smooth(8, 9)).convert("CMYK").save(tmp_path / "a.jpg")
    assert sr(*BICUBIC, "a.jpg").returncode == 0
    profile = Image.open(tmp_path / "a_x2.jpg").info["icc_profile"]
    assert profile == srgb_profile()
    # The header's date and time are the only thing that could change.
    assert struct.unpack(">6H", profile[24:36]) == (2020, 1, 1, 0, 0, 0)


@pytest.mark.parametrize(
    ("profile", "columns"),
    [
        # As published by the makers of these spaces, adapted to D50.
        (srgb_profile(), ((0.4361, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971))),
        (P3, ((0.5151, 0.2412, -0.0011), (0.2920, 0.6922, 0.0419))),
        (adobe_rgb_profile(), ((0.6097, 0.3111, 0.0195), (0.2053, 0.6257, 0.0609))),
    ],
)
def test_colourants_are_the_published_ones(
    profile: bytes, columns: tuple[tuple[float, ...], ...]
) -> None:
    opened = ImageCms.ImageCmsProfile(io.BytesIO(profile)).profile
    assert opened.is_matrix_shaper
    assert np.allclose(opened.red_colorant[0], columns[0], atol=1e-4)
    assert np.allclose(opened.green_colorant[0], columns[1], atol=1e-4)


@pytest.mark.parametrize("primaries", list(PRIMARIES))
@pytest.mark.parametrize("transfer", list(CURVES))
def test_white_and_black_stay_in_every_space(primaries: int, transfer: int) -> None:
    profile = profile_of_cicp(Cicp(primaries, transfer))
    assert profile is not None
    for value in (0, 255):
        assert list(shown(flat((value,) * 3, "RGB"), profile)) == [value] * 3


@pytest.mark.parametrize(
    ("transfer", "wanted"),
    # Encoded 128 becomes linear by table 3 of H.273, and is encoded again as sRGB.
    [(1, 140), (4, 129), (5, 106), (7, 141), (8, 188), (13, 128)],
)
def test_curves_are_those_of_the_standard(transfer: int, wanted: int) -> None:
    profile = profile_of_cicp(Cicp(1, transfer))
    assert abs(shown(flat((128,) * 3, "RGB"), profile)[0] - wanted) <= 1


@pytest.mark.parametrize("cicp", [Cicp(9, 16), Cicp(9, 18), Cicp(1, 9), Cicp(1, 13, False)])
def test_what_no_profile_can_express(cicp: Cicp) -> None:
    assert profile_of_cicp(cicp) is None


def test_chromaticities_that_make_no_space_have_no_profile() -> None:
    line = [(0.1, 0.1), (0.2, 0.2), (0.3, 0.3), (0.31, 0.33)]
    outside = [(0.64, 0.33), (0.30, 0.60), (0.15, 0.06), (0.7, 0.2)]
    for corners in (line, outside, [(0.0, 0.0)] * 4):
        assert profile_of_gamma(1.0, corners) is None
    assert profile_of_gamma(1e-9, None) is None


@pytest.mark.parametrize("profile", [b"", b"x" * 500, CMYK])
def test_junk_fits_nothing(profile: bytes) -> None:
    for gray in (False, True):
        assert fit_to_samples(profile, gray=gray) is None


@pytest.mark.parametrize("gray", [True, False])
def test_a_truncated_profile_makes_no_broken_one(gray: bool) -> None:
    whole = P3 if gray else GRAY
    made = [fit_to_samples(whole[:length], gray=gray) for length in range(len(whole) + 1)]
    assert made[-1] is not None and None in made
    for profile in made:
        if profile is not None:
            # As good as that of the whole profile, except for its name.
            shown(flat(100, "L") if gray else flat((100,) * 3, "RGB"), profile)
