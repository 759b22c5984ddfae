"""`get`: a verified file in the cache, downloaded if missing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from sr_cli.errors import SrError
from sr_cli.store.pins import all_pins, pin, pinned, unpin
from sr_cli.store.remote import Remote, is_address
from sr_cli.system.cache import cache_folder
from sr_cli.system.files import exclusive_lock, mib_rounded_up, sha256_of

if TYPE_CHECKING:
    from sr_cli.store.transfer import OnBytes, TransferSource


def get(
    remote: Remote,
    *,
    on_bytes: OnBytes | None = None,
    validate: Callable[[Path], None] | None = None,
) -> Path:
    """Return the verified file in the cache, downloading it if it is missing or damaged.

    A file with unexpected content never stays under its name.

    Args:
        remote: The file.
        on_bytes: Called with the bytes downloaded so far and the total, None if unknown.
        validate: Called with a downloaded file before it is pinned and gets its name, and with
            one that is there already. It raises SrError for files that are not what they should
            be: these are not kept, and never pinned.

    Returns:
        The path of the file.

    Raises:
        SrError: `offline`, `download-failed`, `wrong-content`, `unexpected-size`,
            `insecure-address`, `disk-full`, `unwritable-file`.
        RefusedError: `invalid-address`.
    """
    remote.check_secure()
    path = remote.path
    if is_intact(remote):
        if validate is not None:
            validate(path)
        return path
    with exclusive_lock(path):
        # Another process may have downloaded it meanwhile.
        if is_intact(remote):
            return path
        # What is there now is not the expected file.
        remove_file(path)
        if is_offline() and not remote.is_local:
            raise SrError("offline", remote.address, hint=remote.local_option)
        _fetch(remote, path, on_bytes, validate)
    return path


def is_offline() -> bool:
    """Whether SR_OFFLINE or HF_HUB_OFFLINE is set to anything but 0, no, off or false."""
    values = (os.environ.get(n, "") for n in ("SR_OFFLINE", "HF_HUB_OFFLINE"))
    return any(v.lower() not in ("", "0", "no", "off", "false") for v in values)


def is_cached(remote: Remote) -> bool:
    """Whether a file is in the cache, intact or not."""
    return remote.path.is_file()


def is_intact(remote: Remote) -> bool:
    """Whether the file in the cache has the known or pinned content."""
    try:
        size = remote.path.stat().st_size
    except OSError:
        return False
    if remote.size is not None and size != remote.size:
        return False
    known = remote.sha256 or remote.sha256_prefix or pinned(remote.address)
    return bool(known) and _matches(remote, sha256_of(remote.path))


def partial_of(path: Path) -> Path:
    """The file that holds a partial download."""
    return path.with_name(f"{path.name}.part")


def remove(remote: Remote) -> list[Path]:
    """Remove a file and its partial download from the cache; its pin stays.

    Returns:
        The files that were removed.
    """
    files = [p for p in (remote.path, partial_of(remote.path)) if p.is_file()]
    for path in files:
        remove_file(path)
    return files


def forget(remote: Remote) -> list[Path]:
    """Remove a file from the cache, and its pin.

    Returns:
        The files that were removed.
    """
    unpin(remote.address)
    return remove(remote)


def cached_addresses() -> list[Remote]:
    """All cached files that were downloaded from addresses given by the user."""
    known = [Remote(a) for a in all_pins() if is_address(a)]
    pinned_files = {r.path: r for r in known if is_cached(r)}
    folders = (cache_folder() / "hub", cache_folder() / "web")
    files = (p for f in folders for p in sorted(f.rglob("*")) if p.is_file())
    # Files without a pin and partial files can still be removed.
    others = [
        Remote(str(p), place=str(p.relative_to(cache_folder())))
        for p in files
        if p not in pinned_files and p.suffix != ".lock"
    ]
    return [*pinned_files.values(), *others]


def _matches(remote: Remote, found: str) -> bool:
    if remote.sha256 is not None:
        return found == remote.sha256
    if remote.sha256_prefix and not found.startswith(remote.sha256_prefix):
        return False
    return (pinned(remote.address) or found) == found


def _fetch(
    remote: Remote,
    path: Path,
    on_bytes: OnBytes | None,
    validate: Callable[[Path], None] | None,
) -> None:
    # With HTTP and TLS, which cached files do not need.
    from sr_cli.store.transfer import find_source, transfer

    source = find_source(remote)
    partial = partial_of(path)
    _check_disk_space(source, path)
    if source.sha256 is None:
        # Without a hash, nothing would detect parts of two different files.
        remove_file(partial)
    resumed = partial.exists()
    found = transfer(source, partial, on_bytes)
    if resumed and not (_matches(remote, found) and found == (source.sha256 or found)):
        # The partial file may have been of another version.
        remove_file(partial)
        found = transfer(source, partial, on_bytes)
    if validate is not None:
        # Before the hash, so that a web page in place of a pinned file is called one.
        try:
            validate(partial)
        except SrError:
            remove_file(partial)
            raise
    if source.sha256 not in (None, found) or not _matches(remote, found):
        remove_file(partial)
        by_pin = remote.sha256 is None and pinned(remote.address) is not None
        raise SrError(
            "wrong-content", remote.address, hint="pin" if by_pin else None, sha256=found[:16]
        )
    if remote.sha256 is None:
        pin(remote.address, found)
    partial.replace(path)


def _check_disk_space(source: TransferSource, path: Path) -> None:
    partial = partial_of(path)
    missing = (source.size or 0) - (partial.stat().st_size if partial.exists() else 0)
    free = shutil.disk_usage(path.parent).free
    if missing > free:
        raise SrError("disk-full", path, needed_mib=mib_rounded_up(missing), free_mib=free >> 20)


def remove_file(path: Path) -> None:
    """Remove a file if it exists.

    Raises:
        SrError: `unwritable-file` if it cannot be removed.
    """
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise SrError("unwritable-file", path, reason=error.strerror or str(error)) from error
