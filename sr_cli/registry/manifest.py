"""The list of released weights: weights_manifest.json, read and checked without torch."""

from __future__ import annotations

import json
import os
import re
from dataclasses import MISSING, dataclass, field, fields, replace
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any, get_origin, get_type_hints

from sr_cli.errors import RefusedError, SrError
from sr_cli.networks import model_names
from sr_cli.store.address import download_address, is_address, obtain
from sr_cli.store.download import Remote, is_verified
from sr_cli.system.cache import cache_folder

SCHEMA = 2
_PACKAGE = Path(__file__).resolve().parent.parent
FOLDER = Path(__file__).resolve().parent / "files"


@dataclass(frozen=True)
class Entry:
    """One network at one scale with trained weights.

    `id` is network[-variant]-xN; `default` marks the variant that the network's bare name means.
    `file` lies in the package's weights folder, or where there is a `url` (https://…,
    hf://owner/repo@revision/file, or a path on this machine), in the cache once it is downloaded.
    Only downloads may lack `bytes` and `sha256`: theirs are pinned when first seen. `accept`: the
    licence forbids some uses (commercial ones) and must be accepted first.
    `architecture` and `note`: what a download is, and what for.
    """

    id: str
    network: str
    scale: int
    file: str
    bytes: int | None
    sha256: str | None
    parameters: int
    licence: str
    default: bool = True
    figures: dict[str, float] = field(default_factory=dict)
    data: str = ""
    url: str = ""
    architecture: str = ""
    note: str = ""
    accept: bool = False

    @property
    def family(self) -> str:
        """The id without its scale."""
        return self.id.rsplit("-x", 1)[0]

    @property
    def path(self) -> Path:
        return cache_folder() / "weights" / self.file if self.url else FOLDER / self.file

    @property
    def is_here(self) -> bool:
        return not self.url or self.path.is_file()


@dataclass(frozen=True)
class Manifest:
    """Released weights, and the family that `sr upscale` takes when none is named."""

    entries: tuple[Entry, ...]
    general: str

    @property
    def embedded(self) -> tuple[Entry, ...]:
        """Those that lie in the package."""
        return tuple(e for e in self.entries if not e.url)

    def by_id(self, name: str) -> Entry | None:
        """The entry with this id, or None."""
        return next((e for e in self.entries if e.id == name), None)

    def family(self, name: str) -> list[Entry]:
        """Entries of a network's default variant, or of the variant named; by scale."""
        found = [e for e in self.entries if e.family == name]
        found = found or [e for e in self.entries if e.network == name and e.default]
        return sorted(found, key=lambda e: e.scale)


def load_manifest() -> Manifest:
    """The manifest of this installation; the entries of SR_MANIFEST, a file of the user's, first.

    Raises SrError when one is missing or malformed, RefusedError when their files collide.
    """
    own = os.environ.get("SR_MANIFEST")
    installed = _installed_manifest()
    if not own:
        return installed
    first = read_manifest(Path(own))
    check_files_apart(first, installed)
    ids = {e.id for e in first.entries}
    return replace(
        installed, entries=first.entries + tuple(e for e in installed.entries if e.id not in ids)
    )


def check_files_apart(own: Manifest, others: Manifest) -> None:
    """Raises RefusedError for a download of `own` that would replace one of `others`."""
    taken = {e.file: e for e in others.entries if e.url}
    for entry in own.entries:
        other = taken.get(entry.file, entry)
        if entry.url and other.id != entry.id and other.sha256 != entry.sha256:
            raise RefusedError(
                f"{entry.id}: {entry.file} is the file of {other.id}", "give it another file name"
            )


def read_manifest(path: Path) -> Manifest:
    """A manifest of the user's. Raises RefusedError when it cannot be read, SrError as parsing."""
    try:
        return parse_manifest(path.read_text(encoding="utf-8-sig"), str(path))
    except SrError as error:
        raise RefusedError(error.message) from error
    except (OSError, UnicodeDecodeError) as error:
        raise RefusedError(f"{path}: cannot be read ({error})") from error


@lru_cache
def _installed_manifest() -> Manifest:
    for path in (_PACKAGE / "weights_manifest.json", _PACKAGE.parent / "weights_manifest.json"):
        if path.is_file():
            return parse_manifest(path.read_text(encoding="utf-8"), str(path))
    raise SrError("weights_manifest.json is missing", "install sr again")


def parse_manifest(text: str, name: str) -> Manifest:
    """A manifest from JSON. Raises SrError that says what is wrong with `name`."""
    try:
        document: dict[str, Any] = json.loads(text)
        if not isinstance(document, dict) or set(document) != {"schema", "general", "weights"}:
            raise ValueError("its parts are schema, general and weights")
        if document["schema"] != SCHEMA:
            raise ValueError(f"schema {document['schema']}, this version reads {SCHEMA}")
        if not isinstance(document["general"], str) or not isinstance(document["weights"], list):
            raise ValueError("general is a name, weights a list")
        entries = tuple(_entry(fields) for fields in document["weights"])
        _check_together(entries)
        return Manifest(entries, document["general"])
    except (ValueError, RecursionError) as error:
        raise SrError(f"{name}: not a manifest of weights ({error})") from error


def _entry(described: Any) -> Entry:
    """One entry, its fields and their types checked. Raises ValueError."""
    if not isinstance(described, dict) or not isinstance(described.get("id"), str):
        raise ValueError("an entry is a table with an id")
    name, kinds = described["id"], get_type_hints(Entry)
    for key, value in described.items():
        if key not in kinds:
            raise ValueError(f"'{name}' has an unknown field '{key}'")
        kind = dict if get_origin(kinds[key]) is dict else kinds[key]
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise ValueError(f"'{name}': {key} = {value!r} is of the wrong type")
    needed = {f.name for f in fields(Entry) if f.default is f.default_factory is MISSING}
    if missing := sorted(needed - set(described)):
        raise ValueError(f"'{name}' has no {missing[0]}")
    entry = Entry(**described)
    _check_entry(entry)
    return entry


