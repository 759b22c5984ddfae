"""`sr train` from folder to checkpoint, its resuming, and what bad input gets."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import Run, smooth
from PIL import Image
from safetensors.torch import load_file
from test_training_parts import small_trunk

from sr_cli.errors import SrError
from sr_cli.training.papers import default_recipe
from sr_cli.training.plan import Plan
from sr_cli.training.recipe import Recipe
from sr_cli.training.trainer import Outcome, fit
from sr_cli.weights.checkpoint import load_checkpoint, read_header

TINY = {"config": {"features": 8, "blocks": 2}, "lr_patch": 12, "batch": 4, "precision": "fp32"}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Eight pictures of 72x80, two of them in a sub-folder."""
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    for number in range(8):
        place = folder / "more" if number > 5 else folder
        Image.fromarray(smooth(72, 80, seed=number)).save(place / f"{number}.png")
    return folder


def quick(photos: Path, output: Path, recipe: Recipe | None = None, **plan: object) -> Outcome:
    """A run in this process."""
    recipe = recipe or default_recipe("espcn", (2,), lr_patch=12, batch=4, steps=12)
    return fit(Plan(recipe, output, (photos,), **plan))  # type: ignore[arg-type]


def same(a: Path, b: Path) -> bool:
    x, y = load_file(a), load_file(b)
    return set(x) == set(y) and all(torch.equal(x[k], y[k]) for k in x)


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


def command(photos: Path, output: str, *more: str) -> list[str]:
    return [
        sys.executable, "-m", "sr_cli", "train", "-m", "edsr", "-x2", "--data", str(photos),
        "--set", "config.features=8", "--set", "config.blocks=2", "--lr-patch", "12",
        "--batch", "4", "--precision", "fp32", "--threads", "1", "-o", output, *more,
    ]  # fmt: skip


def wait_for(path: Path, process: subprocess.Popen[bytes], seconds: float = 90) -> None:
    until = time.monotonic() + seconds
    while not path.exists():
        assert process.poll() is None, "the run ended before it wrote a state"
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_a_run_killed_at_any_moment_goes_on_bit_for_bit(photos: Path, tmp_path: Path) -> None:
    steps = ("--steps", "240")
    whole = subprocess.run(
        command(photos, "whole.safetensors", *steps), cwd=tmp_path, check=False, capture_output=True
    )
    assert whole.returncode == 0, whole.stderr.decode()
    killed = subprocess.Popen(
        command(photos, "killed.safetensors", *steps, "--save-every", "0.05s"),
        cwd=tmp_path,
        stderr=subprocess.PIPE,
    )
    wait_for(tmp_path / "killed.run" / "state.previous.pt", killed)
    killed.kill()
    killed.communicate()
    state = torch.load(tmp_path / "killed.run" / "state.pt", weights_only=True)
    assert 0 < state["progress"]["step"] < 240
    resumed = subprocess.run(
        [sys.executable, "-m", "sr_cli", "train", "--resume", "-o", "killed.safetensors",
         "--threads", "1"],
        cwd=tmp_path, check=False, capture_output=True,
    )  # fmt: skip
    assert resumed.returncode == 0, resumed.stderr.decode()
    assert b"resumed at step" in resumed.stderr
    assert same(tmp_path / "whole.run/last.safetensors", tmp_path / "killed.run/last.safetensors")
    assert same(tmp_path / "whole.safetensors", tmp_path / "killed.safetensors")
    logs = [
        [
            json.loads(line)["step"]
            for line in (tmp_path / run / "log.jsonl").read_text().splitlines()
        ]
        for run in ("whole.run", "killed.run")
    ]
    assert logs[0] == logs[1]


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_the_state_and_says_how_to_go_on(
    photos: Path, tmp_path: Path, number: int, code: int
) -> None:
    run = subprocess.Popen(
        command(photos, "a.safetensors", "--steps", "100000", "--save-every", "0.1s"),
        cwd=tmp_path, stderr=subprocess.PIPE,
    )  # fmt: skip
    wait_for(tmp_path / "a.run" / "state.pt", run)
    run.send_signal(number)
    said = run.communicate(timeout=60)[1].decode()
    assert run.returncode == code, said
    assert "sr train --resume -o a.safetensors" in said and "Traceback" not in said
    assert not list((tmp_path / "a.run").glob("*.tmp"))
    assert torch.load(tmp_path / "a.run" / "state.pt", weights_only=True)["progress"]["step"] > 0


