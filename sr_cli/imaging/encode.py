"""Pixels to files, with what the input's file said beside them."""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass
from typing import Any, BinaryIO

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin, TiffImagePlugin

from sr_cli.errors import SrError
from sr_cli.imaging.formats import FORMATS, Format
from sr_cli.imaging.memory import release_rows
from sr_cli.imaging.metadata import exif_of, for_size, jpeg_iptc_segment
from sr_cli.imaging.picture import Frame, Metadata, Picture

_PNG_LEVEL = 4
_BAND = 64 << 20
_MAX_JPEG_BLOCK = 65_500
_BIG_TIFF = 3 << 30
_SOFTWARE, _DESCRIPTION, _EXIF = 0x0131, 0x010E, 0x8769
_GPS = 0x8825


@dataclass(frozen=True)
class Encoding:
    """How to write: `quality` 1 to 100 (None: the format's own), `lossless` WebP and AVIF."""

    quality: int | None = None
    lossless: bool = False
    strip: bool = False


def write_picture(picture: Picture, file: BinaryIO, target: Format, encoding: Encoding) -> None:
    """Write all frames of `picture` in the format `target`, consuming their memory.

    Raises SrError when the encoder fails. What the format cannot hold must have been refused
    or flattened before.
    """
    metadata = Metadata()
    if not encoding.strip:
        metadata = for_size(picture.metadata, picture.width, picture.height)
    deep = any(f.pixels.dtype == np.uint16 for f in picture.frames)
    try:
        if deep and target.name == "PNG":
            _write_deep_png(picture.frames[0], file, metadata)
        elif target.name == "TIFF":
            _write_tiff(picture.frames, file, metadata)
        elif target.name == "AVIF" and encoding.lossless:
            _write_lossless_avif(picture, file, metadata)
        else:
            _write_with_pillow(picture, file, target, encoding, metadata)
    except (OSError, SrError):
        raise
    except (ValueError, TypeError, KeyError, RuntimeError, cv2.error) as error:
        raise SrError(f"cannot be written as {target.name} ({error})") from error


def _write_with_pillow(
    picture: Picture, file: BinaryIO, target: Format, encoding: Encoding, metadata: Metadata
) -> None:
    options = _options(target, encoding, metadata, picture)
    images = [to_pillow(frame) for frame in picture.frames]
    if target.name == "GIF":
        images = [_to_palette(image) for image in images]
    if len(images) > 1:
        options |= {"save_all": True, "append_images": images[1:]}
        if picture.animation:
            options["duration"] = [round(f.duration) for f in picture.frames]
            options |= _loop_options(picture.loop, target)
            if target.name in ("GIF", "PNG"):
                # Each frame is complete: the one before must not shine through.
                options["disposal"] = 2 if target.name == "GIF" else 1
            if target.name == "PNG":
                options["blend"] = 0
    images[0].save(file, target.name, **options)


def _loop_options(loop: int | None, target: Format) -> dict[str, Any]:
    """How often an animation is played (0: for ever, None: once), as the format counts it."""
    if target.name == "GIF":
        return {} if loop is None else {"loop": max(0, loop - 1)} if loop != 1 else {}
    return {"loop": 1 if loop is None else loop}


def _options(
    target: Format, encoding: Encoding, metadata: Metadata, picture: Picture
) -> dict[str, Any]:
    """Pillow's save options for a format."""
    options: dict[str, Any] = {}
    if target.quality is not None:
        options["quality"] = encoding.quality or target.quality
    if target.name in ("JPEG", "PNG", "WEBP", "AVIF"):
        # Set even when there is none: Pillow would else copy what an image brought along.
        options["icc_profile"] = metadata.icc or b""
        if metadata.exif:
            options["exif"] = exif_of(metadata.exif) if target.name == "AVIF" else metadata.exif
    if metadata.xmp and target.name in ("JPEG", "WEBP", "AVIF"):
        options["xmp"] = metadata.xmp
    if metadata.dpi and target.name in ("JPEG", "PNG", "BMP"):
        options["dpi"] = metadata.dpi
    if metadata.comment and target.name in ("JPEG", "GIF"):
        options["comment"] = metadata.comment
    add = {"JPEG": _jpeg_options, "PNG": _png_options}.get(target.name)
    if add is not None:
        options |= add(metadata, picture)
    if target.name == "JPEG":
        options = {k: v for k, v in options.items() if not _too_long_for_jpeg(k, v, picture)}
    if target.name == "WEBP":
        options |= {"method": 4, "exact": False, "lossless": encoding.lossless}
    if target.name == "AVIF":
        options |= {"subsampling": "4:4:4", "speed": 6}
    return options


