"""The folder NAME.run/ next to the output: state, log, run.json and curves."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec
from filelock import FileLock, Timeout

from sr_cli.errors import Note, RefusedError, SrError
from sr_cli.system.files import atomic_write
from sr_cli.training.events import Progress
from sr_cli.training.recipe import Recipe
from sr_cli.training.recipe_files import as_table, stored_recipe


class _Document(msgspec.Struct, kw_only=True):
    """The content of run.json."""

    recipe: dict[str, Any]
    data: list[str]
    val: str
    seconds: float | None = None
    epochs: float | None = None
    init: str | None = None
    trunk: str | None = None
    licence: str = ""
    threads: int | None = None


@dataclass(frozen=True)
class RunSpec:
    """The definition of a run, as needed to resume it.

    Attributes:
        recipe: Its recipe.
        data: Folders and files of images.
        val: The validation data.
        seconds, epochs: Its limit, unless the steps of the recipe apply.
        init: The model with the initial weights.
        trunk: A file with VGG's weights.
        licence: Of the weights.
        threads: CPU threads, which affect the rounding of sums.
    """

    recipe: Recipe
    data: tuple[Path, ...]
    val: str
    seconds: float | None = None
    epochs: float | None = None
    init: str | None = None
    trunk: Path | None = None
    licence: str = ""
    threads: int | None = None


class RunFolder:
    """The files of one run.

    Args:
        output: The checkpoint of the run.
    """

    def __init__(self, output: Path) -> None:
        self.output = output
        self.path = output.with_suffix(".run")
        self.run_file = self.path / "run.json"
        self.state_file = self.path / "state.pt"
        self.previous_file = self.path / "state.previous.pt"
        self.log_file = self.path / "log.jsonl"
        self.last_file = self.path / "last.safetensors"
        self.curves_file = self.path / "curves.png"
        self.strips_file = self.path / "strips.png"

    def has_state(self) -> bool:
        """Whether there is a state to resume from."""
        return self.state_file.exists() or self.previous_file.exists()

    def check_unused(self) -> None:
        """Check that no run or checkpoint would be overwritten.

        Raises:
            RefusedError: `run-exists`, `already-exists`.
        """
        if self.has_state():
            raise RefusedError("run-exists", self.path)
        if self.output.exists():
            raise RefusedError("already-exists", self.output)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Create and lock the folder; it is removed if the run is refused before it begins.

        Raises:
            RefusedError: `unwritable-file` if it cannot be created, `run-in-use` if another
                process trains in it.
        """
        self._make()
        lock = FileLock(self.path / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise RefusedError("run-in-use", self.path) from None
        try:
            yield
        finally:
            if not self.run_file.exists():
                for file in (self.path / ".lock", *self.path.glob("*.bin")):
                    with suppress(OSError):
                        file.unlink()
            lock.release()
            with suppress(OSError):
                self.path.rmdir()

    def _make(self) -> None:
        # Check that both folders are writable before the first step.
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            for place in (self.path, self.output.parent):
                probe = place / ".sr-probe"
                probe.touch()
                probe.unlink()
        except OSError as error:
            reason = error.strerror or str(error)
            raise RefusedError("unwritable-file", self.output, reason=reason) from error

    def clear(self) -> None:
        """Remove the files of the previous run."""
        for file in (
            self.state_file,
            self.previous_file,
            self.log_file,
            self.run_file,
            self.last_file,
            self.curves_file,
            self.strips_file,
        ):
            file.unlink(missing_ok=True)

    def write_run(self, run: RunSpec) -> None:
        """Write run.json; paths should be absolute, so that the run can be resumed from any folder.

        Raises:
            SrError: `unwritable-file`.
        """
        document = _Document(
            recipe=as_table(run.recipe),
            data=[str(p) for p in run.data],
            val=run.val,
            seconds=run.seconds,
            epochs=run.epochs,
            init=run.init,
            trunk=None if run.trunk is None else str(run.trunk),
            licence=run.licence,
            threads=run.threads,
        )
        with atomic_write(self.run_file) as file:
            file.write(msgspec.json.format(msgspec.json.encode(document), indent=1))

    def read_run(self) -> RunSpec:
        """Read run.json.

        Raises:
            RefusedError: `no-run` when there is none, `unreadable-run`.
        """
        try:
            found = msgspec.json.decode(self.run_file.read_bytes(), type=_Document)
            recipe = stored_recipe(found.recipe)
        except FileNotFoundError:
            raise RefusedError("no-run", self.path) from None
        except (OSError, msgspec.MsgspecError) as error:
            raise RefusedError("unreadable-run", self.path, reason=str(error)) from error
        return RunSpec(
            recipe,
            tuple(Path(p) for p in found.data),
            found.val,
            found.seconds,
            found.epochs,
            found.init,
            None if found.trunk is None else Path(found.trunk),
            found.licence,
            found.threads,
        )

    def save_state(self, state: Mapping[str, Any]) -> None:
        """Save the state; the previous one is kept as well.

        Raises:
            SrError: `unwritable-file`.
        """
        import torch

        with atomic_write(self.path / "state.new.pt") as file:
            torch.save(state, file)
        if self.state_file.exists():
            self.state_file.replace(self.previous_file)
        (self.path / "state.new.pt").replace(self.state_file)

    def load_state(self) -> tuple[dict[str, Any] | None, Note | None]:
        """Load the latest readable state.

        Returns:
            The state, or None if there is none yet; and a note if the latest one is damaged.

        Raises:
            SrError: `no-readable-state`.
        """
        from sr_cli.registry.tensors import load_pickle

        note = None
        for file in (self.state_file, self.previous_file):
            if not file.exists():
                continue
            try:
                state = load_pickle(file)
            except (SrError, OSError) as error:
                note = Note("state-damaged", {"file": str(file), "reason": _reason(error)})
                continue
            return state, note
        if note is not None:
            raise SrError("no-readable-state", self.path)
        return None, None

    def log(self, progress: Progress) -> None:
        """Append a line to log.jsonl; write errors are ignored."""
        record = {k: v for k, v in asdict(progress).items() if k != "usual_loss"}
        # JSON has no inf and nan.
        record["best"] = _finite(progress.best)
        record["losses"] = {name: _finite(value) for name, value in progress.losses.items()}
        with suppress(OSError), self.log_file.open("a") as file:
            file.write(json.dumps(record) + "\n")

    def read_log(self, up_to: int) -> list[dict[str, Any]]:
        """The lines of log.jsonl up to a step."""
        records = []
        with suppress(OSError):
            for line in self.log_file.read_text().splitlines():
                with suppress(ValueError):
                    record = json.loads(line)
                    if record.get("step", 0) <= up_to:
                        records.append(record)
        return records

    def trim_log(self, up_to: int) -> None:
        """Drop the lines after a step, which a resumed run will log again.

        Raises:
            SrError: `unwritable-file`.
        """
        kept = self.read_log(up_to)
        with atomic_write(self.log_file) as file:
            file.write("".join(json.dumps(r) + "\n" for r in kept).encode())


def _reason(error: SrError | OSError) -> str:
    return str(error.facts["reason"]) if isinstance(error, SrError) else str(error.strerror)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
