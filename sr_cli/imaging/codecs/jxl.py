"""JPEG XL, with OpenImageIO: 8 and 16 bits, profile, EXIF and XMP, one frame.

Pillow's plug-in writes no profile, and 16 bits only of gray, declared as linear light.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sr_cli.errors import Note, SrError
from sr_cli.imaging.cicp import SRGB, Cicp
from sr_cli.imaging.codecs import jxl_file
from sr_cli.imaging.conversion import unpremultiply
from sr_cli.imaging.exif import without_orientation
from sr_cli.imaging.formats import FORMATS, Encoding, check_pixels
from sr_cli.imaging.metadata import read_metadata
from sr_cli.imaging.picture import Frame, Metadata, Picture

_LEAST = 128
"""Bytes of the smallest file that OpenImageIO opens."""

_HEAD = 1 << 20
"""Bytes in which the header of the codestream is looked for: metadata may come before it."""


def is_available() -> bool:
    """Whether the extra `jxl` is installed."""
    try:
        import brotli  # noqa: F401  # only whether it is installed
        import OpenImageIO  # noqa: F401  # only whether it is installed
    except ImportError:
        return False
    return True


def read(data: bytes, max_pixels: int) -> Picture:
    """Decode a file, upright.

    The orientation is part of the codestream and applied by the decoder; that in EXIF only repeats
    it (ISO/IEC 18181-2, Exif box).

    Raises:
        SrError: `extra-missing`, `too-many-pixels`, `animation-not-supported`,
            `unsupported-samples`, `unsupported-image` (channels other than alpha), `damaged-image`.
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
        kind = "float" if header.is_float else "integer"
        raise SrError("unsupported-samples", samples=f"{header.bits}-bit {kind}")
    if not header.has_only_alpha:
        raise SrError("unsupported-image", format="JXL")
    pixels, cicp, profile = _decode(data)
    frame = _to_frame(pixels, header)
    boxes = jxl_file.read_metadata_boxes(data)
    described = Image.new("L", (1, 1))
    described.info = {"icc_profile": profile, "xmp": boxes.get(b"xml ")}
    if b"Exif" in boxes:
        described.info["exif"] = b"Exif\0\0" + boxes[b"Exif"]
    metadata = replace(read_metadata(described)[0], cicp=cicp)
    return Picture([frame], "JXL", metadata)


def read_facts(file: BinaryIO) -> tuple[tuple[int, int], bytes | None]:
    """Upright (width, height) and XMP packet of a file.

    Raises:
        ValueError: If the header is damaged.
    """
    data = file.read(_HEAD)
    header = jxl_file.read_header(data)
    xmp = jxl_file.read_metadata_boxes(data).get(b"xml ") if is_available() else None
    return (header.width, header.height), xmp


def _decode(data: bytes) -> tuple[NDArray[Any], Cicp | None, bytes | None]:
    """The samples (h, w, C) of 8 or 16 bits, and what `_colour` says."""
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
    return pixels, *_colour(spec.getattribute("CICP"), spec.getattribute("ICCProfile"))


def _colour(code_points: Any, profile: Any) -> tuple[Cicp | None, bytes | None]:
    """The code points if no profile can express them, and the profile unless it is sRGB's."""
    if code_points is not None:
        # Gray has no primaries.
        cicp = Cicp(code_points[0] or SRGB[0], code_points[1])
        if cicp.is_plain or cicp.is_hdr:
            return (cicp if cicp.is_hdr else None), None
    return None, None if profile is None else np.asarray(profile, np.uint8).tobytes()


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
    encoded = _encode(_samples(picture.frames[0]), metadata.icc, quality or 100)
    file.write(jxl_file.with_boxes(encoded, boxes))
    return []


def _samples(frame: Frame) -> NDArray[Any]:
    """Samples (h, w, C); gray with alpha becomes RGB, for OpenImageIO takes two for colours."""
    if frame.alpha is None:
        return frame.pixels if frame.pixels.ndim == 3 else frame.pixels[..., None]
    colour = frame.pixels if frame.pixels.ndim == 3 else np.dstack([frame.pixels] * 3)
    return np.dstack([colour, frame.alpha])


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
