"""Crops made by worker processes, for GPUs that threads would keep waiting."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import cv2
import torch

from sr_cli.training.crops import Batch, CropPixels, Crops, as_batch, prefetch
from sr_cli.training.images import PixelFile, StoredPair, mapped_pairs
from sr_cli.training.recipe import Recipe

_AHEAD = 2
"""Batches prepared ahead per process."""

_MAX_WORKERS = 16


def default_workers(crops: Crops, device: torch.device) -> int:
    """The default number of worker processes; 0 for threads, which suffice on a CPU."""
    if device.type != "cuda" or not crops.degrades_each:
        return 0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return max(1, min(_MAX_WORKERS, (cores or 1) // processes - 2))


def prefetch_by_processes(
    crops: Crops,
    start: int,
    stop: int,
    *,
    rank: int,
    world: int,
    workers: int,
    device: torch.device,
    scratch: Path,
    on_failure: Callable[[], None],
) -> Generator[Batch, None, None]:
    """Batches of the steps start..stop on the device, in order, made by processes.

    Args:
        crops: The crops; workers make the same ones.
        start, stop: The range of steps.
        rank, world: Which part of each batch this process takes.
        workers: The number of worker processes.
        device: The device of the batches.
        scratch: A file for the images, which the workers share; it is removed at the end.
        on_failure: Called when a worker has died. Threads make the remaining batches.
    """
    file = PixelFile(scratch)
    stored = [file.put(pair) for pair in crops.pairs]
    file.close()
    pool = ProcessPoolExecutor(
        workers,
        # Not by fork, which threads and CUDA do not survive.
        multiprocessing.get_context("spawn"),
        initializer=_start_worker,
        initargs=(scratch, stored, crops.recipe, crops.channels),
    )
    step, depth = start, _AHEAD * workers
    try:
        pending = deque(
            pool.submit(_make, s, rank, world) for s in range(start, min(stop, start + depth))
        )
        while step < stop:
            pixels = pending.popleft().result()
            if step + depth < stop:
                pending.append(pool.submit(_make, step + depth, rank, world))
            step += 1
            yield as_batch(pixels, crops.channels, device)
    except BrokenProcessPool:
        on_failure()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        scratch.unlink(missing_ok=True)
    yield from prefetch(crops, step, stop, rank=rank, world=world)


_crops: Crops | None = None
"""The crops of a worker process."""


def _start_worker(path: Path, stored: list[StoredPair], recipe: Recipe, channels: int) -> None:
    global _crops  # noqa: PLW0603
    # The main process handles Ctrl-C and ends its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # One process per core: more threads would compete.
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    _crops = Crops(mapped_pairs(path, stored), recipe, channels=channels)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _make(step: int, rank: int, world: int) -> CropPixels:
    assert _crops is not None
    return _crops.pixels(step, rank=rank, world=world)
