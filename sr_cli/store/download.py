"""Downloads: resumed, tried again, checked by sha256, and only then given their name."""

from __future__ import annotations

import hashlib
import os
import shutil
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, replace
from http.client import HTTPException
from pathlib import Path
from typing import IO, Any

from sr_cli import __version__
from sr_cli.errors import SrError
from sr_cli.store.pins import forgetting, pin, pins
from sr_cli.system.files import hash_of, only_one, sha256_of

OnBytes = Callable[[int, int | None], None]
"""Called with the bytes that are there and those in all, where known."""

_CHUNK = 1 << 18
_TIMEOUT = 20.0
_TRIES = 5
_PAUSE = 0.5
_SLOWEST = 1024
"""Bytes a second, over _PATIENCE seconds, below which a connection is given up."""

_PATIENCE = 30.0
_MAY_PASS = (HTTPException, urllib.error.URLError, TimeoutError, ConnectionError, ssl.SSLError)
_WORTH_TRYING_AGAIN = {408, 425, 429, 500, 502, 503, 504}


@dataclass(frozen=True)
class Remote:
    """A file at an address (or a path on this machine), and what is known of its content.

    With neither `sha256` nor `sha256_prefix` the content seen first is pinned in the cache.
    """

    url: str
    size: int | None = None
    sha256: str | None = None
    sha256_prefix: str = ""


class _AgainError(Exception):
    """A failure that may pass: `wait` seconds asked for by the server."""

    def __init__(self, message: str, wait: float | None = None) -> None:
        super().__init__(message)
        self.wait = wait


def is_offline() -> bool:
    """SR_OFFLINE or HF_HUB_OFFLINE is set to anything but 0, no, off or false."""
    values = (os.environ.get(n, "") for n in ("SR_OFFLINE", "HF_HUB_OFFLINE"))
    return any(v.lower() not in ("", "0", "no", "off", "false") for v in values)


def fetch(
    remote: Remote,
    path: Path,
    *,
    on_bytes: OnBytes | None = None,
    hint: str | None = None,
    verify: bool = False,
) -> Path:
    """The verified file at `path`, downloaded unless it is there.

    A file that is there is taken by its size, with `verify` by its hash. `hint`: what else the
    user may do where it cannot be had. Raises SrError; a file with another content than expected
    is never left under its name.
    """
    where = replace(remote, url=mirrored(remote.url))
    check_address(where)
    if _is_there(remote, path, verify):
        return path
    with only_one(path):
        if _is_there(remote, path, verify):
            return path
        # Whatever else lies there is not what the name stands for.
        _remove(path)
        if is_offline() and "://" in remote.url:
            raise SrError(f"{path.name} is not in the cache, and SR_OFFLINE is set", hint)
        _check_room(remote, path)
        _download(remote, where, path, on_bytes, hint)
    return path


def check_address(remote: Remote) -> None:
    """Raises SrError unless it is a path, https, or http with a hash that proves the content."""
    scheme, known, _ = remote.url.partition("://")
    if not known or scheme == "https" or (scheme == "http" and remote.sha256):
        return
    raise SrError(f"{remote.url}: only https, or http where the sha256 is known")


def is_verified(remote: Remote, path: Path) -> bool:
    """Whether the file at `path` is what the address has: by its hash, or the one pinned."""
    return _is_there(remote, path, verify=True)


def mirrored(url: str) -> str:
    """The address at SR_MIRROR, where that is set: MIRROR/host/path."""
    mirror = os.environ.get("SR_MIRROR", "").rstrip("/") if "://" in url else ""
    return f"{mirror}/{url.partition('://')[2]}" if mirror else url


def _is_there(remote: Remote, path: Path, verify: bool) -> bool:
    try:
        size = path.stat().st_size
    except OSError:
        return False
    if remote.size is not None and size != remote.size:
        return False
    if not verify:
        return True
    known = remote.sha256 or remote.sha256_prefix or remote.url in pins()
    return bool(known) and _fits(remote, sha256_of(path))


def _fits(remote: Remote, found: str) -> bool:
    if remote.sha256 is not None:
        return found == remote.sha256
    if remote.sha256_prefix and not found.startswith(remote.sha256_prefix):
        return False
    return pins().get(remote.url, found) == found


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise SrError(f"{path}: in the way ({error.strerror or error})") from error


def _check_room(remote: Remote, path: Path) -> None:
    free = shutil.disk_usage(path.parent).free
    partial = _partial(path)
    missing = (remote.size or 0) - (partial.stat().st_size if partial.exists() else 0)
    if missing > free:
        raise SrError(f"{path}: {missing >> 20} MiB will not fit, {free >> 20} MiB are free")


