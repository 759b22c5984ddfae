"""Tools that make one checkpoint of another."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.images import noise
from helpers.tools import run_tool, tool
from PIL import Image
from torch import nn

from sr_cli.engine.upscaler import Upscaler
from sr_cli.imaging.decode import read_picture
from sr_cli.networks import create_model
from sr_cli.networks.base import SRModel
from sr_cli.networks.vdsr import VDSR
from sr_cli.registry.checkpoint import Header, load_checkpoint, save_checkpoint
from sr_cli.registry.ref import load_model


def trained(layers: int = 5) -> VDSR:
    """A small VDSR whose last layer is no longer zero."""
    torch.manual_seed(0)
    model = create_model("vdsr", scale=2, layers=layers, features=16)
    assert isinstance(model, VDSR)
    last = model.layers[-1]
    assert isinstance(last, nn.Conv2d)
    nn.init.normal_(last.weight, std=0.05)
    return model


def test_a_deepened_vdsr_is_the_shallow_one(monkeypatch: pytest.MonkeyPatch) -> None:
    deepen_vdsr = tool("deepen_vdsr")
    monkeypatch.setattr(deepen_vdsr, "NOISE", 0.0)
    shallow = trained()
    deep = deepen_vdsr.deepen(shallow, 20)
    assert deep.config["layers"] == 20
    lr = torch.rand(2, 1, 12, 10)
    assert torch.allclose(deep(lr), shallow(lr), atol=1e-5)


def test_revived_features_live_and_change_little(monkeypatch: pytest.MonkeyPatch) -> None:
    revive = tool("revive")
    monkeypatch.setattr(revive, "TAKEN", 1e-6)
    model = trained()
    first = model.layers[0]
    assert isinstance(first, nn.Conv2d) and first.bias is not None
    with torch.no_grad():
        first.bias[:4] = -100
    lr = torch.rand(2, 1, 24, 24)
    before = model(lr)
    x = nn.functional.interpolate(lr, scale_factor=2.0)
    counts = revive.revive(model.layers, x)
    assert counts[0] == 4
    on = (first(x) > 0).float().mean((0, 2, 3))
    assert (on[:4] > 0.3).all() and (on[:4] < 0.7).all()
    assert torch.allclose(model(lr), before, atol=1e-5)


def test_a_mix_lies_between_two_checkpoints(tmp_path: Path) -> None:
    for name in ("a", "b"):
        model = create_model("srresnet", scale=2, features=4, blocks=1)
        for parameter in model.parameters():
            nn.init.normal_(parameter)
        header = Header(model="srresnet", config=model.config, scales=[2])
        save_checkpoint(tmp_path / f"{name}.safetensors", header, model.state_dict())
    command = ("interpolate", "a.safetensors", "b.safetensors", "-o", "c.safetensors")
    assert run_tool(*command, "--share", "1.5", cwd=tmp_path).returncode == 2
    assert run_tool(*command, "--share", "0.75", cwd=tmp_path).returncode == 0
    a, b, c = (load_checkpoint(tmp_path / f"{n}.safetensors")[0].state_dict() for n in "abc")
    floats = [k for k in a if a[k].is_floating_point()]
    assert all(torch.allclose(c[k], 0.75 * a[k] + 0.25 * b[k], atol=1e-6) for k in floats)


def test_what_a_relative_learnt_is_transferred(tmp_path: Path) -> None:
    for name, scale in (("own", 2), ("later", 4), ("earlier", 4)):
        model = create_model("edsr", scale=scale, features=8, blocks=1)
        header = Header(model="edsr", config=model.config, scales=[scale])
        save_checkpoint(tmp_path / f"{name}.safetensors", header, model.state_dict())
    command = ("transfer", "own.safetensors", "--from", "later.safetensors")
    command = (*command, "--since", "earlier.safetensors")
    options = ("--share", "0.25", "--layers", "head", "body", "-o", "made.safetensors")
    assert run_tool(*command, *options, cwd=tmp_path).returncode == 0
    names = ("own", "later", "earlier", "made")
    own, later, earlier, made = (
        load_checkpoint(tmp_path / f"{n}.safetensors")[0].state_dict() for n in names
    )
    for name, tensor in own.items():
        moved = name.startswith(("head", "body"))
        wanted = tensor + 0.25 * (later[name] - earlier[name]) if moved else tensor
        assert torch.allclose(made[name], wanted, atol=1e-6)
        assert moved == (not torch.equal(made[name], tensor))
    none = run_tool(*command, "--layers", "none", "-o", "b.safetensors", cwd=tmp_path)
    assert none.returncode == 2 and b"in common" in none.stderr
    assert not (tmp_path / "b.safetensors").exists()


def test_pairs_are_taught_by_the_self_ensemble(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for number in range(5):
        grain = Image.fromarray(noise(50, 62, seed=number))
        grain.resize((124, 100)).save(tmp_path / f"photos/{number}.png")
    command = ("taught", "espcn-x4", "--data", "photos", "-o", "taught", "--count", "9")
    assert run_tool(*command, "--side", "20", cwd=tmp_path).returncode == 0
    (held_back,) = (tmp_path / "taught/val").iterdir()
    lr = {p.stem: read_picture(p).frames[0].pixels for p in (tmp_path / "taught/lr").iterdir()}
    assert sorted([*(name[0] for name in lr), held_back.stem]) == list("01234")
    teacher = Upscaler(load_model("espcn-x4"), tta=True)
    for name, pixels in lr.items():
        assert pixels.shape == (20, 20, 3)
        hr = read_picture(tmp_path / f"taught/hr/{name}.png").frames[0].pixels
        assert np.array_equal(hr, teacher(pixels))


def test_taught_images_may_be_made_smaller_first(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    gray = np.full((240, 320, 3), 90, np.uint8)
    for number in range(3):
        Image.fromarray(gray).save(tmp_path / f"photos/{number}.png")
    command = ("taught", "espcn-x4", "--data", "photos", "-o", "taught")
    assert run_tool(*command, "--rescale", "0.5", "0.5", cwd=tmp_path).returncode == 0
    pairs = [Image.open(file).size for file in sorted((tmp_path / "taught/lr").iterdir())]
    assert pairs == [(160 // 4, 120 // 4)] * 2
    rescaled = tool("taught").rescaled
    assert rescaled(gray, 0.1).shape == (96, 128, 3)
    assert np.array_equal(rescaled(gray[:60], 0.5), gray[:60])


def test_where_the_ensemble_is_no_better_the_true_image_is_taught() -> None:
    taught = tool("taught")
    true, near, far = (np.full((2, 2, 3), value, np.uint8) for value in (100, 90, 80))
    assert np.array_equal(taught.aim(true, far, near, truth=0.0), near)
    assert np.array_equal(taught.aim(true, far, near, truth=0.2), near + 2)
    for made in (near, true):
        assert np.array_equal(taught.aim(true, made, far, truth=0.2), true)
    assert np.array_equal(taught.aim(true, near, near, truth=0.0), true)


class Near(SRModel):
    """Each pixel depends on what is left of it, ever less: 0.5 per pixel, up to a radius of 16."""

    name = "near"
    channels = 1

    def __init__(self, share: float = 0.5) -> None:
        super().__init__(2, {})
        self.layer = nn.Conv2d(1, 4, (1, 33), padding=(0, 16))
        with torch.no_grad():
            self.layer.weight.zero_()
            self.layer.weight[..., : 16 + 1] = share ** torch.arange(16.0, -1, -1)

    @property
    def receptive_radius(self) -> int:
        return 16

    def forward(self, lr: torch.Tensor) -> torch.Tensor:
        return nn.functional.pixel_shuffle(self.layer(lr), 2)


def test_the_halo_is_what_a_tiles_core_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    release = tool("release")
    large = [noise(120, 120), noise(20, 20)]
    # What lies beyond a halo of h adds up to 2 ** -h, within a radius of 16.
    for allowed, halo in ((2**-5.5, 6), (2**-9.5, 10), (2**-3.0, 4), (1e-9, None)):
        monkeypatch.setattr(release, "ALLOWED_DIFFERENCE", allowed)
        assert release.measured_halo(Near(), large) == halo
    assert release.measured_halo(create_model("espcn", scale=2), large) is None


def test_networks_that_pool_have_no_halo_to_measure() -> None:
    rcan = create_model("rcan", scale=2, groups=1, blocks=1, features=8, reduction=4)
    assert tool("release").measured_halo(rcan, []) is None
