"""The network as it is exported: exact at every size, to the border's last pixel."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sr_cli.engine.tiling import Axis
from sr_cli.imaging.colour import LUMA_RANGE, LUMA_WEIGHTS
from sr_cli.imaging.edges import positions_beyond
from sr_cli.layers.edges import mirror_beyond
from sr_cli.networks.bicubic import upscale_bicubic


class ContinuedNet(nn.Module):
    """A network that sees its image continued beyond the edges, as the engine shows it.

    lr (N, C, h, w) in [0, 1] -> sr (N, C, h*scale, w*scale), for every size from 1x1.

    Args:
        net: A network in its form for inference.
        scale: Of the network.
        margin: Lr pixels beyond each edge.
        grid: The continued image begins and ends at a multiple of it.
        smallest: The fewest lr pixels that the network takes.
    """

    def __init__(
        self, net: nn.Module, *, scale: int, margin: int, grid: int = 1, smallest: int = 1
    ) -> None:
        super().__init__()
        self.net = net
        self.scale = scale
        self.margin, self.grid, self.smallest = margin, grid, smallest
        self.before = -(-margin // grid) * grid

    def forward(self, lr: Tensor) -> Tensor:
        h, w = lr.shape[2:]
        below, right = self._after(h), self._after(w)
        sr: Tensor = self.net(mirror_beyond(lr, before=self.before, below=below, right=right))
        s, first = self.scale, self.before * self.scale
        return sr[:, :, first : first + h * s, first : first + w * s]

    def _after(self, side: int) -> int:
        """Lr pixels after the last one; see `continued_axis` of the engine."""
        whole: Any = self.before + side + self.margin
        if self.smallest > 1:
            whole = torch.sym_max(whole, self.smallest)
        after: int = -(-whole // self.grid) * self.grid - self.before - side
        return after


class TileNet(nn.Module):
    """A network for one size of tile, from operations that runtimes for phones have.

    lr (N, C, tile, tile) in [0, 1] -> {"sr": (N, C, tile*scale, tile*scale)}; with the channels
    last if the layout is `nhwc`. Tiles continue beyond their edges as images do.

    Args:
        net: A network in its form for inference.
        scale: Of the network.
        axis: Both sides of a tile.
        layout: `nchw` or `nhwc`.
    """

    def __init__(self, net: nn.Module, *, scale: int, axis: Axis, layout: str) -> None:
        super().__init__()
        self.net = net
        self.layout = layout
        positions = positions_beyond(axis.first, axis.last, axis.length)
        # Slices, put together: runtimes for phones have no general gathering of rows.
        starts = [0, *np.flatnonzero(np.diff(positions) != 1) + 1, len(positions)]
        self.runs = [(int(positions[a]), int(b - a)) for a, b in pairwise(starts)]
        first = axis.before * scale
        self.core = slice(first, first + axis.length * scale)

    def forward(self, lr: Tensor) -> dict[str, Tensor]:
        if self.layout == "nhwc":
            lr = lr.permute(0, 3, 1, 2)
        if len(self.runs) > 1:
            for side in (2, 3):
                lr = torch.cat([lr.narrow(side, start, n) for start, n in self.runs], side)
        sr: Tensor = self.net(lr)[:, :, self.core, self.core]
        return {"sr": sr.permute(0, 2, 3, 1) if self.layout == "nhwc" else sr}


class PixelNet(nn.Module):
    """A network for 8-bit pixels, with what the engine does around it.

    lr (N, h, w, 3) uint8 -> sr (N, h*scale, w*scale, 3) uint8. Networks on luma get the luma, and
    the colours without it are upscaled with bicubic.

    Args:
        net: lr (N, C, h, w) in [0, 1] -> sr.
        scale: Of the network.
        channels: 1 or 3.
        black, white: Black and white for a network on luma.
    """

    def __init__(
        self, net: nn.Module, *, scale: int, channels: int, black: float, white: float
    ) -> None:
        super().__init__()
        self.net = net
        self.scale = scale
        self.channels = channels
        self.black, self.gain = black, 1 / (white - black)
        weights = torch.tensor(LUMA_WEIGHTS, dtype=torch.float32).view(1, 3, 1, 1)
        self.register_buffer("weights", weights * ((white - black) / LUMA_RANGE))
        self.weights: Tensor

    def forward(self, lr: Tensor) -> Tensor:
        image = lr.permute(0, 3, 1, 2).float() / 255
        sr = self.net(image) if self.channels == 3 else self._upscale_colours(image)
        return (sr * 255 + 0.5).clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)

    def _upscale_colours(self, image: Tensor) -> Tensor:
        """As the engine does: changing luma alone changes R, G and B equally."""
        luma = (image * self.weights).sum(1, keepdim=True)
        rest = image - (luma * self.gain)
        sr: Tensor = self.net(luma + self.black)
        return upscale_bicubic(rest, self.scale) + (sr - self.black) * self.gain
