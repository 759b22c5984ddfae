"""`sr benchmark`: what it prints and writes, and what it refuses."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path

import pytest
from helpers.command import Outcome, Run
from helpers.networks import failing_for
from PIL import Image

from sr_cli.evaluation import benchmark as evaluation


def results(done: Outcome) -> dict[str, dict]:
    assert done.stdout, done.stderr.decode()
    return {r["model"]: r for r in json.loads(done.stdout)["results"]}


def test_a_process_prints_one_document_and_talks_on_stderr(sr: Run, originals: Path) -> None:
    Image.new("L", (9, 9)).save(originals / "tiny.png")
    done = sr("benchmark", "mine", "-m", "bicubic", "-x2", "--json", "--per-image")
    assert done.returncode == 1 and b"error[image-too-small]" in done.stderr
    (row,) = json.loads(done.stdout)["results"]
    found = row["sets"]["mine"]
    assert found["images"] == 3 == len(found["per_image"])
    (error,) = found["errors"]
    assert error["subject"].endswith("tiny.png") and error["message"]


def test_tables_in_every_shape(sr: Run, originals: Path) -> None:
    base = ("benchmark", "mine", "-m", "bicubic", "-x2", "--rgb")
    plain = sr(*base).stdout.decode()
    assert "PSNR-RGB" in plain and "…" not in plain and "(" not in plain
    table = list(csv.DictReader(io.StringIO(sr(*base, "--csv").stdout.decode())))
    assert table[0]["model"] == "bicubic" and float(table[0]["mine PSNR-Y"]) > 20
    markdown = sr(*base, "--markdown", "--per-image").stdout.decode().splitlines()
    assert len(markdown) == 2 + 3 and markdown[1].startswith("| ---")


def test_differences_are_explained(sr: Run, test_sets: Path) -> None:
    done = sr("benchmark", "Set5", "-m", "bicubic", "-x3", "--data-dir", test_sets)
    assert done.returncode == 0 and b"30.40 (+0.01)" in done.stdout and done.stderr


def test_identical_images_stay_valid_json(sr: Run, tmp_path: Path) -> None:
    (tmp_path / "flat").mkdir()
    Image.new("RGB", (48, 48), (10, 200, 30)).save(tmp_path / "flat" / "a.png")
    done = sr("benchmark", "flat", "-m", "bicubic", "--json")
    assert b"Infinity" not in done.stdout
    found = results(done)["bicubic"]["sets"]["flat"]
    assert found["psnr_y"] is None and found["infinite"] == ["psnr_y"]
    assert b" inf " in sr("benchmark", "flat", "-m", "bicubic").stdout


def test_folders_in_pairs(sr: Run, originals: Path, tmp_path: Path) -> None:
    (tmp_path / "low").mkdir()
    for number in range(3):
        small = Image.open(originals / f"{number}.png").resize((36, 32))
        small.save(tmp_path / "low" / f"{number}x2.png")
    base = ("benchmark", "--hr", "mine", "--lr", "low", "-m", "bicubic", "-x2", "--json")
    done = sr(*base)
    assert done.returncode == 0 and results(done)["bicubic"]["sets"]["mine"]["images"] == 3
    (tmp_path / "low" / "1x2.png").unlink()
    done = sr(*base)
    assert done.returncode == 2 and done.error_codes == ["missing-partner"]


def test_what_failed_is_told(sr: Run, originals: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(2):
        Image.new("L", (9, 9)).save(originals / f"tiny{number}.png")
    monkeypatch.setattr(evaluation, "build_pipeline", failing_for("espcn"))
    done = sr("benchmark", "mine", "-m", "espcn", "--json")
    assert done.returncode == 1
    assert done.error_codes == ["image-too-small"] * 2 + ["model-failed"]
    broken = results(done)["espcn-x4"]
    assert broken["error"]["code"] == "unreadable-checkpoint" and broken["error"]["message"]


def test_a_sheet_of_crops(sr: Run, originals: Path, tmp_path: Path) -> None:
    for region in ("differ", "edges", "texture", "1:8,4,32"):
        done = sr("benchmark", "mine", "-m", "espcn-x4", "--compare", "sheet.png", "-y",
                         "--region", region)  # fmt: skip
        assert done.returncode == 0, done.stderr.decode()
        with Image.open(tmp_path / "sheet.png") as sheet:
            side = 32 if ":" in region else 64
            assert sheet.size == (3 * (3 * side + 6), 3 * side + 28)
    base = ("benchmark", "mine", "-m", "bicubic", "--compare")
    assert sr(*base, "sheet.png").error_codes == ["already-exists"]
    outside = sr(*base, "s.png", "--region", "1:60,4,32")
    assert outside.returncode == 2 and outside.error_codes == ["crop-outside-image"]
    unknown = sr(*base, "s.png", "--region", "9:0,4,32")
    assert unknown.returncode == 2 and unknown.error_codes == ["unknown-value"]


def test_a_plot_needs_its_extra_or_is_drawn(sr: Run, originals: Path, tmp_path: Path) -> None:
    done = sr("benchmark", "mine", "-m", "espcn-x4", "--plot", "p.png")
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        assert done.returncode == 2 and done.error_codes == ["extra-missing"]
    else:
        assert done.returncode == 0 and Image.open(tmp_path / "p.png").size[0] > 300


@pytest.mark.parametrize(
    ("arguments", "code", "error"),
    [
        ("Set6", 2, "unknown-test-set"),
        ("empty", 2, "no-images-in-folder"),
        ("Set5", 1, "offline"),
        ("Set5 --data-dir empty", 2, "set-not-found"),
        ("mine -m nonet", 2, "unknown-model"),
        ("mine -m espcn-x4 -x3", 2, "scale-not-available"),
        ("mine -x2.5", 2, "wrong-type"),
        ("mine -xx", 2, "out-of-range"),
        ("mine --luma odd", 2, "unknown-value"),
        ("mine --degradation rain", 2, "unknown-value"),
        ("mine --lpips squeeze", 2, "unknown-value"),
        ("mine --lpips alex -m bicubic", 1, "offline"),
        ("--hr mine", 2, "option-requires"),
        ("--lr mine", 2, "option-requires"),
        ("mine --hr mine --lr mine", 2, "conflicting-options"),
        ("mine --csv --json", 2, "conflicting-options"),
        ("mine --csv --markdown", 2, "conflicting-options"),
        ("mine --compare nowhere/a.png", 2, "folder-not-found"),
        ("mine --compare a.jpg", 2, "wrong-type"),
        ("mine --plot a.jpg", 2, "wrong-type"),
        ("mine --region edges", 2, "option-requires"),
        ("mine --region middle --compare a.png", 2, "unknown-value"),
        ("mine --region 1:2,3,0 --compare a.png", 2, "unknown-value"),
        ("mine --tile -1", 2, "out-of-range"),
        ("mine --threads 0", 2, "out-of-range"),
        ("mine --precision fp8", 2, "unknown-value"),
        ("mine --device tpu", 2, "unknown-value"),
        ("mine --device cuda:9 -m bicubic", 2, "device-not-available"),
        ("mine mine -m bicubic", 2, "duplicate-set"),
        ("mine -m realesrgan-x4", 2, "not-downloaded"),
        ("mine -m bicubic --ab page", 2, "option-requires"),
        ("mine --degradation noise --degradation photo", 2, "option-requires"),
        ("mine --degradation noise --degradation photo --ab p --save s", 2, "conflicting-options"),
        ("mine --degradation noise --degradation photo --ab p --plot s.png", 2,
         "conflicting-options"),
        ("mine --check", 2, "set-without-figures"),
        ("other/Set5 --check", 2, "set-without-figures"),
        ("Set5 mine --check", 2, "set-without-figures"),
        ("--check -m realesrgan-x4", 2, "model-without-figures"),
        ("--check -m srgan -x2", 2, "model-without-figures"),
        ("--check -m srgan.safetensors", 2, "file-not-found"),
        ("--check -x8", 2, "out-of-range"),
        ("--check -x9 -m bicubic", 2, "out-of-range"),
        ("mine -m espcn-x4+espcn-x4", 2, "chain-order"),
        ("--data-dir nowhere", 2, "folder-not-found"),
        ("--hr nowhere --lr mine", 2, "folder-not-found"),
        ("--hr mine --lr nowhere", 2, "folder-not-found"),
        ("--hr empty --lr mine", 2, "no-images-in-folder"),
        ("mine -m bicubic --save mine/0.png", 2, "output-not-a-folder"),
        ("mine -m bicubic --save mine/0.png -y", 2, "output-not-a-folder"),
        ("mine --ab mine/0.png", 2, "output-not-a-folder"),
        ("--check --lpips alex", 2, "conflicting-options"),
        ("--check --precision fp32", 2, "conflicting-options"),
        ("--check --luma rounded", 2, "conflicting-options"),
        ("--check --per-image", 2, "conflicting-options"),
    ],
)  # fmt: skip
def test_refusals(
    sr: Run, originals: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    arguments: str, code: int, error: str,
) -> None:  # fmt: skip
    (tmp_path / "empty").mkdir()
    shutil.copytree(originals, tmp_path / "other" / "Set5")
    monkeypatch.setenv("SR_OFFLINE", "1")
    monkeypatch.setenv("SR_CACHE", str(tmp_path / "cache"))
    done = sr("benchmark", *arguments.split())
    assert done.error_codes == [error], done.stderr.decode()
    assert done.returncode == code and not done.stdout
    assert b"?" not in done.stderr, "a fact that its sentence needs is missing"


def test_every_option_that_check_decides_itself_is_refused(sr: Run) -> None:
    from sr_cli.cli.benchmark_options import Options, _not_for_check

    given = Options(hr=Path("h"), rgb=True, lpips="alex", lpips_weights=Path("w"), csv=True,
                      markdown=True, per_image=True, plot=Path("p"), save=Path("s"),
                      compare=Path("c"), ab=Path("a"), degradation=["noise"], luma="rounded",
                      precision="fp32")  # fmt: skip
    assert len(_not_for_check(given)) == 14 and _not_for_check(Options()) == []


def test_the_shipped_figures_hold(sr: Run, test_sets: Path) -> None:
    # All of them on Set5: tests/test_weights.py.
    done = sr("benchmark", "Set5", "-m", "fsrcnn", "-m", "espcn", "-x4", "--check",
                     "--data-dir", test_sets)  # fmt: skip
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()
    lines = done.stdout.decode().splitlines()
    assert len(lines) == 2 + 2 * 2 and all(line.startswith("ok ") for line in lines)
    assert lines[0].startswith("ok   bicubic x4 Set5 PSNR-Y (fp32): 28.42")


def test_a_figure_that_does_not_hold_fails(
    sr: Run, test_sets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sr_cli.evaluation import figure_checks

    golden = {("Set5", 4): {"psnr_y": 28.44, "ssim": 0.8111}}
    monkeypatch.setattr(figure_checks, "GOLDEN", golden)
    done = sr("benchmark", "Set5", "-m", "bicubic", "-x4", "--check", "--data-dir",
                     test_sets, "--json", "--quiet")  # fmt: skip
    assert done.returncode == 1 and not done.stderr
    psnr, ssim = json.loads(done.stdout)["checks"]
    assert (psnr["metric"], psnr["holds"], psnr["expected"]) == ("psnr_y", False, 28.44)
    assert (ssim["metric"], ssim["holds"], ssim["model"]) == ("ssim", True, "bicubic")
