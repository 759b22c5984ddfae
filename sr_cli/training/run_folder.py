"""NAME.run/ beside the output: state, log, plan, curves. Nothing in it is needed afterwards."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from sr_cli.errors import RefusedError, SrError
from sr_cli.system.files import atomic_write
from sr_cli.training.recipe import Recipe, differences
from sr_cli.training.recipe_files import recipe_of
from sr_cli.training.run import Progress


class RunFolder:
    """The files of one run. `output` is the checkpoint that it makes."""

    def __init__(self, output: Path) -> None:
        self.output = output
        self.path = output.with_suffix(".run")
        self.plan_file = self.path / "run.json"
        self.state_file = self.path / "state.pt"
        self.previous_file = self.path / "state.previous.pt"
        self.log_file = self.path / "log.jsonl"
        self.last_file = self.path / "last.safetensors"
        self.curves_file = self.path / "curves.png"
        self.strips_file = self.path / "strips.png"

    def has_state(self) -> bool:
        return self.state_file.exists() or self.previous_file.exists()

    def check_free(self, *, overwrite: bool) -> None:
        """Raises RefusedError where a run or a result is that must be kept."""
        if not overwrite and self.has_state():
            raise RefusedError(
                f"{self.path}: holds a run already", "--resume goes on with it, -y starts anew"
            )
        if not overwrite and self.output.exists():
            raise RefusedError(f"{self.output}: exists already", "-y overwrites")

    @contextmanager
    def held(self) -> Iterator[None]:
        """The folder for this process alone; what was refused before it began leaves none.

        Raises RefusedError where it cannot be made, or while another process trains in it.
        """
        self._make()
        lock = FileLock(self.path / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise RefusedError(
                f"{self.path}: is being trained already", "-o NAME elsewhere"
            ) from None
        try:
            yield
        finally:
            if not self.plan_file.exists():
                for file in (self.path / ".lock", *self.path.glob("*.bin")):
                    with suppress(OSError):
                        file.unlink()
            lock.release()
            with suppress(OSError):
                self.path.rmdir()

    def clear(self) -> None:
        """Forget the run that was here, once everything about the new one has been accepted."""
        for file in (
            self.state_file,
            self.previous_file,
            self.log_file,
            self.plan_file,
            self.last_file,
            self.curves_file,
            self.strips_file,
        ):
            file.unlink(missing_ok=True)

    def _make(self) -> None:
        """Both places are tried before the first step, not after the last."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            for place in (self.path, self.output.parent):
                probe = place / ".sr-probe"
                probe.touch()
                probe.unlink()
        except OSError as error:
            raise RefusedError(
                f"{self.output}: cannot be written ({error.strerror or error})"
            ) from error

    def write_plan(self, plan: dict[str, Any], recipe: Recipe) -> None:
        """What resuming needs to know."""
        with atomic_write(self.plan_file) as file:
            document = {"recipe": asdict(recipe), **plan}
            file.write(json.dumps(document, indent=1, default=str).encode())

    def read_plan(self) -> tuple[dict[str, Any], Recipe]:
        """The plan and the recipe of the run. Raises RefusedError when there is none."""
        try:
            document = json.loads(self.plan_file.read_text())
            return document, recipe_of(document.pop("recipe"))
        except (OSError, ValueError, KeyError) as error:
            missing = isinstance(error, FileNotFoundError)
            said = "no run to resume" if missing else f"the run cannot be read ({error})"
            raise RefusedError(f"{self.path}: {said}") from error

    def save_state(self, state: dict[str, Any]) -> None:
        """The state before stays until the new one is whole; raises SrError when it cannot be."""
        with atomic_write(self.path / "state.new.pt") as file:
            torch.save(state, file)
        if self.state_file.exists():
            self.state_file.replace(self.previous_file)
        (self.path / "state.new.pt").replace(self.state_file)

    def load_state(self) -> tuple[dict[str, Any] | None, str | None]:
        """The newest state that can be read, and what to say where it is not the last one."""
        said = None
        for file in (self.state_file, self.previous_file):
            if not file.exists():
                continue
            try:
                state = torch.load(file, map_location="cpu", weights_only=True)
            except Exception as error:
                # A damaged archive fails in as many ways as it has parts.
                said = (
                    f"{file} is damaged ({str(error).splitlines()[0][:80]}): an older state is used"
                )
                continue
            return state, said
        if said is not None:
            raise SrError(f"{self.path}: no state can be read", "-y starts anew")
        return None, None

    def log(self, progress: Progress) -> None:
        """One line of log.jsonl."""
        record = {k: v for k, v in asdict(progress).items() if k != "usual_loss"}
        # JSON has no numbers that are not finite.
        record["best"] = _finite(progress.best)
        record["losses"] = {name: _finite(value) for name, value in progress.losses.items()}
        with suppress(OSError), self.log_file.open("a") as file:
            file.write(json.dumps(record, default=str) + "\n")

    def read_log(self, before: int) -> list[dict[str, Any]]:
        """The lines of steps up to `before`; later ones, of a leg that was cut off, are dropped."""
        records = []
        with suppress(OSError):
            for line in self.log_file.read_text().splitlines():
                with suppress(ValueError):
                    record = json.loads(line)
                    if record.get("step", 0) <= before:
                        records.append(record)
        return records

    def trim_log(self, before: int) -> None:
        """Forget what a leg that was cut off logged after its last state."""
        kept = self.read_log(before)
        with atomic_write(self.log_file) as file:
            file.write("".join(json.dumps(r) + "\n" for r in kept).encode())


def check_same(stored: Recipe, wanted: Recipe) -> None:
    """Raises RefusedError that names the fields in which a resumed run would differ.

    How long it runs may change.
    """
    differing = [n for n in differences(stored, wanted) if n not in ("steps", "patience")]
    if differing:
        parts = [
            f"{n} {_plain(getattr(wanted, n))} instead of {_plain(getattr(stored, n))}"
            for n in differing
        ]
        raise RefusedError(
            f"the run to resume has another recipe: {'; '.join(parts)}",
            "-y, without --resume, starts a new run",
        )


def _plain(value: Any) -> str:
    """A value as TOML and the command line have it."""
    return str(list(value) if isinstance(value, tuple) else value)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
