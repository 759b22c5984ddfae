"""What `sr upscale` says while it works: bars on a terminal, lines, a summary."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from helpers.command import run_in_process
from helpers.images import save
from helpers.world import World
from rich.console import Console

from sr_cli.cli import progress
from sr_cli.cli.progress import DownloadBars, ImageBars
from sr_cli.cli.upscale_report import Reporter, record_of
from sr_cli.errors import Note, SrError
from sr_cli.upscale.request import (
    Downloaded,
    DownloadProgress,
    PipelineReady,
    Planned,
    Progress,
    Replacing,
    Result,
)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What a terminal in place of stderr gets."""
    shown = io.StringIO()

    def stderr_console() -> Console:
        return Console(file=shown, force_terminal=True, width=100, emoji=False)

    monkeypatch.setattr(progress, "stderr_console", stderr_console)
    monkeypatch.setattr(progress, "is_terminal", lambda: True)
    return shown


def test_a_bar_for_all_images_and_one_for_the_present_one(terminal: io.StringIO) -> None:
    bars = ImageBars(2)
    first, second = Path("photos/one.png"), Path("photos/two.png")
    bars.update(first, 0.5)
    assert bars._progress.tasks[0].completed == 0.5 and bars._progress.tasks[0].total == 2
    assert bars._progress.tasks[1].description == "one.png"
    bars.update(first, 1.0)
    bars.advance()
    bars.update(second, 0.25)
    assert bars._progress.tasks[0].completed == 1.25
    assert bars._progress.tasks[1].description == "two.png"
    assert bars._progress.tasks[1].completed == 0.25
    bars._progress.refresh()
    bars.stop()
    bars.stop()
    shown = terminal.getvalue()
    assert "2 images" in shown and "two.png" in shown and "25%" in shown
    # The cursor comes back, and a line can be written below.
    assert shown.rfind("\x1b[?25h") > shown.rfind("\x1b[?25l") >= 0


def test_one_image_has_one_bar(terminal: io.StringIO) -> None:
    bars = ImageBars(1)
    bars.update(Path("one.png"), 0.5)
    bars._progress.refresh()
    bars.stop()
    assert "one.png" in terminal.getvalue() and "1 images" not in terminal.getvalue()


def test_names_that_are_no_text_are_shown(terminal: io.StringIO) -> None:
    bars = ImageBars(1)
    bars.update(Path("bad\udcff.png"), 0.5)
    bars._progress.refresh()
    bars.stop()
    assert "bad\\xff.png" in terminal.getvalue()


@pytest.mark.parametrize(("images", "quiet"), [(0, False), (3, True)])
def test_no_bars_where_nobody_wants_them(terminal: io.StringIO, images: int, quiet: bool) -> None:
    bars = ImageBars(images, quiet)
    bars.update(Path("one.png"), 0.5)
    bars.advance()
    bars.stop()
    with DownloadBars(quiet=True) as downloads:
        downloads.update("edsr-x4", 10, 100)
    assert terminal.getvalue() == ""


def test_no_bars_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    bars = ImageBars(3)
    bars.update(Path("one.png"), 0.5)
    bars.stop()
    with DownloadBars() as downloads:
        downloads.update("edsr-x4", 10, 100)
    assert capsys.readouterr() == ("", "")


def test_a_bar_for_each_download(terminal: io.StringIO) -> None:
    with DownloadBars() as bars:
        bars.update("edsr-x4", 10, None)
        bars.update("edsr-x4", 20_000, 40_000)
        bars.update("srgan-x4", 10_000, 40_000)
        tasks = bars._progress.tasks
        assert [(t.description, t.completed, t.total) for t in tasks] == [
            ("edsr-x4", 20_000, 40_000), ("srgan-x4", 10_000, 40_000)
        ]  # fmt: skip
        bars._progress.refresh()
    assert "20.0/40.0 kB" in terminal.getvalue() and "srgan-x4" in terminal.getvalue()
    assert bars._progress is None


