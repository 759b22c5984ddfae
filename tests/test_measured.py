"""Measured images: which model they get, and what their files say of space and values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from helpers.command import Run
from helpers.images import save, smooth

from sr_cli import read_provenance

DEFAULT = ("upscale", "-x2", "--json")


def gray(h: int = 20, w: int = 24, top: int = 255) -> Any:
    return smooth(h, w, top=top)[..., 0]


def write_measured(path: Path, kind: str) -> None:
    """A TIFF of one of the kinds that are measured."""
    if kind == "float":
        tifffile.imwrite(path, gray().astype(np.float32) / 255)
    elif kind == "signed":
        tifffile.imwrite(path, gray().astype(np.int16))
    elif kind == "ome":
        tifffile.imwrite(path, gray(), ome=True, metadata={"axes": "YX"})
    elif kind == "imagej":
        tifffile.imwrite(path, gray(), imagej=True)
    else:
        scale = (33550, 12, 3, (10.0, 10.0, 0.0), True)
        tifffile.imwrite(path, gray(), extratags=[scale], metadata=None)


KINDS = ["float", "signed", "ome", "imagej", "geo"]


@pytest.mark.parametrize("kind", KINDS)
def test_measured_images_get_a_faithful_model(sr: Run, tmp_path: Path, kind: str) -> None:
    write_measured(tmp_path / "a.tif", kind)
    save(tmp_path / "b.png", 20, 24)
    tifffile.imwrite(tmp_path / "c.tif", gray(), metadata=None)
    done = sr(*DEFAULT, "a.tif", "b.png", "c.tif")
    models = {record["input"]: record["model"] for record in done.records}
    assert models == {"a.tif": "edsr-baseline", "b.png": "photo", "c.tif": "photo"}
    (note,) = [n for n in done.notes if n["kind"] == "faithful-model"]
    assert note["model"] == "edsr-baseline"


@pytest.mark.parametrize("kind", ["float", "ome"])
def test_measured_images_on_stdin_as_well(sr: Run, tmp_path: Path, kind: str) -> None:
    write_measured(tmp_path / "a.tif", kind)
    content = (tmp_path / "a.tif").read_bytes()
    done = sr(*DEFAULT, "-", "-o", "a.tiff", input=content)
    assert done.returncode == 0 and done.records[0]["model"] == "edsr-baseline"
    assert "faithful-model" in done.note_kinds
    named = sr("upscale", "-x2", "-m", "edsr", "a.tif", "-o", "b.tiff")
    assert named.returncode == 0
    made = [tifffile.imread(tmp_path / name) for name in ("a.tiff", "b.tiff")]
    assert np.array_equal(*made)


def test_a_model_that_invents_is_used_when_it_is_named(sr: Run, tmp_path: Path) -> None:
    write_measured(tmp_path / "a.tif", "float")
    save(tmp_path / "b.png", 20, 24)
    done = sr(*DEFAULT, "-m", "photo", "a.tif", "b.png")
    assert [record["model"] for record in done.records] == ["photo", "photo"]
    (note,) = [n for n in done.notes if n["kind"] == "may-invent"]
    assert note["model"] == "photo"
    for model in ("edsr", "espcn", "bicubic"):
        kinds = sr(*DEFAULT, "-m", model, "-y", "a.tif").note_kinds
        assert "may-invent" not in kinds and "faithful-model" not in kinds


def test_the_scale_of_the_faithful_model_is_the_wanted_one(sr: Run, tmp_path: Path) -> None:
    write_measured(tmp_path / "a.tif", "float")
    for inputs in (("a.tif",), ("-", "-o", "b.tif")):
        content = (tmp_path / "a.tif").read_bytes()
        done = sr("upscale", "-x3", *inputs, "-v", input=content)
        # `photo` has no x3.
        assert done.returncode == 0
    assert np.array_equal(
        tifffile.imread(tmp_path / "a_x3.tif"), tifffile.imread(tmp_path / "b.tif")
    )
    made = read_provenance(tmp_path / "b.tif")
    assert made is not None and made.models[0].id == "edsr-baseline-x3"
