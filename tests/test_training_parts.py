"""What training is made of: crops, degradations, losses, optimisers, recipes."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import smooth
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from sr_cli.errors import RefusedError, SrError
from sr_cli.imaging.degradation import Photo, Round
from sr_cli.imaging.degrade import add_noise, degrade, degrade_photo
from sr_cli.imaging.kernels import gaussian_kernel, plateau_kernel, random_kernel, sinc_kernel
from sr_cli.imaging.names import partner_name
from sr_cli.imaging.resize import downscale_bicubic
from sr_cli.models import create_model, model_names
from sr_cli.training.adversarial import discriminator_loss, generator_loss
from sr_cli.training.data import Crops, lr_of_region
from sr_cli.training.losses import Features, charbonnier, texture_loss
from sr_cli.training.optimise import learning_rate_factor, make_optimiser, set_learning_rate
from sr_cli.training.papers import default_recipe
from sr_cli.training.pictures import Pair, find_sources, split
from sr_cli.training.quick import composed, quicken
from sr_cli.training.recipe import Recipe
from sr_cli.training.settings import (
    as_toml,
    make_recipe,
    read_recipe,
    recipe_of,
    shipped_recipes,
)
from sr_cli.training.soap import SOAP

TRAINABLE = [n for n in model_names() if n != "bicubic"]


def noise(h: int, w: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (h, w, 3), dtype=np.uint8)


@settings(max_examples=40, deadline=None)
@given(
    scale=st.sampled_from([2, 3, 4]),
    size=st.tuples(st.integers(6, 24), st.integers(6, 24)),
    seed=st.integers(0, 99),
    data=st.data(),
)
def test_a_crop_of_the_lr_is_the_lr_of_the_crop(
    scale: int, size: tuple[int, int], seed: int, data: st.DataObject
) -> None:
    h, w = size
    hr = noise(h * scale, w * scale, seed)
    height, width = data.draw(st.integers(1, h)), data.draw(st.integers(1, w))
    y, x = data.draw(st.integers(0, h - height)), data.draw(st.integers(0, w - width))
    whole = downscale_bicubic(hr, scale)
    part = lr_of_region(hr, y, x, height, width, scale)
    assert (part == whole[y : y + height, x : x + width]).all()


def crops_of(recipe: Recipe, channels: int = 3) -> Crops:
    pairs = [Pair(str(i), smooth(96, 120, seed=i)) for i in range(3)]
    return Crops(pairs, recipe, channels=channels)


@pytest.mark.parametrize("degradation", ["bicubic", "noise", "photo"])
@pytest.mark.parametrize("changes", [{}, {"rescale": (0.5, 1.0), "colour_jitter": 0.2}])
def test_crops_are_a_function_of_seed_and_step(degradation: str, changes: dict) -> None:
    recipe = default_recipe("edsr", (2,), lr_patch=16, batch=4, degradation=degradation, **changes)
    a, b = crops_of(recipe).batch(7), crops_of(recipe).batch(7)
    other = crops_of(recipe).batch(8)
    assert a.lr.shape == (4, 3, 16, 16) and a.hr.shape == (4, 3, 32, 32)
    assert torch.equal(a.lr, b.lr) and torch.equal(a.hr, b.hr)
    assert not torch.equal(a.hr, other.hr)


def test_processes_take_different_parts_of_one_batch() -> None:
    recipe = default_recipe("edsr", (2,), lr_patch=16, batch=6)
    crops = crops_of(recipe)
    whole = crops.batch(3)
    parts = [crops.batch(3, rank=r, world=3) for r in range(3)]
    assert torch.equal(torch.cat([p.hr for p in parts]), whole.hr)


def test_hr_and_lr_show_the_same_place() -> None:
    recipe = default_recipe(
        "edsr", (2,), lr_patch=24, batch=8, flat_share=0.0, rescale=(0.5, 1.5), colour_jitter=0.1
    )
    batch = crops_of(recipe).batch(0)
    small = torch.nn.functional.avg_pool2d(batch.hr, 2)
    assert float((small - batch.lr).abs().mean()) < 0.02


def test_luma_crops_are_the_luma_of_the_rgb_crops() -> None:
    recipe = default_recipe("espcn", (3,), batch=2)
    batch = crops_of(recipe, channels=1).batch(0)
    assert batch.lr.shape[1] == batch.hr.shape[1] == 1 and batch.rgb.shape[1] == 3
    r, g, b = (batch.rgb * 255).unbind(1)
    y = 16 + (65.481 * r + 128.553 * g + 24.966 * b) / 255
    assert float((batch.lr[:, 0] * 255 - y).abs().max()) < 1e-3


def test_noise_has_the_sigma_asked_for() -> None:
    gray = np.full((200, 200, 3), 128, np.uint8)
    made = add_noise(gray, (20.0, 20.0), np.random.default_rng(0)).astype(float)
    assert abs(made.std() - 20) < 0.5 and abs(made.mean() - 128) < 0.5


@pytest.mark.parametrize("scale", [2, 4])
def test_photo_degradation_loses_detail_and_keeps_the_picture(scale: int) -> None:
    hr = smooth(96, 128)
    lost = []
    for seed in range(8):
        lr = degrade_photo(hr, scale, Photo(), np.random.default_rng(seed))
        assert lr.shape == (96 // scale, 128 // scale, 3) and lr.dtype == np.uint8
        clean = downscale_bicubic(hr, scale).astype(float)
        assert np.abs(lr.mean((0, 1)) - clean.mean((0, 1))).max() < 12
        lost.append(np.abs(lr - clean).mean())
    assert min(lost) > 0.5


def test_a_clean_share_is_left_as_bicubic() -> None:
    hr = smooth(64, 64)
    lr = degrade(
        hr, scale=4, degradation="photo", random=np.random.default_rng(0), photo=Photo(clean=0.999)
    )
    assert (lr == downscale_bicubic(hr, 4)).all()


@pytest.mark.parametrize("side", [7, 13, 21])
def test_kernels_sum_to_one_and_are_symmetric(side: int) -> None:
    kernels = [
        gaussian_kernel(side, (1.5, 1.5), 0.0),
        gaussian_kernel(side, (0.5, 2.5), 0.7, power=2.0),
        plateau_kernel(side, (1.5, 2.5), 0.3, power=1.5),
        sinc_kernel(side, math.pi / 2),
    ]
    for kernel in kernels:
        assert kernel.shape == (side, side) and abs(kernel.sum() - 1) < 1e-12
        assert np.allclose(kernel, kernel[::-1, ::-1])
    assert kernels[3].min() < 0 and min(k.min() for k in kernels[:3]) >= 0
    assert np.allclose(kernels[0], kernels[0].T)


def test_a_gaussian_kernel_has_its_sigma() -> None:
    kernel = gaussian_kernel(21, (2.0, 2.0), 0.0)
    offsets = np.arange(21) - 10
    assert abs(float((kernel.sum(0) * offsets**2).sum()) - 4) < 0.01


def test_a_sinc_kernel_passes_low_and_stops_high_frequencies() -> None:
    response = np.abs(np.fft.fft2(sinc_kernel(21, math.pi / 3), (64, 64)))
    assert abs(response[0, 0] - 1) < 1e-9 and response[0, 4] > 0.8 and response[0, 24] < 0.1


def test_every_kind_of_kernel_is_drawn() -> None:
    random = np.random.default_rng(0)
    negative = sum(bool((random_kernel(random, Round()) < -1e-9).any()) for _ in range(400))
    assert 15 < negative < 80


def test_charbonnier_is_its_equation() -> None:
    sr, hr = torch.tensor([[0.0, 0.5]]), torch.tensor([[0.3, 0.5]])
    wanted = (math.sqrt(0.09 + 1e-6) + 1e-3) / 2
    assert float(charbonnier(sr, hr)) == pytest.approx(wanted, rel=1e-5)


def test_texture_ignores_where_things_are() -> None:
    features = torch.rand(2, 5, 6, 6)
    assert float(texture_loss(features, features.flip(3))) < 1e-12
    assert float(texture_loss(features, features * 2)) > 1e-3


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


def small_trunk(path: Path) -> Path:
    """VGG's first two convolutions with random weights."""
    save_file(
        {
            "features.0.weight": torch.randn(64, 3, 3, 3) * 0.2,
            "features.0.bias": torch.zeros(64),
            "features.2.weight": torch.randn(64, 64, 3, 3) * 0.05,
            "features.2.bias": torch.zeros(64),
        },
        path,
    )
    return path


