"""What each file format can hold, and how its files are named."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath


@dataclass(frozen=True)
class Format:
    """A file format. `name` is Pillow's; `max_side` in pixels; `bytes_per_sample` a usual size."""

    name: str
    suffixes: tuple[str, ...]
    max_side: int
    bytes_per_sample: float
    sixteen_bit: bool = False
    alpha: bool = False
    animation: bool = False
    pages: bool = False
    quality: int | None = None
    lossless_option: bool = False
    writable: bool = True
    max_pixels: int | None = None


FORMATS = {
    f.name: f
    for f in (
        Format("JPEG", (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"), 65_500, 0.08, quality=95),
        Format("PNG", (".png", ".apng"), 2**31 - 1, 0.3, True, True, animation=True),
        Format(
            "WEBP", (".webp",), 16_383, 0.05, False, True, True, quality=92, lossless_option=True
        ),
        Format("TIFF", (".tif", ".tiff"), 2**31 - 1, 0.5, True, True, pages=True),
        Format("BMP", (".bmp", ".dib"), 2**31 - 1, 1.0),
        Format("GIF", (".gif",), 65_535, 0.1, False, True, True),
        Format(
            "AVIF",
            (".avif",),
            65_535,
            0.03,
            False,
            True,
            True,
            quality=90,
            lossless_option=True,
            max_pixels=16384 * 16384,
        ),
        Format("HEIF", (".heic", ".heif", ".hif"), 16_384, 0.03, writable=False),
    )
}
"""By Pillow's name."""

_BY_SUFFIX = {suffix: f for f in FORMATS.values() for suffix in f.suffixes}

_SIGNATURES = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF8", "GIF"),
    (b"BM", "BMP"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
)


def format_of_name(name: str | PurePath) -> Format | None:
    """The format that a file name's suffix stands for, or None."""
    return _BY_SUFFIX.get(PurePath(name).suffix.lower())


def format_by_option(option: str) -> Format | None:
    """The format of `-f jpg`, `-f .JPEG` or `-f tiff`, or None."""
    return _BY_SUFFIX.get("." + option.lower().lstrip("."))


def sniff_format(start: bytes) -> Format | None:
    """The format of a file by its first 32 bytes, or None."""
    for signature, name in _SIGNATURES:
        if start.startswith(signature):
            return FORMATS[name]
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return FORMATS["WEBP"]
    if start[4:8] == b"ftyp":
        return FORMATS["AVIF" if start[8:12] in (b"avif", b"avis") else "HEIF"]
    return None


def writable_names() -> list[str]:
    """Values of `-f` that can be written, one for each format."""
    return [f.suffixes[0].lstrip(".") for f in FORMATS.values() if f.writable]


@dataclass(frozen=True)
class Needs:
    """What a result asks of a format: size in pixels, depth, alpha, frames."""

    width: int
    height: int
    sixteen_bit: bool = False
    alpha: bool = False
    animation: bool = False
    pages: bool = False


DEEP, ALPHA, ANIMATION, PAGES = (
    "16 bits a channel",
    "transparency",
    "an animation",
    "several pages",
)
DEEP_ANIMATION = "an animation of 16 bits a channel"
"""What PNG itself can hold, but is never written here: as a shortcoming, the depth goes."""


def shortcomings(target: Format, needs: Needs) -> list[str]:
    """What of `needs` the format cannot hold, in words; empty when it can hold all."""
    found = []
    if max(needs.width, needs.height) > target.max_side:
        found.append(
            f"{needs.width}x{needs.height} pixels ({target.name} ends at {target.max_side} a side)"
        )
    elif target.max_pixels and needs.width * needs.height > target.max_pixels:
        found.append(
            f"{needs.width}x{needs.height} pixels ({target.name} ends at {target.max_pixels})"
        )
    for has, can, words in (
        (needs.sixteen_bit, target.sixteen_bit, DEEP),
        (needs.alpha, target.alpha, ALPHA),
        (needs.animation, target.animation, ANIMATION),
        (needs.pages, target.pages, PAGES),
    ):
        if has and not can:
            found.append(words)
    if needs.sixteen_bit and needs.animation and target.sixteen_bit and target.animation:
        found.append(DEEP_ANIMATION)
    return found


def formats_that_hold(needs: Needs) -> list[str]:
    """Names of the writable formats without shortcomings."""
    return [f.name for f in FORMATS.values() if f.writable and not shortcomings(f, needs)]
