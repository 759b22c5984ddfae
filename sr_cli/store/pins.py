"""Addresses without a known hash, pinned to the content seen there first."""

from __future__ import annotations

import json
from pathlib import Path

from sr_cli.errors import SrError
from sr_cli.system.cache import cache_folder
from sr_cli.system.files import atomic_write, only_one, sha256_of


def _pins_file() -> Path:
    return cache_folder() / "pins.json"


def pins() -> dict[str, str]:
    """Addresses without a known hash, and what was seen there first."""
    try:
        found = json.loads(_pins_file().read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise SrError(f"{_pins_file()}: cannot be read ({error})") from error
    if not isinstance(found, dict):
        raise SrError(f"{_pins_file()}: not a table of addresses")
    return found


def pinned(address: str) -> str | None:
    """The sha256 seen first at an address without a known one."""
    return pins().get(address)


def check_pin(address: str, path: Path) -> None:
    """Pin the content seen first. Raises SrError, and removes the file, when it has changed."""
    found = sha256_of(path)
    if pins().setdefault(address, found) != found:
        path.unlink()
        raise SrError(
            f"{address}: not the content seen there first (sha256 {found[:16]}…), thrown away",
            forgetting(address),
        )
    pin(address, found)


def forget_pin(address: str) -> None:
    """Take whatever is seen there next."""
    if address in pins():
        with only_one(_pins_file()), atomic_write(_pins_file()) as file:
            kept = {k: v for k, v in pins().items() if k != address}
            file.write(json.dumps(kept, indent=1).encode())


def forgetting(address: str) -> str:
    """What to do when the new content is wanted."""
    return f"sr download-weights --prune '{address}' forgets what was seen"


def pin(address: str, found: str) -> None:
    """Keep the sha256 found at an address, unless it has one."""
    if address in pins():
        return
    with only_one(_pins_file()), atomic_write(_pins_file()) as file:
        file.write(json.dumps(pins() | {address: found}, indent=1).encode())
