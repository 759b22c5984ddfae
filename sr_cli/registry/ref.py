"""Which model a name means, at which scales, what is missing, and how to load it.

A name is parsed without touching the network. What `parse_model` gives is plain data, which
another process can be handed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from sr_cli.errors import RefusedError, SrError
from sr_cli.networks import SCALES, model_names
from sr_cli.registry.manifest import Entry, Manifest, load_manifest
from sr_cli.store import store
from sr_cli.store.remote import Remote, is_address

if TYPE_CHECKING:
    from sr_cli.registry.loaded import LoadedModel

_CHECKPOINT_SUFFIXES = {".safetensors", ".pth", ".pt", ".ckpt", ".bin"}


@dataclass(frozen=True)
class Download:
    """Weights that must be fetched before a model can be loaded.

    Attributes:
        name: The id or address.
        remote: Where they come from.
        licence: Of the weights; "" where it is not known.
        accept: Whether the licence must be accepted first.
    """

    name: str
    remote: Remote
    licence: str = ""
    accept: bool = False


@dataclass(frozen=True)
class ModelRef(ABC):
    """What `-m` names.

    Attributes:
        name: How the model is called in results and messages.
    """

    name: str

    @abstractmethod
    def scales(self) -> list[int]:
        """The scales at which it has weights, ascending.

        Raises:
            SrError: What reading the file raises; `not-downloaded` where it is not here.
        """

    @abstractmethod
    def load(self, scale: int | None = None) -> LoadedModel:
        """The network at `scale`; None takes the smallest.

        Raises:
            SrError: `scale-not-available`, and what reading the file raises.
            RefusedError: `not-downloaded`.
        """

    def missing(self, factor: float) -> list[Download]:
        """What must be fetched before images can be upscaled by `factor`."""
        return []

    @property
    def steps(self) -> tuple[ModelRef, ...]:
        """The models that a chain applies one after the other; any other has one step."""
        return (self,)

    @property
    def native_scale(self) -> int | None:
        """The factor that is meant where none is named; None for the usual default.

        Raises:
            SrError: As `scales`.
        """
        return None


@dataclass(frozen=True)
class BicubicRef(ModelRef):
    """MATLAB's bicubic: no weights, every factor."""

    name: str = "bicubic"

    def scales(self) -> list[int]:
        return list(SCALES)

    def load(self, scale: int | None = None) -> LoadedModel:
        from sr_cli.networks import create_model
        from sr_cli.registry.loaded import as_loaded

        return as_loaded(create_model("bicubic", scale=scale or SCALES[0]))


@dataclass(frozen=True)
class FamilyRef(ModelRef):
    """Entries of the manifest: one network at one or more scales."""

    entries: tuple[Entry, ...]

    def scales(self) -> list[int]:
        return [e.scale for e in self.entries]

    def load(self, scale: int | None = None) -> LoadedModel:
        for entry in self.entries:
            if scale in (None, entry.scale):
                return _load_file(verified_path(entry), entry.scale)
        raise SrError("scale-not-available", self.name, scale=scale, available=self.scales())

    def missing(self, factor: float) -> list[Download]:
        reaching = [e for e in self.entries if e.scale >= factor] or list(self.entries)[-1:]
        return [
            Download(e.id, e.remote, e.licence, e.accept)
            for e in reaching[:1]
            if not e.is_available
        ]

    @property
    def native_scale(self) -> int | None:
        # Networks of ours come at several scales, a public checkpoint mostly at one.
        return max(self.scales()) if all(e.url for e in self.entries) else None


@dataclass(frozen=True)
class FileRef(ModelRef):
    """A checkpoint file of ours or of another tool."""

    path: Path

    def scales(self) -> list[int]:
        from sr_cli.registry.checkpoint import is_sr_checkpoint, read_header
        from sr_cli.registry.foreign import load_foreign

        if is_sr_checkpoint(self.path):
            return sorted(read_header(self.path).scales)
        return [load_foreign(self.path).network.scale]

    def load(self, scale: int | None = None) -> LoadedModel:
        return _load_file(self.path, scale)

    @property
    def native_scale(self) -> int | None:
        return max(self.scales())


@dataclass(frozen=True)
class AddressRef(ModelRef):
    """A checkpoint at an address of the user's, in the cache once it was fetched."""

    remote: Remote

    def _file(self) -> FileRef:
        if not store.is_intact(self.remote):
            raise RefusedError("not-downloaded", self.remote.address, hint="address")
        return FileRef(self.name, self.remote.path)

    def scales(self) -> list[int]:
        return self._file().scales()

    def load(self, scale: int | None = None) -> LoadedModel:
        return self._file().load(scale)

    def missing(self, factor: float) -> list[Download]:
        if store.is_intact(self.remote):
            return []
        return [Download(self.remote.address, self.remote)]

    @property
    def native_scale(self) -> int | None:
        return self._file().native_scale


