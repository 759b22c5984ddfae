"""Decoding of files into pictures: gray or RGB with alpha and further bands, upright."""

from __future__ import annotations

import io
import logging
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache, lru_cache
from pathlib import Path
from threading import Lock
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageFile, UnidentifiedImageError

from sr_cli.errors import Note, SrError
from sr_cli.imaging import codecs
from sr_cli.imaging.codecs.source import OpenFile
from sr_cli.imaging.conversion import crop_frame, orient_frame
from sr_cli.imaging.exif import ORIENTATION
from sr_cli.imaging.formats import DEFAULT_MAX_PIXELS, FORMATS, SNIFFED, sniff_format
from sr_cli.imaging.further import find_further
from sr_cli.imaging.isobmff import read_colour, read_crop, read_depth
from sr_cli.imaging.metadata import read_metadata, read_png_colour, without_blocks
from sr_cli.imaging.picture import Frame, Metadata, Picture
from sr_cli.imaging.profiles import srgb_profile
from sr_cli.imaging.provenance import Provenance, find_provenance


def read_picture(
    source: Path | bytes,
    *,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    allow_truncated: bool = False,
    name: object = "stdin",
    as_shown: bool = False,
) -> Picture:
    """Decode a file with all its frames or pages.

    Args:
        source: A file, or its bytes.
        max_pixels: The most pixels that all frames together may have.
        allow_truncated: Decode what is left of a damaged or truncated file.
        name: What errors call bytes.
        as_shown: Give what a display shows of measurements that have a window (DICOM), in 8 bits.

    Returns:
        Frames rotated upright, gray or RGB, with notes on what was converted.

    Raises:
        SrError: `file-not-found`, `unreadable-file`, `empty-file`, `unknown-image-format`,
            `unsupported-image`, `extra-missing` (HEIC, JPEG XL, DICOM), `damaged-image`,
            `too-many-pixels`, `animation-not-supported`, `unsupported-samples`,
            `unsupported-compression`, `unsupported-16-bit-image`, `unsupported-dicom`,
            `undecodable-pixels`, `image-out-of-memory`.
    """
    name = str(name if isinstance(source, bytes) else source)
    try:
        data = source if isinstance(source, bytes) else source.read_bytes()
    except FileNotFoundError:
        raise SrError("file-not-found", name) from None
    except OSError as error:
        raise SrError("unreadable-file", name, reason=error.strerror or str(error)) from error
    if not data:
        raise SrError("empty-file", name)
    try:
        with _own_settings(allow_truncated):
            picture = _decode(data, max_pixels, allow_truncated)
            picture.metadata.further = find_further(data, picture.format)
            if as_shown:
                codecs.dicom_window.show(picture, deep=False)
            return picture
    except SrError as error:
        raise error.about(name) from error.__cause__
    except MemoryError as error:
        raise SrError("image-out-of-memory", name) from error
    except Exception as error:
        # Decoders raise any type of error for damaged files.
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        hint = None if allow_truncated else "allow-truncated"
        raise SrError("damaged-image", name, hint=hint, reason=said) from error


def read_size(source: Path | bytes) -> tuple[int, int] | None:
    """(width, height) of the upright image from the header of a file; None if unreadable."""
    facts = _read_facts(source)
    return None if facts is None else facts[0]


def holds_measurements(source: Path | bytes) -> bool:
    """Whether an image is measured, from the header of its file; see `Picture.measured`."""
    with suppress(Exception), _opened(source) as file:
        found = sniff_format(file.read(SNIFFED))
        file.seek(0)
        is_tiff = found is FORMATS["TIFF"]
        return found is FORMATS["DICOM"] or (is_tiff and codecs.tiff.holds_measurements(file))
    return False


def is_readable(path: Path, max_pixels: int) -> bool:
    """Whether a file is there and holds a whole image; of a larger one, only headers are read."""
    try:
        found = path.stat()
    except OSError:
        return False
    return _is_whole(path, max_pixels, (found.st_ino, found.st_mtime_ns, found.st_size))


