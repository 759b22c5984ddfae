"""The exact rewrites, each against the layers that it replaces, borders included."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sr_cli.layers.rewrites import (
    LinearTail,
    convolution_before_shuffle,
    deconvolution_as_convolution,
    without_slopes,
)
from sr_cli.networks import create_model
from sr_cli.networks.base import conv, shuffle_upsampler


def same(a: torch.Tensor, b: torch.Tensor) -> bool:
    return float((a - b).abs().max()) < 2e-5 * max(1.0, float(a.abs().max()))


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("size", [(3, 3), (8, 8), (9, 30), (25, 14)])
@torch.no_grad()
def test_linear_tail_inside_a_ring_of_one_pixel(scale: int, size: tuple[int, int]) -> None:
    torch.manual_seed(scale)
    tail = nn.Sequential(*shuffle_upsampler(6, scale, activation=False), conv(6, 3))
    x = torch.randn(2, 6, *size)
    slow, fast = tail(x), LinearTail(tail, scale)(x)
    inside = slice(scale, -scale)
    assert same(slow[..., inside, inside], fast[..., inside, inside])
    # Why the margin of its networks is not 0.
    assert not same(slow, fast)


@pytest.mark.parametrize("factor", [2, 3])
@pytest.mark.parametrize("kernel", [3, 5, 9])
@torch.no_grad()
def test_convolution_before_shuffle(factor: int, kernel: int) -> None:
    layer = conv(4, 3, kernel)
    x = torch.randn(1, 4 * factor**2, 7, 11)
    slow = layer(nn.functional.pixel_shuffle(x, factor))
    merged = convolution_before_shuffle(layer, factor)(x)
    assert same(slow, nn.functional.pixel_shuffle(merged, factor))


@pytest.mark.parametrize("stride", [2, 3, 4])
@torch.no_grad()
def test_deconvolution_as_convolution(stride: int) -> None:
    layer = nn.ConvTranspose2d(5, 1, 9, stride=stride, padding=4, output_padding=stride - 1)
    x = torch.randn(1, 5, 6, 9)
    merged = deconvolution_as_convolution(layer)(x)
    assert same(layer(x), nn.functional.pixel_shuffle(merged, stride))


@pytest.mark.parametrize("kernels", [(5, 3, 3), (3, 5, 3), (5, 3, 7), (9, 1, 5)])
@pytest.mark.parametrize("size", [(11, 12), (14, 21)])
@torch.inference_mode()
def test_espcn_with_sigmoids(kernels: tuple[int, int, int], size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    model = create_model("espcn", scale=2, kernels=kernels).eval()
    for parameter in model.parameters():
        parameter.copy_(torch.randn_like(parameter) / 4)
    x = torch.rand(2, 1, *size)
    inside = slice(2 * model.margin, -2 * model.margin)
    slow, fast = model(x), model.for_inference()(x)
    assert same(slow[..., inside, inside], fast[..., inside, inside])


@pytest.mark.parametrize(("before", "after"), [(1, 5), (3, 1)])
@torch.no_grad()
def test_prelu_without_slopes_inside_the_padding(before: int, after: int) -> None:
    torch.manual_seed(0)
    first, second, activation = conv(2, 6, before), conv(6, 3, after), nn.PReLU(6)
    activation.weight.uniform_(-1, 1)
    rest, linear = without_slopes(first, activation, second)
    x = torch.randn(1, 2, 12, 15)
    slow, fast = second(activation(first(x))), rest(torch.relu(first(x))) + linear(x)
    assert same(slow[..., 2:-2, 2:-2], fast[..., 2:-2, 2:-2])
