"""What tiles of a network need, measured on a built-in image with its trained weights.

Nobody publishes how far the networks of other tools look, on which grid they work, or whether they
average over the whole image; what some declare is wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from sr_cli.engine.textured import WIDTH, textured_image

Network = Callable[[Tensor], Tensor]
"""lr (1, C, h, w) in [0, 1] -> sr (1, C, h*scale, w*scale), in float32."""

_HEIGHT = 64
_GRIDS = (1, 2, 4, 8, 16, 32, 64)
_PART = 224
"""Columns of what is compared with the whole image; half of it is the largest halo found."""

_CUT = 24
_TOLERANCE = 0.15 / 255
"""Of cuts at two sides; a tile is cut at four."""

_SEEN = 0.5 / 255
"""Of a tile that is cut at every side."""

_SMALL_CORE = 16
_LARGEST_MARGIN = 16
_FLAT_SIDE = 64
_FLAT_TOLERANCE = 1 / 255
_FLAT_SHARE = 1 / 16
"""Of the difference at the edge that may remain where the image is cut off again."""


@dataclass(frozen=True)
class TileNeeds:
    """What tiles of a network need to equal the whole image.

    Attributes:
        grid: Tiles begin at multiples of it, in lr pixels.
        halo: The context around a tile, in lr pixels.
        margin: Lr pixels by which an image is continued beyond its edges, so that flat colours
            stay what they are there.
        difference: The largest difference that remains on that grid with that halo, in steps of
            1/255; 0 if it is too small to be seen.
    """

    grid: int
    halo: int
    margin: int
    difference: float


@torch.inference_mode()
def measure_tile_needs(
    network: Network, *, channels: int, scale: int, multiple: int = 1
) -> TileNeeds:
    """Compare passes over parts of an image with a pass over the whole.

    Beyond some distance from the cuts both agree: that is the halo. If they never do, the part
    began off the network's grid, or the network pools over all it sees.

    Args:
        network: In float32.
        channels: 1 or 3.
        scale: Of the network.
        multiple: What the sides of an input must be a multiple of.
    """
    height = -(-_HEIGHT // multiple) * multiple
    image = textured_image(height, WIDTH, channels)
    whole = network(image)

    def difference(first: int, last: int) -> Tensor:
        """The largest difference in each lr column of a part."""
        part = network(image[..., first:last]) - whole[..., first * scale : last * scale]
        return part.abs().amax((0, 1, 2)).view(-1, scale).amax(1)

    def profile(grid: int) -> Tensor:
        """The largest difference from each distance to the cuts on."""
        first = grid * (-(-_CUT // grid) | 1)
        found = difference(first, first + _PART)
        nearest = torch.maximum(found, found.flip(0))[: _PART // 2]
        return nearest.flip(0).cummax(0).values.flip(0)

    margin = _measure_margin(network, channels, scale, multiple)
    grid, found = _smallest_grid(profile, multiple)

    def difference_of_small_tiles(halo: int) -> float:
        side = -(-(_SMALL_CORE + 2 * halo) // grid) * grid
        firsts = {-(-_CUT // grid) * grid, (WIDTH - _CUT - side) // grid * grid}
        found = [difference(first, first + side)[halo : side - halo] for first in firsts]
        return float(torch.stack(found).max())

    halo = _first_below(found, max(_TOLERANCE, 1.25 * float(found[-1])))
    # A tile is cut at more sides, and averages over a small one differ more.
    remaining = {halo: difference_of_small_tiles(halo)}
    for wider in (halo + halo // 4, halo + halo // 2, 2 * halo):
        if min(remaining.values()) > _SEEN and wider < _PART // 2:
            remaining[wider] = difference_of_small_tiles(wider)
    if min(remaining.values()) <= _SEEN:
        return TileNeeds(grid, max(remaining), margin, 0.0)
    return TileNeeds(grid, halo, margin, round(255 * remaining[halo], 1))


def _smallest_grid(profile: Callable[[int], Tensor], multiple: int) -> tuple[int, Tensor]:
    """The smallest grid on which the difference vanishes, or is about as small as on any."""
    found: dict[int, Tensor] = {}
    for factor in _GRIDS:
        grid = multiple * factor
        if grid > max(_GRIDS):
            break
        found[grid] = profile(grid)
        if found[grid][-1] <= _TOLERANCE:
            return grid, found[grid]
    least = min(float(p[-1]) for p in found.values())
    grid = next(g for g, p in found.items() if p[-1] <= 1.5 * least + _TOLERANCE)
    return grid, found[grid]


def _first_below(profile: Tensor, limit: float) -> int:
    """The first distance from which on the difference is at most `limit`."""
    return int((profile > limit).sum())


def _measure_margin(network: Network, channels: int, scale: int, multiple: int) -> int:
    """From which distance to the edges on flat colours are flat enough, at most _LARGEST_MARGIN.

    Trained adversarially, networks change flat colours slightly beyond twenty pixels from an edge.
    """
    side = -(-_FLAT_SIDE // multiple) * multiple
    near = torch.arange(side * scale)
    near = torch.minimum(near, near.flip(0)) // scale
    distance = torch.minimum(near[:, None], near[None])
    furthest = 0
    for colour in ((1.0, 1.0, 1.0), (0.0, 0.0, 0.0), (0.8, 0.1, 0.2)):
        lr = torch.tensor(colour[:channels]).view(1, channels, 1, 1).expand(-1, -1, side, side)
        sr = network(lr.clone()).clamp(0, 1)
        # Sub-pixels may differ from each other; that is no matter of edges.
        middle = slice(side // 2 * scale, (side // 2 + 1) * scale)
        flat = sr[..., middle, middle].tile(side, side)
        difference = (sr - flat).abs().amax((0, 1))
        tolerance = max(_FLAT_TOLERANCE, _FLAT_SHARE * float(difference[distance == 0].max()))
        wrong = (difference > tolerance) & (distance < _LARGEST_MARGIN)
        if wrong.any():
            furthest = max(furthest, int(distance[wrong].max()) + 1)
    return furthest
