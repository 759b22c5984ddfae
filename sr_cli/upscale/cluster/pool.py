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
from sr_cli.upscale.cluster.connect import PATIENCE, Worker, connect, workers_of
from sr_cli.upscale.cluster.options import WorkerOptions
from sr_cli.upscale.request import OnEvent, WorkerJoined, WorkerLeft, WorkerLeftOut

_CHECK_PATIENCE = 120.0
"""Seconds that a worker may take to import PyTorch and to measure its precisions."""

_NO_WORKERS = 60.0
"""Seconds to wait for workers, or for the scheduler, after the last one was lost."""


@dataclass
class Place:
    """A worker with the numbers of its attempts, the first of which it computes."""

    worker: Worker
    attempts: list[int] = field(default_factory=list)
    images: int = 0
    since: float = field(default_factory=time.monotonic)


class Pool:
    """The workers that may be used, connected until `close`.

    Args:
        options: Which workers.
    """

    def __init__(self, options: WorkerOptions) -> None:
        self._options = options
        self._stack = ExitStack()
        self.client = self._stack.enter_context(connect(options))
        self.places: dict[str, Place] = {}
        self._unfit: set[str] = set()
        self._present = time.monotonic()
        self._probe: Probe | None = None
        self._wanted: Facts | None = None
        self._compute = ""

    def close(self) -> None:
        """End the workers of this machine, or the connection to others."""
        self._stack.close()

    def begin(self, probe: Probe, on_event: OnEvent) -> None:
        """Check all workers for a group of images.

        Raises:
            RefusedError: `workers-refused`, if one is not fit and `some` is not set, or if none is.
            SrError: `no-workers`, and what reading the weights raises.
        """
        self._probe, self._wanted = probe, describe_here(probe)
        self._compute = ""
        self.places.clear()
        self._unfit.clear()
        found = self._first_workers()
        unfit = self._admit(found, on_event)
        if unfit and (not self._options.some or not self.places):
            raise RefusedError("workers-refused", unfit=len(unfit), workers=len(found))

    def refresh(self, on_event: OnEvent) -> list[Place]:
        """Notice workers that came or went.

        Returns:
            Those that went, with their attempts.

        Raises:
            SrError: `no-workers`, `cluster-lost`.
        """
        found: dict[str, Worker] = {}
        answers = self.client.status == "running"
        if answers:
            try:
                found = workers_of(self.client)
            except (OSError, RuntimeError):
                answers = False
        address = self._options.cluster or "127.0.0.1"
        if not answers:
            if self.client.status == "closed" or self._absent() > _NO_WORKERS:
                raise SrError("cluster-lost", address)
            return []
        gone = [self.places.pop(a) for a in list(self.places) if a not in found]
        for place in gone:
            on_event(WorkerLeft(place.worker.name))
        known = self.places.keys() | self._unfit
        self._admit({a: w for a, w in found.items() if a not in known}, on_event)
        if self.places:
            self._present = time.monotonic()
        elif self._absent() > _NO_WORKERS:
            raise SrError("no-workers", address, seconds=int(_NO_WORKERS))
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

    def _first_workers(self) -> dict[str, Worker]:
        until = time.monotonic() + PATIENCE
        while not (found := workers_of(self.client)) and time.monotonic() < until:
            time.sleep(0.2)
        if not found:
            address = self._options.cluster or "127.0.0.1"
            raise SrError("no-workers", address, seconds=PATIENCE)
        return found

    def _admit(self, workers: dict[str, Worker], on_event: OnEvent) -> list[str]:
        """Check workers, and add those that are fit.

        Returns:
            The addresses of the others.
        """
        facts = self._ask(workers, on_event)
        self._compute = self._compute or most_common(list(facts.values()))
        assert self._wanted is not None
        for address, found in facts.items():
            problem = difference(found, self._wanted)
            if problem is None and found.compute != self._compute:
                problem = SrError(
                    "worker-differs", what="precision", found=found.compute, wanted=self._compute
                )
            if problem is not None:
                on_event(WorkerLeftOut(workers[address].name, problem))
                continue
            self.places[address] = Place(workers[address])
            on_event(WorkerJoined(workers[address].name, found.compute, workers[address].threads))
        unfit = [a for a in workers if a not in self.places]
        self._unfit.update(unfit)
        return unfit

    def _ask(self, workers: dict[str, Worker], on_event: OnEvent) -> dict[str, Facts]:
        """What the workers answer to the probe; those that fail are reported."""
        assert self._probe is not None
        asked: dict[str, Any] = {}
        for address, worker in workers.items():
            probe = replace(self._probe, engine=self.engine_for(worker, self._probe.engine))
            asked[address] = self.client.submit(
                describe_worker, probe, workers=[address], pure=False
            )
        facts: dict[str, Facts] = {}
        until = time.monotonic() + _CHECK_PATIENCE
        for address, future in asked.items():
            try:
                facts[address] = future.result(timeout=max(0.1, until - time.monotonic()))
            except Exception as error:
                # A worker without sr cannot even read the question.
                on_event(WorkerLeftOut(workers[address].name, _as_sr_error(error)))
        return facts


def _as_sr_error(error: Exception) -> SrError:
    if isinstance(error, SrError):
        return error
    with suppress(IndexError):
        return SrError("worker-failed", reason=str(error).splitlines()[0])
    return SrError("worker-failed", reason=type(error).__name__)