def _check_entry(entry: Entry) -> None:
    problem = ""
    scheme, is_remote, _ = entry.url.partition("://")
    if not entry.id.endswith(f"-x{entry.scale}") or not 1 <= entry.scale <= 16:
        problem = f"its id does not end in -x{entry.scale}"
    elif not re.fullmatch(r"[\w][\w .-]*", entry.file):
        problem = f"its file '{entry.file}' is not a plain name"
    elif entry.sha256 is not None and not re.fullmatch(r"[0-9a-f]{64}", entry.sha256):
        problem = "its sha256 is not one (64 digits, lower case)"
    elif any(isinstance(v, bool) or not isinstance(v, int | float) for v in entry.figures.values()):
        problem = "its figures are not numbers"
    elif entry.bytes is not None and entry.bytes <= 0:
        problem = f"its size is {entry.bytes} bytes"
    elif is_remote and scheme not in ("https", "http", "hf"):
        problem = f"its url is on {scheme}, not on https"
    elif scheme == "hf" and not (entry.sha256 and re.search(r"@[0-9a-f]{40}/", entry.url)):
        problem = "it needs a sha256 and hf://owner/repo@commit/file"
    elif (entry.sha256 is None or entry.bytes is None) and scheme != "https":
        problem = "it has no sha256 or size, and no https address"
    if problem:
        raise ValueError(f"'{entry.id}': {problem}")


def _check_together(entries: tuple[Entry, ...]) -> None:
    content: dict[str, str | None] = {}
    for entry in entries:
        if sum(e.id == entry.id for e in entries) > 1:
            raise ValueError(f"'{entry.id}' is there twice")
        if content.setdefault(entry.file, entry.sha256) != entry.sha256:
            raise ValueError(f"'{entry.id}': its file is another entry's")


def verified(entry: Entry) -> Path:
    """The entry's file, its full sha256 checked.

    Raises SrError when it differs or is missing, RefusedError when it is not downloaded yet.
    """
    if entry.url:
        return _downloaded(entry)
    try:
        found = sha256(entry.path.read_bytes()).hexdigest()
    except OSError as error:
        raise SrError(
            f"weights of {entry.id} are missing ({entry.path})", "install sr again"
        ) from error
    if found != entry.sha256:
        raise SrError(
            f"{entry.path}: not the released weights of {entry.id} (sha256 {found[:16]}…)",
            "install sr again",
        )
    return entry.path


def remote_of(entry: Entry) -> Remote:
    """Where a download lies and what is known of it."""
    return Remote(download_address(entry.url), entry.bytes, entry.sha256)


def _downloaded(entry: Entry) -> Path:
    if not entry.is_here:
        raise RefusedError(
            f"{entry.id} is not downloaded yet", f"sr download-weights {entry.id}, or --download"
        )
    if not is_verified(remote_of(entry), entry.path):
        entry.path.unlink()
        raise SrError(
            f"{entry.path}: not the published weights of {entry.id}, thrown away",
            f"sr download-weights {entry.id} fetches them again",
        )
    return entry.path


_CHECKPOINT_SUFFIXES = {".safetensors", ".pth", ".pt", ".ckpt", ".bin"}


@dataclass(frozen=True)
class Choice:
    """What `-m` names: entries of one family by scale, a file, several of these one after the
    other (`chain`), or bicubic (none of them).
    """

    name: str
    entries: tuple[Entry, ...] = ()
    file: Path | None = None
    chain: tuple[Choice, ...] = ()

    @property
    def is_bicubic(self) -> bool:
        return not self.entries and self.file is None and not self.chain


def choose(name: str | None) -> Choice:
    """What a model's name stands for: None the general one, an id, a family, a network, a file,
    an address (fetched unless it was before).

    Raises SrError for what cannot be fetched, RefusedError for an unknown name (listing the known)
    and for a network that has no trained weights.
    """
    manifest = load_manifest()
    if name is None:
        name = manifest.general
    if name == "bicubic":
        return Choice(name)
    if is_address(name) and "+" not in name:
        return Choice(name.rsplit("/", 1)[-1], file=obtain(name))
    entry = manifest.by_id(name)
    if entry is not None:
        return Choice(name, (entry,))
    family = manifest.family(name)
    if family:
        return Choice(family[0].family, tuple(family))
    path = Path(name)
    if "+" in name and not path.exists():
        return Choice(name, chain=tuple(choose(part) for part in name.split("+")))
    if path.suffix.lower() in _CHECKPOINT_SUFFIXES or path.is_file():
        if not path.is_file():
            raise RefusedError(f"{name}: no such checkpoint")
        return Choice(path.name, file=path)
    trained = ", ".join(sorted({e.family for e in manifest.entries if e.is_here} | {"bicubic"}))
    network = name.rsplit("-x", 1)[0]
    if name in model_names() or network in model_names():
        known = ", ".join(f"x{e.scale}" for e in manifest.family(network))
        raise RefusedError(
            f"{name} has no trained weights yet" + (f" (it has {known})" if known else ""),
            f"trained: {trained}; or give a checkpoint file",
        )
    raise RefusedError(
        f"unknown model '{name}'",
        f"known: {trained}; more: sr download-weights; or a checkpoint file",
    )
