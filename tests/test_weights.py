"""The shipped weights: tiles, precision and figures, each for every entry of the manifest."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import REPOSITORY
from helpers.networks import needs_bf16
from PIL import Image
from safetensors.torch import save_file

from sr_cli.engine.budget import needed_halo
from sr_cli.engine.upscaler import Upscaler
from sr_cli.errors import SrError
from sr_cli.evaluation.metrics import psnr_y
from sr_cli.imaging.decode import read_picture
from sr_cli.imaging.resize import crop_to_multiple, downscale_bicubic
from sr_cli.networks import create_model
from sr_cli.registry.checkpoint import (
    Header,
    is_sr_checkpoint,
    load_checkpoint,
    read_header,
    save_checkpoint,
)
from sr_cli.registry.manifest import Entry, load_manifest
from sr_cli.registry.ref import load_model

SHIPPED = load_manifest().embedded
ENTRIES = pytest.mark.parametrize("entry", SHIPPED, ids=lambda e: e.id)
FILES = pytest.mark.parametrize(
    "entry", {e.file: e for e in reversed(SHIPPED)}.values(), ids=lambda e: e.id
)
"""One entry for each file: VDSR's serves three scales."""

LARGEST = pytest.mark.parametrize(
    "entry",
    [e for e in {e.family: e for e in SHIPPED}.values() if e.network != "vdsr"],
    ids=lambda e: e.id,
)
"""One entry for each family; the others, and slow VDSR, are left to `sr benchmark --check`."""


def part_of_the_photo(side: int) -> np.ndarray:
    photo = np.asarray(Image.open(REPOSITORY / "examples" / "photo.jpg"))
    return photo[100 : 100 + side, 120 : 120 + side]


@FILES
def test_tiles_with_the_declared_halo_agree(entry: Entry) -> None:
    model = load_model(entry.id)
    # Two tiles each way, each with all of its halo on one side.
    side = 2 * needed_halo(model) + 48
    lr = part_of_the_photo(side).astype(np.uint16) * 257
    whole = Upscaler(model, precision="fp32", tile=side)(lr).astype(np.float64)
    told = []
    tiled = Upscaler(model, precision="fp32", tile=32)(lr, lambda done, all: told.append(all))
    assert told == [4] * 4
    allowed = 1e-4 if model.network.receptive_radius is not None else 0.02
    assert np.abs(whole - tiled).max() / 65535 <= allowed


@needs_bf16
@FILES
def test_half_precision_costs_at_most_a_hundredth(entry: Entry) -> None:
    """On a clean image; in bf16 wherever it is allowed, whatever this machine would choose."""
    hr = crop_to_multiple(part_of_the_photo(192), entry.scale)
    lr = downscale_bicubic(hr, entry.scale)
    model = load_model(entry.id)
    if not model.traits.half_is_safe:
        assert Upscaler(model).dtype == torch.float32
        return
    exact, half = (
        psnr_y(Upscaler(model, precision=p)(lr), hr, border=entry.scale) for p in ("fp32", "bf16")
    )
    assert half > exact - 0.01


@LARGEST
def test_the_figures_are_true(entry: Entry, test_sets: Path) -> None:
    upscaler = Upscaler(load_model(entry.id))
    values = []
    for path in sorted((test_sets / "Set5").iterdir()):
        hr = crop_to_multiple(read_picture(path).frames[0].pixels, entry.scale)
        sr = upscaler(downscale_bicubic(hr, entry.scale))
        values.append(psnr_y(sr, hr, border=entry.scale))
    assert np.mean(values) == pytest.approx(entry.figures["Set5 PSNR-Y"], abs=0.01)


@ENTRIES
def test_the_header_says_the_same_as_the_manifest(entry: Entry) -> None:
    header = read_header(entry.path)
    assert header.model == entry.network and entry.scale in header.scales
    several = len(header.scales) > 1
    prefix = f"x{entry.scale} " if several else ""
    assert {k: header.figures[prefix + k] for k in entry.figures} == entry.figures
    assert header.licence == entry.licence != ""
    assert header.recipe["losses"]


