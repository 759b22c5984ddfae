"""`sr` run inside the test's own process: for everything that does not need a process."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from sr_cli.cli.main import app


@dataclass(frozen=True)
class Outcome:
    """What a command returned and said."""

    returncode: int
    stdout: bytes
    stderr: bytes

    @property
    def records(self) -> list[dict[str, Any]]:
        """What `--json` wrote, line by line."""
        return [json.loads(line) for line in self.stdout.splitlines()]

    @property
    def error_codes(self) -> list[str]:
        """The codes of the errors on stderr, in order."""
        return re.findall(r"^error\[([\w-]+)\]", self.stderr.decode(), re.MULTILINE)

    @property
    def notes(self) -> list[dict[str, Any]]:
        """All notes that `--json` shows, without their sentences."""
        found = [note for record in self.records for note in record.get("notes", [])]
        return [{key: note[key] for key in note if key != "message"} for note in found]

    @property
    def note_kinds(self) -> list[str]:
        """The kinds of all notes that `--json` shows."""
        return [note["kind"] for note in self.notes]


Invoke = Callable[..., Outcome]


def invoke(*arguments: str | Path, stdin: bytes = b"") -> Outcome:
    """Run `sr` with these arguments in the current folder."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        done = CliRunner().invoke(app, [str(a) for a in arguments], input=stdin)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return Outcome(done.exit_code, done.stdout_bytes, done.stderr_bytes)
