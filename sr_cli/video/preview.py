"""Single frames of a clip, upscaled before the whole clip is."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from numpy.typing import NDArray

from sr_cli.engine.pipeline import Pipeline
from sr_cli.errors import SrError
from sr_cli.imaging.conversion import orient_pixels
from sr_cli.video.frames import ClipReader
from sr_cli.video.paths import RgbPath
from sr_cli.video.plan import ClipPlan
from sr_cli.video.probe import check_frame, video_stream
from sr_cli.video.pyav import load_av, open_clip, said
from sr_cli.video.timing import in_words


def preview_frames(
    plan: ClipPlan, pipeline: Pipeline, count: int
) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """Upscale frames at moments spread evenly over a clip.

    Args:
        plan: From `plan_clip`.
        pipeline: What upscales the frames.
        count: How many frames.

    Yields:
        A frame as RGB (h, w, 3), uint8 or uint16, upright, and its result.

    Raises:
        SrError: `damaged-frame`, `interlaced`, and what computing raises.
    """
    clip = plan.clip
    reader = ClipReader(clip, plan.request.options)
    path = RgbPath(clip, plan.encoding, pipeline)
    length = Fraction(clip.frames or 0) / clip.rate if clip.rate else Fraction(0)
    with open_clip(clip.source) as container:
        stream = video_stream(container, clip.source)
        start = (stream.start_time or 0) * clip.time_base
        for index in range(count):
            moment = start + length * (2 * index + 1) / (2 * count)
            frame = _frame_at(container, stream, round(moment / clip.time_base), plan)
            check_frame(frame, plan.request.options, clip.time_base, clip.source)
            lr = path.prepare(reader.planes_of(frame))
            orientation = clip.orientation or 1
            yield orient_pixels(lr[0], orientation), orient_pixels(path.compute(lr)[0], orientation)


def _frame_at(container: Any, stream: Any, pts: int, plan: ClipPlan) -> Any:
    """The first frame that is not before a time, or the last of the clip."""
    av = load_av()
    found = None
    try:
        container.seek(pts, stream=stream)
        for frame in container.decode(stream):
            found = frame
            if frame.pts is not None and frame.pts >= pts:
                break
    except av.error.FFmpegError as error:
        time = in_words(pts, plan.clip.time_base)
        raise SrError("damaged-frame", plan.clip.source, time=time, reason=said(error)) from error
    if found is None:
        raise SrError("no-frames", plan.clip.source)
    return found
