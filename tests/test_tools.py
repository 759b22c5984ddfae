"""Tools that make one checkpoint of another."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from sr_cli.engine.upscaler import Upscaler
from sr_cli.imaging.decode import read_picture
from sr_cli.networks import create_model
from sr_cli.networks.vdsr import VDSR
from sr_cli.registry.checkpoint import Header, load_checkpoint, save_checkpoint
from sr_cli.registry.ref import load_model

TOOLS = Path(__file__).parents[1] / "tools"


@pytest.fixture(autouse=True)
def _tools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(TOOLS))
    for name in ("deepen_vdsr", "revive", "from_edsr", "taught"):
        sys.modules.pop(name, None)


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
    import deepen_vdsr  # type: ignore[import-not-found]  # lies in tools/

    monkeypatch.setattr(deepen_vdsr, "NOISE", 0.0)
    shallow = trained()
    deep = deepen_vdsr.deepen(shallow, 20)
    assert deep.config["layers"] == 20
    lr = torch.rand(2, 1, 12, 10)
    assert torch.allclose(deep(lr), shallow(lr), atol=1e-5)


def test_revived_features_live_and_change_little(monkeypatch: pytest.MonkeyPatch) -> None:
    import revive  # type: ignore[import-not-found]  # lies in tools/

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
    command = [sys.executable, TOOLS / "interpolate.py", "a.safetensors", "b.safetensors"]
    subprocess.run([*command, "--share", "0.75", "-o", "c.safetensors"], cwd=tmp_path, check=True)
    a, b, c = (load_checkpoint(tmp_path / f"{n}.safetensors")[0].state_dict() for n in "abc")
    floats = [k for k in a if a[k].is_floating_point()]
    assert all(torch.allclose(c[k], 0.75 * a[k] + 0.25 * b[k], atol=1e-6) for k in floats)


def test_what_a_relative_learnt_is_transferred(tmp_path: Path) -> None:
    for name, scale in (("own", 2), ("later", 4), ("earlier", 4)):
        model = create_model("edsr", scale=scale, features=8, blocks=1)
        header = Header(model="edsr", config=model.config, scales=[scale])
        save_checkpoint(tmp_path / f"{name}.safetensors", header, model.state_dict())
    command = [sys.executable, TOOLS / "transfer.py", "own.safetensors"]
    states = ["--from", "later.safetensors", "--since", "earlier.safetensors"]
    options = ["--share", "0.25", "--layers", "head", "body", "-o", "made.safetensors"]
    subprocess.run([*command, *states, *options], cwd=tmp_path, check=True)
    names = ("own", "later", "earlier", "made")
    own, later, earlier, made = (
        load_checkpoint(tmp_path / f"{n}.safetensors")[0].state_dict() for n in names
    )
    for name, tensor in own.items():
        moved = name.startswith(("head", "body"))
        wanted = tensor + 0.25 * (later[name] - earlier[name]) if moved else tensor
        assert torch.allclose(made[name], wanted, atol=1e-6)
        assert moved == (not torch.equal(made[name], tensor))
    none = [*command, *states, "--layers", "none", "-o", "b.safetensors"]
    wrong = subprocess.run(none, cwd=tmp_path, capture_output=True, check=False)
    assert wrong.returncode != 0 and b"in common" in wrong.stderr


def test_pairs_are_taught_by_the_self_ensemble(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    random = np.random.default_rng(0)
    for number in range(5):
        noise = random.integers(0, 256, (50, 62, 3), dtype=np.uint8)
        Image.fromarray(noise).resize((124, 100)).save(tmp_path / f"photos/{number}.png")
    command = [sys.executable, TOOLS / "taught.py", "espcn-x4", "--data", "photos", "-o", "taught"]
    subprocess.run([*command, "--count", "9", "--side", "20"], cwd=tmp_path, check=True)
    (held_back,) = (tmp_path / "taught/val").iterdir()
    lr = {p.stem: read_picture(p).frames[0].pixels for p in (tmp_path / "taught/lr").iterdir()}
    assert sorted([*(name[0] for name in lr), held_back.stem]) == list("01234")
    teacher = Upscaler(load_model("espcn-x4"), tta=True)
    for name, pixels in lr.items():
        assert pixels.shape == (20, 20, 3)
        hr = read_picture(tmp_path / f"taught/hr/{name}.png").frames[0].pixels
        assert np.array_equal(hr, teacher(pixels))


def test_taught_pictures_may_be_made_smaller_first(tmp_path: Path) -> None:
    import taught  # type: ignore[import-not-found]  # lies in tools/

    (tmp_path / "photos").mkdir()
    gray = np.full((240, 320, 3), 90, np.uint8)
    for number in range(3):
        Image.fromarray(gray).save(tmp_path / f"photos/{number}.png")
    command = [sys.executable, TOOLS / "taught.py", "espcn-x4", "--data", "photos", "-o", "taught"]
    subprocess.run([*command, "--rescale", "0.5", "0.5"], cwd=tmp_path, check=True)
    pairs = [Image.open(file).size for file in sorted((tmp_path / "taught/lr").iterdir())]
    assert pairs == [(160 // 4, 120 // 4)] * 2
    assert taught.rescaled(gray, 0.1).shape == (96, 128, 3)
    assert np.array_equal(taught.rescaled(gray[:60], 0.5), gray[:60])


def test_where_the_ensemble_is_no_better_the_true_picture_is_taught() -> None:
    import taught  # type: ignore[import-not-found]  # lies in tools/

    true, near, far = (np.full((2, 2, 3), value, np.uint8) for value in (100, 90, 80))
    assert np.array_equal(taught.aim(true, far, near, truth=0.0), near)
    assert np.array_equal(taught.aim(true, far, near, truth=0.2), near + 2)
    for made in (near, true):
        assert np.array_equal(taught.aim(true, made, far, truth=0.2), true)
    assert np.array_equal(taught.aim(true, near, near, truth=0.0), true)
