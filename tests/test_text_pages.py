"""`tools/text_pages.py`: rendered pages to train `text` on, and to judge it by."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.tools import run_tool, tool
from PIL import Image

page_text = tool("page_text")
page_drawing = tool("page_drawing")
text_pages = tool("text_pages")

WANTED = ("fonts-lato", "fonts-gfs-neohellenic", "hunspell-el", "fortunes", "fortunes-min")


def test_families_that_judge_are_not_trained_on() -> None:
    assert not set(page_text.TRAINING_FONTS) & {
        *page_text.HELD_OUT_FONTS,
        *page_text.HELD_OUT_JAPANESE,
    }
    words = [f"word{i}" for i in range(4000)]
    share = sum(map(page_text._is_held_out, words)) / len(words)
    assert 0.09 < share < 0.16


def test_missing_packages_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_text, "_files_of", lambda _: ())
    with pytest.raises(SystemExit, match="fonts-lato"):
        monkeypatch.setattr("sys.argv", ["text_pages.py", "judge", str(tmp_path)])
        text_pages.main()


@pytest.mark.parametrize(("language", "modern"), [("chi_sim", "电们"), ("jpn", "駅働")])
def test_signs_in_common_use_are_trained_on_and_not_judged_by(
    monkeypatch: pytest.MonkeyPatch, language: str, modern: str
) -> None:
    poems = tuple(f"春{i}" for i in range(6000))
    monkeypatch.setattr(page_text, "_all_words", lambda _: poems)
    trained = page_text.Words(language, held_out=False).words
    assert set(modern) <= set("".join(trained))
    assert not set(trained) & set(page_text.Words(language, held_out=True).words)
    assert set(page_text.Words(language, held_out=True).words) < set(poems)
    assert set(page_text.Words("ell", held_out=False).words) < set(poems)


def test_stripes_of_a_screen_have_colours_at_edges_and_the_same_mean() -> None:
    fine = Image.new("RGB", (72, 24), "white")
    fine.paste((0, 0, 0), (36, 0, 72, 24))
    made = np.asarray(page_drawing.on_stripes(fine, (12, 4)), np.float32)
    assert made.shape == (4, 12, 3)
    assert (made[:, :5] == 255).all() and (made[:, 8:] == 0).all()
    edge = made[0, 5:8]
    assert np.ptp(edge, axis=1).max() > 60  # red, green and blue are not the same there
    assert abs(made.mean() - 127.5) < 3


def test_lines_are_no_wider_than_their_page() -> None:
    class Mono:
        """A font in which every letter is 10 pixels wide."""

        def getlength(self, text: str) -> float:
            return 10.0 * len(text)

    class Style:
        font = Mono()

        class words:  # noqa: N801
            joint = " "

        @staticmethod
        def writable(text: str) -> str:
            return text

    lines = page_drawing.wrapped("one two three four five", Style, 90)
    assert lines == ["one two", "three", "four five"]
    Style.words.joint = ""
    assert page_drawing.wrapped("一二三四五", Style, 20) == ["一二", "三四", "五"]


@pytest.mark.skipif(bool(page_text.missing_packages(WANTED)), reason="fonts are not installed")
def test_judged_pages_are_made_again_from_their_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_pages, "HELD_OUT_FONTS", ("fonts-lato", "fonts-gfs-neohellenic"))
    monkeypatch.setattr(text_pages, "WORD_PACKAGES", ("hunspell-el", "fortunes"))
    for name in ("a", "b"):
        arguments = ("judge", tmp_path / name, "--language", "ell", "--px", "10")
        done = run_tool("text_pages", *arguments, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    files = sorted(p.name for p in (tmp_path / "a/ell").iterdir())
    assert files == sorted(f"10px-{c}-0{s}" for c in text_pages.CONDITIONS
                           for s in (".png", ".gt.txt"))  # fmt: skip
    for name in files:
        assert (tmp_path / "a/ell" / name).read_bytes() == (tmp_path / "b/ell" / name).read_bytes()
    text = (tmp_path / "a/ell/10px-screen-0.gt.txt").read_text()
    assert len(text.splitlines()) == 8 and any("α" <= c <= "ω" for c in text)
    arguments = ("judge", tmp_path / "hr", "--language", "ell", "--px", "10", "--hr", "2")
    assert run_tool("text_pages", *arguments, cwd=tmp_path).returncode == 0
    assert (tmp_path / "hr/ell/10px-screen-0.gt.txt").read_text() == text
    hr, lr = (Image.open(tmp_path / n / "ell/10px-screen-0.png") for n in ("hr", "a"))
    assert hr.size == (2 * lr.width, 2 * lr.height)
    small = np.asarray(hr.reduce(2).convert("L"), np.float32)
    assert np.abs(small - np.asarray(lr.convert("L"), np.float32)).mean() < 10


@pytest.mark.skipif(bool(page_text.missing_packages(WANTED)), reason="fonts are not installed")
def test_pages_to_train_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_pages, "TRAINING_FONTS", ("fonts-gfs-neohellenic",))
    monkeypatch.setattr(text_pages, "WORD_PACKAGES", ("hunspell-el",))
    monkeypatch.setattr(text_pages, "SAMPLES", {"ell": page_text.SAMPLES["ell"]})
    done = run_tool("text_pages", "train", tmp_path, "--scale", "4", "--count", "5", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "pages").iterdir())) == 2
    assert len(list((tmp_path / "screen/lr").iterdir())) == 3
    for path in (tmp_path / "screen/hr").iterdir():
        lr, hr = Image.open(tmp_path / "screen/lr" / path.name), Image.open(path)
        assert hr.size == (480, 480) and lr.size == (120, 120)
        # The pair shows the same: reduced, hr is lr but for the screen's stripes and filters.
        small = np.asarray(hr.reduce(4).convert("L"), np.float32)
        assert np.abs(small - np.asarray(lr.convert("L"), np.float32)).mean() < 10
