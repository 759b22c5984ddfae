"""`--preview`: a sheet of training crops."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from sr_cli.errors import SrError
from sr_cli.training.crops import Crops
from sr_cli.training.data import DataReader
from sr_cli.training.events import ignore_event
from sr_cli.training.monitoring import save_png
from sr_cli.training.recipe import Recipe

_GAP = 8


def draw_preview(
    recipe: Recipe, data: Sequence[Path], output: Path, count: int, *, memory: int | None = None
) -> None:
    """Draw the crops of the first steps, lr next to hr, into a PNG.

    Args:
        recipe: Crops, degradation and augmentation.
        data: Folders and files of images.
        output: The PNG.
        count: Crops to draw.
        memory: Bytes of pixels kept in memory, as in a training.

    Raises:
        SrError: `unwritable-file`, and as `DataReader.training_pairs`.
    """
    try:
        # Not in the run's folder: a run of this name may be in progress.
        with tempfile.TemporaryDirectory(
            prefix=".sr-", dir=output.parent, ignore_cleanup_errors=True
        ) as scratch:
            reader = DataReader(recipe, memory, Path(scratch), ignore_event)
            crops = Crops(reader.training_pairs(data), recipe, channels=3)
            save_png(preview(crops, count, recipe.scales[0]), output)
    except OSError as error:
        raise SrError("unwritable-file", output, reason=error.strerror or str(error)) from error


def preview(crops: Crops, count: int, scale: int) -> Image.Image:
    """Draw `count` crops of the first steps: lr, with square pixels, next to hr."""
    side = crops.recipe.lr_side(scale) * scale
    columns = max(1, min(4, math.isqrt(count)))
    rows = -(-count // columns)
    cell = (2 * side + _GAP, side + _GAP)
    sheet = Image.new("RGB", (columns * (cell[0] + _GAP), rows * cell[1]), "white")
    for number in range(count):
        step, index = divmod(number, crops.recipe.batch)
        lr, hr = crops.crop(step, index, scale)
        x, y = number % columns * (cell[0] + _GAP), number // columns * cell[1]
        blocks = np.ascontiguousarray(lr).repeat(scale, 0).repeat(scale, 1)
        sheet.paste(Image.fromarray(blocks), (x, y))
        sheet.paste(Image.fromarray(np.ascontiguousarray(hr)), (x + side + 2, y))
    return sheet
