"""`sr benchmark --ocr`: what an OCR program reads in the results."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sr_cli.cli.benchmark_report import BenchmarkProgress, print_lines
from sr_cli.cli.console import print_json, report_error
from sr_cli.cli.messages import as_record
from sr_cli.errors import ExitCode

if TYPE_CHECKING:
    from sr_cli.cli.benchmark_options import Options
    from sr_cli.engine.options import EngineOptions


def print_ocr(given: Options, language: str, scale: int, engine: EngineOptions) -> ExitCode:
    """Print how the results of each model are read; FAILED where one could not be."""
    from sr_cli.evaluation.ocr import benchmark_ocr
    from sr_cli.evaluation.ocr_table import ocr_document, ocr_table

    with BenchmarkProgress(given.quiet) as progress:
        report = benchmark_ocr(
            given.sets or (),
            language=language,
            models=given.model,
            scale=scale,
            engine=engine,
            on_event=progress,
        )
    if given.json:
        document = ocr_document(report, per_image=given.per_image, record=as_record)
        print_json(document, indent=1)
    else:
        print_lines(ocr_table(report, per_image=given.per_image), given)
    for error in report.errors:
        report_error(error)
    return ExitCode.FAILED if report.errors else ExitCode.OK
