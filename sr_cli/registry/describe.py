"""The description of a network that `sr models NAME` prints."""

from __future__ import annotations

from typing import Any

import torch

from sr_cli.layers.initial import uninitialised
from sr_cli.networks import create_model, model_class, model_names
from sr_cli.registry.checkpoint import is_sr_checkpoint, read_header
from sr_cli.registry.manifest import Entry, load_manifest


def describe_network(name: str) -> dict[str, Any]:
    """Describe a network, a family or an id: its paper, its scales, and its weights.

    Args:
        name: One for which `is_network` holds.

    Returns:
        Facts by name, as `sr models NAME --json` prints them.

    Raises:
        SrError: What reading the headers of its weights raises.
    """
    manifest = load_manifest()
    entry = manifest.by_id(name)
    entries = [entry] if entry else manifest.family(name)
    network = entries[0].network if entries else name
    facts: dict[str, Any] = {"name": name, "network": network}
    if network in model_names():
        cls = model_class(network)
        facts |= {
            "paper": cls.paper,
            "scales": list(cls.scales),
            "channels": "luma" if cls.channels == 1 else "RGB",
        }
    return facts | {"weights": [_describe_entry(e) for e in entries]}


def _describe_entry(entry: Entry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "scale": entry.scale,
        "parameters": entry.parameters or None,
        "bytes": entry.bytes,
        "halo": _halo(entry),
        "figures": entry.figures,
        "data": entry.data,
        "licence": entry.licence,
        "note": entry.note,
        "sha256": entry.sha256,
        "file": str(entry.path) if entry.is_available else None,
        "url": entry.url or None,
    }


def _halo(entry: Entry) -> int | None:
    """The context in lr pixels that tiles of a network need; None where only loading tells."""
    if not entry.is_available or not is_sr_checkpoint(entry.path):
        return None
    header = read_header(entry.path)
    if header.halo is not None:
        return header.halo
    with uninitialised(), torch.device("meta"):
        network = create_model(header.model, scale=entry.scale, **header.config)
    return network.receptive_radius
