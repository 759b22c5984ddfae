"""DICOM results: the data set of the input with other pixels, and true of them.

A result is a derived image (DICOM PS3.3 (2024), C.7.6.1.1.2 and C.12.4.1) in explicit little
endian. What is about patient, study, series and equipment stays as it is.
"""

from __future__ import annotations

import hashlib
import io
import uuid
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from sr_cli.errors import Note
from sr_cli.imaging.codecs.dicom import parse, without_values
from sr_cli.imaging.codecs.dicom_geometry import move_place
from sr_cli.imaging.codecs.dicom_groups import UNTRUE, derive_groups, groups_of, is_enhanced
from sr_cli.imaging.formats import Encoding
from sr_cli.imaging.picture import Frame, Metadata, Picture
from sr_cli.imaging.provenance import Provenance, provenance_as_text

_IN_PIXELS = (range(0x00181600, 0x00181625), range(0x00181700, 0x00181721))
"""Display shutter (C.7.6.11) and collimator (C.8.7.3), drawn at pixels of the input."""

_DRAWN_GROUPS = {0x50: "Curve", 0x60: "Overlay"}
"""By the first byte of their repeating groups (PS3.5, 7.6)."""

_UNTRUE = {
    "SmallestImagePixelValue", "LargestImagePixelValue", "SmallestPixelValueInSeries",
    "LargestPixelValueInSeries", "SmallestImagePixelValueInPlane", "LargestImagePixelValueInPlane",
    "SequenceOfUltrasoundRegions", "MaskSubtractionSequence", "DigitalSignaturesSequence",
    "MACParametersSequence",
}  # fmt: skip
"""Values, places and signatures of the pixels of the input."""

_MOST_TEXT = 1024
"""Characters of a short text (PS3.5, 6.2)."""


def write(picture: Picture, file: BinaryIO, metadata: Metadata, encoding: Encoding) -> list[Note]:
    """Write all frames with the data set of the input.

    Raises:
        SrError: `encoding-failed`.
    """
    with without_values("encoding-failed", format="DICOM"):
        from pydicom import dcmwrite

        assert metadata.dicom is not None
        found = parse(io.BytesIO(metadata.dicom))
        dropped = _drop_untrue(found)
        height, width = picture.frames[0].pixels.shape
        move_place(found, width / int(found.Columns), height / int(found.Rows))
        dropped += _derive(found, picture.provenance)
        found.Rows, found.Columns = height, width
        stored, allocated = int(found.BitsStored), picture.frames[0].pixels.itemsize * 8
        found.BitsAllocated, found.HighBit = allocated, stored - 1
        is_signed = found.PixelRepresentation == 1
        frames = []
        while picture.frames:
            limited = _limit(picture.frames.pop(0), stored, is_signed=is_signed)
            frames.append(limited.astype(limited.dtype.newbyteorder("<")).tobytes())
        pixels = b"".join(frames)
        _rename(found, pixels)
        found.add_new("PixelData", "OB" if allocated == 8 else "OW", pixels + b"\0" * _odd(pixels))
        dcmwrite(buffer := io.BytesIO(), found, enforce_file_format=True)
    file.write(buffer.getbuffer())
    return [Note("attributes-dropped", {"attributes": dropped})] if dropped else []


def _odd(content: bytes) -> int:
    return len(content) % 2


def _drop_untrue(found: Any) -> list[str]:
    """Drop what is about the pixels of the input; the names of what was there."""
    from pydicom.datadict import keyword_for_tag

    names: dict[str, None] = {}
    for tag in list(found.keys()):
        group = _DRAWN_GROUPS.get(tag.group >> 8) if tag.group % 2 == 0 else None
        # Values are not looked at: others than these may be damaged, and stay as they are.
        keyword = keyword_for_tag(tag)
        if group or keyword in _UNTRUE or any(tag in part for part in _IN_PIXELS):
            names[group or keyword] = None
            del found[tag]
    for item in groups_of(found):
        for name in UNTRUE:
            if name in item:
                names[name] = None
                del item[name]
    return list(names)


def _derive(found: Any, made: Provenance | None) -> list[str]:
    """Say that the image is derived, from which one and how; the names of what had no room."""
    from pydicom.dataset import Dataset
    from pydicom.sr.codedict import codes

    kinds = list(found.get("ImageType") or [])
    # Of enhanced images the second value is PRIMARY, derived or not (C.8.16.1.2).
    second = kinds[1:2] if is_enhanced(found) else ["SECONDARY"]
    found.ImageType = ["DERIVED", *second, *kinds[2:]]
    source = Dataset()
    source.ReferencedSOPClassUID = found.SOPClassUID
    source.ReferencedSOPInstanceUID = found.SOPInstanceUID
    # Every pixel lies where it was (C.12.4.1).
    source.SpatialLocationsPreserved = "YES"
    purpose = _code(codes.DCM.SourceImageForImageProcessingOperation)
    source.PurposeOfReferenceCodeSequence = [purpose]
    found.SourceImageSequence = [*(found.get("SourceImageSequence") or []), source]
    resampled = _code(codes.DCM.SpatialResampling)
    found.DerivationCodeSequence = [*(found.get("DerivationCodeSequence") or []), resampled]
    before = str(found.get("DerivationDescription") or "")
    text = provenance_as_text(made, _MOST_TEXT) if made else "resampled"
    if is_enhanced(found):
        derive_groups(found, text, resampled, source)
    both = f"{before}; {text}" if before else text
    fits = len(both) <= _MOST_TEXT
    found.DerivationDescription = both if fits else text
    return [] if fits else ["DerivationDescription"]


def _code(code: Any) -> Any:
    from pydicom.dataset import Dataset

    item = Dataset()
    item.CodeValue = code.value
    item.CodingSchemeDesignator = code.scheme_designator
    item.CodeMeaning = code.meaning
    return item


def _rename(found: Any, pixels: bytes) -> None:
    """Give another image another UID: from the old one and the pixels, the same at every run.

    The form is that of PS3.5, B.2.
    """
    content = hashlib.sha256(pixels).hexdigest()
    seed = f"{found.SOPInstanceUID} {found.Columns}x{found.Rows} {content}"
    found.SOPInstanceUID = f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, seed).int}"
    found.file_meta.MediaStorageSOPInstanceUID = found.SOPInstanceUID


def _limit(frame: Frame, stored: int, *, is_signed: bool) -> NDArray[Any]:
    """Limit values to the bits that are stored; none but padding becomes padding by it."""
    pixels = frame.pixels
    low = -(2 ** (stored - 1)) if is_signed else 0
    high = low + 2**stored - 1
    padding = None if frame.nodata is None else int(frame.nodata)
    beyond = high - 1 if padding == high else high
    above = pixels > high
    if padding is not None:
        above &= pixels != padding
    limited = np.where(above, pixels.dtype.type(beyond), pixels)
    return limited.astype(pixels.dtype, copy=False)
