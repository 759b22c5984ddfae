"""The calibration of microscope images: OME-XML and ImageJ descriptions, made true of a result.

OME-TIFF specification 6.3 ("The OME-XML block", "TiffData"), OME schema 2016-06, and what ImageJ's
`TiffEncoder` writes: resolution in pixels for each `unit` of its description.
"""

from __future__ import annotations

import re
import sys
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from sr_cli.errors import Note
from sr_cli.imaging.codecs.tiff_pages import IMAGEJ, OME, PageSize, calibration_of, text_of
from sr_cli.imaging.exif import ORIENTATION, RESOLUTION_UNIT, X_RESOLUTION, Y_RESOLUTION
from sr_cli.imaging.picture import Calibration

_DESCRIPTION = 270
_NO_UNIT = 1
_IMAGEJ_BLOCK = 50839
_IN_PIXELS = ("ROI", "Overlays")
"""Parts of ImageJ's own block that are drawn at pixels of the input."""

_PIXELS = re.compile(rb"<(?:\w+:)?Pixels\b[^>]*>")
_END = re.compile(rb"</(?:\w+:)?Pixels>")
_FILE_NAME = re.compile(rb"""\bFileName\s*=\s*["']([^"']*)["']""")
_REGION = re.compile(rb"<((?:\w+:)?ROI)\b[^>]*?(?:/>|>.*?</\1>)", re.DOTALL)
_REGION_REFERENCE = re.compile(rb"<((?:\w+:)?ROIRef)\b[^>]*?(?:/>|>\s*</\1>)")
_UUID = re.compile(rb"""<(?:\w+:)?OME\b[^>]*\bUUID\s*=\s*["'](urn:uuid:[0-9a-fA-F-]{36})["']""")
_TYPES = {"float32": b"float", "float64": b"double"}
"""Names of types that differ from NumPy's (OME schema, PixelType)."""


@dataclass(frozen=True)
class Adapted:
    """What of a calibration is written into a result.

    Attributes:
        description: Of the first page.
        resolution: Of every page, and its unit as ResolutionUnit has it.
        extra: ImageJ's own block, as tifffile takes it.
        notes: What is not there any more.
    """

    description: bytes
    resolution: tuple[float, float] | None
    unit: int
    extra: dict[str, Any] = field(default_factory=dict)
    notes: tuple[Note, ...] = ()


def read_calibration(pages: Sequence[Any]) -> Calibration | None:
    """The calibration of a file; None if it would not be true of a result.

    That is so if it is about other files as well, or about pages that are not here.

    Args:
        pages: All pages of a file, as tifffile describes them; the first one has a calibration.
    """
    first = pages[0]
    if any(p is None or p.tags.valueof(ORIENTATION, 1) != 1 for p in pages):
        return None
    kind = calibration_of(first)
    tag = first.tags[_DESCRIPTION]
    text = text_of(first, tag)
    count = planes_of_imagej(first) if kind == IMAGEJ else 0
    # Numbers that are none, or not positive.
    with suppress(ValueError, ZeroDivisionError):
        count = count or _planes_of_ome(text)
    if count != len(pages):
        return None
    resolution = None
    with suppress(TypeError, ValueError, ZeroDivisionError, KeyError):
        pairs = [first.tags[code].value for code in (X_RESOLUTION, Y_RESOLUTION)]
        across, down = (above / below for above, below in pairs)
        resolution = (across, down) if across > 0 and down > 0 else None
    unit = int(first.tags.valueof(RESOLUTION_UNIT, _NO_UNIT))
    block = first.tags.valueof(_IMAGEJ_BLOCK, None)
    extra = dict(block) if isinstance(block, dict) else {}
    try:
        imagej_block(extra)
    except Exception:
        # tifffile reads more than it writes, and raises errors of many types.
        return None
    size = int(first.imagewidth), int(first.imagelength)
    return Calibration(kind or OME, text, size, resolution, unit, extra)


def imagej_block(extra: dict[str, Any]) -> list[Any]:
    """The tags of ImageJ's own block, in the byte order of this machine, as tifffile writes."""
    import tifffile

    order: Any = "<" if sys.byteorder == "little" else ">"
    return list(tifffile.tifffile.imagej_metadata_tag(extra, order))


