"""LPIPS against the published figures of its own example pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import SHARED
from PIL import Image
from safetensors.torch import load_file, save_file

from sr_cli.errors import SrError
from sr_cli.evaluation.lpips import LPIPS

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
    with pytest.raises(SrError, match="not the published weights"):
        LPIPS("alex", tmp_path / "other.safetensors")
    with pytest.raises(SrError, match="is missing"):
        LPIPS("vgg", tmp_path / "other.safetensors")