@lru_cache(maxsize=1 << 16)
def _is_whole(path: Path, max_pixels: int, _state: tuple[int, ...]) -> bool:
    """As `is_readable`, once for each state of a file: planning and running both ask."""
    if read_size(path) is None:
        return False
    try:
        read_picture(path, max_pixels=max_pixels)
    except SrError as error:
        return error.code != "damaged-image"
    return True


def missing_extra(source: Path | bytes) -> str | None:
    """The extra that is needed to read a file, and that is not installed; or None."""
    with suppress(OSError), _own_settings(), _opened(source) as file:
        found = sniff_format(file.read(SNIFFED))
        if found is FORMATS["DICOM"] and not codecs.dicom.is_available():
            return "dicom"
        if found is FORMATS["JXL"] and not codecs.jxl.is_available():
            return "jxl"
        if found is FORMATS["HEIF"] and "HEIF" not in Image.OPEN:
            return "heif"
    return None


def read_provenance(source: str | Path | bytes) -> Provenance | None:
    """What made an image, from the headers of its file: no pixels are decoded.

    Args:
        source: An image file, or its bytes.

    Returns:
        None if the file does not say, or cannot be read.

    Example:
        >>> from sr_cli import read_provenance, upscale_files
        >>> for result in upscale_files("photo.jpg", "larger.jpg", model="espcn", scale=2):
        ...     print(read_provenance(result.target).models[0].id)
        espcn-x2
    """
    source = source if isinstance(source, bytes) else Path(source)
    with suppress(Exception), _opened(source) as file:
        if sniff_format(file.read(SNIFFED)) is FORMATS["DICOM"]:
            file.seek(0)
            return codecs.dicom.read_provenance(file)
    facts = _read_facts(source, with_xmp=True)
    with suppress(Exception):
        return find_provenance(facts[1]) if facts and facts[1] else None
    return None


def _read_facts(
    source: Path | bytes, *, with_xmp: bool = False
) -> tuple[tuple[int, int], bytes | None] | None:
    """Upright (width, height) and XMP packet from the headers of a file; None if unreadable."""
    with suppress(Exception), _own_settings(), _opened(source) as file:
        found = sniff_format(file.read(SNIFFED))
        file.seek(0)
        if found is FORMATS["JXL"]:
            return codecs.jxl.read_facts(file)
        if found is FORMATS["DICOM"]:
            return codecs.dicom.read_size(file), None
        try:
            with Image.open(file, formats=_readable()) as image:
                orientation = image.getexif().get(ORIENTATION, 1)
                width, height = image.size
                turned = orientation in (5, 6, 7, 8) and image.format != "TIFF"
                name, xmp = image.format, image.info.get("xmp")
        except UnidentifiedImageError:
            file.seek(0)
            return codecs.tiff.read_header(file)
        if name == "AVIF":
            file.seek(0)
            crop = read_crop(file.read(), width, height)
            left, top, right, bottom = crop or (0, 0, width, height)
            width, height = right - left, bottom - top
        if name == "GIF" and with_xmp:
            metadata = Metadata()
            file.seek(0)
            codecs.gif.read_extensions(file.read(), metadata)
            xmp = metadata.xmp
        size = (height, width) if turned else (width, height)
        return size, xmp.encode() if isinstance(xmp, str) else xmp
    return None


def _opened(source: Path | bytes) -> BinaryIO:
    return io.BytesIO(source) if isinstance(source, bytes) else source.open("rb")


def _readable() -> list[str]:
    """The formats to open with Pillow, by its names."""
    absent = {"JXL", "DICOM"} if "HEIF" in Image.OPEN else {"JXL", "DICOM", "HEIF"}
    return [n for n in (*FORMATS, "DIB") if n not in absent]


_lock = Lock()
_readers = 0
_settings_of_host: tuple[int | None, bool] = (None, False)


