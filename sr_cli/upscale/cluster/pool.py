"""The workers of a run: those that are there, fit for the work, and what each has to do."""

from __future__ import annotations

import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from typing import Any

from sr_cli.engine.options import EngineOptions
from sr_cli.errors import RefusedError, SrError
from sr_cli.system.cores import available_cores
from sr_cli.upscale.cluster.check import (
    Facts,
    Probe,
    describe_here,
    describe_worker,
    difference,
    most_common,
)
from sr_cli.upscale.cluster.connect import Worker, connect, value_of, workers_of
from sr_cli.upscale.cluster.options import WorkerOptions
from sr_cli.upscale.request import OnEvent, WorkerJoined, WorkerLeft, WorkerLeftOut

_CHECK_PATIENCE = 120.0
"""Seconds that a worker may take to import PyTorch and to measure its precisions."""

_NO_WORKERS = 60.0
"""Seconds to wait for workers, at first and after the last one was lost, and for the scheduler."""


_BLINK = 0.05


@dataclass
class Place:
    """A worker with the numbers of its attempts, the first of which it computes."""

    worker: Worker
    attempts: list[int] = field(default_factory=list)
    images: int = 0
    since: float = field(default_factory=time.monotonic)


@dataclass(frozen=True)
class _Asked:
    """A worker that is being checked."""

    worker: Worker
    answer: Any
    until: float


class Pool:
    """The workers that may be used, connected until `close`.

    Args:
        options: Which workers.
    """

    def __init__(self, options: WorkerOptions) -> None:
        self._options = options
        self._stack = ExitStack()
        self.client, self._processes = self._stack.enter_context(connect(options))
        self.places: dict[str, Place] = {}
        self._asked: dict[str, _Asked] = {}
        self._known: set[str] = set()
        self._unfit: set[str] = set()
        self._present = time.monotonic()
        self._probe: Probe | None = None
        self._wanted: Facts | None = None
        self._compute = ""

    @property
    def address(self) -> str:
        """Of the scheduler, for the user."""
        return self._options.cluster or "127.0.0.1"

    def close(self) -> None:
        """End the workers of this machine, or the connection to others."""
        self._stack.close()

    def begin(self, probe: Probe, on_event: OnEvent) -> None:
        """Check all workers for a group of images.

        Raises:
            RefusedError: `workers-refused`, if one is not fit and `some` is not set, or if none is.
            SrError: `no-workers`, `cluster-lost`, and what reading the weights raises.
        """
        self._probe, self._wanted, self._compute = probe, describe_here(probe), ""
        for known in (self.places, self._asked, self._known, self._unfit):
            known.clear()
        until = time.monotonic() + _NO_WORKERS
        facts: dict[Worker, Facts] = {}
        while self._asked or len(facts) + len(self._unfit) < self._options.processes:
            self._ask_new_workers()
            if not self._asked and time.monotonic() > until:
                if facts:
                    break
                raise self._no_workers()
            time.sleep(_BLINK)
            facts |= self._answers(on_event)
        # Those that are left out for another reason have no say in the precision.
        fit = [found for found in facts.values() if difference(found, self._wanted) is None]
        self._compute = most_common(fit)
        self._admit(facts, on_event)
        if self._unfit and (not self._options.some or not self.places):
            workers = len(self._unfit) + len(self.places)
            raise RefusedError("workers-refused", unfit=len(self._unfit), workers=workers)
        self._present = time.monotonic()

    def refresh(self, on_event: OnEvent) -> list[Place]:
        """Notice workers that came or went.

        Returns:
            Those that went, with their attempts.

        Raises:
            SrError: `no-workers`, `cluster-lost`.
        """
        found = self._ask_new_workers()
        if found is None:
            return []
        gone = [self.places.pop(a) for a in list(self.places) if a not in found]
        for place in gone:
            on_event(WorkerLeft(place.worker.name))
        self._admit(self._answers(on_event), on_event)
        if self.places or self._asked:
            self._present = time.monotonic()
        elif self._absent() > _NO_WORKERS:
            raise self._no_workers()
        return gone

    def engine_for(self, worker: Worker, engine: EngineOptions) -> EngineOptions:
        """The options of the engine for a worker: its device, and its part of the threads."""
        o = self._options
        threads = engine.threads
        if threads is None:
            own = max(1, available_cores() // o.processes)
            threads = own if o.cluster is None else worker.threads
        device = engine.device
        if o.devices and worker.name.isdigit():
            # Workers of this machine are named by their number, also after a restart.
            device = o.devices[int(worker.name) % len(o.devices)]
        return replace(engine, threads=threads, device=device)

    def _absent(self) -> float:
        return time.monotonic() - self._present

    def _no_workers(self) -> SrError:
        hint = "cluster" if self._options.cluster else None
        return SrError("no-workers", self.address, hint=hint, seconds=int(_NO_WORKERS))

    def _ask_new_workers(self) -> dict[str, Worker] | None:
        """Send the probe to workers that were not there before.

        Returns:
            All workers that are there; None if the scheduler does not answer now.

        Raises:
            SrError: `cluster-lost`.
        """
        found = None
        if self.client.status == "running":
            with suppress(OSError, RuntimeError):
                found = workers_of(self.client)
        if found is None:
            if self.client.status == "closed" or self._absent() > _NO_WORKERS:
                raise SrError("cluster-lost", self.address)
            return None
        if self._processes is not None:
            self._processes.start_missing({worker.name for worker in found.values()})
        for gone in self._asked.keys() - found.keys():
            del self._asked[gone]
        assert self._probe is not None
        new, self._known = found.keys() - self._known, set(found)
        for address in new:
            probe = replace(self._probe, engine=self.engine_for(found[address], self._probe.engine))
            answer = self.client.submit(describe_worker, probe, workers=[address], pure=False)
            until = time.monotonic() + _CHECK_PATIENCE
            self._asked[address] = _Asked(found[address], answer, until)
        return found

    def _answers(self, on_event: OnEvent) -> dict[Worker, Facts]:
        """What workers have answered by now; those that cannot answer are reported."""
        facts: dict[Worker, Facts] = {}
        for address, asked in list(self._asked.items()):
            problem = None
            if asked.answer.status == "finished" and (found := value_of(asked.answer)):
                facts[asked.worker] = found
            elif asked.answer.status == "error":
                # A worker without sr cannot even read the question.
                problem = _as_sr_error(asked.answer.exception())
            elif time.monotonic() > asked.until:
                problem = SrError("worker-failed", reason=f"no answer in {_CHECK_PATIENCE:g} s")
            else:
                continue
            del self._asked[address]
            if problem is not None:
                self._unfit.add(address)
                on_event(WorkerLeftOut(asked.worker.name, problem))
        return facts

    def _admit(self, facts: dict[Worker, Facts], on_event: OnEvent) -> None:
        """Add the workers that are fit; the others are reported."""
        assert self._wanted is not None
        for worker, found in facts.items():
            problem = difference(found, self._wanted)
            if problem is None and found.compute != self._compute:
                problem = SrError(
                    "worker-differs", what="precision", found=found.compute, wanted=self._compute
                )
            if problem is not None:
                self._unfit.add(worker.address)
                on_event(WorkerLeftOut(worker.name, problem))
                continue
            self.places[worker.address] = Place(worker)
            on_event(WorkerJoined(worker.name, found.compute, worker.threads))


def _as_sr_error(error: Exception) -> SrError:
    if isinstance(error, SrError):
        return error
    said = str(error).splitlines()[0] if str(error) else type(error).__name__
    return SrError("worker-failed", reason=said)
