"""weights_manifest.json: the released weights, read and validated without torch."""

from __future__ import annotations

import os
import re
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from sr_cli.errors import RefusedError, SrError
from sr_cli.store.remote import Remote
from sr_cli.store.store import is_cached

SCHEMA = 2
_PACKAGE = Path(__file__).resolve().parent.parent
FOLDER = Path(__file__).resolve().parent / "files"
"""The folder of the weights in the package."""


class Entry(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True
):
    """One network at one scale with trained weights.

    Attributes:
        id: network[-variant]-xN.
        network: The name of the network, or of the architecture for downloads.
        scale: The factor by which the sides of an image are multiplied.
        file: The file name, in the package's folder of weights or, with a `url`, in the cache.
        bytes: The size of the file; None only for downloads, whose content is then pinned.
        sha256: The hash of the file; None only for downloads, whose content is then pinned.
        parameters: The number of weights and biases.
        licence: The licence of the weights.
        default: Whether the name of the network alone refers to this variant.
        figures: Measured results, for instance {"Set5 PSNR-Y": 30.5}.
        data: The training data.
        url: https://…, hf://owner/repo@commit/file, or a path on this machine.
        architecture: The architecture of a download.
        note: What a download is for.
        accept: Whether the licence forbids some uses and must be accepted first.
        faithful: The id of weights of the same network and scale that share their start with these
            and invent nothing, for `--strength`; "" if there are none.
        once: Whether it is applied once for factors beyond its scale, and the rest is bicubic's.
    """

    id: str
    network: str
    scale: Annotated[int, Meta(ge=1, le=16)]
    file: Annotated[str, Meta(pattern=r"^\w[\w .-]*$")]
    bytes: Annotated[int, Meta(gt=0)] | None
    sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")] | None
    parameters: int
    licence: str
    default: bool = True
    figures: dict[str, float] = {}
    data: str = ""
    url: str = ""
    architecture: str = ""
    note: str = ""
    accept: bool = False
    faithful: str = ""
    once: bool = False

    @property
    def family(self) -> str:
        """The id without its scale."""
        return self.id.rsplit("-x", 1)[0]

    @property
    def remote(self) -> Remote:
        """The remote file of a download."""
        return Remote(self.url, f"weights/{self.file}", self.bytes, self.sha256)

    @property
    def path(self) -> Path:
        """The path of the file; a download may not exist yet."""
        return self.remote.path if self.url else FOLDER / self.file

    @property
    def is_available(self) -> bool:
        """Whether the file is in the package or in the cache."""
        return not self.url or is_cached(self.remote)


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Released weights.

    Attributes:
        schema: The version of this format.
        general: The family that `sr upscale` uses when no model is named.
        weights: All entries, ids unique.
    """

    schema: int
    general: str
    weights: tuple[Entry, ...]

    @property
    def embedded(self) -> tuple[Entry, ...]:
        """The entries whose files are in the package."""
        return tuple(e for e in self.weights if not e.url)

    @property
    def public(self) -> tuple[Entry, ...]:
        """The entries whose files are downloaded."""
        return tuple(e for e in self.weights if e.url)

    def by_id(self, name: str) -> Entry | None:
        """The entry with this id, or None."""
        return next((e for e in self.weights if e.id == name), None)

    def family(self, name: str) -> list[Entry]:
        """The entries of a family, or of a network's default variant, sorted by scale."""
        found = [e for e in self.weights if e.family == name]
        found = found or [e for e in self.weights if e.network == name and e.default]
        return sorted(found, key=lambda e: e.scale)


def load_manifest() -> Manifest:
    """The manifest of this installation, preceded by the entries of the file SR_MANIFEST.

    Raises:
        SrError: `invalid-manifest` if the package's own is missing or damaged.
        RefusedError: `invalid-manifest`, `unreadable-file` or `manifest-file-conflict` for that
            file.
    """
    own = os.environ.get("SR_MANIFEST")
    installed = installed_manifest()
    if not own:
        return installed
    first = read_manifest(Path(own))
    check_file_names(first, installed)
    ids = {e.id for e in first.weights}
    others = tuple(e for e in installed.weights if e.id not in ids)
    return msgspec.structs.replace(installed, weights=first.weights + others)


def check_file_names(own: Manifest, others: Manifest) -> None:
    """Check that no download of `own` has the file name of a different one in `others`.

    Raises:
        RefusedError: `manifest-file-conflict`.
    """
    taken = {e.file: e for e in others.public}
    for entry in own.public:
        other = taken.get(entry.file, entry)
        if other.id != entry.id and other.sha256 != entry.sha256:
            raise RefusedError("manifest-file-conflict", entry.id, file=entry.file, other=other.id)


def read_manifest(path: Path) -> Manifest:
    """Read a manifest of the user.

    Args:
        path: A JSON file.

    Raises:
        RefusedError: `unreadable-file`, `invalid-manifest`.
    """
    try:
        return parse_manifest(path.read_text(encoding="utf-8-sig"), str(path))
    except SrError as error:
        raise RefusedError(error.code, error.subject, hint=error.hint, **error.facts) from error
    except OSError as error:
        raise RefusedError("unreadable-file", path, reason=error.strerror or str(error)) from error
    except UnicodeDecodeError as error:
        raise RefusedError("unreadable-file", path, reason="not UTF-8 text") from error


@lru_cache
def installed_manifest() -> Manifest:
    for path in (_PACKAGE / "weights_manifest.json", _PACKAGE.parent / "weights_manifest.json"):
        if path.is_file():
            return parse_manifest(path.read_text(encoding="utf-8"), str(path))
    raise SrError("invalid-manifest", "weights_manifest.json", hint="reinstall", reason="missing")


def parse_manifest(text: str, name: str) -> Manifest:
    """Parse and validate a manifest.

    Args:
        text: JSON.
        name: The name of the file, for errors.

    Raises:
        SrError: `invalid-manifest`, with `name` as its subject.
    """
    try:
        manifest = msgspec.json.decode(text.encode(), type=Manifest)
        if manifest.schema != SCHEMA:
            raise ValueError(f"schema {manifest.schema}, this version reads {SCHEMA}")
        for entry in manifest.weights:
            _check_entry(entry)
        _check_together(manifest.weights)
    except (ValueError, RecursionError) as error:
        raise SrError("invalid-manifest", name, reason=str(error)) from error
    return manifest


def as_json(manifest: Manifest) -> str:
    """The manifest as formatted JSON."""
    document = msgspec.to_builtins(manifest)
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"


def json_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a manifest: docs/schemas/manifest.schema.json, for editors."""
    dialect = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return dialect | msgspec.json.schema(Manifest)


def _check_entry(entry: Entry) -> None:
    """Check what the types of the fields do not cover."""
    problem = ""
    scheme, is_remote, _ = entry.url.partition("://")
    if not entry.id.endswith(f"-x{entry.scale}"):
        problem = f"its id does not end in -x{entry.scale}"
    elif is_remote and scheme not in ("https", "http", "hf"):
        problem = f"its url uses {scheme}, not https"
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
            raise ValueError(f"'{entry.id}' appears twice")
        if content.setdefault(entry.file, entry.sha256) != entry.sha256:
            raise ValueError(f"'{entry.id}': its file is another entry's")
        others = [(e.network, e.scale) for e in entries if e.id == entry.faithful]
        if entry.faithful and others != [(entry.network, entry.scale)]:
            raise ValueError(f"'{entry.id}': '{entry.faithful}' is not the same network and scale")
