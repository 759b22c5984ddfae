"""Many pictures: decoding, enlarging and encoding overlap; one bad file does not end the rest."""

from __future__ import annotations

import io
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from sr_cli.engine.enlarge import Enlarger, Size, check_result, enlarge_picture
from sr_cli.errors import SrError
from sr_cli.imaging.decode import DEFAULT_MAX_PIXELS, read_picture, read_size
from sr_cli.imaging.encode import Encoding, write_picture
from sr_cli.imaging.formats import FORMATS, Format, Needs, formats_that_hold, shortcomings
from sr_cli.imaging.picture import Picture, flatten
from sr_cli.system.allocator import give_back_freed_memory
from sr_cli.system.files import atomic_write
from sr_cli.upscale.comparison import LABEL_ROOM, side_by_side
from sr_cli.upscale.jobs import STDIO, Job

_OVERLAP_PIXELS = 24_000_000
"""Pictures and results larger than this are finished one by one: memory holds one of them."""

_MUCH = 900 << 20
"""Resident bytes beyond which writing a picture takes no memory on top of what computing took."""


@dataclass(frozen=True)
class Options:
    """What holds for every picture of a batch."""

    size: Size
    encoding: Encoding = field(default_factory=Encoding)
    overwrite: bool = False
    skip_existing: bool = False
    flatten: bool = False
    compare: bool = False
    max_pixels: int = DEFAULT_MAX_PIXELS
    allow_truncated: bool = False


@dataclass
class Result:
    """What became of one job; `error` None when the output was written or skipped."""

    job: Job
    width: int = 0
    height: int = 0
    out_width: int = 0
    out_height: int = 0
    seconds: float = 0.0
    skipped: bool = False
    notes: list[str] = field(default_factory=list)
    error: SrError | None = None


OnProgress = Callable[[Job, float], None]


def run_batch(
    jobs: Sequence[Job],
    enlarger: Enlarger,
    options: Options,
    on_progress: OnProgress | None = None,
) -> Iterator[Result]:
    """Enlarge every job's picture, yielding results in order as they are on disk.

    While one picture is enlarged the next is decoded and the one before encoded; large ones
    wait for each other. An interruption ends after what is being written, without partial files.
    """
    readers, writers = ThreadPoolExecutor(1, "decode"), ThreadPoolExecutor(1, "encode")
    try:
        coming: tuple[Job, Future[Picture]] | None = None
        writing: tuple[Result, Future[None]] | None = None
        for index, job in enumerate(jobs):
            result = Result(job)
            began = time.perf_counter()
            try:
                if _is_done_already(job, options):
                    result.skipped = True
                else:
                    picture = (
                        coming[1].result() if coming and coming[0] is job else _read(job, options)
                    )
                    coming = None
                    result.width, result.height = picture.width, picture.height
                    target, size = _check(picture, job, options)
                    larger = max(size[0] * size[1], picture.width * picture.height)
                    small = larger * len(picture.frames) <= _OVERLAP_PIXELS
                    if writing and not small:
                        yield _finished(*writing)
                        writing = None
                    following = jobs[index + 1] if index + 1 < len(jobs) else None
                    if small and following and _may_be_read_ahead(following, options):
                        coming = following, readers.submit(_read, following, options)
                    made = _enlarge(picture, job, enlarger, options, on_progress)
                    give_back_freed_memory(beyond=_MUCH)
                    original = picture if options.compare else None
                    del picture
                    result.out_width, result.out_height = size
                    if writing:
                        yield _finished(*writing)
                    writing = (
                        result,
                        writers.submit(_write, made, original, job, target, options, result, began),
                    )
                    del made, original
                    if not small:
                        yield _finished(*writing)
                        writing = None
                    continue
            except Exception as error:
                result.error = _explained(error, job)
            result.seconds = time.perf_counter() - began
            if writing:
                yield _finished(*writing)
                writing = None
            yield result
        if writing:
            yield _finished(*writing)
    finally:
        for pool in (readers, writers):
            pool.shutdown(wait=True, cancel_futures=True)


def _may_be_read_ahead(job: Job, options: Options) -> bool:
    """Stdin is read in the main thread, where Ctrl-C reaches it; a large picture when it is due."""
    if job.source == STDIO or is_there(job, options):
        return False
    size = read_size(job.source)
    return size is None or size[0] * size[1] <= _OVERLAP_PIXELS


def _finished(result: Result, writing: Future[None]) -> Result:
    try:
        writing.result()
    except Exception as error:
        result.error = _explained(error, result.job)
    return result


