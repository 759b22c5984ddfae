"""`sr benchmark`: figures, tables, pictures, checks, and bad input."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import SHARED, Run, smooth
from manifest_world import compact
from PIL import Image

import sr_cli
from sr_cli.evaluation.measure import multiply_adds
from sr_cli.evaluation.sheet import find_region
from sr_cli.networks import create_model

LPIPS_FILE = SHARED / "reference" / "lpips_alexnet.safetensors"


def results(done: object) -> dict[str, dict]:
    document = json.loads(done.stdout)  # type: ignore[attr-defined]
    return {r["model"]: r for r in document["results"]}


def test_bicubic_on_set5_is_the_golden_figure(sr: Run, test_sets: Path) -> None:
    done = sr("benchmark", "Set5", "-m", "bicubic", "-x3", "--data-dir", test_sets, "--json")
    assert done.returncode == 0, done.stderr.decode()
    figures = results(done)["bicubic"]["sets"]["Set5"]
    assert figures["psnr_y"] == pytest.approx(30.403, abs=0.002)
    assert figures["ssim"] == pytest.approx(0.8689, abs=0.0005)
    assert figures["published"]["psnr_y"] == 30.39 and figures["images"] == 5


def test_rounded_luma_reads_lower(sr: Run, test_sets: Path) -> None:
    done = sr("benchmark", "Set5", "-m", "bicubic", "-x3", "--data-dir", test_sets, "--json",
              "--luma", "rounded")  # fmt: skip
    assert 30.37 < results(done)["bicubic"]["sets"]["Set5"]["psnr_y"] < 30.402


@pytest.mark.skipif(not LPIPS_FILE.exists(), reason="LPIPS's weights are not here")
def test_lpips_of_bicubic_is_the_known_figure(sr: Run, test_sets: Path) -> None:
    done = sr("benchmark", "Set5", "-m", "bicubic", "--data-dir", test_sets, "--json",
              "--lpips", "alex", "--lpips-weights", LPIPS_FILE)  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    assert results(done)["bicubic"]["sets"]["Set5"]["lpips"] == pytest.approx(0.3398, abs=0.001)


def test_what_is_measured_is_what_upscale_writes(sr: Run, originals: Path, tmp_path: Path) -> None:
    done = sr("benchmark", "mine", "-m", "espcn-x4", "--json", "--save", "out", "--per-image")
    assert done.returncode == 0, done.stderr.decode()
    found = results(done)
    assert set(found) == {"bicubic", "espcn-x4"}
    assert [i["name"] for i in found["espcn-x4"]["sets"]["mine"]["per_image"]] == ["0", "1", "2"]
    from sr_cli.imaging.resize import downscale_bicubic

    hr = np.asarray(Image.open(originals / "1.png"))
    Image.fromarray(downscale_bicubic(hr, 4)).save(tmp_path / "lr.png")
    assert sr("upscale", "lr.png", "-m", "espcn-x4", "-o", "sr.png").returncode == 0
    ours = np.asarray(Image.open(tmp_path / "out" / "mine" / "1_espcn-x4.png"))
    assert (ours == np.asarray(Image.open(tmp_path / "sr.png"))).all()
    squared = (ours.astype(float) - hr)[4:-4, 4:-4] @ (np.array([65.481, 128.553, 24.966]) / 255)
    wanted = 10 * np.log10(255**2 / np.mean(squared**2))
    figure = found["espcn-x4"]["sets"]["mine"]["per_image"][1]["psnr_y"]
    assert figure == pytest.approx(wanted, abs=1e-4)


def test_tables_in_every_shape(sr: Run, originals: Path) -> None:
    base = ("benchmark", "mine", "-m", "bicubic", "-x2", "--rgb")
    plain = sr(*base)
    assert plain.returncode == 0 and "PSNR-RGB" in plain.stdout.decode()
    assert "…" not in plain.stdout.decode()
    table = list(csv.DictReader(io.StringIO(sr(*base, "--csv").stdout.decode())))
    assert table[0]["model"] == "bicubic" and float(table[0]["mine PSNR-Y"]) > 20
    markdown = sr(*base, "--markdown", "--per-image").stdout.decode().splitlines()
    assert len(markdown) == 2 + 3 and markdown[1].startswith("| ---")
    assert sr(*base, "--csv", "--json").returncode == 2


def test_identical_pictures_stay_valid_json(sr: Run, tmp_path: Path) -> None:
    (tmp_path / "flat").mkdir()
    Image.new("RGB", (48, 48), (10, 200, 30)).save(tmp_path / "flat" / "a.png")
    done = sr("benchmark", "flat", "-m", "bicubic", "--json")
    assert b"Infinity" not in done.stdout
    figures = results(done)["bicubic"]["sets"]["flat"]
    assert figures["psnr_y"] is None and "infinite" in figures["psnr_y_note"]
    assert "inf" in sr("benchmark", "flat", "-m", "bicubic").stdout.decode()


def test_folders_in_pairs(sr: Run, originals: Path, tmp_path: Path) -> None:
    (tmp_path / "low").mkdir()
    for number in range(3):
        small = Image.open(originals / f"{number}.png").resize((36, 32))
        small.save(tmp_path / "low" / f"{number}x2.png")
    done = sr("benchmark", "--hr", "mine", "--lr", "low", "-m", "bicubic", "-x2", "--json")
    assert done.returncode == 0, done.stderr.decode()
    assert results(done)["bicubic"]["sets"]["mine"]["images"] == 3
    Image.fromarray(smooth(20, 20)).save(tmp_path / "low" / "1x2.png")
    worse = sr("benchmark", "--hr", "mine", "--lr", "low", "-m", "bicubic", "-x2", "--json")
    assert worse.returncode == 1 and b"1x2.png" in worse.stderr
    assert results(worse)["bicubic"]["sets"]["mine"]["images"] == 2
    (tmp_path / "low" / "1x2.png").unlink()
    missing = sr("benchmark", "--hr", "mine", "--lr", "low", "-m", "bicubic", "-x2")
    assert missing.returncode == 1 and b"no partner" in missing.stderr


def test_gray_sixteen_bit_and_bad_pictures(sr: Run, originals: Path) -> None:
    Image.fromarray(smooth(64, 64)[..., 0]).save(originals / "gray.png")
    deep = (smooth(64, 64)[..., 0].astype(np.uint16) * 257).astype(np.uint16)
    Image.fromarray(deep).save(originals / "deep.png")
    (originals / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\nno")
    Image.fromarray(smooth(9, 9)).save(originals / "tiny.png")
    done = sr("benchmark", "mine", "-m", "bicubic", "-x4", "--json")
    assert done.returncode == 1
    assert b"bad.png" in done.stderr and b"tiny.png" in done.stderr
    assert b"2 pictures could not be measured" in done.stderr
    assert results(done)["bicubic"]["sets"]["mine"]["images"] == 5


def test_a_sheet_of_crops(sr: Run, originals: Path, tmp_path: Path) -> None:
    for region in ("differ", "edges", "texture", "1:8,4,32"):
        done = sr("benchmark", "mine", "-m", "espcn-x4", "--compare", "sheet.png", "-y",
                  "--region", region)  # fmt: skip
        assert done.returncode == 0, done.stderr.decode()
        with Image.open(tmp_path / "sheet.png") as sheet:
            assert sheet.size[0] >= 3 * 32 * 3
    assert sr("benchmark", "mine", "-m", "bicubic", "--compare", "sheet.png").returncode == 2
    outside = sr(
        "benchmark", "mine", "-m", "bicubic", "--compare", "s.png", "--region", "1:60,4,32"
    )
    assert outside.returncode == 2 and b"outside" in outside.stderr
    assert sr("benchmark", "mine", "--region", "edges").returncode == 2


def test_the_place_where_they_differ_is_found() -> None:
    a = np.zeros((60, 80), np.uint8)
    b = a.copy()
    b[35:45, 50:60] = 255
    top, left = find_region([a, b], a, 16, "differ")
    assert 29 <= top <= 35 and 44 <= left <= 50


def test_multiply_adds_are_those_of_the_papers() -> None:
    assert multiply_adds([create_model("srcnn", scale=3)]) == pytest.approx(57_184)
    espcn = (25 * 64 + 9 * 64 * 32 + 9 * 32 * 16) / 16
    assert multiply_adds([create_model("espcn", scale=4)]) == pytest.approx(espcn)
    fsrcnn = create_model("fsrcnn", scale=3)
    assert multiply_adds([fsrcnn]) == pytest.approx(12_464 / 9)


def test_a_model_that_cannot_be_used_leaves_the_others_in_the_table(
    sr: Run, originals: Path, tmp_path: Path
) -> None:
    torch.save(compact(1), tmp_path / "one.pth")
    torch.save(compact(2), tmp_path / "two.pth")
    models = ("-m", "one.pth+espcn-x2", "-m", "two.pth+espcn-x2")
    done = sr("benchmark", "mine", "-x2", *models, "--json")
    assert done.returncode == 1 and b"only the last one may" in done.stderr
    found = results(done)
    chain, broken = found["one.pth+espcn-x2"], found["two.pth+espcn-x2"]
    assert broken["error"] and not broken["sets"]
    assert chain["sets"]["mine"]["images"] == 3
    espcn = create_model("espcn", scale=2)
    first = [sum(t.numel() for t in compact(1).values()), sum(9 * 8 * n for n in (3, 8, 3))]
    assert chain["parameters"] == first[0] + sum(p.numel() for p in espcn.parameters())
    costs = first[1] / 4 + multiply_adds([espcn])
    assert chain["multiply_adds_per_pixel"] == pytest.approx(costs, abs=0.1)


def test_a_plot_needs_its_extra_or_is_drawn(sr: Run, originals: Path, tmp_path: Path) -> None:
    done = sr("benchmark", "mine", "-m", "espcn-x4", "--plot", "p.png")
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        assert done.returncode == 2 and b"sr-cli[plot]" in done.stderr
    else:
        assert done.returncode == 0 and Image.open(tmp_path / "p.png").size[0] > 300


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("Set6",), 2, b"Set5, Set14, BSD100, Urban100"),
        (("empty",), 1, b"no pictures"),
        (("Set5",), 1, b"--data-dir"),
        (("Set5", "--data-dir", "empty"), 1, b"holds no Set5"),
        (("mine", "-m", "nonet"), 2, b"nonet"),
        (("mine", "-m", "espcn-x4", "-x3"), 2, b"has no x3"),
        (("mine", "-x2.5"), 2, b"whole"),
        (("mine", "--luma", "odd"), 2, b"rounded"),
        (("mine", "--lpips", "squeeze"), 2, b"alex or vgg"),
        (("mine", "--lpips", "alex", "-m", "bicubic"), 1, b"--lpips-weights"),
        (("--hr", "mine"), 2, b"belong together"),
        (("mine", "--hr", "mine", "--lr", "mine"), 2, b"replace"),
        (("mine", "--compare", "nowhere/a.png"), 2, b"nowhere"),
        (("mine", "--compare", "a.jpg"), 2, b"PNG"),
        (("mine", "--region", "middle"), 2, b"differ, edges, texture"),
        (("mine", "--tile", "0"), 2, b"at least 1"),
        (("mine", "--precision", "fp8"), 2, b"fp8"),
        (("mine", "mine", "-m", "bicubic"), 2, b"2 sets are called 'mine'"),
        (("mine", "-m", "realesrgan-x4"), 2, b"not downloaded yet"),
        (("mine", "-m", "bicubic", "--ab", "page"), 2, b"needs two models"),
        (("mine", "--check"), 2, b"no shipped figures"),
        (("mine", "--check", "-m", "realesrgan-x4"), 2, b"no shipped figures"),
        (("--check", "--lpips", "alex"), 2, b"nothing else"),
        (("--check", "--precision", "fp32"), 2, b"nothing else"),
        (("--check", "-m", "srgan", "-x2"), 2, b"srgan has no shipped figures to check at x2"),
        (("--check", "Set5", "mine"), 2, b"no shipped figures for mine"),
        (
            (
                "mine",
                "--ab",
                "p",
                "--save",
                "s",
                "--degradation",
                "noise",
                "--degradation",
                "photo",
            ),
            2,
            b"one degradation",
        ),
    ],
)
def test_bad_options_get_a_clear_error(
    sr: Run, originals: Path, tmp_path: Path, arguments: tuple[str, ...], code: int, said: bytes
) -> None:
    (tmp_path / "empty").mkdir()
    done = sr("benchmark", *arguments, env={"SR_OFFLINE": "1"})
    assert done.returncode == code, done.stderr.decode()
    assert said in done.stderr, done.stderr.decode()


def test_the_shipped_figures_hold(sr: Run, test_sets: Path) -> None:
    # All of them on Set5: tests/test_weights.py.
    done = sr(
        "benchmark", "Set5", "-m", "fsrcnn", "-m", "espcn", "--check", "--data-dir", test_sets
    )
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()
    assert b"0 do not hold" in done.stderr


def test_only_the_papers_own_pictures_are_compared_with_the_papers(
    sr: Run, originals: Path, tmp_path: Path
) -> None:
    shutil.copytree(originals, tmp_path / "other" / "Set5")
    done = sr("benchmark", "other/Set5", "-m", "bicubic", "-x2", "--json")
    assert "published" not in results(done)["bicubic"]["sets"]["Set5"]


def test_equal_names_and_odd_ones_stay_apart(sr: Run, originals: Path, tmp_path: Path) -> None:
    shutil.copy(originals / "0.png", originals / "a,b (1).png")
    Image.open(originals / "0.png").save(originals / "0.bmp")
    package = Path(sr_cli.__file__).parent / "weights" / "files" / "espcn-x2.safetensors"
    for folder in ("m1", "m2"):
        (tmp_path / folder).mkdir()
        shutil.copy(package, tmp_path / folder / "net.safetensors")
    models = ("-m", "m1/net.safetensors", "-m", "m2/net.safetensors")
    base = ("benchmark", "mine", "-x2", "--csv", "--per-image", "--save", "made")
    done = sr(*base, *models)
    assert done.returncode == 0, done.stderr.decode()
    table = list(csv.DictReader(io.StringIO(done.stdout.decode())))
    rows = [(row["model"], row["image"]) for row in table]
    assert len(set(rows)) == len(rows) == 3 * 5
    assert {("m2/net.safetensors", name) for name in ("a,b (1)", "0.bmp", "0.png")} < set(rows)
    assert len(list((tmp_path / "made" / "mine").iterdir())) == 3 * 5
    again = sr(*base, "-m", "bicubic")
    assert again.returncode == 2 and b"-y overwrites" in again.stderr
    assert sr(*base, "-m", "bicubic", "-y").returncode == 0
