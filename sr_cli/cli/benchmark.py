"""`sr benchmark`: models measured on test sets, next to the published figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import typer

from sr_cli.cli.benchmark_check import print_checks
from sr_cli.cli.benchmark_ocr import print_ocr
from sr_cli.cli.benchmark_options import Options, check_options, parse_region
from sr_cli.cli.benchmark_report import BenchmarkProgress, print_report, report_failures
from sr_cli.cli.console import say, shown
from sr_cli.cli.options import takes
from sr_cli.cli.upscale_options import parse_scale
from sr_cli.errors import ExitCode, RefusedError

if TYPE_CHECKING:
    from sr_cli.engine.options import EngineOptions
    from sr_cli.evaluation.metrics import Luma
    from sr_cli.evaluation.plan import BenchmarkOptions, BenchmarkPlan
    from sr_cli.evaluation.report import Report
    from sr_cli.evaluation.sheet import Crop


@takes(Options)
def benchmark(given: Options) -> None:
    """Measure models on test sets, next to the published figures.

    Models are measured on what sr upscale writes, by the papers' protocol:
    lr by MATLAB's bicubic, PSNR and SSIM on luma, without a border as wide
    as the scale. Test sets are downloaded once and verified. With --ocr,
    models are measured by what Tesseract reads in images of text.

    Exit codes: 0 all measured (with --check: all figures hold);
    1 an image, a set, a model or a figure failed; 2 refused before anything
    was measured; 130 interrupted; 141 stdout closed; 143 terminated.
    """
    check_options(given)
    scale = None if given.scale is None else _whole(parse_scale(given.scale))
    engine = _engine_options(given)
    if given.check:
        raise typer.Exit(print_checks(given, scale, engine))
    if given.ocr is not None:
        raise typer.Exit(print_ocr(given, given.ocr, scale or 2, engine))
    region = parse_region(given.region)
    if given.plot is not None:
        from sr_cli.evaluation.plot import require_matplotlib

        require_matplotlib()

    from sr_cli.evaluation.benchmark import run_benchmark

    with BenchmarkProgress(given.quiet) as progress:
        plan = _plan(given, scale or 4, engine, progress)
        compared = _models_to_compare(given, plan)
        if given.compare is not None and not isinstance(region, str):
            from sr_cli.evaluation.sheet import check_crop

            check_crop(region, plan.sets)
        report = run_benchmark(plan, progress)
    print_report(report, given)
    _write_files(report, given, plan.sets[0].name, region, compared)
    failed = report_failures(report)
    raise typer.Exit(ExitCode.FAILED if failed else ExitCode.OK)


def _whole(scale: float) -> int:
    if scale != int(scale):
        raise RefusedError("wrong-type", "--scale", value=scale, wanted="a whole number")
    return int(scale)


def _engine_options(given: Options) -> EngineOptions:
    from sr_cli.engine.options import EngineOptions

    options = EngineOptions(given.device, given.threads, given.precision, given.tile)
    options.check()
    return options


def _plan(
    given: Options, scale: int, engine: EngineOptions, progress: BenchmarkProgress
) -> BenchmarkPlan:
    from sr_cli.evaluation.plan import DEFAULT_SETS, Pairs, plan_benchmark

    sets: Sequence[str | Pairs] = given.sets or DEFAULT_SETS
    if given.hr is not None and given.lr is not None:
        sets = [Pairs(given.hr, given.lr)]
    return plan_benchmark(
        sets,
        models=given.model,
        scale=scale,
        options=_options(given, engine),
        on_event=progress,
    )


def _options(given: Options, engine: EngineOptions) -> BenchmarkOptions:
    from sr_cli.evaluation.plan import BenchmarkOptions

    return BenchmarkOptions(
        # plan_benchmark checks the value.
        luma=cast("Luma", given.luma),
        rgb=given.rgb,
        lpips=given.lpips,
        lpips_weights=given.lpips_weights,
        dists=given.dists,
        trunk=given.trunk,
        niqe=given.niqe,
        strength=given.strength,
        degradations=given.degradations,
        engine=engine,
        data_dir=given.data_dir,
        save=given.save,
        overwrite=given.overwrite,
        keep_images=given.compare is not None or given.ab is not None,
    )


def _models_to_compare(given: Options, plan: BenchmarkPlan) -> list[str]:
    """The models on the blind page; bicubic only if it is named or there is only one other."""
    names = [m.name for m in plan.models]
    others = [name for name in names if name != "bicubic"]
    wanted = given.model is None or "bicubic" in given.model or len(others) == 1
    compared = names if wanted else others
    if given.ab is not None and len(compared) < 2:
        raise RefusedError("option-requires", "--ab", other="two models")
    return compared


def _write_files(
    report: Report, given: Options, first_set: str, region: str | Crop, compared: list[str]
) -> None:
    written = []
    if given.plot is not None:
        from sr_cli.evaluation.plot import write_plot

        write_plot(report, first_set, given.plot)
        written.append(f"{shown(given.plot)}: PSNR-Y over speed")
    if given.compare is not None:
        from sr_cli.evaluation.sheet import write_sheet

        write_sheet(report.comparisons, given.compare, region)
        written.append(f"{shown(given.compare)}: crops through every model")
    if given.ab is not None:
        from sr_cli.evaluation.blind import write_page

        page = write_page(report.comparisons, given.ab, compared)
        written.append(f"{shown(page)}: open it in a browser")
    for text in () if given.quiet else written:
        say(text)
