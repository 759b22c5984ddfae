"""Files that cannot be read, written or fetched."""

from __future__ import annotations

from sr_cli.cli.messages.template import Message

MESSAGES: dict[str, Message] = {
    "file-not-found": Message("{subject}: no such file"),
    "folder-not-found": Message("{subject}: no such folder"),
    "path-not-found": Message("{subject}: no such file or folder"),
    # facts: reason
    "unreadable-file": Message("{subject}: cannot be read ({reason})"),
    # facts: reason
    "unwritable-file": Message("{subject}: cannot be written ({reason})"),
    "already-exists": Message(
        "{subject}: already exists",
        "-y overwrites it",
        {"or-skip": "-y overwrites it, --skip-existing skips it"},
    ),
    # facts: needed_mib, free_mib
    "disk-full": Message("{subject}: needs about {needed_mib} MiB, {free_mib} MiB are free"),
}

NOTES: dict[str, str] = {}
