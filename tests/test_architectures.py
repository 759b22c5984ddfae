"""Tiles of every architecture that spandrel can build small, against one pass over the image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.architectures import SMALL, write_checkpoint

from sr_cli.engine.textured import textured_image
from sr_cli.engine.upscaler import Upscaler
from sr_cli.registry.ref import parse_model

pytest.importorskip("spandrel")

SIZES = [(40, 61), (67, 33), (90, 24)]
"""No multiples of any grid, so that tiles begin at every offset."""


@pytest.mark.parametrize("name", sorted(set(SMALL) - {"fdat-dysample"}))
def test_tiles_equal_the_whole_image_or_their_difference_is_known(
    name: str, tmp_path: Path
) -> None:
    model = parse_model(str(write_checkpoint(name, tmp_path / "a.safetensors"))).load(None)
    whole = Upscaler(model, precision="fp32", tile=0)
    for size in SIZES:
        lr = (textured_image(*size, 3)[0].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
        expected = whole(lr).astype(int)
        for tile in (16, 24, 41):
            tiled = Upscaler(model, precision="fp32", tile=tile)
            worst = int(np.abs(tiled(lr) - expected).max())
            (difference,) = [n.facts["difference"] for n in tiled.notes] or [0]
            # Random weights look a little farther than trained ones.
            assert worst <= max(2, 3 * difference), (size, tile, tiled.halo, tiled.grid)
