"""References to models: which model a name means, its scales, and how to load it.

Names are parsed without network access. References are plain data and can be sent to another
process.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from sr_cli.errors import RefusedError, SrError
from sr_cli.imaging.provenance import UsedModel
from sr_cli.networks import SCALES, model_names
from sr_cli.registry.manifest import Entry, Manifest, load_manifest
from sr_cli.registry.published import published_entry
from sr_cli.store import store
from sr_cli.store.pins import pinned
from sr_cli.store.remote import Remote, is_address
from sr_cli.system.files import sha256_of

if TYPE_CHECKING:
    from sr_cli.registry.loaded import LoadedModel

ONNX_SUFFIX = ".onnx"
_CHECKPOINT_SUFFIXES = {".safetensors", ".pth", ".pt", ".ckpt", ".bin", ONNX_SUFFIX}


@dataclass(frozen=True)
class Download:
    """Weights that must be downloaded before a model can be loaded.

    Attributes:
        name: The id or address.
        remote: The file.
        licence: The licence of the weights; "" if unknown.
        accept: Whether the licence must be accepted first.
    """

    name: str
    remote: Remote
    licence: str = ""
    accept: bool = False


@dataclass(frozen=True)
class ModelRef(ABC):
    """A model that `-m` can name.

    Attributes:
        name: The name of the model in results and messages.
    """

    name: str

    @abstractmethod
    def scales(self) -> list[int]:
        """The scales at which the model has weights, ascending.

        Raises:
            SrError: What reading the file raises; `not-downloaded` if it is not available.
        """

    @abstractmethod
    def load(self, scale: int | None = None) -> LoadedModel:
        """Load the network at `scale`; None takes the smallest scale.

        Raises:
            SrError: `scale-not-available`, and what reading the file raises.
            RefusedError: `not-downloaded`.
        """

    def used(self, scale: int | None) -> tuple[UsedModel, ...]:
        """What `load` loads at `scale`, in order, with the sha256 of its files."""
        return (UsedModel(self.name),)

    def missing(self, factor: float) -> list[Download]:
        """What must be downloaded before images can be upscaled by `factor`."""
        return []

    @property
    def steps(self) -> tuple[ModelRef, ...]:
        """The models that a chain applies in order; other models have one step."""
        return (self,)

    @property
    def native_scale(self) -> int | None:
        """The default factor of the model; None for the general default.

        Raises:
            SrError: As `scales`.
        """
        return None


@dataclass(frozen=True)
class BicubicRef(ModelRef):
    """MATLAB's bicubic, without weights, for every factor."""

    name: str = "bicubic"

    def scales(self) -> list[int]:
        return list(SCALES)

    def load(self, scale: int | None = None) -> LoadedModel:
        if scale not in (None, *SCALES):
            raise SrError("scale-not-available", self.name, scale=scale, available=self.scales())

        from sr_cli.networks import create_model
        from sr_cli.registry.loaded import as_loaded

        return as_loaded(create_model("bicubic", scale=scale or SCALES[0]))


@dataclass(frozen=True)
class FamilyRef(ModelRef):
    """Entries of the manifest: one network at one or more scales.

    Attributes:
        entries: The entries.
        faithful: With a strength below 1, what each entry is mixed with, in the same order.
        strength: 1 for the entries' own weights, 0 for the faithful ones.
    """

    entries: tuple[Entry, ...]
    faithful: tuple[Entry, ...] = ()
    strength: float = 1.0

    def scales(self) -> list[int]:
        return [e.scale for e in self.entries]

    def load(self, scale: int | None = None) -> LoadedModel:
        entry = self._entry(scale)
        if entry is None:
            raise SrError("scale-not-available", self.name, scale=scale, available=self.scales())
        own, *others = (_load_file(verified_path(e), e.scale) for e in self._read_for(entry))
        own = replace(own, traits=replace(own.traits, once=entry.once))
        if not others:
            return own
        from sr_cli.registry.mixing import mix

        return mix(own, others[0], self.strength, self.name)

    def used(self, scale: int | None) -> tuple[UsedModel, ...]:
        entry = self._entry(scale)
        assert entry is not None
        return (UsedModel(entry.id, entry.sha256 or pinned(entry.remote.address)),)

    def missing(self, factor: float) -> list[Download]:
        reaching = [e for e in self.entries if e.scale >= factor] or list(self.entries)[-1:]
        return [
            Download(e.id, e.remote, e.licence, e.accept)
            for e in self._read_for(reaching[0])
            if not e.is_available
        ]

    def paths(self, scale: int | None) -> list[Path]:
        """The files that `load` reads at a scale, verified; of another scale those of the first."""
        entry = self._entry(scale) or self.entries[0]
        return [verified_path(e) for e in self._read_for(entry)]

    def _entry(self, scale: int | None) -> Entry | None:
        return next((e for e in self.entries if scale in (None, e.scale)), None)

    def _read_for(self, entry: Entry) -> list[Entry]:
        """The entries whose weights make those of an entry."""
        return [entry, *self.faithful[(k := self.entries.index(entry)) : k + 1]]

    @property
    def native_scale(self) -> int | None:
        # Networks of sr have several scales, public checkpoints mostly one.
        return max(self.scales()) if all(e.url for e in self.entries) else None