def _too_long_for_jpeg(key: str, value: Any, picture: Picture) -> bool:
    too_long = key in ("exif", "xmp") and len(value) > _MAX_JPEG_BLOCK
    if too_long:
        picture.notes.append(
            f"{key.upper()} of {len(value)} bytes does not fit into a JPEG: left out"
        )
    return too_long


def _jpeg_options(metadata: Metadata, picture: Picture) -> dict[str, Any]:
    extra = jpeg_iptc_segment(metadata.iptc) if metadata.iptc else b""
    return {"subsampling": 0, "extra": extra}


def _png_options(metadata: Metadata, picture: Picture) -> dict[str, Any]:
    info = PngImagePlugin.PngInfo()
    for key, text in metadata.text.items():
        info.add_itxt(key, text) if not text.isascii() else info.add_text(key, text)
    if metadata.xmp:
        info.add_itxt("XML:com.adobe.xmp", metadata.xmp.decode("utf-8", "replace"))
    return {"pnginfo": info, "compress_level": _PNG_LEVEL}


def to_pillow(frame: Frame) -> Image.Image:
    """An 8-bit frame as a Pillow image, band by band while its memory is given back."""
    h, w = frame.pixels.shape[:2]
    gray, alpha = frame.pixels.ndim == 2, frame.alpha
    mode = ("L" if gray else "RGB") + ("" if alpha is None else "A")
    image = Image.new(mode, (w, h), None)
    rows = max(1, _BAND // max(1, frame.pixels.strides[0]))
    for y in range(0, h, rows):
        band = frame.pixels[y : y + rows]
        if alpha is not None:
            band = np.dstack([band, alpha[y : y + rows]])
        image.paste(Image.fromarray(band), (0, y))
        if y + rows < h:
            release_rows(frame.pixels, y + rows)
    frame.pixels = np.empty((0, 0), np.uint8)
    return image


def _to_palette(image: Image.Image) -> Image.Image:
    """At most 256 colours, one of them transparent where the alpha is below a half."""
    if image.mode == "L":
        return image
    if image.mode == "RGB":
        return image.quantize(256, Image.Quantize.MEDIANCUT)
    rgba = image.convert("RGBA")
    alpha = rgba.getchannel("A").point(lambda a: 255 if a >= 128 else 0)
    rgba.putalpha(alpha)
    return rgba.quantize(256, Image.Quantize.FASTOCTREE)


def _interleaved(frame: Frame) -> NDArray[Any]:
    """(h, w[, C]) with alpha as the last channel; gray with alpha as four channels."""
    if frame.alpha is None:
        return frame.pixels
    colour = frame.pixels if frame.pixels.ndim == 3 else np.dstack([frame.pixels] * 3)
    return np.dstack([colour, frame.alpha])


def _write_deep_png(frame: Frame, file: BinaryIO, metadata: Metadata) -> None:
    """OpenCV writes the pixels (Pillow has no 16-bit RGB), Pillow the chunks that describe them."""
    pixels = _interleaved(frame)
    if pixels.ndim == 3:
        order = [2, 1, 0, 3][: pixels.shape[2]]
        pixels = np.ascontiguousarray(pixels[:, :, order])
    ok, encoded = cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, _PNG_LEVEL])
    if not ok:
        raise SrError("cannot be written as PNG")
    described = io.BytesIO()
    small = Picture([Frame(np.zeros((1, 1), np.uint8))], "PNG")
    options = _options(FORMATS["PNG"], Encoding(), metadata, small)
    Image.new("L" if pixels.ndim == 2 else "RGB", (1, 1)).save(described, "PNG", **options)
    before, after = _ancillary_chunks(described.getvalue())
    content = memoryview(encoded.tobytes())
    header, rest = content[:33], content[33:-12]
    for part in (header, before, rest, after, content[-12:]):
        file.write(part)


def _write_lossless_avif(picture: Picture, file: BinaryIO, metadata: Metadata) -> None:
    """Through OpenCV: Pillow's AVIF always passes through YCbCr, which rounds."""
    if len(picture.frames) > 1:
        raise SrError("lossless AVIF holds one frame", "lossless WebP and PNG hold animations")
    if metadata != Metadata():
        picture.notes.append("lossless AVIF: metadata left out (lossless WebP and PNG keep it)")
    pixels = _interleaved(picture.frames[0])
    if pixels.ndim == 2:
        pixels = np.dstack([pixels] * 3)
    pixels = np.ascontiguousarray(pixels[:, :, [2, 1, 0, 3][: pixels.shape[2]]])
    ok, encoded = cv2.imencode(".avif", pixels, [cv2.IMWRITE_AVIF_QUALITY, 100])
    if not ok:
        raise SrError("cannot be written as AVIF")
    file.write(encoded.tobytes())


