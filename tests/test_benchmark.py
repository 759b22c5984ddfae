"""`benchmark`, called from Python: figures, pictures, what cannot be measured, what is refused."""

from __future__ import annotations

import math
import mmap
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import REPOSITORY, SHARED
from helpers.command import Run
from helpers.images import smooth
from helpers.networks import compact, failing_for
from PIL import Image

from sr_cli.errors import RefusedError, SrError
from sr_cli.evaluation import benchmark as evaluation
from sr_cli.evaluation.benchmark import benchmark
from sr_cli.evaluation.costs import PeakMemory, count_multiply_adds
from sr_cli.evaluation.measure import ImageFigures, Protocol, SetFigures, load_sample
from sr_cli.evaluation.plan import (
    BenchmarkOptions,
    Event,
    FetchProgress,
    ImageProgress,
    Pairs,
    resolve_models,
)
from sr_cli.evaluation.report import METRICS, Figure, Report, Row
from sr_cli.imaging.resize import downscale_bicubic
from sr_cli.networks import create_model

LPIPS_FILE = SHARED / "reference" / "lpips_alexnet.safetensors"
BICUBIC = ["bicubic"]


def row_of(report: Report, model: str) -> Row:
    return next(row for row in report.rows if row.model == model)


def test_bicubic_on_set5_is_the_golden_figure(test_sets: Path) -> None:
    options = BenchmarkOptions(data_dir=test_sets)
    (row,) = benchmark(["set5"], models=BICUBIC, scale=3, options=options).rows
    assert len(row.sets["Set5"].images) == 5 and row.precision is None
    figures = {m.key: row.mean("Set5", m) for m in METRICS}
    assert figures["psnr_y"] == pytest.approx(30.403, abs=0.002)
    assert figures["ssim"] == pytest.approx(0.8689, abs=0.0005)
    assert figures["lpips"] is None and figures["psnr_rgb"] is None
    assert row.published("Set5")["psnr_y"] == 30.39
    assert row.difference("Set5", METRICS[0]) == pytest.approx(0.013, abs=0.002)
    rounded = replace(options, luma="rounded")
    (lower,) = benchmark(["Set5"], models=BICUBIC, scale=3, options=rounded).rows
    assert 30.37 < (lower.sets["Set5"].mean("psnr_y") or 0) < 30.402


@pytest.mark.skipif(not LPIPS_FILE.exists(), reason="LPIPS's weights are not here")
def test_lpips_of_bicubic_is_the_known_figure(test_sets: Path) -> None:
    # The weights alone stand for the network that they are of.
    options = BenchmarkOptions(data_dir=test_sets, lpips_weights=LPIPS_FILE)
    (row,) = benchmark(["Set5"], models=BICUBIC, options=options).rows
    assert row.sets["Set5"].mean("lpips") == pytest.approx(0.3398, abs=0.001)


def test_what_is_measured_is_what_upscale_writes(sr: Run, originals: Path, tmp_path: Path) -> None:
    options = BenchmarkOptions(save=tmp_path / "out")
    report = benchmark([originals], models=["espcn-x4"], options=options)
    assert {row.model for row in report.rows} == {"bicubic", "espcn-x4"} and not report.comparisons
    hr = np.asarray(Image.open(originals / "1.png"))
    Image.fromarray(downscale_bicubic(hr, 4)).save(tmp_path / "lr.png")
    assert sr("upscale", "lr.png", "-m", "espcn-x4", "-o", "sr.png").returncode == 0
    ours = np.asarray(Image.open(tmp_path / "out" / "mine" / "1_espcn-x4.png"))
    assert (ours == np.asarray(Image.open(tmp_path / "sr.png"))).all()
    squared = (ours.astype(float) - hr)[4:-4, 4:-4] @ (np.array([65.481, 128.553, 24.966]) / 255)
    images = row_of(report, "espcn-x4").sets["mine"].images
    assert [i.name for i in images] == ["0", "1", "2"]
    wanted = 10 * np.log10(255**2 / np.mean(squared**2))
    assert images[1].psnr_y == pytest.approx(wanted, abs=1e-4)
    assert images[1].megapixels == pytest.approx(64 * 72 / 1e6) and images[1].seconds > 0