def test_features_are_those_of_the_layer_named(tmp_path: Path) -> None:
    trunk = small_trunk(tmp_path / "trunk.safetensors")
    picture = torch.rand(1, 3, 16, 16)
    before = Features("vgg19", "conv1_2", activated=False, trunk=trunk)(picture)
    after = Features("vgg19", "conv1_2", activated=True, trunk=trunk)(picture)
    assert float(before.min()) < 0 and torch.equal(before.clamp(min=0), after)
    with pytest.raises(RefusedError) as caught:
        Features("vgg19", "conv9_1", trunk=trunk)
    assert "conv5_4" in str(caught.value.hint)
    with pytest.raises(SrError, match=r"features\.5\.weight"):
        Features("vgg19", "conv2_1", trunk=trunk)


@pytest.mark.parametrize(
    ("network", "layer", "last"), [("vgg19", "conv5_4", 35), ("vgg16", "conv3_3", 15)]
)
def test_layers_are_numbered_as_torchvision_has_them(network: str, layer: str, last: int) -> None:
    from torchvision.models import vgg16, vgg19

    from sr_cli.training.losses import _place

    theirs = {"vgg16": vgg16, "vgg19": vgg19}[network](weights=None).features
    assert _place(network, layer) + 1 == last
    assert isinstance(theirs[last], torch.nn.ReLU) and isinstance(theirs[last - 1], torch.nn.Conv2d)


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
            quicken(model)
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
    kernel, bias = composed(model.tail, scale)
    quick = torch.nn.functional.pixel_shuffle(
        torch.nn.functional.conv2d(features, kernel, bias, padding=2), scale
    )
    inside = slice(scale, -scale)
    difference = (quick - model.tail(features))[..., inside, inside]
    assert float(difference.abs().max()) < 1e-4


