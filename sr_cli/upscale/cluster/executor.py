"""`OnWorkers`, the executor that places images on workers, and again when a worker is lost."""

from __future__ import annotations

import queue
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sr_cli.errors import Note, RefusedError, SrError
from sr_cli.registry.ref import ChainRef, FileRef, ModelRef
from sr_cli.upscale.cluster import task
from sr_cli.upscale.cluster.check import existing_folder, make_probe
from sr_cli.upscale.cluster.connect import value_of
from sr_cli.upscale.cluster.options import WorkerOptions
from sr_cli.upscale.cluster.pool import Place, Pool
from sr_cli.upscale.cluster.steps import Band, Join, Preparation, Prepared, Rows
from sr_cli.upscale.cluster.waiting import Item, Split, Waiting
from sr_cli.upscale.executor import InProcess
from sr_cli.upscale.existing import is_same_file, output_exists
from sr_cli.upscale.groups import Group
from sr_cli.upscale.outputs import Job
from sr_cli.upscale.remote import address_of
from sr_cli.upscale.request import OnEvent, Progress, Result, WorkerRate

_MOST_KILLS = 3
"""Workers that may be lost with an image before it is given up."""

_AHEAD = 2
"""Attempts at a worker: the one that it computes, and the next."""

_TOGETHER = 0.5
"""Seconds of work in an attempt, if its images are small enough for several of them."""

_MOST_TOGETHER = 100
"""Images in an attempt."""

_PULSE = 1.0
"""Seconds between looks at which workers are there."""


@dataclass(frozen=True)
class _Sent:
    """Items at a worker."""

    items: tuple[Item, ...]
    attempt: task.Attempt
    place: Place
    future: Any


