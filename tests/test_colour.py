"""BT.601 luma: the constants against each other and against the papers' formula."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sr_cli.imaging.colour import LUMA_BLACK, LUMA_RANGE, LUMA_WEIGHTS, LUMA_WHITE, luma
from sr_cli.training.crops import luma_of


def test_luma_is_the_papers_formula() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    r, g, b = (rgb[..., i].astype(float) for i in range(3))
    assert np.allclose(luma(rgb), 16 + (65.481 * r + 128.553 * g + 24.966 * b) / 255, atol=1e-9)
    ours = luma_of(torch.from_numpy(rgb / 255.0).permute(2, 0, 1)[None])
    assert np.allclose(255 * ours[0, 0].numpy(), luma(rgb), atol=1e-9)


@pytest.mark.parametrize(("gray", "y"), [(0, 16), (255, 235), (51, 16 + 219 / 5)])
def test_gray_has_the_studio_range(gray: int, y: float) -> None:
    assert luma(np.full((2, 2, 3), gray, np.uint8)) == pytest.approx(y)


def test_the_constants_agree() -> None:
    assert LUMA_WEIGHTS.sum() == pytest.approx(LUMA_RANGE) == LUMA_WHITE - LUMA_BLACK
    assert (255 * LUMA_BLACK, 255 * LUMA_WHITE) == (16, 235)
