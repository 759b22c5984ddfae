"""The plan for a clip: its size, how it is encoded, and what its container cannot hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sr_cli.engine.size import MAX_FACTOR, Size
from sr_cli.errors import Note, SrError
from sr_cli.video.containers import Container
from sr_cli.video.encoding import Encoding, carries_mastering, plan_encoding
from sr_cli.video.frames import ClipReader
from sr_cli.video.options import ClipOptions
from sr_cli.video.probe import Clip, Layout, probe
from sr_cli.video.sequence import SequenceReader, sequence_as_clip
from sr_cli.video.streams import CopiedStream, copied_streams
from sr_cli.video.timestamps import FrameTimes


@dataclass(frozen=True)
class ClipRequest:
    """What is wanted of a clip.

    Attributes:
        source: The file.
        target: The result.
        container: Of the result.
        size: Of the result.
        max_pixels: The most pixels of a frame of the result.
        lossless: Encode without loss.
        strip: Drop metadata and chapters.
        flatten: Drop what the container does not hold.
        overwrite: Overwrite an existing result.
        options: Of clips.
        computed_by: Whatever else the pixels depend on, as text: another one is not resumed.
    """

    source: Path
    target: Path
    container: Container
    size: Size
    max_pixels: int
    lossless: bool
    strip: bool
    flatten: bool
    overwrite: bool
    options: ClipOptions
    computed_by: str


@dataclass(frozen=True)
class ClipPlan:
    """How a clip will be upscaled.

    Attributes:
        request: What is wanted.
        clip: What there is.
        encoding: Of the result.
        copied: Streams that are copied as packets.
        images: Of a clip that is made from images; empty for others.
        times: When these images are shown; None for other clips.
        notes: What is assumed, changed or dropped.
    """

    request: ClipRequest
    clip: Clip
    encoding: Encoding
    copied: tuple[CopiedStream, ...]
    notes: tuple[Note, ...]
    images: tuple[Path, ...] = ()
    times: FrameTimes | None = None

    def reader(self, *, at_full_resolution: bool, after: int | None) -> ClipReader | SequenceReader:
        """What reads the frames, after a time."""
        if self.times is not None:
            return SequenceReader(self.clip, self.images, self.times, self.request.flatten, after)
        return ClipReader(self.clip, self.request.options, at_full_resolution, after)

    @property
    def is_lossless(self) -> bool:
        """Whether the result is encoded without loss."""
        return self.request.lossless or self.encoding.codec == "ffv1"

    @property
    def grows(self) -> bool:
        """Whether the result is larger than the clip in one direction."""
        return self.encoding.width > self.clip.width or self.encoding.height > self.clip.height


def plan_clip(request: ClipRequest) -> ClipPlan:
    """Open a clip and decide everything before the work starts.

    Raises:
        RefusedError: What `plan_encoding` raises.
        SrError: What `probe` and `plan_encoding` raise; `factor-too-large`, `result-too-large`,
            `unsupported-streams`.
    """
    clip = probe(request.source, request.options)
    encoding = _plan_encoding(clip, request)
    copied, missing = copied_streams(clip, request.container)
    names = [stream.described() for stream in missing]
    if missing and not request.flatten:
        raise SrError(
            "unsupported-streams",
            request.source,
            hint="drop" if request.container.muxer == "matroska" else "other-container",
            container=request.container.name,
            streams=names,
        )
    notes = [Note("streams-dropped", {"streams": names})] if missing else []
    notes += _notes(clip, encoding, request)
    return ClipPlan(request, clip, encoding, tuple(copied), tuple(notes))


def plan_sequence(request: ClipRequest, images: Sequence[Path], times: FrameTimes) -> ClipPlan:
    """Decide how images become a clip.

    Args:
        request: What is wanted; its source names the images in messages.
        images: In order.
        times: When they are shown.

    Raises:
        As `plan_clip`.
    """
    clip = sequence_as_clip(request.source, images, times, flatten=request.flatten)
    # Players show 4:2:0 with 8 or 10 bits; FFV1 takes RGB as it is.
    layouts = clip.layout, Layout("420", min(clip.layout.depth, 10))
    encoding = _plan_encoding(clip, request, layouts)
    notes = tuple(_notes(clip, encoding, request))
    return ClipPlan(request, clip, encoding, (), notes, tuple(images), times)


def _plan_encoding(
    clip: Clip, request: ClipRequest, layouts: tuple[Layout, ...] | None = None
) -> Encoding:
    encoding = plan_encoding(
        clip,
        result_size(clip, request.size, request.max_pixels),
        request.container,
        request.options,
        lossless=request.lossless,
        layouts=layouts,
    )
    # Encoders have no half of a chroma sample.
    kind = encoding.layout.kind
    width = encoding.width + encoding.width % 2 * (kind in ("420", "422"))
    height = encoding.height + encoding.height % 2 * (kind == "420")
    return replace(encoding, width=width, height=height)


def result_size(clip: Clip, size: Size, max_pixels: int) -> tuple[int, int]:
    """(width, height) of the frames of a result.

    Raises:
        SrError: `factor-too-large`, `result-too-large`.
    """
    factor = size.factor_for(*clip.shown_size)
    if factor > MAX_FACTOR:
        raise SrError("factor-too-large", clip.source, factor=factor, most=MAX_FACTOR)
    width, height = clip.resized(size)
    if width * height > max_pixels:
        raise SrError(
            "result-too-large",
            clip.source,
            width=width,
            height=height,
            total=width * height,
            max_pixels=max_pixels,
        )
    return width, height


def _notes(clip: Clip, encoding: Encoding, request: ClipRequest) -> list[Note]:
    notes = []
    exact = clip.resized(request.size)
    if exact != (encoding.width, encoding.height):
        facts = {"width": encoding.width, "height": encoding.height, "layout": encoding.layout.kind}
        notes.append(Note("size-made-even", facts))
    if clip.is_untagged and request.options.colour is None:
        notes.append(Note("colour-assumed", {"matrix": clip.colour.matrix_name}))
    if clip.layout.kind == "rgb" and encoding.layout.kind != "rgb":
        facts = {"codec": encoding.codec, "layout": encoding.layout.kind}
        notes.append(Note("rgb-written-as-yuv", facts))
    if clip.mastering is not None and not carries_mastering(encoding.codec):
        notes.append(Note("hdr-metadata-dropped", {"codec": encoding.codec}))
    if clip.dynamic:
        notes.append(Note("dynamic-hdr-dropped", {"names": list(clip.dynamic)}))
    milliseconds = clip.time_base * 1000
    if request.container.muxer in ("matroska", "webm") and milliseconds.denominator > 1:
        notes.append(Note("times-rounded", {"container": request.container.name}))
    return notes