@contextmanager
def _own_settings(allow_truncated: bool = False) -> Iterator[None]:
    """Pillow with the settings that reading needs; the host program's own return with the last.

    They are global to the process, and several threads may read at once.
    """
    global _readers, _settings_of_host  # noqa: PLW0603 - as global as the settings
    _prepare_pillow()
    with _lock:
        if not _readers:
            _settings_of_host = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES
        _readers += 1
        # Sizes are checked here against --max-pixels, before anything is decoded.
        Image.MAX_IMAGE_PIXELS = None
        ImageFile.LOAD_TRUNCATED_IMAGES = allow_truncated
    try:
        yield
    finally:
        with _lock:
            _readers -= 1
            if not _readers:
                Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = _settings_of_host


@cache
def _prepare_pillow() -> None:
    """Register what reads HEIC, and silence warnings about files."""
    warnings.filterwarnings("ignore", module="PIL")
    logging.getLogger("PIL").setLevel(logging.CRITICAL)
    if "HEIF" in Image.OPEN:
        return
    with suppress(ImportError):
        import pillow_heif

        pillow_heif.register_heif_opener()


def _decode(data: bytes, max_pixels: int, allow_truncated: bool) -> Picture:
    sniffed = sniff_format(data[:SNIFFED])
    if sniffed is FORMATS["BMP"]:
        return codecs.bmp.read(data, max_pixels, allow_truncated=allow_truncated)
    if sniffed is FORMATS["JXL"]:
        return codecs.jxl.read(data, max_pixels)
    if sniffed is FORMATS["DICOM"]:
        return codecs.dicom.read(data, max_pixels)
    if sniffed is FORMATS["GIF"]:
        data = codecs.gif.with_disposals(data)
    try:
        image = Image.open(io.BytesIO(data), formats=_readable())
    except UnidentifiedImageError:
        if sniffed is FORMATS["TIFF"]:
            picture = codecs.tiff.read_unopened(data, max_pixels, allow_truncated=allow_truncated)
            if picture is not None:
                picture.notes += _attach_parts(data, picture)
                return picture
        raise _unidentified(data) from None
    with image:
        source = OpenFile(data, image, max_pixels, allow_truncated)
        picture = _read_tiff(source) if image.format == "TIFF" else _read(source)
    picture.notes = source.notes
    return picture


def _unidentified(data: bytes) -> SrError:
    """The error for a file that Pillow does not open."""
    found = sniff_format(data[:SNIFFED])
    if found is FORMATS["HEIF"] and "HEIF" not in Image.OPEN:
        return SrError("extra-missing", extra="heif")
    if found is not None:
        return SrError("unsupported-image", format=found.name)
    if _is_nifti(data):
        return SrError("not-supported-format", format="NIfTI")
    return SrError("unknown-image-format", known=list(FORMATS))


def _is_nifti(data: bytes) -> bool:
    """Whether a file is NIfTI-1 or NIfTI-2, by the magic of its header, also compressed."""
    start = data[:352]
    if start.startswith(b"\x1f\x8b"):
        with suppress(zlib.error):
            start = zlib.decompressobj(wbits=31).decompress(data, 352)
    return start[344:348] in (b"n+1\0", b"ni1\0") or start[4:8] in (b"n+2\0", b"ni2\0")


def _read_tiff(source: OpenFile) -> Picture:
    picture = codecs.tiff.read(source)
    source.notes += _attach_parts(source.data, picture)
    return picture


