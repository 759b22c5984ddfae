"""Frames of a clip in the order in which they are shown, with their times."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sr_cli.errors import SrError
from sr_cli.video.options import ClipOptions
from sr_cli.video.probe import Clip, check_frame, video_stream
from sr_cli.video.pyav import open_clip, said
from sr_cli.video.timing import in_words

Planes = tuple[NDArray[Any], ...]

_PATIENCE = 0.5
"""Seconds that the video may be shorter than its container says."""


@dataclass(frozen=True)
class ClipFrame:
    """A decoded frame.

    Attributes:
        planes: Three planes of integers: Y, Cb, Cr; or G, B, R.
        pts: When it is shown, in the clip's time base.
        duration: How long, in the clip's time base; 0 if unknown.
    """

    planes: Planes
    pts: int
    duration: int


@dataclass
class ClipReader:
    """Reads the frames of a clip.

    Attributes:
        clip: From `probe`.
        options: Of the request.
        at_full_resolution: Whether chroma is read without subsampling.
        after: Frames up to this time are decoded, but not returned; None for all frames.
        damaged: Frames that the decoder reported as damaged, so far.
        repaired: Frames without a time, or with one that was not after the previous, so far.
        missing: When the last frame of a truncated clip is shown, and where the clip would end, in
            words; None for others, and before the end is read.
    """

    clip: Clip
    options: ClipOptions
    at_full_resolution: bool = True
    after: int | None = None
    damaged: int = 0
    repaired: int = 0
    missing: tuple[str, str] | None = None
    _last: int | None = field(default=None, repr=False)
    _step: int = field(default=1, repr=False)

    def read(self) -> Generator[ClipFrame]:
        """Decode the clip.

        Raises:
            SrError: `damaged-frame`, `truncated-clip`, `clip-size-changes`, `interlaced`.
        """
        clip = self.clip
        with open_clip(clip.source) as container:
            stream = video_stream(container, clip.source)
            # Threads that decode several frames at once report an error frames later.
            stream.thread_type = "SLICE"
            if not self.options.allow_damaged:
                # Without it, decoders conceal damage, and only some of them tell.
                stream.codec_context.options = {"err_detect": "explode"}
            frames: Iterator[Any] = self._decode(container, stream)
            if self.options.deinterlace:
                frames = _deinterlaced(frames, stream)
            held: ClipFrame | None = None
            for frame in frames:
                self._check(frame)
                pts, duration = self._time(frame)
                if held is not None:
                    yield self._until(held, pts)
                if self.after is None or pts > self.after:
                    held = ClipFrame(self.planes_of(frame), pts, duration)
            self._check_end(container, stream)
            if held is not None:
                end = _stated_end(container, stream)
                yield self._until(held, None if end is None else round(end / clip.time_base))

    def _until(self, frame: ClipFrame, end: int | None) -> ClipFrame:
        """The frame with its duration; in MP4, a sample's is that to the next to be decoded."""
        if not self.clip.is_mov or end is None or end <= frame.pts:
            return frame
        return replace(frame, duration=end - frame.pts)

    def _decode(self, container: Any, stream: Any) -> Iterator[Any]:
        import av

        packets = container.demux(stream)
        while True:
            packet = None
            try:
                packet = next(packets, None)
                if packet is None:
                    return
                frames = packet.decode()
            except (av.error.FFmpegError, OSError) as error:
                time = packet.pts if packet is not None else self._last
                self._report_damage(time, said(error), error)
                if packet is None:
                    return
                continue
            for frame in frames:
                if frame.is_corrupt:
                    self._report_damage(frame.pts, "reported by the decoder", None)
                yield frame

    def planes_of(self, frame: Any) -> Planes:
        """The planes of a decoded frame, as copies."""
        layout = self.clip.layout
        wanted = layout.full_format if self.at_full_resolution else layout.pixel_format
        if not self.clip.gray:
            return _planes_of(frame, wanted, layout.depth)
        luma = _plane(frame, 0, layout.depth)
        halves = tuple(-(-side // 2) for side in luma.shape)
        size = luma.shape if self.at_full_resolution else halves
        neutral = np.full(size, 1 << (layout.depth - 1), luma.dtype)
        return luma, neutral, neutral

    def _report_damage(self, time: int | None, reason: str, error: Exception | None) -> None:
        self.damaged += 1
        if not self.options.allow_damaged:
            words = in_words(time, self.clip.time_base)
            raise SrError("damaged-frame", self.clip.source, time=words, reason=reason) from error

    def _check(self, frame: Any) -> None:
        clip = self.clip
        check_frame(frame, self.options, clip.time_base, clip.source)
        if (frame.width, frame.height) != (clip.width, clip.height):
            raise SrError(
                "clip-size-changes",
                clip.source,
                time=in_words(frame.pts, clip.time_base),
                width=frame.width,
                height=frame.height,
            )

    def _time(self, frame: Any) -> tuple[int, int]:
        pts, duration = frame.pts, frame.duration or 0
        if pts is not None and frame.time_base and frame.time_base != self.clip.time_base:
            pts = round(pts * frame.time_base / self.clip.time_base)
            duration = round(duration * frame.time_base / self.clip.time_base)
        if pts is None or (self._last is not None and pts <= self._last):
            self.repaired += 1
            pts = 0 if self._last is None else self._last + self._step
        if duration or self.clip.rate:
            tick = self.clip.rate and 1 / self.clip.rate / self.clip.time_base
            self._step = max(1, duration or round(tick or 1))
        self._last = pts
        return pts, duration

    def _check_end(self, container: Any, stream: Any) -> None:
        """Note, or raise as `truncated-clip`, that the video ends well before it should."""
        if self._last is None:
            raise SrError("no-frames", self.clip.source)
        expected = _stated_end(container, stream)
        ended = (self._last + self._step) * self.clip.time_base
        if expected is None or ended > expected - _PATIENCE:
            return
        time_base = self.clip.time_base
        words = in_words(self._last, time_base), in_words(round(expected / time_base), time_base)
        if not self.options.allow_damaged:
            raise SrError("truncated-clip", self.clip.source, time=words[0])
        self.missing = words


def _stated_end(container: Any, stream: Any) -> Fraction | None:
    """Where the video ends by the container, in seconds; None if it does not say."""
    if stream.duration is not None:
        return Fraction(((stream.start_time or 0) + stream.duration) * stream.time_base)
    stated = stream.metadata.get("DURATION", "")
    try:
        hours, minutes, seconds = stated.strip("\0").split(":")
        return int(hours) * 3600 + int(minutes) * 60 + Fraction(seconds[:12])
    except ValueError:
        pass
    alone = len([s for s in container.streams if s.type in ("video", "audio", "subtitle")]) == 1
    if not alone or container.duration is None:
        return None
    return Fraction((container.start_time or 0) + container.duration, 1_000_000)


def _deinterlaced(frames: Iterator[Any], stream: Any) -> Iterator[Any]:
    """Frames with bwdif applied to those that are interlaced; their number stays."""
    import av

    graph = av.filter.Graph()
    source = graph.add_buffer(template=stream, time_base=stream.time_base)
    weave = graph.add("bwdif", "mode=send_frame:deint=interlaced")
    sink = graph.add("buffersink")
    source.link_to(weave)
    weave.link_to(sink)
    graph.configure()
    for frame in _and_none(frames):
        graph.push(frame)
        while True:
            try:
                made = graph.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                break
            yield made


def _and_none(frames: Iterator[Any]) -> Iterator[Any]:
    yield from frames
    yield None


def _planes_of(frame: Any, pixel_format: str, depth: int) -> Planes:
    """The planes of a frame in a pixel format, as copies."""
    from av.video.reformatter import Interpolation

    if frame.format.name != pixel_format:
        # Chroma is placed where the frame says; matrix and range are not touched.
        frame = frame.reformat(
            format=pixel_format,
            interpolation=Interpolation.BICUBIC
            | Interpolation.ACCURATE_RND
            | Interpolation.FULL_CHR_H_INT,
        )
    return tuple(_plane(frame, index, depth) for index in range(3))


def _plane(frame: Any, index: int, depth: int) -> NDArray[Any]:
    dtype: Any = np.uint8 if depth == 8 else np.uint16
    plane = frame.planes[index]
    rows = np.frombuffer(plane, dtype).reshape(-1, plane.line_size // np.dtype(dtype).itemsize)
    copied: NDArray[Any] = rows[: plane.height, : plane.width].copy()
    return copied
