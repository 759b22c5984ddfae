"""File formats: features, suffixes, signatures and limits."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum
from pathlib import Path, PurePath

from sr_cli.errors import SrError

DEFAULT_MAX_PIXELS = 512_000_000
"""The default limit for the pixels of an image or a result, over all frames."""


class Feature(str, Enum):
    """A feature that not every format supports. `--json` shows its value."""

    SIXTEEN_BIT = "16-bit"
    WIDE = "wide"
    """Samples that are floats, signed, or of 32 bits."""

    BANDS = "bands"
    ALPHA = "alpha"
    ANIMATION = "animation"
    PAGES = "pages"
    SIXTEEN_BIT_ANIMATION = "16-bit-animation"
    """Supported by the PNG specification, but by none of our writers."""
    PQ = "pq"
    HLG = "hlg"
    VIDEO_RANGE = "video-range"
    """RGB samples from 16 to 235, which only PNG can signal."""


COLOUR_FEATURES = frozenset({Feature.PQ, Feature.HLG, Feature.VIDEO_RANGE})
"""Features of what samples mean, which cannot be dropped without showing wrong colours."""


_ALPHA_ANIMATION = frozenset({Feature.ALPHA, Feature.ANIMATION})
_HDR = frozenset({Feature.PQ, Feature.HLG})


@dataclass(frozen=True)
class Format:
    """A file format.

    Attributes:
        name: Pillow's name of the format.
        suffixes: Of its files; the first one, without the dot, is its name in `-f`.
        max_side: Longest side in pixels.
        bytes_per_sample: Typical size, to estimate the disk space of a result.
        features: What it supports beyond one 8-bit frame without alpha.
        quality: The default of `-q`; None if the format has no quality.
        can_be_lossless: Whether it is lossless, always or on request.
        writable: Whether results can be written in it.
        only_from_itself: Whether its results are made of inputs in the same format only.
        max_pixels: Most pixels of an image; None if only the sides are limited.
        max_block: Most bytes of a block of metadata; None if they are not limited.
    """

    name: str
    suffixes: tuple[str, ...]
    max_side: int
    bytes_per_sample: float
    features: frozenset[Feature] = frozenset()
    quality: int | None = None
    can_be_lossless: bool = True
    writable: bool = True
    only_from_itself: bool = False
    max_pixels: int | None = None
    max_block: int | None = None


FORMATS = {
    f.name: f
    for f in (
        Format(
            "JPEG",
            (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"),
            65_500,
            0.08,
            quality=95,
            can_be_lossless=False,
            # One segment, after the identifiers of some blocks.
            max_block=65_500,
        ),
        Format(
            "PNG",
            (".png", ".apng"),
            2**31 - 1,
            0.3,
            _ALPHA_ANIMATION | COLOUR_FEATURES | {Feature.SIXTEEN_BIT},
        ),
        Format("WEBP", (".webp",), 16_383, 0.05, _ALPHA_ANIMATION, quality=92),
        Format(
            "TIFF",
            (".tif", ".tiff"),
            2**31 - 1,
            0.5,
            frozenset(
                {Feature.SIXTEEN_BIT, Feature.WIDE, Feature.BANDS, Feature.ALPHA, Feature.PAGES}
            ),
        ),
        # Its header counts the bytes of the file in 32 bits.
        Format(
            "BMP",
            (".bmp", ".dib"),
            2**31 - 1,
            1.0,
            frozenset({Feature.ALPHA}),
            max_pixels=2**30 - 2**10,
        ),
        Format("GIF", (".gif",), 65_535, 0.1, _ALPHA_ANIMATION, can_be_lossless=False),
        Format(
            "AVIF",
            (".avif",),
            65_535,
            0.03,
            _ALPHA_ANIMATION | _HDR,
            quality=90,
            max_pixels=16_384 * 16_384,
        ),
        Format(
            "JXL",
            (".jxl",),
            2**30 - 1,
            0.1,
            frozenset({Feature.SIXTEEN_BIT, Feature.ALPHA}),
            quality=90,
        ),
        # Sides are 16 bits.
        Format(
            "DICOM",
            (".dcm", ".dicom"),
            65_535,
            0.5,
            frozenset({Feature.SIXTEEN_BIT, Feature.WIDE, Feature.PAGES}),
            only_from_itself=True,
        ),
        Format("HEIF", (".heic", ".heif", ".hif"), 16_384, 0.03, writable=False),
    )
}
"""By Pillow's name; JXL is that of its plug-ins."""

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
    (b"\xff\x0a", "JXL"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "JXL"),
)


