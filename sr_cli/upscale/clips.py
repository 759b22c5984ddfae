"""A clip as one job among images: the request of the room `video`, its progress, its result."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from sr_cli.engine.pipeline import Pipeline
from sr_cli.errors import SrError
from sr_cli.imaging.encode import write_picture
from sr_cli.imaging.formats import FORMATS, Encoding
from sr_cli.imaging.picture import Frame, Picture
from sr_cli.system.files import atomic_write
from sr_cli.upscale.comparison import side_by_side
from sr_cli.upscale.outputs import Job
from sr_cli.upscale.request import ClipProgress, Event, Result
from sr_cli.version import __version__
from sr_cli.video.containers import Container

if TYPE_CHECKING:
    from sr_cli.upscale.plan import Group
    from sr_cli.video.plan import ClipPlan


def upscale_clip_job(
    job: Job, group: Group, pipeline: Pipeline, result: Result, report: Callable[[Event], None]
) -> Result:
    """Upscale a clip.

    Args:
        job: Whose format is a container.
        group: Of the job.
        pipeline: Of the group.
        result: To be completed.
        report: Called with progress.

    Raises:
        SrError: What `plan_clip` and `upscale_clip` raise; `compare-of-clips`.
    """
    from sr_cli.video import clip as video
    from sr_cli.video.plan import ClipRequest, plan_clip, plan_sequence
    from sr_cli.video.sequence import in_order

    began = time.perf_counter()
    assert isinstance(job.format, Container)
    options = group.options
    if options.compare:
        raise SrError("compare-of-clips", job.source)
    engine = options.engine
    request = ClipRequest(
        job.source,
        job.target,
        job.format,
        group.size,
        options.max_pixels,
        lossless=options.lossless,
        strip=options.strip,
        flatten=options.flatten,
        overwrite=options.overwrite,
        options=options.clip,
        computed_by=f"{__version__} {group.model} {engine.precision} {engine.tta} {engine.wrap}",
    )
    try:
        job.target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SrError(
            "unwritable-file", job.target.parent, reason=error.strerror or str(error)
        ) from error
    rate = options.clip.rate
    if job.images and rate is not None:
        plan = plan_sequence(request, in_order(job.images), rate)
    else:
        plan = plan_clip(request)

    result = replace(
        result,
        width=plan.clip.width,
        height=plan.clip.height,
        output_width=plan.encoding.width,
        output_height=plan.encoding.height,
    )
    if options.clip.preview is not None:
        _write_preview(plan, pipeline, options.clip.preview)
        return replace(result, notes=plan.notes, seconds=time.perf_counter() - began)

    def on_progress(progress: video.ClipProgress) -> None:
        report(ClipProgress(job.source, progress.frames, progress.total, progress.rate))

    notes = video.upscale_clip(plan, pipeline, on_progress)
    return replace(result, notes=tuple(notes), seconds=time.perf_counter() - began)


def _write_preview(plan: ClipPlan, pipeline: Pipeline, count: int) -> None:
    """Write bicubic beside the result at several moments, one below the other."""
    from sr_cli.video.preview import preview_frames

    sheets = [
        side_by_side(Picture([Frame(lr)], "PNG"), Picture([Frame(sr)], "PNG")).frames[0].pixels
        for lr, sr in preview_frames(plan, pipeline, count)
    ]
    whole = Picture([Frame(np.concatenate(sheets))], "PNG")
    request = plan.request
    with atomic_write(request.target, overwrite=request.overwrite) as file:
        write_picture(whole, file, FORMATS["PNG"], Encoding())
