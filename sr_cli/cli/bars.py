"""A bar for each download, on a terminal."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from sr_cli.cli.console import talk


class Bars:
    """Bars by name; `sizes` in bytes, where known."""

    def __init__(self, sizes: dict[str, int | None], quiet: bool = False) -> None:
        self._progress: Any = None
        self._tasks: dict[str, Any] = {}
        if talk().is_terminal and not quiet and sizes:
            from rich.progress import (
                BarColumn,
                DownloadColumn,
                Progress,
                TextColumn,
                TimeRemainingColumn,
            )

            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                DownloadColumn(),
                TimeRemainingColumn(),
            )
            self._progress = Progress(*columns, console=talk(), transient=True)
            for name, size in sizes.items():
                self._tasks[name] = self._progress.add_task(name, total=size)
        self._shown: AbstractContextManager[Any] = self._progress or nullcontext()

    def __enter__(self) -> Bars:
        self._shown.__enter__()
        return self

    def __exit__(self, *details: Any) -> None:
        self._shown.__exit__(*details)

    def update(self, name: str, there: int, total: int | None) -> None:
        """So many bytes are there."""
        if self._progress is not None:
            self._progress.update(self._tasks[name], completed=there, total=total)
