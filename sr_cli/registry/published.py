"""Published checkpoints of others: which model a file is, and where to get one.

Facts from OpenModelDB (https://openmodeldb.info): published.json names the commit and its date.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import msgspec

from sr_cli.errors import RefusedError
from sr_cli.registry.manifest import Entry

_FILE = Path(__file__).resolve().parent / "published.json"
_PAGE = "https://openmodeldb.info/models/"
_READABLE = ("safetensors", "pth")
"""The formats that can be read, the preferred one first."""

_NOT_SUPPORTED = frozenset(
    ("cain", "cain-yuv", "hma", "ludvae", "rife", "sofvsr", "spsr", "srformer", "tscunet")
)
"""Architectures that neither sr nor spandrel can build."""


class PublishedFile(msgspec.Struct, frozen=True, array_like=True):
    """A file of a published model.

    Attributes:
        id: The model on OpenModelDB; it may have several files.
        sha256: The hash of the file.
        bytes: The size of the file.
        format: `pth`, `safetensors` or `onnx`.
        scale: The factor by which the sides of an image are multiplied.
        architecture: The name of the architecture there.
        licence: An SPDX identifier; "" if none is stated.
        url: The direct address of the file; "" if there is none.
    """

    id: str
    sha256: str
    bytes: int
    format: str
    scale: int
    architecture: str
    licence: str
    url: str

    @property
    def page(self) -> str:
        """The page of the model."""
        return _PAGE + self.id

    @property
    def is_supported(self) -> bool:
        """Whether `-m` can read it."""
        return self.format in _READABLE and self.architecture not in _NOT_SUPPORTED

    @property
    def stated_licence(self) -> str:
        """The licence, in words if there is none."""
        return self.licence or "none stated"

    @property
    def must_be_accepted(self) -> bool:
        """Whether the licence forbids commercial use, or nothing is allowed by a stated one."""
        return not self.licence or "-NC" in self.licence


class _Document(msgspec.Struct, frozen=True):
    source: str
    files: tuple[PublishedFile, ...]


@lru_cache
def published_files() -> tuple[PublishedFile, ...]:
    """All published files, sorted by id."""
    return msgspec.json.decode(_FILE.read_bytes(), type=_Document).files


def published_names() -> dict[str, PublishedFile]:
    """All published files by the name under which they are downloaded."""
    return names_of(published_files())


def names_of(files: Iterable[PublishedFile]) -> dict[str, PublishedFile]:
    """Files by name: the id for the preferred file of a model, else with digits of its sha256."""

    def order(file: PublishedFile) -> tuple[bool, bool, int, int]:
        readable = file.format in _READABLE
        rank = _READABLE.index(file.format) if readable else 0
        return not readable, not file.url, rank, -file.bytes

    found: dict[str, PublishedFile] = {}
    for file in sorted(files, key=order):
        name = file.id if file.id not in found else f"{file.id}-{file.sha256[:8]}"
        found[name] = file
    return dict(sorted(found.items(), key=lambda item: item[0].casefold()))


def published_by_sha256(sha256: str) -> list[PublishedFile]:
    """The published models that have exactly this file; mostly one or none."""
    return [file for file in published_files() if file.sha256 == sha256]


def published_entry(name: str) -> Entry | None:
    """A published file as an entry that can be downloaded, or None for an unknown name.

    Raises:
        RefusedError: `no-direct-address` if only its page can be named, `published-not-supported`
            for formats and architectures that cannot be read.
    """
    file = published_names().get(name)
    if file is None:
        return None
    if not file.is_supported:
        raise RefusedError(
            "published-not-supported",
            name,
            architecture=file.architecture,
            format=file.format,
            page=file.page,
        )
    if not file.url:
        raise RefusedError("no-direct-address", name, page=file.page)
    return as_entry(name, file)


def cached_published() -> list[Entry]:
    """The published files that were downloaded."""
    entries = [
        as_entry(name, file)
        for name, file in published_names().items()
        if file.url and file.is_supported
    ]
    return [entry for entry in entries if entry.is_available]


@dataclass(frozen=True)
class FoundModel:
    """A model that a search found.

    Attributes:
        id: The name under which it is downloaded.
        architecture, scale, format, bytes, sha256: Of its file; bytes and sha256 may be unknown.
        licence: The licence of the weights.
        must_be_accepted: Whether the licence must be accepted before a download.
        supported: Whether `-m` can read it.
        url: The direct address; "" if there is none.
        page: The page of the model; "" for entries of a manifest.
    """

    id: str
    architecture: str
    scale: int
    format: str
    bytes: int | None
    sha256: str | None
    licence: str
    must_be_accepted: bool
    supported: bool
    url: str
    page: str = ""

    def matches(self, words: Sequence[str]) -> bool:
        """Whether every word occurs in name, architecture, licence or scale, in any case."""
        scale = f"x{self.scale} {self.scale}x"
        texts = "\n".join((self.id, self.architecture, self.licence, scale)).casefold()
        return all(word.casefold() in texts for word in words)


def search_models(entries: Sequence[Entry], words: Sequence[str]) -> list[FoundModel]:
    """The models that match all words.

    Args:
        entries: The public entries of a manifest, which come first.
        words: Parts of names, architectures and licences, or scales (`x4`).
    """
    models = [
        FoundModel(
            entry.id,
            entry.architecture,
            entry.scale,
            Path(entry.file).suffix.removeprefix("."),
            entry.bytes,
            entry.sha256,
            entry.licence,
            entry.accept,
            True,
            entry.url,
        )
        for entry in entries
    ]
    models += [
        FoundModel(
            name,
            file.architecture,
            file.scale,
            file.format,
            file.bytes,
            file.sha256,
            file.stated_licence,
            file.must_be_accepted,
            file.is_supported,
            file.url,
            file.page,
        )
        for name, file in published_names().items()
    ]
    return [model for model in models if model.matches(words)]


def as_entry(name: str, file: PublishedFile) -> Entry:
    """A published file with a direct address, under its name, as an entry of a manifest."""
    return Entry(
        id=name,
        network=file.architecture,
        scale=file.scale,
        file=f"{name}.{file.format}",
        bytes=file.bytes,
        sha256=file.sha256,
        parameters=0,
        licence=file.stated_licence,
        default=False,
        url=file.url,
        architecture=file.architecture,
        note=file.page,
        accept=file.must_be_accepted,
    )
