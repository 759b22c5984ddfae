"""A network with its weights and the traits found when it was loaded."""

from __future__ import annotations

from dataclasses import dataclass

from sr_cli.errors import Note
from sr_cli.imaging.colour import LUMA_BLACK, LUMA_WHITE
from sr_cli.networks.base import SRModel


@dataclass(frozen=True)
class Traits:
    """What a checkpoint states, or a probe finds, about a network with these weights.

    Attributes:
        architecture: The name of the network, or of another tool's architecture.
        halo: Context in lr pixels with which tiles agree to 1e-4; None for the receptive radius.
        half_is_safe: Whether half precision works and costs less than 0.01 dB.
        size_multiple: The sides of an input are padded to a multiple of this.
        margin: Lr pixels by which an image is continued beyond its edges, so that flat colours stay
            what they are; None for the network's own.
        grid: Tiles begin at multiples of it and read multiples of it, in lr pixels; a multiple of
            `size_multiple`.
        tile_difference: The largest difference between tiles and the whole image that a probe
            found, in steps of 1/255; 0 for networks whose tiles equal it.
        smallest_side: The smallest side of an input, in lr pixels; smaller ones are padded.
        value_range: Black and white for the network: BT.601's studio range for networks on luma,
            0 and 1 for networks on RGB.
        eight_bit: Whether it rounds what goes in and comes out to 8 bits.
        once: Whether it is applied once for factors beyond its scale, and the rest is bicubic's:
            what it draws is then not drawn over.
    """

    architecture: str
    halo: int | None = None
    half_is_safe: bool = True
    size_multiple: int = 1
    margin: int | None = None
    grid: int = 1
    tile_difference: float = 0.0
    smallest_side: int = 1
    value_range: tuple[float, float] = (0.0, 1.0)
    eight_bit: bool = False
    once: bool = False


@dataclass(frozen=True)
class LoadedModel:
    """A network that is ready to use.

    Attributes:
        network: lr (N, C, h, w) in [0, 1] -> sr (N, C, h*scale, w*scale), float32, in evaluation
            mode.
        traits: What is known about the network with these weights.
        sha256: Of the file, for weights of other tools, whose traits the engine measures and
            remembers; "" for checkpoints of sr, which state theirs.
        notes: What the user should know about how the file was read.
    """

    network: SRModel
    traits: Traits
    sha256: str = ""
    notes: tuple[Note, ...] = ()


def as_loaded(network: SRModel) -> LoadedModel:
    """Wrap a network of sr with default traits."""
    return LoadedModel(
        network, Traits(network.name, value_range=default_value_range(network.channels))
    )


def default_value_range(channels: int) -> tuple[float, float]:
    """Black and white for a network on luma (1 channel) or RGB (3 channels)."""
    return (LUMA_BLACK, LUMA_WHITE) if channels == 1 else (0.0, 1.0)