def test_the_command_shows_its_bars(
    terminal: io.StringIO, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "ab":
        save(tmp_path / f"{name}.png")
    command = ("upscale", "a.png", "b.png", "-m", "first", "--download", "--precision", "fp32")
    done = run_in_process(*command, cwd=tmp_path, env=world.own)
    assert done.returncode == 0
    shown = terminal.getvalue()
    assert "first-x2" in shown and "2 images" in shown and "b.png" in shown


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().err.splitlines()


READY = PipelineReady(5.0, 4, 2, "cpu", "fp32", 128, 9)


def test_what_happens_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with Reporter(json=False, quiet=False, verbose=True) as reporter:
        reporter.on_event(DownloadProgress("edsr-x4", "MIT", 0, 100))
        reporter.on_event(DownloadProgress("edsr-x4", "MIT", 50, 100))
        reporter.on_event(Downloaded("edsr-x4", "1234", pinned=False))
        reporter.on_event(Downloaded("hf://a/b/c", "1234", pinned=True))
        reporter.on_event(Replacing(Path("a.png")))
        reporter.on_event(Planned(1))
        reporter.on_event(READY)
        reporter.on_event(PipelineReady(16.0, 4, 2, "cpu", "fp32", 128, 9))
        reporter.on_event(PipelineReady(None, 4, 1, "cpu", "fp32", 128, 9))
        reporter.on_event(Progress(Path("a.png"), 0.5))
    told = lines(capsys)
    assert told[:4] == [
        "downloading edsr-x4 (MIT)",
        "hf://a/b/c: sha256 1234, pinned",
        "warning: a.png will be overwritten by its result",
        "x5: applies the x4 network 2 times, then downscales to x5",
    ]
    how = "device cpu, precision fp32, tile 128, halo 9"
    assert told[4:] == [how, "x16: applies the x4 network 2 times", how, how]


RESULTS = [
    Result(Path("a.png"), Path("a_x2.png"), "done", "edsr", width=4, height=3, output_width=8,
           output_height=6, seconds=1.24, notes=(Note("some-kind", {"a": 1}),)),
    Result(Path("b.png"), Path("b_x2.png"), "skipped", "edsr", reason="exists"),
    Result(Path("a_x2.png"), None, "skipped", "edsr", reason="earlier-result"),
    Result(Path("c.png"), None, "failed", "edsr", error=SrError("path-not-found", "c.png")),
]  # fmt: skip


def test_results_are_told_and_counted(capsys: pytest.CaptureFixture[str]) -> None:
    with Reporter(json=False, quiet=False, verbose=False) as reporter:
        reporter.on_event(Planned(4))
        for result in RESULTS:
            reporter.on_result(result)
    reporter.summary(2.0)
    assert (reporter.done, reporter.skipped, reporter.failed) == (1, 2, 1)
    assert lines(capsys) == [
        "a.png: some-kind",
        "a_x2.png  4x3 -> 8x6  1.2 s",
        "error[path-not-found]: c.png: no such file or folder",
        "1 done, 2 skipped, 1 failed in 2.0 s",
    ]


def test_quiet_tells_only_errors(capsys: pytest.CaptureFixture[str]) -> None:
    with Reporter(json=False, quiet=True, verbose=False) as reporter:
        reporter.on_event(READY)
        for result in RESULTS:
            reporter.on_result(result)
    reporter.summary(2.0)
    assert lines(capsys) == ["error[path-not-found]: c.png: no such file or folder"]


def test_one_image_needs_no_summary(capsys: pytest.CaptureFixture[str]) -> None:
    with Reporter(json=False, quiet=False, verbose=False) as reporter:
        reporter.on_result(RESULTS[1])
    reporter.summary(2.0)
    assert lines(capsys) == []


def test_records_say_what_a_result_says() -> None:
    done, skipped, earlier, failed = map(record_of, RESULTS)
    assert done["notes"] == [{"kind": "some-kind", "a": 1, "message": "some-kind"}]
    assert (done["output"], done["seconds"], done["status"]) == ("a_x2.png", 1.24, "done")
    assert skipped == {
        "input": "b.png", "output": "b_x2.png", "model": "edsr", "status": "skipped",
        "reason": "exists",
    }  # fmt: skip
    assert earlier["reason"] == "earlier-result" and "output" not in earlier
    assert failed["error"]["code"] == "path-not-found" and "seconds" not in failed
