"""What `sr upscale` tells while it works: bars on a terminal, lines, JSON, a summary."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import typer

from sr_cli.cli.console import print_json, report_error, say, shown, talk
from sr_cli.errors import SrError

if TYPE_CHECKING:
    from sr_cli.engine.enlarge import Enlarger
    from sr_cli.engine.upscaler import Upscaler
    from sr_cli.upscale.batch import Options, Result
    from sr_cli.upscale.jobs import Job


def precision_of(enlarger: Enlarger) -> str | None:
    """The name of the precision that a network computes in; None for bicubic."""
    from sr_cli.engine.device import NAMES

    upscaler = upscaler_of(enlarger)
    return None if upscaler is None else NAMES[upscaler.dtype]


def upscaler_of(enlarger: Enlarger) -> Upscaler | None:
    """The engine of an enlarger, of a chain its first; None for bicubic."""
    from sr_cli.engine.enlarge import NetworkEnlarger, RestoringEnlarger

    if isinstance(enlarger, RestoringEnlarger):
        return enlarger.first[0]
    return enlarger.upscaler if isinstance(enlarger, NetworkEnlarger) else None


class Reporter:
    """Runs the batch and tells: bars on a terminal, lines, JSON, a summary."""

    def __init__(self, models: list[str], json_: bool, quiet: bool, verbose: bool) -> None:
        self.models = models
        self.json = json_
        self.quiet = quiet
        self.verbose = verbose
        self.done = self.skipped = self.failed = 0

    def run(self, legs: list[tuple[Enlarger, list[Job]]], options: Options) -> None:
        """Work through groups of pictures, each with its network."""
        from sr_cli.upscale.batch import run_batch

        with self._bars(sum(len(jobs) for _, jobs in legs)) as bars:
            on_progress = bars.on_progress if bars else None
            for enlarger, jobs in legs:
                for result in run_batch(jobs, enlarger, options, on_progress):
                    if bars:
                        bars.advance()
                    self._tell(result, enlarger)

    def _bars(self, total: int) -> AbstractContextManager[_Bars | None]:
        show = talk().is_terminal and not self.quiet and total > 0
        return _Bars(total) if show else nullcontext(None)

    def problem(self, name: str, error: SrError) -> None:
        """An input that could not be found."""
        self.failed += 1
        report_error(error)
        if self.json:
            print_json({"input": name, "error": error.message})

    def _tell(self, result: Result, enlarger: Enlarger) -> None:
        if result.error is not None:
            self.failed += 1
            report_error(result.error)
        elif result.skipped:
            self.skipped += 1
            if self.verbose:
                say(f"{result.job.target} exists: skipped")
        else:
            self.done += 1
            for note in [] if self.quiet else result.notes:
                say(f"{result.job.source}: {note}", style="yellow")
            if not self.quiet:
                say(
                    f"{result.job.target}  {result.width}x{result.height} -> "
                    f"{result.out_width}x{result.out_height}  {result.seconds:.1f} s"
                )
        if self.json:
            print_json(self._record(result, enlarger))

    def _record(self, result: Result, enlarger: Enlarger) -> dict[str, Any]:
        record: dict[str, Any] = {
            "input": str(result.job.source),
            "output": str(result.job.target),
            "model": "+".join(self.models),
        }
        if result.error is not None:
            return record | {"error": result.error.message}
        if result.skipped:
            return record | {"skipped": True}
        record |= {
            "width": result.width,
            "height": result.height,
            "output_width": result.out_width,
            "output_height": result.out_height,
            "device": "cpu",
            "precision": precision_of(enlarger),
            "tile": None,
            "seconds": round(result.seconds, 3),
            "notes": result.notes,
        }
        if upscaler := upscaler_of(enlarger):
            record |= {"device": str(upscaler.device), "tile": upscaler.tile}
        return record

    def summary(self, seconds: float) -> None:
        """One closing line for a batch."""
        if self.quiet or self.done + self.skipped + self.failed < 2:
            return
        parts = [f"{self.done} done"]
        parts += [f"{self.skipped} skipped"] if self.skipped else []
        parts += [f"{self.failed} failed"] if self.failed else []
        say(f"{', '.join(parts)} in {seconds:.1f} s")


class _Bars:
    """A bar for the files and one for the present picture, with the time left."""

    def __init__(self, total: int) -> None:
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%"),
            TimeRemainingColumn(),
            console=talk(),
            transient=True,
        )
        self._total = total
        self._count = MofNCompleteColumn
        self._current: Job | None = None

    def __enter__(self) -> _Bars:
        self._progress.start()
        self._files = self._progress.add_task(
            f"{self._total} pictures", total=float(self._total), visible=self._total > 1
        )
        self._picture = self._progress.add_task("", total=1.0)
        self._done = 0
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def on_progress(self, job: Job, share: float) -> None:
        """The present picture is done to `share`."""
        if job is not self._current:
            self._current = job
            self._progress.reset(self._picture, description=shown(job.source.name))
        self._progress.update(self._picture, completed=share)
        self._progress.update(self._files, completed=self._done + share)

    def advance(self) -> None:
        """One more picture is on disk or failed."""
        self._done += 1
        self._progress.update(self._files, completed=self._done)


def explain(enlarger: Enlarger, factor: float | None, verbose: bool, quiet: bool) -> None:
    """Say when the network's scale is not the factor asked for, and with -v how it computes."""
    from sr_cli.engine.enlarge import NetworkEnlarger, passes_for

    if quiet:
        return
    scale = enlarger.upscaler.scale if isinstance(enlarger, NetworkEnlarger) else None
    if scale is not None and factor not in (None, scale):
        passes = passes_for(factor, scale)
        times = "" if passes == 1 else f" {passes} times"
        down = "" if scale**passes == factor else f", then bicubic down to x{factor:g}"
        say(f"x{factor:g}: the network's x{scale}{times}{down}")
    if verbose and (u := upscaler_of(enlarger)):
        say(f"device {u.device}, precision {precision_of(enlarger)}, tile {u.tile}, halo {u.halo}")


def show_plan(
    jobs: list[Job], problems: list[tuple[str, SrError]], json_: bool, overwrite: bool
) -> None:
    """`--dry-run`: which file would become which."""
    for name, problem in problems:
        report_error(problem)
        if json_:
            print_json({"input": name, "error": problem.message})
    for job in jobs:
        exists = str(job.target) != "-" and os.path.exists(job.target)
        if json_:
            print_json({"input": str(job.source), "output": str(job.target), "exists": exists})
        else:
            note = (" (replaced)" if overwrite else " (exists)") if exists else ""
            typer.echo(f"{shown(job.source)} -> {shown(job.target)}{note}")