class OnWorkers:
    """Upscales images on workers. A context manager; workers are started when first needed.

    Each worker has one attempt to compute and the next one, so that the scheduler and the workers
    hold little, however many images there are. An attempt is one image, or several small ones that
    take half a second together. When a worker is lost, its images go to others.
    Results are yielded as they are written, not in the order of the inputs. Clips are upscaled in
    this process before the images.

    Args:
        options: Which workers.
    """

    def __init__(self, options: WorkerOptions) -> None:
        self._options = options
        self._pool: Pool | None = None
        self._run = uuid.uuid4().hex[:12]
        self._number = 0
        self._sent: dict[int, _Sent] = {}
        self._finished: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._leftovers: set[Path] = set()
        self._splits: list[Split] = []
        self._pace = _TOGETHER

    def __enter__(self) -> OnWorkers:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is None:
            return
        if self._sent:
            with suppress(Exception):
                self._pool.client.run(task.cancel, self._run, wait=False)
        self._pool.close()
        # Workers that were killed could not remove what they had begun.
        for sent in self._sent.values():
            self._leftovers |= sent.attempt.folders
        for folder in self._leftovers:
            shutil.rmtree(folder, ignore_errors=True)
        for split in self._splits:
            split.folder.remove()

    def run(self, group: Group, on_event: OnEvent) -> Iterator[Result]:
        """As `Executor.run`.

        Raises:
            RefusedError: `input-replaced`, `cluster-unreachable`, `workers-refused`.
            SrError: `no-workers`, `cluster-lost`, `unwritable-file`, and what reading the weights
                raises.
        """
        if output_exists(group.jobs[0], group.options):
            # Groups of existing results have nothing to compute.
            yield from InProcess().run(group, on_event)
            return
        clips = tuple(job for job in group.jobs if job.is_clip)
        if clips:
            # What is done of a clip stays beside it, to be resumed, whatever happens to a worker.
            yield from InProcess().run(replace(group, jobs=clips), on_event)
            group = replace(group, jobs=tuple(job for job in group.jobs if not job.is_clip))
        if not group.jobs:
            return
        _check_inputs_remain(group)
        group = replace(group, refs=tuple(_absolute(ref) for ref in group.refs))
        self._pool = pool = self._pool or Pool(self._options)
        with _mark(group) as mark:
            pool.begin(make_probe(group, mark), on_event)
            try:
                yield from self._place_all(group, pool, on_event, described=bool(clips))
            except SrError:
                raise
            except Exception as error:
                # Whatever Dask raises of a connection that is gone.
                if pool.client.status == "running":
                    raise
                raise SrError("cluster-lost", pool.address) from error
        for place in pool.places.values():
            seconds = time.monotonic() - place.since
            on_event(WorkerRate(place.worker.name, place.images, seconds))

    def _place_all(
        self, group: Group, pool: Pool, on_event: OnEvent, *, described: bool
    ) -> Iterator[Result]:
        """Keep every worker busy until all images have a result."""
        waiting = Waiting(group.jobs, self._options.split_pixels, self._run)
        looked = time.monotonic()
        while waiting or self._sent:
            self._fill(waiting, group, pool)
            if ended := self._next_outcome(waiting):
                sent, outcome = ended
                if outcome.ready and not described:
                    described = True
                    on_event(outcome.ready)
                yield from self._settle(sent, outcome, waiting, on_event)
            if time.monotonic() - looked > _PULSE:
                for place in pool.refresh(on_event):
                    for lost, failure in self._take_back(place, waiting):
                        yield from self._settle(lost, failure, waiting, on_event)
                looked = time.monotonic()

    def _fill(self, waiting: Waiting, group: Group, pool: Pool) -> None:
        """Give items to workers that have fewer than they should."""
        for depth in range(1, _AHEAD + 1):
            for place in pool.places.values():
                # The last ones go to workers that are free, not into a queue.
                several = depth == 1 or len(waiting) > len(pool.places)
                if waiting and several and len(place.attempts) < depth:
                    share = len(waiting) // (_AHEAD * len(pool.places))
                    most = min(int(_TOGETHER / self._pace), _MOST_TOGETHER, share)
                    self._send(waiting.pop(max(1, most)), place, group, pool)

    def _send(self, items: tuple[Item, ...], place: Place, group: Group, pool: Pool) -> None:
        self._number += 1
        number, worker, item = self._number, place.worker, items[0]
        jobs = tuple(
            replace(job, source=job.source.absolute(), target=job.target.absolute())
            for job in (item.job for item in items)
        )
        engine = pool.engine_for(worker, group.options.engine)
        options = replace(group.options, engine=engine)
        attempt = task.Attempt(
            self._run,
            number,
            replace(group, jobs=jobs, options=options),
            worker.sharing,
            item.again,
            item.step,
        )
        future = pool.client.submit(
            task.upscale, attempt, workers=[worker.address], pure=False, retries=0
        )
        if item.split is not None and isinstance(item.step, Preparation):
            self._splits.append(item.split)
        self._sent[number] = _Sent(items, attempt, place, future)
        place.attempts.append(number)
        future.add_done_callback(lambda _: self._finished.put(number))

    def _next_outcome(self, waiting: Waiting) -> tuple[_Sent, task.Outcome] | None:
        """The next attempt that ended, and what it returned; None after a while."""
        from distributed import KilledWorker

        try:
            number = self._finished.get(timeout=_PULSE)
        except queue.Empty:
            return None
        if number not in self._sent:
            return None
        sent = self._sent[number]
        outcome = value_of(sent.future) if sent.future.status == "finished" else None
        error = sent.future.exception() if sent.future.status == "error" else None
        if isinstance(error, KilledWorker):
            # Workers with a fixed port come back under the same address, unnoticed here.
            outcome = _failure(sent, SrError("worker-killed", kills=_MOST_KILLS))
        elif error is not None:
            said = str(error).splitlines()[0] if str(error) else type(error).__name__
            outcome = _failure(sent, SrError("image-failed", reason=said))
        if outcome is not None:
            self._forget(number)
            if outcome.seconds:
                pace = outcome.seconds / len(sent.items)
                self._pace = max(1e-3, (self._pace + pace) / 2)
            return sent, outcome
        if sent.future.status == "cancelled":
            # The connection to the scheduler was interrupted.
            self._leftovers |= sent.attempt.folders
            self._forget(number)
            waiting.give_back(sent.items)
        elif sent.future.status == "finished":
            self._finished.put(number)
        # Otherwise its worker was lost, as `Pool.refresh` will find.
        return None

    def _forget(self, number: int) -> None:
        self._sent.pop(number).place.attempts.remove(number)

    def _take_back(self, place: Place, waiting: Waiting) -> Iterator[tuple[_Sent, task.Outcome]]:
        """The items of a lost worker wait again; yields one that was lost too often.

        Of several images, nobody knows with which one the worker was lost: no one is counted.
        """
        for index, number in enumerate(place.attempts):
            sent = self._sent.pop(number)
            sent.future.cancel()
            self._leftovers |= sent.attempt.folders
            item = sent.items[0]
            item.kills += index == 0 and len(sent.items) == 1
            if item.kills >= _MOST_KILLS:
                yield sent, _failure(sent, SrError("worker-killed", kills=_MOST_KILLS))
            else:
                waiting.give_back(sent.items)

    def _settle(
        self, sent: _Sent, outcome: task.Outcome, waiting: Waiting, on_event: OnEvent
    ) -> Iterator[Result]:
        """The result of an image, or the next step of one that is computed in bands."""
        item, split = sent.items[0], sent.items[0].split
        if split is None or isinstance(item.step, Join):
            there = sent.attempt.group.jobs
            for one, job, result in zip(sent.items, there, outcome.results, strict=True):
                sent.place.images += 1
                yield _as_planned(result, one, job)
            if split is not None:
                split.folder.remove()
        elif split.ended:
            # Another of its bands failed.
            pass
        elif outcome.results:
            split.ended = True
            waiting.drop(split)
            split.folder.remove()
            yield _as_planned(outcome.results[0], item, sent.attempt.group.jobs[0])
        else:
            _continue(item, split, outcome, waiting)
            on_event(Progress(item.job.source, split.share_done))


