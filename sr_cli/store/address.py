"""Checkpoints at an address of the user's: hf://owner/repo/file or https://host/file.

Nobody vouches for their content beforehand: what is seen first is pinned, and checked ever after.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from urllib.parse import unquote, urlsplit

from sr_cli.errors import RefusedError, SrError
from sr_cli.store.download import OnBytes, Remote, fetch, is_offline
from sr_cli.store.pins import check_pin, pinned
from sr_cli.system.cache import cache_folder
from sr_cli.system.files import only_one, sha256_of

_SCHEMES = ("hf://", "https://", "http://")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def is_address(name: str) -> bool:
    """Whether a model's name is an address rather than an id or a file."""
    return name.startswith(_SCHEMES)


@dataclass(frozen=True)
class HubFile:
    """A file on the Hugging Face hub: hf://owner/repo[@revision]/folder/file."""

    repository: str
    revision: str
    file: str


def parse_hub(address: str) -> HubFile:
    """Raises RefusedError for anything but hf://owner/repo[@revision]/file."""
    match = re.fullmatch(r"hf://([\w.-]+/[\w.-]+)(?:@([\w.-]+))?/([\w ./-]+)", address)
    if match is None or {"", ".", ".."} & set(address.removeprefix("hf://").split("/")):
        raise RefusedError(f"{address}: not hf://owner/repo[@revision]/file")
    return HubFile(match[1], match[2] or "main", match[3])


def download_address(address: str) -> str:
    """An hf:// address as https; others as they are."""
    if not address.startswith("hf://"):
        return address
    from huggingface_hub import hf_hub_url

    hub = parse_hub(address)
    return hf_hub_url(hub.repository, hub.file, revision=hub.revision)


def place_of(address: str) -> Path:
    """Where the file lies in the cache. Raises RefusedError for an address that names no file."""
    if address.startswith("hf://"):
        hub = parse_hub(address)
        return cache_folder() / "hub" / hub.repository / hub.revision / hub.file
    try:
        parts = urlsplit(address)
        host, name = parts.hostname, unquote(parts.path).rsplit("/", 1)[-1]
    except ValueError:
        host, name = None, ""
    # What Windows takes for a folder, a drive or a device is no name anywhere.
    if not host or not name.strip(".") or not name.isprintable() or set(name) & set('\\/:*?"<>|'):
        raise RefusedError(f"{address}: names no file")
    # The whole address counts: host, port and query may tell files of one name apart.
    return cache_folder() / "web" / sha256(address.encode()).hexdigest()[:16] / name


def kept_addresses() -> list[Path]:
    """Every file in the cache that was fetched from an address."""
    folders = (cache_folder() / "hub", cache_folder() / "web")
    files = (p for f in folders for p in sorted(f.rglob("*")) if p.is_file())
    return [p for p in files if p.suffix != ".lock"]


def is_here(address: str) -> bool:
    """Whether it was fetched before."""
    return place_of(address).is_file()


def obtain(address: str, on_bytes: OnBytes | None = None) -> Path:
    """The file at an address, fetched unless it is here, its sha256 that which was seen first.

    The hub's own sha256 is checked where it gives one. Raises SrError where it cannot be had or
    has changed: a changed file is thrown away.
    """
    path = place_of(address)
    if not address.startswith("hf://"):
        return fetch(Remote(address), path, on_bytes=on_bytes, verify=True)
    with only_one(path):
        if path.is_file():
            if pinned(address) == sha256_of(path):
                return path
            path.unlink()
        if is_offline():
            raise SrError(f"{address} is not in the cache, and SR_OFFLINE is set")
        fetched = _from_hub(address, path.parent)
        check_pin(address, fetched)
        fetched.replace(path)
    return path


def _from_hub(address: str, folder: Path) -> Path:
    """The file, fetched beside its place and checked against the hub's sha256."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url
    from huggingface_hub.utils.tqdm import disable_progress_bars

    hub = parse_hub(address)
    disable_progress_bars()
    staging = folder / ".fetching"
    try:
        facts = get_hf_file_metadata(
            hf_hub_url(hub.repository, hub.file, revision=hub.revision), timeout=20
        )
        commit = facts.commit_hash or hub.revision
        fetched = Path(
            hf_hub_download(hub.repository, hub.file, revision=commit, local_dir=staging)
        )
    except Exception as error:
        # The library's errors have had no common type over its versions.
        said = str(error).strip().splitlines()
        raise SrError(f"{address}: {said[0] if said else type(error).__name__}") from error
    etag = (facts.etag or "").strip('"')
    if _SHA256.fullmatch(etag) and sha256_of(fetched) != etag:
        fetched.unlink()
        raise SrError(f"{address}: not the content whose sha256 the hub gives, thrown away")
    return fetched
