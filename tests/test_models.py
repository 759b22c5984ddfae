"""The contract of every network, found by name: a new file in networks/ is tested at once."""

from __future__ import annotations

import pytest
import torch
from helpers.networks import needs_bf16, small_model

from sr_cli.errors import RefusedError
from sr_cli.networks import create_model, model_class, model_names
from sr_cli.networks.srgan import Discriminator

EVERY = [(n, s) for n in model_names() for s in model_class(n).scales]


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
def test_inference_form_equals_the_network_inside_its_margin(name: str, scale: int) -> None:
    model = small_model(name, scale)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    lr = torch.rand(1, model.channels, 19, 26)
    with torch.inference_mode():
        slow, fast = model(lr), model.for_inference()(lr)
    inside = slice(model.margin * scale, -model.margin * scale or None)
    slow, fast = slow[..., inside, inside], fast[..., inside, inside]
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
    inside = slice(model.margin * 2, -model.margin * 2 or None)
    exact, half = exact[..., inside, inside], half[..., inside, inside]
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


@pytest.mark.parametrize(
    ("name", "scale", "config", "code", "facts"),
    [
        ("nonsense", 2, {}, "unknown-value", {"value": "nonsense"}),
        ("edsr", 5, {}, "network-cannot-be-built", {}),
        ("edsr", 2, {"widht": 3}, "unknown-setting", {"unknown": ["widht"]}),
        ("edsr", 2, {"features": 0}, "wrong-type", {"value": "0"}),
        ("edsr", 2, {"features": True}, "wrong-type", {"value": "True"}),
        ("edsr", 2, {"features": 5000}, "wrong-type", {"value": "5000"}),
        ("edsr", 2, {"residual_scaling": 0}, "wrong-type", {"value": "0"}),
        ("srcnn", 2, {"kernels": [9, 1]}, "wrong-type", {"value": "[9, 1]"}),
        ("srcnn", 2, {"kernels": "915"}, "wrong-type", {"value": "'915'"}),
    ],
)
def test_what_cannot_be_built_is_refused(
    name: str, scale: int, config: dict[str, object], code: str, facts: dict[str, object]
) -> None:
    with pytest.raises(RefusedError) as caught:
        create_model(name, scale=scale, **config)
    assert caught.value.code == code
    assert facts.items() <= caught.value.facts.items()


def test_a_refusal_names_what_there_is() -> None:
    with pytest.raises(RefusedError) as caught:
        create_model("nonsense", scale=2)
    assert "edsr" in caught.value.facts["known"]
    with pytest.raises(RefusedError) as caught:
        create_model("edsr", scale=2, widht=3)
    assert "features" in caught.value.facts["known"]