def test_quickened_training_has_the_gradients_of_the_tail() -> None:
    torch.manual_seed(0)
    lr = torch.rand(8, 3, 12, 12)
    gradients = []
    for quick in (False, True):
        torch.manual_seed(1)
        model = create_model("edsr", scale=2, features=6, blocks=1)
        if quick:
            quicken(model)
        # Away from the border the two are one; there, most crops are left out.
        (model(lr)[..., 4:-4, 4:-4] ** 2).mean().backward()
        gradients.append([p.grad for p in model.parameters()])
    for a, b in zip(*gradients, strict=True):
        assert torch.allclose(a, b, rtol=1e-3, atol=1e-6)


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


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("srcnn", {"optimiser": "sgd", "learning_rate": 1e-4, "momentum": 0.9, "batch": 128}),
        ("fsrcnn", {"optimiser": "sgd", "learning_rate": 1e-3, "last_layer_rate": 0.1}),
        ("espcn", {"lr_patch": 17, "learning_rate": 1e-2}),
        ("vdsr", {"optimiser": "sgd", "learning_rate": 0.1, "batch": 64, "weight_decay": 1e-4}),
        ("srresnet", {"losses": {"l2": 1.0}, "batch": 16, "lr_patch": 24, "steps": 10**6}),
        ("srgan", {"losses": {"perceptual": 1.0, "adversarial": 1e-3}, "steps": 200_000}),
        ("edsr", {"losses": {"l1": 1.0}, "learning_rate": 1e-4, "lr_patch": 48, "batch": 16}),
        ("rcan", {"losses": {"l1": 1.0}, "learning_rate": 1e-4, "lr_patch": 48, "batch": 16}),
    ],
)
def test_defaults_are_the_papers(name: str, wanted: dict[str, object]) -> None:
    recipe = default_recipe(name, (4,))
    assert {field: getattr(recipe, field) for field in wanted} == wanted
    first, middle, last = (learning_rate_factor(recipe, d, 999) for d in (0.0, 0.6, 1.0))
    ends = {"espcn": (0.01**0.6, 0.01), "vdsr": (0.01, 1e-4), "srgan": (0.1, 0.01)}
    halved = {"edsr": (1.0, 0.5), "rcan": (0.125, 0.03125)}
    assert first == 1.0
    assert (middle, last) == pytest.approx((ends | halved).get(name, (1.0, 1.0)))


