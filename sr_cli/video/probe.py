"""What a clip contains, and what of it is refused, found by its first frame."""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from sr_cli.engine.size import Size
from sr_cli.errors import SrError
from sr_cli.imaging.formats import sniff_format
from sr_cli.video.colour import FULL, RGB, UNSPECIFIED, Colour
from sr_cli.video.hdr import Mastering, check_dolby_vision, dynamic_metadata, mastering_of
from sr_cli.video.options import ClipOptions
from sr_cli.video.pyav import open_clip, said
from sr_cli.video.timing import in_words

_SUBSAMPLING = {(8, 8): "420", (4, 4): "420", (8, 16): "422", (4, 16): "422"}
"""By the size of chroma for 16x16 pixels; anything else is written as 4:4:4."""

_ORIENTATIONS = {
    (1, 0, 0, 1): 1,
    (-1, 0, 0, 1): 2,
    (-1, 0, 0, -1): 3,
    (1, 0, 0, -1): 4,
    (0, 1, 1, 0): 5,
    (0, 1, -1, 0): 6,
    (0, -1, -1, 0): 7,
    (0, -1, 1, 0): 8,
}
"""EXIF's orientation by the signs of a, b, c, d of a display matrix (ISO/IEC 14496-12, 8.3.2)."""


@dataclass(frozen=True)
class Layout:
    """How samples are stored.

    Attributes:
        kind: `420`, `422` or `444`; `rgb`.
        depth: Bits of a sample.
    """

    kind: str
    depth: int

    @property
    def _ending(self) -> str:
        return "" if self.depth == 8 else f"{self.depth}le"

    @property
    def pixel_format(self) -> str:
        """FFmpeg's name of the planar format."""
        return ("gbrp" if self.kind == "rgb" else f"yuv{self.kind}p") + self._ending

    @property
    def full_format(self) -> str:
        """FFmpeg's name of the planar format without subsampling."""
        return ("gbrp" if self.kind == "rgb" else "yuv444p") + self._ending


@dataclass(frozen=True)
class Clip:
    """The video stream that is upscaled.

    Attributes:
        source: The file.
        index: Of the stream in the file.
        codec: FFmpeg's name of its codec.
        width, height: In pixels, as coded: before the display matrix.
        layout: How samples are stored.
        colour: Complete: what was not tagged is assumed.
        is_untagged: Whether the matrix is assumed from the size.
        gray: Whether there is no chroma.
        aspect: Of a pixel, width to height; None if unknown.
        time_base: Of all times, in seconds.
        rate: Frames a second on average; None if unknown.
        frames: How many, estimated; None if unknown.
        display_matrix: The nine numbers of the rotation; None if there is none.
        mastering: HDR10's static metadata.
        dynamic: Names of the dynamic HDR metadata that frames have.
        is_mov: Whether the file is MP4 or QuickTime.
    """

    source: Path
    index: int
    codec: str
    width: int
    height: int
    layout: Layout
    colour: Colour
    is_untagged: bool
    gray: bool
    aspect: Fraction | None
    time_base: Fraction
    rate: Fraction | None
    frames: int | None
    display_matrix: tuple[int, ...] | None
    mastering: Mastering | None
    dynamic: tuple[str, ...]
    is_mov: bool

    @property
    def is_rgb(self) -> bool:
        """Whether samples are RGB."""
        return self.layout.kind == "rgb"

    @property
    def orientation(self) -> int | None:
        """EXIF's orientation of the display matrix; None if it is none of the eight."""
        if self.display_matrix is None:
            return 1
        a, b, _, c, d = (round(value / 65536) for value in self.display_matrix[:5])
        return _ORIENTATIONS.get((a, b, c, d))

    @property
    def shown_size(self) -> tuple[int, int]:
        """(width, height) in pixels, upright."""
        turned = (self.orientation or 1) >= 5
        return (self.height, self.width) if turned else (self.width, self.height)

    def resized(self, size: Size) -> tuple[int, int]:
        """(width, height) of a result as it is coded; a size means upright frames."""
        width, height = size.of(*self.shown_size)
        return (width, height) if self.shown_size == (self.width, self.height) else (height, width)


