"""The exact rewrites, each against the layers that it replaces, borders included."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sr_cli.layers.rewrites import (
    LinearTail,
    convolution_before_shuffle,
    deconvolution_as_convolution,
)
from sr_cli.networks import create_model
from sr_cli.networks.base import conv, shuffle_upsampler


def same(a: torch.Tensor, b: torch.Tensor) -> bool:
    return float((a - b).abs().max()) < 2e-5 * max(1.0, float(a.abs().max()))


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("size", [(3, 3), (8, 8), (9, 30), (25, 14)])
@torch.no_grad()
def test_linear_tail(scale: int, size: tuple[int, int]) -> None:
    torch.manual_seed(scale)
    tail = nn.Sequential(*shuffle_upsampler(6, scale, activation=False), conv(6, 3))
    x = torch.randn(2, 6, *size)
    assert same(tail(x), LinearTail(tail, scale)(x))


@torch.no_grad()
def test_linear_tail_without_its_ring_would_differ() -> None:
    """The ring is there for a reason: the merged convolution alone is wrong at the border."""
    torch.manual_seed(0)
    tail = nn.Sequential(*shuffle_upsampler(6, 4, activation=False), conv(6, 3))
    fast = LinearTail(tail, 4)
    x = torch.randn(1, 6, 16, 16)
    merged = nn.functional.pixel_shuffle(fast.merged(x), 4)
    assert not same(tail(x), merged)
    assert same(tail(x)[..., 4:-4, 4:-4], merged[..., 4:-4, 4:-4])


@pytest.mark.parametrize("factor", [2, 3])
@pytest.mark.parametrize("kernel", [3, 5, 9])
@torch.no_grad()
def test_convolution_before_shuffle(factor: int, kernel: int) -> None:
    layer = conv(4, 3, kernel)
    x = torch.randn(1, 4 * factor**2, 7, 11)
    slow = layer(nn.functional.pixel_shuffle(x, factor))
    assert same(slow, convolution_before_shuffle(layer, factor)(x))


@pytest.mark.parametrize("stride", [2, 3, 4])
@torch.no_grad()
def test_deconvolution_as_convolution(stride: int) -> None:
    layer = nn.ConvTranspose2d(5, 1, 9, stride=stride, padding=4, output_padding=stride - 1)
    x = torch.randn(1, 5, 6, 9)
    assert same(layer(x), deconvolution_as_convolution(layer)(x))


@pytest.mark.parametrize("kernels", [(5, 3, 3), (3, 5, 3), (5, 3, 7), (9, 1, 5)])
@pytest.mark.parametrize("size", [(1, 1), (2, 9), (14, 11)])
@torch.inference_mode()
def test_espcn_with_sigmoids(kernels: tuple[int, int, int], size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    model = create_model("espcn", scale=2, kernels=kernels).eval()
    for parameter in model.parameters():
        parameter.copy_(torch.randn_like(parameter) / 4)
    x = torch.rand(2, 1, *size)
    assert same(model(x), model.for_inference()(x))
