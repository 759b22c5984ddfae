"""JPEG XL, with OpenImageIO: 8 and 16 bits, profile, EXIF and XMP, one frame.

Pillow's plug-in writes no profile, and 16 bits only of gray, declared as linear light.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sr_cli.errors import Note, SrError
from sr_cli.imaging.codecs import jxl_file
from sr_cli.imaging.conversion import unpremultiply
from sr_cli.imaging.exif import without_orientation
from sr_cli.imaging.formats import FORMATS, Encoding, check_pixels, sniff_format
from sr_cli.imaging.metadata import read_metadata
from sr_cli.imaging.picture import Frame, Metadata, Picture

_LEAST = 128
"""Bytes of the smallest file that OpenImageIO opens."""

_HEAD = 1 << 20
"""Bytes in which the header of the codestream is looked for: metadata may come before it."""

_COLOUR_SPACE = slice(16, 20)
"""Where a profile names the space of its samples (ICC.1:2022, section 7.2.6)."""

_SRGB = 13
"""sRGB's transfer function in ITU-T H.273."""


def is_available() -> bool:
    """Whether the extra `jxl` is installed."""
    try:
        import brotli  # noqa: F401
        import OpenImageIO  # noqa: F401
    except ImportError:
        return False
    return True


def read(data: bytes, max_pixels: int) -> Picture:
    """Decode a file, upright.

    The orientation is part of the codestream and applied by the decoder; that in EXIF only repeats
    it (ISO/IEC 18181-2, Exif box).

    Raises:
        SrError: `extra-missing`, `too-many-pixels`, `animation-not-supported`,
            `unsupported-depth`, `unsupported-image` (channels other than alpha), `damaged-image`.
    """
    if not is_available():
        raise SrError("extra-missing", extra="jxl")
    try:
        header = jxl_file.read_header(data)
    except ValueError as error:
        raise SrError("damaged-image", reason=str(error)) from error
    check_pixels(header.width * header.height, max_pixels)
    if header.is_animated:
        raise SrError("animation-not-supported", format="JPEG XL")
    if header.is_float or header.bits > 16:
        raise SrError("unsupported-depth", bits=header.bits)
    if not header.has_only_alpha:
        raise SrError("unsupported-image", format="JXL")
    pixels, profile = _decode(data)
    frame = _to_frame(pixels, header)
    boxes = jxl_file.read_metadata_boxes(data)
    described = Image.new("L", (1, 1))
    described.info = {"icc_profile": profile, "xmp": boxes.get(b"xml ")}
    if b"Exif" in boxes:
        described.info["exif"] = b"Exif\0\0" + boxes[b"Exif"]
    return Picture([frame], "JXL", read_metadata(described)[0])


def read_size(file: BinaryIO) -> tuple[int, int] | None:
    """(width, height) of the upright image from the header of a file; None for other formats.

    Raises:
        ValueError: If the header is damaged.
        OSError: If the file cannot be read.
    """
    data = file.read(_HEAD)
    if sniff_format(data[:32]) is not FORMATS["JXL"]:
        return None
    header = jxl_file.read_header(data)
    return header.width, header.height


def _decode(data: bytes) -> tuple[NDArray[Any], bytes | None]:
    """The samples (h, w, C) of 8 or 16 bits, and the profile; None for sRGB."""
    import OpenImageIO

    with tempfile.TemporaryDirectory(prefix="sr-") as folder:
        path = Path(folder) / "image.jxl"
        path.write_bytes(data.ljust(_LEAST, b"\0"))
        opened: Any = OpenImageIO.ImageInput.open(
            str(path), _straight_alpha(OpenImageIO.ImageSpec())
        )
        if opened is None:
            raise SrError("damaged-image", reason=_first_line(OpenImageIO.geterror()))
        try:
            spec = opened.spec()
            pixels = opened.read_image(spec.format)
        finally:
            opened.close()
    if pixels is None:
        raise SrError("damaged-image", reason="it cannot be decoded")
    cicp, profile = spec.getattribute("CICP"), spec.getattribute("ICCProfile")
    # 0 stands for gray, which has no primaries.
    is_srgb = cicp is not None and cicp[0] in (0, 1) and cicp[1] == _SRGB
    return pixels, None if is_srgb or profile is None else np.asarray(profile, np.uint8).tobytes()


