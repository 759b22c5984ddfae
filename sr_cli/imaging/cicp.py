"""Colour signalled by numbers: the code points of ITU-T H.273, in PNG, AVIF and HEIC."""

from __future__ import annotations

from dataclasses import dataclass

UNSPECIFIED = 2
_RESERVED = 3
SRGB = (1, 13)
"""Primaries and transfer of sRGB."""

PQ, HLG = 16, 18
HDR_NAMES = {PQ: "PQ", HLG: "HLG"}

_D65, _C, _E, _DCI = (0.3127, 0.3290), (0.310, 0.316), (1 / 3, 1 / 3), (0.314, 0.351)

PRIMARIES = {
    1: ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060), _D65),
    4: ((0.67, 0.33), (0.21, 0.71), (0.14, 0.08), _C),
    5: ((0.64, 0.33), (0.29, 0.60), (0.15, 0.06), _D65),
    6: ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), _D65),
    7: ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), _D65),
    8: ((0.681, 0.319), (0.243, 0.692), (0.145, 0.049), _C),
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), _D65),
    10: ((1.0, 0.0), (0.0, 1.0), (0.0, 0.0), _E),
    11: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), _DCI),
    12: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), _D65),
    22: ((0.630, 0.340), (0.295, 0.605), (0.155, 0.077), _D65),
}
"""Chromaticities of red, green, blue and white (table 2 of H.273)."""

_BT709 = (
    1 / 0.45,
    1 / 1.099296826809442,
    0.099296826809442 / 1.099296826809442,
    1 / 4.5,
    0.0812429,
)
_SMPTE240 = (1 / 0.45, 1 / 1.1115, 0.1115 / 1.1115, 1 / 4.0, 0.0913)

SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)

CURVES: dict[int, tuple[float, ...]] = {
    1: _BT709, 6: _BT709, 11: _BT709, 12: _BT709, 14: _BT709, 15: _BT709,
    4: (2.2,), 5: (2.8,), 7: _SMPTE240, 8: (1.0,), 13: SRGB_CURVE,
}  # fmt: skip
"""From encoded to linear values (the inverse of table 3 of H.273): an exponent g, or g, a, b, c, d
of (a x + b)^g above d and c x below, as in ICC profiles."""


@dataclass(frozen=True)
class Cicp:
    """The colour of RGB or gray samples, by code points of ITU-T H.273.

    Attributes:
        primaries: ColourPrimaries.
        transfer: TransferCharacteristics.
        full_range: Whether samples use all values, or those of video (16 to 235 in 8 bits).
    """

    primaries: int
    transfer: int
    full_range: bool = True

    @property
    def is_hdr(self) -> bool:
        """Whether it is PQ or HLG, which no curve of an ICC profile can stand for."""
        return self.transfer in HDR_NAMES

    @property
    def is_plain(self) -> bool:
        """Whether it is sRGB or says nothing, so that samples without it mean the same."""
        return self.full_range and self.code_points == SRGB

    @property
    def is_defined(self) -> bool:
        """Whether H.273 defines its code points, be it as unspecified."""
        transfer = 0 < self.transfer <= HLG and self.transfer != _RESERVED
        return transfer and (self.primaries == UNSPECIFIED or self.primaries in PRIMARIES)

    @property
    def code_points(self) -> tuple[int, int]:
        """Primaries and transfer, those of sRGB for what is unspecified or reserved."""
        primaries = self.primaries if self.primaries in PRIMARIES else SRGB[0]
        unknown = self.transfer in (0, UNSPECIFIED, _RESERVED) or self.transfer > HLG
        return primaries, SRGB[1] if unknown else self.transfer


def parse_chunk(content: bytes) -> Cicp | None:
    """The content of a PNG's cICP chunk; None if it is not for RGB.

    The matrix must be 0 (PNG third edition, section 11.3.2.6).
    """
    if len(content) != 4 or content[2] != 0 or content[3] > 1:
        return None
    return Cicp(content[0], content[1], content[3] == 1)


def as_chunk(cicp: Cicp) -> bytes:
    """The content of a PNG's cICP chunk."""
    return bytes([cicp.primaries, cicp.transfer, 0, cicp.full_range])
