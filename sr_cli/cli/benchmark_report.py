"""The output of `sr benchmark`: progress, the report, errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from sr_cli.cli.console import (
    is_terminal,
    print_json,
    print_table,
    report_error,
    say,
    shown,
    stderr_console,
)
from sr_cli.cli.messages import as_record

if TYPE_CHECKING:
    from rich.table import Table as RichTable

    from sr_cli.cli.benchmark_options import Options
    from sr_cli.evaluation.plan import Event
    from sr_cli.evaluation.report import Report
    from sr_cli.evaluation.table import Table


class BenchmarkProgress:
    """Bars for downloads and for the measurement, on a terminal."""

    def __init__(self, quiet: bool) -> None:
        self._shows = not quiet and is_terminal()
        self._progress: Any = None
        self._tasks: dict[str, Any] = {}

    def __enter__(self) -> BenchmarkProgress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._progress is not None:
            self._progress.stop()

    def __call__(self, event: Event) -> None:
        """Show an event of a benchmark."""
        if not self._shows:
            return

        from sr_cli.evaluation.plan import FetchProgress

        if isinstance(event, FetchProgress):
            self._update(event.name, event.name, event.done, event.total)
        else:
            self._update("", event.model, event.done, event.total)

    def _update(self, key: str, text: str, done: int, total: int | None) -> None:
        if self._progress is None:
            from rich.progress import Progress as Bars

            self._progress = Bars(console=stderr_console(), transient=True)
            self._progress.start()
        if key not in self._tasks:
            self._tasks[key] = self._progress.add_task("", total=total)
        self._progress.update(
            self._tasks[key],
            completed=done,
            description=shown(text),
            visible=done != total,
        )


def print_report(report: Report, given: Options) -> None:
    """Print the report on stdout, in the requested format."""
    from sr_cli.evaluation.table import as_document, table_of

    if given.json:
        document = as_document(report, per_image=given.per_image, record=as_record)
        print_json(document, indent=1)
        return
    print_lines(table_of(report, per_image=given.per_image), given)


def print_lines(table: Table, given: Options) -> None:
    """Print a table on stdout, as CSV or Markdown where it is requested."""
    from sr_cli.evaluation.table import as_csv, as_markdown

    if given.csv:
        typer.echo(as_csv(table), nl=False)
    elif given.markdown:
        typer.echo(as_markdown(table), nl=False)
    else:
        print_table(_rendered(table))
        if table.has_differences:
            say("in brackets: the difference to the published figure")


def _rendered(table: Table) -> RichTable:
    """Render a table for a terminal, with the best figures in bold."""
    from rich.markup import escape
    from rich.table import Table as RichTable

    from sr_cli.evaluation.report import Figure
    from sr_cli.evaluation.table import text_of

    rendered = RichTable(box=None, pad_edge=False)
    for column in table.columns:
        rendered.add_column(
            column.heading, justify="left" if column.is_name else "right", no_wrap=True
        )
    for line in table.lines:
        cells = []
        for column, value in zip(table.columns, line, strict=True):
            text = escape(text_of(value, column.form))
            bold = isinstance(value, Figure) and value.is_best
            cells.append(f"[bold]{text}[/]" if bold else text)
        rendered.add_row(*cells)
    return rendered


def report_failures(report: Report) -> bool:
    """Print the images and models that failed on stderr; return whether there are any."""
    for error in [*report.image_errors, *report.model_errors]:
        report_error(error)
    if count := len(report.image_errors):
        say(f"{count} {'image' if count == 1 else 'images'} could not be measured")
    return bool(report.image_errors or report.model_errors)
