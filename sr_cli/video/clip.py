"""One clip from decoding to the finished file: three stages that overlap, in segments."""

from __future__ import annotations

import hashlib
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from sr_cli.engine.threads import divided_threads
from sr_cli.errors import Note
from sr_cli.video.encode import make_frame, open_encoder
from sr_cli.video.frames import ClipFrame, ClipReader, Planes
from sr_cli.video.join import join
from sr_cli.video.paths import FramePath
from sr_cli.video.plan import ClipPlan
from sr_cli.video.segments import SegmentFolder, SegmentWriter
from sr_cli.video.sequence import SequenceReader
from sr_cli.video.steady import SteadyFrames

_READ_AHEAD = 3
_WRITE_BEHIND = 2
"""Frames that wait between two stages, which limits memory."""


@dataclass(frozen=True)
class ClipProgress:
    """How far a clip is.

    Attributes:
        frames: Written so far, including those of a run that is resumed.
        total: Of the clip, estimated; None if unknown.
        rate: Frames a second of this run.
    """

    frames: int
    total: int | None
    rate: float


OnClipProgress = Callable[[ClipProgress], None]


def upscale_clip(plan: ClipPlan, path: FramePath, on_progress: OnClipProgress) -> list[Note]:
    """Upscale a clip.

    Frames are decoded, upscaled and encoded at the same time, a few at once: memory does not grow
    with the length. Finished segments stay on disk until the result is whole, so that an
    interrupted run can be resumed.

    Args:
        plan: From `plan_clip`.
        path: From `choose_path`.
        on_progress: Called after each frame.

    Returns:
        What the user should know.

    Raises:
        SrError: What reading, computing and writing raise.
    """
    request = plan.request
    folder = SegmentFolder(request.target)
    with folder.opened(_identity(plan), resume=request.options.resume, restart=request.overwrite):
        missing = _compute(plan, path, folder, on_progress)
        segments = folder.finished()
        join(plan, segments, folder.path)
        folder.remove()
    damaged = sum(segment.damaged for segment in segments)
    repaired = sum(segment.repaired for segment in segments)
    notes = list(plan.notes)
    notes += [Note("damaged-frames", {"count": damaged})] if damaged else []
    notes += [Note("times-repaired", {"count": repaired})] if repaired else []
    notes += truncation_notes(missing)
    return notes


def truncation_notes(missing: tuple[str, str] | None) -> list[Note]:
    """What to say about `ClipReader.missing`."""
    return [Note("clip-truncated", {"time": missing[0], "end": missing[1]})] if missing else []


def _identity(plan: ClipPlan) -> dict[str, Any]:
    """What a run must have in common with one that it resumes."""
    encoding = {name: str(value) for name, value in asdict(plan.encoding).items()}
    options = plan.request.options
    return {
        "source": _described(plan.images or (plan.request.source,)),
        "computed_by": plan.request.computed_by,
        "segment": options.segment,
        "deinterlace": options.deinterlace,
        "steady": options.steady,
        "encoding": encoding,
        "read_as": str(plan.clip.colour),
        "times": hashlib.sha256(repr(plan.times).encode()).hexdigest(),
    }


def _described(files: Sequence[Path]) -> str:
    """Names, sizes and times of files, as a hash."""
    found = hashlib.sha256()
    for path in files:
        stat = path.stat()
        found.update(repr((path.name, stat.st_size, stat.st_mtime_ns)).encode())
    return found.hexdigest()


