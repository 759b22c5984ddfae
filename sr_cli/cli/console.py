"""Output to the user: data on stdout, everything else on stderr."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sr_cli.errors import SrError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_DECIDED_BY_RICH = {"FORCE_COLOR", "TTY_COMPATIBLE"}
"""Variables that make of a stream a terminal, or the contrary."""


def prepare_streams() -> None:
    """Make the streams safe: escape unsupported characters, replace closed streams.

    A pipe whose reader is gone raises BrokenPipeError everywhere.
    """
    sys.stdout = sys.stdout or os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")
    sys.stderr = sys.stderr or os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def raise_broken_pipes() -> None:
    """Let Rich raise BrokenPipeError, also for the help that Typer prints: it would exit with 1."""
    from rich.console import Console

    Console.on_broken_pipe = _raise_broken_pipe  # type: ignore[assignment, method-assign]


def _raise_broken_pipe(_: Console) -> None:
    raise BrokenPipeError


def is_terminal() -> bool:
    """Whether stderr shows colours and bars. Only then is Rich imported."""
    if not sys.stderr.isatty() and not _DECIDED_BY_RICH & os.environ.keys():
        return False
    return stderr_console().is_terminal


def stderr_console() -> Console:
    """A console on stderr, for everything that is not data."""
    from rich.console import Console

    raise_broken_pipes()
    return Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)


def print_table(table: Table) -> None:
    """Print a table on stdout, as wide as it needs to be."""
    from rich.console import Console

    raise_broken_pipes()
    wide = Console(emoji=False, highlight=False, width=10_000)
    needed = wide.measure(table).maximum
    console = Console(emoji=False, highlight=False)
    console.width = max(console.width, needed)
    console.print(table)


def names_on_stdin() -> Iterator[str]:
    """The names on stdin, one a line, each as soon as its line is there; no blank lines.

    Raises:
        SrError: `unreadable-file`.
    """
    if sys.stdin is None:
        raise SrError("unreadable-file", "stdin", reason="it is closed")
    try:
        for line in sys.stdin.buffer:
            name = os.fsdecode(line.rstrip(b"\r\n"))
            if name.strip():
                yield name
    except OSError as error:
        reason = error.strerror or str(error)
        raise SrError("unreadable-file", "stdin", reason=reason) from error


def print_name(path: Path | None) -> None:
    """Print the name of a file on stdout, byte for byte, or an empty line."""
    sys.stdout.flush()
    sys.stdout.buffer.write(os.fsencode(path or "") + b"\n")
    sys.stdout.buffer.flush()


def shown(path: Path | str) -> str:
    """Convert a path to printable text, with undecodable bytes as escapes."""
    return str(path).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _on_one_line(text: str) -> str:
    """Text with control characters as escapes: a message is one line, whatever it names."""
    return re.sub(r"[\x00-\x1f\x7f]", lambda match: repr(match[0])[1:-1], shown(text))


def say(text: str, *, style: str | None = None) -> None:
    """Print one line on stderr, without markup."""
    _print([(_on_one_line(text), style)])


def report_error(error: SrError) -> None:
    """Print `error[code]: message` on stderr, with the hint below."""
    from sr_cli.cli.messages import advice, sentence

    _print([(f"error[{error.code}]:", "bold red"), (f" {_on_one_line(sentence(error))}", None)])
    if hint := advice(error):
        _print([("  ", None), (_on_one_line(hint), "dim")])


def _print(parts: Sequence[tuple[str, str | None]]) -> None:
    """Print one line on stderr, of parts with their styles."""
    if is_terminal():
        from rich.text import Text

        stderr_console().print(Text.assemble(*[(text, style or "") for text, style in parts]))
    else:
        sys.stderr.write("".join(text for text, _ in parts) + "\n")
        sys.stderr.flush()


def print_json(value: Any, *, indent: int | None = None) -> None:
    """A JSON document, or with no indent one line of JSON Lines, on stdout."""
    sys.stdout.write(json.dumps(value, indent=indent) + "\n")
    sys.stdout.flush()
