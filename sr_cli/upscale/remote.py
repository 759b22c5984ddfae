"""Object stores and other file systems of fsspec, by address: `s3://bucket/folder/`.

The names of a store are mirrored as empty files in a temporary folder, so that planning treats them
like any others. What an image holds is fetched when it is decoded, and its result is sent when it
is complete.
"""

from __future__ import annotations

import glob
import os
import re
import shutil
import tempfile
import uuid
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any, cast

from sr_cli.errors import Note, RefusedError, SrError
from sr_cli.upscale.request import (
    ClipProgress,
    Event,
    Progress,
    Replacing,
    Result,
    UpscaleRequest,
)

_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]+)://([^/]*)(/.*)?", re.DOTALL)
_MIRROR = re.compile(r".*[/\\]\.sr-mirror-[0-9a-f]{32}[/\\]([^/\\]+)[/\\]@([^/\\]*)", re.DOTALL)
"""The folder of a store's host or bucket, recognised in every process."""

_ATOMIC = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oss", "memory"})
"""Stores in which an object appears when it is complete, and not under a name of its own before."""


class Address(PurePosixPath):
    """The address of an input or a result, as text with `str`."""

    def __new__(cls, address: str) -> Address:
        """A path for the names of files; its text is the address."""
        made = super().__new__(cls, address)
        made._address = address
        return made

    _address: str

    def __str__(self) -> str:
        return self._address

    def __reduce__(self) -> tuple[type[Address], tuple[str]]:
        return Address, (self._address,)


def is_address(name: str) -> bool:
    """Whether a name is the address of a file system, not a path."""
    return _ADDRESS.fullmatch(name) is not None


def address_of(path: Path | str) -> str | None:
    """The address that a mirrored path stands for; None for every other path."""
    if found := _MIRROR.match(str(path)):
        protocol, host = found.groups()
        return f"{protocol}://{host}{str(path)[found.end() :].replace(os.sep, '/')}"
    return None


class Mirror:
    """A folder with the names of stores, removed by `close` or with this object."""

    def __init__(self) -> None:
        self.root = Path(tempfile.gettempdir(), f".sr-mirror-{uuid.uuid4().hex}")
        self.close = weakref.finalize(self, shutil.rmtree, self.root, ignore_errors=True)


def mirror(request: UpscaleRequest) -> tuple[UpscaleRequest, Mirror | None]:
    """Mirror the inputs and the existing outputs of a request.

    Returns:
        The request with paths in place of addresses, and what must be kept until it is done.

    Raises:
        RefusedError: `extra-missing`, `store-not-supported`, `invalid-address`, `missing-option`
            for addresses without an output, `output-is-an-input`.
        SrError: `unreadable-file` for a store that cannot be listed.
    """
    output = request.output
    if not any(map(is_address, (*request.inputs, output or ""))):
        return request, None
    if output is None:
        raise RefusedError("missing-option", "--output", example="-o s3://bucket/results/")
    for name in request.inputs:
        # Results of earlier runs could not be told from other inputs.
        if is_address(name) and name.rstrip("/") == output.rstrip("/"):
            raise RefusedError("output-is-an-input", output, source=name)
    kept = Mirror()
    recursive = request.options.recursive
    try:
        inputs = tuple(
            _mirror(name, kept.root, recursive=recursive) if is_address(name) else name
            for name in request.inputs
        )
        if is_address(output):
            output = _mirror(output, kept.root, recursive=True) + "/" * output.endswith("/")
    except BaseException:
        kept.close()
        raise
    return replace(request, inputs=inputs, output=output), kept


@contextmanager
def fetched(path: Path) -> Iterator[Path]:
    """A local file with the content of an input, for as long as the block lasts.

    Raises:
        SrError: `unreadable-file`.
    """
    address = address_of(path)
    if address is None:
        yield path
        return
    with tempfile.TemporaryDirectory(prefix=".sr-") as folder:
        copy = Path(folder, path.name)
        system, inner = _open(address)
        try:
            system.get_file(inner, str(copy))
        except Exception as error:
            raise SrError("unreadable-file", address, reason=_reason(error)) from error
        try:
            yield copy
        except SrError as error:
            error.subject = address if error.subject == str(copy) else error.subject
            raise


def send(made: Path, path: Path, *, overwrite: bool) -> None:
    """Store a complete file under the address of a path; nothing appears there before.

    Args:
        made: A local file, which is removed.
        path: Of the result. Nothing happens if it is no mirrored one.
        overwrite: Whether to replace what is there.

    Raises:
        SrError: `already-exists`, `unwritable-file`.
    """
    address = address_of(path)
    if address is None:
        return
    system, inner = _open(address)
    try:
        system.invalidate_cache()
        if not overwrite and system.exists(inner):
            raise SrError("already-exists", address, hint="or-skip")
        if address.split(":", 1)[0] in _ATOMIC:
            system.put_file(str(made), inner)
        else:
            _put_and_move(system, made, inner)
    except SrError:
        raise
    except Exception as error:
        raise SrError("unwritable-file", address, reason=_reason(error)) from error
    made.unlink()


