"""From a name to a network with trained weights."""

from __future__ import annotations

from pathlib import Path

from sr_cli.errors import SrError
from sr_cli.networks import SCALES
from sr_cli.networks.base import SRModel
from sr_cli.registry.checkpoint import is_ours, load_checkpoint, read_header
from sr_cli.registry.foreign import load_foreign
from sr_cli.registry.manifest import Choice, choose, verified


def load_model(name: str | Path, *, scale: int | None = None) -> SRModel:
    """The network that `name` stands for (an id, a family, a network, a file) at `scale`.

    `scale` None takes the only or the smallest one. Raises SrError or RefusedError as
    `choose`, `verified` and `load_checkpoint` do.
    """
    return load_choice(choose(str(name)), scale=scale)


def scales_of(choice: Choice) -> list[int]:
    """The scales for which a choice has weights; a chain has its last one's. Raises as loading
    does.
    """
    if choice.chain:
        return scales_of(choice.chain[-1])
    if choice.is_bicubic:
        return list(SCALES)
    if choice.file is None:
        return [e.scale for e in choice.entries]
    if is_ours(choice.file):
        return sorted(read_header(choice.file).scales)
    return [load_foreign(choice.file).scale]


def load_choice(choice: Choice, *, scale: int | None = None) -> SRModel:
    """The network of a `Choice`. Raises SrError where it has no such scale."""
    if choice.file is not None:
        if is_ours(choice.file):
            return load_checkpoint(choice.file, scale=scale)[0]
        return load_foreign(choice.file)
    for entry in choice.entries:
        if scale in (None, entry.scale):
            path = verified(entry)
            own = not entry.url or is_ours(path)
            return load_checkpoint(path, scale=entry.scale)[0] if own else load_foreign(path)
    known = ", ".join(f"x{e.scale}" for e in choice.entries) or "none"
    raise SrError(f"{choice.name} has no x{scale} (it has {known})")
