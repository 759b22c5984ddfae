"""`train` and `sr train` from a folder to a checkpoint."""

from __future__ import annotations

import doctest
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from helpers.command import Run
from helpers.images import smooth
from helpers.training import TINY, arguments, quick, same, small_vgg, tiny_recipe
from PIL import Image
from rich.console import Console
from safetensors.torch import load_file

from sr_cli.cli import train_view
from sr_cli.cli.train_view import TrainingView
from sr_cli.errors import Note
from sr_cli.registry.checkpoint import load_checkpoint, read_header
from sr_cli.training.events import Ended, Event, Loading, Noted, Progress, Started, Stepped
from sr_cli.training.papers import default_recipe
from sr_cli.training.recipe import Recipe


def test_a_folder_becomes_a_checkpoint_that_upscale_reads(
    sr: Run, photos: Path, tmp_path: Path
) -> None:
    done = sr(
        "train", "--model", "espcn", "-x2", "--data", photos, "--steps", "60", "--batch", "4",
        "--lr-patch", "16", "-o", "mine.safetensors", "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    record = json.loads(done.stdout)
    assert record["done"] and record["step"] == 60 and record["best_psnr_y"] > 20
    assert b"PSNR-Y" in done.stderr
    header = read_header(tmp_path / "mine.safetensors")
    assert (header.model, header.scales) == ("espcn", [2]) and header.recipe["lr_patch"] == 16
    run = tmp_path / "mine.run"
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert lines[-1]["step"] == 60 and lines[-1]["figure"] == pytest.approx(record["psnr_y"])
    with Image.open(run / "curves.png") as curves:
        assert curves.size[0] > 500
    made = sr("upscale", photos / "0.png", "-m", "mine.safetensors", "-x2", "-o", "big.png")
    assert made.returncode == 0, made.stderr.decode()
    with Image.open(tmp_path / "big.png") as big:
        assert big.size == (160, 144)


def test_the_example_of_train_works(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sr_cli.training import train

    monkeypatch.chdir(tmp_path)
    result = doctest.testmod(train)
    assert result.attempted > 5 and result.failed == 0


def test_events_come_in_order(photos: Path, tmp_path: Path) -> None:
    events: list[Event] = []
    (photos / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nrubbish")
    result = quick(photos, tmp_path / "a.safetensors", tiny_recipe(steps=3), events.append)
    kinds = [type(event) for event in events]
    assert kinds == [*[Loading] * 9, Noted, Started, *[Stepped] * 3, Ended]
    loading, noted = events[8], events[9]
    assert loading == Loading(9, 9)
    assert isinstance(noted, Noted) and noted.note.kind == "images-unreadable"
    assert noted.note.facts["first"].subject.endswith("broken.png")
    assert result.done and result.steps == 3 and result.best_step == 3 and result.best


def test_without_o_the_checkpoint_has_the_networks_name(
    sr: Run, photos: Path, tmp_path: Path
) -> None:
    done = sr("train", "-m", "fsrcnn", "-x3", "--data", photos, "--steps", "1",
                     "--lr-patch", "8", "--batch", "1")  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    assert (tmp_path / "fsrcnn-x3.safetensors").exists()


def test_training_makes_images_better(photos: Path, tmp_path: Path) -> None:
    start = quick(photos, tmp_path / "a.safetensors", tiny_recipe(steps=1))
    end = quick(photos, tmp_path / "b.safetensors", tiny_recipe(steps=100, lr_patch=16))
    assert start.best and end.best and end.best > start.best + 0.3


def test_images_in_a_mapped_file_train_alike(photos: Path, tmp_path: Path) -> None:
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
    sheet = sr("train", "-m", "edsr", "-x2", "--data", "set", "--preview", "4",
                      "-o", "s.png", "--lr-patch", "16", "--set", "flat_share=0.0")  # fmt: skip
    assert sheet.returncode == 0, sheet.stderr.decode()
    with Image.open(tmp_path / "s.png") as image:
        pixels = np.asarray(image).astype(int)
    assert np.abs(pixels[:32:2, :32:2] + pixels[:32:2, 34:66:2] - 255).max() <= 1
    events: list[Event] = []
    noisy = tiny_recipe(steps=1, degradation="noise")
    quick(tmp_path / "set", tmp_path / "noisy.safetensors", noisy, events.append)
    assert Noted(Note("given-lr-not-degraded", {"count": 4})) in events
    Image.fromarray(smooth(30, 30)).save(tmp_path / "set" / "lr" / "0x2.png")
    done = sr("train", "-m", "edsr", "-x2", "--data", "set", "--steps", "2")
    assert done.returncode == 1 and done.error_codes == ["pair-size-mismatch"]
    assert b"0x2.png" in done.stderr


def test_srgan_in_two_phases(sr: Run, photos: Path, tmp_path: Path) -> None:
    tiny = ("--set", "config.features=4", "--set", "config.blocks=1", "--lr-patch", "8",
            "--batch", "2", "-x2", "--data", photos)  # fmt: skip
    first = sr("train", "-m", "srresnet", *tiny, "--steps", "1", "-o", "first.safetensors")
    assert first.returncode == 0, first.stderr.decode()
    vgg = small_vgg(tmp_path / "vgg.safetensors")
    second = sr(
        "train", "-m", "srgan", *tiny, "--init", "first.safetensors", "--steps", "2",
        "--trunk", vgg, "--set", "perceptual_layer=conv1_2", "--set", "losses.l1=0.1",
        "--set", "losses.texture=0.1", "--set", "adversary=relativistic", "-o", "gan.safetensors",
    )  # fmt: skip
    assert second.returncode == 0, second.stderr.decode()
    last = json.loads((tmp_path / "gan.run/log.jsonl").read_text().splitlines()[-1])
    assert set(last["losses"]) == {"l1", "perceptual", "texture", "adversarial", "discriminator"}


@pytest.mark.parametrize("frozen", [True, False])
def test_normalisation_keeps_its_statistics_where_they_are_frozen(
    frozen: bool, photos: Path, tmp_path: Path
) -> None:
    recipe = Recipe("srresnet", (2,), TINY, lr_patch=8, batch=2, steps=3)
    quick(photos, tmp_path / "a.safetensors", recipe)
    recipe = msgspec.structs.replace(recipe, frozen_normalisation=frozen)
    quick(photos, tmp_path / "b.safetensors", recipe, init=str(tmp_path / "a.safetensors"))
    a, b = (load_file(tmp_path / f"{name}.safetensors") for name in "ab")
    statistics = [name for name in a if "running" in name]
    weights = [name for name in a if name.endswith("weight")]
    assert statistics and all(torch.equal(a[n], b[n]) == frozen for n in statistics)
    assert not any(torch.equal(a[n], b[n]) for n in weights)


def progress_after(step: int, **changes: Any) -> Progress:
    return Progress(**{"step": step, "seconds": 60.0, "losses": {"l1": 0.25}} | changes)


@pytest.mark.parametrize(("losses", "said"), [
    ({"l1": 1.0}, "31.00 dB at step 100,"),
    ({"l1": 1.0, "adversarial": 1e-3}, "29.50 dB at step 200,"),
])  # fmt: skip
def test_the_figure_shown_is_that_of_the_weights_that_are_kept(
    losses: dict[str, float], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = default_recipe("srgan", (4,), losses=losses)
    progress = progress_after(200, figure=29.5, best=31.0, best_step=100)
    view = TrainingView(quiet=False)
    view(Started(recipe, tmp_path / "a.safetensors", progress))
    view(Ended(progress, done=1.0))
    assert said in " ".join(capsys.readouterr().err.split())


def test_a_terminal_has_a_live_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Console(file=io.StringIO(), force_terminal=True, width=80)
    monkeypatch.setattr(train_view, "stderr_console", lambda: terminal)
    monkeypatch.setattr(train_view, "is_terminal", lambda: True)
    with TrainingView(quiet=False) as view:
        view(Started(tiny_recipe(), tmp_path / "a.safetensors", progress_after(0, seconds=0.0)))
        view(Stepped(progress_after(100, figure=30.25, best=30.5, skipped=2), 0.5, 200))
    shown = terminal.file.getvalue()  # type: ignore[attr-defined]
    for text in ("100/200", "0.25", "30.250", "30.500", "skipped", "1m00s"):
        assert text in shown, text


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
    recipe = default_recipe(
        "espcn", (4,), lr_patch=8, batch=2, steps=2, losses={"teacher": 1.0},
        teacher="edsr-baseline-x4",
    )  # fmt: skip
    result = quick(photos, tmp_path / "a.safetensors", recipe)
    assert 0 < result.losses["teacher"] < 0.2


@pytest.mark.skipif(sys.platform == "win32", reason="gloo under torchrun")
def test_two_processes_are_one_with_the_doubled_batch(
    sr: Run, photos: Path, tmp_path: Path
) -> None:
    more = ("--steps", "4", "--set", "optimiser=sgd", "--learning-rate", "1e-3")
    one = sr(*arguments(photos, "one.safetensors", *more))
    assert one.returncode == 0, one.stderr.decode()
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    two = subprocess.run(
        [sys.executable, *torchrun, "-m", "sr_cli", *arguments(photos, "two.safetensors", *more)],
        cwd=tmp_path, check=False, capture_output=True, timeout=200,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert two.returncode == 0, two.stderr.decode()
    ends = [load_file(tmp_path / f"{name}.run" / "last.safetensors") for name in ("one", "two")]
    for name, tensor in ends[0].items():
        assert torch.allclose(tensor, ends[1][name], atol=1e-6), name
