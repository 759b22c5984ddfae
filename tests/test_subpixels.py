"""Images finished as integers, strip by strip: equal to the way through an image of floats."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from helpers.images import smooth
from helpers.networks import needs_bf16
from torch import nn

from sr_cli.engine import subpixels
from sr_cli.engine.upscaler import Upscaler
from sr_cli.layers import strips
from sr_cli.layers.fusion import Residual, fuse, fusion_works
from sr_cli.layers.rewrites import joined
from sr_cli.networks import create_model

NAMES = ["edsr", "rcan", "espcn", "fsrcnn", "srresnet"]


def small(name: str, scale: int) -> Any:
    torch.manual_seed(0)
    config: dict[str, dict[str, Any]] = {
        "edsr": {"blocks": 2, "features": 8},
        "rcan": {"groups": 1, "blocks": 2, "features": 8, "reduction": 4},
        "srresnet": {"blocks": 2, "features": 8},
    }
    return create_model(name, scale=scale, **config.get(name, {})).eval()


def both_ways(upscaler: Upscaler, lr: np.ndarray[Any, Any]) -> tuple[Any, Any]:
    assert upscaler._is_plain
    direct = upscaler(lr)
    upscaler._is_plain = False
    around = upscaler(lr)
    upscaler._is_plain = True
    return direct.astype(int), around.astype(int)


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["colour", "gray", "16-bit"])
def test_integers_are_those_of_the_image_of_floats(
    name: str, scale: int, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subpixels, "_STRIP", 5000)
    lr = smooth(37, 41)
    lr = lr[..., 0] if kind == "gray" else lr
    lr = lr.astype(np.uint16) * 257 if kind == "16-bit" else lr
    upscaler = Upscaler(small(name, scale), precision="fp32", tile=24)
    direct, around = both_ways(upscaler, lr)
    # Sums in another order may round differently.
    difference = np.abs(direct - around)
    assert difference.max() <= 1
    assert (difference > 0).mean() < (0.02 if kind == "16-bit" else 0.002)


@needs_bf16
@pytest.mark.parametrize("name", NAMES)
def test_half_precision_stays_close(name: str) -> None:
    lr = smooth(40, 44)
    model = small(name, 4)
    exact = Upscaler(model, precision="fp32")(lr).astype(int)
    half = Upscaler(model, precision="bf16")(lr).astype(int)
    assert np.abs(half - exact).max() <= 2


def test_a_value_that_is_not_finite_is_never_stored_as_a_pixel() -> None:
    target = np.zeros((4, 4), np.uint8)
    values = torch.full((1, 4, 2, 2), torch.nan)
    assert not subpixels.store(lambda a, b: values[:, :, a:b], 2, 2, target, 2)


@pytest.mark.parametrize("scale", [2, 3, 4])
@torch.inference_mode()
def test_srresnet_is_the_same_in_strips(scale: int, monkeypatch: pytest.MonkeyPatch) -> None:
    net = small("srresnet", scale).for_inference()
    x = torch.rand(1, 3, 40, 20)
    whole = net(x)
    monkeypatch.setattr(strips, "STRIP", 20 * 7)
    monkeypatch.setattr(strips, "LEAST_ROWS", 7)
    assert torch.allclose(net(x), whole, atol=1e-6)


@torch.inference_mode()
def test_two_convolutions_are_one_inside_their_padding() -> None:
    first, second = nn.Conv2d(3, 5, 3, padding=1), nn.Conv2d(5, 4, 5, padding=2)
    x = torch.rand(1, 3, 20, 18)
    slow, fast = second(first(x)), joined(first, second)(x)
    assert torch.allclose(slow[..., 3:-3, 3:-3], fast[..., 3:-3, 3:-3], atol=1e-5)


@pytest.mark.skipif(not fusion_works(), reason="PyTorch without the operations")
@torch.inference_mode()
def test_nested_residuals_fuse_to_the_same_sum() -> None:
    def conv() -> nn.Conv2d:
        return nn.Conv2d(4, 4, 3, padding=1)

    inner = [Residual(conv(), nn.ReLU(), conv()) for _ in range(2)]
    net = nn.Sequential(Residual(*inner, conv()), Residual(nn.Identity(), nn.ReLU()))
    x = torch.rand(2, 4, 9, 7)
    wanted = net(x)
    fuse(net)
    assert torch.allclose(net(x.clone()), wanted, atol=1e-6)