@dataclass(frozen=True)
class ChainRef(ModelRef):
    """Models one after the other: each but the last keeps the size of its input."""

    parts: tuple[ModelRef, ...]

    def scales(self) -> list[int]:
        return self.parts[-1].scales()

    def load(self, scale: int | None = None) -> LoadedModel:
        raise SrError("chain-is-not-one-network", self.name)

    def missing(self, factor: float) -> list[Download]:
        return [download for part in self.parts for download in part.missing(factor)]

    @property
    def steps(self) -> tuple[ModelRef, ...]:
        return self.parts

    @property
    def native_scale(self) -> int | None:
        return self.parts[-1].native_scale


def parse_model(name: str | Path | None) -> ModelRef:
    """What a model's name stands for; nothing is fetched.

    Args:
        name: An id, a family, a network, a checkpoint file, an address, `bicubic`, a chain
            `a+b`, or None for the general model. An address ends a chain: a `+` in it is its own.

    Raises:
        RefusedError: `unknown-model` (with the known ones), `no-weights` for a network that is not
            trained, `file-not-found`, `invalid-address`.
    """
    manifest = load_manifest()
    name = manifest.general if name is None else str(name)
    if name == "bicubic":
        return BicubicRef()
    if is_address(name):
        remote = Remote(name)
        return AddressRef(remote.path.name, remote)
    if entry := manifest.by_id(name):
        return FamilyRef(name, (entry,))
    if family := manifest.family(name):
        return FamilyRef(family[0].family, tuple(family))
    path = Path(name)
    if "+" in name and not path.exists():
        first, _, rest = name.partition("+")
        return ChainRef(name, (*parse_model(first).steps, *parse_model(rest).steps))
    if path.suffix.lower() in _CHECKPOINT_SUFFIXES or path.is_file():
        if not path.is_file():
            raise RefusedError("file-not-found", name)
        return FileRef(path.name, path)
    raise _unknown_model(name, manifest)


def load_model(name: str | Path, *, scale: int | None = None) -> LoadedModel:
    """The network that a name stands for, with its weights.

    Args:
        name: As `parse_model` takes it. An address must have been fetched before.
        scale: None takes the only or the smallest one.

    Raises:
        SrError, RefusedError: As `parse_model` and `ModelRef.load`.

    Example:
        >>> from sr_cli import load_model
        >>> loaded = load_model("espcn", scale=4)
        >>> loaded.network.scale, loaded.network.channels
        (4, 1)
    """
    return parse_model(name).load(scale)


def verified_path(entry: Entry) -> Path:
    """The file of an entry, its full sha256 checked.

    Raises:
        SrError: `wrong-content` when it differs, `file-not-found` when it is missing.
        RefusedError: `not-downloaded` when it is not in the cache yet.
    """
    if entry.url:
        if not entry.is_available:
            raise RefusedError("not-downloaded", entry.id)
        if not store.is_intact(entry.remote):
            store.remove(entry.remote)
            raise SrError("damaged-weights", entry.id, hint="fetch-again", file=entry.path)
        return entry.path
    try:
        found = sha256(entry.path.read_bytes()).hexdigest()
    except OSError as error:
        raise SrError("damaged-weights", entry.id, file=entry.path) from error
    if found != entry.sha256:
        raise SrError("damaged-weights", entry.id, file=entry.path)
    return entry.path


def _load_file(path: Path, scale: int | None) -> LoadedModel:
    from sr_cli.registry.checkpoint import is_sr_checkpoint, load_checkpoint, traits_of
    from sr_cli.registry.foreign import load_foreign
    from sr_cli.registry.loaded import LoadedModel

    if not is_sr_checkpoint(path):
        return load_foreign(path)
    network, header = load_checkpoint(path, scale=scale)
    return LoadedModel(network, traits_of(header, network.channels))


def _unknown_model(name: str, manifest: Manifest) -> RefusedError:
    trained = sorted({e.family for e in manifest.weights if e.is_available} | {"bicubic"})
    network = name.rsplit("-x", 1)[0]
    if name in model_names() or network in model_names():
        available = [f"x{e.scale}" for e in manifest.family(network)]
        hint = "other-scales" if available else None
        return RefusedError("no-weights", name, hint=hint, available=available, known=trained)
    return RefusedError("unknown-model", name, known=trained)
