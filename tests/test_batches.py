"""`sr upscale` on folders, several processes, interruptions, names that collide."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from helpers.command import BICUBIC, Run, start_process
from helpers.images import pixels_of, save, size_of, smooth
from PIL import Image

from sr_cli import EngineOptions, RefusedError, UpscaleOptions, upscale_files
from sr_cli.imaging.picture import Picture
from sr_cli.upscale import writing
from sr_cli.upscale.request import Event, Planned, Progress


def test_folders_recursion_and_structure(sr: Run, tmp_path: Path) -> None:
    for name in ("in/a.png", "in/sub/b.jpg", "in/sub/deep/c.webp", "in/.hidden.png"):
        save(tmp_path / name)
    (tmp_path / "in" / "notes.txt").write_text("not an image")
    done = sr(*BICUBIC, "in", "-o", "out")
    assert done.returncode == 0
    assert sorted(p.name for p in (tmp_path / "out").rglob("*.*")) == ["a.png"]
    done = sr(*BICUBIC, "in", "-o", "out", "-r", "--skip-existing")
    assert done.returncode == 0
    assert b"2 done, 1 skipped" in done.stderr
    assert (tmp_path / "out/sub/deep/c.webp").exists()
    done = sr(*BICUBIC, "in", "-o", "out", "-r")
    assert done.returncode == 1
    assert done.error_codes == ["already-exists"] * 3
    assert sr(*BICUBIC, "in", "-o", "out", "-r", "-y").returncode == 0


def test_results_beside_originals_are_not_inputs(sr: Run, tmp_path: Path) -> None:
    save(tmp_path / "a.png")
    save(tmp_path / "b_x2.png")
    assert sr(*BICUBIC, ".").returncode == 0
    names = sorted(p.name for p in tmp_path.iterdir())
    assert names == ["a.png", "a_x2.png", "b_x2.png", "b_x2_x2.png"]
    done = sr(*BICUBIC, ".", "--dry-run")
    assert done.stdout.count(b" -> ") == 2


def test_an_output_folder_inside_the_input_is_not_read(sr: Run, tmp_path: Path) -> None:
    save(tmp_path / "a.png")
    for _ in range(2):
        assert sr(*BICUBIC, ".", "-r", "-o", "big", "-y").returncode == 0
    files = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*.png")}
    assert files == {"a.png", "big/a.png"}


def test_strange_names(sr: Run, tmp_path: Path) -> None:
    names = ["with space.png", "smile 😀.png", "-dash.png", "ünï.png"]
    for name in names:
        save(tmp_path / name)
    raw = os.fsencode(tmp_path) + b"/bad\xff.png"
    with open(raw, "wb") as file:  # noqa: PTH123 - a name that is no text
        file.write((tmp_path / names[0]).read_bytes())
    done = sr(*BICUBIC, "--json", "--", *names, raw)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "-dash_x2.png").exists()
    assert (tmp_path / "smile 😀_x2.png").exists()
    assert os.path.exists(os.fsencode(tmp_path) + b"/bad\xff_x2.png")
    assert [r["status"] for r in done.records] == ["done"] * 5


def test_symlink_loops_end(sr: Run, tmp_path: Path) -> None:
    save(tmp_path / "in/a.png")
    (tmp_path / "in/loop").symlink_to(tmp_path / "in", target_is_directory=True)
    done = sr(*BICUBIC, "in", "-r", "-o", "out/")
    assert done.returncode == 0
    assert len(list((tmp_path / "out").rglob("*.png"))) == 1


def test_the_input_itself_is_overwritten_only_with_y_and_a_warning(sr: Run, tmp_path: Path) -> None:
    path = save(tmp_path / "a.png")
    before = path.read_bytes()
    assert sr(*BICUBIC, "a.png", "-o", "a.png").error_codes == ["already-exists"]
    assert path.read_bytes() == before
    done = sr(*BICUBIC, "a.png", "-o", "a.png", "-y")
    assert done.returncode == 0
    assert b"warning: a.png will be overwritten" in done.stderr
    assert size_of(path) == (32, 24)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interruption_leaves_no_partial_file(tmp_path: Path, number: int, code: int) -> None:
    for index in range(12):
        save(tmp_path / f"in/{index:02}.png", 200, 200)
    process = start_process("upscale", "in", "-o", "out", "-m", "bicubic", "-x8", cwd=tmp_path)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("out/*.png")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == code, said
    assert b"Traceback" not in said
    made = list((tmp_path / "out").iterdir())
    assert 0 < len(made) < 12
    assert all(p.suffix == ".png" and size_of(p) == (1600, 1600) for p in made)


def test_two_processes_on_one_folder(tmp_path: Path) -> None:
    for index in range(6):
        save(tmp_path / f"in/{index}.png", 100, 100)
    command = ("upscale", "in", "-o", "out", "-m", "bicubic", "-x4")
    both = [start_process(*command, cwd=tmp_path) for _ in range(2)]
    said = [p.communicate(timeout=120)[1] for p in both]
    assert all(b"Traceback" not in s for s in said)
    assert {p.returncode for p in both} <= {0, 1}
    made = list((tmp_path / "out").iterdir())
    assert len(made) == 6
    assert all(size_of(p) == (400, 400) for p in made)


def test_an_output_that_appears_meanwhile_does_not_shift_the_others(tmp_path: Path) -> None:
    names = [tmp_path / f"{n}.png" for n in "abcd"]
    for index, path in enumerate(names):
        Image.new("L", (8, 8), 50 * index).save(path)

    def another_process(event: Event) -> None:
        if isinstance(event, Progress) and event.source == names[0]:
            Image.new("L", (1, 1)).save(tmp_path / "b_x2.png")

    options = UpscaleOptions(skip_existing=True)
    found = upscale_files(
        names, model="bicubic", scale=2, options=options, on_event=another_process
    )
    results = list(found)
    assert [r.status for r in results] == ["done", "skipped", "done", "done"]
    assert [r.reason for r in results] == ["", "exists", "", ""]
    for index in (0, 2, 3):
        target = results[index].target
        assert target is not None and (pixels_of(target) == 50 * index).all()


def test_names_that_are_too_long_fail_alone(sr: Run, tmp_path: Path) -> None:
    save(tmp_path / ("x" * 250 + ".png"))
    save(tmp_path / "b.png")
    done = sr(*BICUBIC, "x" * 250 + ".png", "b.png", "y" * 300)
    assert done.returncode == 1
    assert (tmp_path / "b_x2.png").exists()
    assert b"1 done, 2 failed" in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_ctrl_c_while_waiting_for_stdin(tmp_path: Path) -> None:
    process = start_process(
        *BICUBIC, "-", cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None
    # More than a pipe holds: what returns from here has been read from.
    process.stdin.write(bytes(1 << 18))
    process.stdin.flush()
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130, said
    assert b"Traceback" not in said


def test_an_unexpected_failure_of_one_image_does_not_end_the_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = [save(tmp_path / f"{n}.png", width=8 + i) for i, n in enumerate("abcd")]
    real = writing.write_picture
    # By width: several images are encoded at once.
    failures = {
        16: MemoryError(),
        20: RuntimeError("odd\nthing"),
        22: OSError(5, "broken disk"),
    }

    def sometimes(made: Picture, *arguments: Any) -> None:
        if failure := failures.get(made.width):
            raise failure
        real(made, *arguments)

    monkeypatch.setattr(writing, "write_picture", sometimes)
    told: list[Event] = []
    results = list(upscale_files(inputs, model="bicubic", scale=2, on_event=told.append))
    errors = [r.error for r in results]
    assert [e and e.code for e in errors] == [
        "image-out-of-memory", None, "image-failed", "unwritable-file"
    ]  # fmt: skip
    assert errors[0] is not None and errors[0].subject == str(inputs[0])
    assert errors[2] is not None and errors[2].facts == {"reason": "odd"}
    left = sorted(p.name for p in tmp_path.iterdir())
    assert left == ["a.png", "b.png", "b_x2.png", "c.png", "d.png"]
    assert [e.images for e in told if isinstance(e, Planned)] == [4]
    assert {e.share for e in told if isinstance(e, Progress)} == {1.0}


def test_a_pattern_can_be_run_again(sr: Run, tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        save(tmp_path / name)
    assert sr(*BICUBIC, "*.png").returncode == 0
    again = sr(*BICUBIC, *sorted(p.name for p in tmp_path.iterdir()), "--skip-existing")
    assert again.returncode == 0 and again.stderr.count(b"results of earlier runs: 2") == 1
    told = sr(*BICUBIC, *sorted(p.name for p in tmp_path.iterdir()), "--quiet", "--json", "-y")
    skipped = {r["input"] for r in told.records if r.get("reason") == "earlier-result"}
    assert skipped == {"a_x2.png", "b_x2.png"}
    assert len(told.records) == 5 and told.stderr == b""
    assert sr("upscale", "-m", "bicubic", "-x3", "*.png").returncode == 0
    names = {f"{n}{label}.png" for n in "ab" for label in ("", "_x2", "_x3")}
    assert {p.name for p in tmp_path.iterdir()} == names
    alone = sr(*BICUBIC, "a_x2.png")
    assert alone.returncode == 0 and (tmp_path / "a_x2_x2.png").exists()


def test_a_batch_with_comparisons_resumes(sr: Run, tmp_path: Path) -> None:
    save(tmp_path / "a.png")
    run = (*BICUBIC, ".", "--suffix", "_big", "--compare", "--skip-existing", "-v")
    assert sr(*run).returncode == 0
    both = [tmp_path / "a_big.png", tmp_path / "a_big_compare.png"]
    for path in both:
        kept = next(p for p in both if p != path)
        before = kept.stat().st_mtime_ns
        path.unlink()
        assert sr(*run).returncode == 0
        assert path.exists() and kept.stat().st_mtime_ns == before
    assert b"skipped" in sr(*run).stderr


def test_an_image_comes_out_the_same_whatever_else_is_in_the_batch(sr: Run, tmp_path: Path) -> None:
    save(tmp_path / "large.png", 40, 40)
    save(tmp_path / "small.png", 12, 12)
    run = ("upscale", "-m", "espcn", "--precision", "fp32", "--width", "60")
    assert sr(*run, "large.png", "-o", "alone.png").returncode == 0
    assert sr(*run, "large.png", "small.png", "-o", "all/").returncode == 0
    assert (tmp_path / "alone.png").read_bytes() == (tmp_path / "all/large.png").read_bytes()


def test_one_network_serves_all_factors_that_it_reaches(sr: Run, tmp_path: Path) -> None:
    for side in (12, 15, 20, 40):
        save(tmp_path / f"{side}.png", side, side)
    run = ("upscale", "-m", "espcn-x4", "--width", "60", "-v", "12.png", "15.png", "20.png")
    done = sr(*run, "40.png", "-o", "all/")
    assert done.returncode == 0 and done.stderr.count(b"precision") == 1, done.stderr.decode()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs Linux")
def test_a_full_or_closed_stdout_is_one_clean_error(tmp_path: Path) -> None:
    save(tmp_path / "a.png")
    command = f"{sys.executable} -m sr_cli upscale a.png -m bicubic -x2 -y --json"
    to_stdout = command.replace("-y --json", "-o -")
    ends = ((command, ">/dev/full", 1), (command, ">&-", 0), (to_stdout, ">&-", 1))
    for run, where, code in ends:
        done = subprocess.run(
            ["sh", "-c", f"{run} {where}"], cwd=tmp_path, capture_output=True, check=False
        )
        assert done.returncode == code, done.stderr
        assert (b"error[unwritable-file]: stdout" in done.stderr) == bool(code)
        assert b"Traceback" not in done.stderr and b"Exception ignored" not in done.stderr


@pytest.mark.parametrize("extra", [(), ("--dry-run",)])
def test_json_names_an_input_that_is_not_there(sr: Run, extra: tuple[str, ...]) -> None:
    done = sr(*BICUBIC, "missing.png", "--json", *extra)
    assert done.returncode == 1
    (record,) = done.records
    assert record["input"] == "missing.png" and record["error"]["code"] == "path-not-found"


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX pipes")
def test_a_reader_that_goes_away_ends_it_without_a_buffer_too(tmp_path: Path) -> None:
    save(tmp_path / "a.png", 200, 200)
    command = f"{sys.executable} -u -m sr_cli upscale a.png -m bicubic -x4 -o - | head -c 10"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], cwd=tmp_path, capture_output=True, check=False
    )
    assert done.returncode == 141 and done.stderr == b""


def test_max_side_chooses_the_network_that_reaches_it(sr: Run, tmp_path: Path) -> None:
    save(tmp_path / "a.png", 30, 20)
    run = ("upscale", "-m", "espcn", "--precision", "fp32", "a.png", "-o")
    assert sr(*run, "capped.png", "-x4", "--max-side", "60").returncode == 0
    assert sr(*run, "wide.png", "--width", "60").returncode == 0
    assert (tmp_path / "capped.png").read_bytes() == (tmp_path / "wide.png").read_bytes()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_what_is_no_regular_file_is_never_replaced(sr: Run, photo: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    for name in ("pipe", "link"):
        done = sr(*BICUBIC, photo, "-o", name, "-f", "png", "-y")
        assert done.returncode == 1 and done.error_codes == ["not-a-regular-file"]
    assert (tmp_path / "pipe").is_fifo() and (tmp_path / "link").is_symlink()


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc")
def test_a_link_to_an_open_file_is_not_replaced(sr: Run, photo: Path, tmp_path: Path) -> None:
    """As /dev/stdout is one: what the shell has opened would stay empty."""
    with (tmp_path / "open").open("wb") as file:
        (tmp_path / "near").symlink_to(f"/proc/self/fd/{file.fileno()}")
        (tmp_path / "far").symlink_to("near")
        for name in ("near", "far", f"/proc/self/fd/{file.fileno()}"):
            done = sr(*BICUBIC, photo, "-o", name, "-f", "png", "-y")
            assert done.returncode == 1 and done.error_codes == ["not-a-regular-file"]
    assert (tmp_path / "open").read_bytes() == b"" and (tmp_path / "near").is_symlink()


def test_a_link_to_a_file_is_written_through(sr: Run, photo: Path, tmp_path: Path) -> None:
    save(tmp_path / "there/a.png", 3, 3)
    (tmp_path / "link.png").symlink_to("there/a.png")
    (tmp_path / "new.png").symlink_to("there/b.png")
    for link, file in (("link.png", "there/a.png"), ("new.png", "there/b.png")):
        assert sr(*BICUBIC, photo, "-o", link, "-y").returncode == 0
        assert (tmp_path / link).is_symlink() and size_of(tmp_path / file) == (64, 48)


def test_only_an_input_that_is_overwritten_is_said_to_be(sr: Run, tmp_path: Path) -> None:
    save(tmp_path / "a.png", 10, 8)
    (tmp_path / "hard.png").hardlink_to(tmp_path / "a.png")
    done = sr(*BICUBIC, "a.png", "-o", "hard.png", "-y")
    assert done.returncode == 0 and b"overwritten" not in done.stderr
    assert size_of(tmp_path / "a.png") == (10, 8) and size_of(tmp_path / "hard.png") == (20, 16)
    (tmp_path / "soft.png").symlink_to("a.png")
    done = sr(*BICUBIC, "a.png", "-o", "soft.png", "-y")
    assert done.returncode == 0 and b"overwritten" in done.stderr
    assert size_of(tmp_path / "a.png") == (20, 16)


def test_a_model_name_too_long_for_a_file_is_unknown(sr: Run, photo: Path) -> None:
    done = sr("upscale", photo, "-m", "a" * 300)
    assert done.returncode == 2 and done.error_codes == ["unknown-model"]


@pytest.mark.parametrize(
    ("scale", "options"),
    [
        ("2", UpscaleOptions()),
        (2, UpscaleOptions(width="100")),  # type: ignore[arg-type]
        (2, UpscaleOptions(max_pixels=None)),  # type: ignore[arg-type]
        (2, UpscaleOptions(engine=EngineOptions(threads=1.5))),  # type: ignore[arg-type]
    ],
)
def test_a_request_of_the_wrong_types_is_refused(
    photo: Path, scale: Any, options: UpscaleOptions
) -> None:
    with pytest.raises(RefusedError) as caught:
        upscale_files(photo, model="bicubic", scale=scale, options=options)
    assert caught.value.code == "invalid-request"


def test_the_error_of_a_caller_is_the_callers(photo: Path) -> None:
    def fail(event: object) -> None:
        if isinstance(event, Progress):
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        list(upscale_files(photo, model="bicubic", scale=2, on_event=fail))


@pytest.mark.parametrize("content", [b"", b"not an image", b"\x89PNG\r\n\x1a\n"])
def test_an_unreadable_result_is_made_again(sr: Run, tmp_path: Path, content: bytes) -> None:
    for name in ("a", "b"):
        save(tmp_path / f"{name}.png")
    assert sr(*BICUBIC, "a.png", "b.png", "--compare").returncode == 0
    good = (tmp_path / "a_x2.png").read_bytes()
    kept = (tmp_path / "a_x2_compare.png").stat().st_mtime_ns
    (tmp_path / "a_x2.png").write_bytes(content)
    assert sr(*BICUBIC, "a.png", "--compare").error_codes == ["already-exists"]
    assert (tmp_path / "a_x2.png").read_bytes() == content
    done = sr(*BICUBIC, "a.png", "b.png", "--compare", "--skip-existing", "--json")
    assert [r["status"] for r in done.records] == ["skipped", "done"]
    assert done.note_kinds == ["unreadable-result-replaced"]
    assert (tmp_path / "a_x2.png").read_bytes() == good
    assert (tmp_path / "a_x2_compare.png").stat().st_mtime_ns == kept


@pytest.mark.parametrize("suffix", ["jpg", "tif", "bmp", "gif", "png", "webp"])
def test_a_result_that_is_cut_off_is_made_again(sr: Run, tmp_path: Path, suffix: str) -> None:
    save(tmp_path / f"a.{suffix}", 64, 48)
    assert sr(*BICUBIC, f"a.{suffix}").returncode == 0
    made = tmp_path / f"a_x2.{suffix}"
    good = made.read_bytes()
    made.write_bytes(good[: len(good) * 6 // 10])
    for status in ("done", "skipped"):
        (record,) = sr(*BICUBIC, f"a.{suffix}", "--skip-existing", "--json").records
        assert record["status"] == status
    assert made.read_bytes() == good


def test_a_result_beyond_max_pixels_is_not_replaced(sr: Run, tmp_path: Path) -> None:
    save(tmp_path / "a.png", 12, 10)
    save(tmp_path / "a_x2.png", 100, 100)
    run = (*BICUBIC, "a.png", "--skip-existing", "--json", "--max-pixels", "1000")
    assert [r["status"] for r in sr(*run).records] == ["skipped"]


def test_an_output_that_links_to_another_input_is_refused(sr: Run, tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        save(tmp_path / name, 10, 8)
    (tmp_path / "a_x2.png").symlink_to("b.png")
    done = sr(*BICUBIC, "a.png", "b.png", "-y")
    assert done.returncode == 2 and done.error_codes == ["output-is-an-input"]
    assert size_of(tmp_path / "b.png") == (10, 8)


def test_a_readable_result_that_pillow_does_not_open_is_skipped(sr: Run, tmp_path: Path) -> None:
    deep = np.dstack([smooth(12, 16, top=65535)[..., 0]] * 2)
    kind = {"photometric": "minisblack", "extrasamples": ["unassalpha"]}
    tifffile.imwrite(tmp_path / "a.tif", deep, **kind)
    for expected in ("done", "skipped"):
        (record,) = sr(*BICUBIC, "a.tif", "--skip-existing", "--json").records
        assert record["status"] == expected


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX pipes")
@pytest.mark.parametrize(
    "arguments",
    [
        "models",
        "models --json",
        "models espcn",
        "upscale a.png -m bicubic -x2 --json",
        "--help",
        "upscale --help",
        "--version",
    ],
)
def test_a_closed_pipe_ends_quietly(tmp_path: Path, arguments: str) -> None:
    save(tmp_path / "a.png")
    read, write = os.pipe()
    os.close(read)
    process = start_process(*arguments.split(), cwd=tmp_path, stdout=write)
    os.close(write)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 141
    assert b"rror" not in said and b"Exception" not in said
