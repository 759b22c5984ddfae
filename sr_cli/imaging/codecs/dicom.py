"""DICOM files with gray images: the values as they are stored, and the data set around them.

DICOM PS3.3 (2024), C.7.6.3 (Image Pixel), PS3.5 and PS3.10, read with pydicom. Its errors and
warnings quote values, among them those about patients: none of them is passed on.
"""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from sr_cli.errors import SrError
from sr_cli.imaging.codecs.dicom_geometry import move_place
from sr_cli.imaging.codecs.dicom_groups import can_resize_groups, is_enhanced
from sr_cli.imaging.formats import check_pixels
from sr_cli.imaging.picture import Frame, Metadata, Picture
from sr_cli.imaging.provenance import Provenance, find_provenance_in_text

_COLOURS = (
    "PALETTE COLOR", "RGB", "YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_420", "YBR_ICT", "YBR_RCT",
)  # fmt: skip
"""Values of PhotometricInterpretation (C.7.6.3.1.2) that errors may name."""

_LOSSY = ("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.4.81")
"""Transfer syntaxes that are never lossless: JPEG baseline and extended, JPEG-LS near-lossless."""

_WORDS = {"OW": 2, "OL": 4, "OF": 4, "OD": 8, "OV": 8}
"""Bytes to a word of values that pydicom keeps as they are in the file (PS3.5, 6.2 and 7.3)."""

_ENCODED = ("PixelData", "ExtendedOffsetTable", "ExtendedOffsetTableLengths")


def is_available() -> bool:
    """Whether the extra `dicom` is installed."""
    try:
        import pydicom  # noqa: F401  # only whether it is installed
    except ImportError:
        return False
    return True


def read(data: bytes, max_pixels: int) -> Picture:
    """Decode all frames of a file.

    Returns:
        The stored values, signed or not, of 8 or 16 bits; pixel padding is `nodata`.

    Raises:
        SrError: `extra-missing`, `unsupported-dicom`, `too-many-pixels`, `undecodable-pixels`,
            `damaged-image`.
    """
    if not is_available():
        raise SrError("extra-missing", extra="dicom")
    with without_values("damaged-image"):
        found = parse(io.BytesIO(data))
        _check_kind(found)
        check_pixels(found.Rows * found.Columns * _count(found), max_pixels)
        pixels = _decode(found)
        nodata = _padding(found)
        header = _header(found)
        # What cannot be moved is an error before anything is computed.
        move_place(parse(io.BytesIO(header)), 1, 1)
    frames = [Frame(np.ascontiguousarray(frame), nodata=nodata) for frame in pixels]
    return Picture(frames, "DICOM", Metadata(dicom=header), measured=True)


def read_size(file: BinaryIO) -> tuple[int, int]:
    """(width, height) from the header of a file. Raises errors of any type."""
    found = parse(file, stop_before_pixels=True, specific_tags=["Rows", "Columns"])
    return int(found.Columns), int(found.Rows)


def read_provenance(file: BinaryIO) -> Provenance | None:
    """What made a file, from its DerivationDescription. Raises errors of any type."""
    found = parse(file, stop_before_pixels=True, specific_tags=["DerivationDescription"])
    return find_provenance_in_text(str(found.get("DerivationDescription") or ""))


def parse(file: BinaryIO, **options: Any) -> Any:
    """The data set of a file, as pydicom has it."""
    import pydicom

    _silence()
    return pydicom.dcmread(file, **options)


@contextmanager
def without_values(code: str, **facts: Any) -> Iterator[None]:
    """Replace errors of pydicom, which quote what is in the file, by one with a code."""
    try:
        yield
    except (SrError, OSError, MemoryError):
        raise
    except Exception as error:
        raise SrError(code, reason=f"DICOM: {type(error).__name__}", **facts) from None


@cache
def _silence() -> None:
    warnings.filterwarnings("ignore", module="pydicom")
    for name in ("pydicom", "pylibjpeg", "libjpeg", "openjpeg", "rle"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)


def _count(found: Any) -> int:
    return int(found.get("NumberOfFrames") or 1)


def _check_kind(found: Any) -> None:
    """Check that a data set is a gray image whose description can be made true of a result."""
    kind = _unsupported_kind(found)
    if kind is not None:
        raise SrError("unsupported-dicom", kind=kind)
    stored, allocated = int(found.BitsStored), int(found.BitsAllocated)
    if allocated not in (8, 16) or not 8 <= stored <= allocated:
        raise SrError("unsupported-dicom", kind="bits")


def _unsupported_kind(found: Any) -> str | None:
    if "PixelData" not in found:
        return "no-image"
    if is_enhanced(found) and not can_resize_groups(found):
        return "enhanced"
    photometric = str(found.PhotometricInterpretation)
    if int(found.get("SamplesPerPixel", 1)) != 1 or not photometric.startswith("MONOCHROME"):
        return photometric if photometric in _COLOURS else "colour"
    if "ImagePlanePixelSpacing" in found:
        return "rt-image"
    if "PixelPaddingRangeLimit" in found:
        return "padding-range"
    if int(found.HighBit) != int(found.BitsStored) - 1:
        return "high-bit"
    if not (found.get("SOPClassUID") and found.get("SOPInstanceUID")):
        return "no-identity"
    return None


def _decode(found: Any) -> NDArray[Any]:
    """The stored values (frames, h, w), in the byte order of this machine."""
    from pydicom.pixels.utils import pixel_array

    syntax = found.file_meta.TransferSyntaxUID
    try:
        pixels = pixel_array(found, raw=True, allow_excess_frames=False)
    except MemoryError:
        raise
    except Exception:
        raise SrError("undecodable-pixels", syntax=syntax.name) from None
    pixels = pixels.reshape(_count(found), found.Rows, found.Columns)
    native: NDArray[Any] = pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
    return native


def _padding(found: Any) -> float | None:
    """PixelPaddingValue as a stored value: some files have it with the wrong sign."""
    value = found.get("PixelPaddingValue")
    if value is None:
        return None
    bits = int(found.BitsAllocated)
    pattern = int(value) % 2**bits
    is_negative = found.PixelRepresentation == 1 and pattern >= 2 ** (bits - 1)
    return float(pattern - 2**bits if is_negative else pattern)


def _header(found: Any) -> bytes:
    """All but the pixels, as a file in explicit little endian."""
    from pydicom import dcmwrite
    from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian

    if found.file_meta.TransferSyntaxUID in _LOSSY and "LossyImageCompression" not in found:
        found.LossyImageCompression = "01"
    for keyword in _ENCODED:
        if keyword in found:
            del found[keyword]
    if found.file_meta.TransferSyntaxUID == ExplicitVRBigEndian:
        _swap_words(found)
    found.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dcmwrite(file := io.BytesIO(), found, enforce_file_format=True)
    return file.getvalue()


def _swap_words(found: Any) -> None:
    """Turn words of big endian, in sequences as well, into those of little endian."""
    for element in found.iterall():
        size = _WORDS.get(element.VR)
        if size and element.value:
            element.value = np.frombuffer(element.value, f">u{size}").astype(f"<u{size}").tobytes()