def probe(source: Path, options: ClipOptions) -> Clip:
    """Read what a clip contains.

    Raises:
        RefusedError: `extra-missing`.
        SrError: `unreadable-file`, `not-a-clip`, `damaged-clip`, `no-video-stream`, `no-frames`,
            `interlaced`, `transparent-clip`, `dolby-vision`, `unsupported-colour`,
            `unsupported-pixel-format`.
    """
    _check_no_image(source)
    with open_clip(source) as container:
        stream = video_stream(container, source)
        frame = _first_frame(container, stream, source, options)
        check_frame(frame, options, stream.time_base, source)
        check_dolby_vision(frame, stream, source)
        # VP8 and VP9 store alpha apart, and decoders leave it out (Matroska, `AlphaMode`).
        if stream.metadata.get("alpha_mode") == "1":
            raise SrError("transparent-clip", source, format=f"{frame.format.name} and alpha")
        layout = _layout(frame.format, source)
        tags = Colour(
            int(frame.colorspace),
            int(frame.color_range),
            int(frame.color_primaries),
            int(frame.color_trc),
        )
        tags = _completed(tags, layout, frame, options.colour, source)
        side = {data.type.name: bytes(data) for data in frame.side_data}
        matrix = side.get("DISPLAYMATRIX")
        rate = stream.average_rate or stream.guessed_rate
        return Clip(
            source,
            stream.index,
            stream.codec_context.codec.canonical_name,
            frame.width,
            frame.height,
            layout,
            tags,
            is_untagged=layout.kind != "rgb" and int(frame.colorspace) == UNSPECIFIED,
            gray=len(frame.format.components) == 1,
            aspect=stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio,
            time_base=stream.time_base,
            rate=rate,
            frames=stream.frames or _estimated_frames(container, stream, rate),
            display_matrix=struct.unpack("=9i", matrix) if matrix else None,
            mastering=mastering_of(side),
            dynamic=dynamic_metadata(side),
            is_mov="mov" in container.format.name.split(","),
        )


def _completed(
    tags: Colour, layout: Layout, frame: Any, option: str | None, source: Path
) -> Colour:
    """The tags with what is missing, checked."""
    if layout.kind == "rgb":
        return replace(tags, matrix=RGB, range=FULL)
    tags = tags.completed(frame.width, frame.height, option)
    if tags.matrix == RGB:
        raise SrError("unsupported-colour", source, matrix=RGB)
    try:
        tags.check()
    except SrError as error:
        raise error.about(source) from None
    return tags


def video_stream(container: Any, source: Path) -> Any:
    """The first video stream that is no cover picture.

    Raises:
        SrError: `no-video-stream`.
    """
    for stream in container.streams.video:
        if not is_cover(stream) and stream.codec_context is not None:
            return stream
    raise SrError("no-video-stream", source)


def is_cover(stream: Any) -> bool:
    """Whether a video stream is a picture that goes with the file."""
    from av.stream import Disposition

    return bool(stream.disposition & (Disposition.attached_pic | Disposition.timed_thumbnails))


def check_frame(frame: Any, options: ClipOptions, time_base: Fraction, source: Path) -> None:
    """Check that a frame is progressive, or that the clip is deinterlaced.

    Raises:
        SrError: `interlaced`.
    """
    if frame.interlaced_frame and not options.deinterlace:
        raise SrError("interlaced", source, time=in_words(frame.pts, time_base))


def read_clip_size(source: Path) -> tuple[int, int] | None:
    """(width, height) of a clip, upright; None if it cannot be read, which is reported later."""
    try:
        clip = probe(source, ClipOptions(deinterlace=True, allow_damaged=True))
    except SrError:
        return None
    return clip.shown_size


def _check_no_image(source: Path) -> None:
    try:
        with source.open("rb") as file:
            start = file.read(32)
    except OSError as error:
        raise SrError("unreadable-file", source, reason=error.strerror or str(error)) from error
    if not start:
        raise SrError("empty-file", source)
    found = sniff_format(start)
    if found is not None:
        raise SrError("not-a-clip", source, format=found.name)


def _first_frame(container: Any, stream: Any, source: Path, options: ClipOptions) -> Any:
    import av

    reason = ""
    for packet in container.demux(stream):
        try:
            frames = packet.decode()
        except av.error.FFmpegError as error:
            reason = said(error)
            if not options.allow_damaged and not packet.is_discard:
                time = in_words(packet.pts, stream.time_base)
                raise SrError("damaged-frame", source, time=time, reason=reason) from error
            continue
        if frames:
            return frames[0]
    if reason:
        raise SrError("damaged-clip", source, reason=reason)
    raise SrError("no-frames", source)


def _layout(pixel_format: Any, source: Path) -> Layout:
    components = pixel_format.components
    if any(c.is_alpha for c in components) or pixel_format.has_palette:
        raise SrError("transparent-clip", source, format=pixel_format.name)
    depth = max(c.bits for c in components)
    known = pixel_format.name.startswith(("yuv", "gray", "gbr", "rgb", "bgr", "nv", "p0", "uyvy"))
    if pixel_format.is_bit_stream or depth < 8 or depth > 16 or not known:
        raise SrError("unsupported-pixel-format", source, format=pixel_format.name)
    if pixel_format.is_rgb:
        return Layout("rgb", depth)
    if len(components) == 1:
        return Layout("420", depth)
    size = pixel_format.chroma_width(16), pixel_format.chroma_height(16)
    return Layout(_SUBSAMPLING.get(size, "444"), depth)


def _estimated_frames(container: Any, stream: Any, rate: Fraction | None) -> int | None:
    seconds = None
    if stream.duration is not None:
        seconds = stream.duration * stream.time_base
    elif container.duration is not None:
        seconds = Fraction(container.duration, 1_000_000)
    return max(1, round(seconds * rate)) if seconds and rate else None
