"""The model that is exported: its network, traits, weights and name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from sr_cli.engine.budget import needed_halo, needed_margin
from sr_cli.engine.findings import Place
from sr_cli.engine.probe import probe_model
from sr_cli.engine.tiling import continued_axis
from sr_cli.errors import RefusedError, SrError
from sr_cli.export.graph import ContinuedNet, TileNet
from sr_cli.registry.checkpoint import is_sr_checkpoint, read_header
from sr_cli.registry.graph_metadata import GraphMetadata
from sr_cli.registry.loaded import LoadedModel
from sr_cli.registry.ref import (
    AddressRef,
    BicubicRef,
    FamilyRef,
    FileRef,
    ModelRef,
    OnnxRef,
    parse_model,
)
from sr_cli.registry.strength import with_strength
from sr_cli.system.files import sha256_of
from sr_cli.version import __version__

DEFAULT_SCALE = 4


@dataclass(frozen=True)
class Source:
    """A model that is ready to be exported.

    Attributes:
        loaded: The network, with measured traits for those of other tools.
        metadata: What the file says about itself.
    """

    loaded: LoadedModel
    metadata: GraphMetadata

    def forms(self) -> Iterator[nn.Module]:
        """The network as it is exported, then as its paper has it, in float32."""
        yield self.loaded.network.for_inference()
        yield self.loaded.network

    def continued(self, net: nn.Module) -> ContinuedNet:
        """A form of the network for images of any size."""
        traits = self.loaded.traits
        continued = ContinuedNet(
            net,
            scale=self.loaded.network.scale,
            margin=needed_margin(self.loaded),
            grid=traits.grid,
            smallest=traits.smallest_side,
        )
        return continued.eval()

    def for_tile(self, tile: int, layout: str) -> Iterator[TileNet]:
        """The forms of the network for one size of tile.

        Raises:
            SrError: `export-failed` if its tiles must begin on a grid.
            RefusedError: `out-of-range` if the tile has no core.
        """
        network, traits, halo = self.loaded.network, self.loaded.traits, self.metadata.halo
        if traits.grid > 1:
            reason = f"its tiles begin at multiples of {traits.grid}"
            raise SrError("export-failed", reason=reason)
        if tile <= 2 * halo or tile < traits.smallest_side:
            least = max(2 * halo + 1, traits.smallest_side)
            raise RefusedError("out-of-range", "tile", value=tile, allowed=f"{least} and above")
        axis = continued_axis(tile, margin=needed_margin(self.loaded))
        for net in self.forms():
            yield TileNet(net, scale=network.scale, axis=axis, layout=layout).eval()


def choose_model(
    name: str | None, scale: int | None, strength: float | None = None
) -> tuple[ModelRef, int]:
    """The model and the scale that are exported.

    Args:
        name: As for `parse_model`.
        scale: None for 4, or the largest scale.
        strength: As for `with_strength`.

    Raises:
        RefusedError: As `parse_model` and `with_strength`; `not-exportable` for bicubic and ONNX
            files, `chain-not-supported`, `scale-not-available`, `not-downloaded`.
        SrError: What reading the file raises.
    """
    ref = with_strength(parse_model(name), strength)
    if isinstance(ref, BicubicRef):
        raise RefusedError("not-exportable", ref.name, hint="bicubic")
    if isinstance(ref, OnnxRef):
        raise RefusedError("not-exportable", ref.name, hint="onnx")
    if len(ref.steps) > 1:
        raise RefusedError("chain-not-supported", ref.name)
    scales = ref.scales()
    chosen = scale or (DEFAULT_SCALE if DEFAULT_SCALE in scales else max(scales))
    if chosen not in scales:
        raise RefusedError("scale-not-available", ref.name, scale=chosen, available=scales)
    return ref, chosen


def default_name(ref: ModelRef, scale: int) -> str:
    """NAME-xN without a suffix: the id of a model, or the name of its file."""
    is_file = isinstance(ref, FileRef | AddressRef)
    name = Path(ref.name).stem if is_file else ref.name
    return name if name.endswith(f"-x{scale}") else f"{name}-x{scale}"


def load_source(ref: ModelRef, scale: int) -> Source:
    """Load a model, and measure what its tiles need if it is another tool's.

    Raises:
        SrError: What loading raises; `network-failed`.
    """
    loaded = probe_model(ref.load(scale), Place(torch.device("cpu"), torch.float32))
    name, path, licence = _origin(ref, scale)
    traits, network = loaded.traits, loaded.network
    black, white = traits.value_range
    metadata = GraphMetadata(
        model=name,
        network=traits.architecture,
        sha256=sha256_of(path),
        licence=licence,
        version=__version__,
        scale=network.scale,
        channels=network.channels,
        black=black,
        white=white,
        halo=needed_halo(loaded),
        grid=traits.grid,
        tile_difference=traits.tile_difference,
    )
    return Source(loaded, metadata)


def _origin(ref: ModelRef, scale: int) -> tuple[str, Path, str]:
    """The id of a model, the file with its weights, and their licence."""
    if isinstance(ref, FamilyRef):
        entry = next(e for e in ref.entries if e.scale == scale)
        mixed = f" at strength {ref.strength:g}" if ref.faithful else ""
        return entry.id + mixed, entry.path, entry.licence
    path = ref.remote.path if isinstance(ref, AddressRef) else Path()
    if isinstance(ref, FileRef):
        path = ref.path
    return ref.name, path, read_header(path).licence if is_sr_checkpoint(path) else ""