def test_a_damaged_state_gives_way_to_the_one_before(photos: Path, tmp_path: Path) -> None:
    output = tmp_path / "a.safetensors"
    quick(photos, output, save_seconds=0.0)
    state = tmp_path / "a.run" / "state.pt"
    state.write_bytes(state.read_bytes()[:1000])
    said: list[str] = []
    recipe = default_recipe("espcn", (2,), lr_patch=12, batch=4, steps=12)
    plan = Plan(recipe, output, (photos,), resume=True)
    fit(plan, lambda report: said.append(report.text))
    assert any("damaged" in text for text in said)


def test_a_state_that_cannot_be_written_leaves_the_one_before(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "a.safetensors"
    quick(photos, output)
    state = (tmp_path / "a.run" / "state.pt").read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("torch.save", full)
    longer = default_recipe("espcn", (2,), lr_patch=12, batch=4, steps=14)
    with pytest.raises(SrError, match="No space left"):
        quick(photos, output, longer, resume=True)
    assert (tmp_path / "a.run" / "state.pt").read_bytes() == state


def test_a_time_limit_counts_all_legs_and_ends_decayed(photos: Path, tmp_path: Path) -> None:
    recipe = default_recipe("espcn", (2,), lr_patch=12, batch=4, learning_rate=1e-3)
    outcome = quick(photos, tmp_path / "a.safetensors", recipe, seconds=1.5)
    assert outcome.done and 1.4 < outcome.progress.seconds < 15
    assert outcome.progress.learning_rate < 0.05 * recipe.learning_rate
    again = quick(photos, tmp_path / "a.safetensors", recipe, seconds=1.5, resume=True)
    assert again.progress.step == outcome.progress.step


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


def test_it_stops_early_when_nothing_gets_better(photos: Path, tmp_path: Path) -> None:
    recipe = default_recipe(
        "espcn", (2,), lr_patch=8, batch=2, steps=5000, patience=2, learning_rate=1e-30
    )
    outcome = quick(photos, tmp_path / "a.safetensors", recipe)
    assert outcome.done and outcome.progress.step <= 1000


def test_a_run_that_diverges_ends_with_its_last_good_state(
    sr: Run, photos: Path, tmp_path: Path
) -> None:
    done = sr("train", "-m", "edsr", "-x2", "--data", photos, "--set", "config.features=4",
              "--set", "config.blocks=1", "--lr-patch", "8", "--batch", "2", "--steps", "900",
              "--set", "warmup=0", "--set", "optimiser=sgd", "--learning-rate", "1e20",
              "-o", "a.safetensors")  # fmt: skip
    assert done.returncode == 1
    assert b"20 steps in a row" in done.stderr and b"learning_rate" in done.stderr
    state = torch.load(photos.parent / "a.run" / "state.pt", weights_only=True)
    assert state["progress"]["skipped"] >= 20
    assert all(torch.isfinite(t).all() for t in state["model"].values())


def test_a_step_with_a_bad_loss_is_skipped_and_counted(photos: Path, tmp_path: Path) -> None:
    from sr_cli.training.data import Batch
    from sr_cli.training.run import Run as Training

    run = Training(default_recipe("espcn", (2,), lr_patch=8), device=torch.device("cpu"))
    good, bad = torch.rand(2, 1, 8, 8), torch.full((2, 1, 8, 8), torch.nan)
    hr = torch.rand(2, 1, 16, 16)
    run.step(Batch(good, hr, good, 2))
    run.step(Batch(good, hr, good, 2))
    before = {k: v.clone() for k, v in run.model.state_dict().items()}
    run.step(Batch(bad, hr, bad, 2))
    assert run.progress.skipped == 1 and run.progress.bad_in_a_row == 1
    assert all(torch.equal(v, before[k]) for k, v in run.model.state_dict().items())
    run.step(Batch(good, hr, good, 2))
    assert run.progress.bad_in_a_row == 0


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


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("-x2",), 2, b"which network"),
        (("-m", "edsr"), 2, b"which scale"),
        (("-m", "edsr", "-x2", "--steps", "0"), 2, b"steps 0"),
        (("-m", "edsr", "-x2", "--time-limit", "0h"), 2, b"no duration"),
        (("-m", "edsr", "-x2", "--epochs", "-1"), 2, b"epochs"),
        (("-m", "edsr", "-x2", "--steps", "5", "--epochs", "1"), 2, b"contradict"),
        (("--recipe", "espcn-x9"), 2, b"no recipe 'espcn-x9'"),
        (("-m", "edsr", "-x5"), 2, b"has no x5"),
        (("-m", "edsr", "-x2", "-x3"), 2, b"one scale at a time"),
        (("-m", "nonet", "-x2"), 2, b"no network 'nonet'"),
        (("-m", "bicubic", "-x2"), 2, b"no network 'bicubic'"),
        (("-m", "edsr", "-x2", "--set", "depth=3"), 2, b"no field 'depth'"),
        (("-m", "edsr", "-x2", "--set", "config.depth=3"), 2, b"depth"),
        (("-m", "edsr", "-x2", "--batch", "0"), 2, b"batch 0"),
        (("-m", "edsr", "-x2", "--learning-rate", "inf"), 2, b"finite"),
        (("-m", "edsr", "-x2", "--set", "config.features=0"), 2, b"config.features = 0"),
        (("-m", "edsr", "-x2", "--set", "config.blocks=abc"), 2, b"whole number above 0"),
        (("-m", "edsr", "-x2", "--set", "config.scale=3"), 2, b"config.scale"),
        (("-m", "edsr", "-x2", "--set", "photo.first.jpeg=[90,20]"), 2, b"jpeg [90, 20]"),
        (("-m", "edsr", "-x2", "--set", "photo.first.kernels.foo=1"), 2, b"no kernel 'foo'"),
        (("-m", "edsr", "-x2", "--set", "gamma=-1"), 2, b"gamma"),
        (("-m", "edsr", "-x2", "--teacher", "fsrcnn-x4"), 2, b"teacher"),
        (("-m", "edsr", "-x2", "--val", "2"), 2, b"share between 0 and 1"),
        (("-m", "espcn", "-x2", "--val", "photos/more"), 2, b"also trained on"),
        (("-m", "espcn", "-x2", "--val", "nowhere"), 2, b"nowhere"),
        (("-m", "edsr", "-x2", "--init", "nothing.safetensors"), 2, b"nothing.safetensors"),
        (("-m", "edsr", "-x2", "--init", "espcn-x4"), 2, b"other layers or sizes"),
        (("-m", "edsr", "-x2", "--recipe", "no.toml"), 2, b"no.toml"),
        (("-m", "espcn", "-x2", "--set", "losses.perceptual=1"), 2, b"luma"),
        (("-m", "edsr", "-x2", "-o", "file/a.safetensors"), 2, b"cannot be written"),
        (("-m", "edsr", "-x2", "-o", "a.pth"), 2, b".safetensors"),
        (("-m", "edsr", "-x2", "--resume"), 2, b"no run to resume"),
        (("-m", "edsr", "-x2", "--lr-patch", "200"), 1, b"smaller than 400"),
        (("-m", "edsr", "-x2", "--device", "cuda:7"), 2, b"cuda:7"),
    ],
)
def test_bad_options_get_a_clear_error(
    sr: Run, photos: Path, tmp_path: Path, arguments: tuple[str, ...], code: int, said: bytes
) -> None:
    (tmp_path / "file").write_text("in the way")
    done = sr("train", "--data", photos, *arguments)
    assert done.returncode == code, done.stderr.decode()
    assert said in done.stderr, done.stderr.decode()
    assert not list(tmp_path.glob("*.safetensors"))
    assert not list(tmp_path.glob("*.run/state.pt"))


