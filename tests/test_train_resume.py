"""Interrupted trainings: killed, stopped by a signal, out of room, diverging; and resumed ones."""

from __future__ import annotations

import json
import math
import signal
import sys
from pathlib import Path

import pytest
import torch
from helpers.command import Run
from helpers.training import arguments, quick, same, started, tiny_recipe, wait_for
from PIL import Image

from sr_cli.errors import SrError
from sr_cli.training.crops import Batch
from sr_cli.training.events import Event, Noted, Progress
from sr_cli.training.monitoring import draw_curves
from sr_cli.training.request import TrainingRequest
from sr_cli.training.run_folder import RunFolder
from sr_cli.training.train import train
from sr_cli.training.trainer import Trainer


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_a_run_killed_at_any_moment_resumes_bit_for_bit(
    sr: Run, photos: Path, tmp_path: Path
) -> None:
    steps = ("--steps", "120")
    whole = sr(*arguments(photos, "whole.safetensors", *steps))
    assert whole.returncode == 0, whole.stderr.decode()
    words = arguments(photos, "killed.safetensors", *steps, "--save-every", "0.05s")
    killed = started(tmp_path, *words)
    wait_for(tmp_path / "killed.run" / "state.previous.pt", killed)
    killed.kill()
    killed.communicate()
    state = torch.load(tmp_path / "killed.run" / "state.pt", weights_only=True)
    assert 0 < state["progress"]["step"] < 120
    resumed = sr("train", "--resume", "-o", "killed.safetensors")
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
def test_a_signal_saves_the_state_and_says_how_to_resume(
    sr: Run, photos: Path, tmp_path: Path, number: int, code: int
) -> None:
    more = ("--steps", "100000", "--save-every", "0.1s")
    run = started(tmp_path, *arguments(photos, "a.safetensors", *more))
    wait_for(tmp_path / "a.run" / "state.pt", run)
    option = {130: "-y", 143: "--resume"}[code]
    second = sr(*arguments(photos, "a.safetensors", option))
    assert second.returncode == 2 and second.error_codes == ["run-in-use"]
    run.send_signal(number)
    said = run.communicate(timeout=60)[1].decode()
    assert run.returncode == code, said
    assert "sr train --resume -o a.safetensors" in said and "Traceback" not in said
    assert not list((tmp_path / "a.run").glob("*.tmp"))
    assert torch.load(tmp_path / "a.run" / "state.pt", weights_only=True)["progress"]["step"] > 0
    assert (tmp_path / "a.run" / "last.safetensors").stat().st_size > 0


