"""Where an image lies on the ground: the tags of GeoTIFF, checked, and true of another size.

OGC GeoTIFF 1.1 (OGC 19-008r4), sections 7.1 and 7.2, and annex B.6 on raster space: a pixel of a
raster of areas lies between its number and the next, one of a raster of points half a pixel before.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from xml.etree import ElementTree

from sr_cli.errors import Note, SrError

PIXEL_SCALE, TIE_POINTS, TRANSFORMATION = 33550, 33922, 34264
KEYS, KEY_NUMBERS, KEY_TEXT = 34735, 34736, 34737
RPC, GDAL_METADATA = 50844, 42112

PLACING = (PIXEL_SCALE, TIE_POINTS, TRANSFORMATION, KEYS, RPC)
"""The tags that make an image georeferenced."""

TAGS: Mapping[int, int] = {
    PIXEL_SCALE: 12,
    TIE_POINTS: 12,
    TRANSFORMATION: 12,
    KEYS: 3,
    KEY_NUMBERS: 12,
    KEY_TEXT: 2,
    RPC: 12,
    GDAL_METADATA: 2,
}
"""All tags that are kept, with their types: DOUBLE (12), SHORT (3), ASCII (2)."""

_RASTER_TYPE, _POINT = 1025, 2
_LINE_OFFSET, _SAMPLE_OFFSET, _LINE_SCALE, _SAMPLE_SCALE, _RPC_COUNT = 2, 3, 7, 8, 92
"""Positions in the tag of rational polynomial coefficients ("RPCs in GeoTIFF", 2007)."""

_STATISTICS = "STATISTICS_"
_TOLERANCE = 1e-6
"""Of a pixel: rounding between two descriptions of the same place."""

Affine = tuple[float, float, float, float, float, float]
"""x = a i + b j + c and y = d i + e j + f, for column i and row j."""


@dataclass(frozen=True)
class Georeference:
    """The tags that place an image of this size.

    Attributes:
        width, height: Of the image, in pixels.
        tags: Numbers as tuples and text as bytes, by tag.
        problem: Why the samples of the image cannot be upscaled as measurements.
    """

    width: int
    height: int
    tags: Mapping[int, Any]
    problem: SrError | None = field(default=None, compare=False)

    @property
    def is_placed(self) -> bool:
        """Whether any of the tags says where the image lies."""
        return any(tag in self.tags for tag in PLACING)

    @property
    def is_point(self) -> bool:
        """Whether coordinates are those of the middle of pixels (PixelIsPoint)."""
        keys = self.tags.get(KEYS, ())
        entries = zip(keys[4::4], keys[5::4], keys[7::4], strict=False)
        return any(
            key == _RASTER_TYPE and place == 0 and value == _POINT for key, place, value in entries
        )

    def check(self) -> None:
        """Check that the tags are complete, finite, and do not contradict each other.

        Raises:
            SrError: `bad-georeference` or `unsupported-samples`, without a subject.
        """
        if not self.is_placed:
            return
        if self.problem is not None:
            raise self.problem
        for reason, is_wrong in (
            ("count", self._has_wrong_count),
            ("keys", self._has_wrong_keys),
            ("scale", self._has_wrong_scale),
            ("contradiction", self._contradicts_itself),
        ):
            if is_wrong():
                raise SrError("bad-georeference", reason=reason)

    def resized(self, width: int, height: int) -> Georeference:
        """The tags that place an image of another size on the same ground."""
        across, down = width / self.width, height / self.height
        tags = dict(self.tags)
        shift = 0.5 if self.is_point else 0.0
        if PIXEL_SCALE in tags:
            x, y, *z = tags[PIXEL_SCALE]
            tags[PIXEL_SCALE] = (x / across, y / down, *z)
        if TIE_POINTS in tags:
            tags[TIE_POINTS] = tuple(
                value if i % 6 > 1 else _moved(value, (across, down)[i % 6], shift)
                for i, value in enumerate(tags[TIE_POINTS])
            )
        if TRANSFORMATION in tags:
            tags[TRANSFORMATION] = _scaled_matrix(tags[TRANSFORMATION], across, down, shift)
        if RPC in tags:
            tags[RPC] = _scaled_rpc(tags[RPC], across, down)
        return replace(self, width=width, height=height, tags=tags)

    def without_statistics(self) -> tuple[Georeference, list[Note]]:
        """Without what GDAL's metadata says of the values of the input, and a note if it did."""
        text = self.tags.get(GDAL_METADATA)
        if text is None:
            return self, []
        tags = dict(self.tags)
        kept = _without_statistics(text)
        if kept is None:
            del tags[GDAL_METADATA]
            note = Note("part-unreadable", {"part": "GDAL metadata"})
        else:
            tags[GDAL_METADATA], count = kept
            note = Note("statistics-dropped", {"count": count})
        return replace(self, tags=tags), [note] if kept is None or kept[1] else []

    def _has_wrong_count(self) -> bool:
        counts = {tag: len(value) for tag, value in self.tags.items()}
        return (
            counts.get(PIXEL_SCALE, 3) not in (2, 3)
            or counts.get(TIE_POINTS, 6) % 6 != 0
            or not counts.get(TIE_POINTS, 6)
            or counts.get(TRANSFORMATION, 16) != 16
            or counts.get(RPC, _RPC_COUNT) != _RPC_COUNT
        )

    def _has_wrong_keys(self) -> bool:
        keys = self.tags.get(KEYS)
        return keys is not None and (len(keys) < 4 or len(keys) < 4 + 4 * keys[3])

    def _has_wrong_scale(self) -> bool:
        """Whether a pixel has no size, or none that can be computed with.

        Its scale may be negative: the image is mirrored (GeoTIFF 1.0, section 2.6.1).
        """
        for tag in (PIXEL_SCALE, TIE_POINTS, TRANSFORMATION, RPC):
            if not all(math.isfinite(value) for value in self.tags.get(tag, ())):
                return True
        scale = self.tags.get(PIXEL_SCALE, (1.0, 1.0))
        matrix = self.tags.get(TRANSFORMATION, (1.0, 0, 0, 0, 0, 1.0))
        area = matrix[0] * matrix[5] - matrix[1] * matrix[4]
        ground = abs(scale[0]) * self.width, abs(scale[1]) * self.height
        return not (scale[0] and scale[1] and area and all(map(math.isfinite, ground)))

    def _contradicts_itself(self) -> bool:
        """Whether scale and tie points place the corners elsewhere than the transformation does."""
        scale, points = self.tags.get(PIXEL_SCALE), self.tags.get(TIE_POINTS)
        matrix = self.tags.get(TRANSFORMATION)
        if scale is None or points is None or matrix is None:
            return False
        i, j, _, x, y, *_ = points
        first: Affine = (scale[0], 0, x - i * scale[0], 0, -scale[1], y + j * scale[1])
        second: Affine = (matrix[0], matrix[1], matrix[3], matrix[4], matrix[5], matrix[7])
        allowed = _TOLERANCE * max(abs(scale[0]), abs(scale[1]))
        corners = ((0, 0), (self.width, 0), (0, self.height))
        return any(
            abs(a - b) > allowed
            for corner in corners
            for a, b in zip(_placed(first, corner), _placed(second, corner), strict=True)
        )


