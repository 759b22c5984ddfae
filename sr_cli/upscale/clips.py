"""A clip as one job among images: the request of the room `video`, its progress, its result."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from sr_cli.engine.pipeline import Pipeline
from sr_cli.errors import Note, SrError
from sr_cli.imaging.encode import write_picture
from sr_cli.imaging.formats import FORMATS, Encoding
from sr_cli.imaging.picture import Frame, Picture
from sr_cli.system.files import atomic_write, make_folder
from sr_cli.upscale.comparison import side_by_side
from sr_cli.upscale.outputs import Job
from sr_cli.upscale.provenance import provenance_of, used_models, with_device
from sr_cli.upscale.request import ClipProgress, Event, Result
from sr_cli.version import __version__
from sr_cli.video.containers import Container

if TYPE_CHECKING:
    from sr_cli.upscale.groups import Group
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
    from sr_cli.video.paths import choose_path
    from sr_cli.video.plan import ClipRequest, plan_clip, plan_sequence
    from sr_cli.video.sequence import in_order
    from sr_cli.video.timestamps import FrameTimes, read_timestamps, timestamps_beside

    began = time.perf_counter()
    assert isinstance(job.format, Container)
    options = group.options
    if options.compare:
        raise SrError("compare-of-clips", job.source)
    engine = options.engine
    names = [step.name for ref in group.refs for step in ref.steps]
    broken = options.skip_existing and os.path.isfile(job.target)
    request = ClipRequest(
        job.source,
        job.target,
        job.format,
        group.size,
        options.max_pixels,
        lossless=options.lossless,
        strip=options.strip,
        flatten=options.flatten,
        overwrite=options.overwrite or broken,
        options=replace(options.clip, steady=options.clip.steady_for(names)),
        computed_by=f"{__version__} {group.model} {engine.precision} {engine.tta} {engine.wrap}"
        + ("" if options.strength is None else f" {options.strength}"),
    )
    noted = [Note("unreadable-result-replaced", {"file": str(job.target)})] if broken else []
    images = in_order(job.images)
    if not images:
        plan = plan_clip(request)
    elif rate := options.clip.rate:
        plan = plan_sequence(request, images, FrameTimes.at_rate(rate, len(images)))
    else:
        file = timestamps_beside(images[0])
        assert file is not None
        plan = plan_sequence(request, images, read_timestamps(file, len(images)))
        noted.append(Note("times-from-file", {"file": str(file)}))
    make_folder(job.target.parent)

    result = replace(
        result,
        width=plan.clip.width,
        height=plan.clip.height,
        output_width=plan.encoding.width,
        output_height=plan.encoding.height,
    )
    path = choose_path(plan, pipeline)
    result = with_device(result, path.pipeline, np.empty(0, path.dtype))
    if options.clip.preview is not None:
        _write_preview(plan, group, pipeline, options.clip.preview)
        notes = (*plan.notes, *noted)
        return replace(result, notes=notes, seconds=time.perf_counter() - began)

    def on_progress(progress: video.ClipProgress) -> None:
        report(ClipProgress(job.source, progress.frames, progress.total, progress.rate))

    made = video.upscale_clip(plan, path, on_progress)
    return replace(result, notes=(*made, *noted), seconds=time.perf_counter() - began)


def _write_preview(plan: ClipPlan, group: Group, pipeline: Pipeline, count: int) -> None:
    """Write bicubic beside the result at several moments, one below the other."""
    from sr_cli.video.preview import preview_frames

    sheets, used = [], used_models(group)
    for lr, sr in preview_frames(plan, pipeline, count):
        original = Picture([Frame(lr)], "PNG")
        sheet = side_by_side(original, Picture([Frame(sr)], "PNG")).frames[0].pixels
        sheets.append(sheet)
        made_by = provenance_of(original.frames, group, pipeline, used)
    whole = Picture([Frame(np.concatenate(sheets))], "PNG", provenance=made_by)
    request = plan.request
    with atomic_write(request.target, overwrite=request.overwrite) as file:
        write_picture(whole, file, FORMATS["PNG"], Encoding(strip=request.strip))
