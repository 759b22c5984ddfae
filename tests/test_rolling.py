"""Chains of convolutions in strips of rows, and weights in half precision."""

from __future__ import annotations

import pytest
import torch
from helpers.networks import needs_bf16
from torch import nn

from sr_cli.layers import rolling
from sr_cli.layers.half import round_weights
from sr_cli.layers.rolling import RowPReLU, split_rows, with_rows_before, without_row_padding
from sr_cli.networks import create_model


@pytest.mark.parametrize("height", [1, 7, 8, 9, 40, 61])
@pytest.mark.parametrize("width", [1, 13])
@torch.inference_mode()
def test_strips_make_every_row_once(
    height: int, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rolling, "_STRIP", 8 * 13)
    layers = [nn.Conv2d(3, 5, 5, padding=2), nn.Conv2d(5, 2, 3, padding=1)]
    x = torch.randn(2, 3, height, width)
    strips = split_rows(x, 3)
    for layer in layers:
        strips = map(without_row_padding(layer), with_rows_before(strips, layer.padding[0]))
    parts = list(strips)
    made = torch.cat(parts, 2)
    # Rows of zeros around the image are rows of the bias after a layer.
    middle = slice(2, -2) if height > 4 else slice(0, 0)
    assert made.shape == (2, 2, height, width)
    assert torch.allclose(made[:, :, middle], nn.Sequential(*layers)(x)[:, :, middle], atol=1e-5)
    assert len(parts) == (-(-height // 8) if width == 13 else 1)


@pytest.mark.parametrize("scale", [2, 3, 4])
@torch.inference_mode()
def test_fsrcnn_is_the_same_in_strips(scale: int, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    model = create_model("fsrcnn", scale=scale, m=3)
    x = torch.rand(1, 1, 67, 31)
    net = model.for_inference().to(memory_format=torch.channels_last)
    net.fuse()
    whole = net(x)
    monkeypatch.setattr(rolling, "_STRIP", 4 * 31)
    strips = net(x)
    assert torch.allclose(strips, whole, atol=1e-6)
    inside = (..., *[slice(model.margin * scale, -model.margin * scale)] * 2)
    assert torch.allclose(strips[inside], model(x)[inside], atol=1e-5)


@pytest.mark.parametrize("channels", [1, 3, 16])
@torch.inference_mode()
def test_prelu_of_rows_is_prelu(channels: int) -> None:
    activation = nn.PReLU(channels)
    activation.weight.uniform_(-1, 2)
    x = torch.randn(2, channels, 5, 7)
    for layout in (torch.contiguous_format, torch.channels_last):
        same = x.contiguous(memory_format=layout)
        assert torch.equal(RowPReLU(activation)(same), activation(x))


def test_rounded_weights_keep_sums_and_zeros() -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(4, 6, 5)
    with torch.no_grad():
        layer.weight[:, :, 0] = 0
    before = layer.weight.detach().clone()
    round_weights(layer, torch.bfloat16)
    after = layer.weight.detach()
    assert torch.equal(after, after.bfloat16().float())
    assert not after[:, :, 0].any()
    assert torch.allclose(after, before, rtol=0.01, atol=1e-3)
    lost = (after - before).sum((2, 3)).abs()
    plain = (before.bfloat16().float() - before).sum((2, 3)).abs()
    assert float(lost.mean()) < 0.1 * float(plain.mean())


@needs_bf16
@torch.inference_mode()
def test_half_precision_keeps_flat_areas() -> None:
    torch.manual_seed(0)
    model = create_model("fsrcnn", scale=2)
    half = model.for_inference().set_precision(torch.bfloat16)
    for level in (0.1, 0.5, 0.9):
        x = torch.full((1, 1, 24, 24), level)
        inside = (..., slice(16, -16), slice(16, -16))
        assert float((half(x) - model(x))[inside].abs().max()) < 1 / 255