def _to_frame(pixels: NDArray[Any], header: jxl_file.Header) -> Frame:
    colour = pixels[..., : pixels.shape[2] - len(header.extra)]
    colour = np.ascontiguousarray(colour[..., 0] if colour.shape[2] == 1 else colour)
    if not header.extra:
        return Frame(colour)
    alpha = np.ascontiguousarray(pixels[..., -1])
    return Frame(unpremultiply(colour, alpha) if header.is_premultiplied else colour, alpha)


def write(picture: Picture, file: BinaryIO, metadata: Metadata, encoding: Encoding) -> list[Note]:
    """Write one frame of 8 or 16 bits, lossless if requested.

    Raises:
        SrError: `extra-missing`, `encoding-failed`.
    """
    if not is_available():
        raise SrError("extra-missing", FORMATS["JXL"].name, extra="jxl")
    boxes = {}
    if metadata.exif:
        # Four bytes say where the TIFF block begins after them.
        block = without_orientation(metadata.exif).removeprefix(b"Exif\0\0")
        boxes[b"Exif"] = bytes(4) + block
    if metadata.xmp:
        boxes[b"xml "] = metadata.xmp
    quality = 100 if encoding.lossless else encoding.quality or FORMATS["JXL"].quality
    samples, profile = _samples(picture.frames[0], metadata.icc)
    file.write(jxl_file.with_boxes(_encode(samples, profile, quality or 100), boxes))
    if metadata.icc and profile is None:
        return [Note("metadata-dropped", {"block": "ICC profile", "format": "JXL"})]
    return []


def _samples(frame: Frame, profile: bytes | None) -> tuple[NDArray[Any], bytes | None]:
    """Samples (h, w, C), and the profile if it fits them.

    Gray with alpha becomes RGB: OpenImageIO takes two channels for colours. So does gray with a
    profile for RGB; without one it would mean something else.
    """
    space = profile[_COLOUR_SPACE] if profile else None
    colour = frame.pixels
    if colour.ndim == 2 and frame.alpha is None and space != b"RGB ":
        return colour[..., None], profile if space == b"GRAY" else None
    if colour.ndim == 2:
        colour = np.dstack([colour] * 3)
    samples = colour if frame.alpha is None else np.dstack([colour, frame.alpha])
    return samples, profile if space == b"RGB " else None


def _encode(samples: NDArray[Any], profile: bytes | None, quality: int) -> bytes:
    import OpenImageIO

    height, width, channels = samples.shape
    spec = OpenImageIO.ImageSpec(width, height, channels, str(samples.dtype))
    spec.attribute("compression", f"jpegxl:{quality}")
    spec.attribute("jpegxl:use_boxes", 0)
    _straight_alpha(spec)
    if profile:
        kind = OpenImageIO.TypeDesc(f"uint8[{len(profile)}]")
        spec.attribute("ICCProfile", kind, np.frombuffer(profile, np.uint8).copy())
    with tempfile.TemporaryDirectory(prefix="sr-") as folder:
        path = Path(folder) / "image.jxl"
        output: Any = OpenImageIO.ImageOutput.create(str(path))
        is_written = output.open(str(path), spec) and output.write_image(samples)
        is_written = output.close() and is_written
        if output.has_error or not is_written:
            reason = _first_line(output.geterror())
            raise SrError("encoding-failed", format="JXL", reason=reason)
        return path.read_bytes()


def _straight_alpha(spec: Any) -> Any:
    """Ask for colours as they are: OpenImageIO multiplies them by alpha for other formats."""
    spec.attribute("oiio:UnassociatedAlpha", 1)
    return spec


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0] or "it cannot be decoded"
