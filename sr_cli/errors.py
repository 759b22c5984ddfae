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
    BROKEN_PIPE = 141
    TERMINATED = 143


class SrError(Exception):
    """Something the caller can act on.

    Args:
        code: What went wrong, in words that stay the same over versions: `file-not-found`.
            docs/errors.md lists them all.
        subject: What it is about: a file, an option, the name of a model. Empty where this is not
            known; a caller that knows it sets it with `about`.
        hint: Which advice to give, for codes that have more than one.
        facts: Values that belong to the code, by name: plain data (text, numbers, lists of
            them), or another error as the cause.
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

    def about(self, subject: object) -> SrError:
        """Set the subject unless there is one, and return the error."""
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
        """The error as a JSON object: `code`, `subject`, and its facts."""
        return {"code": self.code, "subject": self.subject, **_as_json(self.facts)}


class RefusedError(SrError):
    """A request that cannot work, refused before any image is opened."""

    exit_code = ExitCode.REFUSED


@dataclass(frozen=True)
class Note:
    """Something the user should know that is not an error.

    Args:
        kind: What happened, like an error's code: `converted-to-srgb`.
        facts: Values that belong to the kind, by name.
    """

    kind: str
    # Left out of the hash: a table has none, and equal notes have equal kinds.
    facts: dict[str, Any] = field(default_factory=dict, hash=False)

    def as_dict(self) -> dict[str, Any]:
        """The note as a JSON object: `kind`, and its facts."""
        return {"kind": self.kind, **_as_json(self.facts)}


def _plain(value: Any) -> Any:
    """Convert paths to text and sequences to lists, so that JSON and processes can carry them."""
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(v) for v in value]
    return value


def _as_json(facts: dict[str, Any]) -> dict[str, Any]:
    return {n: v.as_dict() if isinstance(v, SrError) else v for n, v in facts.items()}
