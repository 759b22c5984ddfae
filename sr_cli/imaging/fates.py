"""What becomes of each kind of metadata in each format: the only place that decides it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum


class Kind(str, Enum):
    """A kind of metadata. Notes show its value."""

    PROFILE = "ICC profile"
    CICP = "cICP"
    GAMMA = "gAMA"
    MASTERING = "mDCV and cLLI"
    EXIF = "EXIF"
    XMP = "XMP"
    IPTC = "IPTC"
    RESOLUTION = "resolution"
    TEXT = "PNG text"
    COMMENT = "comment"
    LOOP = "loop count"
    EXTENDED_XMP = "extended XMP"
    GAIN_MAP = "HDR gain map"
    VIDEO = "motion photo"
    PLACE = "GeoTIFF tags"
    CALIBRATION = "calibration"
    DICOM = "DICOM attributes"
    FURTHER = "further data"


class Fate(str, Enum):
    """What becomes of metadata. The table in docs/photos.md shows its value."""

    KEPT = "kept"
    AS_PROFILE = "as ICC profile"
    AS_XMP = "in XMP"
    AS_EXIF = "in EXIF"
    AS_COMMENT = "as comment"
    AS_TEXT = "as text"
    TO_SRGB = "converted to sRGB"
    DROPPED = "dropped, said"
    NOT_THERE = "-"
    """The format has nothing of this kind, and needs nothing."""


_COLUMNS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF", "JXL", "DICOM")

_K, _D, _NONE = Fate.KEPT, Fate.DROPPED, Fate.NOT_THERE
_ICC, _XMP, _SRGB = Fate.AS_PROFILE, Fate.AS_XMP, Fate.TO_SRGB
_EXIF = Fate.AS_EXIF

_ROWS: Mapping[Kind, tuple[Fate, ...]] = {
    #                JPEG  PNG  WEBP           TIFF  BMP    GIF   AVIF  JXL DICOM
    Kind.CICP:       (_ICC, _K, _ICC,          _ICC, _SRGB, _SRGB, _K, _ICC, _NONE),
    Kind.GAMMA:      (_ICC, _K, _ICC,          _ICC, _SRGB, _SRGB, _ICC, _ICC, _NONE),
    Kind.PROFILE:    (_K,   _K, _K,            _K,   _SRGB, _SRGB, _K, _K, _NONE),
    Kind.MASTERING:  (_D,   _K, _D,            _D,   _D,    _D,    _K, _D, _NONE),
    Kind.TEXT:       (_XMP, _K, _XMP,          _XMP, _D, Fate.AS_COMMENT, _XMP, _XMP, _NONE),
    Kind.COMMENT:    (_K, Fate.AS_TEXT, _XMP,  _XMP, _D,    _K,    _XMP, _XMP, _NONE),
    Kind.EXIF:       (_K,   _K, _K,            _K,   _D,    _D,    _K, _K, _NONE),
    Kind.XMP:        (_K,   _K, _K,            _K,   _D,    _K,    _K, _K, _NONE),
    Kind.IPTC:       (_K,   _D, _D,            _K,   _D,    _D,    _D, _D, _NONE),
    Kind.RESOLUTION: (_K,   _K, _EXIF,         _K,   _K,    _D,    _EXIF, _EXIF, _NONE),
    Kind.LOOP:       (_NONE, _K, _K,           _NONE, _NONE, _K,   _D, _NONE, _NONE),
    Kind.EXTENDED_XMP: (_K,  _D, _D,           _D,   _D,    _D,    _D, _D, _NONE),
    Kind.GAIN_MAP:   (_K,    _D, _D,           _D,   _D,    _D,    _D, _D, _NONE),
    Kind.VIDEO:      (_K,    _D, _D,           _D,   _D,    _D,    _D, _D, _NONE),
    Kind.PLACE:      (_D,    _D, _D,           _K,   _D,    _D,    _D, _D, _NONE),
    Kind.CALIBRATION: (_D,   _D, _D,           _K,   _D,    _D,    _D, _D, _NONE),
    Kind.DICOM:      (_D,    _D, _D,           _D,   _D,    _D,    _D, _D, _K),
    Kind.FURTHER:    (_D,    _D, _D,           _D,   _D,    _D,    _D, _D, _NONE),
}  # fmt: skip

FATES: Mapping[Kind, Mapping[str, Fate]] = {
    kind: dict(zip(_COLUMNS, row, strict=True)) for kind, row in _ROWS.items()
}
"""By kind and the name of the format that is written. Kinds are treated in this order: what
becomes a profile or XMP comes before profile and XMP."""