def _partial(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")


def _download(
    remote: Remote, where: Remote, path: Path, on_bytes: OnBytes | None, hint: str | None
) -> None:
    partial = _partial(path)
    if remote.sha256 is None:
        # Nothing would tell that two halves are not of the same file.
        _remove(partial)
    resumed = partial.exists()
    found = _try_hard(where, partial, on_bytes, hint)
    if resumed and not _fits(remote, found):
        # What was there before may have been of another file.
        _remove(partial)
        found = _try_hard(where, partial, on_bytes, hint)
    if not _fits(remote, found):
        partial.unlink()
        if remote.url in pins():
            hint = forgetting(remote.url)
        raise SrError(
            f"{remote.url}: not the content expected (sha256 {found[:16]}…), thrown away", hint
        )
    if remote.sha256 is None:
        pin(remote.url, found)
    partial.replace(path)


def _try_hard(where: Remote, partial: Path, on_bytes: OnBytes | None, hint: str | None) -> str:
    """Several times, with growing pauses, for what may pass. Gives the sha256."""
    for attempt in range(_TRIES):
        try:
            return _one_try(where, partial, on_bytes)
        except _AgainError as error:
            if attempt == _TRIES - 1:
                raise SrError(f"{where.url}: {error}, tried {_TRIES} times", hint) from error
            time.sleep(min(30.0, error.wait or _PAUSE * 2**attempt))
        except SrError as error:
            raise SrError(error.message, error.hint or hint) from error
        except (ValueError, UnicodeError) as error:
            raise SrError(f"{where.url}: not an address ({error})", hint) from error
    raise AssertionError("the last try returns or raises")


def _one_try(remote: Remote, partial: Path, on_bytes: OnBytes | None) -> str:
    """Fetch what is missing of `partial`, and give the sha256 of all.

    Raises _AgainError for what may pass.
    """
    there = partial.stat().st_size if partial.exists() else 0
    if remote.size is not None and there >= remote.size:
        if there == remote.size:
            return sha256_of(partial)
        there = 0
    if "://" not in remote.url:
        _copy_local(remote, partial)
        return sha256_of(partial)
    headers = {"User-Agent": f"sr-cli/{__version__}"}
    if there:
        headers["Range"] = f"bytes={there}-"
    request = urllib.request.Request(
        urllib.parse.quote(remote.url, safe="%/:=&?~#+!$,;'@()*[]"), headers=headers
    )
    try:
        with _opener(remote).open(request, timeout=_TIMEOUT) as answer:
            resumes = answer.status == 206 and _starts_at(answer, there)
            there = there if resumes else 0
            length = answer.headers.get("Content-Length")
            total = remote.size or (there + int(length) if length else None)
            seen = hash_of(partial) if resumes else hashlib.sha256()
            with partial.open("ab" if resumes else "wb") as file:
                _copy(answer, file, seen, there, total, remote, on_bytes)
            return seen.hexdigest()
    except urllib.error.HTTPError as error:
        raise _explained(remote, error, partial) from error
    except _MAY_PASS as error:
        raise _AgainError(str(getattr(error, "reason", error)) or type(error).__name__) from error
    except OSError as error:
        raise SrError(f"{partial}: cannot be written ({error.strerror or error})") from error


def _copy_local(remote: Remote, partial: Path) -> None:
    try:
        shutil.copyfile(remote.url, partial)
    except OSError as error:
        raise SrError(f"{remote.url}: cannot be copied ({error.strerror or error})") from error


def _starts_at(answer: Any, there: int) -> bool:
    return str(answer.headers.get("Content-Range", "")).startswith(f"bytes {there}-")


def _explained(remote: Remote, error: urllib.error.HTTPError, partial: Path) -> Exception:
    if error.code == 416:
        partial.unlink(missing_ok=True)
        return _AgainError("the server has less than was fetched before")
    if error.code in _WORTH_TRYING_AGAIN:
        wait = error.headers.get("Retry-After", "")
        return _AgainError(
            f"{error.code} {error.reason}", float(wait) if wait.isdecimal() else None
        )
    return SrError(f"{remote.url}: {error.code} {error.reason}")


def _copy(
    answer: Any,
    file: IO[bytes],
    seen: Any,
    there: int,
    total: int | None,
    remote: Remote,
    on_bytes: OnBytes | None,
) -> None:
    since, before = time.monotonic(), there
    # read1 returns what has come: read would wait for a whole chunk, however slowly it comes.
    while chunk := answer.read1(_CHUNK):
        file.write(chunk)
        file.flush()
        seen.update(chunk)
        there += len(chunk)
        elapsed = time.monotonic() - since
        if elapsed > _PATIENCE:
            if there - before < _SLOWEST * elapsed:
                raise _AgainError(f"only {there - before} bytes in {elapsed:.0f} seconds")
            since, before = time.monotonic(), there
        if remote.size is not None and there > remote.size:
            raise SrError(f"{remote.url}: longer than the {remote.size} bytes expected")
        if on_bytes is not None:
            on_bytes(there, total)
    if total is not None and there < total:
        raise _AgainError(f"cut off after {there} of {total} bytes")


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows to https alone, unless the hash proves the content anyway."""

    def __init__(self, remote: Remote) -> None:
        self.remote = remote

    def redirect_request(self, *arguments: Any) -> urllib.request.Request | None:
        check_address(Remote(arguments[-1], sha256=self.remote.sha256))
        return super().redirect_request(*arguments)


def _opener(remote: Remote) -> urllib.request.OpenerDirector:
    return urllib.request.build_opener(_Redirects(remote))
