"""An archive as one job among images: its pages, one after the other."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from sr_cli.engine.frames import upscale_picture
from sr_cli.engine.pipeline import Pipeline
from sr_cli.errors import Note, SrError
from sr_cli.imaging.consistency import join_deviations
from sr_cli.imaging.decode import read_picture
from sr_cli.imaging.encode import write_picture
from sr_cli.imaging.formats import Encoding, Format
from sr_cli.system.files import atomic_write, make_folder
from sr_cli.system.memory import TRIM_ABOVE, trim_freed_memory
from sr_cli.upscale.archive import Page, rewrite
from sr_cli.upscale.inputs import STDIO
from sr_cli.upscale.outputs import Job
from sr_cli.upscale.preparation import prepare_output
from sr_cli.upscale.provenance import (
    provenance_of,
    used_models,
    with_deviation,
    with_device,
    with_sizes,
)
from sr_cli.upscale.request import Event, Progress, Result

if TYPE_CHECKING:
    from sr_cli.upscale.groups import Group


def upscale_archive_job(
    job: Job, group: Group, pipeline: Pipeline, result: Result, report: Callable[[Event], None]
) -> Result:
    """Upscale the pages of an archive one by one; if one fails, the archive fails.

    Args:
        job: Whose source is an archive.
        group: Of the job.
        pipeline: Of the group.
        result: To be completed.
        report: Called with progress.

    Raises:
        SrError: What `rewrite` and reading, computing and writing a page raise.
    """
    options = group.options
    assert job.format is None or isinstance(job.format, Format)
    encoding = Encoding(options.quality, options.lossless, options.strip)
    used = used_models(group)
    notes: list[Note] = []

    def upscale_page(page: Page, content: bytes) -> bytes:
        nonlocal result
        picture = read_picture(
            content,
            max_pixels=options.max_pixels,
            allow_truncated=options.allow_truncated,
            name=page.source,
        )

        def on_share(share: float) -> None:
            report(Progress(job.source, (page.number + share) / page.count))

        try:
            page_job = Job(page.source, STDIO, page.format)
            target, _ = prepare_output(picture, page_job, group)
            if page.number == 0:
                first = picture.frames[0].pixels
                result = with_device(replace(result, pages=page.count), pipeline, first)
                result = with_sizes(result, picture, group.size)
            made = upscale_picture(picture, pipeline, group.size, on_share, verify=options.verify)
            if options.verify:
                page_result = with_deviation(result, made, target, encoding)
                parts = [d for d in (result.deviation, page_result.deviation) if d]
                result = replace(result, deviation=join_deviations(parts))
            made.provenance = provenance_of(picture.frames, group, pipeline, used)
            trim_freed_memory(beyond=TRIM_ABOVE)
            write_picture(made, encoded := io.BytesIO(), target, encoding)
        except SrError as error:
            raise error.about(page.source) from error.__cause__
        notes.extend(note for note in made.notes if note not in notes)
        return encoded.getvalue()

    make_folder(job.target.parent)
    broken = options.skip_existing and os.path.isfile(job.target)
    with atomic_write(job.target, overwrite=options.overwrite or broken) as file:
        copied = rewrite(job.source, file, job.format, options.max_pixels, upscale_page)
    if broken:
        notes.append(Note("unreadable-result-replaced", {"file": str(job.target)}))
    return replace(result, notes=(*copied, *notes))
