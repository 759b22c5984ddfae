"""Files that cannot be read, written or fetched."""

from __future__ import annotations

from sr_cli.cli.messages.template import Message

_FROM_THIS_MACHINE = {
    "--data-dir": "--data-dir FOLDER takes the test set from a folder of your own",
    "--trunk": "--trunk FILE takes VGG's weights from a file",
    "--lpips-weights": "--lpips-weights FILE takes them from a file",
}

MESSAGES: dict[str, Message] = {
    "file-not-found": Message(
        "{subject}: no such file", hints={"checkpoint": "sr models, alone, lists the networks"}
    ),
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
    "invalid-address": Message(
        "{subject}: not a valid address",
        hints={
            "hub": "an address on the hub is hf://owner/repo[@revision]/file",
            "no-file": "it does not name a file",
        },
    ),
    "insecure-address": Message(
        "{subject}: not secure", "use https, or http for files whose sha256 is known"
    ),
    "offline": Message(
        "{subject}: not in the cache, and SR_OFFLINE is set",
        hints=_FROM_THIS_MACHINE,
    ),
    # facts: reason, tries
    "download-failed": Message(
        "{subject}: download failed: {reason} (tries: {tries})", hints=_FROM_THIS_MACHINE
    ),
    # facts: sha256 (its first digits), or size
    "wrong-content": Message(
        "{subject}: not the expected content (sha256 {sha256}…), discarded",
        hints={
            "pin": "sr download-weights --prune '{subject}' forgets what was seen there first",
            "size": "it is longer than the {size} bytes expected",
        },
    ),
    "locked": Message("{subject}: another process has been fetching it for an hour"),
    "disk-full": Message("{subject}: needs about {needed_mib} MiB, {free_mib} MiB are free"),
}

NOTES: dict[str, str] = {}