def _continue(item: Item, split: Split, outcome: task.Outcome, waiting: Waiting) -> None:
    """Let the next step of an image that is computed in bands wait, or all of the image."""
    reason = outcome.not_split
    if isinstance(outcome.made, Prepared):
        waiting.add(*(Item(item.job, split=split, step=s) for s in split.bands(outcome.made)))
    elif isinstance(outcome.made, Rows) and isinstance(item.step, Band):
        split.rows[item.step.share.index] = outcome.made
        if len(split.rows) == split.count:
            split.ended = True
            if join := split.joined():
                waiting.add(Item(item.job, split=split, step=join))
            else:
                reason = "halo"
    if reason:
        split.ended = True
        split.folder.remove()
        waiting.add(Item(item.job, notes=(Note("not-split", {"reason": reason}),)))


def _failure(sent: _Sent, error: SrError) -> task.Outcome:
    return task.Outcome(task.failed(sent.attempt, error))


@contextmanager
def _mark(group: Group) -> Iterator[Path | None]:
    """A file in the folder of the results, by which workers recognise it; None in a store."""
    if address_of(group.jobs[0].target):
        yield None
        return
    folder = existing_folder(group.jobs[0].target)
    try:
        with tempfile.NamedTemporaryFile(prefix=".sr-", suffix=".tmp", dir=folder) as file:
            yield Path(file.name)
    except OSError as error:
        raise SrError("unwritable-file", folder, reason=error.strerror or str(error)) from error


def _check_inputs_remain(group: Group) -> None:
    """Check that no input is overwritten: a second attempt would upscale its own result."""
    for job in group.jobs if group.options.overwrite else ():
        if is_same_file(job.source, job.target):
            raise RefusedError("input-replaced", job.source)


def _absolute(ref: ModelRef) -> ModelRef:
    """The model with the absolute path of its file: workers may be in another folder."""
    if isinstance(ref, ChainRef):
        return replace(ref, parts=tuple(_absolute(part) for part in ref.parts))
    return replace(ref, path=ref.path.absolute()) if isinstance(ref, FileRef) else ref


def _as_planned(result: Result, item: Item, there: Job) -> Result:
    """The result with the names as they were planned, not as the worker saw them."""
    planned = item.job
    names = {there.source: planned.source, there.target.parent: planned.target.parent}

    def as_planned(name: str) -> str:
        for folder, wanted in names.items():
            if Path(name).is_relative_to(folder):
                return str(wanted / Path(name).relative_to(folder))
        return name

    error = result.error
    if error is not None:
        error.subject = as_planned(error.subject)
    notes = [
        Note(n.kind, {k: as_planned(v) if k == "file" else v for k, v in n.facts.items()})
        for n in (*result.notes, *item.notes)
    ]
    seconds = time.monotonic() - item.split.began if item.split else result.seconds
    return replace(
        result,
        source=planned.source,
        target=planned.target,
        error=error,
        notes=tuple(notes),
        seconds=seconds,
    )
