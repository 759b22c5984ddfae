"""A TIFF that is read and written in windows as one job among images."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sr_cli.engine.frames import only_shrinks
from sr_cli.engine.pipeline import BicubicPipeline, OnShare, Pipeline
from sr_cli.engine.raster import Findings, RasterSource, examine, upscale_raster
from sr_cli.engine.rows import ReadRows
from sr_cli.errors import Note
from sr_cli.imaging.codecs.tiff_samples import SampleReader
from sr_cli.imaging.codecs.tiff_tiles import Layout
from sr_cli.imaging.encode import prepare_metadata
from sr_cli.imaging.formats import Encoding, Format
from sr_cli.imaging.picture import Frame
from sr_cli.imaging.raster import (
    Raster,
    RasterWriter,
    has_alpha,
    opened_raster,
)
from sr_cli.system.files import atomic_write
from sr_cli.upscale.outputs import Job
from sr_cli.upscale.preparation import prepare_output
from sr_cli.upscale.provenance import provenance_of, used_models, with_device, with_sizes
from sr_cli.upscale.request import Event, Progress, Result

if TYPE_CHECKING:
    from sr_cli.upscale.groups import Group


@contextmanager
def prepared_raster(job: Job, group: Group) -> Iterator[tuple[Raster, Format, tuple[int, int]]]:
    """Open the TIFF of a job, whose result fits its format and the disk.

    Args:
        job: For which `is_raster_job` is true.
        group: Of the job.

    Yields:
        The TIFF, the format, and (width, height) of the result.

    Raises:
        SrError: What `opened_raster` and `prepare_output` raise.
    """
    options = group.options
    # The limit is for what is decoded at once.
    unlimited = replace(group, options=replace(options, max_pixels=sys.maxsize))
    with opened_raster(
        job.source, options.max_pixels, allow_truncated=options.allow_truncated
    ) as raster:
        yield raster, *prepare_output(raster.picture, job, unlimited)


Computed = tuple[Findings, Callable[[tuple[int, ...], np.dtype[Any]], ReadRows]]
"""What was found of the samples, and what gives a reader for the rows of a result by its shape."""


def upscale_raster_job(
    job: Job,
    group: Group,
    pipeline: Pipeline,
    result: Result,
    report: Callable[[Event], None],
    *,
    computed: Computed | None = None,
) -> Result:
    """Upscale a TIFF in windows.

    Args:
        job: For which `preparation.is_raster_job` is true.
        group: Of the job.
        pipeline: Of the group.
        result: To be completed.
        report: Called with progress.
        computed: The rows of the result, if they only have to be written.

    Raises:
        SrError: What `prepared_raster` and `atomic_write` raise.
    """
    began = time.perf_counter()
    options = group.options
    broken = options.skip_existing and os.path.isfile(job.target)
    with prepared_raster(job, group) as (raster, target, (width, height)):
        picture = raster.picture
        frame = picture.frames[0]
        result = with_device(with_sizes(result, picture, group.size), pipeline, frame.pixels)
        made = replace(picture, frames=[_stand_in(frame, width, height)])
        if picture.measured:
            made.notes += group.notes_on_measured()
        made.provenance = provenance_of(picture.frames, group, pipeline, used_models(group))
        encoding = Encoding(options.quality, options.lossless, options.strip)
        if only_shrinks(frame, pipeline, group.size):
            pipeline = BicubicPipeline(pipeline.wrap)
        with atomic_write(job.target, overwrite=options.overwrite or broken) as file:
            metadata = prepare_metadata(made, target, encoding)
            writer = RasterWriter(file, raster.layout, metadata, frame.nodata)
            findings = _write(
                writer,
                raster,
                pipeline,
                (height, width),
                lambda share: report(Progress(job.source, share)),
                computed,
            )
    notes = [*made.notes, *writer.notes, *findings.notes, *_notes_on_bands(frame)]
    if broken:
        notes.append(Note("unreadable-result-replaced", {"file": str(job.target)}))
    return replace(result, notes=tuple(notes), seconds=time.perf_counter() - began)


def _write(
    writer: RasterWriter,
    raster: Raster,
    pipeline: Pipeline,
    size: tuple[int, int],
    on_share: OnShare,
    computed: Computed | None,
) -> Findings:
    """Write the result, and reduced copies where the input has them, each from the one before."""
    nodata = raster.picture.frames[0].nodata
    source = samples_of(raster)
    if computed is None:
        findings = examine(source)
        read = upscale_raster(source, findings, pipeline, size, on_share).read
    else:
        findings, reader_of = computed
        read = reader_of((*size, source.shape[2]), source.dtype)
    writer.write(size, read)
    if raster.mask is not None:
        writer.write_mask(size, raster.mask)
    for factor in raster.overviews:
        smaller = -(-size[0] // factor), -(-size[1] // factor)
        with writer.last_page() as (page, mask):
            above = _samples(page, mask, raster.layout, nodata)
            writer.write(smaller, upscale_raster(above, findings, BicubicPipeline(), smaller).read)
            if mask is not None:
                writer.write_mask(smaller, mask)
    return findings


def samples_of(raster: Raster) -> RasterSource:
    """The samples of a TIFF."""
    nodata = raster.picture.frames[0].nodata
    return _samples(raster.reader, raster.mask, raster.layout, nodata)


def _samples(
    reader: SampleReader, mask: SampleReader | None, layout: Layout, nodata: float | None
) -> RasterSource:
    def read_masked(first: int, last: int) -> NDArray[Any]:
        assert mask is not None
        rows = reader.read(first, last)
        valid = mask.read(first, last)[..., :1] != 0
        return np.concatenate([rows, valid.astype(rows.dtype)], axis=2)

    return RasterSource(
        reader.shape,
        reader.dtype,
        layout.colours,
        has_alpha(layout),
        nodata,
        reader.rows,
        read_masked if mask is not None else reader.read,
        is_masked=mask is not None,
    )


def _stand_in(frame: Frame, width: int, height: int) -> Frame:
    """A frame of the size of the result, without memory for its pixels."""
    shape = height, width, *frame.pixels.shape[2:]
    return replace(frame, pixels=np.broadcast_to(frame.pixels.dtype.type(0), shape))


def _notes_on_bands(frame: Frame) -> list[Note]:
    """How samples are upscaled, where there are bands."""
    count = len(frame.bands)
    if not count:
        return []
    if frame.pixels.ndim == 3:
        return [Note("bands-beside-colour", {"count": count})]
    return [Note("bands-alone", {"count": 1 + count})]
