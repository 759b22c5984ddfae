"""Interrupted clips: Ctrl-C, kill -9 and a full disk lose at most one segment."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from helpers.clips import Made, frames_of, moving, packets_of, times_of
from helpers.command import BICUBIC, Run, run_process, start_process

from sr_cli import Result, UpscaleOptions, upscale_files
from sr_cli.errors import SrError
from sr_cli.upscale.request import ClipProgress, Event
from sr_cli.video.options import ClipOptions

VARIABLE = [n * 512 + n % 3 * 100 for n in range(40)]


class StopError(Exception):
    """Ends a run in the middle."""


def upscaled(
    source: Path, *, stop_after: int | None = None, overwrite: bool = False, **clip: Any
) -> Result:
    """Upscale a clip in segments of 8 frames; it may be stopped after a number of frames."""

    def on_event(event: Event) -> None:
        if isinstance(event, ClipProgress):
            seen.append(event.frames)
            if len(seen) == stop_after:
                raise StopError

    seen: list[int] = []
    options = UpscaleOptions(clip=ClipOptions(segment=8, **clip), overwrite=overwrite)
    (result,) = upscale_files(source, model="bicubic", scale=2, options=options, on_event=on_event)
    return result


def stopped(source: Path, after: int) -> None:
    with pytest.raises(StopError):
        upscaled(source, stop_after=after)


def segments(source: Path) -> list[str]:
    folder = source.with_name(f"{source.stem}_x2{source.suffix}.parts")
    return sorted(p.stem for p in folder.glob("[0-9]*.json"))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return Made(times=VARIABLE).write(tmp_path / "a.mp4")


def test_a_resumed_run_is_the_same_as_an_unbroken_one(source: Path, tmp_path: Path) -> None:
    assert upscaled(source).status == "done"
    result = (tmp_path / "a_x2.mp4").rename(tmp_path / "unbroken.mp4")
    stopped(source, 21)
    assert segments(source) == ["00000", "00001"]
    assert not (tmp_path / "a_x2.mp4").exists()
    stopped_again = []

    def on_event(event: Event) -> None:
        if isinstance(event, ClipProgress):
            stopped_again.append(event.frames)

    options = UpscaleOptions(clip=ClipOptions(segment=8, resume=True))
    (done,) = upscale_files(source, model="bicubic", scale=2, options=options, on_event=on_event)
    # The first 16 frames are not computed again.
    assert done.status == "done" and stopped_again == list(range(17, 41))
    assert packets_of(tmp_path / "a_x2.mp4", "video") == packets_of(result, "video")
    assert times_of(tmp_path / "a_x2.mp4") == times_of(source)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mp4", "a_x2.mp4", "unbroken.mp4"]


def test_an_unfinished_run_is_not_thrown_away(source: Path) -> None:
    stopped(source, 12)
    failed = upscaled(source)
    assert failed.error is not None and failed.error.code == "unfinished-run"
    assert segments(source) == ["00000"]
    assert upscaled(source, overwrite=True).status == "done"
    assert segments(source) == []


def test_what_is_joined_lies_among_the_segments(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever ends the process then leaves nothing beside the result but their folder."""

    def killed(*_: Any) -> None:
        seen.extend(sorted(p.name for p in tmp_path.iterdir()))
        (unfinished,) = folder.glob(".sr-*.tmp")
        unfinished.with_name(".sr-left.tmp").write_bytes(b"")
        raise SrError("clip-not-written", folder, reason="killed")

    folder, seen = tmp_path / "a_x2.mp4.parts", list[str]()
    monkeypatch.setattr("sr_cli.video.join._write", killed)
    assert upscaled(source).status == "failed"
    assert seen == ["a.mp4", "a_x2.mp4.parts"]
    monkeypatch.undo()
    assert (folder / ".sr-left.tmp").exists()
    assert upscaled(source, resume=True).status == "done"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mp4", "a_x2.mp4"]


def test_another_file_or_other_options_are_not_resumed(source: Path) -> None:
    stopped(source, 12)
    failed = upscaled(source, resume=True, crf=40)
    assert failed.error is not None and failed.error.code == "resume-mismatch"
    Made(times=VARIABLE[:20]).write(source)
    failed = upscaled(source, resume=True)
    assert failed.error is not None and failed.error.code == "resume-mismatch"
    assert segments(source) == ["00000"]


