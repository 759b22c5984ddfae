"""`-m auto`: which images are pages of text, and which model each gets."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from helpers.command import Run
from helpers.images import pixels_of, save, smooth
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from sr_cli.engine.options import EngineOptions
from sr_cli.engine.pipeline import build_pipeline
from sr_cli.engine.rows import RowSource
from sr_cli.engine.windows import stream_rows
from sr_cli.evaluation.measure import read_8_bit
from sr_cli.imaging.page import is_page
from sr_cli.imaging.resize import resize_bicubic
from sr_cli.registry.ref import parse_model

LINE = "Small letters on a page, 1234 of them. "


def page(ink: int = 0, paper: int = 255, width: int = 320, height: int = 160) -> Image.Image:
    """Lines of text."""
    image = Image.new("RGB", (width, height), (paper,) * 3)
    font = ImageFont.load_default(11)
    for y in range(4, height, 14):
        ImageDraw.Draw(image).text((4, y), LINE * 4, font=font, fill=(ink,) * 3)
    return image


def scanned(image: Image.Image, blur: float = 0.6) -> Image.Image:
    """Softer, unevenly lit, and with noise."""
    soft = np.asarray(image.filter(ImageFilter.GaussianBlur(blur)), np.float32)
    light = np.linspace(0.75, 1, soft.shape[1], dtype=np.float32)[None, :, None]
    noise = np.random.default_rng(0).normal(0, 4, soft.shape)
    return Image.fromarray(np.clip(soft * light + noise, 0, 255).astype(np.uint8))


@pytest.mark.parametrize(
    "image",
    [
        *(page(), page(230, 20), page(90, 210), page(width=3000, height=2500)),
        *(scanned(page()), scanned(page(), blur=1.0), scanned(page(230, 20), blur=1.0)),
    ],
    ids=["plain", "dark", "pale", "large", "scan", "soft scan", "dark scan"],
)
def test_pages(image: Image.Image) -> None:
    assert is_page(np.asarray(image))
    assert is_page(np.asarray(image.convert("L")))


def test_other_images() -> None:
    random = np.random.default_rng(0)
    assert not is_page(smooth(200, 300))
    assert not is_page(random.integers(0, 256, (200, 300, 3), dtype=np.uint8))
    assert not is_page(np.full((200, 300, 3), 200, np.uint8))
    for height, width in ((1, 1), (5, 400), (400, 5), (17, 16)):
        assert not is_page(np.zeros((height, width, 3), np.uint8))


def test_photographs(test_sets: Path) -> None:
    """A slide, two drawings' worth of sky and hard shadows are what is taken for pages."""
    for name, most in (("Set14", 1), ("BSD100", 3)):
        files = sorted(p for p in (test_sets / name).iterdir() if p.is_file())
        assert sum(is_page(read_8_bit(p)) for p in files) <= most, name


def test_each_image_gets_its_model(sr: Run, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    page(width=96, height=64).save(folder / "page.png")
    Image.fromarray(smooth(48, 64)).save(folder / "photo.png")
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    done = sr("upscale", "in", "-o", "out/", "-m", "auto", "-x2", "--json")
    assert done.returncode == 1
    found = {Path(r["input"]).name: r for r in done.records if "input" in r}
    assert found["page.png"]["model"] == "text" and found["photo.png"]["model"] == "photo"
    kinds = {name: [n["kind"] for n in r.get("notes", [])] for name, r in found.items()}
    assert kinds["page.png"] == ["text-model-chosen"]
    assert kinds["photo.png"] == ["general-model-chosen"]
    assert found["broken.png"]["error"]["code"] == "unsupported-image"
    # The same as when the model is named.
    for name, model in (("page.png", "text"), ("photo.png", "photo")):
        assert sr("upscale", f"in/{name}", "-o", f"{model}.png", "-m", model, "-x2").returncode == 0
        assert (tmp_path / "out" / name).stat().st_size
        made, named = (read_8_bit(tmp_path / p) for p in (f"out/{name}", f"{model}.png"))
        assert np.array_equal(made, named)


def test_stdin_gets_the_general_model(sr: Run, tmp_path: Path) -> None:
    page(width=96, height=64).save(tmp_path / "page.png")
    content = (tmp_path / "page.png").read_bytes()
    done = sr("upscale", "-", "-o", "out.png", "-m", "auto", "-x2", "--json", input=content)
    assert done.returncode == 0, done.stderr
    assert done.note_kinds == ["general-model-unseen"]


def test_auto_stands_alone(sr: Run, photo: Path) -> None:
    done = sr("upscale", "photo.jpg", "-m", "auto", "-m", "edsr")
    assert done.returncode == 2 and done.error_codes == ["conflicting-options"]
    shutil.copy(photo, photo.parent / "again.jpg")
    done = sr("upscale", "photo.jpg", "again.jpg", "-m", "auto", "-x2", "--quiet")
    assert done.returncode == 0 and (photo.parent / "again_x2.jpg").exists()


def test_pages_are_drawn_once_and_enlarged_by_bicubic(sr: Run, tmp_path: Path) -> None:
    save(tmp_path / "a.png", 24, 18)
    assert sr("upscale", "a.png", "-m", "text", "-x2", "-o", "twice.png").returncode == 0
    done = sr("upscale", "a.png", "-m", "text", "-x4", "-o", "b.png")
    assert done.returncode == 0 and b"x4: applies the x2 network, then bicubic to x4" in done.stderr
    twice = pixels_of(tmp_path / "twice.png")
    assert np.array_equal(pixels_of(tmp_path / "b.png"), resize_bicubic(twice, 72, 96))


def test_pages_in_windows_are_those_in_memory() -> None:
    pipeline = build_pipeline([parse_model("text")], 4, EngineOptions("cpu", 1, "fp32", 32))
    lr = smooth(70, 20)
    rows = RowSource(lr.shape, lr.dtype, lambda first, last: lr[first:last])
    for size in ((280, 80), (190, 61)):
        bands = list(stream_rows(pipeline, rows, size, samples=3))
        assert np.array_equal(np.concatenate(bands), pipeline.run(lr, size))
