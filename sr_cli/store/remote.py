"""A file to download: its address, its place in the cache, its size and hash."""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from sr_cli.errors import RefusedError, SrError
from sr_cli.system.cache import cache_folder

_SCHEMES = ("hf://", "https://", "http://")
_HUB = re.compile(r"hf://([\w.-]+/[\w.-]+)(?:@([\w.-]+))?/([\w ./-]+)")


def is_address(name: str) -> bool:
    """Whether a name is an address rather than an id or a file."""
    return name.lower().startswith(_SCHEMES)


@dataclass(frozen=True)
class Remote:
    """A file at an address, with what is known about its content.

    Without `sha256` and `sha256_prefix`, the content seen first is pinned, and required from then
    on.

    Attributes:
        address: `https://…`, `http://…` (only with `sha256`), `hf://owner/repo[@revision]/file`,
            or a path on this machine.
        place: Its path in the cache, relative to the cache folder; "" for a path derived from
            the address.
        size: In bytes, if known.
        sha256: 64 hexadecimal digits, if known.
        sha256_prefix: The first digits, for files whose name carries only these.
        local_option: The option that reads the file from this machine instead, for hints.
    """

    address: str
    place: str = ""
    size: int | None = None
    sha256: str | None = None
    sha256_prefix: str = ""
    local_option: str = ""

    def __post_init__(self) -> None:
        # Schemes are the same in capitals (RFC 3986, section 3.1).
        scheme, sign, rest = self.address.partition("://")
        object.__setattr__(self, "address", scheme.lower() + sign + rest if sign else scheme)

    @property
    def path(self) -> Path:
        """The path in the cache, where the file may not exist yet.

        Raises:
            RefusedError: `invalid-address`.
        """
        return cache_folder() / (self.place or _place_of(self.address))

    @property
    def is_local(self) -> bool:
        """Whether it is a path on this machine."""
        return "://" not in self.address

    def check_secure(self) -> None:
        """Check that the content cannot be replaced in transit.

        Raises:
            SrError: `insecure-address` for anything but a path, https, or http with a sha256.
        """
        scheme = self.address.partition("://")[0]
        if not (self.is_local or scheme in ("https", "hf") or (scheme == "http" and self.sha256)):
            raise SrError("insecure-address", self.address)


@dataclass(frozen=True)
class HubFile:
    """A file on the Hugging Face hub: hf://owner/repo[@revision]/folder/file."""

    repository: str
    revision: str
    file: str


def parse_hub(address: str) -> HubFile:
    """The parts of an hf:// address.

    Raises:
        RefusedError: `invalid-address`.
    """
    match = _HUB.fullmatch(address)
    if match is None or {"", ".", ".."} & set(address.removeprefix("hf://").split("/")):
        raise RefusedError("invalid-address", address, hint="hub")
    return HubFile(match[1], match[2] or "main", match[3])


def _place_of(address: str) -> PurePosixPath:
    if address.startswith("hf://"):
        hub = parse_hub(address)
        return PurePosixPath("hub", hub.repository, hub.revision, hub.file)
    try:
        parts = urlsplit(address)
        host, name = parts.hostname, unquote(parts.path).rsplit("/", 1)[-1]
    except ValueError:
        host, name = None, ""
    # Names that Windows would read as a folder, a drive or a device are refused everywhere.
    if any(c.isspace() for c in address):
        host = None
    if not host or not name.strip(". ") or not name.isprintable() or set(name) & set('\\/:*?"<>|'):
        raise RefusedError("invalid-address", address, hint="no-file")
    # Files of the same name may differ in host, port or query: hash the whole address.
    return PurePosixPath("web", sha256(address.encode()).hexdigest()[:16], name)