def test_python_resumes_a_run_by_its_output_alone(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    recipe = {"model": "espcn", "scales": [2], "lr_patch": 12, "batch": 2, "steps": 4}
    train(recipe, TrainingRequest(data=["photos"], output="a.safetensors", licence="CC0"))
    monkeypatch.chdir("/")
    output = tmp_path / "a.safetensors"
    again = train(None, TrainingRequest(output=output, steps=6, resume=True))
    assert (again.steps, again.done, again.signal) == (6, True, None)
    assert RunFolder(output).read_run().licence == "CC0"
    with pytest.raises(SrError) as caught:
        train({**recipe, "batch": 4}, TrainingRequest(output=output, resume=True))
    assert caught.value.code == "recipe-differs"
    assert caught.value.facts["changes"] == ["batch: 2 -> 4"]


def test_a_damaged_state_gives_way_to_the_one_before(photos: Path, tmp_path: Path) -> None:
    output = tmp_path / "a.safetensors"
    quick(photos, output, save_seconds=0.0)
    state = tmp_path / "a.run" / "state.pt"
    state.write_bytes(state.read_bytes()[:1000])
    events: list[Event] = []
    quick(photos, output, on_event=events.append, resume=True)
    notes = [event.note for event in events if isinstance(event, Noted)]
    assert [note.kind for note in notes] == ["state-damaged"]
    for name in ("state.pt", "state.previous.pt"):
        (tmp_path / "a.run" / name).write_bytes(b"rubbish")
    with pytest.raises(SrError) as caught:
        quick(photos, output, resume=True)
    assert caught.value.code == "no-readable-state"


def test_a_state_that_cannot_be_written_leaves_the_one_before(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "a.safetensors"
    quick(photos, output)
    state = (tmp_path / "a.run" / "state.pt").read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("torch.save", full)
    with pytest.raises(SrError) as caught:
        quick(photos, output, tiny_recipe(steps=14), resume=True)
    assert caught.value.code == "unwritable-file"
    assert caught.value.facts["reason"] == "No space left on device"
    assert (tmp_path / "a.run" / "state.pt").read_bytes() == state


def test_a_time_limit_counts_all_parts_and_ends_decayed(photos: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe(learning_rate=1e-3, schedule="cosine")
    result = quick(photos, tmp_path / "a.safetensors", recipe, seconds=0.8)
    assert result.done and 0.7 < result.seconds < 15
    assert result.learning_rate < 0.1 * recipe.learning_rate
    again = quick(photos, tmp_path / "a.safetensors", recipe, seconds=0.8, resume=True)
    assert again.steps == result.steps


def test_it_stops_early_when_nothing_gets_better(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sr_cli.training.validation._MIN_STEPS", 10)
    recipe = tiny_recipe(lr_patch=8, batch=2, steps=400, patience=2, learning_rate=1e-30)
    events: list[Event] = []
    result = quick(photos, tmp_path / "a.safetensors", recipe, events.append)
    assert result.done and result.steps < 200
    notes = [event.note for event in events if isinstance(event, Noted)]
    assert [(note.kind, note.facts) for note in notes] == [("stopped-early", {"validations": 2})]


def test_a_run_that_diverges_ends_with_its_last_good_state(
    sr: Run, photos: Path, tmp_path: Path
) -> None:
    done = sr(
        "train", "-m", "edsr", "-x2", "--data", photos, "--set", "config.features=4",
        "--set", "config.blocks=1", "--lr-patch", "8", "--batch", "2", "--steps", "900",
        "--set", "optimiser=sgd", "--learning-rate", "1e20", "-o", "a.safetensors",
    )  # fmt: skip
    assert done.returncode == 1 and done.error_codes == ["diverged"]
    state = torch.load(tmp_path / "a.run" / "state.pt", weights_only=True)
    assert state["progress"]["skipped"] >= 20
    assert all(torch.isfinite(t).all() for t in state["model"].values())


def test_a_step_with_a_bad_loss_is_skipped_and_counted() -> None:
    trainer = Trainer(tiny_recipe(lr_patch=8), device=torch.device("cpu"))
    good, bad = torch.rand(2, 1, 8, 8), torch.full((2, 1, 8, 8), torch.nan)
    hr = torch.rand(2, 1, 16, 16)
    trainer.step(Batch(good, hr, good, 2))
    trainer.step(Batch(good, hr, good, 2))
    before = {k: v.clone() for k, v in trainer.model.state_dict().items()}
    trainer.step(Batch(bad, hr, bad, 2))
    assert trainer.progress.skipped == 1 and trainer.progress.bad_in_a_row == 1
    assert all(torch.equal(v, before[k]) for k, v in trainer.model.state_dict().items())
    trainer.step(Batch(good, hr, good, 2))
    assert trainer.progress.bad_in_a_row == 0


def test_the_same_seed_gives_the_same_weights_whatever_was_drawn_before() -> None:
    """Also where choosing a precision measures, which draws random numbers."""
    weights = []
    for drawn in (0, 3):
        torch.rand(drawn)
        trainer = Trainer(tiny_recipe(precision="auto", seed=7), device=torch.device("cpu"))
        weights.append(next(trainer.model.parameters()))
    assert torch.equal(*weights)


def test_a_loss_that_is_not_finite_is_logged_as_json_and_left_out_of_the_curves(
    tmp_path: Path,
) -> None:
    folder = RunFolder(tmp_path / "a.safetensors")
    folder.path.mkdir()
    for step, loss in ((50, math.inf), (100, math.nan), (150, 0.5), (200, 0.25)):
        folder.log(Progress(step, losses={"l1": loss}))
    text = folder.log_file.read_text()
    assert "NaN" not in text and "Infinity" not in text
    records = [*folder.read_log(200), {"step": 250, "losses": {"l1": math.nan}}]
    assert [r["losses"]["l1"] for r in records[:4]] == [None, None, 0.5, 0.25]
    draw_curves(records, folder.strips_file, folder.curves_file)
    with Image.open(folder.curves_file) as curves:
        assert curves.size[0] > 500
