"""`--verify` and `--consistent`: results that are reduced again and compared with their inputs."""

from __future__ import annotations

import zipfile
from itertools import product
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
import torch
from helpers.command import Run
from helpers.images import save, smooth
from helpers.networks import compact
from PIL import Image

from sr_cli import EngineOptions, UpscaleOptions, find_deviation, upscale_files, upscale_image
from sr_cli.evaluation.metrics import psnr_y
from sr_cli.imaging.consistency import project
from sr_cli.imaging.resize import crop_to_multiple, downscale_bicubic, resize_bicubic

ESPCN = ("upscale", "-m", "espcn", "-x2", "--precision", "fp32")


def sharp(h: int = 40, w: int = 52) -> Any:
    """Lines and blocks from 0 to 255, which networks overshoot, beside smooth colour."""
    pixels = smooth(h, w)
    pixels[8:20, 6:30], pixels[12:14] = 255, 0
    pixels[:, 40:42] = 255
    return downscale_bicubic(np.kron(pixels, np.ones((2, 2, 1), np.uint8)), 2)


def reduced(sr: Any, size: tuple[int, int]) -> Any:
    """Not rounded, by the reducer of the evaluation, and limited as it limits."""
    return resize_bicubic(sr.astype(np.float32), *size, rounded_between=False).clip(0, 255)


def test_the_deviation_is_that_of_the_file(sr: Run, tmp_path: Path) -> None:
    Image.fromarray(sharp()).save(tmp_path / "a.png")
    (record,) = sr(*ESPCN, "a.png", "--verify", "--json").records
    made = np.asarray(Image.open(tmp_path / "a_x2.png"))
    apart = np.abs(reduced(made, (40, 52)) - sharp())
    assert record["deviation"]["count"] == sharp().size
    assert record["deviation"]["largest"] == pytest.approx(apart.max(), abs=1e-3)
    assert record["deviation"]["mean"] == pytest.approx(apart.mean(), abs=1e-3)
    assert apart.max() > 1
    done = sr(*ESPCN, "a.png", "--verify", "-y")
    assert f"at most {apart.max():.3g} of 255".encode() in done.stderr
    assert "deviation" not in sr(*ESPCN, "a.png", "-y", "--json").records[0]


@pytest.mark.parametrize(
    ("kind", "scale"),
    # The range of "short" ends at its largest value, as black and white do.
    [("short", "2"), *product(["rgb", "gray", "rgba", "deep", "float"], ["2", "2.7", "4"])],
)
def test_consistent_results_give_back_their_inputs(
    sr: Run, tmp_path: Path, kind: str, scale: str
) -> None:
    # At factors that the input was not reduced by, black beside white has no exact result.
    rgb = sharp() if scale == "2" else (40 + sharp() * 0.7).astype(np.uint8)
    path = tmp_path / ("a.png" if kind in ("rgb", "gray", "rgba", "deep") else "a.tif")
    if kind in ("rgb", "gray"):
        Image.fromarray(rgb if kind == "rgb" else rgb[..., 0]).save(path)
    elif kind == "rgba":
        alpha = np.full(rgb.shape[:2], 255, np.uint8)
        alpha[:10, :10] = 0
        Image.fromarray(np.dstack([rgb, alpha])).save(path)
    elif kind == "deep":
        cv2.imwrite(str(path), rgb.astype(np.uint16)[..., 0] * 257)
    else:
        values = rgb[..., 1] / np.float32(255)
        values = values if kind == "float" else (values * 4000 - 1000).astype(np.int16)
        tifffile.imwrite(path, values)
    command = ("upscale", "-m", "espcn", "-x", scale, path.name, "--verify", "--json", "-y")
    (plain,) = sr(*command, "--precision", "fp32").records
    (made,) = sr(*command, "--consistent").records
    assert plain["deviation"]["largest"] > 1
    assert made["deviation"]["largest"] < 0.5
    assert made["deviation"]["mean"] < 0.15 < plain["deviation"]["mean"]
    assert made["precision"] == "fp32"
    hidden = 100 if kind == "rgba" else 0
    channels = 3 if kind in ("rgb", "rgba") else 1
    assert made["deviation"]["count"] == (40 * 52 - hidden) * channels


def test_every_tile_size_gives_the_same(sr: Run, tmp_path: Path) -> None:
    Image.fromarray(sharp(90, 70)).save(tmp_path / "a.png")
    made = []
    for tile in ("16", "24", "0"):
        assert sr(*ESPCN, "a.png", "-o", f"{tile}.png", "-t", tile, "--consistent").returncode == 0
        made.append(np.asarray(Image.open(tmp_path / f"{tile}.png")).astype(int))
    # Networks differ by 1e-6 between tiles, which rounding may make a step.
    assert max(np.abs(m - made[0]).max() for m in made) <= 1
    assert all((m != made[0]).mean() < 1e-3 for m in made)


def test_pixels_without_a_value_do_not_count(sr: Run, tmp_path: Path) -> None:
    values = (sharp()[..., 0] / 255).astype(np.float32)
    values[:10, :12] = np.nan
    tifffile.imwrite(tmp_path / "a.tif", values)
    (made,) = sr(*ESPCN, "a.tif", "--consistent", "--verify", "--json").records
    assert made["deviation"]["count"] == 40 * 52 - 120
    assert made["deviation"]["largest"] < 0.5
    assert np.isnan(tifffile.imread(tmp_path / "a_x2.tif")[:20, :24]).all()


