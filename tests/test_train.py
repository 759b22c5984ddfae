"""`sr train` from folder to checkpoint."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import Run, smooth
from PIL import Image
from safetensors.torch import load_file
from trials import command, quick, same, small_trunk

from sr_cli.cli.train_report import Watcher
from sr_cli.registry.checkpoint import load_checkpoint, read_header
from sr_cli.training.papers import default_recipe
from sr_cli.training.plan import Plan, Report
from sr_cli.training.recipe import Recipe
from sr_cli.training.run import Progress


def test_a_folder_becomes_a_checkpoint_that_upscale_reads(
    sr: Run, photos: Path, tmp_path: Path
) -> None:
    done = sr(
        "train", "--model", "espcn", "-x2", "--data", photos, "--steps", "120", "--batch", "4",
        "--lr-patch", "16", "-o", "mine.safetensors", "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    told = json.loads(done.stdout)
    assert told["done"] and told["step"] == 120 and told["best_psnr_y"] > 20
    assert b"PSNR-Y" in done.stderr
    header = read_header(tmp_path / "mine.safetensors")
    assert (header.model, header.scales) == ("espcn", [2]) and header.recipe["lr_patch"] == 16
    run = tmp_path / "mine.run"
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert lines[-1]["step"] == 120 and lines[-1]["figure"] == pytest.approx(told["psnr_y"])
    with Image.open(run / "curves.png") as curves:
        assert curves.size[0] > 500
    picture = photos / "0.png"
    made = sr("upscale", picture, "-m", "mine.safetensors", "-x2", "-o", "big.png")
    assert made.returncode == 0, made.stderr.decode()
    with Image.open(tmp_path / "big.png") as big:
        assert big.size == (160, 144)


def test_without_o_the_checkpoint_has_the_networks_name(
    sr: Run, photos: Path, tmp_path: Path
) -> None:
    done = sr("train", "-m", "fsrcnn", "-x3", "--data", photos, "--steps", "2", "--lr-patch", "12")
    assert done.returncode == 0, done.stderr.decode()
    assert (tmp_path / "fsrcnn-x3.safetensors").exists()


def test_training_makes_pictures_better(photos: Path, tmp_path: Path) -> None:
    recipe = default_recipe("espcn", (2,), lr_patch=16, batch=8, steps=200, flat_share=0.0)
    start = quick(photos, tmp_path / "a.safetensors", default_recipe("espcn", (2,), steps=1))
    end = quick(photos, tmp_path / "b.safetensors", recipe)
    assert end.progress.best > start.progress.best + 0.3


def test_pictures_in_a_mapped_file_train_alike(photos: Path, tmp_path: Path) -> None:
    quick(photos, tmp_path / "a.safetensors")
    quick(photos, tmp_path / "b.safetensors", memory=40_000)
    assert (tmp_path / "b.run" / "pixels.bin").stat().st_size > 20_000
    assert same(tmp_path / "a.safetensors", tmp_path / "b.safetensors")


def test_pairs_are_trained_as_they_are(sr: Run, tmp_path: Path) -> None:
    for number in range(4):
        hr = smooth(64, 64, seed=number)
        for folder, pixels, name in (
            ("hr", hr, f"{number}.png"),
            ("lr", 255 - hr[::2, ::2], f"{number}x2.png"),
        ):
            (tmp_path / "set" / folder).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(tmp_path / "set" / folder / name)
    sheet = sr("train", "-m", "edsr", "-x2", "--data", "set", "--preview", "4", "-o", "s.png",
               "--lr-patch", "16", "--set", "flat_share=0.0")  # fmt: skip
    assert sheet.returncode == 0, sheet.stderr.decode()
    with Image.open(tmp_path / "s.png") as image:
        pixels = np.asarray(image).astype(int)
    assert np.abs(pixels[:32:2, :32:2] + pixels[:32:2, 34:66:2] - 255).max() <= 1
    told = sr("train", "-m", "espcn", "-x2", "--data", "set", "--steps", "1", "--lr-patch", "12",
              "--degradation", "noise", "-o", "noisy.safetensors")  # fmt: skip
    assert told.returncode == 0 and b"not degraded again" in told.stderr, told.stderr.decode()
    Image.fromarray(smooth(30, 30)).save(tmp_path / "set" / "lr" / "0x2.png")
    done = sr("train", "-m", "edsr", "-x2", "--data", "set", "--steps", "2")
    assert done.returncode == 1 and b"0x2.png" in done.stderr


def test_srgan_in_two_phases(sr: Run, photos: Path, tmp_path: Path) -> None:
    tiny = ("--set", "config.features=8", "--set", "config.blocks=1", "--lr-patch", "8",
            "--batch", "2", "-x2", "--data", photos)  # fmt: skip
    first = sr("train", "-m", "srresnet", *tiny, "--steps", "3", "-o", "first.safetensors")
    assert first.returncode == 0, first.stderr.decode()
    trunk = small_trunk(tmp_path / "trunk.safetensors")
    second = sr(
        "train", "-m", "srgan", *tiny, "--init", "first.safetensors", "--steps", "3",
        "--trunk", trunk, "--set", "perceptual_layer=conv1_2", "--set", "losses.l1=0.1",
        "--set", "losses.texture=0.1", "--set", "adversary=relativistic", "-o", "gan.safetensors",
    )  # fmt: skip
    assert second.returncode == 0, second.stderr.decode()
    last = json.loads((tmp_path / "gan.run/log.jsonl").read_text().splitlines()[-1])
    assert set(last["losses"]) == {"l1", "perceptual", "texture", "adversarial", "discriminator"}


@pytest.mark.parametrize("frozen", [True, False])
def test_normalisation_keeps_its_statistics_where_it_is_told_to(
    frozen: bool, photos: Path, tmp_path: Path
) -> None:
    config = {"features": 8, "blocks": 1}
    recipe = Recipe("srresnet", (2,), config, lr_patch=8, batch=2, steps=3)
    quick(photos, tmp_path / "a.safetensors", recipe)
    recipe = replace(recipe, frozen_normalisation=frozen)
    quick(photos, tmp_path / "b.safetensors", recipe, init=str(tmp_path / "a.safetensors"))
    a, b = (load_file(tmp_path / f"{name}.safetensors") for name in "ab")
    statistics = [name for name in a if "running" in name]
    weights = [name for name in a if name.endswith("weight")]
    assert statistics and all(torch.equal(a[n], b[n]) == frozen for n in statistics)
    assert not any(torch.equal(a[n], b[n]) for n in weights)


def test_frozen_normalisation_needs_statistics(sr: Run, photos: Path) -> None:
    options = ("-m", "srresnet", "-x2", "--set", "frozen_normalisation=true", "--steps", "1")
    done = sr("train", *options, "--data", photos, "-o", "a.safetensors")
    assert done.returncode == 2
    assert b"--init" in done.stderr and b"Traceback" not in done.stderr


@pytest.mark.parametrize(("losses", "told"), [
    ({"l1": 1.0}, "31.00 dB at step 100,"),
    ({"l1": 1.0, "adversarial": 1e-3}, "29.50 dB at step 200,"),
])  # fmt: skip
def test_the_figure_told_is_that_of_the_weights_that_are_kept(
    losses: dict[str, float], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = Plan(default_recipe("srgan", (4,), losses=losses), tmp_path / "a.safetensors", ())
    progress = Progress(step=200, figure=29.5, best=31.0, best_step=100)
    Watcher(plan, quiet=False)(Report("end", progress, done=1.0))
    assert told in " ".join(capsys.readouterr().err.split())


def test_one_run_for_several_scales(photos: Path, tmp_path: Path) -> None:
    recipe = Recipe("vdsr", (2, 3), {"layers": 3, "features": 4}, lr_patch=8, batch=2, steps=3)
    quick(photos, tmp_path / "v.safetensors", recipe)
    assert load_checkpoint(tmp_path / "v.safetensors", scale=3)[0].scale == 3


def test_another_scale_gives_its_body(photos: Path, tmp_path: Path) -> None:
    body = {"features": 8, "blocks": 2}
    two = Recipe("edsr", (2,), body, lr_patch=8, batch=2, steps=2, precision="fp32")
    quick(photos, tmp_path / "two.safetensors", two)
    four = Recipe("edsr", (4,), body, lr_patch=8, batch=2, steps=1, learning_rate=1e-30)
    quick(photos, tmp_path / "four.safetensors", four, init=str(tmp_path / "two.safetensors"))
    a, b = (load_file(tmp_path / f"{n}.safetensors") for n in ("two", "four"))
    kept = [n for n in a if n in b and a[n].shape == b[n].shape and torch.allclose(a[n], b[n])]
    assert len(kept) >= 8


def test_a_teacher_teaches(photos: Path, tmp_path: Path) -> None:
    losses = {"teacher": 1.0}
    recipe = default_recipe(
        "espcn", (4,), lr_patch=8, batch=2, steps=2, teacher="edsr-baseline-x4", losses=losses
    )
    outcome = quick(photos, tmp_path / "a.safetensors", recipe)
    assert 0 < outcome.progress.losses["teacher"] < 0.2


@pytest.mark.skipif(sys.platform == "win32", reason="gloo under torchrun")
def test_two_processes_are_one_with_the_doubled_batch(photos: Path, tmp_path: Path) -> None:
    torchrun = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
    ]
    more = ("--steps", "6", "--set", "optimiser=sgd", "--learning-rate", "1e-3")
    ends = []
    for name, prefix in (("one", [sys.executable]), ("two", torchrun)):
        words = command(photos, f"{name}.safetensors", *more)[1:]
        done = subprocess.run(
            [*prefix, *words], cwd=tmp_path, check=False, capture_output=True, timeout=200,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr.decode()
        ends.append(load_file(tmp_path / f"{name}.run" / "last.safetensors"))
    for name, tensor in ends[0].items():
        assert torch.allclose(tensor, ends[1][name], atol=1e-6), name
