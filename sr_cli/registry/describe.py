"""What a checkpoint file is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sr_cli.errors import SrError
from sr_cli.registry.checkpoint import is_sr_checkpoint, read_header
from sr_cli.registry.ref import FileRef


def describe(path: Path) -> dict[str, Any]:
    """Network, scales and parameters, and for our checkpoints what the header says.

    Raises:
        SrError: `file-not-found`, and what loading raises for files that are no checkpoint.
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
    facts["channels"] = "luma" if network.channels == 1 else "RGB"
    facts["parameters"] = sum(p.numel() for p in network.parameters())
    return facts