def _read(source: OpenFile) -> Picture:
    """Decode any file except TIFF: one image or an animation."""
    image = source.image
    name = {"MPO": "JPEG", "DIB": "BMP"}.get(image.format or "", image.format or "PNG")
    count = int(getattr(image, "n_frames", 1))
    if image.format in ("MPO", "HEIF"):
        # Files of phones hold previews and depth maps, too; see `attach_parts` for JPEG.
        if name == "HEIF" and count > 1:
            source.add_note(Note("images-dropped", {"count": count - 1, "kinds": ["other"]}))
        count = 1
    source.check_size(image.size[0] * image.size[1] * count)
    # An APNG may begin with an image for viewers without animation support.
    first = 1 if count > 1 and getattr(image, "default_image", False) else 0
    if first:
        source.add_note(Note("default-image-dropped"))
    if name == "PNG":
        frames = list(codecs.png.read_frames(source, range(first, count)))
    else:
        frames = _read_frames(source, count)
    # The metadata of a PNG may follow its pixels, and all its frames.
    if name == "PNG" and count > 1:
        still = codecs.apng.without_animation(source.data)
        image = Image.open(io.BytesIO(still), formats=["PNG"])
    image.load()
    metadata, orientation = read_metadata(image)
    _read_the_rest(source, name, metadata)
    if name == "AVIF":
        _crop(source, frames)
    for frame in frames:
        orient_frame(frame, orientation)
    animation = name in ("GIF", "PNG", "WEBP", "AVIF") and len(frames) > 1
    if animation:
        _give_all_alpha(frames)
    loop = _loop(source, name) if animation else None
    picture = Picture(frames, name, metadata, animation, loop)
    source.notes += _attach_parts(source.data, picture, orientation)
    return picture


def _read_the_rest(source: OpenFile, name: str, metadata: Metadata) -> None:
    """Read what Pillow does not: colour by code points, extensions, and depths that it reduces."""
    if name == "PNG":
        source.notes += read_png_colour(
            metadata, codecs.png_chunks.read_chunks(source.data, until=b"IDAT")
        )
        metadata.text = without_blocks(codecs.png_chunks.read_texts(source.data))
    elif name in ("AVIF", "HEIF"):
        cicp, metadata.mastering = read_colour(source.data)
        # A profile has precedence over code points, except for those that no profile can express.
        if cicp and not cicp.is_plain and (metadata.icc is None or cicp.is_hdr):
            metadata.cicp = cicp
        if (bits := read_depth(source.data)) > 8:
            source.add_note(Note("depth-reduced", {"bits": bits}))
    elif name == "GIF":
        codecs.gif.read_extensions(source.data, metadata)
    elif source.is_srgb:
        metadata.icc = srgb_profile()


def _attach_parts(data: bytes, picture: Picture, orientation: int = 1) -> list[Note]:
    """As `attach_parts`, imported where a file may have parts."""
    if picture.metadata.xmp is None and picture.format not in ("JPEG", "AVIF", "HEIF"):
        return []

    from sr_cli.imaging.compound.attach import attach_parts

    return attach_parts(data, picture, orientation)


def _read_frames(source: OpenFile, count: int) -> list[Frame]:
    frames = []
    pixels = 0
    profile = source.image.info.get("icc_profile")
    for number in range(count):
        if count > 1:
            source.image.seek(number)
        # The canvas of a GIF may grow with its frames.
        pixels += source.image.size[0] * source.image.size[1]
        source.check_size(pixels)
        frames.append(source.read_frame(profile))
    return frames


def _crop(source: OpenFile, frames: list[Frame]) -> None:
    """Crop what an AVIF does not show, which Pillow returns."""
    crop = read_crop(source.data, *source.image.size)
    if crop is None:
        source.add_note(Note("crop-ignored"))
        return
    for frame in frames:
        crop_frame(frame, *crop)


def _give_all_alpha(frames: list[Frame]) -> None:
    """Give all frames of an animation alpha if one of them has it."""
    if not any(f.alpha is not None for f in frames):
        return
    for frame in frames:
        if frame.alpha is None:
            dtype = frame.pixels.dtype
            frame.alpha = np.full(frame.pixels.shape[:2], np.iinfo(dtype).max, dtype)


def _loop(source: OpenFile, name: str) -> int | None:
    """How often an animation is played: 0 for ever, None once."""
    # Pillow does not report the loop count of AVIF; nearly all loop for ever.
    unknown = 0 if name == "AVIF" else None
    loop = source.image.info.get("loop", unknown)
    return codecs.gif.plays_from_repeats(loop) if name == "GIF" else loop
