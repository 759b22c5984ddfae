"""The sheet of crops and the blind page, from images that a benchmark has kept."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.images import smooth
from PIL import Image

from sr_cli.errors import RefusedError, SrError
from sr_cli.evaluation.benchmark import benchmark
from sr_cli.evaluation.blind import write_page
from sr_cli.evaluation.datasets import open_set
from sr_cli.evaluation.plan import BenchmarkOptions
from sr_cli.evaluation.report import Comparison
from sr_cli.evaluation.sheet import Crop, check_crop, draw_sheet, find_region, write_sheet


def comparison(name: str, *, size: int = 60, spot: int = 0, degradation: str = "x") -> Comparison:
    """Two results that differ in a square at (20, 30), the more the brighter `spot` is."""
    hr = np.full((size, size + 20, 3), 90, np.uint8)
    other = hr.copy()
    other[20:30, 30:40] += np.uint8(spot)
    return Comparison(name, degradation, hr, {"one": hr.copy(), "two": other})


def page_data(page: Path) -> dict[str, Any]:
    text = page.read_text()
    start = text.index('type="application/json">') + len('type="application/json">')
    found: dict[str, Any] = json.loads(text[start : text.index("</script>", start)])
    return found


def test_kept_images_are_those_of_every_model_and_degradation(originals: Path) -> None:
    options = BenchmarkOptions(degradations=("bicubic", "noise"), keep_images=True)
    report = benchmark([originals], models=["espcn-x2"], scale=2, options=options)
    kept = [(c.degradation, c.image) for c in report.comparisons]
    assert kept == [(d, n) for d in ("bicubic", "noise") for n in "012"]
    for found in report.comparisons:
        assert set(found.results) == {"bicubic", "espcn-x2"}
        assert {r.shape for r in found.results.values()} == {found.hr.shape} == {(64, 72, 3)}
    assert (report.comparisons[0].hr == np.asarray(Image.open(originals / "0.png"))).all()


def test_the_place_where_results_differ_is_found() -> None:
    a = np.zeros((60, 80), np.uint8)
    b = a.copy()
    b[35:45, 50:60] = 255
    top, left = find_region([a, b], a, 16, "differ")
    assert 29 <= top <= 35 and 44 <= left <= 50
    assert find_region([a, b], a, 200, "differ") == (0, 0)


def test_edges_and_texture_are_looked_for_in_the_original() -> None:
    random = np.random.default_rng(0)
    hr = random.integers(100, 103, (80, 120), np.uint8)
    hr[10:14, 10:14] = 255
    hr[40:72, 80:112] = random.integers(95, 106, (32, 32), np.uint8)
    top, left = find_region([hr], hr, 16, "edges")
    assert top <= 10 and left <= 10
    top, left = find_region([hr], hr, 16, "texture")
    assert 38 <= top <= 58 and 78 <= left <= 98


def test_texture_is_found_in_flat_graphics() -> None:
    """Most pixels have no gradient: the median is 0, and would hide every texture."""
    random = np.random.default_rng(0)
    hr = np.full((80, 120), 200, np.uint8)
    hr[10:14, 10:14] = 0
    hr[40:72, 80:112] = random.integers(190, 210, (32, 32), np.uint8)
    top, left = find_region([hr], hr, 16, "texture")
    assert 38 <= top <= 58 and 78 <= left <= 98
    flat = np.full((40, 40), 9, np.uint8)
    assert find_region([flat], flat, 16, "texture") == (0, 0)


def test_a_sheet_shows_the_image_in_which_models_differ_most(tmp_path: Path) -> None:
    pair = [comparison("weak", spot=9), comparison("strong", spot=99), comparison("none")]
    write_sheet(pair, tmp_path / "new" / "sheet.png")
    # The whole image is no larger than a crop: the original, then the two results.
    with Image.open(tmp_path / "new" / "sheet.png") as sheet:
        pixels = np.asarray(sheet)
    side = 3 * 60
    assert pixels.shape == (side + 28, 3 * (side + 6), 3)
    second, third = (pixels[22 : 22 + side, n * (side + 6) :][:, :side] for n in (1, 2))
    assert set(np.unique(second)) == {90} and set(np.unique(third)) == {90, 189}


def test_a_crop_is_shown_pixel_by_pixel(tmp_path: Path) -> None:
    found = comparison("a", spot=60)
    found.results.update({f"more{n}": found.hr[..., 0] for n in range(3)})
    sheet = np.asarray(draw_sheet(found, Crop("a", left=39, top=19, side=2)))
    # Six cells, four in a row; each pixel is a square of three.
    assert sheet.shape == (2 * (6 + 28), 4 * (6 + 6), 3)
    shown = sheet[22:28, 24:30]
    assert (shown[3:, :3] == 150).all() and (shown[:3] == 90).all() and (shown[3:, 3:] == 90).all()
    assert (sheet[34 + 22 : 34 + 28, 12:18] == 90).all() and (sheet[34 + 22 :, 24:] == 255).all()
    write_sheet([comparison("b"), found], tmp_path / "s.png", Crop("a", 39, 19, 2))
    with Image.open(tmp_path / "s.png") as written:
        assert (np.asarray(written) == sheet).all()


@pytest.mark.parametrize(
    ("crop", "code"),
    [
        (Crop("0", 0, 0, 64), None),
        (Crop("0", 8, 0, 64), None),
        (Crop("0", 9, 0, 64), "crop-outside-image"),
        (Crop("0", 0, 1, 64), "crop-outside-image"),
        (Crop("7", 0, 0, 8), "unknown-value"),
    ],
)
def test_a_crop_must_lie_in_an_image(
    originals: Path, tmp_path: Path, crop: Crop, code: str | None
) -> None:
    kept = [Comparison("0", "x", smooth(64, 72), {"a": smooth(64, 72)})]
    if code is None:
        check_crop(crop, [open_set(str(originals))])
        write_sheet(kept, tmp_path / "s.png", crop)
        return
    with pytest.raises(RefusedError) as refused:
        check_crop(crop, [open_set(str(originals))])
    with pytest.raises(SrError) as failed:
        write_sheet(kept, tmp_path / "s.png", crop)
    assert refused.value.code == failed.value.code == code


def test_nothing_to_compare_is_an_error(tmp_path: Path) -> None:
    alone = Comparison("a", "x", smooth(8, 8), {"one": smooth(8, 8)})
    for write in (
        lambda: write_sheet([], tmp_path / "s.png"),
        lambda: write_page([], tmp_path / "ab"),
        lambda: write_page([alone], tmp_path / "ab"),
        lambda: write_page([comparison("a")], tmp_path / "ab", ["one"]),
    ):
        with pytest.raises(SrError) as caught:
            write()
        assert caught.value.code == "nothing-to-compare"
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").touch()
    with pytest.raises(SrError) as caught:
        write_page([comparison("a")], tmp_path / "file")
    assert caught.value.code == "unwritable-file"


def test_a_page_asks_about_the_models_named(tmp_path: Path) -> None:
    found = comparison("</script>", spot=50)
    found.results["three"] = found.hr
    two = [found, comparison("b", degradation="a")]
    page = write_page(two, tmp_path / "ab", ["one", "two"])
    data = page_data(page)
    assert page == tmp_path / "ab" / "index.html"
    assert [(t["image"], t["first"], t["second"]) for t in data["trials"]] == [
        ("</script>", "one", "two"), ("b", "one", "two"),
    ]  # fmt: skip
    assert data["degradations"] == ["a", "x"] and len(data["pictures"]) == 4
    assert len(page_data(write_page(two, tmp_path / "all"))["trials"]) == 3 + 1
    images = [decoded(data["pictures"][data["trials"][0][side]]) for side in "ab"]
    assert (images[0] == found.results["one"]).all() and (images[1] == found.results["two"]).all()


def decoded(uri: str) -> Any:
    content = base64.b64decode(uri.removeprefix("data:image/webp;base64,"))
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


def test_large_images_are_cut_to_where_models_differ(tmp_path: Path) -> None:
    hr = np.full((500, 700, 3), 80, np.uint8)
    other = hr.copy()
    other[450:460, 600:610] = 200
    page = write_page([Comparison("a", "x", hr, {"one": hr, "two": other})], tmp_path)
    data = page_data(page)
    cut = decoded(data["pictures"][data["trials"][0]["b"]])
    assert cut.shape == (448, 448, 3) and (cut == 200).any()
    page = write_page([Comparison("a", "x", hr[:448, :448], {"one": hr[:448, :448],
                                                              "two": other[:448, :448]})],
                      tmp_path)  # fmt: skip
    assert decoded(page_data(page)["pictures"][0]).shape == (448, 448, 3)
