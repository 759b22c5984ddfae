"""Atomic writes, locks and hashes of files."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from sr_cli.errors import SrError

_LOCK_PATIENCE = 3600.0
_MOST_LINKS = 40
"""More in a row are an error on Linux, too (path_resolution(7))."""


@contextmanager
def atomic_write(
    path: Path, *, overwrite: bool = True, folder: Path | None = None
) -> Iterator[BinaryIO]:
    """Open a temporary file that replaces `path` if the block ends without an error.

    Args:
        path: The file's name. Its folder must exist. If it is a link to a file, and may be
            overwritten, that file is replaced, and the link stays.
        overwrite: Whether to replace an existing file, including one that appears meanwhile.
        folder: Where the temporary file lies, if that is on the same file system; None for the
            folder of the file.

    Yields:
        The temporary file, opened for binary writing and reading.

    Raises:
        SrError: `unwritable-file` if the folder cannot be written or the disk is full;
            `already-exists` if the file exists and must not be overwritten; and as
            `check_replaceable`.
    """
    check_replaceable(path)
    place = Path(os.path.realpath(path)) if overwrite else path
    try:
        if folder is None or folder.stat().st_dev != place.parent.stat().st_dev:
            folder = place.parent
        handle, name = tempfile.mkstemp(prefix=".sr-", suffix=".tmp", dir=folder)
    except OSError as error:
        raise SrError("unwritable-file", path, reason=error.strerror or str(error)) from error
    temporary = Path(name)
    try:
        os.close(handle)
        with temporary.open("w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        move_into_place(temporary, path, overwrite=overwrite)
    except OSError as error:
        raise SrError("unwritable-file", path, reason=error.strerror or str(error)) from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def move_into_place(temporary: Path, path: Path, *, overwrite: bool) -> None:
    """Give a complete file its name, with the mode of the file that it replaces.

    Args:
        temporary: The file, on the file system of `path`. It may remain under this name, too.
        path: The file's name; a link as in `atomic_write`.
        overwrite: Whether to replace an existing file.

    Raises:
        SrError: As `atomic_write`.
    """
    check_replaceable(path)
    place = Path(os.path.realpath(path)) if overwrite else path
    try:
        temporary.chmod(_final_mode(place))
        _link_or_replace(temporary, place, overwrite)
    except OSError as error:
        raise SrError("unwritable-file", path, reason=error.strerror or str(error)) from error


def check_replaceable(path: Path) -> None:
    """Check that a name is free, or that of a regular file that can be replaced by another.

    Raises:
        SrError: `not-a-regular-file` for a device, a pipe, a folder, or a link to an open file,
            such as /dev/stdout: whoever holds that open would not see the new one.
    """
    if (os.path.exists(path) and not os.path.isfile(path)) or _is_open_file(path):
        raise SrError("not-a-regular-file", path, hint="output")


def _is_open_file(path: Path) -> bool:
    """Whether a name leads through the links to a process's open files."""
    for _ in range(_MOST_LINKS):
        folder = Path(os.path.realpath(path.parent))
        if str(folder).startswith(("/proc/", "/dev/fd")):
            return True
        if not path.is_symlink():
            return False
        path = folder / path.readlink()
    return False


def _link_or_replace(temporary: Path, path: Path, overwrite: bool) -> None:
    if overwrite:
        temporary.replace(path)
        return
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise SrError("already-exists", path, hint="or-skip") from None
    except OSError:
        # File systems without hard links: a short race between the check and the rename remains.
        if path.exists():
            raise SrError("already-exists", path, hint="or-skip") from None
        temporary.replace(path)


def _final_mode(path: Path) -> int:
    """The mode of the file to be replaced, or that of a new file under the current umask."""
    with suppress(OSError):
        return path.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


@contextmanager
def exclusive_lock(path: Path) -> Iterator[None]:
    """Hold a lock on a file's name, waiting for any other process that holds it.

    Raises:
        SrError: `locked` after an hour, `unwritable-file`.
    """
    # It imports asyncio, which takes longer than to read a small image.
    from filelock import FileLock, Timeout

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_name(f".{path.name}.lock"), timeout=_LOCK_PATIENCE):
            yield
    except Timeout:
        raise SrError("locked", path) from None
    except OSError as error:
        raise SrError("unwritable-file", path, reason=error.strerror or str(error)) from error


def mib_rounded_up(size: int) -> int:
    """Bytes as whole MiB; no file needs 0 MiB."""
    return -(-size // (1 << 20))


def make_folder(folder: Path) -> int:
    """Create a folder if it is missing.

    Returns:
        The bytes that are free there.

    Raises:
        SrError: `unwritable-file`.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return shutil.disk_usage(folder).free
    except OSError as error:
        raise SrError("unwritable-file", folder, reason=error.strerror or str(error)) from error


def sha256_of(path: Path) -> str:
    """The sha256 of a file, as 64 hexadecimal digits.

    Raises:
        OSError: If the file cannot be read.
    """
    return str(hash_of(path).hexdigest())


def hash_of(path: Path) -> Any:
    """A hashlib object updated with the whole file, to be continued with further bytes."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            found.update(chunk)
    return found