_BRANDS = {b"avif": "AVIF", b"avis": "AVIF"} | dict.fromkeys(
    (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"mif2", b"msf1"), "HEIF"
)
"""Major brands of images (ISO/IEC 23008-12, annex B); video files begin with `ftyp` as well."""


def format_of_name(name: str | PurePath) -> Format | None:
    """The format of a file name's suffix, or None."""
    return _BY_SUFFIX.get(PurePath(name).suffix.lower())


def format_by_option(option: str) -> Format | None:
    """The format of `-f jpg`, `-f .JPEG` or `-f tiff`, or None."""
    return _BY_SUFFIX.get("." + option.lower().lstrip("."))


SNIFFED = 132
"""Bytes of a file by which its format is known."""


def sniff_format(start: bytes) -> Format | None:
    """The format of a file by its first bytes, or None."""
    # What comes before may look like a TIFF (PS3.10, 7.1).
    if start[128:132] == b"DICM":
        return FORMATS["DICOM"]
    for signature, name in _SIGNATURES:
        if start.startswith(signature):
            return FORMATS[name]
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return FORMATS["WEBP"]
    if start[4:8] == b"ftyp":
        return FORMATS.get(_BRANDS.get(start[8:12], ""))
    return None


_OTHER_SUFFIXES = {
    ".tga", ".targa", ".icb", ".vda", ".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx", ".jpm",
    ".jls", ".jxr", ".wdp", ".hdp", ".psd", ".psb", ".ico", ".cur", ".icns", ".exr", ".hdr",
    ".dds", ".qoi", ".pcx", ".ppm", ".pgm", ".pbm", ".pnm", ".pam", ".pfm", ".xbm", ".xpm", ".sgi",
    ".rgb", ".ras", ".fits", ".fit", ".svg", ".svgz", ".xcf", ".kra", ".ora", ".bpg", ".flif",
    ".emf", ".wmf", ".dng", ".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw", ".orf", ".rw2", ".raf",
    ".pef", ".srw", ".x3f", ".3fr", ".iiq", ".erf", ".mrw", ".dcr", ".kdc", ".nii",
}  # fmt: skip
"""Of images in formats that are not supported, cameras' raw files among them."""

_OTHER_SIGNATURES = (
    b"\0\0\0\x0cjP  ",  # JPEG 2000
    b"\xff\x4f\xff\x51",
    b"8BPS",
    b"\x76\x2f\x31\x01",  # OpenEXR
    b"#?RADIANCE",
    b"DDS ",
    b"qoif",
    b"SIMPLE  =",  # FITS
    b"gimp xcf",
)


def is_other_format(path: PurePath) -> bool:
    """Whether a file is by its name an image in a format that is not supported."""
    return path.suffix.lower() in _OTHER_SUFFIXES


def is_other_image(path: Path) -> bool:
    """Whether a file is recognisably an image, though its name is not that of a format here."""
    if is_other_format(path):
        return True
    try:
        with path.open("rb") as file:
            start = file.read(SNIFFED)
    except OSError:
        return False
    found = sniff_format(start)
    if found is FORMATS["BMP"]:
        # Two letters are no proof: the reserved fields and the size of a known header follow.
        return start[6:10] == bytes(4) and start[14] in (12, 16, 40, 52, 56, 64, 108, 124)
    return found is not None or start.startswith(_OTHER_SIGNATURES)


def writable_names() -> list[str]:
    """Values of `-f` that can be written, one for each format."""
    return [f.suffixes[0].lstrip(".") for f in FORMATS.values() if f.writable]


