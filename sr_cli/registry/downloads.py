"""Downloads of public weights and addresses: by name, several at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread

from sr_cli.errors import RefusedError, SrError
from sr_cli.registry.manifest import Entry
from sr_cli.registry.published import published_entry, published_names
from sr_cli.registry.ref import Download
from sr_cli.store import store
from sr_cli.store.remote import Remote, is_address

_PARALLEL = 3

OnDownload = Callable[[Download, int, int | None], None]
"""Called with a download, its bytes so far and the total, None if unknown."""


@dataclass(frozen=True)
class Fetched:
    """The outcome of a download: a file or an error."""

    download: Download
    path: Path | None = None
    error: SrError | None = None


def resolve_downloads(entries: Sequence[Entry], names: Sequence[str]) -> list[Download]:
    """The downloads that ids, families and addresses refer to, without duplicates.

    Args:
        entries: The public entries of a manifest.
        names: Ids, families, addresses or names of published models.

    Raises:
        RefusedError: `unknown-value` for a name without an entry, `invalid-address`, and as
            `published_entry`.
    """
    chosen: dict[str, Download] = {}
    for name in names:
        if is_address(name):
            remote = Remote(name)
            # Refuses an address without a file name before anything is downloaded.
            assert remote.path
            chosen[name] = Download(name, remote)
            continue
        found = [e for e in entries if name in (e.id, e.family)]
        if not found and (published := published_entry(name)):
            found = [published]
        if not found:
            known = [e.id for e in entries] + get_close_matches(name, published_names())
            raise RefusedError("unknown-value", "public weights", value=name, known=known)
        chosen |= {e.id: as_download(e) for e in found}
    return list(chosen.values())


def as_download(entry: Entry) -> Download:
    """The download of a public entry."""
    return Download(entry.id, entry.remote, entry.licence, entry.accept)


def check_licences(downloads: Sequence[Download]) -> None:
    """Check that no download is missing whose licence must be accepted first.

    Raises:
        RefusedError: `licence-not-accepted`.
    """
    for download in downloads:
        if download.accept and not store.is_cached(download.remote):
            raise RefusedError("licence-not-accepted", download.name, licence=download.licence)


def check_cached(downloads: Sequence[Download]) -> None:
    """Check that all downloads are in the cache.

    Raises:
        RefusedError: `not-downloaded`.
    """
    for download in downloads:
        if not store.is_cached(download.remote):
            raise RefusedError("not-downloaded", download.name, hint="address")


def fetch_all(downloads: Sequence[Download], on_bytes: OnDownload | None = None) -> list[Fetched]:
    """Download several files at once, each verified; one failure does not stop the others.

    Args:
        downloads: What to download.
        on_bytes: Called with progress, from several threads.

    Returns:
        The outcome of each, in the same order.
    """
    found: dict[str, Fetched] = {}
    waiting: SimpleQueue[Download] = SimpleQueue()
    for download in downloads:
        waiting.put(download)

    def work() -> None:
        while True:
            try:
                download = waiting.get_nowait()
            except Empty:
                return
            found[download.name] = _fetch_one(download, on_bytes)

    # Daemon threads, so that Ctrl-C does not wait: partial downloads are resumed next time.
    workers = [Thread(target=work, daemon=True) for _ in range(_PARALLEL)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return [found[d.name] for d in downloads]


def fetch_download(
    download: Download, on_bytes: Callable[[int, int | None], None] | None = None
) -> Path:
    """Download one file and verify it.

    Args:
        download: What to download.
        on_bytes: Called with the bytes so far and the total, None if unknown.

    Returns:
        The path of the file in the cache.

    Raises:
        SrError: As `store.get`, with the id or address as the subject.
    """
    try:
        return store.get(download.remote, on_bytes=on_bytes)
    except SrError as error:
        if error.subject == download.remote.address:
            error.subject = download.name
        raise


def _fetch_one(download: Download, on_bytes: OnDownload | None) -> Fetched:
    def report(done: int, total: int | None) -> None:
        if on_bytes is not None:
            on_bytes(download, done, total)

    try:
        return Fetched(download, fetch_download(download, report))
    except SrError as error:
        return Fetched(download, error=error)
    except Exception as error:
        # A worker must not die silently.
        reason = f"{type(error).__name__}: {error}"
        failed = SrError("download-failed", download.name, reason=reason, tries=1)
        return Fetched(download, error=failed)
