"""Executors, which take groups of jobs and yield results as they are written.

`InProcess` overlaps decoding, upscaling and encoding in this process. Groups are plain data, so
that other executors (worker processes, a cluster) could take the same groups.
"""

from __future__ import annotations

import io
import os
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Protocol

from sr_cli.engine.frames import upscale_picture
from sr_cli.engine.options import EngineOptions
from sr_cli.engine.pipeline import OnShare, Pipeline, build_pipeline
from sr_cli.engine.size import passes_for
from sr_cli.errors import Note, SrError
from sr_cli.imaging.decode import read_size
from sr_cli.imaging.encode import write_picture
from sr_cli.imaging.formats import (
    Encoding,
    Format,
)
from sr_cli.imaging.picture import Picture
from sr_cli.imaging.provenance import UsedModel
from sr_cli.registry.ref import FAITHFUL, ModelRef, is_faithful, parse_model
from sr_cli.system.files import atomic_write
from sr_cli.system.memory import TRIM_ABOVE, trim_freed_memory
from sr_cli.upscale.adaptation import SHARE, adapt_to
from sr_cli.upscale.inputs import STDIO
from sr_cli.upscale.outputs import Job
from sr_cli.upscale.plan import Group, is_readable_result, output_exists
from sr_cli.upscale.preparation import prepare_output, read_input
from sr_cli.upscale.provenance import (
    provenance_of,
    used_models,
    with_deviation,
    with_device,
    with_sizes,
)
from sr_cli.upscale.raster_job import is_raster_job, upscale_raster_job
from sr_cli.upscale.remote import address_of, fetched, send
from sr_cli.upscale.request import (
    Event,
    OnEvent,
    PipelineReady,
    Progress,
    Result,
    UpscaleOptions,
)

_OVERLAP_PIXELS = 24_000_000
"""Larger images and results are processed one at a time, to limit memory."""

_PipelineKey = tuple[tuple[ModelRef, ...], float, EngineOptions]
RunJob = Callable[[Job, Group, Pipeline, Result, Callable[[Event], None]], Result]
"""Does a whole job that is not one image in memory, and completes its result."""


class _CallerError(Exception):
    """What a caller's `on_event` raised, on its way out of the engine."""


class Executor(Protocol):
    """Anything that upscales the images of a group."""

    def run(self, group: Group, on_event: OnEvent) -> Iterator[Result]:
        """Upscale the images of a group, yielding results in order as they are written.

        An image that fails becomes a result with an error. Errors that affect all images, such as
        a model that cannot be loaded, are raised.
        """
        ...


class InProcess:
    """Upscales images in this process.

    While one image is upscaled, the next is decoded and the previous one encoded; large images are
    processed one at a time. An interruption finishes the file that is being written, and leaves no
    partial files.

    Args:
        keep: How many pipelines stay loaded for later groups.
    """

    def __init__(self, keep: int = 0) -> None:
        self._keep = keep
        self._kept: list[tuple[_PipelineKey, Pipeline, tuple[UsedModel, ...]]] = []

    def run(self, group: Group, on_event: OnEvent) -> Iterator[Result]:
        """As `Executor.run`."""
        pipeline, used = self._load(group, on_event)
        yield from Batch(group, pipeline, used, on_event).run()

    def _load(self, group: Group, on_event: OnEvent) -> tuple[Pipeline, tuple[UsedModel, ...]]:
        """The pipeline of a group and the models in it; described where it was not kept."""
        key = group.refs, group.factor, group.options.engine
        for kept, pipeline, used in self._kept:
            if kept == key:
                return pipeline, used
        if self._keep:
            # Before the next one is loaded: both might not fit into memory.
            del self._kept[: max(0, 1 + len(self._kept) - self._keep)]
        pipeline, used = build_pipeline(*key), used_models(group)
        if ready := describe_pipeline(pipeline, group):
            on_event(ready)
        if self._keep:
            self._kept.append((key, pipeline, used))
        return pipeline, used