def _ancillary_chunks(png: bytes) -> tuple[bytes, bytes]:
    """The chunks of a PNG that stand before and after its pixels, without IHDR, IDAT and IEND."""
    parts: dict[bool, list[bytes]] = {False: [], True: []}
    position, seen_pixels = 8, False
    while position < len(png):
        length = int.from_bytes(png[position : position + 4], "big")
        kind = png[position + 4 : position + 8]
        chunk = png[position : position + 12 + length]
        if zlib.crc32(chunk[4:-4]) != int.from_bytes(chunk[-4:], "big"):
            raise SrError("cannot be written as PNG (damaged description)")
        seen_pixels = seen_pixels or kind == b"IDAT"
        if kind not in (b"IHDR", b"IDAT", b"IEND"):
            parts[seen_pixels].append(chunk)
        position += 12 + length
    return b"".join(parts[False]), b"".join(parts[True])


def _write_tiff(frames: list[Frame], file: BinaryIO, metadata: Metadata) -> None:
    """8- and 16-bit pages through tifffile, the EXIF directory appended as Pillow writes it."""
    import tifffile

    tags: list[tuple[int, int, int, Any, bool]] = []
    for code, kind, block in (
        (700, 1, metadata.xmp),
        (33723, 7, metadata.iptc),
        (34675, 7, metadata.icc),
    ):
        if block:
            tags.append((code, kind, len(block), block, True))
    exif = exif_of(metadata.exif)
    for tag, text in exif.items():
        if tag in (_SOFTWARE, _DESCRIPTION, 0x0112, 0x011A, 0x011B, 0x0128, _EXIF, _GPS):
            continue
        if isinstance(text, bytes):
            # 0x9C9B to 0x9C9F are Windows's titles and authors, which are bytes; the rest is text.
            is_text = not 0x9C9B <= tag <= 0x9C9F
            tags.append(
                (tag, 2, 0, text + b"\0", True) if is_text else (tag, 1, len(text), text, True)
            )
        elif isinstance(text, int):
            tags.append((tag, 3, 1, text, True))
    directories = {code: dict(exif.get_ifd(code)) for code in (_EXIF, _GPS) if code in exif}
    tags += [(code - 1, 4, 1, 0, True) for code in directories]
    size = sum(f.pixels.nbytes * (2 if f.alpha is not None else 1) for f in frames)
    with tifffile.TiffWriter(file, bigtiff=size > _BIG_TIFF) as writer:
        for index, frame in enumerate(frames):
            gray = frame.pixels.ndim == 2
            pixels = frame.pixels if frame.alpha is None else np.dstack([frame.pixels, frame.alpha])
            writer.write(
                pixels,
                photometric="minisblack" if gray else "rgb",
                planarconfig=None if pixels.ndim == 2 else "contig",
                extrasamples=None if frame.alpha is None else ["unassalpha"],
                compression="zlib",
                compressionargs={"level": _PNG_LEVEL},
                rowsperstrip=64,
                resolution=metadata.dpi,
                resolutionunit="inch" if metadata.dpi else None,
                software=exif.get(_SOFTWARE) or False,
                description=exif.get(_DESCRIPTION) or None,
                metadata=None,
                extratags=tags if index == 0 else [],
            )
    for code, entries in directories.items():
        _append_directory(file, code, entries)


def _append_directory(file: BinaryIO, code: int, entries: dict[int, Any]) -> None:
    """Put the EXIF or GPS directory at the end of a TIFF and point its tag there.

    The tag's place is held by the unused one just before it, which tifffile does write.
    """
    import tifffile

    file.seek(0)
    with tifffile.TiffFile(file) as tiff:
        entry = tiff.pages[0].tags[code - 1]
        tag_at, value_at = entry.offset, entry.valueoffset
        order, word = tiff.byteorder, "Q" if tiff.is_bigtiff else "I"
    prefix = b"II" if order == "<" else b"MM"
    directory = TiffImagePlugin.ImageFileDirectory_v2(prefix=prefix, group=code)
    for tag, value in entries.items():
        directory[tag] = value
    end = file.seek(0, io.SEEK_END)
    end += file.write(b"\0" * (end % 2))
    file.write(directory.tobytes(end))
    for position, content in (
        (tag_at, struct.pack(order + "H", code)),
        (value_at, struct.pack(order + word, end)),
    ):
        file.seek(position)
        file.write(content)
    file.seek(0, io.SEEK_END)
