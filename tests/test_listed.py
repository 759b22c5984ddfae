"""`sr upscale --stdin-list`: names on stdin, results as they come."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from helpers.command import BICUBIC, Run, start_process
from helpers.images import pixels_of, save, size_of

from sr_cli import RefusedError
from sr_cli.upscale import executor
from sr_cli.upscale.listed import upscale_listed
from sr_cli.upscale.request import UpscaleOptions, UpscaleRequest

LISTED = (*BICUBIC, "--stdin-list")

posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX pipes and signals")


def _start(folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
    pipe = subprocess.PIPE
    return start_process(*LISTED, *arguments, cwd=folder, stdin=pipe, stdout=pipe, bufsize=0)


def _ask(process: subprocess.Popen[bytes], name: str) -> bytes:
    """Write a name, and wait for its line before anything else is written."""
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(name.encode() + b"\n")
    ready, _, _ = select.select([process.stdout], [], [], 60)
    assert ready, "no result before the next name"
    return process.stdout.readline()


@posix
def test_each_result_comes_before_the_next_name(tmp_path: Path) -> None:
    process = _start(tmp_path, "-o", "out")
    # A name may also be that of a file that is made when the result before is there.
    for name in ("a.png", "with a space.png"):
        save(tmp_path / name)
        assert _ask(process, name) == f"out/{name}\n".encode()
        assert size_of(tmp_path / "out" / name) == (32, 24)
    assert _ask(process, "not there.png") == b"\n"
    save(tmp_path / "b.png")
    assert _ask(process, "b.png") == b"out/b.png\n"
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert said.count(b"error[path-not-found]") == said.count(b"error[") == 1
    assert b"3 done, 1 failed" in said


@posix
def test_json_lines_come_one_at_a_time(tmp_path: Path) -> None:
    process = _start(tmp_path, "--json")
    assert json.loads(_ask(process, "a.png"))["error"]["code"] == "path-not-found"
    save(tmp_path / "a.png")
    assert json.loads(_ask(process, "a.png"))["output"] == "a_x2.png"
    process.communicate(timeout=60)
    assert process.returncode == 1


@posix
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_while_waiting_for_a_name(tmp_path: Path, number: int, code: int) -> None:
    save(tmp_path / "a.png")
    process = _start(tmp_path)
    assert _ask(process, "a.png") == b"a_x2.png\n"
    process.send_signal(number)
    # Stdin stays open: its end is an end, too.
    assert process.wait(timeout=60) == code
    _, said = process.communicate()
    assert b"Traceback" not in said
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.png", "a_x2.png"]


_INTERRUPTED_IMPORT = """
import sys
from sr_cli.cli import main, upscale

def names():
    # As if the signal came while a module is executed: Python remembers that for its end.
    exec("raise KeyboardInterrupt")
    yield

upscale.names_on_stdin = names
main.main()
"""


@posix
def test_ctrl_c_while_a_module_is_imported(tmp_path: Path) -> None:
    (tmp_path / "interrupted.py").write_text(_INTERRUPTED_IMPORT)
    command = [sys.executable, "-m", "interrupted", *LISTED]
    done = subprocess.run(
        command, cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (130, b"interrupted\n")


_SWALLOWING = """
import os, sys, weakref
from sr_cli.cli import main, upscale

class Subject: pass

def names():
    # The signal comes in the callback of a weak reference, whose exceptions Python ignores.
    subject = Subject()
    seen = weakref.ref(subject, lambda _: os.kill(os.getpid(), {number}) or sum(range(9)))
    del subject
    yield from sys.stdin

