"""A decoded picture: its frames as arrays, and everything else that was in the file."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sr_cli.imaging.formats import Needs


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
    and GIF's.
    """

    exif: bytes | None = None
    xmp: bytes | None = None
    icc: bytes | None = None
    iptc: bytes | None = None
    dpi: tuple[float, float] | None = None
    text: dict[str, str] = field(default_factory=dict)
    comment: bytes | None = None


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
    notes: list[str] = field(default_factory=list)

    @property
    def width(self) -> int:
        return max(f.width for f in self.frames)

    @property
    def height(self) -> int:
        return max(f.height for f in self.frames)

    def needs(self, width: int, height: int) -> Needs:
        """What a result of `width` x `height` asks of its format."""
        several = len(self.frames) > 1
        return Needs(
            width,
            height,
            sixteen_bit=any(f.pixels.dtype == np.uint16 for f in self.frames),
            alpha=any(f.alpha is not None for f in self.frames),
            animation=several and self.animation,
            pages=several and not self.animation,
        )


def flatten(picture: Picture) -> Picture:
    """The first frame alone, 8 bits, transparency laid over white: what every format can hold."""
    frame = picture.frames[0]
    pixels = frame.pixels
    top = np.iinfo(pixels.dtype).max
    if frame.alpha is not None:
        share = frame.alpha.astype(np.float32) / top
        share = share[..., None] if pixels.ndim == 3 else share
        over = pixels * share + top * (1 - share)
        pixels = (over + 0.5).astype(pixels.dtype)
    if pixels.dtype == np.uint16:
        pixels = ((pixels.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)
    return Picture([Frame(pixels)], picture.format, picture.metadata, notes=picture.notes)
