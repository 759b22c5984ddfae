"""Weights trained for half precision: exact in bfloat16, and used whole by the engine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.images import smooth
from helpers.networks import needs_bf16
from helpers.training import quick, tiny_recipe
from safetensors.torch import load_file

from sr_cli.layers.fusion import fusion_works
from sr_cli.networks import create_model
from sr_cli.training.network import round_all_to_bf16, round_to_bf16, weights_in_bf16


def test_weights_are_rounded_for_a_while_and_learn_as_they_are() -> None:
    torch.manual_seed(0)
    net = torch.nn.Conv2d(1, 4, 3)
    before = net.weight.detach().clone()
    x = torch.rand(2, 1, 8, 8)
    with weights_in_bf16(net, True):
        assert torch.equal(net.weight, round_to_bf16(before)) and not torch.equal(
            net.weight, before
        )
        net(x).square().sum().backward()
    assert torch.equal(net.weight, before) and net.weight.grad is not None
    twin = torch.nn.Conv2d(1, 4, 3)
    twin.load_state_dict(round_all_to_bf16(net.state_dict()))
    twin(x).square().sum().backward()
    assert torch.equal(net.weight.grad, twin.weight.grad)


def test_an_error_does_not_leave_the_weights_rounded() -> None:
    net = torch.nn.Linear(3, 3)
    before = net.weight.detach().clone()
    with pytest.raises(KeyError), weights_in_bf16(net, True):
        raise KeyError
    assert torch.equal(net.weight, before)


def test_a_recipe_makes_weights_that_bfloat16_holds(photos: Path, tmp_path: Path) -> None:
    quick(photos, tmp_path / "a.safetensors", tiny_recipe(rounded_weights=True))
    for tensor in load_file(tmp_path / "a.safetensors").values():
        assert torch.equal(tensor, round_to_bf16(tensor))


@needs_bf16
@pytest.mark.skipif(not fusion_works(), reason="PyTorch without the operations")
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_exact_weights_keep_espcn_close_in_half_precision(scale: int) -> None:
    torch.manual_seed(0)
    model = create_model("espcn", scale=scale)
    model.load_state_dict(round_all_to_bf16(model.state_dict()))
    x = torch.from_numpy(smooth(40, 50)[None, None, ..., 0].astype(np.float32) / 255)
    with torch.inference_mode():
        wanted = model(x)
        fast = model.for_inference()
        inside = slice(model.margin * scale, -model.margin * scale)
        exact = fast(x)[..., inside, inside]
        assert torch.allclose(exact, wanted[..., inside, inside], atol=1e-5)
        half = fast.set_precision(torch.bfloat16)(x)
    assert half.dtype == torch.float32 and half.shape == wanted.shape
    # Edges included; 8 bits step by .004.
    assert float((half - wanted).abs().max()) < 0.008
    assert float((half - wanted).square().mean().sqrt()) < 0.0015


@pytest.mark.skipif(not fusion_works(), reason="PyTorch without the operations")
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (9, 14)])
@torch.inference_mode()
def test_the_way_through_half_precision_is_the_same_network(size: tuple[int, int]) -> None:
    """Its sums are right on any CPU: in float32 they leave no difference."""
    model = create_model("espcn", scale=3)
    x = torch.rand(2, 1, *size)
    fast = model.for_inference()
    sr = fast.last.beyond([fast.middle(fast.first(x))], x)
    assert torch.allclose(torch.pixel_shuffle(sr, 3), model(x), atol=1e-5)
