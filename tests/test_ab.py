"""The page for blind comparison: made by the CLI, used in a headless browser."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.command import Run

BROWSER = next((p for n in ("chromium", "chromium-browser") if (p := shutil.which(n))), None)


def data_of(page: Path) -> dict[str, Any]:
    text = page.read_text()
    start = text.index('type="application/json">') + len('type="application/json">')
    found: dict[str, Any] = json.loads(text[start : text.index("</script>", start)])
    return found


def test_every_pair_of_every_image_is_asked(sr: Run, originals: Path, tmp_path: Path) -> None:
    done = sr("benchmark", "mine", "-m", "espcn-x4", "-m", "fsrcnn-x4", "-m", "bicubic",
              "--ab", "ab", "--degradation", "bicubic", "--degradation", "photo")  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    data = data_of(tmp_path / "ab" / "index.html")
    assert len(data["trials"]) == 3 * 3 * 2 and len(data["pictures"]) == 3 * 3 * 2
    assert data["degradations"] == ["bicubic", "photo"]
    assert all(p.startswith("data:image/webp;base64,") for p in data["pictures"])
    text = (tmp_path / "ab" / "index.html").read_text()
    assert "http://" not in text and "https://" not in text
    rows = [line.split()[:3] for line in done.stdout.decode().splitlines()[1:]]
    assert len(rows) == 6 and {r[2] for r in rows} == {"bicubic", "photo"}
    again = sr("benchmark", "mine", "-m", "espcn-x4", "--ab", "ab")
    assert again.returncode == 2 and again.error_codes == ["already-exists"]


def test_one_model_is_compared_with_bicubic(sr: Run, originals: Path, tmp_path: Path) -> None:
    done = sr("benchmark", "mine", "-m", "espcn-x4", "--ab", "ab", "--quiet")
    assert done.returncode == 0 and not done.stderr
    (trial, *_) = data_of(tmp_path / "ab" / "index.html")["trials"]
    assert {trial["first"], trial["second"]} == {"bicubic", "espcn-x4"}


def test_degraded_sets_are_measured_without_published_figures(sr: Run, originals: Path) -> None:
    base = ("benchmark", "mine", "-m", "bicubic", "--json")
    clean, photo, again = (
        json.loads(sr(*base, *more).stdout)["results"][0]
        for more in ((), ("--degradation", "photo"), ("--degradation", "photo"))
    )
    figures = [r["sets"]["mine"]["psnr_y"] for r in (clean, photo, again)]
    assert figures[1] < figures[0] and figures[1] == figures[2]
    assert photo["degradation"] == "photo"
    assert sr(*base, "--degradation", "rain").returncode == 2
    assert sr(*base, "--degradation", "photo", "--degradation", "noise").returncode == 2


@pytest.fixture
def page(sr: Run, originals: Path, tmp_path: Path) -> Iterator[Any]:
    """The page of two models and three images, open in a browser."""
    if BROWSER is None:
        pytest.skip("no Chromium here")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    done = sr("benchmark", "mine", "-m", "espcn-x4", "-m", "fsrcnn-x4", "--ab", "ab")
    assert done.returncode == 0, done.stderr.decode()
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(
            executable_path=BROWSER,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        page = browser.new_page(accept_downloads=True)
        page.goto((tmp_path / "ab" / "index.html").as_uri())
        yield page
        browser.close()


def test_answers_are_given_kept_and_exported(page: Any) -> None:
    data = data_of(Path(page.url.removeprefix("file://")))
    assert page.inner_text("#progress") == "1 of 3"
    names = [data["trials"][0]["first"], data["trials"][0]["second"]]
    shown = page.inner_text("body")
    assert not any(name in shown for name in names), "the comparison is blind"
    for _ in range(3):
        # Whatever side the first model is on, it is the one preferred.
        swapped = page.evaluate("state.order[state.answers.length].swapped")
        source = page.get_attribute("#left img", "src")
        trial = page.evaluate("state.order[state.answers.length].trial")
        left = "b" if swapped else "a"
        assert source == data["pictures"][data["trials"][trial][left]]
        page.keyboard.press("ArrowRight" if swapped else "ArrowLeft")
    assert page.is_visible("#end") and not page.is_visible("#pair")
    page.reload()
    assert page.is_visible("#end"), "answers outlive a reload"
    with page.expect_download() as download:
        page.click("#export")
    exported = json.loads(Path(download.value.path()).read_text())
    assert [a["better"] for a in exported["answers"]] == [names[0]] * 3
    (summary,) = exported["summary"]
    assert (summary["first_better"], summary["preference"]) == (3, 1)
    low, high = summary["interval_95"]
    assert low == pytest.approx(0.4385, abs=1e-3) and high == pytest.approx(1.0)
    assert "100%" in page.inner_text("#result") and names[0] in page.inner_text("#result")


def test_undo_no_difference_zoom_and_drag(page: Any) -> None:
    page.keyboard.press(" ")
    assert page.inner_text("#progress") == "2 of 3"
    page.keyboard.press("u")
    assert page.inner_text("#progress") == "1 of 3"
    page.keyboard.press("+")
    page.keyboard.press("+")
    left, right = (
        page.evaluate(f"document.querySelector('#{side} img').style.transform")
        for side in ("left", "right")
    )
    assert left == right and "scale(3)" in left
    box = page.query_selector("#left").bounding_box()
    page.mouse.move(box["x"] + 50, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + 90, box["y"] + 70)
    page.mouse.up()
    moved = page.evaluate("document.querySelector('#right img').style.transform")
    assert "translate(40px, 20px)" in moved
    for key in ("-", " ", " ", " "):
        page.keyboard.press(key)
    assert "50%" in page.inner_text("#result")


def test_the_order_and_the_sides_differ_from_reader_to_reader(page: Any) -> None:
    seen = set()
    for _ in range(12):
        page.evaluate("localStorage.clear()")
        page.reload()
        seen.add(page.evaluate("JSON.stringify(state.order)"))
    assert len(seen) > 3
