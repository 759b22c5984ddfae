"""A decoded picture: its frames as arrays, and everything else that was in the file."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sr_cli.errors import Note
from sr_cli.imaging.formats import Feature, Requirements

_ROWS = 64


@dataclass
class Frame:
    """`pixels` (h, w) gray or (h, w, 3) RGB, uint8 or uint16; `alpha` (h, w) of the same type."""

    pixels: NDArray[Any]
    alpha: NDArray[Any] | None = None
    duration: float = 0.0
    """Milliseconds, in animations."""

    @property
    def height(self) -> int:
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        return int(self.pixels.shape[1])


@dataclass
class Metadata:
    """What a file says beside its pixels, as bytes ready to be written again.

    exif: a TIFF block without thumbnail and orientation, `xmp`: an XML packet, `icc`: a profile,
    `iptc`: IIM records, `dpi`: horizontal and vertical, `text`: PNG's text, `comment`: JPEG's
    and GIF's, `png_colour`: what PNG's samples mean where no profile says it, chunk by chunk.
    """

    exif: bytes | None = None
    xmp: bytes | None = None
    icc: bytes | None = None
    iptc: bytes | None = None
    dpi: tuple[float, float] | None = None
    text: dict[str, str] = field(default_factory=dict)
    comment: bytes | None = None
    png_colour: dict[bytes, bytes] = field(default_factory=dict)


@dataclass
class Picture:
    """Frames of a file in Pillow's `format`; `animation` where they follow each other in time.

    `notes`: what was changed in reading, for the user. `loop`: how often an animation repeats,
    0 for ever, None once.
    """

    frames: list[Frame]
    format: str
    metadata: Metadata = field(default_factory=Metadata)
    animation: bool = False
    loop: int | None = None
    notes: list[Note] = field(default_factory=list)

    @property
    def width(self) -> int:
        return max(f.width for f in self.frames)

    @property
    def height(self) -> int:
        return max(f.height for f in self.frames)

    @property
    def features(self) -> frozenset[Feature]:
        """What its format must support."""
        several = len(self.frames) > 1
        sixteen_bit = any(f.pixels.dtype == np.uint16 for f in self.frames)
        has = {
            Feature.SIXTEEN_BIT: sixteen_bit,
            Feature.ALPHA: any(f.alpha is not None for f in self.frames),
            Feature.ANIMATION: several and self.animation,
            Feature.PAGES: several and not self.animation,
            Feature.SIXTEEN_BIT_ANIMATION: several and self.animation and sixteen_bit,
        }
        return frozenset(f for f, there in has.items() if there)

    def requirements(self, width: int, height: int) -> Requirements:
        """What a result of `width` x `height` asks of its format."""
        return Requirements(width, height, self.features)


def drop_features(picture: Picture, features: Collection[Feature]) -> Picture:
    """A picture without some features.

    Args:
        picture: Its frames are not changed.
        features: What to drop. Of an animation or of pages the first frame stays, transparency
            is composited over white, 16 bits are rounded to 8.
    """
    one = Feature.ANIMATION in features or Feature.PAGES in features
    to_8_bit = Feature.SIXTEEN_BIT in features or (
        Feature.SIXTEEN_BIT_ANIMATION in features and not one
    )
    frames = [
        _reduced_frame(frame, opaque=Feature.ALPHA in features, to_8_bit=to_8_bit)
        for frame in (picture.frames[:1] if one else picture.frames)
    ]
    return replace(picture, frames=frames, animation=picture.animation and not one)


def opaque_8_bit(frame: Frame) -> NDArray[np.uint8]:
    """A frame's pixels, (h, w) or (h, w, 3), in 8 bits, transparency composited over white."""
    return _reduced_frame(frame, opaque=True, to_8_bit=True).pixels


def _reduced_frame(frame: Frame, *, opaque: bool, to_8_bit: bool) -> Frame:
    pixels, alpha = frame.pixels, frame.alpha
    if opaque and alpha is not None:
        pixels, alpha = _by_rows(_over_white, pixels, alpha), None
    if to_8_bit and pixels.dtype == np.uint16:
        pixels = _by_rows(_to_8_bit, pixels)
        alpha = None if alpha is None else _by_rows(_to_8_bit, alpha)
    return Frame(pixels, alpha, frame.duration)


def _by_rows(change: Callable[..., NDArray[Any]], *planes: NDArray[Any]) -> NDArray[Any]:
    """`change` applied to a few rows at a time: what it needs on the way stays small."""
    parts = range(0, len(planes[0]), _ROWS)
    first = change(*(plane[:_ROWS] for plane in planes))
    whole = np.empty((len(planes[0]), *first.shape[1:]), first.dtype)
    for y in parts:
        whole[y : y + _ROWS] = change(*(plane[y : y + _ROWS] for plane in planes))
    return whole


def _over_white(pixels: NDArray[Any], alpha: NDArray[Any]) -> NDArray[Any]:
    top = np.iinfo(pixels.dtype).max
    share = alpha.astype(np.float32) / top
    share = share[..., None] if pixels.ndim == 3 else share
    over = pixels * share + top * (1 - share)
    flat: NDArray[Any] = (over + 0.5).astype(pixels.dtype)
    return flat


def _to_8_bit(values: NDArray[Any]) -> NDArray[Any]:
    return ((values.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)


def upright(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Apply an EXIF orientation (1 to 8) to (h, w) or (h, w, C)."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)
