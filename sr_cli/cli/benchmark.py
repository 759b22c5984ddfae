"""`sr benchmark`: figures that agree with the papers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sr_cli.cli.console import print_json, print_table, report_error, say, shown, talk
from sr_cli.cli.upscale import parse_scale
from sr_cli.errors import ExitCode, RefusedError, SrError

if TYPE_CHECKING:
    from rich.table import Table

    from sr_cli.evaluation.benchmark import Benchmark, Model
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
    check: Annotated[
        bool, typer.Option("--check", help="Exit 1 unless all shipped figures hold.")
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
    _check_outputs([plot, compare], overwrite)
    for name, value in (("tile", tile), ("threads", threads)):
        if value is not None and value < 1:
            raise RefusedError(f"--{name} {value}: must be at least 1")
    pin = _region(region)

    from sr_cli.inference.build import EngineOptions
    from sr_cli.inference.precision import check_precision_name

    check_precision_name(precision)
    options = EngineOptions(device, threads, precision, tile)
    names = sets or _DEFAULT_SETS
    if check:
        _check(names, model, data_dir, options, json_, quiet)
        return
    if plot is not None:
        from sr_cli.evaluation.plot import require_matplotlib

        require_matplotlib()

    from sr_cli.evaluation.benchmark import Benchmark, choose_models
    from sr_cli.evaluation.datasets import open_set, paired_set
    from sr_cli.evaluation.lpips import LPIPS
    from sr_cli.evaluation.measure import Protocol

    models = choose_models(model, factor)
    if hr is not None and lr is not None:
        opened = [paired_set(hr, lr, factor)]
    else:
        with _Fetching(quiet) as fetching:
            opened = [open_set(n, data_dir=data_dir, on_file=fetching) for n in names]
    if lpips is None and lpips_weights is not None:
        lpips = "alex"
    distance = None if lpips is None else LPIPS(lpips, lpips_weights).distance
    protocol = Protocol("rounded" if luma == "rounded" else "unrounded", rgb, distance)
    run = Benchmark(opened, factor, protocol, options, save=save, keep=compare is not None)
    rows = _measure(run, models, quiet)
    if json_:
        from sr_cli.evaluation.report import as_document

        print_json(as_document(rows, per_image=per_image), indent=1)
    else:
        _print(rows, csv=csv, markdown=markdown, per_image=per_image)
    if plot is not None:
        from sr_cli.evaluation.plot import plot_speed

        plot_speed(rows, opened[0].name, plot)
        say(f"{plot}: PSNR-Y over speed")
    if compare is not None:
        run.write_sheet(compare, region, pin)
        say(f"{compare}: crops through every model")
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


def _measure(run: Benchmark, models: list[Model], quiet: bool) -> list[Row]:
    """Every model, with a bar on a terminal; sorted by quality."""
    if quiet or not talk().is_terminal:
        rows = run.measure(models)
    else:
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
        with Progress(*columns, console=talk(), transient=True) as progress:
            task = progress.add_task("", total=run.count() * len(models))

            def tick(model: str) -> None:
                progress.update(task, advance=1, description=model)

            rows = run.measure(models, tick)
    return sorted(rows, key=lambda r: r.quality())


def _print(rows: list[Row], *, csv: bool, markdown: bool, per_image: bool) -> None:
    from sr_cli.evaluation.report import as_csv, as_markdown, as_table

    headings, lines = as_table(rows, per_image=per_image)
    if csv:
        typer.echo(as_csv(headings, lines), nl=False)
    elif markdown:
        typer.echo(as_markdown(headings, lines), nl=False)
    else:
        print_table(_table(rows, headings, lines, per_image))
        if not per_image:
            typer.echo("in brackets: how far from the published figure", err=True)


def _table(rows: list[Row], headings: list[str], lines: list[list[str]], per_image: bool) -> Table:
    from rich.markup import escape
    from rich.table import Table

    from sr_cli.evaluation.report import HEADINGS, best, measured, shown

    table = Table(box=None, pad_edge=False)
    for number, heading in enumerate(headings):
        left = number < (4 if per_image else 1)
        table.add_column(heading, justify="left" if left else "right", no_wrap=True)
    tops: dict[str, str] = {}
    if not per_image:
        for name in dict.fromkeys(n for row in rows for n in row.sets):
            for what in measured(rows):
                tops[f"{name} {HEADINGS[what]}"] = shown(what, best(rows, name, what))
    for line in lines:
        cells = []
        for heading, text in zip(headings, line, strict=True):
            is_top = bool(text) and text.split(" (")[0] == tops.get(heading)
            cells.append(f"[bold]{escape(text)}[/]" if is_top else escape(text))
        table.add_row(*cells)
    return table


def _check(
    names: list[str],
    wanted: list[str] | None,
    data_dir: Path | None,
    options: object,
    json_: bool,
    quiet: bool,
) -> None:
    from sr_cli.evaluation.check import check
    from sr_cli.inference.build import EngineOptions
    from sr_cli.weights.manifest import choose, load_manifest

    assert isinstance(options, EngineOptions)
    entries = load_manifest().entries
    if wanted:
        entries = tuple(e for name in wanted for e in choose(name).entries)

    def start(text: str) -> None:
        if not quiet:
            say(text)

    findings = []
    for finding in check(entries, names, data_dir=data_dir, options=options, on_start=start):
        findings.append(finding)
        if not json_:
            verdict = "ok  " if finding.good else "FAIL"
            difference = finding.found - finding.expected
            typer.echo(
                f"{verdict} {finding.what}: {finding.found:.4f}, "
                f"expected {finding.expected:.4f} ({difference:+.4f})"
            )
    bad = sum(not f.good for f in findings)
    if json_:
        print_json([vars(f) for f in findings], indent=1)
    say(f"{len(findings)} figures, {bad} do not hold")
    raise typer.Exit(ExitCode.FAILED if bad else ExitCode.OK)


class _Fetching:
    """A bar while a set's files are fetched or verified."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._progress: object = None

    def __enter__(self) -> _Fetching:
        return self

    def __exit__(self, *_: object) -> None:
        from rich.progress import Progress

        if isinstance(self._progress, Progress):
            self._progress.stop()

    def __call__(self, name: str, there: int, total: int) -> None:
        from rich.progress import Progress

        if self._quiet or not talk().is_terminal:
            return
        if self._progress is None:
            self._progress = Progress(console=talk(), transient=True)
            self._progress.start()
            self._tasks: dict[str, object] = {}
        assert isinstance(self._progress, Progress)
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(shown(name), total=float(total))
        self._progress.update(self._tasks[name], completed=there)  # type: ignore[arg-type]
