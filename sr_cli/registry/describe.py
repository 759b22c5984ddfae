"""The description of a checkpoint file that `sr models FILE` prints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sr_cli.errors import SrError
from sr_cli.registry.checkpoint import is_sr_checkpoint, read_header
from sr_cli.registry.ref import FileRef


def describe(path: Path) -> dict[str, Any]:
    """Describe a checkpoint: network, scales, parameters, and the header of an sr checkpoint.

    Args:
        path: A checkpoint of sr or of another tool.

    Returns:
        Facts by name, as `sr models FILE --json` prints them.

    Raises:
        SrError: `file-not-found`, and what loading raises for files that are not checkpoints.
    """
    if not path.is_file():
        raise SrError("file-not-found", path, hint="checkpoint")
    loaded = FileRef(path.name, path).load()
    network, traits = loaded.network, loaded.traits
    facts: dict[str, Any] = {
        "file": str(path),
        "network": traits.architecture,
        "scales": [network.scale],
        "config": network.config,
    }
    if is_sr_checkpoint(path):
        header = read_header(path)
        facts |= {
            "scales": header.scales,
            "figures": header.figures,
            "data": header.data,
            "licence": header.licence,
            "recipe": header.recipe,
        }
    if max(traits.smallest_side, traits.size_multiple) > 1:
        facts |= {"smallest_side": traits.smallest_side, "size_multiple": traits.size_multiple}
    if traits.halo is not None:
        facts["halo"] = traits.halo
    if traits.grid > 1:
        facts["grid"] = traits.grid
    if traits.tile_difference:
        facts["tile_difference"] = traits.tile_difference
    facts["channels"] = "luma" if network.channels == 1 else "RGB"
    facts["parameters"] = sum(p.numel() for p in network.parameters())
    return facts
