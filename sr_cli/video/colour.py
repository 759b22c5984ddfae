"""Colour of video: matrices and ranges (ITU-T H.273), exact conversion to RGB and back."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sr_cli.errors import SrError

RGB, UNSPECIFIED = 0, 2
LIMITED, FULL = 1, 2
BT709, BT601, BT2020 = 1, 6, 9
SRGB, PQ, HLG = 13, 16, 18

_LUMA = {
    1: (0.2126, 0.0722),
    4: (0.30, 0.11),
    5: (0.299, 0.114),
    6: (0.299, 0.114),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
}
"""(KR, KB) by MatrixCoefficients (ITU-T H.273, section 8.3)."""

_OPTIONS = {"bt601": BT601, "bt709": BT709, "bt2020": BT2020}
_HD_WIDTH, _HD_HEIGHT = 1280, 720


@dataclass(frozen=True)
class Colour:
    """The colour tags of a stream, as numbers of ITU-T H.273.

    Attributes:
        matrix: MatrixCoefficients; 0 is RGB.
        range: 1 limited, 2 full (FFmpeg's AVColorRange); 0 unknown.
        primaries: ColourPrimaries.
        transfer: TransferCharacteristics.
    """

    matrix: int
    range: int
    primaries: int = UNSPECIFIED
    transfer: int = UNSPECIFIED

    @property
    def is_hdr(self) -> bool:
        """Whether the transfer is PQ or HLG (ITU-R BT.2100)."""
        return self.transfer in (PQ, HLG)

    @property
    def matrix_name(self) -> str:
        """Its value of `--colour`, without the range; its number if there is none."""
        names = [name for name, matrix in _OPTIONS.items() if matrix == self.matrix]
        return names[0] if names else str(self.matrix)

    def completed(self, width: int, height: int, option: str | None) -> Colour:
        """The tags with what is missing: by the option, else by the size; YUV is limited.

        Args:
            width: In pixels.
            height: In pixels.
            option: A value of `--colour`, which replaces the tags; None for the tags.
        """
        if option is not None:
            name, _, full = option.partition("-")
            return replace(self, matrix=_OPTIONS[name], range=FULL if full else LIMITED)
        hd = width >= _HD_WIDTH or height >= _HD_HEIGHT
        matrix = self.matrix if self.matrix != UNSPECIFIED else (BT709 if hd else BT601)
        return replace(self, matrix=matrix, range=self.range or LIMITED)

    def check(self) -> None:
        """Check that the matrix is one that can be converted.

        Raises:
            SrError: `unsupported-colour`, without a subject.
        """
        if self.matrix not in _LUMA and self.matrix != RGB:
            raise SrError("unsupported-colour", matrix=self.matrix)


class Converter:
    """Converts (Y, Cb, Cr) planes, or (G, B, R), of one depth to RGB and back, in float32.

    RGB is uint8 for 8 bits, else uint16 over its whole range. In the limited range, 8-bit values
    come back exactly: rounding RGB moves each of them by less than half a level.
    """

    def __init__(self, colour: Colour, depth: int) -> None:
        self.depth = depth
        self.dtype: Any = np.uint8 if depth == 8 else np.uint16
        self._top = 255.0 if depth == 8 else 65535.0
        to_yuv, offset = _yuv_from_rgb(colour, depth)
        to_rgb = np.linalg.inv(to_yuv)
        self._decode = np.hstack([to_rgb, -(to_rgb @ offset)[:, None]]) * self._top
        self._encode = np.hstack([to_yuv / self._top, offset[:, None]])

    def to_rgb(self, planes: tuple[NDArray[Any], ...]) -> NDArray[Any]:
        """Three planes (h, w) of integers as RGB (h, w, 3)."""
        merged = cv2.merge([p.astype(np.float32) for p in planes])
        rgb = cv2.transform(merged, self._decode.astype(np.float32))
        return _rounded(rgb, self.dtype)

    def to_planes(self, rgb: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        """RGB (h, w, 3) as three planes (h, w), not rounded."""
        yuv = cv2.transform(rgb.astype(np.float32), self._encode.astype(np.float32))
        return tuple(cv2.split(yuv))


def _yuv_from_rgb(colour: Colour, depth: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """A matrix and an offset from RGB in [0, 1] to integers (H.273, section 8.3).

    With matrix 0, Y is G, Cb is B and Cr is R.
    """
    if colour.matrix == RGB:
        return np.roll(np.eye(3), 1, axis=1) * ((1 << depth) - 1), np.zeros(3)
    kr, kb = _LUMA[colour.matrix]
    luma = np.array([kr, 1 - kr - kb, kb])
    blue, red = np.array([0.0, 0.0, 1.0]), np.array([1.0, 0.0, 0.0])
    rows = np.stack([luma, (blue - luma) / (2 * (1 - kb)), (red - luma) / (2 * (1 - kr))])
    middle = float(1 << (depth - 1))
    if colour.range == FULL:
        top = float((1 << depth) - 1)
        return rows * top, np.array([0.0, middle, middle])
    step = float(1 << (depth - 8))
    return rows * np.array([[219.0], [224.0], [224.0]]) * step, np.array(
        [16.0 * step, middle, middle]
    )


def _rounded(values: NDArray[Any], dtype: Any) -> NDArray[Any]:
    """Round to the nearest integers, and limit to the type."""
    depth = cv2.CV_8U if dtype == np.uint8 else cv2.CV_16U
    rounded: NDArray[Any] = cv2.addWeighted(values, 1.0, values, 0.0, 0.0, dtype=depth)
    return rounded
