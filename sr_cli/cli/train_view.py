"""The progress of `sr train`: a live view on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from sr_cli.cli.console import is_terminal, say, shown, stderr_console
from sr_cli.cli.messages import note_sentence

if TYPE_CHECKING:
    from rich.table import Table

    from sr_cli.training.events import Ended, Event, Loading, Started, Stepped
    from sr_cli.training.validation import ValidationMetric

_LINE_SECONDS = 15.0
_LOADING_SECONDS = 5.0
_REFRESH_SECONDS = 0.25


class TrainingView:
    """Prints the events of a training. A context, so that the terminal is left as it was.

    Args:
        quiet: Print nothing.
    """

    def __init__(self, quiet: bool) -> None:
        from sr_cli.training.ranks import is_main_process

        self._quiet = quiet or not is_main_process()
        self._live: Any = None
        self._printed = 0.0
        self._started: Started | None = None
        self._first: tuple[int, float] = (0, 0.0)
        self._last_figure: float | None = None

    def __enter__(self) -> TrainingView:
        if not self._quiet and is_terminal():
            from rich.live import Live

            self._live = Live(console=stderr_console(), refresh_per_second=4, transient=False)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def __call__(self, event: Event) -> None:
        """Print an event."""
        from sr_cli.training.events import Ended, Loading, Noted, Started, Stepped

        if self._quiet:
            return
        if isinstance(event, Noted):
            say(note_sentence(event.note), style="yellow")
        elif isinstance(event, Loading):
            self._print_loading(event)
        elif isinstance(event, Started):
            self._print_start(event)
        elif isinstance(event, Stepped):
            self._print_step(event)
        elif isinstance(event, Ended) and event.done >= 1:
            self._print_end(event)

    def _print_loading(self, event: Loading) -> None:
        now = time.monotonic()
        if event.done == event.total or now - self._printed > _LOADING_SECONDS:
            self._printed = now
            say(f"read {event.done} of {event.total} images")

    def _print_start(self, event: Started) -> None:
        self._started = event
        self._first = (event.progress.step, event.progress.seconds)
        resumed = f", resumed at step {event.progress.step}" if event.progress.step else ""
        say(f"training {event.recipe.id} -> {shown(event.output)}{resumed}")

    def _print_step(self, event: Stepped) -> None:
        now = time.monotonic()
        validated = event.progress.figure is not None
        if validated:
            self._last_figure = event.progress.figure
        if self._live is not None:
            if validated or now - self._printed > _REFRESH_SECONDS:
                self._printed = now
                self._live.update(self._table(event))
        elif validated or now - self._printed > _LINE_SECONDS:
            self._printed = now
            say("  ".join(f"{name} {value}" for name, value in self._facts(event)))

    def _print_end(self, event: Ended) -> None:
        started, progress = self._started, event.progress
        if started is None:
            return
        kept, step = progress.best, progress.best_step
        if started.recipe.keeps_last and progress.figure is not None:
            kept, step = progress.figure, progress.step
        figure = self._figure()
        say(
            f"{shown(started.output)}: validation {figure.name} "
            f"{kept:.{figure.digits}f}{figure.unit} at step {step}, "
            f"{progress.step} steps in {progress.seconds / 60:.1f} min"
        )

    def _figure(self) -> ValidationMetric:
        from sr_cli.training.validation import FIGURES

        return FIGURES["psnr" if self._started is None else self._started.recipe.validate]

    def _facts(self, event: Stepped) -> list[tuple[str, str]]:
        p, (first_step, first_seconds) = event.progress, self._first
        facts = [("step", f"{p.step}" + (f"/{event.steps}" if event.steps else ""))]
        facts += [(name, f"{value:.4g}") for name, value in p.losses.items()]
        facts.append(("learning rate", f"{p.learning_rate:.2e}"))
        if p.seconds > first_seconds + 1:
            rate = (p.step - first_step) / (p.seconds - first_seconds)
            facts.append(("it/s", f"{rate:.2f}"))
            facts.append(("waiting", f"{100 * p.waited / p.seconds:.1f}%"))
        if self._last_figure is not None:
            figure = self._figure()
            facts.append((figure.name, f"{self._last_figure:.{figure.digits + 1}f}"))
            facts.append(("best", f"{p.best:.{figure.digits + 1}f}"))
        if p.skipped:
            facts.append(("skipped", str(p.skipped)))
        if event.done > 0.002:
            facts.append(("left", _duration(p.seconds * (1 - event.done) / event.done)))
        return facts

    def _table(self, event: Stepped) -> Table:
        from rich.table import Table

        table = Table(box=None, show_header=False, pad_edge=False)
        for name, value in self._facts(event):
            table.add_row(f"[dim]{name}[/]", value)
        return table


def _duration(seconds: float) -> str:
    minutes, s = divmod(round(seconds), 60)
    hours, m = divmod(minutes, 60)
    return f"{hours}h{m:02}m" if hours else f"{m}m{s:02}s"
