"""The images of a group through one pipeline: decoding, upscaling and encoding overlap."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

from sr_cli.engine.frames import upscale_picture
from sr_cli.engine.pipeline import OnShare, Pipeline, build_pipeline
from sr_cli.errors import SrError
from sr_cli.imaging.decode import read_size
from sr_cli.imaging.picture import Picture
from sr_cli.imaging.provenance import UsedModel
from sr_cli.registry.faithful import FAITHFUL, is_faithful
from sr_cli.registry.ref import parse_model
from sr_cli.system.cores import available_cores
from sr_cli.system.memory import TRIM_ABOVE, trim_freed_memory
from sr_cli.upscale.adaptation import SHARE, adapt_to
from sr_cli.upscale.existing import output_exists
from sr_cli.upscale.groups import Group
from sr_cli.upscale.inputs import STDIO
from sr_cli.upscale.outputs import Job
from sr_cli.upscale.preparation import is_raster_job, prepare_output, read_input
from sr_cli.upscale.provenance import (
    provenance_of,
    used_models,
    with_deviation,
    with_device,
    with_sizes,
)
from sr_cli.upscale.remote import address_of, fetched, send
from sr_cli.upscale.request import Event, OnEvent, Progress, Result
from sr_cli.upscale.writing import encoding_of, write_result

_OVERLAP_PIXELS = 24_000_000
"""Larger images and results are processed one at a time, to limit memory; as many pixels wait to
be written."""

RunJob = Callable[[Job, Group, Pipeline, Result, Callable[[Event], None]], Result]
"""Does a whole job that is not one image in memory, and completes its result."""


class _CallerError(Exception):
    """What a caller's `on_event` raised, on its way out of the engine."""


@dataclass(frozen=True)
class _Writing:
    """An image that is being encoded, with its result so far and its pixels."""

    result: Result
    pixels: int
    done: Future[Result]


