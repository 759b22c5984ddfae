"""What a worker does: one image, written to a folder of its own first.

A task that runs twice is harmless: its result appears under its name at once, and only if it is
complete.
"""

from __future__ import annotations

import filecmp
import shutil
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sr_cli.engine.pipeline import Pipeline, build_pipeline
from sr_cli.errors import SrError
from sr_cli.system.files import move_into_place
from sr_cli.system.memory import share_memory
from sr_cli.upscale.executor import Batch, describe_pipeline
from sr_cli.upscale.outputs import Job
from sr_cli.upscale.plan import Group, output_exists
from sr_cli.upscale.request import Event, PipelineReady, Result, UpscaleOptions

_one_at_a_time = threading.Lock()
_cancelled: set[str] = set()
_pipelines: list[tuple[Any, Pipeline]] = []


class _CancelledError(Exception):
    """The run that this task belongs to was given up."""


@dataclass(frozen=True)
class Attempt:
    """One try of one image on one worker.

    Attributes:
        run: A token of the run.
        number: Of the attempt within the run.
        group: The image as a group of one, with the options for this worker.
        sharing: Processes that share the memory of the worker's machine.
        again: Whether an earlier attempt may have written the result.
    """

    run: str
    number: int
    group: Group
    sharing: int = 1
    again: bool = False

    @property
    def job(self) -> Job:
        """The image."""
        return self.group.jobs[0]

    @property
    def folder(self) -> Path:
        """The folder of this attempt, next to the result."""
        return self.job.target.parent / f".sr-{self.run}-{self.number}"


@dataclass(frozen=True)
class Outcome:
    """What an attempt returns.

    Attributes:
        result: Of the image; None if the run was given up.
        ready: How the network computes; None for bicubic.
    """

    result: Result | None
    ready: PipelineReady | None = None


def upscale(attempt: Attempt) -> Outcome:
    """Upscale an image on this worker."""
    with _one_at_a_time:
        _prepare(attempt)
        job, options = attempt.job, attempt.group.options
        staged = attempt.folder / f".image{job.target.suffix}"
        # On the first attempt, an existing result is another program's: skipped or refused.
        if not attempt.again and output_exists(job, options):
            staged = job.target
        options = replace(options, overwrite=True) if staged != job.target else options
        group = replace(attempt.group, jobs=(replace(job, target=staged),), options=options)
        try:
            pipeline = loaded_pipeline(group)
            (result,) = Batch(group, pipeline, watch(attempt.run)).run()
            if result.status == "done":
                publish(staged, job, attempt.group.options)
        except _CancelledError:
            return Outcome(None)
        except SrError as error:
            return Outcome(failed(attempt, error))
        finally:
            shutil.rmtree(attempt.folder, ignore_errors=True)
        if result.error is not None:
            _rename(result.error, staged, job.target)
        ready = describe_pipeline(pipeline, group)
        return Outcome(replace(result, target=job.target), ready)


def cancel(run: str) -> None:
    """Let the tasks of a run on this worker end after their current tile."""
    _cancelled.add(run)


def loaded_pipeline(group: Group) -> Pipeline:
    """The pipeline of a group; the last one is kept for the next image."""
    key = group.refs, group.factor, group.options.engine
    if not _pipelines or _pipelines[0][0] != key:
        _pipelines.clear()
        _pipelines.append((key, build_pipeline(group.refs, group.factor, group.options.engine)))
    return _pipelines[0][1]


def watch(run: str) -> Any:
    """A receiver of events that ends a task whose run was given up."""

    def on_event(_: Event) -> None:
        if run in _cancelled:
            raise _CancelledError

    return on_event


def failed(attempt: Attempt, error: SrError) -> Result:
    """The result of an image that failed."""
    job = attempt.job
    return Result(
        job.source, job.target, "failed", attempt.group.model, error=error.about(job.source)
    )


def _prepare(attempt: Attempt) -> None:
    """Take this worker's share of memory and threads."""
    import cv2

    share_memory(attempt.sharing)
    threads = attempt.group.options.engine.threads
    if threads is not None:
        cv2.setNumThreads(threads)


def publish(staged: Path, job: Job, options: UpscaleOptions) -> None:
    """Give the files of an attempt their names.

    Raises:
        SrError: `already-exists` for another program's file; one with the same content is that of
            an earlier attempt.
    """
    outputs = job.outputs(compare=options.compare)
    for made, path in zip(
        Job(job.source, staged, job.format).outputs(compare=options.compare), outputs, strict=True
    ):
        try:
            move_into_place(made, path, overwrite=options.overwrite)
        except SrError as error:
            if error.code != "already-exists":
                raise
            if not options.skip_existing and not filecmp.cmp(made, path, shallow=False):
                raise


def _rename(error: SrError, staged: Path, target: Path) -> None:
    """Give an error the name that the user knows."""
    names = {str(staged): target, str(staged.parent): target.parent}
    error.subject = str(names.get(error.subject, error.subject))