def test_rows_tell_what_a_model_costs(originals: Path) -> None:
    report = benchmark([originals], models=["espcn-x4"])
    row = row_of(report, "espcn-x4")
    espcn = create_model("espcn", scale=4)
    assert row.parameters == sum(p.numel() for p in espcn.parameters())
    assert row.multiply_adds == pytest.approx(count_multiply_adds([espcn]))
    assert row.device == str(torch.device(row.device)) and row.precision in ("fp32", "bf16", "fp16")
    bicubic = row_of(report, "bicubic")
    assert (bicubic.parameters, bicubic.multiply_adds, bicubic.precision) == (0, 0, None)
    assert report.rows == sorted(report.rows, key=lambda r: r.quality)


def test_multiply_adds_are_those_of_the_papers() -> None:
    assert count_multiply_adds([create_model("srcnn", scale=3)]) == pytest.approx(57_184)
    espcn = (25 * 64 + 9 * 64 * 32 + 9 * 32 * 16) / 16
    assert count_multiply_adds([create_model("espcn", scale=4)]) == pytest.approx(espcn)
    fsrcnn = create_model("fsrcnn", scale=3)
    assert count_multiply_adds([fsrcnn]) == pytest.approx(12_464 / 9)
    assert count_multiply_adds([fsrcnn, fsrcnn]) == pytest.approx(2 * 12_464 / 9)
    # On each of 32 rows 5 outputs of 32 inputs, over 32x32 pixels.
    dense = torch.nn.Sequential(torch.nn.Linear(32, 5))
    dense.channels, dense.scale = 1, 1  # type: ignore[assignment]
    assert count_multiply_adds([dense]) == 5


def test_peak_memory_begins_anew() -> None:
    first = PeakMemory()
    with mmap.mmap(-1, 96 << 20) as block:
        for page in range(0, len(block), mmap.PAGESIZE):
            block[page] = 1
    peak = first.bytes()
    if peak is None:
        pytest.skip("the system does not tell")
    then = PeakMemory().bytes()
    if not os.access("/proc/self/clear_refs", os.W_OK):
        pytest.skip("the system does not forget an earlier peak")
    assert then is not None and peak - then > 64 << 20


