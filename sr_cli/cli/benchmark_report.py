"""What `sr benchmark` tells: bars while it works, and the table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from sr_cli.cli.console import print_table, shown, talk

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID
    from rich.table import Table

    from sr_cli.evaluation.benchmark import Benchmark, Model
    from sr_cli.evaluation.report import Row


def measure(run: Benchmark, models: list[Model], quiet: bool) -> list[Row]:
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


def print_rows(rows: list[Row], *, csv: bool, markdown: bool, per_image: bool) -> None:
    from sr_cli.evaluation.report import as_csv, as_markdown, as_table

    headings, lines = as_table(rows, per_image=per_image)
    if csv:
        typer.echo(as_csv(headings, lines), nl=False)
    elif markdown:
        typer.echo(as_markdown(headings, lines), nl=False)
    else:
        print_table(_table(rows, headings, lines, per_image))
        if any("(" in text for line in lines for text in line):
            typer.echo("in brackets: how far from the published figure", err=True)


def _table(rows: list[Row], headings: list[str], lines: list[list[str]], per_image: bool) -> Table:
    from rich.markup import escape
    from rich.table import Table

    from sr_cli.evaluation.report import HEADINGS, best, measured, shown

    table = Table(box=None, pad_edge=False)
    for number, heading in enumerate(headings):
        left = number == 0 or heading in ("degradation", "set", "image")
        table.add_column(heading, justify="left" if left else "right", no_wrap=True)
    tops: dict[tuple[str, str], str] = {}
    if not per_image:
        for kind in {row.degradation for row in rows}:
            alike = [row for row in rows if row.degradation == kind]
            for name in dict.fromkeys(n for row in alike for n in row.sets):
                for what in measured(alike):
                    top = shown(what, best(alike, name, what))
                    tops[kind, f"{name} {HEADINGS[what]}"] = top
    for number, line in enumerate(lines):
        cells = []
        kind = "" if per_image else rows[number].degradation
        for heading, text in zip(headings, line, strict=True):
            is_top = bool(text) and text.split(" (")[0] == tops.get((kind, heading))
            cells.append(f"[bold]{escape(text)}[/]" if is_top else escape(text))
        table.add_row(*cells)
    return table


class Fetching:
    """A bar while a set's files are fetched or verified."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._progress: Progress | None = None
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Fetching:
        return self

    def __exit__(self, *_: object) -> None:
        if self._progress is not None:
            self._progress.stop()

    def __call__(self, name: str, there: int, total: int) -> None:
        from rich.progress import Progress

        if self._quiet or not talk().is_terminal:
            return
        if self._progress is None:
            self._progress = Progress(console=talk(), transient=True)
            self._progress.start()
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(shown(name), total=float(total))
        self._progress.update(self._tasks[name], completed=there)
