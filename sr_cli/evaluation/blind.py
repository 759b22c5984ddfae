"""`--ab`: a page for comparing models blindly, by eye, in any browser and without a server."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Sequence
from hashlib import sha256
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sr_cli.errors import SrError
from sr_cli.evaluation.measure import Pixels
from sr_cli.evaluation.report import Comparison
from sr_cli.evaluation.sheet import find_region
from sr_cli.system.files import atomic_write, make_folder

_SIDE = 448
"""Larger images are cut to where the models differ most."""


def write_page(
    comparisons: Sequence[Comparison], folder: Path, models: Sequence[str] | None = None
) -> Path:
    """Write a page with every image inside it, that asks about each pair of models on each image.

    Order and side are drawn anew in the browser.

    Args:
        comparisons: What a benchmark has kept.
        folder: Where index.html is written.
        models: Those to compare; None for all.

    Returns:
        The path of the page.

    Raises:
        SrError: `nothing-to-compare`, `unwritable-file`.
    """
    document = _document(comparisons, models)
    template = (Path(__file__).parent / "data" / "ab.html").read_text(encoding="utf-8")
    # "</" would end the script in which the data lie.
    content = template.replace("/*DATA*/", json.dumps(document).replace("</", "<\\/"))
    make_folder(folder)
    path = folder / "index.html"
    with atomic_write(path) as file:
        file.write(content.encode("utf-8"))
    return path


def _document(comparisons: Sequence[Comparison], models: Sequence[str] | None) -> dict[str, Any]:
    """Questions that point into a list of images."""
    images: list[str] = []
    trials = []
    for comparison in comparisons:
        chosen = {
            name: image
            for name, image in comparison.results.items()
            if models is None or name in models
        }
        if len(chosen) < 2:
            continue
        place = {}
        for name, cut in zip(
            chosen, _crop_where_models_differ(list(chosen.values()), comparison.hr), strict=True
        ):
            place[name] = len(images)
            images.append(_data_uri(cut))
        trials += [
            {
                "image": comparison.image,
                "degradation": comparison.degradation,
                "first": first,
                "second": second,
                "a": place[first],
                "b": place[second],
            }
            for first, second in combinations(chosen, 2)
        ]
    if not trials:
        raise SrError("nothing-to-compare")
    document = {
        "trials": trials,
        "pictures": images,
        "degradations": sorted({c.degradation for c in comparisons}),
    }
    document["id"] = sha256(json.dumps(document).encode()).hexdigest()[:16]
    return document


def _crop_where_models_differ(results: list[Pixels], hr: Pixels) -> list[Pixels]:
    height, width = hr.shape[:2]
    if max(height, width) <= _SIDE:
        return results
    side = min(_SIDE, height, width)
    top, left = find_region(results, hr, side, "differ")
    return [p[top : top + side, left : left + side] for p in results]


def _data_uri(image: Pixels) -> str:
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(buffer, "WEBP", lossless=True)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()
