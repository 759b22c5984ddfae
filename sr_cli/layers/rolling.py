"""Chains of convolutions on strips of rows, which bound their memory; no row is computed twice.

A convolution needs rows around those that it computes. It keeps the last rows of a strip for the
next one, and makes fewer rows of the first: a chain ends with the rows that all of it can compute.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sr_cli.layers.fusion import in_channels_last

_STRIP = 256 << 10
"""Pixels of a strip: smaller ones need less memory, but every call of oneDNN costs time."""

_MULTIPLE = 4
"""Rows of a strip are a multiple of it, so that blocks of pixels are whole."""


def split_rows(x: Tensor, radius: int) -> Iterator[Tensor]:
    """Split an image into strips for a chain, continued by rows of zeros above and below.

    Args:
        x: (N, C, h, w).
        radius: Of the whole chain, in rows.

    Returns:
        Strips in channels_last, of which the chain makes h rows in all. On a GPU, and while a
        network is exported, it is one.
    """
    h, w = x.shape[2:]
    padded = in_channels_last(F.pad(x, (0, 0, radius, radius)))
    if x.device.type != "cpu" or torch.compiler.is_compiling():
        return iter((padded,))
    rows = max(_MULTIPLE, _STRIP // w // _MULTIPLE * _MULTIPLE)
    starts = [0, *range(rows + 2 * radius, h + 2 * radius, rows)]
    return iter(padded.tensor_split(starts[1:], 2))


def with_rows_before(strips: Iterable[Tensor], radius: int) -> Iterator[Tensor]:
    """Strips that begin with the last rows of the strip before, for a convolution without padding.

    Args:
        strips: (N, C, rows, w), from top to bottom.
        radius: Of the convolution, in rows.
    """
    seen: Tensor | None = None
    for strip in strips:
        whole = strip if seen is None else torch.cat((seen, strip), 2)
        seen = whole[:, :, whole.shape[2] - 2 * radius :]
        yield whole


def without_row_padding(layer: nn.Conv2d) -> nn.Conv2d:
    """A copy of a convolution that pads columns with zeros, and no rows."""
    k = layer.kernel_size[0]
    rows = nn.Conv2d(
        layer.in_channels, layer.out_channels, k, padding=(0, k // 2), bias=layer.bias is not None
    )
    rows.load_state_dict(layer.state_dict())
    return rows.requires_grad_(False)


class RowPReLU(nn.Module):
    """PReLU with a slope for each channel, a row at a time.

    PyTorch's own computes the few channels of one pixel at a time, if they lie side by side.
    """

    def __init__(self, activation: nn.PReLU) -> None:
        super().__init__()
        self.weight = nn.Parameter(activation.weight.detach().clone(), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        side_by_side = x.is_contiguous(memory_format=torch.channels_last)
        if torch.compiler.is_compiling() or not side_by_side:
            return F.prelu(x, self.weight)
        rows = x.permute(0, 2, 3, 1).reshape(n * h, w * c)
        slopes = self.weight.expand(w, c).reshape(-1)
        return F.prelu(rows, slopes).view(n, h, w, c).permute(0, 3, 1, 2)