def _compute(
    plan: ClipPlan, path: FramePath, folder: SegmentFolder, on_progress: OnClipProgress
) -> tuple[str, str] | None:
    """Compute the segments that are missing, and return `ClipReader.missing`."""
    done = folder.finished()
    before = sum(len(segment.shown) for segment in done)
    after = done[-1].shown[-1][0] if done else None
    reader = plan.reader(at_full_resolution=path.at_full_resolution, after=after)
    encoder = _SegmentEncoder(plan, path, folder, len(done), reader)
    steady = SteadyFrames(path) if plan.request.options.steady else None
    held: tuple[Planes, Future[Planes]] | None = None
    began = time.perf_counter()
    with (
        encoder,
        divided_threads(path.workers if steady is None else 1) as workers,
        cancelling_pool(workers, "compute") as computing,
        cancelling_pool(1, "encode") as encoding,
    ):
        waiting: deque[Future[None]] = deque()
        for count, frame in enumerate(read_ahead(_prepared(path, reader)), 1):
            if steady is not None and (count - 1) % plan.request.options.segment == 0:
                # Segments do not depend on each other, so that a resumed run is the same.
                steady.reset()
                held = None
            # A frame that is held, as in animation and slides, is not computed again.
            if held is None or not all(map(np.array_equal, frame.planes, held[0])):
                compute = (steady or path).compute
                # One at a time is computed in this thread, which Ctrl-C interrupts.
                made = (
                    computing.submit(compute, frame.planes)
                    if workers > 1
                    else _done(compute(frame.planes))
                )
                held = frame.planes, made
            waiting.append(encoding.submit(encoder.write, frame, held[1]))
            if len(waiting) > workers + _WRITE_BEHIND:
                waiting.popleft().result()
            rate = count / (time.perf_counter() - began)
            on_progress(ClipProgress(before + count, plan.clip.frames, rate))
        while waiting:
            waiting.popleft().result()
        encoding.submit(encoder.finish).result()
    return reader.missing


def _prepared(path: FramePath, reader: ClipReader | SequenceReader) -> Generator[ClipFrame]:
    for frame in reader.read():
        yield replace(frame, planes=path.prepare(frame.planes))


def read_ahead(frames: Generator[ClipFrame]) -> Iterator[ClipFrame]:
    """The same frames, computed in a thread before they are asked for."""
    with closing(frames), cancelling_pool(1, "decode") as pool:
        waiting = deque(pool.submit(next, frames, None) for _ in range(_READ_AHEAD))
        while (frame := waiting.popleft().result()) is not None:
            waiting.append(pool.submit(next, frames, None))
            yield frame


@contextmanager
def cancelling_pool(workers: int, name: str) -> Iterator[ThreadPoolExecutor]:
    """Threads; what they have not begun at the end of the block is not done."""
    pool = ThreadPoolExecutor(workers, name)
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _done(planes: Planes) -> Future[Planes]:
    future: Future[Planes] = Future()
    future.set_result(planes)
    return future


class _SegmentEncoder:
    """Encodes frames into segments, each of which begins with a key frame.

    A context manager: what is not finished at its end is left out.
    """

    def __init__(
        self,
        plan: ClipPlan,
        path: FramePath,
        folder: SegmentFolder,
        first: int,
        reader: ClipReader | SequenceReader,
    ) -> None:
        self._plan = plan
        self._path = path
        self._folder = folder
        self._number = first
        self._reader = reader
        self._stack = ExitStack()
        self._open: tuple[Any, SegmentWriter] | None = None
        self._counted = 0, 0
        self._failed = False

    def __enter__(self) -> _SegmentEncoder:
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if self._open is not None:
            # With the error, the file is closed without marking the segment as finished.
            self._open = None
            self._stack.__exit__(kind, error, trace)

    def write(self, frame: ClipFrame, computed: Future[Planes]) -> None:
        """Encode a frame when it is computed; after an error, nothing more is written."""
        if self._failed:
            return
        self._failed = True
        planes = self._path.finish(computed.result())
        encoder, segment = self._open = self._open or self._begin()
        made = make_frame(self._plan.encoding, planes, frame.pts, frame.duration)
        segment.shown.append((frame.pts, frame.duration))
        segment.write(encoder.encode(made))
        if len(segment.shown) == self._plan.request.options.segment:
            self.finish()
        self._failed = False

    def finish(self) -> None:
        """Finish the segment, if one was begun."""
        if self._open is None:
            return
        encoder, segment = self._open
        segment.write(encoder.encode(None))
        now = self._reader.damaged, self._reader.repaired
        segment.damaged, segment.repaired = now[0] - self._counted[0], now[1] - self._counted[1]
        self._counted = now
        self._open = None
        self._number += 1
        self._stack.close()

    def _begin(self) -> tuple[Any, SegmentWriter]:
        self._stack = ExitStack()
        segment = self._stack.enter_context(self._folder.writing(self._number))
        return open_encoder(self._plan.encoding), segment
