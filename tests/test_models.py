"""The contract of every network, found by name: a new file in models/ is tested by being there."""

from __future__ import annotations

import pytest
import torch
from conftest import needs_bf16

from sr_cli.errors import RefusedError
from sr_cli.networks import create_model, model_class, model_names
from sr_cli.networks.base import SRModel
from sr_cli.networks.srgan import Discriminator

SMALL = {
    "rcan": {"groups": 2, "blocks": 2, "features": 16, "reduction": 4},
    "edsr": {"blocks": 2, "features": 8},
    "srresnet": {"blocks": 2, "features": 8},
    "srgan": {"blocks": 2, "features": 8},
    "vdsr": {"layers": 5, "features": 8},
}
EVERY = [(n, s) for n in model_names() for s in model_class(n).scales]


def small_model(name: str, scale: int) -> SRModel:
    """A small configuration with lively random weights and batch statistics."""
    torch.manual_seed(1)
    model = create_model(name, scale=scale, **SMALL.get(name, {}))
    for part in model.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.1)
            part.running_var.uniform_(0.5, 2)
            torch.nn.init.uniform_(part.weight, 0.2, 1)
        if isinstance(part, torch.nn.Conv2d):
            torch.nn.init.normal_(part.weight, std=0.7 / part.weight[0].numel() ** 0.5)
            torch.nn.init.normal_(part.bias, std=0.05)
    return model.eval()


def test_all_networks_of_the_papers_are_there() -> None:
    papers = {"srcnn", "fsrcnn", "espcn", "vdsr", "srresnet", "srgan", "edsr", "rcan"}
    assert papers | {"bicubic"} <= set(model_names())


@pytest.mark.parametrize(("name", "scale"), EVERY)
@pytest.mark.parametrize("size", [(1, 1), (5, 3), (17, 12)])
def test_shape_for_odd_sizes(name: str, scale: int, size: tuple[int, int]) -> None:
    model = small_model(name, scale)
    lr = torch.rand(2, model.channels, *size)
    with torch.inference_mode():
        assert model(lr).shape == (2, model.channels, size[0] * scale, size[1] * scale)
        assert model.for_inference()(lr).shape == (
            2,
            model.channels,
            size[0] * scale,
            size[1] * scale,
        )


@pytest.mark.parametrize(("name", "scale"), EVERY)
def test_inference_form_equals_the_network_edges_included(name: str, scale: int) -> None:
    model = small_model(name, scale)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    lr = torch.rand(1, model.channels, 19, 26)
    with torch.inference_mode():
        slow, fast = model(lr), model.for_inference()(lr)
    assert float((slow - fast).abs().max()) < 1e-5 * max(1.0, float(slow.abs().max()))
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())


@pytest.mark.parametrize(("name", "scale"), EVERY)
def test_config_rebuilds_the_network(name: str, scale: int) -> None:
    model = small_model(name, scale)
    again = create_model(name, scale=scale, **model.config)
    assert {k: v.shape for k, v in again.state_dict().items()} == {
        k: v.shape for k, v in model.state_dict().items()
    }


@pytest.mark.parametrize(("name", "scale"), EVERY)
def test_declared_radius_holds_and_is_not_idle(name: str, scale: int) -> None:
    model = small_model(name, scale)
    radius = model.receptive_radius
    if radius is None:
        assert name == "rcan"
        return
    side = 2 * radius + 5
    lr = torch.rand(1, model.channels, side, side, requires_grad=True)
    middle = side // 2
    sr = model(lr)[
        0, :, middle * scale : (middle + 1) * scale, middle * scale : (middle + 1) * scale
    ]
    sr.sum().backward()
    seen = lr.grad[0].abs().sum(0) > 0
    rows, columns = torch.where(seen)
    reach = int(max((rows - middle).abs().max(), (columns - middle).abs().max()))
    assert reach <= radius
    assert reach >= radius - 2


@pytest.mark.parametrize("name", [n for n in model_names() if n != "bicubic"])
def test_every_parameter_gets_a_gradient(name: str) -> None:
    model = small_model(name, 2).train()
    lr = torch.rand(2, model.channels, 12, 12)
    (model(lr) ** 2).mean().backward()
    without = [n for n, p in model.named_parameters() if p.grad is None]
    assert not without


@needs_bf16
@pytest.mark.parametrize("name", model_names())
def test_half_precision_stays_close(name: str) -> None:
    model = small_model(name, 2)
    lr = torch.rand(1, model.channels, 20, 20)
    with torch.inference_mode():
        exact = model.for_inference()(lr)
        half = model.for_inference().set_precision(torch.bfloat16)(lr)
    assert half.dtype == torch.float32
    assert float((exact - half).abs().mean()) < 0.01 * max(1.0, float(exact.abs().max()))


def weights_without_biases(model: torch.nn.Module) -> int:
    return sum(p.numel() for n, p in model.named_parameters() if p.ndim == 4)


def test_parameter_counts_of_the_papers() -> None:
    assert weights_without_biases(create_model("srcnn", scale=3, kernels=(9, 1, 5))) == 8_032
    assert weights_without_biases(create_model("srcnn", scale=3)) == 57_184
    assert weights_without_biases(create_model("fsrcnn", scale=3)) == 12_464
    assert weights_without_biases(create_model("vdsr", scale=3)) == 664_704
    count = {
        (n, s): sum(p.numel() for p in create_model(n, scale=s).parameters())
        for n, s in [("edsr", 2), ("edsr", 4), ("srresnet", 4), ("srgan", 4)]
    }
    assert count[("edsr", 2)] == 1_369_859
    assert count[("edsr", 4)] == 1_517_571
    assert count[("srresnet", 4)] == count[("srgan", 4)] == 1_549_462
    with torch.device("meta"):
        full = create_model("edsr", scale=2, blocks=32, features=256, residual_scaling=0.1)
        rcan = create_model("rcan", scale=4)
    assert sum(p.numel() for p in full.parameters()) == 40_729_603
    assert sum(p.numel() for p in rcan.parameters()) == 15_592_355


def test_discriminator_takes_any_crop_and_gives_logits() -> None:
    discriminator = Discriminator(features=8)
    for side in (16, 96, 130):
        assert discriminator(torch.rand(2, 3, side, side)).shape == (2, 1)
    kinds = {type(m) for m in discriminator.modules()}
    assert torch.nn.Sigmoid not in kinds


def test_wrong_requests_name_what_there_is() -> None:
    with pytest.raises(RefusedError, match="unknown network") as caught:
        create_model("nonsense", scale=2)
    assert "edsr" in (caught.value.hint or "")
    with pytest.raises(RefusedError, match="no x5"):
        create_model("edsr", scale=5)
    with pytest.raises(RefusedError, match="no setting widht") as caught:
        create_model("edsr", scale=2, widht=3)
    assert "features" in (caught.value.hint or "")
