"""`sr train`: what bad options and bad input get, and estimates made beforehand."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import Run, smooth
from PIL import Image
from trials import command, quick, wait_for

from sr_cli.errors import SrError
from sr_cli.registry.checkpoint import read_header
from sr_cli.training.loop import fit
from sr_cli.training.papers import default_recipe
from sr_cli.training.plan import Plan, draw_preview, lasting_val


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("-x2",), 2, b"which network"),
        (("-m", "edsr"), 2, b"which scale"),
        (("-m", "edsr", "-x2", "--steps", "0"), 2, b"steps 0"),
        (("-m", "edsr", "-x2", "--time-limit", "0h"), 2, b"no duration"),
        (("-m", "edsr", "-x2", "--epochs", "-1"), 2, b"epochs"),
        (("-m", "edsr", "-x2", "--epochs", "nan"), 2, b"epochs"),
        (("-m", "edsr", "-x2", "--memory", "-5"), 2, b"--memory -5"),
        (("-m", "edsr", "-x2", "--seed", "1" + "0" * 23), 2, b"below 2^63"),
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
    (tmp_path / "empty" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nrubbish")
    done = sr("train", "-m", "espcn", "-x2", "--data", "empty")
    assert done.returncode == 1 and b"the first: " in done.stderr
    assert not list(tmp_path.glob("*.run"))
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
    before = {p.name: p.read_bytes() for p in Path(photos.parent, "espcn-x2.run").iterdir()}
    refused = sr(*first[:5], "nowhere", *first[6:], "-y")
    assert refused.returncode == 2 and b"nowhere" in refused.stderr
    assert before == {p.name: p.read_bytes() for p in Path(photos.parent, "espcn-x2.run").iterdir()}
    assert sr(*first, "-y").returncode == 0
    elsewhere = sr("train", "--resume", "-o", "espcn-x2.safetensors", "--val", "0.3")
    assert elsewhere.returncode == 2 and b"--val 0.02" in elsewhere.stderr
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


def test_a_resumed_run_keeps_its_teacher_places_and_threads(
    sr: Run, photos: Path, tmp_path: Path
) -> None:
    apart = (photos / "more").rename(tmp_path / "apart")
    first = (
        "train", "-m", "espcn", "-x2", "--teacher", "fsrcnn-x2", "--data", photos, "--val", apart,
        "--lr-patch", "12", "--threads", "1", "-o", "a.safetensors",
    )  # fmt: skip
    assert sr(*first, "--steps", "2", "--set", "losses.teacher=0.3").returncode == 0
    plan = json.loads((tmp_path / "a.run" / "run.json").read_text())
    assert plan["threads"] == 1 and Path(plan["val"]).is_absolute()
    again = sr(*first, "--resume", "--steps", "3", "--licence", "CC0")
    assert again.returncode == 0, again.stderr.decode()
    assert read_header(tmp_path / "a.safetensors").licence == "CC0"


def test_a_run_folder_has_one_trainer(sr: Run, photos: Path, tmp_path: Path) -> None:
    run = subprocess.Popen(
        command(photos, "a.safetensors", "--steps", "100000", "--save-every", "0.1s"),
        cwd=tmp_path, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_for(tmp_path / "a.run" / "state.pt", run)
        for more in (("-y",), ("--resume",)):
            words = command(photos, "a.safetensors", *more)[3:]
            second = sr(*words)
            assert second.returncode == 2 and b"is being trained already" in second.stderr
    finally:
        run.kill()
        run.wait()


def test_what_is_named_stays_named_for_later_legs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("Set5", "0.1", "own"):
        (tmp_path / name).mkdir()
    assert [lasting_val(v) for v in ("Set5", "0.1", "2%")] == ["Set5", "0.1", "2%"]
    assert lasting_val("own") == str(tmp_path / "own")


def test_a_preview_leaves_the_run_of_its_name_alone(photos: Path, tmp_path: Path) -> None:
    mapped = tmp_path / "a.run" / "pixels.bin"
    mapped.parent.mkdir()
    mapped.write_bytes(b"in use")
    recipe = default_recipe("espcn", (2,), lr_patch=12)
    draw_preview(recipe, (photos,), tmp_path / "a.png", 4, memory=40_000)
    assert mapped.read_bytes() == b"in use"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.png", "a.run", "photos"]
    with pytest.raises(SrError, match="cannot be written"):
        draw_preview(recipe, (photos,), tmp_path / "gone" / "a.png", 4)
