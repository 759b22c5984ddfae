"""LPIPS against the published figures of its own example pictures."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import SHARED
from PIL import Image

from sr_cli.evaluation.lpips import LPIPS

WEIGHTS = SHARED / "reference" / "lpips_alexnet.safetensors"


@pytest.mark.skipif(not WEIGHTS.exists(), reason="LPIPS's weights are not here")
def test_the_example_pictures() -> None:
    lpips = LPIPS("alex", WEIGHTS)
    reference, p0, p1 = (
        np.array(Image.open(WEIGHTS.parent / "lpips_example" / f"ex_{n}.png").convert("RGB"))
        for n in ("ref", "p0", "p1")
    )
    assert lpips.distance(p0, reference) == pytest.approx(0.7219, abs=0.001)
    assert lpips.distance(p1, reference) == pytest.approx(0.1376, abs=0.001)
    assert lpips.distance(reference, reference) == 0
