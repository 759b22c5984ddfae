"""NAME.run/ beside the output: state, log, request, curves. Nothing in it is needed afterwards."""

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
    """run.json."""

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
    """What a run is: what resuming it needs to know.

    Attributes:
        recipe: How it trains.
        data: Folders and files of images.
        val: What it validates on.
        seconds, epochs: Its limit, where it is not the recipe's steps.
        init: The model with the initial weights.
        trunk: A file of VGG's weights.
        licence: Of the weights.
        threads: Sums over another number of threads round differently.
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
        output: The checkpoint that it makes.
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
        """Whether there is a run that can be resumed."""
        return self.state_file.exists() or self.previous_file.exists()

    def check_unused(self) -> None:
        """Check that there is neither a run nor a result that would be overwritten.

        Raises:
            RefusedError: `run-exists`, `already-exists`.
        """
        if self.has_state():
            raise RefusedError("run-exists", self.path)
        if self.output.exists():
            raise RefusedError("already-exists", self.output)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep the folder to this process. A run that is refused before it began leaves none.

        Raises:
            RefusedError: `unwritable-file` where it cannot be made, `run-in-use` while another
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
        # Both places are tried before the first step, not after the last.
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
        """Remove the files of the run that was here, once the new one has been accepted."""
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
        """Write run.json; paths should be absolute, so that it can be resumed from any folder.

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
        """Write the state; the one before stays until the new one is whole.

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
        """The newest state that can be read.

        Returns:
            The state, None where there is none yet; and a note where the last one is damaged.

        Raises:
            SrError: `no-readable-state`.
        """
        import torch

        note = None
        for file in (self.state_file, self.previous_file):
            if not file.exists():
                continue
            try:
                state = torch.load(file, map_location="cpu", weights_only=True)
            except Exception as error:
                # A damaged archive fails in as many ways as it has parts.
                reason = str(error).splitlines()[0][:80]
                note = Note("state-damaged", {"file": str(file), "reason": reason})
                continue
            return state, note
        if note is not None:
            raise SrError("no-readable-state", self.path)
        return None, None

    def log(self, progress: Progress) -> None:
        """Append a line to log.jsonl; a full disk does not end the run."""
        record = {k: v for k, v in asdict(progress).items() if k != "usual_loss"}
        # JSON has no numbers that are not finite.
        record["best"] = _finite(progress.best)
        record["losses"] = {name: _finite(value) for name, value in progress.losses.items()}
        with suppress(OSError), self.log_file.open("a") as file:
            file.write(json.dumps(record) + "\n")

    def read_log(self, up_to: int) -> list[dict[str, Any]]:
        """The lines up to a step; later ones were written after the last saved state."""
        records = []
        with suppress(OSError):
            for line in self.log_file.read_text().splitlines():
                with suppress(ValueError):
                    record = json.loads(line)
                    if record.get("step", 0) <= up_to:
                        records.append(record)
        return records

    def trim_log(self, up_to: int) -> None:
        """Drop what was logged after the state that a run is resumed from.

        Raises:
            SrError: `unwritable-file`.
        """
        kept = self.read_log(up_to)
        with atomic_write(self.log_file) as file:
            file.write("".join(json.dumps(r) + "\n" for r in kept).encode())


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
