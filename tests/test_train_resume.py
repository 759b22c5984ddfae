"""`sr train` broken off: killed, interrupted, out of room, diverging."""

from __future__ import annotations

import json
import math
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import Run
from PIL import Image
from trials import command, quick, same, wait_for

from sr_cli.errors import SrError
from sr_cli.training.loop import fit
from sr_cli.training.papers import default_recipe
from sr_cli.training.plan import Plan
from sr_cli.training.run import Progress
from sr_cli.training.run_folder import RunFolder
from sr_cli.training.sheet import draw_curves


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
    assert (tmp_path / "a.run" / "last.safetensors").stat().st_size > 0


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
    from sr_cli.training.crops import Batch
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