@pytest.mark.parametrize("name", sorted(shipped_recipes()))
def test_shipped_recipes_are_read_by_name(name: str) -> None:
    recipe = make_recipe(read_recipe(Path(name)))
    assert name.startswith(recipe.model)
    assert len(recipe.scales) > 1 or name.endswith(f"x{recipe.scales[0]}")


@pytest.mark.parametrize("name", TRAINABLE)
def test_recipes_survive_toml_and_json(name: str, tmp_path: Path) -> None:
    from dataclasses import asdict

    recipe = default_recipe(name, (2,))
    file = tmp_path / "r.toml"
    file.write_text(as_toml(recipe))
    assert make_recipe(read_recipe(file)) == recipe
    assert recipe_of(asdict(recipe)) == recipe


def test_settings_reach_every_depth() -> None:
    recipe = make_recipe(
        {"model": "edsr", "scales": [4]},
        ["losses.l1=0.5", "photo.first.jpeg=[40, 60]", "config.features=32", "learning_rate=1e-4"],
    )
    assert recipe.losses == {"l1": 0.5} and recipe.photo.first.jpeg == (40.0, 60.0)
    assert recipe.config == {"features": 32} and recipe.learning_rate == 1e-4


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("learning_rates=1", "no field 'learning_rates'"),
        ("learning_rate=fast", "a number is needed"),
        ("batch=2.5", "a whole number is needed"),
        ("losses.l3=1", "no loss 'l3'"),
        ("losses.l1=-1", "above 0"),
        ("photo.first.jpg=[1,2]", "no field 'photo.first.jpg'"),
        ("photo.first.jpeg=[1,2,3]", "2 numbers"),
        ("optimiser=lion", "optimiser 'lion'"),
        ("ema=1.5", "ema 1.5"),
        ("rescale=[2.0, 1.0]", "a range"),
        ("flips=1", "true or false"),
        ("nonsense", "NAME=VALUE"),
    ],
)
def test_a_wrong_setting_is_named(setting: str, said: str) -> None:
    with pytest.raises(RefusedError) as caught:
        make_recipe({"model": "edsr", "scales": [4]}, [setting])
    assert said in caught.value.message


def test_partners_are_found_by_their_names(tmp_path: Path) -> None:
    assert partner_name("0801x4", 4) == partner_name("0801", 4) == partner_name("0801_HR", 4)
    assert partner_name("a_x4_LR", 4) == "a" and partner_name("box", 4) == "box"
    for folder, name in (("hr", "a.png"), ("lr", "ax2.png"), ("hr", "b.png")):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / name).touch()
    with pytest.raises(SrError, match="no partner"):
        find_sources([tmp_path], scale=2)
    (tmp_path / "lr" / "b_LR.png").touch()
    assert [(s.hr.name, s.lr.name) for s in find_sources([tmp_path], scale=2) if s.lr] == [
        ("a.png", "ax2.png"),
        ("b.png", "b_LR.png"),
    ]


@given(count=st.integers(2, 60), share=st.floats(0.01, 0.99))
def test_held_back_pictures_are_not_trained_on(count: int, share: float) -> None:
    pairs = [Pair(str(i), np.zeros((1, 1, 3), np.uint8)) for i in range(count)]
    train, held_back = split(pairs, share)
    names = {p.name for p in train}, {p.name for p in held_back}
    assert train and held_back and not names[0] & names[1] and len(names[0] | names[1]) == count
