"""HDR: static metadata of HDR10 carried over, dynamic metadata and Dolby Vision recognised."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sr_cli.errors import SrError

_CHROMA_STEP, _LUMINANCE_STEP = 50_000, 10_000

_DYNAMIC = {"DYNAMIC_HDR_PLUS": "HDR10+", "DYNAMIC_HDR_VIVID": "HDR Vivid"}
"""Metadata of each frame (SMPTE ST 2094-40, T/UWA 005.1), by FFmpeg's names of side data."""


@dataclass(frozen=True)
class Mastering:
    """Static metadata of HDR10, in the units of SMPTE ST 2086 and CTA-861.3.

    Attributes:
        display: Of the mastering display, as x265 and x264 write it:
            `G(x,y)B(x,y)R(x,y)WP(x,y)L(max,min)`, in 0.00002 and 0.0001 cd/m2; None if unknown.
        light: MaxCLL and MaxFALL in cd/m2; None if unknown.
    """

    display: str | None
    light: tuple[int, int] | None


def mastering_of(side_data: dict[str, bytes]) -> Mastering | None:
    """HDR10's static metadata in a frame's side data.

    Args:
        side_data: By name: FFmpeg's AVMasteringDisplayMetadata and AVContentLightMetadata.
    """
    display, light = None, None
    if block := side_data.get("MASTERING_DISPLAY_METADATA"):
        numbers = struct.unpack_from("=20i2i", block)
        *values, has_primaries, has_luminance = (
            *(_ratio(numbers[i], numbers[i + 1]) for i in range(0, 20, 2)),
            numbers[20],
            numbers[21],
        )
        if has_primaries and has_luminance:
            red, green, blue, white = (
                tuple(round(v * _CHROMA_STEP) for v in values[i : i + 2]) for i in (0, 2, 4, 6)
            )
            low, high = (round(v * _LUMINANCE_STEP) for v in values[8:10])
            display = "".join(
                f"{name}({x},{y})"
                for name, (x, y) in zip(
                    ("G", "B", "R", "WP", "L"),
                    (green, blue, red, white, (high, low)),
                    strict=True,
                )
            )
    if block := side_data.get("CONTENT_LIGHT_LEVEL"):
        light = struct.unpack_from("=2I", block)
    return Mastering(display, light) if display or light else None


def dynamic_metadata(side_data: dict[str, bytes]) -> tuple[str, ...]:
    """The names of the dynamic metadata in a frame's side data."""
    return tuple(name for kind, name in _DYNAMIC.items() if kind in side_data)


def check_dolby_vision(frame: Any, stream: Any, source: Path) -> None:
    """Check that a clip is not Dolby Vision, whose metadata describes the frames as they were.

    Raises:
        SrError: `dolby-vision`.
    """
    kinds = {data.type.name for data in frame.side_data}
    tag = (stream.codec_context.codec_tag or "").lower()
    if kinds & {"DOVI_RPU_BUFFER", "DOVI_METADATA"} or tag in ("dvh1", "dvhe", "dav1", "dva1"):
        raise SrError("dolby-vision", source)


def _ratio(numerator: int, denominator: int) -> float:
    return numerator / denominator if denominator else 0.0