def _placed(affine: Affine, corner: tuple[int, int]) -> tuple[float, float]:
    a, b, c, d, e, f = affine
    return a * corner[0] + b * corner[1] + c, d * corner[0] + e * corner[1] + f


def _moved(position: float, factor: float, shift: float) -> float:
    """The same place on the ground, in pixels of another size."""
    return (position + shift) * factor - shift


def _scaled_matrix(
    matrix: tuple[float, ...], across: float, down: float, shift: float
) -> tuple[float, ...]:
    """A transformation of a raster's positions (section 7.2.3), row by row."""
    made: list[float] = []
    for start in range(0, 16, 4):
        a, b, c, d = matrix[start : start + 4]
        # The last row is (0, 0, 0, 1), and stays so.
        moved = d + a * shift * (1 / across - 1) + b * shift * (1 / down - 1)
        made += [a / across, b / down, c, moved]
    return tuple(made)


def _scaled_rpc(numbers: tuple[float, ...], across: float, down: float) -> tuple[float, ...]:
    """Coefficients for another size: their lines and samples count from the middle of a pixel."""
    made = list(numbers)
    made[_LINE_OFFSET] = _moved(made[_LINE_OFFSET], down, 0.5)
    made[_SAMPLE_OFFSET] = _moved(made[_SAMPLE_OFFSET], across, 0.5)
    made[_LINE_SCALE] *= down
    made[_SAMPLE_SCALE] *= across
    return tuple(made)


def _without_statistics(text: bytes) -> tuple[bytes, int] | None:
    """GDAL's metadata without statistics, and their number; None if it cannot be parsed."""
    # It has no document type; one could only define entities that expand without end.
    if b"<!DOCTYPE" in text:
        return None
    try:
        root = ElementTree.fromstring(text.rstrip(b"\0"))
    except (ElementTree.ParseError, ValueError):
        return None
    found = [item for item in root if item.get("name", "").startswith(_STATISTICS)]
    for item in found:
        root.remove(item)
    return (ElementTree.tostring(root, "utf-8"), len(found)) if found else (text, 0)
