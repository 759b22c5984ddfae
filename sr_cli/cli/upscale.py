"""`sr upscale`: pictures made larger."""

from __future__ import annotations

import math
import os
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sr_cli.cli.chosen import fetch_addresses, fetch_missing, own_factor
from sr_cli.cli.console import print_json, say, shown
from sr_cli.cli.report import Reporter, explain, show_plan
from sr_cli.engine.precision import check_precision_name
from sr_cli.errors import ExitCode, RefusedError

if TYPE_CHECKING:
    from sr_cli.engine.enlarge import Enlarger, Size
    from sr_cli.upscale.jobs import Job

MIN_SCALE, MAX_SCALE = 1.0, 16.0
DEFAULT_SCALE = 4.0
MAX_THREADS = 1024
DEFAULT_MAX_PIXELS = 512_000_000


def parse_scale(text: str) -> float:
    """`4`, `x4`, `2.5`: a factor above 1, at most 16. Raises RefusedError for anything else."""
    match = re.fullmatch(r"[xX]?(\d+(\.\d*)?|\.\d+)", text.strip())
    scale = float(match.group(1)) if match else 0.0
    if not MIN_SCALE < scale <= MAX_SCALE:
        raise RefusedError(
            f"scale '{text}' is out of range",
            f"a factor above {MIN_SCALE:g}, at most {MAX_SCALE:g}",
        )
    return scale


