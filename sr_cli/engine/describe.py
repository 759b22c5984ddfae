"""The description of a checkpoint file that `sr models FILE` prints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from sr_cli.engine.device import pick_device, pick_precision
from sr_cli.engine.findings import Place
from sr_cli.engine.probe import probe, probe_model
from sr_cli.errors import SrError
from sr_cli.registry.checkpoint import is_sr_checkpoint, read_header
from sr_cli.registry.loaded import LoadedModel
from sr_cli.registry.manifest import load_manifest
from sr_cli.registry.onnx_model import OnnxModel
from sr_cli.registry.published import published_by_sha256
from sr_cli.registry.ref import file_ref
from sr_cli.system.files import sha256_of


def describe(path: Path) -> dict[str, Any]:
    """Describe a checkpoint: network, scales, parameters, and the header of an sr checkpoint.

    Args:
        path: A checkpoint of sr or of another tool.

    Returns:
        Facts by name, as `sr models FILE --json` prints them.

    Raises:
        SrError: `file-not-found`, `network-failed`, and what loading raises for files that are
            not checkpoints.
    """
    if not path.is_file():
        raise SrError("file-not-found", path, hint="checkpoint")
    loaded = file_ref(path.name, path).load()
    measured: dict[str, Any] = {}
    if loaded.sha256:
        loaded, measured = _measure(loaded, path)
    network, traits = loaded.network, loaded.traits
    facts: dict[str, Any] = {
        "file": str(path),
        "published": describe_origin(path),
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
    gray = "gray" if traits.value_range == (0.0, 1.0) else "luma"
    facts["channels"] = gray if network.channels == 1 else "RGB"
    if isinstance(network, OnnxModel):
        signature = network.graph.signature
        facts["input"] = f"{signature.dtype} {signature.layout}"
        # A graph computes in the precision that it was written in, whatever this machine can do.
        measured = {"precision": signature.properties.get("sr.precision", "as written")}
    facts["parameters"] = network.count_parameters()
    return facts | measured


def describe_origin(path: Path) -> list[dict[str, Any]]:
    """The published models that have exactly this file: `id`, `licence` and `page` of each."""
    if not path.is_file():
        return []
    found = sha256_of(path)
    public = [
        {"id": entry.id, "licence": entry.licence, "page": entry.url}
        for entry in load_manifest().public
        if entry.sha256 == found
    ]
    others = [
        {"id": file.id, "licence": file.stated_licence, "page": file.page}
        for file in published_by_sha256(found)
    ]
    return public + others


def _measure(loaded: LoadedModel, path: Path) -> tuple[LoadedModel, dict[str, Any]]:
    """The model with measured traits, and facts about its weights and its precision."""
    device = pick_device()
    place = Place(device, pick_precision(device))
    try:
        half = probe(loaded, place).half
    except SrError as error:
        raise error.about(path) from error.__cause__
    facts: dict[str, Any] = {"precision": half.precision if half and half.is_used else "fp32"}
    if half is not None:
        facts["half_precision"] = msgspec.to_builtins(half) | {"used": half.is_used}
    for note in loaded.notes:
        facts |= {"weights": note.facts["used"], "other_weights": note.facts["others"]}
    return probe_model(loaded, place), facts