class Batch:
    """The images of a group through one pipeline.

    Args:
        group: The images.
        pipeline: Of the group.
        used: From `used_models`.
        on_event: Called with progress.
    """

    def __init__(
        self, group: Group, pipeline: Pipeline, used: tuple[UsedModel, ...], on_event: OnEvent
    ) -> None:
        self._group = group
        self._options = group.options
        self._pipeline = pipeline
        self._on_event = on_event
        self._readers = ThreadPoolExecutor(1, "decode")
        self._writers = ThreadPoolExecutor(available_cores(), "encode")
        self._read_ahead: tuple[Job, Future[Picture]] | None = None
        self._writing: deque[_Writing] = deque()
        self._used = used

    def run(self) -> Iterator[Result]:
        jobs = self._group.jobs
        try:
            for index, job in enumerate(jobs):
                following = jobs[index + 1] if index + 1 < len(jobs) else None
                yield from self._process(job, following)
            yield from self._finish_writes(None)
        finally:
            for pool in (self._readers, self._writers):
                pool.shutdown(wait=True, cancel_futures=True)

    def _process(self, job: Job, following: Job | None) -> Iterator[Result]:
        """Upscale an image and pass it to the writer; yields results finished meanwhile."""
        began = time.perf_counter()
        result = Result(job.source, job.target, "done", self._group.model)
        try:
            if self._is_skipped(job):
                result = replace(result, status="skipped", reason="exists")
            elif run := self._run_of(job):
                yield from self._finish_writes(None)
                result = self._run_whole(run, job, result)
                result = replace(result, notes=(*job.notes, *result.notes))
            else:
                picture = self._next_picture(job)
                self._choose_faithful(picture)
                result = replace(result, model=self._group.model)
                target, (width, height) = prepare_output(picture, job, self._group)
                result = with_sizes(result, picture, self._group.size)
                result = with_device(result, self._pipeline, picture.frames[0].pixels)
                larger = max(width * height, *(f.width * f.height for f in picture.frames))
                pixels = larger * len(picture.frames)
                overlaps = pixels <= _OVERLAP_PIXELS
                if not overlaps:
                    yield from self._finish_writes(None)
                elif following and self._can_read_ahead(following):
                    ahead = self._readers.submit(read_input, following, self._options)
                    self._read_ahead = following, ahead
                pipeline, steps = self._adapted(picture, job)
                made = upscale_picture(
                    picture,
                    pipeline,
                    self._group.size,
                    self._reporter(job, SHARE if self._options.adapt else 0.0),
                    verify=self._options.verify,
                )
                made.provenance = provenance_of(
                    picture.frames, self._group, self._pipeline, self._used, adapted=steps
                )
                if self._options.verify:
                    result = with_deviation(result, made, target, encoding_of(self._options))
                trim_freed_memory(beyond=TRIM_ABOVE)
                original = picture if self._options.compare else None
                del picture
                yield from self._finish_writes(pixels)
                write = self._writers.submit(
                    write_result, made, original, job, target, result, began, self._options
                )
                self._writing.append(_Writing(result, pixels, write))
                del made, original
                if not overlaps:
                    yield from self._finish_writes(None)
                return
        except _CallerError as error:
            assert error.__cause__ is not None
            raise error.__cause__ from None
        except BrokenPipeError:
            # The reader of stdout is gone: that is no failure of the image.
            raise
        except Exception as error:
            result = replace(result, status="failed", error=_as_sr_error(error, job))
        yield from self._finish_writes(None)
        yield replace(result, seconds=time.perf_counter() - began)

    def _run_of(self, job: Job) -> RunJob | None:
        """What does a job that is not one image in memory; imported for such jobs alone."""
        if is_raster_job(job, self._options, self._pipeline):
            from sr_cli.upscale.raster_job import upscale_raster_job

            return upscale_raster_job
        if job.is_archive:
            from sr_cli.upscale.archive_batch import upscale_archive_job

            return upscale_archive_job
        if job.into_folder:
            from sr_cli.upscale.clip_images import write_clip_images

            return write_clip_images
        if job.is_clip:
            from sr_cli.upscale.clips import upscale_clip_job

            return upscale_clip_job
        return None

    def _run_whole(self, run: RunJob, job: Job, result: Result) -> Result:
        """Upscale an archive or a clip; archives also from and to a store."""
        if job.is_clip and (address_of(job.source) or address_of(job.target)):
            raise SrError("clip-in-store", job.source)
        with fetched(job.source) as source:
            result = run(
                replace(job, source=source), self._group, self._pipeline, result, self._report
            )
        send(job.target, job.target, overwrite=self._options.overwrite)
        return result

    def _finish_writes(self, pixels: int | None) -> Iterator[Result]:
        """Yield the results of images that are written, in order.

        Args:
            pixels: Of an image that is to be written next: waits until there is room for it. None
                waits for all that are being written.
        """
        while self._writing:
            waiting = sum(writing.pixels for writing in self._writing)
            has_room = pixels is not None and waiting + pixels <= _OVERLAP_PIXELS
            if has_room and not self._writing[0].done.done():
                return
            writing = self._writing.popleft()
            try:
                yield writing.done.result()
            except BrokenPipeError:
                raise
            except Exception as error:
                result = writing.result
                job = Job(result.source, result.target or STDIO, None)
                yield replace(result, status="failed", error=_as_sr_error(error, job))

    def _is_skipped(self, job: Job) -> bool:
        """Whether to skip an existing result. Raises SrError if it must not be overwritten."""
        if not output_exists(job, self._options):
            return False
        if self._options.skip_existing:
            return True
        outputs = job.outputs(compare=self._options.compare)
        raise SrError(
            "already-exists", next(p for p in outputs if os.path.exists(p)), hint="or-skip"
        )

    def _next_picture(self, job: Job) -> Picture:
        """The decoded image of a job, if it was read ahead; otherwise read it now."""
        ahead, self._read_ahead = self._read_ahead, None
        return ahead[1].result() if ahead and ahead[0] is job else read_input(job, self._options)

    def _choose_faithful(self, picture: Picture) -> None:
        """Note which model a measured image gets, after another choice for one from stdin.

        That of a file was made by its header.
        """
        group = self._group
        if not picture.measured:
            return
        faithful = all(is_faithful(ref) for ref in group.refs)
        if group.by_default and not faithful:
            refs = (parse_model(FAITHFUL),)
            factor = group.size.factor or group.factor
            self._group = replace(group, refs=refs, model=refs[0].name, factor=factor)
            self._pipeline = build_pipeline(refs, factor, self._options.engine)
            self._used = used_models(self._group)
        picture.notes += self._group.notes_on_measured()

    def _can_read_ahead(self, job: Job) -> bool:
        """Whether to read ahead: not stdin, which Ctrl-C must interrupt, and not large images."""
        if job.source == STDIO or job.is_archive or job.is_clip:
            return False
        if is_raster_job(job, self._options):
            return False
        if output_exists(job, self._options):
            return False
        size = read_size(job.source)
        return size is None or size[0] * size[1] <= _OVERLAP_PIXELS

    def _adapted(self, picture: Picture, job: Job) -> tuple[Pipeline, int]:
        """The pipeline for an image, and the steps in which its network is tuned to it."""

        def report(share: float) -> None:
            self._report(Progress(job.source, share * SHARE))

        return adapt_to(picture, self._pipeline, self._group, report)

    def _reporter(self, job: Job, before: float) -> OnShare:
        """What reports the share of an image that is done, after the share of what came before."""
        return lambda share: self._report(Progress(job.source, before + share * (1 - before)))

    def _report(self, event: Event) -> None:
        try:
            self._on_event(event)
        except Exception as error:
            # The caller's own error is no failure of the image.
            raise _CallerError from error


def _as_sr_error(error: Exception, job: Job) -> SrError:
    """Convert any exception to an SrError about the image, so that the batch continues."""
    if isinstance(error, SrError):
        return error.about(job.source)
    if isinstance(error, MemoryError):
        return SrError("image-out-of-memory", job.source)
    if isinstance(error, OSError):
        reason = error.strerror or str(error)
        # Files report their own errors: what is left are the streams.
        if job.target == STDIO:
            return SrError("unwritable-file", "stdout", reason=reason)
        return SrError("unreadable-file", job.source, reason=reason)
    said = str(error).splitlines()[0] if str(error) else type(error).__name__
    return SrError("image-failed", job.source, reason=said)