def adapt_calibration(found: Calibration, pages: Sequence[PageSize]) -> Adapted:
    """What is true of a result.

    Args:
        found: Of the input.
        pages: Of the result.
    """
    factors = pages[0].width / found.size[0], pages[0].height / found.size[1]
    across, down = found.resolution or (0.0, 0.0)
    resolution = (across * factors[0], down * factors[1]) if found.resolution else None
    if found.kind == IMAGEJ:
        gone = [name for name in _IN_PIXELS if name in found.extra]
        extra = {name: part for name, part in found.extra.items() if name not in gone}
        notes = [Note("regions-dropped", {"count": len(gone)})] if gone else []
        return Adapted(found.text, resolution, found.unit, extra, tuple(notes))
    text, regions = _REGION.subn(b"", _REGION_REFERENCE.sub(b"", found.text))
    text = _scale_pixels(text, pages)
    if old := _UUID.search(text):
        # Another file has another name, the same one at every run.
        seed = f"{old[1].decode()} {pages[0].width}x{pages[0].height}"
        text = text.replace(old[1], f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, seed)}".encode())
    notes = [Note("regions-dropped", {"count": regions})] if regions else []
    return Adapted(text, resolution, found.unit, notes=tuple(notes))


def _scale_pixels(text: bytes, pages: Sequence[PageSize]) -> bytes:
    """Set the sizes of each image, whose planes follow one another, to those of its pages."""
    parts, end, plane = [], 0, 0
    for element in _PIXELS.finditer(text):
        page = pages[min(plane, len(pages) - 1)]
        parts += [text[end : element.start()], _scaled(element[0], page)]
        end = element.end()
        plane += _planes(element[0])
    return b"".join([*parts, text[end:]])


def _scaled(pixels: bytes, page: PageSize) -> bytes:
    """The start tag of `Pixels` for a page of the result."""
    for axis, length in (("X", page.width), ("Y", page.height)):
        before = int(_attribute(pixels, f"Size{axis}") or length)
        size = _attribute(pixels, f"PhysicalSize{axis}")
        if size is not None:
            with suppress(ValueError):
                scaled = float(size) * before / length
                pixels = _with_attribute(pixels, f"PhysicalSize{axis}", f"{scaled:.15g}".encode())
        pixels = _with_attribute(pixels, f"Size{axis}", str(length).encode())
    name = page.dtype.name
    return _with_attribute(pixels, "Type", _TYPES.get(name, name.encode()))


def _attribute(element: bytes, name: str) -> bytes | None:
    found = re.search(rb"\b" + name.encode() + rb"""\s*=\s*["']([^"']*)["']""", element)
    return found[1] if found else None


def _with_attribute(element: bytes, name: str, value: bytes) -> bytes:
    pattern = rb"(\b" + name.encode() + rb"""\s*=\s*["'])[^"']*"""
    return re.sub(pattern, lambda match: match[1] + value, element, count=1)


def _planes(pixels: bytes) -> int:
    """The planes of an image: channels that share a page are counted with their samples."""
    sizes = [int(_attribute(pixels, f"Size{axis}") or 1) for axis in "ZCT"]
    return sizes[0] * sizes[1] * sizes[2]


def _planes_of_ome(text: bytes) -> int:
    """The pages of all images; 0 if some are in other files, or this cannot be told."""
    if len(set(_FILE_NAME.findall(text))) > 1 or b"BinaryOnly" in text:
        return 0
    total = 0
    for element in _PIXELS.finditer(text):
        if any(int(_attribute(element[0], f"Size{axis}") or 0) < 1 for axis in "XYZCT"):
            return 0
        end = _END.search(text, element.end())
        inside = text[element.end() : end.start() if end else element.end()]
        samples = [int(n) for n in re.findall(rb"""SamplesPerPixel\s*=\s*["'](\d+)""", inside)]
        channels = int(_attribute(element[0], "SizeC") or 1)
        if samples and sum(samples) == channels:
            channels = len(samples)
        total += _planes(element[0]) // int(_attribute(element[0], "SizeC") or 1) * channels
    return total


def planes_of_imagej(page: Any) -> int:
    """The images of a stack, as the description of its first page counts them; 0 for another."""
    text = str(page.description)
    found = re.search(r"^images=(\d+)", text, re.MULTILINE)
    return (int(found[1]) if found else 1) if calibration_of(page) == IMAGEJ else 0
