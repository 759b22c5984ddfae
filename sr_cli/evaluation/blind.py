"""`--ab`: a page for comparing models blindly, by eye, in any browser and without a server."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import combinations
from pathlib import Path

import numpy as np
from PIL import Image

from sr_cli.errors import SrError
from sr_cli.evaluation.measure import Pixels
from sr_cli.evaluation.sheet import find_region
from sr_cli.system.files import atomic_write

_SIDE = 448
"""Larger pictures are cut to where the models differ most."""


@dataclass(frozen=True)
class Trial:
    """One image under one degradation, through every model, and its original."""

    image: str
    degradation: str
    pictures: Mapping[str, Pixels]
    hr: Pixels


def write_page(trials: Sequence[Trial], folder: Path) -> Path:
    """index.html in `folder`, with every picture inside it: each pair of models, each image.

    Order and side are drawn anew in the browser. Raises SrError when nothing can be compared.
    """
    pictures: list[str] = []
    asked = []
    for trial in trials:
        names = list(trial.pictures)
        if len(names) < 2:
            continue
        place = {}
        for name, cut in zip(names, _cut(trial), strict=True):
            place[name] = len(pictures)
            pictures.append(_data_uri(cut))
        for first, second in combinations(names, 2):
            asked.append(
                {
                    "image": trial.image,
                    "degradation": trial.degradation,
                    "first": first,
                    "second": second,
                    "a": place[first],
                    "b": place[second],
                }
            )
    if not asked:
        raise SrError("nothing to compare: --ab needs two models and a picture")
    document = {
        "trials": asked,
        "pictures": pictures,
        "degradations": sorted({t.degradation for t in trials}),
    }
    document["id"] = sha256(json.dumps(document).encode()).hexdigest()[:16]
    template = (Path(__file__).parent / "data" / "ab.html").read_text(encoding="utf-8")
    # "</" would end the script in which the data lie.
    content = template.replace("/*DATA*/", json.dumps(document).replace("</", "<\\/"))
    path = folder / "index.html"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SrError(f"{folder}: cannot be written ({error.strerror or error})") from error
    with atomic_write(path) as file:
        file.write(content.encode("utf-8"))
    return path


def _cut(trial: Trial) -> list[Pixels]:
    found = list(trial.pictures.values())
    height, width = found[0].shape[:2]
    side = min(_SIDE, height, width)
    if max(height, width) <= _SIDE:
        return found
    top, left = find_region(found, trial.hr, side, "differ")
    return [p[top : top + side, left : left + side] for p in found]


def _data_uri(picture: Pixels) -> str:
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(picture)).save(buffer, "WEBP", lossless=True)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()
