"""`--compare`: the same crop through every model, in one sheet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from sr_cli.errors import RefusedError, SrError
from sr_cli.evaluation.datasets import TestSet
from sr_cli.evaluation.measure import Pixels, as_rgb
from sr_cli.evaluation.report import Comparison
from sr_cli.imaging.colour import luma
from sr_cli.imaging.decode import read_size
from sr_cli.system.files import atomic_write, make_folder

REGIONS = ("differ", "edges", "texture")
"""The criteria for choosing a crop: see `find_region`."""

_CROP = 96
_MAGNIFIED = 3
_GAP, _LABEL = 6, 22
_COLUMNS = 4
_NAMED = 20
"""How many images an error names."""


@dataclass(frozen=True)
class Crop:
    """A square of an image, in pixels of the original."""

    image: str
    left: int
    top: int
    side: int


def check_crop(crop: Crop, sets: Sequence[TestSet]) -> None:
    """Check that a crop is inside an image of the sets.

    Raises:
        RefusedError: `unknown-value` for the image, `crop-outside-image`.
    """
    images = [i for s in sets for i in s.images]
    image = next((i for i in images if i.name == crop.image), None)
    if image is None:
        known = [i.name for i in images[:_NAMED]]
        raise RefusedError("unknown-value", "image", value=crop.image, known=known)
    size = read_size(image.hr)
    if size is not None and not _is_inside(crop, *size):
        raise RefusedError("crop-outside-image", crop.image, width=size[0], height=size[1])


def write_sheet(
    comparisons: Sequence[Comparison], path: Path, region: str | Crop = "differ"
) -> None:
    """Write crops of one image through every model, the original first, as a PNG.

    Args:
        comparisons: What a benchmark has kept.
        path: The sheet.
        region: One of `REGIONS`: the crop is where it is strongest over all images; or the crop.

    Raises:
        SrError: `nothing-to-compare`, `unwritable-file`, and for a crop that was given
            `unknown-value` and `crop-outside-image`.
    """
    if not comparisons:
        raise SrError("nothing-to-compare")
    if isinstance(region, Crop):
        comparison, crop = _find_image(comparisons, region), region
    else:
        found = [_strongest_crop(c, region) for c in comparisons]
        strengths = [strength for strength, _ in found]
        best = strengths.index(max(strengths))
        comparison, crop = comparisons[best], found[best][1]
    sheet = draw_sheet(comparison, crop)
    write_png(np.asarray(sheet), path)


def _find_image(comparisons: Sequence[Comparison], crop: Crop) -> Comparison:
    found = next((c for c in comparisons if c.image == crop.image), None)
    if found is None:
        known = [c.image for c in comparisons[:_NAMED]]
        raise SrError("unknown-value", "image", value=crop.image, known=known)
    height, width = found.hr.shape[:2]
    if not _is_inside(crop, width, height):
        raise SrError("crop-outside-image", crop.image, width=width, height=height)
    return found


def _is_inside(crop: Crop, width: int, height: int) -> bool:
    return crop.left + crop.side <= width and crop.top + crop.side <= height


def _strongest_crop(comparison: Comparison, region: str) -> tuple[float, Crop]:
    """The crop, and how much the models differ in it."""
    results = list(comparison.results.values())
    side = min(_CROP, *comparison.hr.shape[:2])
    top, left = find_region(results, comparison.hr, side, region)
    cut = np.stack([p[top : top + side, left : left + side] for p in results])
    return float(cut.astype(np.float64).std(0).mean()), Crop(comparison.image, left, top, side)


def find_region(results: Sequence[Pixels], hr: Pixels, side: int, region: str) -> tuple[int, int]:
    """Choose the crop of an image that shows most.

    Args:
        results: The image through each model, (h, w[, 3]).
        hr: The original.
        side: Of the crop, in pixels.
        region: `differ` (where the results differ most among themselves), `edges` (strongest
            gradients of the original) or `texture` (most local variance without strong edges).

    Returns:
        Top and left of the crop.
    """
    if region == "differ":
        interest = np.stack([_luma(p) for p in results]).std(0)
    else:
        y = _luma(hr)
        gx, gy = cv2.Sobel(y, cv2.CV_64F, 1, 0), cv2.Sobel(y, cv2.CV_64F, 0, 1)
        strength: Any = np.hypot(gx, gy)
        # In flat graphics most pixels have no gradient at all: only the others tell what is usual.
        usual = np.median(strength) or np.median(strength[strength > 0]) if strength.any() else 0
        interest = strength if region == "edges" else np.minimum(strength, usual * 3)
    height, width = interest.shape
    side = min(side, height, width)
    window = cv2.boxFilter(
        interest, -1, (side, side), anchor=(0, 0), normalize=True, borderType=cv2.BORDER_REFLECT
    )
    inner = window[: height - side + 1, : width - side + 1]
    top, left = np.unravel_index(int(np.argmax(inner)), inner.shape)
    return int(top), int(left)


def _luma(image: Pixels) -> NDArray[np.float64]:
    return image.astype(np.float64) if image.ndim == 2 else luma(image)


def draw_sheet(comparison: Comparison, crop: Crop) -> Image.Image:
    """The crop of the original and of each result, each pixel as a square, under its name."""
    rows, columns = (slice(start, start + crop.side) for start in (crop.top, crop.left))
    cells = [
        (name, as_rgb(image[rows, columns]).repeat(_MAGNIFIED, 0).repeat(_MAGNIFIED, 1))
        for name, image in [("ground truth", comparison.hr), *comparison.results.items()]
    ]
    h, w = cells[0][1].shape[:2]
    across = min(_COLUMNS, len(cells))
    down = -(-len(cells) // across)
    sheet = Image.new("RGB", (across * (w + _GAP), down * (h + _LABEL + _GAP)), "white")
    draw = ImageDraw.Draw(sheet)
    for number, (name, cut) in enumerate(cells):
        x, y = number % across * (w + _GAP), number // across * (h + _LABEL + _GAP)
        draw.text((x + 2, y + 3), name, fill="black", font=ImageFont.load_default(13))
        sheet.paste(Image.fromarray(np.ascontiguousarray(cut)), (x, y + _LABEL))
    return sheet


def write_png(pixels: Pixels, path: Path) -> None:
    """Write an image (h, w[, 3]) uint8, creating its folder.

    Raises:
        SrError: `unwritable-file`.
    """
    make_folder(path.parent)
    with atomic_write(path) as file:
        Image.fromarray(pixels).save(file, "PNG")
