"""What a worker does: a few images, written to a folder of their own first.

A task that runs twice is harmless: its result appears under its name at once, and only if it is
complete.
"""

from __future__ import annotations

import filecmp
import os
import shutil
import tempfile
import threading
import time
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sr_cli.engine.pipeline import Pipeline, build_pipeline
from sr_cli.errors import Note, SrError
from sr_cli.imaging.provenance import UsedModel
from sr_cli.system.files import move_into_place
from sr_cli.system.memory import share_memory
from sr_cli.upscale.batch import Batch
from sr_cli.upscale.cluster.bands import JoinedBatch, compute_band, prepare
from sr_cli.upscale.cluster.steps import Band, Join, Preparation, Prepared, Rows, Step
from sr_cli.upscale.executor import describe_pipeline
from sr_cli.upscale.existing import is_readable_result, output_exists
from sr_cli.upscale.groups import Group
from sr_cli.upscale.outputs import Job
from sr_cli.upscale.provenance import used_models
from sr_cli.upscale.remote import address_of, send
from sr_cli.upscale.request import OnEvent, PipelineReady, Progress, Result, UpscaleOptions

_one_at_a_time = threading.Lock()
_cancelled: set[str] = set()
_ending = threading.Event()
_pipelines: list[tuple[Any, tuple[Pipeline, tuple[UsedModel, ...]]]] = []


class _CancelledError(Exception):
    """The run that this task belongs to was given up."""


@dataclass(frozen=True)
class Attempt:
    """One try of a few images, or of a band of one, on one worker.

    Attributes:
        run: A token of the run.
        number: Of the attempt within the run.
        group: The images, with the options for this worker.
        sharing: Processes that share the memory of the worker's machine.
        again: Whether an earlier attempt may have written the result.
        step: What to do of the only image; None for whole images.
    """

    run: str
    number: int
    group: Group
    sharing: int = 1
    again: bool = False
    step: Step | None = None

    @property
    def folders(self) -> set[Path]:
        """The folders of this attempt, next to the results."""
        return {self.folder_of(job) for job in self.group.jobs}

    def folder_of(self, job: Job) -> Path:
        """The folder of this attempt next to a result, or with the bands that it joins."""
        if isinstance(self.step, Join):
            return self.step.folder / f"join-{self.number}"
        parent = tempfile.gettempdir() if address_of(job.target) else job.target.parent
        return Path(parent, f".sr-{self.run}-{self.number}")


@dataclass(frozen=True)
class Outcome:
    """What an attempt returns; nothing if the run was given up.

    Attributes:
        results: Of the images, in order.
        ready: How the network computes; None for bicubic.
        made: Of a step before the last one.
        not_split: Why the image cannot be computed in bands.
        seconds: That it took.
    """

    results: tuple[Result, ...] = ()
    ready: PipelineReady | None = None
    made: Prepared | Rows | None = None
    not_split: str | None = None
    seconds: float = 0.0


def upscale(attempt: Attempt) -> Outcome:
    """Upscale images, or a band of one, on this worker."""
    with _one_at_a_time:
        began = time.perf_counter()
        _prepare(attempt)
        try:
            _check_wanted(attempt.run)
            pipeline, used = _loaded_pipeline(attempt)
            if isinstance(attempt.step, Preparation | Band):
                outcome = _take_step(attempt, attempt.step, pipeline)
            else:
                outcome = _upscale_images(attempt, pipeline, used)
        except _CancelledError:
            return Outcome()
        except SrError as error:
            return Outcome(failed(attempt, error))
        finally:
            for folder in attempt.folders:
                shutil.rmtree(folder, ignore_errors=True)
        return replace(outcome, seconds=time.perf_counter() - began)


def _upscale_images(attempt: Attempt, pipeline: Pipeline, used: tuple[UsedModel, ...]) -> Outcome:
    """Upscale images and the pages of archives; each appears under its name when it is done."""
    group, watch = attempt.group, _watch(attempt.run)
    staged = replace(group, jobs=tuple(_staged(attempt, index) for index in range(len(group.jobs))))
    if isinstance(attempt.step, Join):
        whole = attempt.folder_of(group.jobs[0]) / ".pixels"
        batch: Batch = JoinedBatch(staged, pipeline, used, watch, attempt.step, whole)
    else:
        batch = Batch(staged, pipeline, used, watch)
    made = batch.run()
    results = [
        _published(result, job, group.options, again=attempt.again)
        for job, result in zip(group.jobs, made, strict=True)
    ]
    return Outcome(tuple(results), describe_pipeline(pipeline, group))


