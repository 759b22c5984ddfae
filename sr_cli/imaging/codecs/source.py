"""A file being decoded, as the codecs share it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from numpy.typing import NDArray
from PIL import Image

from sr_cli.errors import Note, SrError
from sr_cli.imaging.codecs import opencv
from sr_cli.imaging.codecs.pillow import to_frame
from sr_cli.imaging.formats import check_pixels
from sr_cli.imaging.picture import Frame


@dataclass
class OpenFile:
    """A file that Pillow has opened.

    Attributes:
        data: The whole file.
        image: Pillow's view of it, at the frame that is read next.
        max_pixels: How many pixels it may have over all its frames.
        allow_truncated: Whether to decode what is left of a damaged file.
        notes: What was changed in reading.
        is_srgb: Whether colours were converted to sRGB: the file's own profile fits no longer.
    """

    data: bytes
    image: Image.Image
    max_pixels: int
    allow_truncated: bool
    notes: list[Note] = field(default_factory=list)
    is_srgb: bool = False

    def check_size(self, pixels: int) -> None:
        """Check that the file may have so many pixels in all.

        Raises:
            SrError: `too-many-pixels`.
        """
        check_pixels(pixels, self.max_pixels)

    def add_note(self, note: Note) -> None:
        """Add a note, once."""
        if note not in self.notes:
            self.notes.append(note)

    def read_frame(self, profile: bytes | None = None) -> Frame:
        """The image's current frame, decoded by Pillow.

        Args:
            profile: The file's colour profile, by which CMYK is converted.
        """
        self.image.load()
        frame, converted = to_frame(self.image, profile)
        if converted is not None:
            self.is_srgb = True
            self.add_note(converted)
        frame.duration = self.duration()
        return frame

    def read_at_8_bits(self, error: SrError) -> Frame:
        """What Pillow makes of the current frame, whose 16 bits cannot be decoded.

        Raises:
            SrError: `error`, unless damaged files are allowed.
        """
        if not self.allow_truncated:
            raise error
        self.add_note(Note("read-at-8-bits"))
        return self.read_frame()

    @cached_property
    def opencv_frames(self) -> Sequence[NDArray[Any]]:
        """All frames as OpenCV decodes them; see `opencv.decode_frames`."""
        return opencv.decode_frames(self.data)

    def duration(self) -> float:
        """Milliseconds that the current frame is shown."""
        return float(self.image.info.get("duration") or 0)