def test_a_checkpoint_comes_back(tmp_path: Path) -> None:
    model = create_model("edsr", scale=3, blocks=2, features=8)
    header = Header("edsr", [3], model.config, halo=7, recipe={"steps": 1}, licence="CC0")
    save_checkpoint(tmp_path / "a.safetensors", header, model.state_dict())
    again, found = load_checkpoint(tmp_path / "a.safetensors")
    assert found == header
    assert (again.scale, again.config) == (3, model.config)
    traits = load_model(tmp_path / "a.safetensors", scale=3).traits
    assert (traits.architecture, traits.halo, traits.half_is_safe) == ("edsr", 7, True)
    assert traits.value_range == (0, 1)
    assert load_model("espcn-x2").traits.value_range == pytest.approx((16 / 255, 235 / 255))
    assert all(torch.equal(v, again.state_dict()[k]) for k, v in model.state_dict().items())
    with pytest.raises(SrError) as caught:
        load_checkpoint(tmp_path / "a.safetensors", scale=4)
    assert caught.value.code == "scale-not-available"
    assert caught.value.facts == {"scale": 4, "available": [3]}


@pytest.mark.parametrize(
    "change",
    [
        {"model": "nonsense"},
        {"format": 99},
        {"scales": []},
        {"scales": ["2"]},
        {"config": {"scale": 2}},
        {"config": []},
        {"config": {"features": 5000}},
        {"config": {"features": [1, "2"]}},
        {"config": {"widht": 3}},
        {"halo": -1},
        {"halo": 512},
        {"halo": "7"},
        {"colour": "red"},
    ],
)
def test_a_header_is_checked(tmp_path: Path, change: dict[str, object]) -> None:
    described = asdict(Header("edsr", [2])) | change
    path = tmp_path / "a.safetensors"
    save_file({"a": torch.zeros(1)}, path, metadata={"sr": json.dumps(described)})
    with pytest.raises(SrError) as caught:
        load_checkpoint(path)
    assert (caught.value.code, caught.value.subject) == ("invalid-header", str(path))


def test_files_that_are_no_checkpoint_of_ours(tmp_path: Path) -> None:
    for name, code in (("missing", "file-not-found"), ("plain", "not-an-sr-checkpoint"),
                       ("text", "unreadable-checkpoint")):  # fmt: skip
        path = tmp_path / f"{name}.safetensors"
        if name == "plain":
            save_file({"a": torch.zeros(1)}, path)
        if name == "text":
            path.write_text("hello")
        assert not is_sr_checkpoint(path)
        with pytest.raises(SrError) as caught:
            read_header(path)
        assert caught.value.code == code


def test_tensors_that_do_not_fit_are_named(tmp_path: Path) -> None:
    model = create_model("edsr", scale=2, blocks=2, features=8)
    tensors = model.state_dict()
    tensors["head.weight"] = torch.zeros(4, 3, 3, 3)
    for number in range(5):
        tensors[f"extra.{number}"] = torch.zeros(1)
    del tensors["head.bias"]
    path = tmp_path / "a.safetensors"
    save_checkpoint(path, Header("edsr", [2], model.config), tensors)
    with pytest.raises(SrError) as caught:
        load_checkpoint(path)
    assert caught.value.code == "tensor-mismatch"
    facts = caught.value.facts
    assert facts["missing"] == ["head.bias"]
    assert facts["unknown"] == ["extra.0", "extra.1", "extra.2", "+2"]
    assert facts["wrong_shape"] == ["head.weight (4, 3, 3, 3) instead of (8, 3, 3, 3)"]


def test_one_set_of_weights_serves_every_scale(tmp_path: Path) -> None:
    model = create_model("vdsr", scale=2, layers=3, features=8)
    save_checkpoint(
        tmp_path / "v.safetensors", Header("vdsr", [2, 3, 4], model.config), model.state_dict()
    )
    for scale in (2, 3, 4):
        assert load_checkpoint(tmp_path / "v.safetensors", scale=scale)[0].scale == scale


def test_figures_beat_bicubic() -> None:
    floors = {"PSNR-Y": 28.429, "LPIPS": 0.3398}
    for entry in load_manifest().embedded:
        if entry.scale != 4:
            continue
        better = "LPIPS" if entry.network == "srgan" else "PSNR-Y"
        value = entry.figures[f"Set5 {better}"]
        assert math.isfinite(value)
        assert value < floors[better] if better == "LPIPS" else value > floors[better]
