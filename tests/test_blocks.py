"""Convolutions computed in blocks of pixels."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sr_cli.layers.blocks import BlockConvolution, block_side


@pytest.mark.parametrize("outputs", [1, 2, 3, 4, 9])
@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("size", [(8, 8), (7, 9), (1, 1), (5, 2)])
@torch.inference_mode()
def test_blocks_are_the_same_convolution(outputs: int, kernel: int, size: tuple[int, int]) -> None:
    layer = nn.Conv2d(6, outputs, kernel, padding=kernel // 2, bias=outputs != 2)
    x = torch.randn(2, 6, *size).contiguous(memory_format=torch.channels_last)
    assert torch.allclose(BlockConvolution([layer])([x]), layer(x), atol=1e-5)


def test_sixteen_outputs_at_most() -> None:
    assert [block_side(n) for n in (1, 2, 3, 4, 5, 16, 48)] == [4, 2, 2, 2, 1, 1, 1]