def test_textures_that_wrap_stay_consistent_at_their_ends(sr: Run, tmp_path: Path) -> None:
    Image.fromarray(np.roll(sharp(), (16, 11), (0, 1))).save(tmp_path / "a.png")
    (made,) = sr(*ESPCN, "a.png", "--wrap", "both", "--consistent", "--verify", "--json").records
    assert made["deviation"]["largest"] < 0.5


def test_pages_and_archives_have_one_deviation(sr: Run, tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for page in (sharp(), sharp(24, 30)):
            writer.write(page, photometric="rgb", metadata=None)
    (made,) = sr(*ESPCN, "a.tif", "--verify", "--json").records
    assert made["deviation"]["count"] == sharp().size + 24 * 30 * 3
    save(tmp_path / "1.png", 20, 24)
    save(tmp_path / "2.png", 20, 24, seed=1)
    with zipfile.ZipFile(tmp_path / "a.cbz", "w") as archive:
        for name in ("1.png", "2.png"):
            archive.write(tmp_path / name, name)
    (made,) = sr(*ESPCN, "a.cbz", "--verify", "--consistent", "--json").records
    assert made["deviation"]["count"] == 2 * 20 * 24 * 3
    assert made["deviation"]["largest"] < 0.5


def test_what_cannot_be_verified_is_said(sr: Run, tmp_path: Path) -> None:
    Image.fromarray(sharp()).save(tmp_path / "a.png")
    small = sr("upscale", "-m", "espcn", "-x2", "--max-side", "20", "a.png", "--verify", "--json")
    assert small.note_kinds == ["not-verified"] and "deviation" not in small.records[0]
    for name in ("jpg", "gif"):
        done = sr(*ESPCN, "a.png", "-f", name, "--verify", "--json")
        assert "verified-before-compression" in done.note_kinds
    assert sr(*ESPCN, "a.png", "-f", "webp", "--lossless", "--verify", "--json").note_kinds == []


def test_what_cannot_be_consistent_is_refused(sr: Run, tmp_path: Path) -> None:
    Image.fromarray(sharp()).save(tmp_path / "a.png")
    (tmp_path / "clip.mp4").write_bytes(bytes(64))
    for option in ("--verify", "--consistent"):
        done = sr(*ESPCN, "clip.mp4", option)
        assert (done.returncode, done.error_codes) == (2, ["conflicting-options"])


def test_from_python(tmp_path: Path) -> None:
    lr = sharp()
    plain = upscale_image(lr, model="espcn", scale=2, precision="fp32")
    made = upscale_image(lr, model="espcn", scale=2, consistent=True)
    assert made.dtype == np.uint8 and made.shape == plain.shape
    assert find_deviation(lr, made).largest < 0.5 < find_deviation(lr, plain).largest
    Image.fromarray(lr).save(tmp_path / "a.png")
    options = UpscaleOptions(verify=True, engine=EngineOptions(consistent=True))
    (result,) = upscale_files(tmp_path / "a.png", model="espcn", scale=2, options=options)
    assert result.deviation == find_deviation(lr, made)


def test_a_result_that_is_consistent_stays_as_it_is() -> None:
    hr = np.kron(sharp(24, 24), np.ones((2, 2, 1), np.uint8)).astype(np.float32) / 255
    lr = resize_bicubic(hr, 24, 24, rounded_between=False)
    assert np.abs(project(lr, hr) - hr).max() < 1e-6


def test_corrections_of_rounding_do_not_undo_each_other_forever() -> None:
    # With whole corrections alone, some of these stay above 0.45 of 255.
    random = np.random.default_rng(146)
    lr = random.integers(60, 200, (24, 24), dtype=np.uint8)
    sr = np.kron(lr.astype(np.float64), np.ones((2, 2))) + random.normal(0, 12, (48, 48))
    made = project(lr, (sr.clip(0, 255) * 257).astype(np.uint16))
    assert find_deviation(lr, made).largest < 0.4505


@pytest.mark.parametrize("scale", [2, 4])
def test_psnr_does_not_fall(test_sets: Path, scale: int) -> None:
    # `ppt3` is black on white, which its reduction overshoots.
    for name in ("Set5/butterfly*", "Set14/ppt3*"):
        (path,) = test_sets.glob(name)
        hr = crop_to_multiple(np.asarray(Image.open(path).convert("RGB")), scale)
        lr = downscale_bicubic(hr, scale)
        plain = upscale_image(lr, model="espcn", scale=scale, precision="fp32")
        made = upscale_image(lr, model="espcn", scale=scale, consistent=True)
        assert psnr_y(made, hr, border=scale) > psnr_y(plain, hr, border=scale)
        assert find_deviation(lr, made).largest < 0.5


def test_consistent_results_of_a_model_that_restores_are_refused(sr: Run, tmp_path: Path) -> None:
    pytest.importorskip("spandrel")
    torch.save({"params": compact(1)}, tmp_path / "denoise.pth")
    Image.fromarray(sharp()).save(tmp_path / "a.png")
    for model in ("denoise.pth+espcn", "denoise.pth"):
        done = sr("upscale", "-m", model, "-x2", "a.png", "--consistent")
        assert (done.returncode, done.error_codes) == (2, ["conflicting-options"])
    (made,) = sr("upscale", "-m", "denoise.pth+espcn", "-x2", "a.png", "--verify", "--json").records
    assert made["deviation"]["largest"] > 0
