"""A decoded image: its frames as arrays, and everything else that was in the file."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sr_cli.errors import Note
from sr_cli.imaging.formats import Feature, Requirements


@dataclass
class Frame:
    """One image of a file, upright.

    Attributes:
        pixels: (h, w) gray or (h, w, 3) RGB, uint8 or uint16.
        alpha: (h, w) of the same type, not multiplied into the colour; None where all is opaque.
        duration: In an animation, milliseconds.
    """

    pixels: NDArray[Any]
    alpha: NDArray[Any] | None = None
    duration: float = 0.0

    @property
    def height(self) -> int:
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        return int(self.pixels.shape[1])


@dataclass
class Metadata:
    """What a file says beside its pixels, as bytes ready to be written again.

    Attributes:
        exif: A TIFF block behind `Exif\\0\\0`, without thumbnail and orientation.
        xmp: An XML packet.
        icc: A colour profile.
        iptc: IIM records.
        dpi: Horizontal and vertical resolution, pixels an inch.
        text: PNG's text.
        comment: JPEG's and GIF's.
        png_colour: What PNG's samples mean where no profile says it: chunks by their name.
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
    """A decoded file.

    Attributes:
        frames: In the file's order, at least one.
        format: Pillow's name of the file's format.
        metadata: What the file says beside its pixels.
        animation: Whether the frames follow each other in time; else several are pages.
        loop: How often an animation is played: 0 for ever, None once.
        notes: What was changed in reading and could not be written, for the user.
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