def _staged(attempt: Attempt, index: int) -> Job:
    """A job with its result in the folder of the attempt."""
    job = attempt.group.jobs[index]
    # On the first attempt, an existing result is another program's: skipped or refused.
    if not attempt.again and output_exists(job, attempt.group.options):
        return job
    return replace(job, target=attempt.folder_of(job) / f".{index}{job.target.suffix}")


def _published(result: Result, job: Job, options: UpscaleOptions, *, again: bool) -> Result:
    """The result of an image whose files have their names."""
    staged = result.target
    assert staged is not None
    if result.status == "done" and staged != job.target:
        try:
            notes = _publish(staged, job, options, again=again)
            result = replace(result, notes=(*result.notes, *notes))
        except SrError as error:
            result = failed_result(job, result.model, error)
    if result.error is not None:
        names = {str(staged): job.target, str(staged.parent): job.target.parent}
        result.error.subject = str(names.get(result.error.subject, result.error.subject))
    return replace(result, target=job.target)


def _take_step(attempt: Attempt, step: Preparation | Band, pipeline: Pipeline) -> Outcome:
    """Prepare an image for its bands, or compute one of them."""
    group, on_event = attempt.group, _watch(attempt.run)
    (job,) = group.jobs
    file = step.folder / str(attempt.number)

    def report(share: float) -> None:
        on_event(Progress(job.source, share))

    made: Prepared | Rows | str
    try:
        if isinstance(step, Preparation):
            made = prepare(job, group, pipeline, file)
        else:
            made = compute_band(job, group, pipeline, step, file, report)
    except OSError as error:
        reason = error.strerror or str(error)
        raise SrError("unreadable-file", job.source, reason=reason) from error
    ready = describe_pipeline(pipeline, group)
    return Outcome(not_split=made) if isinstance(made, str) else Outcome(ready=ready, made=made)


def cancel(run: str) -> None:
    """Let the tasks of a run on this worker end after their current tile."""
    _cancelled.add(run)


def end(patience: float) -> None:
    """Let all tasks on this worker end after their current tile, and wait for that.

    Args:
        patience: The longest time to wait, in seconds.
    """
    _ending.set()
    _one_at_a_time.acquire(timeout=patience)


def _loaded_pipeline(attempt: Attempt) -> tuple[Pipeline, tuple[UsedModel, ...]]:
    """The pipeline of a group and its models; the last one is kept for the next image of the run.

    A worker may live longer than a run, and a checkpoint may be another one then.
    """
    group = attempt.group
    key = attempt.run, group.refs, group.factor, group.options.engine
    if not _pipelines or _pipelines[0][0] != key:
        _pipelines.clear()
        pipeline = build_pipeline(group.refs, group.factor, group.options.engine)
        _pipelines.append((key, (pipeline, used_models(group))))
    return _pipelines[0][1]


def _watch(run: str) -> OnEvent:
    """A receiver of events that ends a task whose run was given up."""
    return lambda _: _check_wanted(run)


def _check_wanted(run: str) -> None:
    """Check that a run was not given up, here or at all."""
    if run in _cancelled or _ending.is_set():
        raise _CancelledError


def failed(attempt: Attempt, error: SrError) -> tuple[Result, ...]:
    """The results of images that failed for one reason."""
    group = attempt.group
    return tuple(failed_result(job, group.model, copy(error)) for job in group.jobs)


def failed_result(job: Job, model: str, error: SrError) -> Result:
    """The result of an image that failed."""
    return Result(job.source, job.target, "failed", model, error=error.about(job.source))


def _prepare(attempt: Attempt) -> None:
    """Take this worker's share of memory and threads."""
    import cv2

    share_memory(attempt.sharing)
    threads = attempt.group.options.engine.threads
    if threads is not None:
        cv2.setNumThreads(threads)


def _publish(staged: Path, job: Job, options: UpscaleOptions, *, again: bool) -> list[Note]:
    """Give the files of an attempt their names.

    Returns:
        Notes on results that were not readable, and are replaced.

    Raises:
        SrError: `already-exists` for another program's file; one with the same content is that of
            an earlier attempt.
    """
    outputs = job.outputs(compare=options.compare)
    notes: list[Note] = []
    for made, path in zip(
        Job(job.source, staged, job.format).outputs(compare=options.compare), outputs, strict=True
    ):
        broken = (
            options.skip_existing
            and not address_of(path)
            and os.path.isfile(path)
            and not is_readable_result(path, options.max_pixels)
        )
        if broken:
            notes.append(Note("unreadable-result-replaced", {"file": str(path)}))
        try:
            if address_of(path):
                send(made, path, overwrite=options.overwrite or again)
            else:
                move_into_place(made, path, overwrite=options.overwrite or broken)
        except SrError as error:
            if error.code != "already-exists":
                raise
            if address_of(path) or (
                not options.skip_existing and not filecmp.cmp(made, path, shallow=False)
            ):
                raise
    return notes
