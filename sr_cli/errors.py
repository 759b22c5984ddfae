"""Outcomes as data: errors with a code, notes with a kind. `sr_cli.cli` makes sentences of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import PurePath
from typing import Any


class ExitCode(IntEnum):
    """What the process returns to the shell."""

    OK = 0
    FAILED = 1
    REFUSED = 2
    INTERRUPTED = 130
    TERMINATED = 143


class SrError(Exception):
    """Something the caller can act on.

    Args:
        code: What went wrong, in words that stay the same over versions: `file-not-found`.
            docs/errors.md lists them all.
        subject: What it is about: a file, an option, the name of a model. An error raised where
            this is not known leaves it empty; whoever knows it fills it in with `about`.
        hint: Which advice to give, where a code has more than one.
        facts: Values that belong to the code, by name. They are plain data (text, numbers, lists
            of them) or another error as the cause.
    """

    exit_code = ExitCode.FAILED

    def __init__(
        self, code: str, subject: object = "", *, hint: str | None = None, **facts: Any
    ) -> None:
        super().__init__(code, subject)
        self.code = code
        self.subject = str(subject)
        self.hint = hint
        self.facts = {name: _plain(value) for name, value in facts.items()}

    @property
    def message(self) -> str:
        """The code; for errors that do not have one yet, their sentence."""
        return self.code

    def about(self, subject: object) -> SrError:
        """The error itself, its subject filled in where it had none."""
        self.subject = self.subject or str(subject)
        return self

    def __str__(self) -> str:
        known = ", ".join(f"{name}={value}" for name, value in self.facts.items())
        return (
            self.code
            + (f": {self.subject}" if self.subject else "")
            + (f" ({known})" * bool(known))
        )

    def as_dict(self) -> dict[str, Any]:
        """The error as JSON has it: `code`, `subject`, and its facts."""
        return {"code": self.code, "subject": self.subject, **_as_json(self.facts)}


class RefusedError(SrError):
    """Refused before any picture was opened: options, model, device, names."""

    exit_code = ExitCode.REFUSED


@dataclass(frozen=True)
class Note:
    """Something worth telling that is no error.

    Args:
        kind: What happened, as an error's code: `converted-to-srgb`.
        facts: Values that belong to the kind, by name.
    """

    kind: str
    facts: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """The note as JSON has it: `kind`, and its facts."""
        return {"kind": self.kind, **_as_json(self.facts)}


def _plain(value: Any) -> Any:
    """Paths as text, any sequence as a list: what survives JSON and another process."""
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(v) for v in value]
    return value


def _as_json(facts: dict[str, Any]) -> dict[str, Any]:
    return {n: v.as_dict() if isinstance(v, SrError) else v for n, v in facts.items()}
