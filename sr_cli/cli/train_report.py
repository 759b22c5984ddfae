"""What `sr train` tells while it works: a live view on a terminal, else plain lines."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from sr_cli.cli.console import say, shown, talk

if TYPE_CHECKING:
    from rich.table import Table

    from sr_cli.training.plan import Plan, Report

_LINE_SECONDS = 15.0
_REFRESH_SECONDS = 0.25


class Watcher:
    """Takes the trainer's reports. A context, so that the terminal is left as it was."""

    def __init__(self, plan: Plan, quiet: bool) -> None:
        from sr_cli.training.parallel import is_leader

        self._plan = plan
        self._quiet = quiet or not is_leader()
        self._live: Any = None
        self._told = 0.0
        self._first: tuple[int, float] | None = None
        self._last_figure: float | None = None

    def __enter__(self) -> Watcher:
        if talk().is_terminal and not self._quiet:
            from rich.live import Live

            self._live = Live(console=talk(), refresh_per_second=4, transient=False)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def __call__(self, report: Report) -> None:
        if self._quiet:
            return
        if report.event == "note":
            say(report.text, style="yellow")
        elif report.event == "loading":
            self._loading(report)
        elif report.event == "start":
            progress = report.progress
            resumed = f", resumed at step {progress.step}" if progress.step else ""
            say(f"training {self._plan.recipe.id} -> {shown(self._plan.output)}{resumed}")
            self._first = (progress.step, progress.seconds)
        elif report.event == "step":
            self._step(report)
        elif report.event == "end":
            self._end(report)

    def _loading(self, report: Report) -> None:
        now = time.monotonic()
        if report.done == 1 or now - self._told > _LINE_SECONDS / 3:
            self._told = now
            say(f"read {report.text}")

    def _step(self, report: Report) -> None:
        progress, now = report.progress, time.monotonic()
        looked = progress.figure is not None
        if looked:
            self._last_figure = progress.figure
        if self._live is not None:
            if looked or now - self._told > _REFRESH_SECONDS:
                self._told = now
                self._live.update(self._table(report))
        elif looked or now - self._told > _LINE_SECONDS:
            self._told = now
            say("  ".join(f"{name} {value}" for name, value in self._facts(report)))

    def _end(self, report: Report) -> None:
        progress = report.progress
        if report.done < 1:
            return
        minutes = progress.seconds / 60
        kept, step = progress.best, progress.best_step
        if self._plan.recipe.is_adversarial and progress.figure is not None:
            kept, step = progress.figure, progress.step
        say(
            f"{shown(self._plan.output)}: validation PSNR-Y {kept:.2f} dB at step {step}, "
            f"{progress.step} steps in {minutes:.1f} min"
        )

    def _facts(self, report: Report) -> list[tuple[str, str]]:
        p = report.progress
        facts = [("step", f"{p.step}" + (f"/{report.steps}" if report.steps else ""))]
        facts += [(name, f"{value:.4g}") for name, value in p.losses.items()]
        facts.append(("learning rate", f"{p.learning_rate:.2e}"))
        if self._first and p.seconds > self._first[1] + 1:
            rate = (p.step - self._first[0]) / (p.seconds - self._first[1])
            facts.append(("it/s", f"{rate:.2f}"))
            facts.append(("waiting", f"{100 * p.waited / p.seconds:.1f}%"))
        if self._last_figure is not None:
            facts.append(("PSNR-Y", f"{self._last_figure:.3f}"))
            facts.append(("best", f"{p.best:.3f}"))
        if p.skipped:
            facts.append(("skipped", str(p.skipped)))
        if report.done > 0.002:
            facts.append(("left", _duration(p.seconds * (1 - report.done) / report.done)))
        return facts

    def _table(self, report: Report) -> Table:
        from rich.table import Table

        table = Table(box=None, show_header=False, pad_edge=False)
        for name, value in self._facts(report):
            table.add_row(f"[dim]{name}[/]", value)
        return table


def _duration(seconds: float) -> str:
    minutes, s = divmod(round(seconds), 60)
    hours, m = divmod(minutes, 60)
    return f"{hours}h{m:02}m" if hours else f"{m}m{s:02}s"
