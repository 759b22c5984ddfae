"""`sr benchmark --check`: the shipped figures, measured again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from sr_cli.cli.console import print_json, say
from sr_cli.errors import ExitCode

if TYPE_CHECKING:
    from sr_cli.cli.benchmark_options import Options
    from sr_cli.engine.options import EngineOptions
    from sr_cli.evaluation.figure_checks import CheckStarted, FigureCheck


def print_checks(given: Options, scale: int | None, engine: EngineOptions) -> ExitCode:
    """Print whether each shipped figure holds; FAILED where one does not."""
    from sr_cli.evaluation.figure_checks import FigureCheck, check_figures
    from sr_cli.evaluation.plan import DEFAULT_SETS

    def on_event(event: CheckStarted | FigureCheck) -> None:
        if isinstance(event, FigureCheck):
            if not given.json:
                typer.echo(_line(event))
        elif not given.quiet:
            say(f"{_name(event)} on {event.test_set}")

    checks = check_figures(
        given.sets or DEFAULT_SETS,
        models=given.model,
        scale=scale,
        data_dir=given.data_dir,
        engine=engine,
        on_event=on_event,
    )
    if given.json:
        print_json({"checks": [vars(c) for c in checks]}, indent=1)
    failed = sum(not c.holds for c in checks)
    if not given.quiet:
        say(f"{len(checks)} figures, {failed} do not hold")
    return ExitCode.FAILED if failed else ExitCode.OK


def _name(event: CheckStarted | FigureCheck) -> str:
    """Ids end in their scale; bicubic does not."""
    return f"bicubic x{event.scale}" if event.model == "bicubic" else event.model


def _line(check: FigureCheck) -> str:
    from sr_cli.evaluation.report import METRICS

    heading = {m.key: m.heading for m in METRICS}[check.metric]
    precision = "fp32" if check.precision == "fp32" else "default precision"
    verdict = "ok  " if check.holds else "FAIL"
    return (
        f"{verdict} {_name(check)} {check.test_set} {heading} ({precision}): {check.found:.4f}, "
        f"expected {check.expected:.4f} ({check.found - check.expected:+.4f})"
    )
