"""ICC profiles: written for known colour spaces, fitted to gray or RGB samples, applied."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from sr_cli.imaging.cicp import CURVES, PRIMARIES, SRGB, SRGB_CURVE, Cicp

Chromaticities = Sequence[Sequence[float]]
"""(x, y) of red, green, blue and white."""

_D50 = np.array([0.9642, 1.0, 0.8249])
"""The illuminant of the profile connection space (ICC.1:2022, section 7.2.16)."""

_BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)
"""To cone responses, for adaptation to another white (ICC.1:2022, annex E)."""

_DATE = struct.pack(">6H", 2020, 1, 1, 0, 0, 0)
"""Fixed, so that the same image always becomes the same bytes."""

_NAMES = {SRGB: "sRGB", (12, 13): "Display P3", (9, 14): "BT.2020", (9, 1): "BT.2020"}
_ADOBE_RGB = ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06), (0.3127, 0.3290))
_CURVE_TAGS = (b"rTRC", b"gTRC", b"bTRC")


@cache
def srgb_profile() -> bytes:
    """An sRGB profile (IEC 61966-2-1)."""
    return rgb_profile("sRGB", PRIMARIES[SRGB[0]], parametric(SRGB_CURVE))


@cache
def adobe_rgb_profile() -> bytes:
    """Adobe RGB (1998): a gamma of 563 / 256."""
    return rgb_profile("Adobe RGB (1998)", _ADOBE_RGB, parametric((563 / 256,)))


def profile_of_cicp(cicp: Cicp) -> bytes | None:
    """The profile that means the same as code points; None where no profile can (PQ, HLG, log)."""
    primaries, transfer = cicp.code_points
    if transfer not in CURVES or not cicp.full_range:
        return None
    name = _NAMES.get((primaries, transfer), f"H.273 {primaries}/{transfer}")
    return rgb_profile(name, PRIMARIES[primaries], parametric(CURVES[transfer]))


def profile_of_gamma(gamma: float | None, corners: Chromaticities | None) -> bytes | None:
    """The profile for gAMA and cHRM of a PNG; None if they describe no colour space.

    Args:
        gamma: As in gAMA: the exponent that encoded linear values; None for the curve of sRGB.
        corners: As in cHRM, with white last; None for those of sRGB.
    """
    curve = SRGB_CURVE if gamma is None else (1 / gamma,)
    with suppress(np.linalg.LinAlgError, ValueError, struct.error, ZeroDivisionError):
        return rgb_profile("gAMA and cHRM", corners or PRIMARIES[SRGB[0]], parametric(curve))
    return None


def rgb_profile(name: str, corners: Chromaticities, curve: bytes) -> bytes:
    """Build a matrix profile of version 4 (ICC.1:2022, section 8.4.3).

    Args:
        name: Its description.
        corners: Chromaticities of red, green, blue and white.
        curve: The tag that makes encoded values of all channels linear.

    Raises:
        numpy.linalg.LinAlgError, ValueError: If the chromaticities describe no colour space.
    """
    *primaries, white = (np.array([x, y, 1 - x - y]) / max(y, 1e-9) for x, y in corners)
    matrix = np.array(primaries).T
    if abs(np.linalg.det(matrix / np.abs(matrix).max())) < 1e-12:
        raise ValueError("chromaticities on one line")
    shares = np.linalg.solve(matrix, white)
    if shares.min() < 0:
        raise ValueError("white outside the primaries")
    matrix = matrix * shares
    adapted = _adaptation(white)
    columns = (adapted @ matrix).T
    tags = _common_tags(name) | {b"chad": b"sf32\0\0\0\0" + _fixed(adapted.ravel())}
    tags |= {b"rXYZ": _xyz(columns[0]), b"gXYZ": _xyz(columns[1]), b"bXYZ": _xyz(columns[2])}
    return _profile(b"RGB ", tags | dict.fromkeys(_CURVE_TAGS, curve))


def fit_to_samples(profile: bytes, *, gray: bool) -> bytes | None:
    """The profile with the same meaning for samples of the other kind.

    Gray is where R, G and B are equal, so that a gray profile and an RGB profile of three times
    the same curve mean the same for it.

    Args:
        profile: For gray or for RGB.
        gray: Whether the samples are gray.

    Returns:
        The profile itself if it fits; None if no profile can mean the same.
    """
    if color_space(profile) == ("GRAY" if gray else "RGB"):
        return profile
    tags = _tags_of(profile)
    wanted = _CURVE_TAGS if gray else (b"kTRC",)
    curves = {tags.get(tag) for tag in wanted}
    (curve,) = curves if len(curves) == 1 else (None,)
    is_curve = curve is not None and curve[:4] in (b"curv", b"para")
    if curve is None or not is_curve or b"A2B0" in tags or profile[20:24] != b"XYZ ":
        return None
    name = describe(profile)
    if gray:
        return _profile(b"GRAY", _common_tags(name) | {b"kTRC": curve})
    return rgb_profile(name, PRIMARIES[SRGB[0]], curve)


def color_space(profile: bytes) -> str:
    """The data colour space in the header of a profile: `RGB`, `GRAY`, `CMYK`; "" for junk."""
    if len(profile) < 132 or profile[36:40] != b"acsp":
        return ""
    return profile[16:20].decode("latin-1").strip()


def describe(profile: bytes) -> str:
    """The description of a profile in ASCII."""
    with suppress(OSError, ImageCms.PyCMSError):
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        text = ImageCms.getProfileDescription(opened).strip()
        return text.encode("ascii", "replace").decode() or "ICC profile"
    return "ICC profile"


def to_srgb(profile: bytes, *, gray: bool) -> Callable[[NDArray[np.uint8]], NDArray[Any]] | None:
    """What converts 8-bit pixels to sRGB; None if the profile cannot be used.

    Args:
        profile: Of the pixels.
        gray: Whether pixels are (h, w); otherwise (h, w, 3).
    """
    mode = "L" if gray else "RGB"
    with suppress(OSError, ImageCms.PyCMSError):
        transform = ImageCms.buildTransform(
            ImageCms.ImageCmsProfile(io.BytesIO(profile)),
            ImageCms.ImageCmsProfile(io.BytesIO(srgb_profile())),
            mode,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
        )

        def convert(pixels: NDArray[np.uint8]) -> NDArray[Any]:
            made = ImageCms.applyTransform(Image.fromarray(np.ascontiguousarray(pixels)), transform)
            assert made is not None
            values = np.asarray(made)
            return np.ascontiguousarray(values[..., 1]) if gray else values

        return convert
    return None


def is_like_srgb(convert: Callable[[NDArray[np.uint8]], NDArray[Any]], *, gray: bool) -> bool:
    """Whether a conversion to sRGB changes no value by more than one step."""
    steps = np.linspace(0, 255, 18).round().astype(np.uint8)
    grid: NDArray[np.uint8] = np.stack(np.meshgrid(steps, steps, steps), -1).reshape(18, -1, 3)
    pixels = steps[None] if gray else grid
    change = convert(pixels).astype(int) - pixels
    return int(np.abs(change).max()) <= 1


def parametric(curve: Sequence[float]) -> bytes:
    """A tag of parametricCurveType (section 10.18): an exponent, or g, a, b, c, d."""
    kind = {1: 0, 5: 3}[len(curve)]
    return b"para\0\0\0\0" + struct.pack(">HH", kind, 0) + _fixed(curve)


def _adaptation(white: NDArray[Any]) -> NDArray[Any]:
    """The matrix that adapts XYZ under a white to D50."""
    ratio = (_BRADFORD @ _D50) / (_BRADFORD @ white)
    adapted: NDArray[Any] = np.linalg.solve(_BRADFORD, ratio[:, None] * _BRADFORD)
    return adapted


def _common_tags(name: str) -> dict[bytes, bytes]:
    return {b"desc": _text(name), b"cprt": _text("CC0"), b"wtpt": _xyz(_D50)}


def _text(text: str) -> bytes:
    """A tag of multiLocalizedUnicodeType with one record (section 10.15)."""
    encoded = text.encode("utf-16-be")
    return b"mluc\0\0\0\0" + struct.pack(">II4sII", 1, 12, b"enUS", len(encoded), 28) + encoded


def _xyz(values: Sequence[float] | NDArray[Any]) -> bytes:
    return b"XYZ \0\0\0\0" + _fixed(values)


def _fixed(values: Sequence[float] | NDArray[Any]) -> bytes:
    """Numbers as s15Fixed16Number (section 4.6)."""
    return struct.pack(f">{len(values)}i", *(round(float(v) * 65536) for v in values))


def _profile(space: bytes, tags: Mapping[bytes, bytes]) -> bytes:
    """A display profile: header, tag table and tags (section 7), equal ones stored once."""
    start = 128 + 4 + 12 * len(tags)
    table, body = b"", b""
    places: dict[bytes, int] = {}
    for tag, content in tags.items():
        if content not in places:
            places[content] = start + len(body)
            body += content + b"\0" * (-len(content) % 4)
        table += struct.pack(">4sII", tag, places[content], len(content))
    head = struct.pack(
        ">I4sI4s4s4s", start + len(body), b"\0" * 4, 0x04400000, b"mntr", space, b"XYZ "
    )
    head += _DATE + b"acsp" + b"\0" * 28 + _fixed(_D50)
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def _tags_of(profile: bytes) -> dict[bytes, bytes]:
    """The content of each tag; empty for junk."""
    if not color_space(profile):
        return {}
    (count,) = struct.unpack_from(">I", profile, 128)
    places = (132 + 12 * i for i in range(min(count, (len(profile) - 132) // 12)))
    entries = (struct.unpack_from(">4sII", profile, place) for place in places)
    # What reaches beyond the end of a damaged profile is left out.
    return {t: profile[at : at + size] for t, at, size in entries if at + size <= len(profile)}
