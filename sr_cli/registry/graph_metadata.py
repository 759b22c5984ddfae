"""What an exported file says about itself: written by `sr export`, read by `-m FILE.onnx`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from sr_cli.registry.loaded import Traits

FORMAT = 1
_PREFIX = "sr."

Pixels = Annotated[int, Meta(ge=0, lt=512)]


class GraphMetadata(msgspec.Struct, frozen=True, kw_only=True):
    """The properties of an exported file, each stored as text under `sr.NAME`.

    Attributes:
        model: The name of the model that was exported.
        network: The network, or the architecture of another tool.
        sha256: The hash of the file with the weights.
        licence: The licence of the weights; "" if unknown.
        version: The version of sr.
        scale: What the sides of an image are multiplied by.
        channels: 1 for luma, 3 for RGB.
        pixels: `float` for values in [0, 1], or `uint8`.
        layout: `nchw` or `nhwc`.
        tile: The sides of what the file takes, in lr pixels; None for any.
        precision: `fp32`, `fp16` or `int8`.
        black, white: Black and white for the network; BT.601's studio range for luma.
        halo: Context in lr pixels with which tiles equal the whole image.
        grid: Tiles begin at multiples of it, in lr pixels.
        size_multiple: Of which the sides of an input must be multiples; 1, as the graph pads.
        tile_difference: As in `Traits`.
        largest_difference: From PyTorch in float32, of values in [0, 1], when it was verified.
        psnr_cost: PSNR-Y that int8 costs, in dB; None for other precisions.
        format: The version of these properties.
    """

    model: str
    network: str
    sha256: str
    licence: str = ""
    version: str
    scale: Annotated[int, Meta(ge=1, le=16)]
    channels: Literal[1, 3]
    pixels: Literal["float", "uint8"] = "float"
    layout: Literal["nchw", "nhwc"] = "nchw"
    tile: int | None = None
    precision: Literal["fp32", "fp16", "int8"] = "fp32"
    black: float = 0.0
    white: float = 1.0
    halo: Pixels
    grid: Annotated[int, Meta(ge=1, lt=512)] = 1
    size_multiple: Annotated[int, Meta(ge=1, le=1)] = 1
    tile_difference: float = 0.0
    largest_difference: float | None = None
    psnr_cost: float | None = None
    format: Annotated[int, Meta(ge=1, le=FORMAT)] = FORMAT

    def as_properties(self) -> dict[str, str]:
        """The metadata as text by name, without what is None."""
        fields = msgspec.to_builtins(self)
        return {_PREFIX + name: str(v) for name, v in fields.items() if v is not None}

    @property
    def graph_channels(self) -> Literal[1, 3]:
        """The channels of the graph, which splits 8-bit pixels into luma and colours itself."""
        return 3 if self.pixels == "uint8" else self.channels

    @property
    def traits(self) -> Traits:
        """The traits of the graph, which continues images beyond their edges itself."""
        return Traits(
            self.network,
            self.halo,
            half_is_safe=False,
            margin=0,
            grid=self.grid,
            tile_difference=self.tile_difference,
            value_range=(self.black, self.white) if self.graph_channels == 1 else (0.0, 1.0),
            eight_bit=self.pixels == "uint8",
        )


def read_properties(properties: Mapping[str, str]) -> GraphMetadata | None:
    """The metadata among the properties of a file, or None if sr did not write it.

    Raises:
        msgspec.ValidationError: If a property is missing or out of range.
    """
    found = {n.removeprefix(_PREFIX): v for n, v in properties.items() if n.startswith(_PREFIX)}
    if "format" not in found:
        return None
    return msgspec.convert(found, GraphMetadata, strict=False)