def _explained(error: Exception, job: Job) -> SrError:
    """Whatever one picture met, as an error that names it: the batch goes on."""
    if isinstance(error, MemoryError):
        return SrError(f"{job.source}: out of memory", "close other programs, or --max-side")
    if isinstance(error, OSError) and not isinstance(error, SrError):
        return SrError(f"{job.source}: {error.strerror or error}")
    if not isinstance(error, SrError):
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        return SrError(f"{job.source}: {said}")
    if str(job.source) in error.message or str(job.target) in error.message:
        return error
    return SrError(f"{job.source}: {error.message}", error.hint)


def is_there(job: Job, options: Options) -> bool:
    """Whether the output exists and must not be replaced: nothing will be computed."""
    if job.target == STDIO or options.overwrite:
        return False
    there = [os.path.exists(p) for p in outputs(job, compare=options.compare)]
    return all(there) if options.skip_existing else any(there)


def outputs(job: Job, *, compare: bool) -> list[Path]:
    """The files that a job writes."""
    return [job.target, job.comparison] if compare else [job.target]


def _is_done_already(job: Job, options: Options) -> bool:
    """Whether to skip; raises SrError for an output that is there and must not be touched."""
    if not is_there(job, options):
        return False
    if options.skip_existing:
        return True
    there = next(p for p in outputs(job, compare=options.compare) if os.path.exists(p))
    raise SrError(f"{there}: exists already", "-y overwrites, --skip-existing skips")


def _read(job: Job, options: Options) -> Picture:
    source = sys.stdin.buffer.read() if job.source == STDIO else job.source
    return read_picture(
        source, max_pixels=options.max_pixels, allow_truncated=options.allow_truncated
    )


def _check(picture: Picture, job: Job, options: Options) -> tuple[Format, tuple[int, int]]:
    """The format to write and the result's size. Raises SrError for what cannot be written."""
    target = job.format or FORMATS[picture.format]
    target = target if target.writable else FORMATS["JPEG"]
    if options.flatten:
        picture.frames = flatten(picture, shortcomings(target, picture.needs(1, 1))).frames
    width, height = check_result(picture, options.size, options.max_pixels)
    needs = picture.needs(width, height)
    missing = shortcomings(target, needs)
    if options.encoding.lossless and target.name in ("JPEG", "GIF"):
        raise SrError(f"{job.source}: {target.name} is never lossless", "-f png, webp or avif is")
    if options.compare and not missing:
        missing = shortcomings(target, Needs(2 * width, height + LABEL_ROOM))
    if missing:
        can = formats_that_hold(needs)
        flat_helps = not shortcomings(target, Needs(width, height)) and not options.flatten
        ways = [f"-f {', '.join(n.lower() for n in can)} can"] if can else []
        ways += ["--flatten drops it"] if flat_helps else []
        raise SrError(
            f"{job.source}: {target.name} cannot hold {' or '.join(missing)}",
            "; ".join(ways) or "--max-side makes a smaller one",
        )
    if job.target != STDIO:
        _check_place(job.target, target, needs, len(picture.frames))
    return target, (width, height)


def _check_place(path: Path, target: Format, needs: Needs, frames: int) -> None:
    """The folder is made; a disk that has clearly no room for the result is refused."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(path.parent).free
    except OSError as error:
        raise SrError(f"{path.parent}: cannot be written ({error.strerror or error})") from error
    samples = needs.width * needs.height * frames * (4 if needs.alpha else 3)
    expected = int(samples * target.bytes_per_sample * (2 if needs.sixteen_bit else 1))
    if expected > free:
        raise SrError(
            f"{path}: about {expected >> 20} MiB will not fit, {free >> 20} MiB are free there"
        )


def _enlarge(
    picture: Picture, job: Job, enlarger: Enlarger, options: Options, on_progress: OnProgress | None
) -> Picture:
    def report(share: float) -> None:
        if on_progress is not None:
            on_progress(job, share)

    return enlarge_picture(picture, enlarger, options.size, report)


def _write(
    made: Picture,
    original: Picture | None,
    job: Job,
    target: Format,
    options: Options,
    result: Result,
    began: float,
) -> None:
    sheet = side_by_side(original, made) if original is not None else None
    if job.target == STDIO:
        buffer = io.BytesIO()
        write_picture(made, buffer, target, options.encoding)
        left = buffer.getbuffer()
        while left:
            # An unbuffered stream takes what it can and says how much that was.
            left = left[sys.stdout.buffer.write(left) :]
        sys.stdout.buffer.flush()
    else:
        for path, content in ((job.target, made), (job.comparison, sheet)):
            if content is None or (options.skip_existing and os.path.exists(path)):
                continue
            with atomic_write(path, overwrite=options.overwrite) as file:
                write_picture(content, file, target, options.encoding)
    result.notes = made.notes
    result.seconds = time.perf_counter() - began
