"""The list of released weights: weights_manifest.json, read and checked without torch."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from sr_cli.errors import RefusedError, SrError
from sr_cli.models import model_names

SCHEMA = 1
_PACKAGE = Path(__file__).resolve().parent.parent
FOLDER = Path(__file__).resolve().parent / "files"


@dataclass(frozen=True)
class Entry:
    """One network at one scale with trained weights.

    `id` is network[-variant]-xN; `file` lies in the package's weights folder; `default` marks
    the variant that the network's bare name means.
    """

    id: str
    network: str
    scale: int
    file: str
    bytes: int
    sha256: str
    parameters: int
    licence: str
    default: bool = True
    figures: dict[str, float] = field(default_factory=dict)
    data: str = ""

    @property
    def family(self) -> str:
        """The id without its scale."""
        return self.id.rsplit("-x", 1)[0]

    @property
    def path(self) -> Path:
        return FOLDER / self.file


@dataclass(frozen=True)
class Manifest:
    """Released weights, and the family that `sr upscale` takes when none is named."""

    entries: tuple[Entry, ...]
    general: str

    def by_id(self, name: str) -> Entry | None:
        """The entry with this id, or None."""
        return next((e for e in self.entries if e.id == name), None)

    def family(self, name: str) -> list[Entry]:
        """Entries of a network's default variant, or of the variant named; by scale."""
        found = [e for e in self.entries if e.family == name]
        found = found or [e for e in self.entries if e.network == name and e.default]
        return sorted(found, key=lambda e: e.scale)


@lru_cache
def load_manifest() -> Manifest:
    """The manifest of this installation. Raises SrError when it is missing or malformed."""
    for path in (_PACKAGE / "weights_manifest.json", _PACKAGE.parent / "weights_manifest.json"):
        if path.is_file():
            return parse_manifest(path.read_text(encoding="utf-8"), str(path))
    raise SrError("weights_manifest.json is missing", "install sr again")


def parse_manifest(text: str, name: str) -> Manifest:
    """A manifest from JSON. Raises SrError that says what is wrong with `name`."""
    try:
        document: dict[str, Any] = json.loads(text)
        if document["schema"] != SCHEMA:
            raise ValueError(f"schema {document['schema']}, this version reads {SCHEMA}")
        entries = tuple(Entry(**e) for e in document["weights"])
        for entry in entries:
            if not entry.id.endswith(f"-x{entry.scale}") or len(entry.sha256) != 64:
                raise ValueError(f"entry '{entry.id}' is malformed")
        return Manifest(entries, document["general"])
    except (KeyError, TypeError, ValueError) as error:
        raise SrError(f"{name}: not a manifest of weights ({error})") from error


def verified(entry: Entry) -> Path:
    """The entry's file, its full sha256 checked. Raises SrError when it differs or is missing."""
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
    """What a model's name stands for: None the general one, an id, a family, a network, a file.

    Raises RefusedError for an unknown name (listing the known) and for a network that has no
    trained weights.
    """
    manifest = load_manifest()
    if name is None:
        name = manifest.general
    if name == "bicubic":
        return Choice(name)
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
    trained = ", ".join(sorted({e.family for e in manifest.entries} | {"bicubic"}))
    network = name.rsplit("-x", 1)[0]
    if name in model_names() or network in model_names():
        known = ", ".join(f"x{e.scale}" for e in manifest.family(network))
        raise RefusedError(
            f"{name} has no trained weights yet" + (f" (it has {known})" if known else ""),
            f"trained: {trained}; or give a checkpoint file",
        )
    raise RefusedError(f"unknown model '{name}'", f"known: {trained}; or a checkpoint file")
