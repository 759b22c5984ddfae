"""The finished file: the video from its segments, everything else from the source."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from sr_cli.errors import SrError
from sr_cli.system.files import atomic_write
from sr_cli.video.encode import add_encoder
from sr_cli.video.plan import ClipPlan
from sr_cli.video.pyav import load_av, open_clip, said
from sr_cli.video.segments import Segment, read_packets
from sr_cli.video.streams import (
    add_copies,
    copied_packets,
    copy_description,
    writer_options,
)
from sr_cli.video.timing import decoding_time


def join(plan: ClipPlan, segments: Sequence[Segment], folder: Path) -> None:
    """Write the result; it appears when it is whole.

    Args:
        plan: From `plan_clip`.
        segments: All segments, in order.
        folder: Of the segments, where the result is written before.

    Raises:
        SrError: `unwritable-file`, `already-exists`, `clip-not-written`.
    """
    av = load_av()
    request = plan.request
    with (
        nullcontext() if plan.images else open_clip(request.source) as source,
        atomic_write(request.target, overwrite=request.overwrite, folder=folder) as file,
    ):
        metadata = {} if source is None or request.strip else source.metadata
        options = writer_options(request.container, metadata, plan.encoding.time_base)
        try:
            with av.open(
                file, "w", format=request.container.muxer, container_options=options
            ) as output:
                _write(plan, segments, source, output)
        except (av.error.FFmpegError, ValueError) as error:
            if isinstance(error, OSError) and error.errno and error.errno > 0:
                raise
            raise SrError("clip-not-written", request.target, reason=said(error)) from error


def _write(plan: ClipPlan, segments: Sequence[Segment], source: Any, output: Any) -> None:
    others: Iterator[tuple[Any, float]] = iter(())
    if plan.images:
        stream = add_encoder(output, plan.encoding)
    else:
        stream, others = _add_others(plan, source, output)
    other = next(others, None)
    for packet, seconds in _video_packets(plan, segments, stream):
        while other is not None and other[1] <= seconds:
            output.mux(other[0])
            other = next(others, None)
        output.mux(packet)
    while other is not None:
        output.mux(other[0])
        other = next(others, None)


def _add_others(
    plan: ClipPlan, source: Any, output: Any
) -> tuple[Any, Iterator[tuple[Any, float]]]:
    """The video stream among the copied ones, and the packets of these."""
    index = plan.clip.index
    added = add_copies(
        output,
        source,
        {stream.index for stream in plan.copied},
        (index, lambda: add_encoder(output, plan.encoding)),
    )
    if not plan.request.strip:
        copy_description(output, source)
    return added[index], copied_packets(source, added, index)


def _video_packets(
    plan: ClipPlan, segments: Sequence[Segment], stream: Any
) -> Iterator[tuple[Any, float]]:
    """The packets of all segments with the times of their frames, and seconds."""
    import av

    time_base = plan.encoding.time_base
    shown = [pts for segment in segments for pts, _ in segment.shown]
    depth = max(segment.depth for segment in segments)
    durations = _durations(segments)
    index = 0
    for segment in segments:
        for pts, is_key, data in read_packets(segment.path):
            packet = av.Packet(data)
            packet.pts, packet.dts = pts, decoding_time(shown, index, depth)
            packet.duration = durations[pts]
            index += 1
            if index == len(shown):
                # MP4 ends where the last sample ends: at its decoding time plus its duration.
                packet.dts, packet.duration = pts, shown[-1] + durations[shown[-1]] - pts
            packet.time_base, packet.is_keyframe = time_base, is_key
            packet.stream = stream
            yield packet, float(packet.dts * time_base)


def _durations(segments: Sequence[Segment]) -> dict[int, int]:
    """How long each frame is shown; where the source does not say, until the next."""
    shown = [item for segment in segments for item in segment.shown]
    following = [pts for pts, _ in shown[1:]]
    durations = {
        pts: duration or after - pts
        for (pts, duration), after in zip(shown, following, strict=False)
    }
    last, duration = shown[-1]
    before = shown[-2] if len(shown) > 1 else None
    durations[last] = duration or (last - before[0] if before else 1)
    return durations
