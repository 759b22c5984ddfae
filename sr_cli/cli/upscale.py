"""`sr upscale`: options become a request; results become lines, JSON and an exit code."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, NoReturn

import typer

from sr_cli.cli.console import names_on_stdin, print_json, report_error, say, shown
from sr_cli.cli.messages import as_record
from sr_cli.cli.options import takes
from sr_cli.cli.upscale_options import Options
from sr_cli.cli.upscale_report import Reporter
from sr_cli.cli.upscale_request import as_request, as_workers
from sr_cli.errors import ExitCode, RefusedError, SrError
from sr_cli.system.start import without_collection

if TYPE_CHECKING:
    from sr_cli.upscale.plan import Plan


@takes(Options)
def upscale(options: Options) -> None:
    """Upscale images and clips: files, folders, comic archives, or stdin.

    Results are written next to their inputs as NAME_x4.EXT, or to -o.
    Existing files are not overwritten without -y. EXIF, XMP, ICC profile,
    alpha, 16 bits, animation frames, TIFF pages and the place of a GeoTIFF
    are preserved; of clips, times, colours, audio, subtitles, chapters and metadata.

    Exit codes: 0 all done; 1 an image or checkpoint failed; 2 refused
    before any image was opened; 130 interrupted; 141 stdout closed;
    143 terminated.
    """
    began = time.perf_counter()
    with without_collection():
        request = as_request(options)
        workers = as_workers(options)
        if workers is not None:
            workers.check(request)

        from sr_cli.upscale.files import run_plan
        from sr_cli.upscale.plan import plan_files

    with Reporter(
        json=options.json,
        quiet=options.quiet,
        verbose=options.verbose,
        names=options.stdin_list,
    ) as reporter:
        if options.stdin_list:
            from sr_cli.upscale.listed import upscale_listed

            for result in upscale_listed(names_on_stdin(), request, reporter.on_event):
                reporter.on_result(result)
            _end(reporter, began)
        plan = plan_files(request, reporter.on_event)
        if any(str(job.target) == "-" for job in plan.jobs):
            if options.json:
                raise RefusedError("conflicting-options", "json", other="an output on stdout")
            if sys.__stdout__ is None:
                raise SrError("unwritable-file", "stdout", reason="it is closed")
        if options.dry_run:
            if plan.left_out:
                reporter.on_left_out(plan.left_out)
            _show_plan(plan, options)
            plan.close()
            raise typer.Exit(ExitCode.FAILED if plan.problems else ExitCode.OK)
        for result in run_plan(plan, reporter.on_event, workers):
            reporter.on_result(result)
    _end(reporter, began)


def _end(reporter: Reporter, began: float) -> NoReturn:
    """Print the summary, and end with the exit code."""
    reporter.summary(time.perf_counter() - began)
    raise typer.Exit(ExitCode.FAILED if reporter.failed else ExitCode.OK)


def _show_plan(plan: Plan, options: Options) -> None:
    """Print the outputs that the inputs would become (`--dry-run`)."""
    from sr_cli.upscale.remote import named

    for name, problem in plan.problems:
        report_error(problem)
        if options.json:
            print_json({"input": name, "status": "failed", "error": as_record(problem)})
    for job in plan.jobs:
        exists = str(job.target) != "-" and os.path.exists(job.target)
        source, target = named(job.source), named(job.target)
        if options.json:
            record = {"input": str(source), "output": str(target)}
            print_json(record | {"status": "planned", "exists": exists})
        else:
            note = (" (overwritten)" if options.overwrite else " (exists)") if exists else ""
            typer.echo(f"{shown(source)} -> {shown(target)}{note}")
    for path in plan.earlier_results:
        if options.json:
            record = {"input": str(path), "model": plan.model, "status": "skipped"}
            print_json(record | {"reason": "earlier-result"})
        elif options.verbose:
            say(f"{shown(path)}: result of an earlier run, skipped")