def describe_pipeline(pipeline: Pipeline, group: Group) -> PipelineReady | None:
    """Describe how the images are computed; None for bicubic."""
    if not pipeline.upscalers:
        return None
    from sr_cli.engine.device import DTYPE_NAMES

    first, last = pipeline.upscalers[0], pipeline.upscalers[-1]
    factor = None if group.size.max_side else group.size.factor
    return PipelineReady(
        factor,
        last.scale,
        1 if factor is None or last.scale == 1 else passes_for(factor, last.scale),
        str(first.device),
        DTYPE_NAMES[first.dtype],
        first.tile,
        first.halo,
        tuple(note for u in pipeline.upscalers for note in u.notes),
    )


@dataclass(frozen=True)
class _Writing:
    """An image that is being encoded, with its result so far."""

    result: Result
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
        self._writers = ThreadPoolExecutor(1, "encode")
        self._read_ahead: tuple[Job, Future[Picture]] | None = None
        self._writing: _Writing | None = None
        self._used = used

    def run(self) -> Iterator[Result]:
        jobs = self._group.jobs
        try:
            for index, job in enumerate(jobs):
                following = jobs[index + 1] if index + 1 < len(jobs) else None
                yield from self._process(job, following)
            yield from self._wait_for_write()
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
                yield from self._wait_for_write()
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
                overlaps = larger * len(picture.frames) <= _OVERLAP_PIXELS
                if not overlaps:
                    yield from self._wait_for_write()
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
                    result = with_deviation(result, made, target, _encoding(self._options))
                trim_freed_memory(beyond=TRIM_ABOVE)
                original = picture if self._options.compare else None
                del picture
                yield from self._wait_for_write()
                write = self._writers.submit(
                    self._write, made, original, job, target, result, began
                )
                self._writing = _Writing(result, write)
                del made, original
                if not overlaps:
                    yield from self._wait_for_write()
                return
        except _CallerError as error:
            assert error.__cause__ is not None
            raise error.__cause__ from None
        except BrokenPipeError:
            # The reader of stdout is gone: that is no failure of the image.
            raise
        except Exception as error:
            result = replace(result, status="failed", error=_as_sr_error(error, job))
        yield from self._wait_for_write()
        yield replace(result, seconds=time.perf_counter() - began)

    def _run_of(self, job: Job) -> RunJob | None:
        """What does a job that is not one image in memory; imported for such jobs alone."""
        if is_raster_job(job, self._options, self._pipeline):
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

    def _wait_for_write(self) -> Iterator[Result]:
        """Wait for the image that is being written, and yield its result."""
        writing, self._writing = self._writing, None
        if writing is None:
            return
        result = writing.result
        try:
            yield writing.done.result()
        except BrokenPipeError:
            raise
        except Exception as error:
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

    def _write(
        self,
        made: Picture,
        original: Picture | None,
        job: Job,
        target: Format,
        result: Result,
        began: float,
    ) -> Result:
        options = self._options
        encoding = _encoding(options)
        sheet = None
        if original is not None:
            from sr_cli.upscale.comparison import side_by_side

            sheet = side_by_side(original, made)
        if job.target == STDIO:
            buffer = io.BytesIO()
            write_picture(made, buffer, target, encoding)
            left = buffer.getbuffer()
            while left:
                # An unbuffered stream may write only a part, and returns its length.
                left = left[sys.stdout.buffer.write(left) :]
            sys.stdout.buffer.flush()
        else:
            for path, content in ((job.target, made), (job.comparison, sheet)):
                if content is None or (
                    options.skip_existing and is_readable_result(path, options.max_pixels)
                ):
                    continue
                broken = options.skip_existing and os.path.isfile(path)
                if broken:
                    made.notes.append(Note("unreadable-result-replaced", {"file": str(path)}))
                with atomic_write(path, overwrite=options.overwrite or broken) as file:
                    write_picture(content, file, target, encoding)
                send(path, path, overwrite=options.overwrite)
        return replace(
            result,
            notes=(*job.notes, *made.notes),
            seconds=time.perf_counter() - began,
        )


def _encoding(options: UpscaleOptions) -> Encoding:
    return Encoding(options.quality, options.lossless, options.strip)


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
