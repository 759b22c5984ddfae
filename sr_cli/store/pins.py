"""The content first seen at addresses for which nothing else vouches: pins.json in the cache."""

from __future__ import annotations

import json
from pathlib import Path

from sr_cli.errors import SrError
from sr_cli.system.cache import cache_folder
from sr_cli.system.files import atomic_write, exclusive_lock


def _file() -> Path:
    return cache_folder() / "pins.json"


def all_pins() -> dict[str, str]:
    """Every pinned address and the sha256 seen there first.

    Raises:
        SrError: `unreadable-file` when the file of pins is damaged.
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
    """The sha256 seen first at an address; None where nothing was pinned."""
    return all_pins().get(address)


def pin(address: str, sha256: str) -> None:
    """Remember what was seen at an address, unless it has a pin."""
    if address not in all_pins():
        with exclusive_lock(_file()), atomic_write(_file()) as file:
            file.write(json.dumps(all_pins() | {address: sha256}, indent=1).encode())


def unpin(address: str) -> None:
    """Forget what was seen at an address: whatever is seen there next is pinned."""
    if address in all_pins():
        with exclusive_lock(_file()), atomic_write(_file()) as file:
            kept = {a: digest for a, digest in all_pins().items() if a != address}
            file.write(json.dumps(kept, indent=1).encode())
