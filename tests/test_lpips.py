"""LPIPS against the published figures of its own example pictures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import SHARED
from helpers.command import Run
from helpers.images import smooth
from PIL import Image
from safetensors.torch import load_file, save_file

from sr_cli.errors import RefusedError, SrError
from sr_cli.evaluation.lpips import LPIPS, NETWORKS

REFERENCE = SHARED / "reference"
FIGURES = {
    "alex": ("lpips_alexnet.safetensors", 0.7219, 0.1376),
    "vgg": ("lpips_vgg16.safetensors", 0.5686, 0.4217),
}


@pytest.mark.skipif(not REFERENCE.is_dir(), reason="LPIPS's weights are not here")
@pytest.mark.parametrize("network", FIGURES)
def test_the_example_pictures(network: str) -> None:
    file, first, second = FIGURES[network]
    lpips = LPIPS(network, REFERENCE / file)
    reference, p0, p1 = (
        np.array(Image.open(REFERENCE / "lpips_example" / f"ex_{n}.png").convert("RGB"))
        for n in ("ref", "p0", "p1")
    )
    assert lpips.distance(p0, reference) == pytest.approx(first, abs=0.001)
    assert lpips.distance(p1, reference) == pytest.approx(second, abs=0.001)
    assert lpips.distance(reference, reference) == 0


@pytest.mark.skipif(not REFERENCE.is_dir(), reason="LPIPS's weights are not here")
def test_other_weights_are_refused(tmp_path: Path) -> None:
    tensors = load_file(REFERENCE / "lpips_alexnet.safetensors")
    published = {n.replace(".weight", ".model.1.weight") if n[:3] == "lin" else n: t
                 for n, t in tensors.items()}  # fmt: skip
    save_file(published, tmp_path / "as_published.safetensors")
    LPIPS("alex", tmp_path / "as_published.safetensors")
    tensors["lin0.weight"] = tensors["lin0.weight"] * 1.01
    save_file(tensors, tmp_path / "other.safetensors")
    with pytest.raises(SrError) as caught:
        LPIPS("alex", tmp_path / "other.safetensors")
    assert caught.value.code == "lpips-weights-modified"
    with pytest.raises(SrError) as caught:
        LPIPS("vgg", tmp_path / "other.safetensors")
    assert caught.value.code == "lpips-tensor-missing"
    assert caught.value.facts["tensor"].startswith("features.")
    with pytest.raises(RefusedError) as refused:
        LPIPS("squeeze")
    assert refused.value.facts["known"] == ["alex", "vgg"]


@pytest.mark.skipif(not REFERENCE.is_dir(), reason="LPIPS's weights are not here")
@pytest.mark.parametrize("network", FIGURES)
def test_the_smallest_image_is_what_the_pools_leave_something_of(network: str) -> None:
    file, *_ = FIGURES[network]
    lpips = LPIPS(network, REFERENCE / file)
    side = NETWORKS[network].smallest
    image = smooth(side, side + 9)
    assert 0 < lpips.distance(image, image[::-1]) < 2
    with pytest.raises(SrError) as caught:
        lpips.distance(image[1:], image[1:])
    assert caught.value.code == "image-too-small"
    assert caught.value.facts == {"width": side + 9, "height": side - 1, "needed": side}
    with pytest.raises(RuntimeError):
        lpips(torch.rand(1, 3, side - 1, side), torch.rand(1, 3, side - 1, side))


@pytest.mark.skipif(not REFERENCE.is_dir(), reason="LPIPS's weights are not here")
def test_lpips_as_a_loss_leads_towards_the_picture(sr: Run, tmp_path: Path) -> None:
    lpips = LPIPS("vgg", REFERENCE / "lpips_vgg16.safetensors")
    hr = torch.from_numpy(smooth(48, 48)).permute(2, 0, 1)[None] / np.float32(255)
    sr_ = (hr * 0.8).clone().requires_grad_(True)
    flat = torch.zeros_like(hr).requires_grad_(True)
    for picture in (sr_, flat):
        lpips(picture, hr).sum().backward()
        assert picture.grad is not None and bool(torch.isfinite(picture.grad).all())
    with torch.no_grad():
        assert sr_.grad is not None
        nearer = sr_ - 1e-3 * sr_.grad / sr_.grad.norm()
        assert float(lpips(nearer, hr)) < float(lpips(sr_.detach(), hr))
    for number in range(3):
        Image.fromarray(smooth(96, 96, seed=number)).save(tmp_path / f"{number}.png")
    done = sr("train", "-m", "edsr", "-x2", "--data", ".", "--steps", "2", "--lr-patch",
              "16", "--batch", "2", "--set", "config.blocks=1", "--set", "losses.lpips=0.1",
              "--trunk", REFERENCE / "lpips_vgg16.safetensors", "-o", "a.safetensors")  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    logged = json.loads((tmp_path / "a.run" / "log.jsonl").read_text().splitlines()[-1])
    assert 0 < logged["losses"]["lpips"] < 1