def test_events_tell_of_files_and_images(originals: Path, test_sets: Path) -> None:
    (originals / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\nno")
    events: list[Event] = []
    options = BenchmarkOptions(degradations=("bicubic", "noise"))
    benchmark([originals], models=BICUBIC, options=options, on_event=events.append)
    images = [e for e in events if isinstance(e, ImageProgress)]
    assert [(e.done, e.total) for e in images] == [(n, 8) for n in range(1, 9)]
    assert {e.image for e in images if e.error is not None} == {"bad"}
    assert {(e.model, e.test_set) for e in images} == {("bicubic", "mine")}
    assert not any(isinstance(e, FetchProgress) for e in events)


def test_folders_in_pairs(originals: Path, tmp_path: Path) -> None:
    low = tmp_path / "low"
    low.mkdir()
    for number in range(3):
        small = Image.open(originals / f"{number}.png").resize((36, 32))
        small.save(low / f"{number}x2.png")
    pairs = Pairs(originals, low)
    (row,) = benchmark([pairs], models=BICUBIC, scale=2).rows
    assert len(row.sets["mine"].images) == 3
    Image.fromarray(smooth(20, 20)).save(low / "1x2.png")
    worse = benchmark([pairs], models=BICUBIC, scale=2)
    assert len(worse.rows[0].sets["mine"].images) == 2
    (error,) = worse.image_errors
    assert error.code == "lr-size-mismatch" and error.subject == str(low / "1x2.png")
    assert error.facts["lr_size"] == [20, 20] and error.facts["hr_size"] == [72, 64]
    (low / "1x2.png").unlink()
    with pytest.raises(SrError, match="partner"):
        benchmark([pairs], models=BICUBIC, scale=2)
    with pytest.raises(SrError) as caught:
        benchmark([Pairs(originals, tmp_path / "nowhere")], models=BICUBIC, scale=2)
    assert caught.value.code == "folder-not-found"


def test_a_gray_partner_makes_both_colour(originals: Path, tmp_path: Path) -> None:
    from sr_cli.evaluation.datasets import TestImage

    Image.open(originals / "0.png").resize((36, 32)).convert("L").save(tmp_path / "l.png")
    sample = load_sample(TestImage("0", originals / "0.png", tmp_path / "l.png"), 2)
    assert sample.lr.shape == (32, 36, 3) and sample.hr.shape == (64, 72, 3)


def test_an_original_is_cropped_to_a_multiple_of_the_scale(tmp_path: Path) -> None:
    from sr_cli.evaluation.datasets import TestImage

    hr = smooth(49, 51)
    Image.fromarray(hr).save(tmp_path / "a.png")
    sample = load_sample(TestImage("a", tmp_path / "a.png"), 4)
    assert sample.lr.shape == (12, 12, 3) and (sample.hr == hr[:48, :48]).all()
    # The papers' protocol is what nothing else asks for.
    assert (sample.lr == downscale_bicubic(hr[:48, :48], 4)).all()
    assert Protocol() == Protocol("unrounded", False, {}, False, "bicubic")
    Image.fromarray(hr[:24, :25]).save(tmp_path / "l.png")
    pair = load_sample(TestImage("a", tmp_path / "a.png", tmp_path / "l.png"), 2)
    assert pair.lr.shape == (24, 25, 3) and (pair.hr == hr[:48, :50]).all()


def test_degraded_lr_is_the_same_each_time_and_of_its_image(originals: Path) -> None:
    from sr_cli.evaluation.datasets import TestImage

    image = TestImage("0", originals / "0.png")
    first = load_sample(image, 2, "noise").lr
    assert (first == load_sample(image, 2, "noise").lr).all()
    assert (first != load_sample(replace(image, name="other"), 2, "noise").lr).any()
    gray = Image.open(originals / "0.png").convert("L")
    gray.save(originals / "gray.png")
    lr = load_sample(TestImage("gray", originals / "gray.png"), 2, "noise").lr
    clean = downscale_bicubic(np.asarray(gray), 2)
    assert lr.shape == clean.shape and 0 < np.abs(lr.astype(int) - clean).mean() < 40


def test_gray_sixteen_bit_and_bad_images(originals: Path) -> None:
    Image.fromarray(smooth(64, 64)[..., 0]).save(originals / "gray.png")
    deep = (smooth(64, 64)[..., 0].astype(np.uint16) * 257).astype(np.uint16)
    Image.fromarray(deep).save(originals / "deep.png")
    (originals / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\nno")
    Image.fromarray(smooth(9, 9)).save(originals / "tiny.png")
    Image.fromarray(smooth(3, 3)).save(originals / "dot.png")
    report = benchmark([originals], models=["espcn-x4"])
    for row in report.rows:
        found = row.sets["mine"]
        assert len(found.images) == 5 and len(found.errors) == 3
        by_name = {i.name: i for i in found.images}
        assert by_name["gray"].psnr_y == by_name["deep"].psnr_y
    # The same for both models, they are told of once.
    errors = {Path(e.subject).name: e for e in report.image_errors}
    assert set(errors) == {"bad.png", "tiny.png", "dot.png"} and len(report.image_errors) == 3
    assert errors["tiny.png"].code == errors["dot.png"].code == "image-too-small"
    assert errors["tiny.png"].facts == {"width": 8, "height": 8, "needed": 11 + 2 * 4}
    assert errors["dot.png"].facts == {"width": 3, "height": 3, "needed": 4}
    assert not report.model_errors


def test_a_model_that_cannot_be_used_leaves_the_others(
    originals: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save(compact(1), tmp_path / "one.pth")
    torch.save(compact(2), tmp_path / "two.pth")
    good, chain_of_two = (f"{tmp_path / name}.pth+espcn-x2" for name in ("one", "two"))
    with pytest.raises(RefusedError) as caught:
        benchmark([originals], models=[good, chain_of_two], scale=2)
    assert caught.value.code == "chain-order"
    bad = "fsrcnn-x2"
    monkeypatch.setattr(evaluation, "build_pipeline", failing_for(bad))
    report = benchmark([originals], models=[good, bad], scale=2)
    chain, broken = row_of(report, good), row_of(report, bad)
    assert broken.error is not None and not broken.sets and broken.quality == -math.inf
    (error,) = report.model_errors
    assert (error.code, error.subject) == ("model-failed", bad)
    assert error.facts["cause"].code == broken.error.code == "unreadable-checkpoint"
    assert len(chain.sets["mine"].images) == 3
    espcn = create_model("espcn", scale=2)
    first = [sum(t.numel() for t in compact(1).values()), sum(9 * 8 * n for n in (3, 8, 3))]
    assert chain.parameters == first[0] + sum(p.numel() for p in espcn.parameters())
    # The first network of the chain sees a quarter of the result's pixels.
    assert chain.multiply_adds == pytest.approx(first[1] / 4 + count_multiply_adds([espcn]))


def test_images_that_cannot_be_saved_are_the_models_error(originals: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine").touch()
    options = BenchmarkOptions(save=tmp_path / "out")
    report = benchmark([originals], models=BICUBIC, options=options)
    (error,) = report.model_errors
    assert error.facts["cause"].code == "unwritable-file"


def test_only_the_papers_own_images_are_compared_with_the_papers(
    originals: Path, tmp_path: Path
) -> None:
    shutil.copytree(originals, tmp_path / "other" / "Set5")
    (row,) = benchmark([tmp_path / "other" / "Set5"], models=BICUBIC, scale=2).rows
    assert row.sets["Set5"].images and row.published("Set5") == {}
    row.known_sets.add("Set5")
    assert row.published("Set5")["psnr_y"] == 33.66
    row.degradation = "photo"
    assert row.published("Set5") == {} and row.difference("Set5", METRICS[0]) is None


def test_equal_names_and_odd_ones_stay_apart(originals: Path, tmp_path: Path) -> None:
    shutil.copy(originals / "0.png", originals / "a,b (1).png")
    Image.open(originals / "0.png").save(originals / "0.bmp")
    package = REPOSITORY / "sr_cli" / "registry" / "files" / "espcn-x2.safetensors"
    files = [tmp_path / folder / "net.safetensors" for folder in ("m1", "m2")]
    for file in files:
        file.parent.mkdir()
        shutil.copy(package, file)
    options = BenchmarkOptions(save=tmp_path / "made")
    report = benchmark([originals], models=[*files, files[0]], scale=2, options=options)
    assert {row.model for row in report.rows} == {"bicubic", *map(str, files)}
    names = [i.name for i in row_of(report, str(files[1])).sets["mine"].images]
    assert names == ["0.bmp", "0.png", "1", "2", "a,b (1)"]
    assert len(list((tmp_path / "made" / "mine").iterdir())) == 3 * 5
    with pytest.raises(RefusedError) as caught:
        benchmark([originals], models=BICUBIC, scale=2, options=options)
    assert caught.value.code == "already-exists"
    benchmark([originals], models=BICUBIC, scale=2, options=replace(options, overwrite=True))
    (alone, _) = resolve_models([files[0]], 2)[::-1]
    assert alone.name == "net.safetensors" and alone.family == ""


def test_all_trained_models_are_measured_where_none_is_named() -> None:
    found = {m.name: m for m in resolve_models(None, 3)}
    assert "bicubic" in found and "espcn-x3" in found and "espcn-x4" not in found
    assert found["espcn-x3"].family == "espcn"
    assert "realesrgan-x4" not in {m.name for m in resolve_models(None, 4)}, "it is not downloaded"


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"sets": ["Set6"]}, "unknown-test-set"),
        ({"models": ["nonet"]}, "unknown-model"),
        ({"models": ["espcn-x4"], "scale": 3}, "scale-not-available"),
        ({"models": ["realesrgan-x4"]}, "not-downloaded"),
        ({"options": BenchmarkOptions(luma="odd")}, "unknown-value"),  # type: ignore[arg-type]
        ({"options": BenchmarkOptions(lpips="squeeze")}, "unknown-value"),
        ({"options": BenchmarkOptions(degradations=("rain",))}, "unknown-value"),
        (
            {"options": BenchmarkOptions(degradations=("noise", "photo"), save=Path("out"))},
            "conflicting-options",
        ),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_measured(
    originals: Path, more: dict[str, object], code: str
) -> None:
    events: list[Event] = []
    with pytest.raises(RefusedError) as caught:
        benchmark(**{"sets": [originals], "on_event": events.append, **more})  # type: ignore[arg-type]
    assert caught.value.code == code and not events


def test_two_sets_of_one_name_are_refused(originals: Path) -> None:
    with pytest.raises(RefusedError) as caught:
        benchmark([originals, originals], models=BICUBIC)
    assert caught.value.code == "duplicate-set" and caught.value.facts == {"count": 2}


def figures(name: str, psnr_y: float, lpips: float, seconds: float = 1.0) -> ImageFigures:
    return ImageFigures(name, psnr_y, 0.5, seconds, 2.0, lpips=lpips)


def test_a_reports_figures_are_data() -> None:
    psnr, ssim, lpips, *_ = METRICS
    rows = [
        Row("a", "", 4, sets={"s": SetFigures([figures("1", 30.001, 0.2)])}),
        Row("b", "", 4, sets={"s": SetFigures([figures("1", 30.004, 0.3)])}),
        Row("c", "", 4, sets={"s": SetFigures([figures("1", 29.0, 0.1)])}),
        Row("d", "", 4, degradation="noise", sets={"s": SetFigures([figures("1", 20.0, 0.9)])}),
        Row("e", "", 4),
    ]
    report = Report(4, rows)
    assert report.sets == ["s"] and report.degradations == ["bicubic", "noise"]
    assert report.metrics == [psnr, ssim, lpips], "PSNR on RGB was not measured"
    # Equal at the digits that are shown, both are the best; each degradation has its own best.
    best = [(f := report.figure(row, "s", psnr)) is not None and f.is_best for row in rows]
    assert best == [True, True, False, True, False]
    nearest = [(f := report.figure(row, "s", lpips)) is not None and f.is_best for row in rows]
    assert nearest == [False, False, True, True, False]
    assert report.figure(rows[4], "s", psnr) is None
    assert report.figure(rows[2], "s", psnr) == Figure(psnr, 29.0)
    assert report.best("photo", "s", psnr) is None


def test_what_papers_give_of_each_measure() -> None:
    assert [(m.key, m.heading, m.digits, m.lower_is_better) for m in METRICS] == [
        ("psnr_y", "PSNR-Y", 2, False),
        ("ssim", "SSIM", 4, False),
        ("lpips", "LPIPS", 4, True),
        ("psnr_rgb", "PSNR-RGB", 2, False),
        ("dists", "DISTS", 4, True),
        ("niqe", "NIQE", 2, True),
    ]


def test_means_medians_and_speeds() -> None:
    found = SetFigures([figures("1", 30, 0.2, 1.0), figures("2", 20, 0.4, 2.0),
                        figures("3", 10, 0.6, 9.0)])  # fmt: skip
    assert found.mean("psnr_y") == 20 and found.mean("lpips") == pytest.approx(0.4)
    assert found.mean("psnr_rgb") is None and found.seconds == 2
    assert found.megapixels_per_second == pytest.approx(6 / 12)
    empty = SetFigures()
    assert (empty.mean("psnr_y"), empty.seconds, empty.megapixels_per_second) == (None,) * 3
    partly = SetFigures([figures("1", 30, 0.2), replace(figures("2", 30, 0.2), lpips=None)])
    assert partly.mean("lpips") is None
    row = Row("a", "", 4, sets={"s": found, "t": SetFigures([figures("1", 40, 0.2)]), "u": empty})
    assert row.quality == 30
