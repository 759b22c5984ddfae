"""Downloads into a file: resumed, retried, and limited to secure addresses."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import IO, Any

from sr_cli.errors import SrError
from sr_cli.store.remote import Remote, parse_hub
from sr_cli.system.files import hash_of, sha256_of
from sr_cli.version import __version__

OnBytes = Callable[[int, int | None], None]
"""Called with the bytes downloaded so far and the total, None if unknown."""

_CHUNK = 1 << 18
_TIMEOUT = 20.0
_ATTEMPTS = 5
_PAUSE = 0.5
_MIN_RATE = 1024
"""Bytes per second, averaged over _STALL_SECONDS, below which a connection is closed."""

_STALL_SECONDS = 30.0
_TRANSIENT = (HTTPException, urllib.error.URLError, TimeoutError, ConnectionError, ssl.SSLError)
_RETRYABLE = {408, 425, 429, 500, 502, 503, 504}
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class TransferSource:
    """Where a remote is downloaded from: its own address, a mirror, or the hub.

    Attributes:
        remote: The file.
        url: The address to request, or a path on this machine.
        size: In bytes, if the remote or the hub states it.
        sha256: If the remote or the hub states it.
        headers: Additional request headers.
    """

    remote: Remote
    url: str
    size: int | None
    sha256: str | None
    headers: Mapping[str, str] = field(default_factory=dict)


class _TransientError(Exception):
    """A failure worth retrying, after the `wait` seconds that the server asked for."""

    def __init__(self, message: str, wait: float | None = None) -> None:
        super().__init__(message)
        self.wait = wait


def find_source(remote: Remote) -> TransferSource:
    """Where to download a remote: the hub for hf://, SR_MIRROR/host/path if set, else its address.

    Raises:
        SrError: `download-failed` if the hub has no such file or cannot be reached,
            `insecure-address`.
    """
    if remote.address.startswith("hf://"):
        return _hub_source(remote)
    mirror = "" if remote.is_local else os.environ.get("SR_MIRROR", "").rstrip("/")
    url = f"{mirror}/{remote.address.partition('://')[2]}" if mirror else remote.address
    source = TransferSource(remote, url, remote.size, remote.sha256)
    _check_url(url, source)
    return source


def _hub_source(remote: Remote) -> TransferSource:
    """The https address on HF_ENDPOINT, at the commit that the revision points to now."""
    from huggingface_hub import get_hf_file_metadata, get_token, hf_hub_url

    hub = parse_hub(remote.address)
    token = get_token()
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        url = hf_hub_url(hub.repository, hub.file, revision=hub.revision)
        facts = get_hf_file_metadata(url, timeout=_TIMEOUT)
        url = hf_hub_url(hub.repository, hub.file, revision=facts.commit_hash or hub.revision)
    except Exception as error:
        # The library's errors have no common type across its versions.
        said = str(error).strip().splitlines()
        reason = said[0] if said else type(error).__name__
        raise _download_failed(remote, reason) from error
    etag = (facts.etag or "").strip('"')
    # The etag of files in Git LFS is their sha256, that of others a Git hash.
    by_hub = etag if _SHA256.fullmatch(etag) else None
    return TransferSource(remote, url, remote.size or facts.size, remote.sha256 or by_hub, headers)


def transfer(source: TransferSource, partial: Path, on_bytes: OnBytes | None) -> str:
    """Download what `partial` lacks, retrying transient failures with growing pauses.

    Returns:
        The sha256 of the whole file.

    Raises:
        SrError: `download-failed`, `unexpected-size` if there are more bytes than expected,
            `unwritable-file`.
    """
    for attempt in range(_ATTEMPTS):
        try:
            return _attempt(source, partial, on_bytes)
        except _TransientError as error:
            if attempt == _ATTEMPTS - 1:
                raise _download_failed(source.remote, str(error), tries=_ATTEMPTS) from error
            time.sleep(min(30.0, error.wait or _PAUSE * 2**attempt))
        except (ValueError, UnicodeError) as error:
            raise _download_failed(source.remote, f"not an address: {error}") from error
    raise AssertionError("the last attempt returns or raises")


def _download_failed(remote: Remote, reason: str, tries: int = 1) -> SrError:
    return SrError(
        "download-failed", remote.address, hint=remote.local_option, reason=reason, tries=tries
    )


def _attempt(source: TransferSource, partial: Path, on_bytes: OnBytes | None) -> str:
    """Download what is missing, once. Raises _TransientError for failures worth retrying."""
    there = partial.stat().st_size if partial.exists() else 0
    if source.size is not None and partial.exists() and there >= source.size:
        if there == source.size:
            return sha256_of(partial)
        there = 0
    if source.remote.is_local:
        return _copy_local(source, partial)
    headers = {"User-Agent": f"sr-cli/{__version__}", **source.headers}
    if there:
        headers["Range"] = f"bytes={there}-"
    url = urllib.parse.quote(source.url, safe="%/:=&?~#+!$,;'@()*[]")
    request = urllib.request.Request(url, headers=headers)
    opener = urllib.request.build_opener(_Redirects(source))
    try:
        with opener.open(request, timeout=_TIMEOUT) as answer:
            resumes = answer.status == 206 and _resumes_at(answer, there)
            there = there if resumes else 0
            length = answer.headers.get("Content-Length")
            total = source.size or (there + int(length) if length else None)
            seen = hash_of(partial) if resumes else hashlib.sha256()
            with partial.open("ab" if resumes else "wb") as file:
                _copy(answer, file, seen, there, total, source, on_bytes)
            return str(seen.hexdigest())
    except urllib.error.HTTPError as error:
        raise _http_failure(source, error, partial) from error
    except _TRANSIENT as error:
        raise _TransientError(
            str(getattr(error, "reason", error)) or type(error).__name__
        ) from error
    except OSError as error:
        raise SrError("unwritable-file", partial, reason=error.strerror or str(error)) from error


def _copy_local(source: TransferSource, partial: Path) -> str:
    try:
        shutil.copyfile(source.url, partial)
    except OSError as error:
        raise _download_failed(source.remote, error.strerror or str(error)) from error
    return sha256_of(partial)


def _resumes_at(answer: Any, there: int) -> bool:
    return str(answer.headers.get("Content-Range", "")).startswith(f"bytes {there}-")


def _http_failure(
    source: TransferSource, error: urllib.error.HTTPError, partial: Path
) -> Exception:
    if error.code == 416:
        partial.unlink(missing_ok=True)
        return _TransientError("the server has fewer bytes than were downloaded before")
    reason = f"{error.code} {error.reason}"
    if error.code in _RETRYABLE:
        wait = error.headers.get("Retry-After", "")
        return _TransientError(reason, float(wait) if wait.isdecimal() else None)
    return _download_failed(source.remote, reason)


def _copy(
    answer: Any,
    file: IO[bytes],
    seen: Any,
    there: int,
    total: int | None,
    source: TransferSource,
    on_bytes: OnBytes | None,
) -> None:
    since, before = time.monotonic(), there
    # read1 returns what has arrived; read would wait for a whole chunk.
    while chunk := answer.read1(_CHUNK):
        file.write(chunk)
        file.flush()
        seen.update(chunk)
        there += len(chunk)
        elapsed = time.monotonic() - since
        if elapsed > _STALL_SECONDS:
            if there - before < _MIN_RATE * elapsed:
                raise _TransientError(f"only {there - before} bytes in {elapsed:.0f} seconds")
            since, before = time.monotonic(), there
        if source.size is not None and there > source.size:
            raise SrError("unexpected-size", source.remote.address, size=source.size)
        if on_bytes is not None:
            on_bytes(there, total)
    if total is not None and there < total:
        raise _TransientError(f"cut off after {there} of {total} bytes")


def _check_url(url: str, source: TransferSource) -> None:
    Remote(url, sha256=source.sha256).check_secure()


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects only to https, unless the hash is known."""

    def __init__(self, source: TransferSource) -> None:
        self.source = source

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        _check_url(newurl, self.source)
        following = super().redirect_request(req, fp, code, msg, headers, newurl)
        if following is not None and following.host != req.host:
            # The token is only for the original host.
            following.remove_header("Authorization")
        return following