def size_of(source: Path) -> int:
    """The bytes of an input, also of a mirrored one.

    Raises:
        SrError: `unreadable-file`.
        OSError: For a local file.
    """
    address = address_of(source)
    if address is None:
        return source.stat().st_size
    system, inner = _open(address)
    try:
        return int(system.size(inner))
    except Exception as error:
        raise SrError("unreadable-file", address, reason=_reason(error)) from error


def with_addresses(result: Result) -> Result:
    """A result with addresses in place of mirrored paths."""
    notes = tuple(
        Note(n.kind, {k: _as_address(v) for k, v in n.facts.items()}) for n in result.notes
    )
    return replace(
        result,
        source=named(result.source),
        target=None if result.target is None else named(result.target),
        error=None if result.error is None else name_addresses(result.error),
        notes=notes,
    )


def event_with_addresses(event: Event) -> Event:
    """An event with addresses in place of mirrored paths."""
    if isinstance(event, Progress | ClipProgress | Replacing):
        return replace(event, source=named(event.source))
    return event


def name_addresses(error: SrError) -> SrError:
    """Put addresses in place of mirrored paths in an error, and return it."""
    error.subject = _as_address(error.subject)
    error.facts = {name: _as_address(value) for name, value in error.facts.items()}
    return error


def named(path: Path | str) -> Path:
    """A path as the user named it: an `Address` for a mirrored one, or for the text of one."""
    address = address_of(path) or (path if isinstance(path, str) and is_address(path) else None)
    if address is None:
        return Path(path) if isinstance(path, str) else path
    return cast("Path", Address(address))


def _as_address(value: Any) -> Any:
    return (address_of(value) or value) if isinstance(value, str) else value


def _mirror(address: str, root: Path, *, recursive: bool) -> str:
    """Mirror the names at an address: those of a folder or a pattern, or the one of a file.

    Returns:
        The path of the folder, the pattern or the file. It does not exist if there is nothing.
    """
    found = _ADDRESS.fullmatch(address)
    assert found is not None
    protocol, host, rest = found.groups()
    host_folder = root / protocol / f"@{host}"
    system, inner = _open(address)
    top = inner.rstrip("/")
    try:
        system.invalidate_cache()
        if glob.has_magic(inner) and not system.exists(inner):
            names = system.glob(inner)
            top = re.split(r"[^/]*[*?\[]", inner, maxsplit=1)[0].rstrip("/")
        elif system.isdir(inner):
            names = system.find(inner, maxdepth=None if recursive else 1)
            _path_in(host_folder, rest or "", address).mkdir(parents=True, exist_ok=True)
        else:
            names = [inner] if system.exists(inner) else []
    except Exception as error:
        raise SrError("unreadable-file", address, reason=_reason(error)) from error
    # fsspec's names begin where it wants; only what follows the folder that was named is taken.
    base = (rest or "").rstrip("/")
    base = base[: len(base) - (len(inner.rstrip("/")) - len(top))]
    for name in names:
        path = _path_in(host_folder, base + name[len(top) :], address)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return str(_path_in(host_folder, rest or "", address))


def _path_in(folder: Path, name: str, address: str) -> Path:
    """The path of an object; refused if its name leads elsewhere, or is none on this system."""
    parts = name.strip("/").split("/") if name.strip("/") else []
    if any(part in ("", ".", "..") or "\0" in part or os.sep in part for part in parts):
        raise RefusedError("invalid-address", f"{address} ({name})", hint="store")
    return folder.joinpath(*parts)


def _open(address: str) -> tuple[Any, str]:
    """The file system of an address, and the name in it.

    Raises:
        RefusedError: `extra-missing` for fsspec, `store-not-supported` for what it does not know or
            needs another package for.
    """
    try:
        from fsspec.core import url_to_fs
    except ImportError as error:
        raise RefusedError("extra-missing", address, extra="stores") from error
    try:
        system, inner = url_to_fs(address)
    except Exception as error:
        raise RefusedError("store-not-supported", address, reason=_reason(error)) from error
    return system, str(inner)


def _put_and_move(system: Any, made: Path, inner: str) -> None:
    folder, _, name = inner.rpartition("/")
    temporary = f"{folder}/.sr-{uuid.uuid4().hex[:12]}-{name}.tmp"
    system.makedirs(folder, exist_ok=True)
    try:
        system.put_file(str(made), temporary)
        system.mv(temporary, inner)
    except BaseException:
        with suppress(Exception):
            system.rm_file(temporary)
        raise


def _reason(error: Exception) -> str:
    said = getattr(error, "strerror", None) or str(error)
    return said.splitlines()[0] if said else type(error).__name__
