"""`sr train`: bad options, bad input, and estimates made beforehand."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
import torch
from helpers.command import Run
from helpers.images import smooth
from helpers.training import TINY, quick, tiny_recipe
from PIL import Image

from sr_cli.cli.train import parse_duration
from sr_cli.errors import RefusedError, SrError
from sr_cli.registry.checkpoint import read_header
from sr_cli.training.data import absolute_val
from sr_cli.training.events import Event, Noted
from sr_cli.training.network import bytes_per_step, set_training_mode
from sr_cli.training.papers import default_recipe
from sr_cli.training.preview import draw_preview
from sr_cli.training.recipe import Recipe
from sr_cli.training.request import TrainingRequest
from sr_cli.training.train import train
from sr_cli.training.trainer import Trainer

EDSR = ("-m", "edsr", "-x2")
ESPCN = ("-m", "espcn", "-x2")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("-x2",), "missing-option", "--model"),
        (("-m", "edsr"), "missing-option", "--scale"),
        ((*EDSR, "--steps", "0"), "out-of-range", "steps 0"),
        ((*EDSR, "--time-limit", "0h"), "invalid-duration", "0h"),
        ((*EDSR, "--epochs", "-1"), "out-of-range", "--epochs -1"),
        ((*EDSR, "--epochs", "nan"), "out-of-range", "--epochs nan"),
        ((*EDSR, "--memory", "-5"), "out-of-range", "--memory"),
        ((*EDSR, "--threads", "0"), "out-of-range", "--threads"),
        ((*EDSR, "--seed", "1" + "0" * 23), "out-of-range", "9223372036854775807"),
        ((*EDSR, "--steps", "5", "--epochs", "1"), "conflicting-options", "--epochs"),
        ((*EDSR, "--resume", "-y"), "no-run", "edsr-x2.run"),
        (("--recipe", "espcn-x9"), "unknown-value", "espcn-x4"),
        (("-m", "edsr", "-x5"), "out-of-range", "scales 5"),
        (("-m", "edsr", "-x2.5"), "wrong-type", "2.5"),
        (("-m", "edsr", "-x2", "-x3"), "network-needs-one-scale", "edsr"),
        (("-m", "nonet", "-x2"), "unknown-value", "rcan"),
        (("-m", "bicubic", "-x2"), "unknown-value", "bicubic"),
        ((*EDSR, "--set", "depth=3"), "unknown-field", "lr_patch"),
        ((*EDSR, "--set", "config.depth=3"), None, "depth"),
        ((*EDSR, "--batch", "0"), "out-of-range", "batch 0"),
        ((*EDSR, "--learning-rate", "inf"), "wrong-type", "finite"),
        ((*EDSR, "--set", "config.features=0"), None, "config.features"),
        ((*EDSR, "--set", "config.blocks=abc"), None, "config.blocks"),
        ((*EDSR, "--set", "config.scale=3"), "scale-in-config", "config.scale"),
        ((*EDSR, "--set", "photo.first.jpeg=[90,20]"), "out-of-range", "photo.first.jpeg"),
        ((*EDSR, "--set", "photo.first.kernels.foo=1"), "unknown-value", "isotropic"),
        ((*EDSR, "--set", "gamma=-1"), "out-of-range", "gamma"),
        ((*EDSR, "--set", "losses.ms_ssim=1", "--set", "lr_patch=2"), "out-of-range", "ms_ssim"),
        ((*EDSR, "--set", "losses.ldl=1", "--set", "lr_patch=1"), "out-of-range", "ldl"),
        ((*EDSR, "--set", "perceptual_window=31"), "out-of-range", "perceptual_window"),
        ((*EDSR, "--set", "adversarial_crops=0"), "out-of-range", "adversarial_crops"),
        ((*EDSR, "--teacher", "fsrcnn-x4"), None, "fsrcnn-x4"),
        ((*EDSR, "--teacher", "fsrcnn-x2"), "teacher-is-luma", "fsrcnn-x2"),
        ((*EDSR, "--val", "2"), "out-of-range", "--val 2"),
        ((*ESPCN, "--val", "photos/more"), "validation-overlaps", "photos/more"),
        ((*ESPCN, "--val", "nowhere"), "path-not-found", "nowhere"),
        ((*EDSR, "--init", "nothing.safetensors"), "file-not-found", "nothing.safetensors"),
        ((*EDSR, "--init", "espcn-x4"), "weights-mismatch", "espcn-x4"),
        ((*EDSR, "--recipe", "no.toml"), "unreadable-file", "no.toml"),
        ((*EDSR, "--recipe", "file"), "invalid-toml", "file"),
        ((*ESPCN, "--set", "losses.perceptual=1"), "loss-needs-rgb", "luma"),
        ((*EDSR, "-o", "file/a.safetensors"), "unwritable-file", "file/a.safetensors"),
        ((*EDSR, "-o", "a.pth"), "wrong-suffix", ".safetensors"),
        ((*EDSR, "--resume"), "no-run", "edsr-x2.run"),
        (("--resume",), "missing-option", "--output"),
        ((*EDSR, "--set", "frozen_normalisation=true"), "no-normalisation-statistics", "--init"),
        ((*EDSR, "--device", "cuda:7"), "device-not-available", "cuda:7"),
        ((*EDSR, "--preview", "0"), "out-of-range", "--preview"),
        ((*EDSR, "--preview", "2", "-o", "a.jpg"), "wrong-suffix", ".png"),
    ],
)
def test_bad_options_get_a_clear_error(
    sr: Run,
    photos: Path,
    tmp_path: Path,
    arguments: tuple[str, ...],
    code: str | None,
    said: str,
) -> None:
    (tmp_path / "file").write_text("in the way")
    done = sr("train", "--data", photos, *arguments)
    assert done.returncode == 2, done.stderr.decode()
    assert code is None or done.error_codes == [code], done.stderr.decode()
    assert said in done.stderr.decode(), done.stderr.decode()
    assert not list(tmp_path.glob("*.safetensors"))
    assert not list(tmp_path.glob("*.run"))


def test_python_gets_the_same_refusals(photos: Path, tmp_path: Path) -> None:
    request = TrainingRequest(data=[photos], output=tmp_path / "a.safetensors")
    wrong = msgspec.structs.replace(tiny_recipe(), batch=-1)
    with pytest.raises(RefusedError) as caught:
        train(wrong, request)
    assert (caught.value.code, caught.value.subject) == ("out-of-range", "batch")
    with pytest.raises(RefusedError) as caught:
        train(None, request)
    assert caught.value.code == "missing-option"
    with pytest.raises(RefusedError) as caught:
        TrainingRequest(data=[photos], resume=True, overwrite=True)
    assert caught.value.code == "conflicting-options"
    with pytest.raises(RefusedError) as caught:
        TrainingRequest()
    assert (caught.value.code, caught.value.subject) == ("missing-option", "--data")


@pytest.mark.parametrize(("text", "seconds"), [
    ("90", 90), ("45s", 45), ("1h30m", 5400), ("2 min", 120), ("0.5d", 43200),
])  # fmt: skip
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


def test_a_folder_without_usable_images(sr: Run, tmp_path: Path) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    words = ("train", *ESPCN, "--data", "empty")
    done = sr(*words)
    assert done.returncode == 1 and done.error_codes == ["no-images"]
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nrubbish")
    done = sr(*words)
    assert done.returncode == 1 and done.error_codes == ["no-training-images"]
    assert b"the first: " in done.stderr and b"broken.png" in done.stderr
    Image.fromarray(smooth(24, 24)).save(folder / "small.png")
    done = sr(*words)
    assert done.error_codes == ["no-training-images"] and b"--lr-patch" in done.stderr
    Image.fromarray(smooth(48, 48)).save(folder / "single.png")
    assert sr(*words).error_codes == ["too-few-images"]
    assert not list(tmp_path.glob("*.run"))
    gone = sr("train", *ESPCN, "--data", "gone")
    assert gone.returncode == 2 and gone.error_codes == ["path-not-found"]
    assert sr("train", *ESPCN).error_codes == ["missing-option"]


def test_small_images_are_skipped_and_counted(photos: Path, tmp_path: Path) -> None:
    events: list[Event] = []
    Image.fromarray(smooth(10, 10)).save(photos / "small.png")
    quick(photos, tmp_path / "a.safetensors", tiny_recipe(steps=1), events.append)
    notes = [event.note for event in events if isinstance(event, Noted)]
    assert [(note.kind, note.facts) for note in notes] == [("images-too-small", {"count": 1})]


def test_a_run_is_neither_overwritten_nor_resumed_otherwise(
    sr: Run, photos: Path, tmp_path: Path
) -> None:
    first = ("train", *ESPCN, "--data", photos, "--steps", "2", "--lr-patch", "12")
    assert sr(*first).returncode == 0
    again = sr(*first)
    assert again.returncode == 2 and again.error_codes == ["run-exists"]
    other = sr(*first, "--resume", "--set", "ema=0.5", "--batch", "3")
    assert other.returncode == 2 and other.error_codes == ["recipe-differs"]
    assert b"batch: 16 -> 3" in other.stderr and b"ema: 0.999 -> 0.5" in other.stderr
    run = tmp_path / "espcn-x2.run"
    before = {p.name: p.read_bytes() for p in run.iterdir()}
    refused = sr("train", *ESPCN, "--data", "nowhere", "-y")
    assert refused.returncode == 2 and refused.error_codes == ["path-not-found"]
    assert before == {p.name: p.read_bytes() for p in run.iterdir()}
    assert sr(*first, "-y").returncode == 0
    resume = ("train", "--resume", "-o", "espcn-x2.safetensors")
    elsewhere = sr(*resume, "--val", "0.3")
    assert elsewhere.error_codes == ["run-differs"] and b"--val 0.02" in elsewhere.stderr
    shorter = sr(*resume, "--steps", "1")
    assert shorter.returncode == 2 and shorter.error_codes == ["run-beyond-limit"]
    (run / "run.json").write_text('{"recipe": 3}')
    assert sr(*resume).error_codes == ["unreadable-run"]


def test_the_printed_recipe_can_be_given_again(sr: Run, tmp_path: Path) -> None:
    printed = sr("train", "-m", "edsr", "-x4", "--learning-rate", "3e-4", "--print-recipe")
    assert printed.returncode == 0
    (tmp_path / "r.toml").write_bytes(printed.stdout)
    again = sr("train", "--recipe", "r.toml", "--print-recipe")
    assert again.stdout == printed.stdout and b"learning_rate = 0.0003" in again.stdout


def test_errors_in_options_do_not_wait_for_torch(tmp_path: Path) -> None:
    code = (
        "import sys; from sr_cli.cli.main import app\n"
        "for words in (['--set', 'nothing=1'], ['--data', '.', '--steps', '1', '--epochs', '1']):\n"
        "    try: app(['train', '-m', 'edsr', '-x', '2', *words])\n"
        "    except SystemExit as end: assert end.code == 2, end.code\n"
        "assert not {'torch', 'cv2', 'numpy', 'torchvision'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr.decode()


def test_a_batch_that_may_not_fit_is_noted_beforehand(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sr_cli.training.run.free_memory", lambda _: 1 << 20)
    events: list[Event] = []
    recipe = tiny_recipe(batch=8, steps=1)
    quick(photos, tmp_path / "a.safetensors", recipe, events.append, memory=1 << 30)
    notes = [event.note for event in events if isinstance(event, Noted)]
    assert [note.kind for note in notes] == ["batch-may-not-fit"]
    facts = notes[0].facts
    assert facts["batch"] == 8 and facts["needed_mib"] >= 1 and 1 <= facts["fitting"] < 8


def test_memory_is_estimated_about_right() -> None:
    recipe = default_recipe("edsr", (2,), batch=2, lr_patch=16, precision="fp32")
    trainer = Trainer(recipe, device=torch.device("cpu"))
    small, large = (
        bytes_per_step(trainer.model, msgspec.structs.replace(recipe, batch=batch), None)
        for batch in (2, 8)
    )
    # 64 features, about 37 maps kept at lr and 5 at four times the pixels.
    activations = 6 * 16 * 16 * 64 * 4 * (37 + 5 * 4)
    assert 0.5 * activations < large - small < 3 * activations


def test_frozen_normalisation_stays_in_evaluation_mode() -> None:
    recipe = Recipe("srresnet", (2,), TINY, frozen_normalisation=True)
    model = Trainer(recipe, device=torch.device("cpu")).model
    set_training_mode(model, recipe)
    modes = {m.training for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)}
    assert model.training and modes == {False}


def test_validation_on_a_test_set_by_name(
    photos: Path, tmp_path: Path, test_sets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sr_cli.evaluation import datasets

    cached = tmp_path / "cache" / "datasets" / "Set5"
    cached.mkdir(parents=True)
    for file in (test_sets / "Set5").iterdir():
        (cached / file.name).write_bytes(file.read_bytes())
    monkeypatch.setenv("SR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SR_OFFLINE", "1")
    recipe = tiny_recipe(batch=2, steps=1)
    result = quick(photos, tmp_path / "a.safetensors", recipe, val="Set5")
    assert result.best and 20 < result.best < 40
    assert datasets.canonical_name("set5") == "Set5"
    with pytest.raises(SrError) as caught:
        quick(photos, tmp_path / "b.safetensors", recipe, val="Set14")
    assert caught.value.code == "no-test-set"


def test_tensorboard_is_an_extra(photos: Path, tmp_path: Path) -> None:
    output = tmp_path / "a.safetensors"
    try:
        import tensorboard  # noqa: F401
    except ImportError:
        with pytest.raises(RefusedError) as caught:
            quick(photos, output, tensorboard=True)
        assert caught.value.code == "extra-missing"
    else:
        quick(photos, output, tensorboard=True)
        assert list((tmp_path / "a.run").glob("events.*"))


def test_a_resumed_run_keeps_its_teacher_places_and_threads(
    sr: Run, photos: Path, tmp_path: Path
) -> None:
    apart = (photos / "more").rename(tmp_path / "apart")
    first = (
        "train", *ESPCN, "--teacher", "fsrcnn-x2", "--data", photos, "--val", "apart",
        "--lr-patch", "12", "--batch", "2", "--threads", "1", "-o", "a.safetensors",
    )  # fmt: skip
    done = sr(*first, "--steps", "2", "--set", "losses.teacher=0.3")
    assert done.returncode == 0, done.stderr.decode()
    run = json.loads((tmp_path / "a.run" / "run.json").read_text())
    assert run["threads"] == 1 and run["val"] == str(apart)
    again = sr(*first, "--resume", "--steps", "3", "--license", "CC0")
    assert again.returncode == 0, again.stderr.decode()
    assert read_header(tmp_path / "a.safetensors").licence == "CC0"


def test_names_hold_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("Set5", "0.1", "own"):
        (tmp_path / name).mkdir()
    assert [absolute_val(v) for v in ("Set5", "0.1", "2%")] == ["Set5", "0.1", "2%"]
    assert absolute_val("own") == str(tmp_path / "own")


def test_a_preview_leaves_the_run_of_its_name_alone(photos: Path, tmp_path: Path) -> None:
    mapped = tmp_path / "a.run" / "pixels.bin"
    mapped.parent.mkdir()
    mapped.write_bytes(b"in use")
    draw_preview(tiny_recipe(), [photos], tmp_path / "a.png", 4, memory=40_000)
    assert mapped.read_bytes() == b"in use"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.png", "a.run", "photos"]
    with pytest.raises(SrError) as caught:
        draw_preview(tiny_recipe(), [photos], tmp_path / "gone" / "a.png", 4)
    assert caught.value.code == "unwritable-file"