@dataclass(frozen=True)
class FileRef(ModelRef):
    """A checkpoint file of sr or of another tool."""

    path: Path

    def scales(self) -> list[int]:
        return self._scales

    @cached_property
    def _scales(self) -> list[int]:
        """Read once: of files of other tools, this means to load them."""
        from sr_cli.registry.checkpoint import is_sr_checkpoint, read_header
        from sr_cli.registry.foreign import load_foreign

        if is_sr_checkpoint(self.path):
            return sorted(read_header(self.path).scales)
        return [load_foreign(self.path).network.scale]

    def load(self, scale: int | None = None) -> LoadedModel:
        return _load_file(self.path, scale)

    def used(self, scale: int | None) -> tuple[UsedModel, ...]:
        return (UsedModel(self.name, sha256_of(self.path)),)

    @property
    def native_scale(self) -> int | None:
        return max(self.scales())


@dataclass(frozen=True)
class OnnxRef(FileRef):
    """An ONNX file, of `sr export` or of another tool."""

    @cached_property
    def _scales(self) -> list[int]:
        return [self.load().network.scale]

    def load(self, scale: int | None = None) -> LoadedModel:
        from sr_cli.registry.onnx_model import load_onnx

        loaded = load_onnx(self.path)
        available = [loaded.network.scale]
        if scale not in (None, *available):
            raise SrError("scale-not-available", self.name, scale=scale, available=available)
        return loaded


def file_ref(name: str, path: Path) -> FileRef:
    """The reference to a file, by its suffix."""
    return (OnnxRef if path.suffix.lower() == ONNX_SUFFIX else FileRef)(name, path)


@dataclass(frozen=True)
class AddressRef(ModelRef):
    """A checkpoint at an address given by the user, in the cache once downloaded."""

    remote: Remote

    def file(self) -> FileRef:
        """The file in the cache. Raises `not-downloaded` if it is not there."""
        if not store.is_intact(self.remote):
            raise RefusedError("not-downloaded", self.remote.address, hint="address")
        return file_ref(self.name, self.remote.path)

    def scales(self) -> list[int]:
        return self._scales

    @cached_property
    def _scales(self) -> list[int]:
        with about_address(self.remote):
            return self.file().scales()

    def load(self, scale: int | None = None) -> LoadedModel:
        with about_address(self.remote):
            return self.file().load(scale)

    def used(self, scale: int | None) -> tuple[UsedModel, ...]:
        return self.file().used(scale)

    def missing(self, factor: float) -> list[Download]:
        if store.is_intact(self.remote):
            return []
        return [Download(self.remote.address, self.remote)]

    @property
    def native_scale(self) -> int | None:
        return max(self.scales())


@contextmanager
def about_address(remote: Remote) -> Iterator[None]:
    """Raise errors about a file that cannot be read as errors about its address.

    Their hint says how to forget the file, if it is pinned.
    """
    try:
        yield
    except SrError as error:
        is_pinned = pinned(remote.address) is not None
        if error.code == "unreadable-checkpoint":
            raise SrError(
                "unreadable-checkpoint",
                remote.address,
                hint="pinned" if is_pinned else "address",
                reason=error.facts["reason"],
            ) from error
        if error.code == "expands-too-much":
            raise SrError(
                "expands-too-much",
                remote.address,
                hint="pinned" if is_pinned else None,
                mib=error.facts["mib"],
            ) from error
        raise


@dataclass(frozen=True)
class ChainRef(ModelRef):
    """Models applied in order: all but the last keep the size of their input."""

    parts: tuple[ModelRef, ...]

    def scales(self) -> list[int]:
        return self.parts[-1].scales()

    def load(self, scale: int | None = None) -> LoadedModel:
        raise SrError("chain-not-supported", self.name)

    def used(self, scale: int | None) -> tuple[UsedModel, ...]:
        *first, last = self.parts
        return (*(used for part in first for used in part.used(1)), *last.used(scale))

    def missing(self, factor: float) -> list[Download]:
        return [download for part in self.parts for download in part.missing(factor)]

    @property
    def steps(self) -> tuple[ModelRef, ...]:
        return self.parts

    @property
    def native_scale(self) -> int | None:
        return self.parts[-1].native_scale


def parse_model(name: str | Path | None) -> ModelRef:
    """The model that a name refers to; nothing is downloaded.

    Args:
        name: An id, a family, a network, a checkpoint file, an address, the name of a published
            model, `bicubic`, a chain `a+b`, or None for the general model. In a chain, an address
            must come last, because it may contain `+` itself.

    Raises:
        RefusedError: `unknown-model` with the known names, `no-weights` for a network that is not
            trained, `file-not-found`, `invalid-address`, and as `published_entry`.
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
    if "+" in name and not os.path.exists(path):
        first, _, rest = name.partition("+")
        return ChainRef(name, (*parse_model(first).steps, *parse_model(rest).steps))
    if "://" in name and not os.path.exists(path):
        raise RefusedError("invalid-address", name, hint="scheme")
    if path.suffix.lower() in _CHECKPOINT_SUFFIXES or os.path.isfile(path):
        if not os.path.isfile(path):
            raise RefusedError("file-not-found", name)
        return file_ref(path.name, path)
    if published := published_entry(name):
        return FamilyRef(name, (published,))
    raise _unknown_model(name, manifest)


def is_network(name: str) -> bool:
    """Whether a name is that of a network, a family or an id rather than of a file."""
    manifest = load_manifest()
    return name in model_names() or bool(manifest.by_id(name) or manifest.family(name))


def load_model(name: str | Path, *, scale: int | None = None) -> LoadedModel:
    """Load the network that a name refers to, with its weights.

    Args:
        name: As for `parse_model`. An address must have been downloaded before.
        scale: None takes the smallest scale.

    Returns:
        The network in float32, in evaluation mode, and its traits.

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
    """The file of an entry, after verifying its sha256. A damaged download is removed.

    Raises:
        SrError: `damaged-weights` if the file is missing or differs.
        RefusedError: `not-downloaded` if it is not in the cache yet.
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
