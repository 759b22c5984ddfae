"""Pins: the sha256 first seen at addresses without a known one, in pins.json in the cache."""

from __future__ import annotations

import json
from pathlib import Path

from sr_cli.errors import SrError
from sr_cli.system.cache import cache_folder
from sr_cli.system.files import atomic_write, exclusive_lock


def _file() -> Path:
    return cache_folder() / "pins.json"


def all_pins() -> dict[str, str]:
    """Every pinned address with its sha256.

    Raises:
        SrError: `unreadable-file` if pins.json is damaged.
    """
    try:
        found = json.loads(_file().read_text())
        if not isinstance(found, dict):
            raise ValueError("not a table of addresses")
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise SrError("unreadable-file", _file(), reason=str(error)) from error
    return found


def pinned(address: str) -> str | None:
    """The sha256 pinned for an address, or None."""
    return all_pins().get(address)


def pin(address: str, sha256: str) -> None:
    """Pin the sha256 of an address, unless it has a pin."""
    if address not in all_pins():
        with exclusive_lock(_file()), atomic_write(_file()) as file:
            file.write(json.dumps(all_pins() | {address: sha256}, indent=1).encode())


def unpin(address: str) -> None:
    """Remove the pin of an address; the next content seen there is pinned."""
    if address in all_pins():
        with exclusive_lock(_file()), atomic_write(_file()) as file:
            kept = {a: digest for a, digest in all_pins().items() if a != address}
            file.write(json.dumps(kept, indent=1).encode())
