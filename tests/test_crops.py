"""Training crops and what degrades them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from helpers.images import smooth
from hypothesis import given, settings
from hypothesis import strategies as st

from sr_cli.imaging.degradation import Photo, Round
from sr_cli.imaging.degrade import add_noise, degrade, degrade_photo
from sr_cli.imaging.kernels import gaussian_kernel, plateau_kernel, random_kernel, sinc_kernel
from sr_cli.imaging.resize import downscale_bicubic
from sr_cli.training.crops import Crops, downscale_region
from sr_cli.training.images import Pair
from sr_cli.training.papers import default_recipe
from sr_cli.training.recipe import Recipe


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
    part = downscale_region(hr, y, x, height, width, scale)
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


def test_all_scales_of_one_run_have_crops_of_one_hr_size() -> None:
    crops = crops_of(default_recipe("vdsr", (2, 3, 4), lr_patch=6, batch=2))
    shapes = {b.scale: (*b.lr.shape[2:], *b.hr.shape[2:]) for b in map(crops.batch, range(12))}
    assert shapes == {2: (12, 12, 24, 24), 3: (8, 8, 24, 24), 4: (6, 6, 24, 24)}


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
