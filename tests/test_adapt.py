"""`--adapt`: the network is tuned to each image before it is upscaled."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from helpers.command import Run
from helpers.images import noise, pixels_of, save, smooth
from helpers.networks import compact
from PIL import Image
from safetensors.torch import save_file

from sr_cli import Adaptation, UpscaleOptions, upscale_files
from sr_cli.engine import adapt
from sr_cli.engine.adapt import adapt_model
from sr_cli.errors import RefusedError
from sr_cli.evaluation.metrics import psnr_y
from sr_cli.imaging.resize import downscale_bicubic
from sr_cli.registry.checkpoint import Header, save_checkpoint
from sr_cli.registry.loaded import as_loaded
from sr_cli.registry.ref import load_model
from sr_cli.upscale.request import Event, Progress

CPU = torch.device("cpu")


@pytest.fixture
def too_bright(tmp_path: Path) -> Path:
    """A checkpoint whose results are too bright, which tuning corrects step by step."""
    network = load_model("espcn", scale=2).network
    tensors = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    tensors[list(tensors)[-1]] += 0.02
    path = tmp_path / "bright.safetensors"
    save_checkpoint(path, Header("espcn", [2], network.config), tensors)
    return path


def test_what_is_tuned_is_better_and_says_so(sr: Run, tmp_path: Path, too_bright: Path) -> None:
    hr = smooth(144, 160)
    Image.fromarray(downscale_bicubic(hr, 2)).save(tmp_path / "a.png")
    command = ("upscale", "a.png", "-m", too_bright, "--precision", "fp32", "--json", "-o")
    plain = sr(*command, "plain.png")
    tuned = sr(*command, "tuned.png", "--adapt", "12")
    (note,) = tuned.notes
    assert (note["kind"], note["steps"]) == ("adapted", 12)
    assert f"{note['gain']:+.2f} dB".encode() in tuned.stderr
    before, after = (
        psnr_y(pixels_of(tmp_path / f"{name}.png"), hr, border=2) for name in ("plain", "tuned")
    )
    assert plain.notes == []
    assert after > before + 1
    assert note["gain"] > 1
    shown = {n: sr("models", "--of", f"{n}.png", "--json").document for n in ("plain", "tuned")}
    assert (shown["plain"]["adapted"], shown["tuned"]["adapted"]) == (0, 12)
    # The weights are of this image alone, and in memory only.
    assert sr(*command, "plain.png", "-y").returncode == 0
    assert psnr_y(pixels_of(tmp_path / "plain.png"), hr, border=2) == before


def test_the_same_steps_give_the_same_bytes(sr: Run, tmp_path: Path, too_bright: Path) -> None:
    save(tmp_path / "a.png", 90, 70)
    for name in ("1.png", "2.png"):
        done = sr("upscale", "a.png", "-m", too_bright, "--adapt", "6", "-o", name, "--json")
        assert done.note_kinds == ["adapted"]
    assert (tmp_path / "1.png").read_bytes() == (tmp_path / "2.png").read_bytes()
    other = sr("upscale", "a.png", "-m", too_bright, "--adapt", "3", "-o", "3.png")
    assert other.returncode == 0
    assert (tmp_path / "1.png").read_bytes() != (tmp_path / "3.png").read_bytes()


def test_what_is_not_better_is_left(sr: Run, tmp_path: Path) -> None:
    Image.fromarray(np.full((80, 90, 3), 90, np.uint8)).save(tmp_path / "flat.png")
    command = ("upscale", "-m", "espcn", "-x2", "flat.png", "-o")
    assert sr(*command, "plain.png").returncode == 0
    done = sr(*command, "left.png", "--adapt", "2", "--json")
    assert done.notes == [{"kind": "not-adapted", "steps": 2}]
    assert (tmp_path / "plain.png").read_bytes() == (tmp_path / "left.png").read_bytes()


def test_a_time_decides_the_number_of_steps(sr: Run, tmp_path: Path, too_bright: Path) -> None:
    save(tmp_path / "a.png", 70, 66)
    done = sr("upscale", "a.png", "-m", too_bright, "--adapt", "0.3s", "--json")
    (note,) = done.notes
    assert note["steps"] >= 1
    assert done.records[0]["seconds"] > 0.3


def test_progress_goes_on_through_both_parts(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", 90, 70)
    shares: list[float] = []

    def note(event: Event) -> None:
        if isinstance(event, Progress):
            shares.append(event.share)

    options = UpscaleOptions(adapt=Adaptation(steps=4))
    (result,) = upscale_files(path, model="espcn", scale=2, options=options, on_event=note)
    assert result.status == "done"
    assert shares[:4] == pytest.approx([0.225, 0.45, 0.675, 0.9])
    assert shares == sorted(shares)
    assert len(shares) > 4 and shares[-1] == 1


@pytest.mark.parametrize("kind", ["gray", "alpha", "deep", "float", "nothing"])
def test_every_kind_of_image(sr: Run, tmp_path: Path, too_bright: Path, kind: str) -> None:
    rgb = smooth(70, 80)
    name = "a.tif" if kind in ("float", "nothing") else "a.png"
    values = rgb[..., 0].astype(np.float32) * 7 - 300
    if kind in ("float", "nothing"):
        values[:9, :9] = np.nan
        tifffile.imwrite(tmp_path / name, values if kind == "float" else values * np.nan)
    elif kind == "deep":
        Image.fromarray(rgb[..., 0].astype(np.uint16) * 257).save(tmp_path / name)
    else:
        alpha = np.full((70, 80, 1), 255, np.uint8)
        alpha[:20] = 0
        Image.fromarray(rgb[..., 1] if kind == "gray" else np.dstack([rgb, alpha])).save(
            tmp_path / name
        )
    done = sr("upscale", name, "-m", too_bright, "--adapt", "4", "--json", "-o", f"sr-{name}")
    assert done.returncode == 0
    assert "adapted" in done.note_kinds
    made = tifffile.imread(tmp_path / "sr-a.tif") if kind in ("float", "nothing") else None
    if kind == "nothing":
        assert np.isnan(made).all()
    if kind == "float":
        assert np.isnan(made[:18, :18]).all()
        assert abs(np.nanmean(made) - np.nanmean(values)) < 40


def test_rgb_networks_and_consistent_results(sr: Run, tmp_path: Path) -> None:
    network = load_model("edsr", scale=2).network
    tensors = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    tensors["tail.2.bias"] += 0.02
    save_checkpoint(tmp_path / "e.safetensors", Header("edsr", [2], network.config), tensors)
    Image.fromarray(smooth(66, 66)[..., 0]).save(tmp_path / "a.png")
    done = sr("upscale", "a.png", "-m", "e.safetensors", "--adapt", "1", "--consistent", "--verify")
    assert done.returncode == 0
    assert b"tuned to the image in 1 steps" in done.stderr
    deviation = re.search(rb"by at most ([\d.]+) of 255", done.stderr)
    assert deviation is not None and float(deviation[1]) < 0.6


def test_images_that_cannot_be_tuned_to_fail_alone(sr: Run, tmp_path: Path) -> None:
    save(tmp_path / "in/a.png", 200, 63)
    pages = [Image.fromarray(smooth(70, 70, seed=s)) for s in (0, 1)]
    pages[0].save(tmp_path / "in/b.tif", save_all=True, append_images=pages[1:])
    save(tmp_path / "in/c.png", 64, 64)
    done = sr("upscale", "in", "-o", "out/", "-m", "espcn", "-x2", "--adapt", "1", "--json")
    assert done.returncode == 1
    failed = [record["error"]["code"] for record in done.records if record["status"] == "failed"]
    assert failed == ["too-small-to-adapt", "one-frame-to-adapt"]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["c.png"]


def test_images_that_become_no_larger_are_not_tuned_to(sr: Run, tmp_path: Path) -> None:
    save(tmp_path / "a.png", 90, 70)
    done = sr("upscale", "a.png", "-m", "espcn", "--width", "60", "--adapt", "2", "--json")
    assert (done.returncode, done.notes) == (0, [])


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (("-m", "bicubic"), "not-adaptable"),
        (("-m", "photo"), "not-adaptable"),
        (("-m", "srgan"), "not-adaptable"),
        ((), "not-adaptable"),
        (("-m", "foreign.safetensors"), "not-adaptable"),
        (("-m", "espcn", "-m", "fsrcnn"), "conflicting-options"),
        (("-m", "foreign.safetensors+bicubic"), "chain-order"),
        (("-m", "espcn", "--workers", "1"), "conflicting-options"),
        (("-m", "espcn", "clip.mp4"), "conflicting-options"),
        (("-m", "espcn", "comic.cbz"), "conflicting-options"),
    ],
)
def test_what_cannot_be_tuned_is_refused(
    sr: Run, tmp_path: Path, options: tuple[str, ...], code: str
) -> None:
    save(tmp_path / "a.png", 70, 70)
    for name in ("clip.mp4", "comic.cbz"):
        (tmp_path / name).write_bytes(b"")
    save_file(compact(2), tmp_path / "foreign.safetensors")
    done = sr("upscale", "a.png", *options, "--adapt", "1")
    assert (done.returncode, done.error_codes) == (2, [code])
    assert not (tmp_path / "a_x4.png").exists()


def test_a_chain_is_refused(sr: Run, tmp_path: Path) -> None:
    save(tmp_path / "a.png", 70, 70)
    save_file(compact(1), tmp_path / "clean.safetensors")
    done = sr("upscale", "a.png", "-m", "clean.safetensors+espcn", "-x2", "--adapt", "1")
    assert (done.returncode, done.error_codes) == (2, ["not-adaptable"])


@pytest.mark.parametrize("text", ["0", "0s", "-1", "soon", "1x", "nan", "1e5"])
def test_neither_steps_nor_a_time(sr: Run, tmp_path: Path, text: str) -> None:
    save(tmp_path / "a.png", 70, 70)
    done = sr("upscale", "a.png", "-m", "espcn", "--adapt", text)
    assert (done.returncode, done.error_codes) == (2, ["invalid-duration"])


@pytest.mark.parametrize(
    ("budget", "code"),
    [
        (Adaptation(), "missing-option"),
        (Adaptation(1, 1.0), "conflicting-options"),
        (Adaptation(steps=0), "out-of-range"),
        (Adaptation(seconds=float("inf")), "out-of-range"),
        (Adaptation(steps="5"), "invalid-request"),  # type: ignore[arg-type]
        ("60s", "invalid-request"),
    ],
)
def test_a_program_is_refused_as_well(tmp_path: Path, budget: Any, code: str) -> None:
    path = save(tmp_path / "a.png", 70, 70)
    with pytest.raises(RefusedError) as caught:
        upscale_files(path, model="espcn", options=UpscaleOptions(adapt=budget))
    assert caught.value.code == code


def test_what_is_held_back_teaches_nothing() -> None:
    """Weights do not depend on the hr of cells that are held back, only the decision does."""
    model = as_loaded(load_model("espcn", scale=2).network)
    image = noise(80, 96)
    pairs = adapt._pairs_of(model, image, np.random.default_rng(0))
    held = np.repeat(np.repeat(pairs.counted == 0, 2, 0), 2, 1)
    assert 0 < held.mean() < 0.3
    network = model.network.eval()
    changed = pairs.hr.copy()
    changed[held] = 255 - changed[held]

    def loss(hr: Any, seed: int) -> float:
        random = np.random.default_rng(seed)
        return float(adapt._loss(network, model, replace(pairs, hr=hr), random).detach())

    assert loss(pairs.hr, 3) == loss(changed, 3)
    assert loss(pairs.hr, 3) != loss(pairs.hr, 4)
    assert loss(pairs.hr, 3) != loss(255 - pairs.hr, 3)


def test_what_was_held_back_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights that got worse are not taken."""
    model = load_model("espcn", scale=2)
    monkeypatch.setattr(adapt, "_LEARNING_RATE", 1.0)
    assert adapt_model(model, smooth(80, 80), Adaptation(3), CPU).model is None


def test_small_gains_and_chance_are_not_taken() -> None:
    before = np.full(9, 1.0)
    assert adapt._is_better(before * 0.98, before)
    assert not adapt._is_better(before * 0.995, before)
    uneven = before.copy()
    uneven[:2] = 0.5, 1.2
    assert not adapt._is_better(uneven, before)
    uneven[:4] = 0.5
    assert adapt._is_better(uneven, before)
