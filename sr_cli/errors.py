"""The one error type that users see, and the exit codes of `sr`."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What the process returns to the shell."""

    OK = 0
    FAILED = 1
    REFUSED = 2
    INTERRUPTED = 130
    TERMINATED = 143


class SrError(Exception):
    """Something the user can act on: one line of what and where, one hint of what to do.

    Raised anywhere in the package, caught once in `sr_cli.cli`.
    """

    exit_code = ExitCode.FAILED

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class RefusedError(SrError):
    """Refused before any picture was opened: options, model, device, names."""

    exit_code = ExitCode.REFUSED
