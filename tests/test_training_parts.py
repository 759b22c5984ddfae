"""What training is made of: losses, schedules, optimisers, fast layers."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.images import smooth
from helpers.training import TINY, small_vgg

from sr_cli.errors import RefusedError, SrError
from sr_cli.evaluation.metrics import ssim_y
from sr_cli.evaluation.vgg import imagenet_statistics, layer_names, vgg_layers, vgg_remote
from sr_cli.layers.rewrites import compose_tail
from sr_cli.networks import create_model
from sr_cli.registry.ref import load_model
from sr_cli.training.fast_layers import _PReLU, use_fast_layers
from sr_cli.training.flat import calibrate_flat, flat_error
from sr_cli.training.losses import (
    VGGFeatures,
    charbonnier,
    discriminator_loss,
    generator_loss,
    ldl,
    ms_ssim,
    random_window,
    texture_loss,
)
from sr_cli.training.optimisers import (
    SOAP,
    learning_rate_factor,
    make_optimiser,
    set_learning_rate,
)
from sr_cli.training.papers import default_recipe
from sr_cli.training.validation import Example, validation_interval, validation_interval_seconds


def test_charbonnier_is_its_equation() -> None:
    sr, hr = torch.tensor([[0.0, 0.5]]), torch.tensor([[0.3, 0.5]])
    wanted = (math.sqrt(0.09 + 1e-6) + 1e-3) / 2
    assert float(charbonnier(sr, hr)) == pytest.approx(wanted, rel=1e-5)


def test_validation_takes_a_tenth_of_the_time_at_most() -> None:
    hr = np.zeros((480, 480, 3), np.uint8)
    examples = [Example("a", hr[::2, ::2], hr, 2)] * 16
    small = default_recipe("vdsr", (2,), batch=4, lr_patch=12)
    every = validation_interval(small, examples, 500)
    pixels_trained = every * 3 * 4 * 24**2
    assert 0.09 < 16 * 480**2 / pixels_trained <= 0.1
    large = default_recipe("edsr", (2,), batch=16, lr_patch=96)
    assert validation_interval(large, examples, 500) == 100
    assert validation_interval(large, examples, 400_000) == 10_000
    assert validation_interval_seconds(600, took=30) == 300
    assert validation_interval_seconds(600, took=0.1) == 20
    assert validation_interval_seconds(7200, took=1) == 180


def test_ms_ssim_is_ssim_where_one_scale_fits() -> None:
    random = np.random.default_rng(0)
    hr = random.uniform(0, 255, (21, 18))
    sr = np.clip(hr + random.normal(0, 30, hr.shape), 0, 255)
    a, b = (torch.from_numpy(x / 255)[None, None] for x in (sr, hr))
    assert 1 - float(ms_ssim(a, b)) == pytest.approx(ssim_y(sr, hr, border=0), abs=1e-6)


def test_ms_ssim_grows_with_noise_and_its_gradient_stays_finite() -> None:
    torch.manual_seed(0)
    hr = torch.rand(2, 3, 180, 200)
    found = [float(ms_ssim((hr + s * torch.randn_like(hr)), hr)) for s in (0, 0.05, 0.2, 0.8)]
    assert found == sorted(found) and abs(found[0]) < 1e-5 and found[-1] > 0.1
    opposite = (1 - hr).requires_grad_()
    ms_ssim(opposite, hr).backward()
    assert opposite.grad is not None and bool(opposite.grad.isfinite().all())


def test_ldl_weighs_errors_that_vary_and_that_the_average_has_not() -> None:
    torch.manual_seed(0)
    hr, spread = torch.rand(2, 3, 12, 15), torch.rand(2, 3, 12, 15) * 0.2
    sr = (hr + spread).requires_grad_()
    error = spread.sum(1).numpy()
    padded = np.pad(error, ((0, 0), (3, 3), (3, 3)), "reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (7, 7), (1, 2))
    weight = windows.var((3, 4), ddof=1) * error.var((1, 2), ddof=1, keepdims=True) ** 0.2
    whole = (weight[:, None] * spread.numpy()).mean()
    found = ldl(sr, hr, hr)
    assert float(found) == pytest.approx(float(whole), rel=1e-4)
    # The weights are constants: the gradient is theirs, and an even error has none.
    found.backward()
    assert sr.grad is not None
    assert np.allclose(sr.grad.numpy() * sr.numel(), weight[:, None], rtol=1e-2, atol=1e-6)
    assert float(ldl(hr + 0.1, hr, hr)) < 1e-8
    averaged = hr.clone()
    averaged[..., 6:, :] += 1
    upper = (weight[:, None] * spread.numpy())[..., :6, :].sum() / spread.numel()
    assert float(ldl(sr, hr, averaged)) == pytest.approx(float(upper), rel=1e-4)


def test_texture_ignores_where_things_are() -> None:
    features = torch.rand(2, 5, 6, 6)
    assert float(texture_loss(features, features.flip(3))) < 1e-12
    assert float(texture_loss(features, features * 2)) > 1e-3


def test_perceptual_losses_see_the_same_place_of_both_pictures_anywhere() -> None:
    hr = torch.arange(96.0 * 72).view(1, 1, 96, 72).expand(2, 3, -1, -1)
    corners = set()
    for _ in range(300):
        sr, same = random_window(-hr, hr)
        assert same.shape == (2, 3, 89, 65)
        assert torch.equal(sr, -same)
        corners.add(divmod(int(same[0, 0, 0, 0]), 72))
    assert {y for y, _ in corners} == {x for _, x in corners} == set(range(8))
    assert random_window(hr[..., :60], hr[..., :60])[1].shape[-1] == 60


def test_perceptual_windows_may_be_small_and_lie_anywhere() -> None:
    hr = torch.arange(96.0 * 72).view(1, 1, 96, 72).expand(2, 3, -1, -1)
    corners = set()
    for _ in range(400):
        sr, same = random_window(-hr, hr, 64)
        assert same.shape == (2, 3, 64, 64) and torch.equal(sr, -same)
        corners.add(divmod(int(same[0, 0, 0, 0]), 72))
    assert {y for y, _ in corners} == set(range(33))
    assert {x for _, x in corners} == set(range(9))
    # No larger than the crop.
    assert random_window(-hr, hr, 80)[1].shape == (2, 3, 80, 72)


def test_adversarial_losses_are_their_equations() -> None:
    real, fake = torch.tensor([[2.0], [0.5]]), torch.tensor([[-1.0], [0.3]])
    d_real, d_fake = real.sigmoid(), fake.sigmoid()
    assert float(discriminator_loss(real, fake)) == pytest.approx(
        float(-(d_real.log().mean() + (1 - d_fake).log().mean())), rel=1e-5
    )
    assert float(generator_loss(real, fake)) == pytest.approx(float(-d_fake.log().mean()), rel=1e-5)
    ra, rb = (real - fake.mean()).sigmoid(), (fake - real.mean()).sigmoid()
    assert float(discriminator_loss(real, fake, relativistic=True)) == pytest.approx(
        float(-(ra.log().mean() + (1 - rb).log().mean())), rel=1e-5
    )
    assert float(generator_loss(real, fake, relativistic=True)) == pytest.approx(
        float(-((1 - ra).log().mean() + rb.log().mean())), rel=1e-5
    )


def test_features_are_those_of_the_layer_named(tmp_path: Path) -> None:
    weights = small_vgg(tmp_path / "vgg.safetensors")
    image = torch.rand(1, 3, 16, 16)
    before = VGGFeatures("vgg19", "conv1_2", activated=False, weights=weights)(image)
    after = VGGFeatures("vgg19", "conv1_2", activated=True, weights=weights)(image)
    assert float(before.min()) < 0 and torch.equal(before.clamp(min=0), after)
    with pytest.raises(RefusedError) as caught:
        VGGFeatures("vgg19", "conv9_1", weights=weights)
    assert caught.value.code == "unknown-value" and "conv5_4" in caught.value.facts["known"]
    with pytest.raises(SrError) as missing:
        VGGFeatures("vgg19", "conv2_1", weights=weights)
    assert missing.value.code == "not-vgg-weights"
    assert missing.value.facts["tensor"] == "features.5.weight"


@pytest.mark.parametrize(
    ("network", "layer", "last"), [("vgg19", "conv5_4", 35), ("vgg16", "conv3_3", 15)]
)
def test_vgg_is_torchvisions(network: str, layer: str, last: int) -> None:
    layers = vgg_layers(network)
    assert layer_names(layers)[layer] + 1 == last
    assert isinstance(layers[last], torch.nn.ReLU)
    remote = vgg_remote(network)
    assert remote.sha256 and remote.address.endswith(f"{network}-{remote.sha256[:8]}.pth")
    mean, std = imagenet_statistics(network)
    assert mean == [0.485, 0.456, 0.406] and std == [0.229, 0.224, 0.225]


def test_calibration_makes_flat_colours_flat_and_keeps_images() -> None:
    torch.manual_seed(0)
    model = load_model("espcn-x2").network
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.003 * torch.randn_like(parameter))
    weights = {k: v.clone() for k, v in model.state_dict().items()}
    image = torch.from_numpy(smooth(40, 48, top=255)[None, ..., 0] / np.float32(255))
    tuned = calibrate_flat(model, [image], steps=20, learning_rate=1e-4, batch=2, patch=16)
    error = flat_error(model)
    assert error > 5 and flat_error(tuned) < 0.2 * error
    with torch.inference_mode():
        change = (tuned(image[None]) - model(image[None])).abs().mean() * 255
    assert float(change) < 0.5 * error
    assert all(torch.equal(tensor, weights[k]) for k, tensor in model.state_dict().items())


def test_calibration_leaves_batch_statistics_as_they_are() -> None:
    model = create_model("srresnet", scale=2, **TINY).eval()
    tuned = calibrate_flat(model, [torch.rand(3, 16, 16)], steps=1, batch=1, patch=16)
    before, after = model.state_dict(), tuned.state_dict()
    statistics = [key for key in before if "running" in key]
    assert statistics and all(torch.equal(before[key], after[key]) for key in statistics)
    assert any(not torch.equal(before[key], after[key]) for key in before)


def test_schedules_rise_and_decay() -> None:
    recipe = default_recipe("edsr", (2,), schedule="cosine", warmup=10)
    assert learning_rate_factor(recipe, 0.0, 0) == pytest.approx(0.1)
    assert learning_rate_factor(recipe, 0.5, 500) == pytest.approx(0.5)
    assert learning_rate_factor(recipe, 1.0, 999) == pytest.approx(0.0)
    stepped = default_recipe("edsr", (2,), warmup=0, schedule="step", step_share=0.25, gamma=0.1)
    assert [round(learning_rate_factor(stepped, d, 9), 6) for d in (0.2, 0.3, 0.9)] == [
        1,
        0.1,
        0.001,
    ]
    several = default_recipe("edsr", (2,), warmup=0, schedule="multistep", milestones=(0.5, 0.9))
    assert [learning_rate_factor(several, d, 9) for d in (0.4, 0.6, 0.95)] == [1, 0.5, 0.25]
    smooth_one = default_recipe("edsr", (2,), warmup=0, schedule="exponential", step_share=0.5)
    assert learning_rate_factor(smooth_one, 0.5, 9) == pytest.approx(0.5)
    assert learning_rate_factor(default_recipe("edsr", (2,), schedule="constant"), 1, 999) == 1


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd", "soap"])
def test_optimisers_descend(name: str) -> None:
    torch.manual_seed(0)
    model = create_model("espcn", scale=2)
    recipe = default_recipe("espcn", (2,), optimiser=name)
    optimiser = make_optimiser(recipe, model, 2e-3 if name == "sgd" else 1e-3)
    x = torch.rand(4, 1, 12, 12)
    wanted = torch.nn.functional.interpolate(x, scale_factor=2, mode="nearest")
    losses = []
    for _ in range(60):
        loss = ((model(x) - wanted) ** 2).mean()
        losses.append(float(loss.detach()))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert losses[-1] < 0.9 * losses[0]


def test_the_quick_prelu_has_the_same_gradients() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 5, 6, 7, requires_grad=True)
    results = []
    for quick in (False, True):
        model = create_model("srresnet", scale=2, features=5, blocks=1)
        layer = next(m for m in model.modules() if isinstance(m, torch.nn.PReLU))
        if quick:
            use_fast_layers(model)
        x.grad = None
        y = layer(x)
        (y * torch.arange(7)).sum().backward()
        assert x.grad is not None and layer.weight.grad is not None
        results.append((y.detach(), x.grad.clone(), layer.weight.grad))
    for a, b in zip(*results, strict=True):
        assert torch.allclose(a, b, rtol=1e-5)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_a_tail_in_one_convolution_is_the_tail(scale: int) -> None:
    torch.manual_seed(0)
    model = create_model("edsr", scale=scale, features=6, blocks=1)
    for layer in model.tail:
        if isinstance(layer, torch.nn.Conv2d):
            torch.nn.init.normal_(layer.weight, std=0.2)
            torch.nn.init.normal_(layer.bias)
    features = torch.randn(2, 6, 9, 11)
    kernel, bias = compose_tail(model.tail, scale)
    quick = torch.nn.functional.pixel_shuffle(
        torch.nn.functional.conv2d(features, kernel, bias, padding=2), scale
    )
    inside = slice(scale, -scale)
    difference = (quick - model.tail(features))[..., inside, inside]
    assert float(difference.detach().abs().max()) < 1e-4


def test_quickened_training_has_the_gradients_of_the_tail() -> None:
    torch.manual_seed(0)
    lr = torch.rand(8, 3, 12, 12)
    gradients = []
    for quick in (False, True):
        torch.manual_seed(1)
        model = create_model("edsr", scale=2, features=6, blocks=1)
        if quick:
            use_fast_layers(model)
        # Away from the border the two are one; there, most crops are left out.
        (model(lr)[..., 4:-4, 4:-4] ** 2).mean().backward()
        gradients.append([p.grad for p in model.parameters()])
    for a, b in zip(*gradients, strict=True):
        assert torch.allclose(a, b, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_a_tail_before_its_shuffle_has_the_same_output_and_gradients(scale: int) -> None:
    lr = torch.rand(2, 3, 7, 9, generator=torch.Generator().manual_seed(0))
    results = []
    for quick in (False, True):
        torch.manual_seed(1)
        model = create_model("srresnet", scale=scale, features=6, blocks=1, squash=True)
        torch.nn.init.normal_(model.tail.bias)
        if quick:
            use_fast_layers(model)
            shuffled = model.upsampler(torch.rand(1, 6, 7, 9))
            assert shuffled.shape[-1] == 9 * scale // model.upsampler[-2].upscale_factor
        sr = model(lr)
        (sr**2).mean().backward()
        results.append([sr.detach(), *(p.grad for p in model.parameters())])
    for a, b in zip(*results, strict=True):
        assert torch.allclose(a, b, rtol=1e-3, atol=1e-6)


def test_the_quick_prelu_goes_through_large_and_half_precision_tensors() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 64, 80, 80).to(memory_format=torch.channels_last)
    layer = create_model("srresnet", scale=2, features=64, blocks=1).head[1]
    results = []
    for dtype, apply in ((torch.float32, layer), (torch.bfloat16, _PReLU.apply)):
        own = x.bfloat16().to(dtype).requires_grad_()
        y = apply(own, layer.weight) if apply is not layer else layer(own)
        layer.weight.grad = None
        (y * torch.linspace(-1, 2, 80).to(dtype)).sum().backward()
        results.append((own.grad.float(), layer.weight.grad.clone()))
    (wanted, slope), (found, half_slope) = results
    assert torch.allclose(found, wanted, rtol=1e-2, atol=1e-3)
    assert torch.allclose(half_slope, slope, rtol=1e-2)


def test_soap_sees_through_bad_conditioning() -> None:
    """A quadratic whose axes are turned and stretched: Adam's coordinates do not fit, SOAP's do."""
    torch.manual_seed(0)
    left, right = (torch.linalg.qr(torch.randn(12, 12))[0] for _ in range(2))
    stretch, start = torch.logspace(0, -2, 12), torch.randn(12, 12) * 0.3
    ends = {}
    for kind in (torch.optim.Adam, SOAP):
        weight = torch.nn.Parameter(start.clone())
        optimiser = kind([weight], lr=1e-2)
        for step in range(400):
            optimiser.param_groups[0]["lr"] = 1e-2 * (1 - step / 400)
            loss = ((stretch[:, None] * (left @ weight @ right) * stretch) ** 2).sum()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        ends[kind] = float(loss.detach())
    assert ends[SOAP] < 0.5 * ends[torch.optim.Adam]


def test_the_last_layer_may_learn_at_a_rate_of_its_own() -> None:
    model = create_model("fsrcnn", scale=2)
    optimiser = make_optimiser(default_recipe("fsrcnn", (2,)), model, 1e-3)
    set_learning_rate(optimiser, 5e-4)
    body, last = optimiser.param_groups
    assert [g["lr"] for g in (body, last)] == pytest.approx([5e-4, 5e-5])
    assert {id(p) for p in last["params"]} == {id(p) for p in model.deconvolution.parameters()}
    every = [p for g in (body, last) for p in g["params"]]
    assert {id(p) for p in every} == {id(p) for p in model.parameters()}