upscale.names_on_stdin = names
main.main()
"""


@posix
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_in_callbacks_are_not_lost(number: int, code: int) -> None:
    command = [sys.executable, "-c", _SWALLOWING.format(number=int(number)), *LISTED]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.wait(60) == code
    assert process.stderr is not None
    said = process.stderr.read()
    process.communicate()
    assert said in (b"interrupted\n", b"terminated\n")


@posix
def test_a_reader_that_has_seen_enough(tmp_path: Path) -> None:
    save(tmp_path / "a.png")
    save(tmp_path / "b.png")
    process = _start(tmp_path)
    assert _ask(process, "a.png") == b"a_x2.png\n"
    assert process.stdin is not None and process.stdout is not None
    process.stdout.close()
    process.stdin.write(b"b.png\n")
    assert process.wait(60) == 141
    assert process.stderr is not None and b"Traceback" not in process.stderr.read()
    process.stderr.close()
    process.stdin.close()


def test_names_are_literal_and_each_has_one_line(sr: Run, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "bad.png").write_bytes(b"no image")
    for name in ("folder/a.png", "[b].png", "-", " c .png"):
        save(tmp_path / "one.png")
        (tmp_path / "one.png").rename(tmp_path / name)
    names = b"folder/a.png\r\n\n[b].png\n   \n*.png\nfolder\nbad.png\nnul\0\n c .png\nfolder/a.png"
    done = sr(*LISTED, "--json", input=names)
    assert done.returncode == 1
    assert [r.get("error", {"code": r["status"]})["code"] for r in done.records] == [
        "done",
        "done",
        "path-not-found",
        "not-a-regular-file",
        "unknown-image-format",
        "path-not-found",
        "done",
        "already-exists",
    ]
    done = sr(*LISTED, "--skip-existing", input=b"[b].png\nbad.png\n c .png\n")
    assert done.stdout == b"[b]_x2.png\n\n c _x2.png\n"
    done = sr(*LISTED, "-f", "png", input=b"-\n")
    assert done.returncode == 0
    assert done.stdout.endswith(b"-_x2.png\n")


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="names are text there")
def test_names_keep_their_bytes(sr_process: Run, tmp_path: Path) -> None:
    save(tmp_path / "a.png")
    (tmp_path / "a.png").rename(tmp_path / os.fsdecode(b"caf\xe9.png"))
    done = sr_process(*LISTED, input=b"caf\xe9.png\n")
    assert (done.returncode, done.stdout) == (0, b"caf\xe9_x2.png\n")


def test_no_names(sr: Run) -> None:
    done = sr(*LISTED)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_a_result_of_the_same_run_is_not_replaced(sr: Run, tmp_path: Path) -> None:
    for number, name in enumerate(("a/1.png", "b/1.png", "c.png", "c_x2.png")):
        save(tmp_path / name, seed=number)
    done = sr(*LISTED, "-o", "out", "-y", "--json", input=b"a/1.png\nb/1.png\na/1.png\n")
    assert [r["status"] for r in done.records] == ["done", "failed", "done"]
    assert done.error_codes == ["outputs-collide"]
    first = pixels_of(tmp_path / "out/1.png")
    assert sr(*BICUBIC, "a/1.png", "-o", "alone.png").returncode == 0
    assert (pixels_of(tmp_path / "alone.png") == first).all()
    before = (tmp_path / "c_x2.png").read_bytes()
    done = sr(*LISTED, "-y", input=b"c_x2.png\nc.png\n")
    assert done.error_codes == ["output-is-an-input"]
    assert (tmp_path / "c_x2.png").read_bytes() == before


def test_networks_are_loaded_once(sr: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[float] = []
    real = executor.build_pipeline

    def counted(refs: Any, factor: float, options: Any) -> Any:
        loaded.append(factor)
        return real(refs, factor, options)

    monkeypatch.setattr(executor, "build_pipeline", counted)
    for width in (16, 20, 24):
        save(tmp_path / f"{width}.png", width, 12)
    names = b"24.png\n16.png\n20.png\n24.png\n16.png\n"
    done = sr("upscale", "--stdin-list", "-m", "espcn", "--width", "48", "-y", input=names)
    assert done.returncode == 0
    # x2 for 24 pixels, x3 for the others.
    assert loaded == [2, 3]
    assert size_of(tmp_path / "20_w48.png")[0] == size_of(tmp_path / "24_w48.png")[0] == 48


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["a.png"], "conflicting-options"),
        (["-"], "conflicting-options"),
        (["-o", "-"], "conflicting-options"),
        (["--workers", "2"], "conflicting-options"),
        (["--cluster", "tcp://localhost:1"], "conflicting-options"),
        (["--device", "cpu,cpu"], "conflicting-options"),
        (["--dry-run"], "conflicting-options"),
        (["--fps", "25"], "fps-without-images"),
        (["-f", "xyz"], "unknown-value"),
        (["-m", "no-such-model"], "unknown-model"),
        (["-o", "a.png"], "output-not-a-folder"),
    ],
)
def test_what_cannot_work_is_refused_before_the_first_name(
    sr: Run, tmp_path: Path, arguments: list[str], code: str
) -> None:
    save(tmp_path / "a.png")
    done = sr(*LISTED, *arguments, input=b"a.png\n")
    assert (done.returncode, done.error_codes, done.stdout) == (2, [code], b"")
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


def test_an_input_is_required_without_names(sr: Run) -> None:
    done = sr("upscale")
    assert (done.returncode, done.error_codes) == (2, ["missing-option"])


def test_from_python_names_are_asked_for_one_at_a_time(tmp_path: Path) -> None:
    asked: list[str] = []
    paths = [str(save(tmp_path / f"{name}.png")) for name in "ab"]

    def names() -> Any:
        for path in paths:
            asked.append(path)
            yield path

    request = UpscaleRequest((), str(tmp_path / "out"), ("bicubic",), 2.0, UpscaleOptions())
    for number, result in enumerate(upscale_listed(names(), request, lambda _: None)):
        assert asked == paths[: number + 1]
        assert result.target == tmp_path / "out" / Path(paths[number]).name
    assert asked == paths
    with pytest.raises(RefusedError, match="conflicting-options"):
        upscale_listed([], UpscaleRequest(("a.png",)), lambda _: None)
