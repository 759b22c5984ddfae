"""The file that is being decoded, shared by the codecs."""

from __future__ import annotations

from dataclasses import dataclass, field

from PIL import Image

from sr_cli.errors import Note, SrError
from sr_cli.imaging.codecs.pillow import to_frame
from sr_cli.imaging.formats import check_pixels
from sr_cli.imaging.picture import Frame


@dataclass
class OpenFile:
    """A file opened with Pillow.

    Attributes:
        data: The whole file.
        image: Pillow's image, positioned at the frame to read next.
        max_pixels: The most pixels that all frames together may have.
        allow_truncated: Whether to decode what is left of a damaged file.
        notes: What was converted while reading.
        is_srgb: Whether colours of the last frame were converted to sRGB, so that the profile in
            the file no longer applies.
    """

    data: bytes
    image: Image.Image
    max_pixels: int
    allow_truncated: bool
    notes: list[Note] = field(default_factory=list)
    is_srgb: bool = False

    def check_size(self, pixels: int) -> None:
        """Check that the total number of pixels is within the limit.

        Raises:
            SrError: `too-many-pixels`.
        """
        check_pixels(pixels, self.max_pixels)

    def add_note(self, note: Note) -> None:
        """Add a note, unless it is there already."""
        if note not in self.notes:
            self.notes.append(note)

    def read_frame(self, profile: bytes | None = None) -> Frame:
        """Decode the current frame with Pillow.

        Args:
            profile: The file's colour profile, for converting CMYK.
        """
        self.image.load()
        frame, converted = to_frame(self.image, profile)
        self.is_srgb = converted is not None
        if converted is not None:
            self.add_note(converted)
        frame.duration = self.duration()
        return frame

    def read_at_8_bits(self, error: SrError) -> Frame:
        """Decode the current frame at 8 bits, after 16 bits could not be decoded.

        Args:
            error: Why not.

        Raises:
            SrError: `error`, unless damaged files are allowed.
        """
        if not self.allow_truncated:
            raise error
        self.add_note(Note("read-at-8-bits"))
        return self.read_frame()

    def duration(self) -> float:
        """The duration of the current frame, in milliseconds."""
        return float(self.image.info.get("duration") or 0)