def upscale(
    inputs: Annotated[
        list[str],
        typer.Argument(metavar="INPUT...", help="Pictures, folders, patterns; - is stdin."),
    ],
    output: Annotated[
        str | None,
        typer.Option(
            "-o", "--output", help="File or folder (existing, or ending in /); - is stdout."
        ),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            "-m",
            "--model",
            help="Network, id, checkpoint file (of any tool), address, or a+b: one after "
            "the other; several are averaged.",
        ),
    ] = None,
    scale: Annotated[
        list[str] | None,
        typer.Option("-x", "-s", "--scale", help="Factor above 1, up to 16. Default 4."),
    ] = None,
    width: Annotated[
        int | None, typer.Option("--width", help="Result's width; with --height: fit inside.")
    ] = None,
    height: Annotated[int | None, typer.Option("--height", help="Result's height.")] = None,
    max_side: Annotated[
        int | None, typer.Option("--max-side", help="Longest side that a result may have.")
    ] = None,
    format_: Annotated[
        str | None, typer.Option("-f", "--format", help="jpg, png, webp, tif, bmp, gif or avif.")
    ] = None,
    quality: Annotated[
        int | None,
        typer.Option("-q", "--quality", help="1 to 100. Default: JPEG 95, WebP 92, AVIF 90."),
    ] = None,
    lossless: Annotated[bool, typer.Option("--lossless", help="Lossless WebP or AVIF.")] = False,
    suffix: Annotated[
        str | None,
        typer.Option("--suffix", help="What ends the names of results. Default _x4 beside inputs."),
    ] = None,
    recursive: Annotated[
        bool, typer.Option("-r", "--recursive", help="Folders with all their sub-folders.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("-y", "--overwrite", help="Replace results that exist.")
    ] = False,
    skip_existing: Annotated[
        bool, typer.Option("--skip-existing", help="Leave results that exist; resumes a batch.")
    ] = False,
    flatten: Annotated[
        bool,
        typer.Option(
            "--flatten", help="Drop what the format lacks: 16 bits, alpha (on white), frames."
        ),
    ] = False,
    strip: Annotated[
        bool, typer.Option("--strip", help="Drop EXIF, XMP, ICC and other metadata.")
    ] = False,
    compare: Annotated[
        bool, typer.Option("--compare", help="Also write NAME_compare: bicubic beside the result.")
    ] = False,
    tile: Annotated[
        int | None,
        typer.Option("-t", "--tile", help="Tile side in input pixels. Default: from memory."),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
    precision: Annotated[
        str, typer.Option(help="auto (measured once), fp32, bf16 or fp16.")
    ] = "auto",
    threads: Annotated[int | None, typer.Option(help="CPU threads. Default: all cores.")] = None,
    tta: Annotated[
        bool,
        typer.Option("--tta", help="Average eight flips and turns: 8x slower, slightly better."),
    ] = False,
    download: Annotated[
        bool, typer.Option("--download", help="Fetch public weights that -m names, if need be.")
    ] = False,
    max_pixels: Annotated[
        int, typer.Option(help="Most pixels that an input or a result may have.")
    ] = DEFAULT_MAX_PIXELS,
    allow_truncated: Annotated[
        bool, typer.Option("--allow-truncated", help="Read what there is of cut-off files.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be written.")] = False,
    json_: Annotated[
        bool, typer.Option("--json", help="JSON Lines on stdout, one object a picture.")
    ] = False,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Say more on stderr.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Say only errors.")] = False,
) -> None:
    """Upscale pictures: files, folders, or stdin.

    Results lie beside their inputs as NAME_x4.EXT, or where -o says. Nothing is overwritten
    without -y. EXIF, XMP, ICC profile, alpha, 16 bits, frames and pages are kept.

    Exit codes: 0 all done; 1 a picture or checkpoint failed; 2 refused before any picture was
    opened; 130 interrupted.
    """
    factor = _factor(scale, model)
    _check_positive(
        width=width,
        height=height,
        max_side=max_side,
        tile=tile,
        threads=threads,
        max_pixels=max_pixels,
    )
    if quality is not None and not 1 <= quality <= 100:
        raise RefusedError(f"quality {quality} is out of range", "1 to 100")
    if scale and (width or height):
        raise RefusedError("--scale and --width/--height contradict each other", "give one of them")
    check_precision_name(precision)
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", device):
        raise RefusedError(f"no device '{device}'", "auto, cpu, cuda, cuda:N or mps")
    if overwrite and skip_existing:
        raise RefusedError("--overwrite and --skip-existing contradict each other")

    from sr_cli.registry.manifest import choose
    from sr_cli.upscale.jobs import STDIO, Naming, find_inputs, plan_jobs

    names: list[str | None] = [*model] if model else [None]
    fetch_addresses(names)
    choices = [choose(name) for name in names]
    if not (scale or width or height) and len(choices) == 1:
        factor = own_factor(choices[0]) or factor
    label = _label(factor, width, height)
    folder = Path(output) if output and output != "-" else None
    there = find_inputs(inputs, recursive=recursive, output=folder, label=suffix or label)
    for path in there.passed_over:
        if not quiet:
            say(f"{shown(path)}: result of an earlier run, passed over")
        if json_:
            print_json({"input": str(path), "passed_over": True})
    several = len(inputs) > 1 or len(there.found) > 1 or any(os.path.isdir(n) for n in inputs)
    jobs = plan_jobs(
        there.found, Naming(output, label, suffix, format_), several=several, compare=compare
    )
    if json_ and any(job.target == STDIO for job in jobs):
        raise RefusedError("--json and a picture cannot share stdout", "give an output with -o")
    if compare and any(job.target == STDIO for job in jobs):
        raise RefusedError("--compare needs an output file")
    if dry_run:
        show_plan(jobs, there.problems, json_, overwrite)
        raise typer.Exit(ExitCode.FAILED if there.problems else ExitCode.OK)
    for job in jobs:
        if overwrite and job.source != STDIO and _same_file(job.source, job.target):
            say(f"warning: {shown(job.source)} will be replaced by its result", style="yellow")

    from sr_cli.engine.build import EngineOptions, build_enlarger, network_scale
    from sr_cli.engine.enlarge import BicubicEnlarger, Size
    from sr_cli.imaging.encode import Encoding
    from sr_cli.upscale.batch import Options, is_there

    size = Size(None if width or height else factor, width, height, max_side)
    options = Options(
        size,
        Encoding(quality, lossless, strip),
        overwrite,
        skip_existing,
        flatten,
        compare,
        max_pixels,
        allow_truncated,
    )
    began = time.perf_counter()
    engine = EngineOptions(device, threads, precision, tile, tta)

    # Each picture's own factor chooses its network, whatever else is in the batch.
    waiting: dict[float, list[Job]] = {}
    idle: list[Job] = []
    for job in jobs:
        # Nothing to compute, nothing to load: what is left are messages.
        is_idle = is_there(job, options)
        (idle if is_idle else waiting.setdefault(_network_factor(job, size), [])).append(job)
    for network_factor in waiting if download else ():
        fetch_missing(choices, network_factor)
    by_scale: dict[int | None, list[Job]] = {}
    for network_factor, some in waiting.items():
        by_scale.setdefault(network_scale(choices, network_factor), []).extend(some)
    legs: list[tuple[Enlarger, list[Job]]] = [(BicubicEnlarger(), idle)] if idle else []
    for trained, some in by_scale.items():
        enlarger = build_enlarger(choices, factor if trained is None else trained, engine)
        explain(enlarger, None if max_side else size.factor, verbose, quiet)
        legs.append((enlarger, some))
    reporter = Reporter([c.name for c in choices], json_, quiet, verbose)
    for name, problem in there.problems:
        reporter.problem(name, problem)
    reporter.run(legs, options)
    reporter.summary(time.perf_counter() - began)
    raise typer.Exit(ExitCode.FAILED if reporter.failed else ExitCode.OK)


def _factor(scales: list[str] | None, models: list[str] | None) -> float:
    """The one factor that was asked for; else what a model's id says, else 4."""
    found = {parse_scale(text) for text in scales or []}
    if len(found) > 1:
        raise RefusedError(f"scale given twice: {' and '.join(f'{f:g}' for f in sorted(found))}")
    if found:
        return found.pop()
    named = {
        m.group(1) for name in models or [] if (m := re.search(r"-x(\d+)(\.safetensors)?$", name))
    }
    return float(named.pop()) if len(named) == 1 else DEFAULT_SCALE


def _same_file(a: Path, b: Path) -> bool:
    try:
        return os.path.samefile(a, b)
    except OSError:
        return False


def _check_positive(**values: int | None) -> None:
    for name, value in values.items():
        if value is not None and value < 1:
            raise RefusedError(f"--{name.replace('_', '-')} {value}: must be at least 1")
    threads = values.get("threads")
    if threads is not None and threads > MAX_THREADS:
        raise RefusedError(f"--threads {threads}: at most {MAX_THREADS}")


def _label(factor: float, width: int | None, height: int | None) -> str:
    if width or height:
        return "_" + (f"w{width}" if width else "") + (f"h{height}" if height else "")
    return f"_x{factor:g}"


def _network_factor(job: Job, size: Size) -> float:
    """The factor that the network is chosen for: the next whole one, which is a scale or none."""
    factor = size.factor
    if factor is None or size.max_side is not None:
        from sr_cli.imaging.decode import read_size

        found = None if str(job.source) == "-" else read_size(job.source)
        factor = size.factor_for(*found) if found else factor or DEFAULT_SCALE
        factor = math.ceil(factor)
    return min(MAX_SCALE, factor)
