"""Tiles of every architecture that spandrel can build small, against one pass over the image."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from helpers import REPOSITORY
from helpers.architectures import SMALL, write_checkpoint
from helpers.tools import tool

from sr_cli.engine.textured import textured_image
from sr_cli.engine.upscaler import Upscaler
from sr_cli.registry.ref import parse_model

pytest.importorskip("spandrel")

SIZES = [(40, 61), (67, 33), (90, 24)]
"""No multiples of any grid, so that tiles begin at every offset."""

PAGE = REPOSITORY / "docs/foreign-checkpoints.md"


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


def documented_rows() -> dict[str, dict[str, str]]:
    """The rows of the table in the docs: cells by column, by the name of the network."""
    (part,) = re.findall(
        r"<!-- architectures -->\n(.*?)<!-- end -->", PAGE.read_text("utf-8"), re.S
    )
    lines = [line.strip("| ").split(" | ") for line in part.splitlines() if line.startswith("|")]
    rows = [dict(zip(lines[0], [*cells, ""], strict=False)) for cells in lines[2:]]
    return {row["network"].strip("`"): row for row in rows}


def test_the_docs_have_every_architecture() -> None:
    rows = documented_rows()
    assert rows.keys() >= SMALL.keys()
    for name, row in rows.items():
        unequal = row["probe"] == "–" or float(row["probe"]) > 0
        assert not unequal or row.get("remark"), f"{name}: why do its tiles differ?"
    assert re.search(r"spandrel \d+\.\d+\.\d+ and PyTorch \d+\.\d+", PAGE.read_text("utf-8"))


@pytest.mark.parametrize("name", ["ditn", "fdat-dysample"])
def test_the_docs_have_what_is_measured(name: str, tmp_path: Path) -> None:
    architectures = tool("architectures")
    model = parse_model(str(write_checkpoint(name, tmp_path / "a.safetensors"))).load(None)
    lr = textured_image(40, 61, 3)[0].permute(1, 2, 0).numpy()
    cells = architectures.measure(name, architectures.strengthened(model), lr)
    row = documented_rows()[name]
    # The halo depends a little on the processor, the precision altogether.
    for column, cell in zip(row, cells, strict=False):
        if column in ("architecture", "network", "grid", "least", "probe"):
            assert cell == row[column]
