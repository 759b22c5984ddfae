"""Files that cannot be read, written or fetched."""

from __future__ import annotations

from sr_cli.cli.messages.template import Message

_FROM_THIS_MACHINE = {
    "--data-dir": "--data-dir FOLDER reads the test set from a local folder",
    "--trunk": "--trunk FILE reads VGG's weights from a local file",
    "--lpips-weights": "--lpips-weights FILE reads the weights from a local file",
}

MESSAGES: dict[str, Message] = {
    "file-not-found": Message(
        "{subject}: no such file",
        hints={"checkpoint": "sr models without a file lists the networks"},
    ),
    "folder-not-found": Message("{subject}: no such folder"),
    "path-not-found": Message("{subject}: no such file or folder"),
    "not-a-regular-file": Message(
        "{subject}: not a regular file",
        hints={
            "input": "- reads from a pipe: … | sr upscale -",
            "output": "name a file; sr upscale -o - writes to stdout",
        },
    ),
    # facts: reason
    "unreadable-file": Message("{subject}: cannot be read ({reason})"),
    # facts: reason
    "unwritable-file": Message("{subject}: cannot be written ({reason})"),
    "already-exists": Message(
        "{subject}: already exists",
        "-y overwrites it",
        {"or-skip": "-y overwrites it, --skip-existing skips it"},
    ),
    "invalid-address": Message(
        "{subject}: not a valid address",
        hints={
            "hub": "an address on the hub is hf://owner/repo[@revision]/file",
            "scheme": "an address begins with https:// or hf:// (http:// needs a known sha256)",
            "no-file": "an address names a host and ends in a file name: "
            "https://example.com/model.pth",
            "store": "the name of an object has no empty part, no . and no ..",
            "cluster": "a scheduler has an address such as tcp://host:8786 or tls://host:8786",
        },
    ),
    "insecure-address": Message(
        "{subject}: insecure address",
        "use https; http is only allowed for a file with a known sha256",
        {
            "cluster": "who reaches a scheduler can run code: use tls:// with --tls-ca, --tls-cert "
            "and --tls-key, or --insecure in a network that you trust",
        },
    ),
    "offline": Message(
        "{subject}: not in the cache, and SR_OFFLINE or HF_HUB_OFFLINE is set",
        hints=_FROM_THIS_MACHINE,
    ),
    # facts: reason, tries
    "download-failed": Message(
        "{subject}: download failed (attempts: {tries}): {reason}", hints=_FROM_THIS_MACHINE
    ),
    # facts: sha256 (its first digits)
    "wrong-content": Message(
        "{subject}: unexpected content, discarded",
        "its sha256 starts with {sha256}",
        {
            "pin": "its sha256 starts with {sha256}; if the change is intended, "
            "sr download-weights --prune '{subject}' forgets the pinned one",
        },
    ),
    # facts: size (what was expected)
    "unexpected-size": Message("{subject}: larger than the expected {size} bytes, discarded"),
    "locked": Message("{subject}: another process has been downloading it for an hour"),
    # facts: needed_mib, free_mib
    "disk-full": Message(
        "{subject}: not enough disk space (about {needed_mib} MiB needed, {free_mib} MiB free)"
    ),
}

NOTES: dict[str, str] = {}
