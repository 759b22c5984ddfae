"""The output of `sr upscale`: bars on a terminal, lines, JSON Lines, a summary."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

from sr_cli.cli.console import print_json, print_name, report_error, say, shown
from sr_cli.cli.messages import as_record, note_sentence
from sr_cli.cli.progress import DownloadBars, ImageBars
from sr_cli.errors import Note, SrError
from sr_cli.upscale.request import (
    ClipProgress,
    Downloaded,
    DownloadProgress,
    Event,
    LeftOut,
    PipelineReady,
    Planned,
    Progress,
    Replacing,
    Result,
    WorkerEvent,
    WorkerJoined,
    WorkerLeft,
    WorkerLeftOut,
)


class Reporter:
    """Prints events and results. A context manager: the bars are removed at its end.

    Args:
        json: Print a JSON object per result on stdout, and for clips their progress.
        quiet: Print only errors.
        verbose: Also print skipped images and how each network runs.
        names: Print one line per result on stdout, as JSON or with the name of its file.
    """

    def __init__(self, *, json: bool, quiet: bool, verbose: bool, names: bool = False) -> None:
        self._json = json
        self._names = names and not json
        self._quiet = quiet
        self._verbose = verbose
        self._downloads = DownloadBars(quiet)
        self._bars: ImageBars | None = None
        self._next_record = 0.0
        self.done = self.skipped = self.failed = 0

    def __enter__(self) -> Reporter:
        return self

    def __exit__(self, *_: object) -> None:
        self._downloads.stop()
        if self._bars is not None:
            self._bars.stop()

    def on_event(self, event: Event) -> None:
        """Print an event."""
        if isinstance(event, Progress | ClipProgress):
            if self._json and isinstance(event, ClipProgress):
                self._print_progress(event)
            if self._bars is not None:
                self._bars.update(event.source, event.share)
        elif isinstance(event, DownloadProgress):
            if event.done == 0 and not self._quiet:
                say(f"downloading {event.name}" + (f" ({event.licence})" if event.licence else ""))
            self._downloads.update(event.name, event.done, event.total)
        elif isinstance(event, Downloaded):
            self._downloads.stop()
            if event.pinned and not self._quiet:
                say(f"{event.name}: sha256 {event.sha256}, pinned")
        elif isinstance(event, LeftOut):
            self.on_left_out(event)
        elif isinstance(event, Planned):
            self._bars = ImageBars(event.images, self._quiet)
        elif isinstance(event, WorkerEvent):
            if self._bars is not None:
                self._bars.show_all_only()
            self._print_worker(event)
        elif self._quiet:
            return
        elif isinstance(event, Replacing):
            say(f"warning: {shown(event.source)} will be overwritten by its result", style="yellow")
        else:
            self._print_pipeline(event)

    def on_left_out(self, left_out: LeftOut) -> None:
        """Print what folders and patterns hold that is not upscaled, in one line."""
        if self._json:
            print_json({"status": "left-out", **asdict(left_out)})
        if not self._quiet:
            say(f"left out: {_counts(left_out)}")

    def _print_progress(self, event: ClipProgress) -> None:
        """Print a record of progress, at most one a second."""
        now = time.monotonic()
        if now < self._next_record and event.frames != event.total:
            return
        self._next_record = now + 1
        left = event.seconds_left
        print_json(
            {
                "input": str(event.source),
                "status": "progress",
                "frames": event.frames,
                "total": event.total,
                "fps": round(event.rate, 2),
                "seconds_left": None if left is None else round(left, 1),
            }
        )

    def _print_worker(self, event: WorkerEvent) -> None:
        """Print what happens to the workers: lost and unfit ones always, the others with -v."""
        name = f"worker {event.name}"
        if isinstance(event, WorkerLeftOut):
            report_error(SrError("worker-unfit", event.name, cause=event.error))
        elif self._quiet:
            return
        elif isinstance(event, WorkerLeft):
            say(f"{name}: lost, its images go to others", style="yellow")
        elif not self._verbose:
            return
        elif isinstance(event, WorkerJoined):
            threads = "thread" if event.threads == 1 else "threads"
            say(f"{name}: {event.compute}, {event.threads} {threads}")
        else:
            rate = event.images / max(event.seconds, 1e-9)
            say(f"{name}: {event.images} images, {rate:.2f} a second")

    def on_result(self, result: Result) -> None:
        """Print the result of an image."""
        if self._bars is not None:
            self._bars.advance()
        if result.error is not None:
            self.failed += 1
            report_error(result.error)
        elif result.status == "skipped":
            self._print_skipped(result)
        else:
            self._print_done(result)
        if self._json:
            print_json(record_of(result))
        if self._names:
            print_name(None if result.error else result.target)

    def _print_skipped(self, result: Result) -> None:
        self.skipped += 1
        if not self._verbose:
            return
        if result.reason == "earlier-result":
            say(f"{shown(result.source)}: result of an earlier run, skipped")
        else:
            say(f"{shown(result.target or '')}: already exists, skipped")

    def _print_done(self, result: Result) -> None:
        self.done += 1
        if self._quiet:
            return
        for note in result.notes:
            say(f"{result.source}: {note_sentence(note)}", style="yellow")
        if result.deviation is not None:
            verified = Note("verified", asdict(result.deviation))
            say(f"{result.source}: {note_sentence(verified)}", style="yellow")
        pages = f"pages: {result.pages}  " if result.pages else ""
        say(
            f"{result.target}  {pages}{result.width}x{result.height} -> "
            f"{result.output_width}x{result.output_height}  {result.seconds:.1f} s"
        )

    def _print_pipeline(self, ready: PipelineReady) -> None:
        """Print notes on the weights and a scale that differs; with -v, how the network runs."""
        factor, scale, passes = ready.factor, ready.scale, ready.passes
        if factor is not None and factor != scale and scale > 1:
            times = "" if passes == 1 else f" {passes} times"
            rest = "then downscales" if scale**passes > factor else "then bicubic"
            then = "" if scale**passes == factor else f", {rest} to x{factor:g}"
            say(f"x{factor:g}: applies the x{scale} network{times}{then}")
        for note in ready.notes:
            say(note_sentence(note), style="yellow")
        if self._verbose:
            say(
                f"device {ready.device}, precision {ready.precision}, tile {ready.tile}, "
                f"halo {ready.halo}"
            )

    def summary(self, seconds: float) -> None:
        """Print a closing line if there were several images."""
        if self._quiet or self.done + self.skipped + self.failed < 2:
            return
        parts = [f"{self.done} done"]
        parts += [f"{self.skipped} skipped"] if self.skipped else []
        parts += [f"{self.failed} failed"] if self.failed else []
        say(f"{', '.join(parts)} in {seconds:.1f} s")


def _counts(left_out: LeftOut) -> str:
    """What was left out, counted by reason."""
    parts = []
    if count := left_out.earlier_results:
        parts.append(f"results of earlier runs: {count} (-o FOLDER upscales them)")
    if left_out.unsupported:
        suffixes = ", ".join(sorted(s or "no suffix" for s in left_out.unsupported))
        count = sum(left_out.unsupported.values())
        parts.append(f"unsupported formats or names: {count} ({shown(suffixes)})")
    if count := left_out.hidden:
        parts.append(f"hidden files: {count}")
    if count := left_out.other:
        parts.append(f"other files: {count}")
    return "; ".join(parts)


def record_of(result: Result) -> dict[str, Any]:
    """A result as `--json` has it; docs/schemas/upscale.schema.json describes it."""
    record: dict[str, Any] = {"input": str(result.source)}
    if result.target is not None:
        record["output"] = str(result.target)
    record |= {"model": result.model, "status": result.status}
    if result.error is not None:
        return record | {"error": as_record(result.error)}
    if result.status == "skipped":
        return record | {"reason": result.reason}
    return record | {
        **({"pages": result.pages} if result.pages else {}),
        "width": result.width,
        "height": result.height,
        "output_width": result.output_width,
        "output_height": result.output_height,
        "device": result.device,
        "precision": result.precision,
        "tile": result.tile,
        **({"deviation": asdict(result.deviation)} if result.deviation else {}),
        "seconds": round(result.seconds, 3),
        "notes": [n.as_dict() | {"message": note_sentence(n)} for n in result.notes],
    }
