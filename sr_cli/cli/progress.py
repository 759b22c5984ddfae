"""Progress bars, only on a terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sr_cli.cli.console import is_terminal, shown, stderr_console


class DownloadBars:
    """A bar for each download. A context manager that removes the bars at its end."""

    def __init__(self, quiet: bool = False) -> None:
        self._shows = not quiet and is_terminal()
        self._progress: Any = None
        self._tasks: dict[str, Any] = {}

    def __enter__(self) -> DownloadBars:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def update(self, name: str, done: int, total: int | None) -> None:
        """Show the bytes downloaded so far, and the total if known."""
        if not self._shows:
            return
        if self._progress is None:
            self._progress = _download_progress()
            self._progress.start()
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(shown(name), total=total)
        self._progress.update(self._tasks[name], completed=done, total=total)

    def stop(self) -> None:
        """Remove the bars."""
        if self._progress is not None:
            self._progress.stop()
            self._progress, self._tasks = None, {}


def _download_progress() -> Any:
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
        console=stderr_console(),
        transient=True,
    )


class ImageBars:
    """A bar for all images and one for the current image, with the remaining time."""

    def __init__(self, total: int, quiet: bool = False) -> None:
        self._progress: Any = None
        self._done = 0
        self._current: Path | None = None
        if quiet or total == 0 or not is_terminal():
            return
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%"),
            TimeRemainingColumn(),
            console=stderr_console(),
            transient=True,
        )
        self._progress.start()
        self._all = self._progress.add_task(
            f"{total} images", total=float(total), visible=total > 1
        )
        self._image = self._progress.add_task("", total=1.0)

    def update(self, source: Path, share: float) -> None:
        """Show the share of the current image that is done, 0 to 1."""
        if self._progress is None:
            return
        if source != self._current:
            self._current = source
            self._progress.reset(self._image, description=shown(source.name))
        self._progress.update(self._image, completed=share)
        self._progress.update(self._all, completed=self._done + share)

    def show_all_only(self) -> None:
        """Leave out the current image: there are several at a time."""
        if self._progress is not None:
            self._progress.update(self._image, visible=False)
            self._progress.update(self._all, visible=True)

    def advance(self) -> None:
        """Count an image that is written or failed."""
        self._done += 1
        if self._progress is not None:
            self._progress.update(self._all, completed=self._done)

    def stop(self) -> None:
        """Remove the bars."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None
