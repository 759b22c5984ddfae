"""Everything but the video stream: audio, subtitles, chapters, attachments, copied as packets."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from sr_cli.video.containers import Container
from sr_cli.video.probe import Clip, is_cover
from sr_cli.video.pyav import load_av, open_clip

_KNOWN_TO_MP4 = {
    *("title", "artist", "album_artist", "composer", "album", "date", "year", "comment", "genre"),
    *(
        "copyright",
        "grouping",
        "lyrics",
        "description",
        "synopsis",
        "show",
        "episode_id",
        "network",
    ),
    *("keywords", "episode_sort", "season_number", "media_type", "hd_video", "gapless_playback"),
    *("compilation", "track", "disc", "tmpo", "rating", "encoder", "encoding_tool", "location"),
    *("creation_time", "major_brand", "minor_version", "compatible_brands"),
}
"""Metadata that FFmpeg's writer of MP4 has fields for; anything else goes under its own name."""

_STATISTICS = ("BPS", "DURATION", "NUMBER_OF_FRAMES", "NUMBER_OF_BYTES", "_STATISTICS_")
"""Tags of Matroska that describe the stream as it was."""


@dataclass(frozen=True)
class CopiedStream:
    """A stream of the source that is copied.

    Attributes:
        index: In the source.
        kind: `audio`, `subtitle`, `attachment`, `data` or `video` (cover pictures, other angles).
        codec: FFmpeg's name of its codec; "" for attachments.
        language: Of the stream; "" if unknown.
    """

    index: int
    kind: str
    codec: str
    language: str

    def described(self) -> str:
        """For messages: `subtitle ass (eng)`."""
        words = " ".join(word for word in (self.kind, self.codec) if word)
        return f"{words} ({self.language})" if self.language else words


def copied_streams(
    clip: Clip, container: Container
) -> tuple[list[CopiedStream], list[CopiedStream]]:
    """Find out which streams can be copied.

    Args:
        clip: From `probe`.
        container: Of the result.

    Returns:
        The streams that the container holds, and those that it does not hold.
    """
    held: list[CopiedStream] = []
    missing: list[CopiedStream] = []
    with open_clip(clip.source) as source:
        for stream in source.streams:
            if stream.index == clip.index or _is_rewritten(stream, source):
                continue
            context = stream.codec_context
            found = CopiedStream(
                stream.index,
                stream.type,
                context.codec.canonical_name if context is not None else "",
                stream.language or "",
            )
            (held if _holds(container, stream) else missing).append(found)
    return held, missing


def add_copies(
    output: Any, source: Any, indices: set[int], video: tuple[int, Any]
) -> dict[int, Any]:
    """Add the copied streams to an output, in their order around the video stream.

    Args:
        output: A PyAV output container.
        source: A PyAV input container.
        indices: Of the streams that are copied.
        video: The index of the video stream, and a function that adds it.

    Returns:
        The output's streams by their index in the source.
    """
    index, add_video = video
    added = {}
    for stream in source.streams:
        if stream.index == index:
            copy = add_video()
            copy.metadata.update(
                {k: v for k, v in stream.metadata.items() if not k.startswith(_STATISTICS)}
            )
        elif stream.index in indices:
            copy = output.add_stream_from_template(stream, opaque=True)
            copy.metadata.update(stream.metadata)
        else:
            continue
        copy.disposition = stream.disposition
        added[stream.index] = copy
    return added


def copy_description(output: Any, source: Any) -> None:
    """Copy metadata and chapters."""
    output.metadata.update(source.metadata)
    if chapters := source.chapters():
        output.set_chapters(chapters)


def writer_options(
    container: Container, metadata: Iterable[str], time_base: Fraction
) -> dict[str, str]:
    """Options of FFmpeg's writer, so that it keeps all metadata and the exact start.

    Args:
        container: Of the result.
        metadata: The names of what it keeps.
        time_base: Of the video.
    """
    if container.muxer not in ("mp4", "mov"):
        return {}
    # Edit lists, which say when streams begin, count in it: in milliseconds unless it is given.
    options = {"movie_timescale": str(math.lcm(1000, time_base.denominator))}
    unknown = {key for key in metadata if key.lower() not in _KNOWN_TO_MP4}
    return options | ({"movflags": "use_metadata_tags"} if unknown else {})


def copied_packets(source: Any, added: dict[int, Any], index: int) -> Iterator[tuple[Any, float]]:
    """The packets of the copied streams, with their time in seconds, ready to be written.

    Args:
        source: A PyAV input container.
        added: From `add_copies`.
        index: Of the video stream, which is skipped.
    """
    from av.stream import Discard

    wanted = [s for s in source.streams if s.index in added and s.index != index]
    wanted = [s for s in wanted if s.type != "attachment"]
    if not wanted:
        return
    source.streams[index].discard = Discard.all
    for packet in source.demux(*wanted):
        if not packet.size:
            continue
        if packet.dts is None and packet.stream.type == "video" and is_cover(packet.stream):
            packet.pts = packet.dts = 0
        time = packet.dts if packet.dts is not None else packet.pts
        seconds = float((time or 0) * Fraction(packet.time_base))
        packet.stream = added[packet.stream.index]
        yield packet, seconds


def _is_rewritten(stream: Any, source: Any) -> bool:
    """Whether FFmpeg's writer makes the stream anew: chapters and time codes of MP4."""
    if stream.type != "data" or "mov" not in source.format.name:
        return False
    handler = stream.metadata.get("handler_name", "")
    has_timecode = any("timecode" in s.metadata for s in source.streams.video)
    return (bool(source.chapters()) and handler == "SubtitleHandler") or (
        "timecode" in stream.metadata and has_timecode
    )


def _holds(container: Container, stream: Any) -> bool:
    """Whether a container takes a stream, by writing a header with it."""
    av = load_av()
    try:
        with av.open(io.BytesIO(), "w", format=container.muxer) as trial:
            if stream.type in ("attachment", "subtitle", "data"):
                width, height = 16, 16
                codec = "vp9" if container.muxer == "webm" else "mpeg4"
                trial.add_mux_stream(codec, width=width, height=height)
            trial.add_stream_from_template(stream, opaque=True)
            trial.start_encoding()
    except (av.error.FFmpegError, ValueError, OSError):
        return False
    return True
