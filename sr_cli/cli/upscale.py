"""`sr upscale`: options in, a request out; results as lines, JSON and an exit code."""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from sr_cli.cli.console import print_json, report_error, say, shown
from sr_cli.cli.messages import as_record
from sr_cli.cli.options import takes
from sr_cli.cli.upscale_report import Reporter
from sr_cli.errors import ExitCode, RefusedError

if TYPE_CHECKING:
    from sr_cli.upscale.plan import Plan
    from sr_cli.upscale.request import UpscaleRequest

_FOLDER_HINT = "File or folder (existing, or ending in /); - is stdout."


def parse_scale(text: str) -> float:
    """`4`, `x4`, `2.5` as a factor.

    Raises:
        RefusedError: `out-of-range` for anything but a number above 1, at most 16.
    """
    from sr_cli.upscale.request import check_factor

    match = re.fullmatch(r"[xX]?(\d+(\.\d*)?|\.\d+)", text.strip())
    if match is None:
        raise RefusedError(
            "out-of-range", "scale", value=f"'{text}'", allowed="above 1, at most 16"
        )
    check_factor(factor := float(match.group(1)))
    return factor


@dataclass(frozen=True)
class Options:
    """The command line of `sr upscale`."""

    inputs: Annotated[
        list[str],
        typer.Argument(metavar="INPUT...", help="Images, folders, patterns; - is stdin."),
    ]
    output: Annotated[str | None, typer.Option("-o", "--output", help=_FOLDER_HINT)] = None
    model: Annotated[
        list[str] | None,
        typer.Option(
            "-m",
            "--model",
            help="Network, id, checkpoint file (of any tool), address, or a+b to chain two; "
            "several are averaged.",
        ),
    ] = None
    scale: Annotated[
        list[str] | None,
        typer.Option("-x", "-s", "--scale", help="Factor above 1, up to 16. Default 4."),
    ] = None
    width: Annotated[
        int | None, typer.Option("--width", help="Result's width; with --height: fit inside.")
    ] = None
    height: Annotated[int | None, typer.Option("--height", help="Result's height.")] = None
    max_side: Annotated[
        int | None, typer.Option("--max-side", help="Longest side that a result may have.")
    ] = None
    format: Annotated[
        str | None, typer.Option("-f", "--format", help="jpg, png, webp, tif, bmp, gif or avif.")
    ] = None
    quality: Annotated[
        int | None,
        typer.Option("-q", "--quality", help="1 to 100. Default: JPEG 95, WebP 92, AVIF 90."),
    ] = None
    lossless: Annotated[bool, typer.Option("--lossless", help="Lossless WebP or AVIF.")] = False
    suffix: Annotated[
        str | None,
        typer.Option("--suffix", help="What ends the names of results. Default _x4 beside inputs."),
    ] = None
    recursive: Annotated[
        bool, typer.Option("-r", "--recursive", help="Search folders with their sub-folders.")
    ] = False
    overwrite: Annotated[
        bool, typer.Option("-y", "--overwrite", help="Overwrite results that exist.")
    ] = False
    skip_existing: Annotated[
        bool, typer.Option("--skip-existing", help="Skip results that exist; resumes a batch.")
    ] = False
    flatten: Annotated[
        bool,
        typer.Option(
            "--flatten",
            help="Drop what the format does not support: 16 bits, alpha (on white), frames.",
        ),
    ] = False
    strip: Annotated[
        bool, typer.Option("--strip", help="Drop EXIF, XMP, ICC profile and other metadata.")
    ] = False
    compare: Annotated[
        bool, typer.Option("--compare", help="Also write NAME_compare: bicubic beside the result.")
    ] = False
    tile: Annotated[
        int | None,
        typer.Option("-t", "--tile", help="Tile side in input pixels. Default: from memory."),
    ] = None
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto"
    precision: Annotated[str, typer.Option(help="auto (measured once), fp32, bf16 or fp16.")] = (
        "auto"
    )
    threads: Annotated[int | None, typer.Option(help="CPU threads. Default: all cores.")] = None
    tta: Annotated[
        bool,
        typer.Option("--tta", help="Average eight flips and turns: 8x slower, slightly better."),
    ] = False
    download: Annotated[
        bool, typer.Option("--download", help="Fetch public weights that -m names, if needed.")
    ] = False
    max_pixels: Annotated[
        int, typer.Option(help="Most pixels that an input or a result may have.")
    ] = 512_000_000
    allow_truncated: Annotated[
        bool, typer.Option("--allow-truncated", help="Read what there is of truncated files.")
    ] = False
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be written.")] = False
    json: Annotated[
        bool, typer.Option("--json", help="JSON Lines on stdout, one object per image.")
    ] = False
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Say more on stderr.")] = False
    quiet: Annotated[bool, typer.Option("--quiet", help="Say only errors.")] = False