def test_bad_pictures_are_counted_and_the_rest_trained(
    sr: Run, photos: Path, tmp_path: Path
) -> None:
    (photos / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nrubbish")
    Image.fromarray(smooth(10, 10)).save(photos / "small.png")
    done = sr("train", "-m", "espcn", "-x2", "--data", photos, "--steps", "2", "--lr-patch", "12")
    assert done.returncode == 0, done.stderr.decode()
    assert b"1 pictures unreadable" in done.stderr and b"1 pictures too small" in done.stderr


def test_a_folder_without_pictures(sr: Run, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = sr("train", "-m", "espcn", "-x2", "--data", "empty")
    assert done.returncode == 1 and b"no pictures there" in done.stderr
    assert sr("train", "-m", "espcn", "-x2", "--data", "gone").returncode == 2
    assert sr("train", "-m", "espcn", "-x2").returncode == 2


def test_a_run_is_neither_overwritten_nor_resumed_otherwise(sr: Run, photos: Path) -> None:
    first = ("train", "-m", "espcn", "-x2", "--data", photos, "--steps", "2", "--lr-patch", "12")
    assert sr(*first).returncode == 0
    again = sr(*first)
    assert again.returncode == 2 and b"--resume" in again.stderr
    other = sr(*first, "--resume", "--set", "ema=0.5", "--batch", "3")
    assert other.returncode == 2, other.stderr.decode()
    assert b"batch 3 instead of 16" in other.stderr and b"ema 0.5 instead of 0.999" in other.stderr
    assert sr(*first, "-y").returncode == 0
    shorter = sr("train", "--resume", "-o", "espcn-x2.safetensors", "--steps", "1")
    assert shorter.returncode == 2 and b"at step 2 already" in shorter.stderr


def test_the_printed_recipe_can_be_given_again(sr: Run, tmp_path: Path) -> None:
    printed = sr("train", "-m", "edsr", "-x4", "--learning-rate", "3e-4", "--print-recipe")
    assert printed.returncode == 0
    (tmp_path / "r.toml").write_bytes(printed.stdout)
    again = sr("train", "--recipe", "r.toml", "--print-recipe")
    assert again.stdout == printed.stdout and b"learning_rate = 0.0003" in again.stdout


def test_errors_in_options_do_not_wait_for_torch(tmp_path: Path) -> None:
    code = (
        "import sys; from sr_cli.cli.main import app\n"
        "try: app(['train', '-m', 'edsr', '-x', '2', '--set', 'nothing=1'])\n"
        "except SystemExit as end: assert end.code == 2, end.code\n"
        "assert not {'torch', 'cv2', 'numpy'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr.decode()


def test_a_batch_that_does_not_fit_is_said_beforehand(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sr_cli.training.memory.free_memory", lambda _: 1 << 20)
    said: list[str] = []
    recipe = default_recipe("espcn", (2,), lr_patch=12, batch=8, steps=1)
    plan = Plan(recipe, tmp_path / "a.safetensors", (photos,), memory=1 << 30)
    fit(plan, lambda report: said.append(report.text))
    assert any("a batch of 8 needs about" in text and "would fit" in text for text in said)


def test_memory_is_estimated_about_right() -> None:
    from sr_cli.training.memory import step_bytes
    from sr_cli.training.run import Run as Training

    small, large = (
        step_bytes(
            Training(
                default_recipe("edsr", (2,), batch=batch, lr_patch=16, precision="fp32"),
                device=torch.device("cpu"),
            )
        )
        for batch in (2, 8)
    )
    # 64 features, about 37 maps kept at lr and 5 at four times the pixels.
    activations = 6 * 16 * 16 * 64 * 4 * (37 + 5 * 4)
    assert 0.5 * activations < large - small < 3 * activations


def test_validation_on_a_benchmark_set_by_name(
    photos: Path, tmp_path: Path, test_sets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sr_cli.evaluation import datasets

    cached = tmp_path / "cache" / "datasets" / "Set5"
    cached.mkdir(parents=True)
    for file in (test_sets / "Set5").iterdir():
        (cached / file.name).write_bytes(file.read_bytes())
    monkeypatch.setenv("SR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SR_OFFLINE", "1")
    recipe = default_recipe("espcn", (2,), lr_patch=12, batch=2, steps=1)
    outcome = quick(photos, tmp_path / "a.safetensors", recipe, val="Set5")
    assert 20 < outcome.progress.best < 40
    assert datasets.known_name("set5") == "Set5"


def test_tensorboard_is_an_extra(sr: Run, photos: Path, tmp_path: Path) -> None:
    done = sr("train", "-m", "espcn", "-x2", "--data", photos, "--steps", "50", "--lr-patch", "8",
              "--batch", "1", "--tensorboard", "-o", "a.safetensors")  # fmt: skip
    try:
        import tensorboard  # noqa: F401
    except ImportError:
        assert done.returncode == 2 and b"sr-cli[tensorboard]" in done.stderr
    else:
        assert done.returncode == 0, done.stderr.decode()
        assert list((tmp_path / "a.run").glob("events.*"))