def test_a_run_that_ended_in_its_first_segment_leaves_nothing(source: Path) -> None:
    stopped(source, 5)
    assert sorted(p.name for p in source.parent.iterdir()) == ["a.mp4"]
    assert upscaled(source, resume=True).status == "done"


def test_a_damaged_segment_is_computed_again(source: Path, tmp_path: Path) -> None:
    stopped(source, 39)
    folder = tmp_path / "a_x2.mp4.parts"
    assert segments(source) == ["00000", "00001", "00002", "00003"]
    packets = folder / "00002.packets"
    packets.write_bytes(packets.read_bytes()[:-1])
    assert upscaled(source, resume=True).status == "done"
    assert times_of(tmp_path / "a_x2.mp4") == times_of(source)


def test_two_processes_do_not_write_the_same_result(source: Path, tmp_path: Path) -> None:
    folder = tmp_path / "a_x2.mp4.parts"
    folder.mkdir()
    with FileLock(folder / "lock"):
        failed = upscaled(source)
    assert failed.error is not None and failed.error.code == "clip-in-progress"


def long_clip(path: Path) -> Path:
    """A clip of three segments of the default length."""
    return Made(times=[512 * n for n in range(700)]).write(path, moving(700, 32, 32))


def test_every_run_writes_the_same_bytes(tmp_path: Path) -> None:
    made = Made(width=160, height=120, times=[512 * n for n in range(60)])
    made.write(tmp_path / "a.mp4", moving(60, 160, 120))
    for value in ("1", "170"):
        # glibc fills new memory with it: what is read from there makes a difference.
        env = {"MALLOC_PERTURB_": value}
        done = run_process(*BICUBIC, "a.mp4", "-o", f"{value}.mp4", cwd=tmp_path, env=env)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "1.mp4").read_bytes() == (tmp_path / "170.mp4").read_bytes()


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_signals_lose_at_most_one_segment(sent: signal.Signals, sr: Run, tmp_path: Path) -> None:
    long_clip(tmp_path / "a.mp4")
    process = start_process(*BICUBIC, "a.mp4", "--json", cwd=tmp_path, stdout=subprocess.PIPE)
    folder = tmp_path / "a_x2.mp4.parts"
    while process.poll() is None and not (folder / "00000.json").exists():
        time.sleep(0.01)
    process.send_signal(sent)
    _, said = process.communicate(timeout=60)
    assert b"Traceback" not in said
    codes = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -9}
    assert process.returncode == codes[sent]
    assert (folder / "00000.json").exists() and not (tmp_path / "a_x2.mp4").exists()
    done = sr(*BICUBIC, "a.mp4", "--json", "--resume")
    assert done.returncode == 0
    assert done.records[0]["frames"] in (241, 481)
    assert times_of(tmp_path / "a_x2.mp4") == times_of(tmp_path / "a.mp4")
    assert not folder.exists()
    assert sr(*BICUBIC, "a.mp4", "-o", "unbroken.mp4").returncode == 0
    assert (tmp_path / "a_x2.mp4").read_bytes() == (tmp_path / "unbroken.mp4").read_bytes()


_LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
sys.argv = ["sr", *{arguments}]
from sr_cli.cli.main import main
main()
"""


@pytest.mark.parametrize("where", ["segment", "result"])
def test_a_full_disk_is_one_error(where: str, sr: Run, tmp_path: Path) -> None:
    """A limit on the size of files fails as a full disk does."""
    long_clip(tmp_path / "a.mp4")
    assert sr(*BICUBIC, "a.mp4", "-o", "whole.mp4").returncode == 0
    limit = (tmp_path / "whole.mp4").stat().st_size - 100 if where == "result" else 2000
    code = _LIMITED.format(limit=limit, arguments=[*BICUBIC, "a.mp4"])
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, check=False
    )
    assert done.returncode == 1 and b"Traceback" not in done.stderr, done.stderr
    assert b"error[unwritable-file]" in done.stderr
    assert not (tmp_path / "a_x2.mp4").exists()
    assert not list(tmp_path.glob(".sr-*"))
    assert sr(*BICUBIC, "a.mp4", "--resume").returncode == 0
    assert len(frames_of(tmp_path / "a_x2.mp4")) == 700