@takes(Options)
def upscale(options: Options) -> None:
    """Upscale images: files, folders, or stdin.

    Results are written beside their inputs as NAME_x4.EXT, or where -o says. Nothing is
    overwritten without -y. EXIF, XMP, ICC profile, alpha, 16 bits, frames and pages are preserved.

    Exit codes: 0 all done; 1 an image or checkpoint failed; 2 refused before any image was
    opened; 130 interrupted.
    """
    from sr_cli.upscale.files import run_plan
    from sr_cli.upscale.plan import plan_files

    began = time.perf_counter()
    with Reporter(json=options.json, quiet=options.quiet, verbose=options.verbose) as reporter:
        plan = plan_files(_request(options), reporter.on_event)
        if options.json and any(str(job.target) == "-" for job in plan.jobs):
            raise RefusedError("conflicting-options", "json", other="an output on stdout")
        if options.dry_run:
            _show_plan(plan, options)
            raise typer.Exit(ExitCode.FAILED if plan.problems else ExitCode.OK)
        for result in run_plan(plan, reporter.on_event):
            reporter.on_result(result)
    reporter.summary(time.perf_counter() - began)
    raise typer.Exit(ExitCode.FAILED if reporter.failed else ExitCode.OK)


def _request(o: Options) -> UpscaleRequest:
    """What the command line asks for, checked by itself: nothing heavy is imported for a typo."""
    from sr_cli.engine.options import EngineOptions
    from sr_cli.upscale.request import UpscaleOptions, UpscaleRequest

    factors = {parse_scale(text) for text in o.scale or []}
    if len(factors) > 1:
        first, second, *_ = sorted(factors)
        raise RefusedError("conflicting-options", f"scale {first:g}", other=f"scale {second:g}")
    request = UpscaleRequest(
        tuple(o.inputs),
        o.output,
        tuple(o.model or ()),
        factors.pop() if factors else None,
        UpscaleOptions(
            width=o.width,
            height=o.height,
            max_side=o.max_side,
            recursive=o.recursive,
            suffix=o.suffix,
            format=o.format,
            quality=o.quality,
            lossless=o.lossless,
            strip=o.strip,
            overwrite=o.overwrite,
            skip_existing=o.skip_existing,
            flatten=o.flatten,
            compare=o.compare,
            download=o.download,
            max_pixels=o.max_pixels,
            allow_truncated=o.allow_truncated,
            engine=EngineOptions(o.device, o.threads, o.precision, o.tile, o.tta),
        ),
    )
    request.check()
    return request


def _show_plan(plan: Plan, options: Options) -> None:
    """`--dry-run`: which file would become which."""
    for name, problem in plan.problems:
        report_error(problem)
        if options.json:
            print_json({"input": name, "status": "failed", "error": as_record(problem)})
    for job in plan.jobs:
        exists = str(job.target) != "-" and os.path.exists(job.target)
        if options.json:
            record = {"input": str(job.source), "output": str(job.target)}
            print_json(record | {"status": "planned", "exists": exists})
        else:
            note = (" (overwritten)" if options.overwrite else " (exists)") if exists else ""
            typer.echo(f"{shown(job.source)} -> {shown(job.target)}{note}")
    if not options.quiet:
        for path in plan.earlier_results:
            say(f"{shown(path)}: result of an earlier run, skipped")