@dataclass(frozen=True)
class Encoding:
    """How to write a result.

    Attributes:
        quality: 1 to 100, for formats that have one; None for the default.
        lossless: Lossless WebP, AVIF or JPEG XL.
        strip: Write no metadata, and no gain map or video.
    """

    quality: int | None = None
    lossless: bool = False
    strip: bool = False


def is_lossy(target: Format, encoding: Encoding) -> bool:
    """Whether a file has other pixels than what is written into it."""
    if target.quality is None:
        # Of GIF, the palette.
        return not target.can_be_lossless
    whole = target.name == "JXL" and encoding.quality == 100
    return not encoding.lossless and not whole


def holds_provenance(target: Format, encoding: Encoding) -> bool:
    """Whether a result says what made it: BMP has no place for XMP."""
    return not encoding.strip and target.name != "BMP"


@dataclass(frozen=True)
class Requirements:
    """What a result requires of its format.

    Attributes:
        width: In pixels, of the widest frame.
        height: In pixels, of the tallest frame.
        features: Of the result.
    """

    width: int
    height: int
    features: frozenset[Feature] = frozenset()


def unsupported_features(target: Format, features: Collection[Feature]) -> list[Feature]:
    """Which of `features` the format does not support; empty when it supports all."""
    missing = set(features) - target.features
    if missing & {Feature.SIXTEEN_BIT, Feature.ANIMATION}:
        # If one of the two is missing, the combination need not be reported as well.
        missing.discard(Feature.SIXTEEN_BIT_ANIMATION)
    return [f for f in Feature if f in missing]


def fits(target: Format, width: int, height: int) -> bool:
    """Whether an image of this size can be written in the format."""
    most = target.max_pixels or target.max_side**2
    return max(width, height) <= target.max_side and width * height <= most


def check_pixels(pixels: int, max_pixels: int) -> None:
    """Check that the pixels of all frames together are within the limit.

    Raises:
        SrError: `too-many-pixels`, without a subject.
    """
    if pixels > max_pixels:
        raise SrError("too-many-pixels", pixels=pixels, max_pixels=max_pixels)


def estimated_bytes(target: Format, wanted: Requirements, frames: int) -> int:
    """Estimate the bytes on disk of a result with this many frames."""
    deep = Feature.SIXTEEN_BIT in wanted.features
    samples = wanted.width * wanted.height * frames * (4 if Feature.ALPHA in wanted.features else 3)
    depth = 4 if Feature.WIDE in wanted.features else 2 if deep else 1
    return int(samples * target.bytes_per_sample * depth)


def check_supported(target: Format, wanted: Requirements, *, can_drop: bool) -> None:
    """Check that the format can hold the result.

    Args:
        target: The format to write.
        wanted: What the result requires.
        can_drop: Whether the hint may suggest dropping features.

    Raises:
        SrError: `too-large-for-format` or `unsupported-by-format`, without a subject. The fact
            `formats` lists those that can hold it.
    """
    able = [
        f.name.lower()
        for f in FORMATS.values()
        if f.writable
        and not f.only_from_itself
        and fits(f, wanted.width, wanted.height)
        and not unsupported_features(f, wanted.features)
    ]
    if not fits(target, wanted.width, wanted.height):
        raise SrError(
            "too-large-for-format",
            hint="other-format" if able else None,
            width=wanted.width,
            height=wanted.height,
            format=target.name,
            max_side=target.max_side,
            max_pixels=target.max_pixels or target.max_side**2,
            formats=able,
        )
    missing = unsupported_features(target, wanted.features)
    if missing:
        # What samples mean cannot be dropped.
        can_drop = can_drop and not COLOUR_FEATURES & set(missing)
        hints = {(True, True): "either", (True, False): "other-format", (False, True): "drop"}
        raise SrError(
            "unsupported-by-format",
            hint=hints.get((bool(able), can_drop)),
            format=target.name,
            features=[f.value for f in missing],
            formats=able,
        )
