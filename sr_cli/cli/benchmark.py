"""`sr benchmark`: figures that agree with the papers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sr_cli.cli.benchmark_check import check_shipped
from sr_cli.cli.benchmark_report import Fetching, measure, print_rows
from sr_cli.cli.console import print_json, report_error, say
from sr_cli.cli.upscale import parse_scale
from sr_cli.errors import ExitCode, RefusedError, SrError
from sr_cli.imaging.degradation import DEGRADATIONS

if TYPE_CHECKING:
    from sr_cli.evaluation.report import Row

_DEFAULT_SETS = ["Set5", "Set14"]


def benchmark(
    sets: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SET]...", help="Set5, Set14, BSD100, Urban100, or folders. Default: 5, 14."
        ),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option("-m", "--model", help="Network, id or file. Default: all that are trained."),
    ] = None,
    scale: Annotated[
        str | None, typer.Option("-x", "-s", "--scale", help="2, 3 or 4. Default 4.")
    ] = None,
    hr: Annotated[
        Path | None, typer.Option("--hr", help="Folder of originals, paired by name with --lr.")
    ] = None,
    lr: Annotated[Path | None, typer.Option("--lr", help="Folder of their lr pictures.")] = None,
    data_dir: Annotated[
        Path | None, typer.Option("--data-dir", help="A copy of the sets of your own; verified.")
    ] = None,
    luma: Annotated[
        str, typer.Option("--luma", help="unrounded, or rounded as in the oldest papers.")
    ] = "unrounded",
    rgb: Annotated[bool, typer.Option("--rgb", help="Also PSNR on RGB.")] = False,
    lpips: Annotated[
        str | None, typer.Option("--lpips", help="Also LPIPS: alex or vgg (fetched once).")
    ] = None,
    lpips_weights: Annotated[
        Path | None, typer.Option("--lpips-weights", help="LPIPS's weights from a file.")
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
    csv: Annotated[bool, typer.Option("--csv", help="CSV on stdout.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Markdown on stdout.")] = False,
    per_image: Annotated[bool, typer.Option("--per-image", help="A line for each image.")] = False,
    plot: Annotated[
        Path | None, typer.Option("--plot", help="PSNR over speed as PNG (an extra: plot).")
    ] = None,
    save: Annotated[
        Path | None, typer.Option("--save", help="Folder for the enlarged pictures.")
    ] = None,
    compare: Annotated[
        Path | None, typer.Option("--compare", help="Sheet of crops through every model, PNG.")
    ] = None,
    region: Annotated[
        str,
        typer.Option(
            "--region", help="What --compare shows: differ, edges, texture, or IMAGE:LEFT,TOP,SIDE."
        ),
    ] = "differ",
    ab: Annotated[
        Path | None,
        typer.Option("--ab", help="Folder for a page that compares the models blindly, by eye."),
    ] = None,
    degradation: Annotated[
        list[str] | None,
        typer.Option(
            "--degradation", help="How lr is made: bicubic, noise, photo. --ab takes several."
        ),
    ] = None,
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Exit 1 unless the shipped PSNR-Y on these sets holds, at every scale or -x.",
        ),
    ] = False,
    tile: Annotated[int | None, typer.Option("-t", "--tile", help="Tile side.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, fp32, bf16 or fp16.")] = "auto",
    threads: Annotated[int | None, typer.Option(help="CPU threads. Default: all cores.")] = None,
    overwrite: Annotated[
        bool, typer.Option("-y", "--overwrite", help="Replace files that exist.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Say only errors.")] = False,
) -> None:
    """Measure models on test sets by the papers' protocol, next to the published figures.

    What is measured is what sr upscale writes. lr is made as MATLAB does; PSNR and SSIM are on
    luma, a border of as many pixels as the scale left out. Sets are fetched once and verified.

    Exit codes: 0 all measured (with --check: all figures hold); 1 a picture, set or figure
    failed; 2 refused before anything was measured; 130 interrupted.
    """
    if sum((json_, csv, markdown)) > 1:
        raise RefusedError("--json, --csv and --markdown share stdout", "give one of them")
    if luma not in ("unrounded", "rounded"):
        raise RefusedError(f"--luma {luma}", "unrounded or rounded")
    if lpips is not None and lpips not in ("alex", "vgg"):
        raise RefusedError(f"no LPIPS network '{lpips}'", "alex or vgg")
    if (hr is None) != (lr is None):
        raise RefusedError("--hr and --lr belong together")
    if hr is not None and sets:
        raise RefusedError("--hr and --lr replace the names of sets")
    factor = 4 if scale is None else _whole(parse_scale(scale))
    kinds = degradation or ["bicubic"]
    for kind in kinds:
        if kind not in DEGRADATIONS:
            raise RefusedError(f"no degradation '{kind}'", ", ".join(DEGRADATIONS))
    if len(kinds) > 1 and ab is None:
        raise RefusedError("several degradations are for --ab", "give one, or --ab FOLDER")
    if len(kinds) > 1 and (plot or compare or save):
        raise RefusedError("--plot, --compare and --save are for one degradation")
    if ab is not None and (ab / "index.html").exists() and not overwrite:
        raise RefusedError(f"{ab / 'index.html'}: exists already", "-y overwrites")
    _check_outputs([plot, compare], overwrite)
    for name, value in (("tile", tile), ("threads", threads)):
        if value is not None and value < 1:
            raise RefusedError(f"--{name} {value}: must be at least 1")
    pin = _region(region)
    if region != "differ" and compare is None:
        raise RefusedError("--region says what --compare shows", "give --compare FILE.png")

    from sr_cli.engine.options import EngineOptions, check_precision

    check_precision(precision)
    options = EngineOptions(device, threads, precision, tile)
    names = sets or _DEFAULT_SETS
    if check:
        others = (hr, rgb, lpips, lpips_weights, csv, markdown, per_image, plot, save, compare, ab)
        if any(others) or degradation or luma == "rounded" or precision != "auto":
            raise RefusedError(
                "--check measures PSNR-Y of what ships, on sets, in fp32 and as upscale computes",
                "with -m, -x, --data-dir, --json and nothing else",
            )
        only = None if scale is None else factor
        check_shipped(names, model, only, data_dir, options, json_, quiet)
    if plot is not None:
        from sr_cli.evaluation.plot import require_matplotlib

        require_matplotlib()

    from sr_cli.evaluation.benchmark import (
        Benchmark,
        check_free,
        check_names,
        check_pin,
        choose_models,
    )
    from sr_cli.evaluation.datasets import open_set, paired_set
    from sr_cli.evaluation.lpips import LPIPS
    from sr_cli.evaluation.measure import Protocol

    models = choose_models(model, factor)
    if hr is not None and lr is not None:
        opened = [paired_set(hr, lr, factor)]
    else:
        with Fetching(quiet) as fetching:
            opened = [open_set(n, data_dir=data_dir, on_file=fetching) for n in names]
    check_names(opened)
    if pin is not None:
        check_pin(opened, pin)
    # Bicubic is in every table, but in a blind comparison only where it is asked for.
    asked = [m.name for m in models if m.name != "bicubic"]
    if model is None or "bicubic" in model or len(asked) == 1:
        asked = [m.name for m in models]
    if ab is not None and len(asked) < 2:
        raise RefusedError("--ab needs two models", "-m NAME -m NAME")
    if save is not None and not overwrite:
        check_free(save, opened, models)
    if lpips is None and lpips_weights is not None:
        lpips = "alex"
    distance = None if lpips is None else LPIPS(lpips, lpips_weights).distance
    keep = compare is not None or ab is not None
    rows: list[Row] = []
    trials = []
    for kind in kinds:
        protocol = Protocol("rounded" if luma == "rounded" else "unrounded", rgb, distance, kind)
        run = Benchmark(opened, factor, protocol, options, save=save, keep=keep)
        rows += measure(run, models, quiet)
        trials += run.trials(asked) if ab is not None else []
    if json_:
        from sr_cli.evaluation.report import as_document

        print_json(as_document(rows, per_image=per_image), indent=1)
    else:
        print_rows(rows, csv=csv, markdown=markdown, per_image=per_image)
    written = []
    if plot is not None:
        from sr_cli.evaluation.plot import plot_speed

        plot_speed(rows, opened[0].name, plot)
        written.append(f"{plot}: PSNR-Y over speed")
    if compare is not None:
        run.write_sheet(compare, region, pin)
        written.append(f"{compare}: crops through every model")
    if ab is not None:
        from sr_cli.evaluation.blind import write_page

        written.append(f"{write_page(trials, ab)}: open it in a browser")
    for text in () if quiet else written:
        say(text)
    failed = [e for row in rows for found in row.sets.values() for e in found.errors]
    for text in dict.fromkeys(failed):
        report_error(SrError(text))
    broken = [row for row in rows if row.error]
    for row in broken:
        report_error(SrError(f"{row.model}: {row.error}"))
    if failed:
        say(f"{len(set(failed))} pictures could not be measured")
    raise typer.Exit(ExitCode.FAILED if failed or broken else ExitCode.OK)


def _whole(factor: float) -> int:
    if factor != int(factor):
        raise RefusedError(f"scale {factor:g}: benchmarks are at whole factors")
    return int(factor)


def _check_outputs(paths: list[Path | None], overwrite: bool) -> None:
    for path in paths:
        if path is None:
            continue
        if path.suffix.lower() != ".png":
            raise RefusedError(f"{path}: is written as PNG", "end it with .png")
        if path.exists() and not overwrite:
            raise RefusedError(f"{path}: exists already", "-y overwrites")
        if not path.parent.is_dir():
            raise RefusedError(f"{path.parent}: no such folder")


def _region(text: str) -> tuple[str, int, int, int] | None:
    """A place given by hand; None for the kinds that are looked for."""
    if text in ("differ", "edges", "texture"):
        return None
    match = re.fullmatch(r"(.+):(\d+),(\d+),(\d+)", text)
    if not match or int(match.group(4)) < 1:
        raise RefusedError(
            f"--region {text}", "differ, edges, texture, or IMAGE:LEFT,TOP,SIDE in pixels"
        )
    name, left, top, side = match.groups()
    return name, int(left), int(top), int(side)
