"""What a checkpoint file is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sr_cli.errors import SrError
from sr_cli.registry.checkpoint import is_ours, load_checkpoint
from sr_cli.registry.foreign import ForeignModel, load_foreign


def describe(path: Path) -> dict[str, Any]:
    """Network, scales, parameters, and for ours what the header says.

    Raises SrError for files that are no checkpoint.
    """
    if not path.is_file():
        raise SrError(f"{path}: no such checkpoint file", "sr models, alone, lists the networks")
    facts: dict[str, Any] = {"file": str(path)}
    if is_ours(path):
        model, header = load_checkpoint(path)
        facts |= {
            "network": header.model,
            "scales": header.scales,
            "config": header.config,
            "figures": header.figures,
            "data": header.data,
            "licence": header.licence,
            "recipe": header.recipe,
        }
    else:
        model = load_foreign(path)
        facts |= {
            "network": model.kind if isinstance(model, ForeignModel) else model.name,
            "scales": [model.scale],
            "config": model.config,
        }
        if isinstance(model, ForeignModel) and max(model.least, model.multiple) > 1:
            facts["size"] = f"at least {model.least}, a multiple of {model.multiple}"
    facts["channels"] = "luma" if model.channels == 1 else "RGB"
    facts["parameters"] = sum(p.numel() for p in model.parameters())
    return facts
