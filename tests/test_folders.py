"""Every file in a folder is upscaled, or counted by reason; results are known by what they say."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from helpers.command import BICUBIC, Outcome, Run
from helpers.images import encoded, save, size_of

from sr_cli import UpscaleOptions, upscale_files
from sr_cli.upscale.request import LeftOut


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def left_out(done: Outcome) -> dict[str, Any]:
    (found,) = (r for r in done.records if r["status"] == "left-out")
    return found


def inputs(done: Outcome, status: str) -> list[str]:
    return sorted(Path(r["input"]).name for r in done.records if r["status"] == status)


@pytest.mark.parametrize("name", ["wall_h1", "wall_x2", "wall_w10", "wall_max3", "wall_compare"])
def test_the_users_own_picture_is_upscaled_whatever_its_name(
    sr: Run, tmp_path: Path, name: str
) -> None:
    save(tmp_path / "in/wall.png")
    save(tmp_path / f"in/{name}.png", 20, 20)
    done = sr("upscale", "-m", "bicubic", "-x3", "in", "--json")
    assert done.returncode == 0
    assert inputs(done, "done") == ["wall.png", f"{name}.png"]
    assert size_of(tmp_path / f"in/{name}_x3.png") == (60, 60)


def test_the_users_own_picture_is_not_overwritten(sr: Run, tmp_path: Path) -> None:
    save(tmp_path / "in/wall.png")
    own = save(tmp_path / "in/wall_x2.png", 20, 20).read_bytes()
    done = sr(*BICUBIC, "in", "-y")
    assert done.returncode == 2 and done.error_codes == ["output-is-an-input"]
    assert (tmp_path / "in/wall_x2.png").read_bytes() == own


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif", "avif", "bmp", "gif"])
@pytest.mark.parametrize(
    "options",
    [
        ("-x2",),
        ("-x2.5", "--strip"),
        ("--width", "40", "--strip"),
        ("--width", "40", "--height", "31", "--strip"),
        ("-x2", "--suffix", "_big", "--strip"),
        ("-x4", "--max-side", "40", "--strip"),
        ("-x2", "--compare", "--strip"),
        ("-x2", "--compare"),
    ],
)
def test_a_folder_can_be_run_again(
    sr: Run, tmp_path: Path, suffix: str, options: tuple[str, ...]
) -> None:
    save(tmp_path / f"in/a.{suffix}", 17, 13)
    save(tmp_path / f"in/b.{suffix}", 12, 16)
    run = ("upscale", "-m", "bicubic", "in", *options)
    assert sr(*run).returncode == 0
    first = names(tmp_path / "in")
    assert len(first) == (6 if "--compare" in options else 4)
    again = sr(*run, "--skip-existing", "--json")
    assert again.returncode == 0
    assert names(tmp_path / "in") == first
    assert left_out(again)["earlier_results"] == len(first) - 2
    reasons = sorted(r["reason"] for r in again.records if r["status"] == "skipped")
    assert reasons == ["earlier-result"] * (len(first) - 2) + ["exists"] * 2


def test_a_result_is_known_without_its_name_and_original(sr: Run, tmp_path: Path) -> None:
    save(tmp_path / "in/a.png")
    assert sr(*BICUBIC, "in/a.png", "-o", "in/renamed.png").returncode == 0
    (tmp_path / "in/a.png").unlink()
    done = sr(*BICUBIC, "in", "--json")
    assert done.returncode == 0 and names(tmp_path / "in") == ["renamed.png"]
    assert b"left out: results of earlier runs: 1" in done.stderr
    assert inputs(done, "skipped") == ["renamed.png"]
    planned = sr(*BICUBIC, "in", "--json", "--dry-run")
    assert left_out(planned) == left_out(done) and inputs(planned, "skipped") == ["renamed.png"]
    assert sr(*BICUBIC, "in/renamed.png").returncode == 0
    assert (tmp_path / "in/renamed_x2.png").exists()


def test_nothing_is_skipped_where_results_go_elsewhere(sr: Run, tmp_path: Path) -> None:
    save(tmp_path / "in/a.png")
    save(tmp_path / "in/sub/b.bmp")
    assert sr(*BICUBIC, "in", "-r").returncode == 0
    done = sr(*BICUBIC, "in", "-r", "-o", "out", "--json")
    assert done.returncode == 0
    assert inputs(done, "done") == ["a.png", "a_x2.png", "b.bmp", "b_x2.bmp"]
    assert not [r for r in done.records if r["status"] == "left-out"]
    here = sr(*BICUBIC, "in", "-r", "-o", "in/", "--suffix", "_x2", "--json", "--skip-existing")
    assert left_out(here)["earlier_results"] == 2
    named = [p.relative_to(tmp_path) for p in (tmp_path / "in").glob("a*.png")]
    both = sr(*BICUBIC, *named, "-o", "out2/", "--json")
    assert inputs(both, "done") == ["a.png", "a_x2.png"]


def test_a_named_file_is_a_result_only_beside_its_original(sr: Run, tmp_path: Path) -> None:
    save(tmp_path / "a.png")
    save(tmp_path / "a_x3.png", 5, 5)
    assert sr(*BICUBIC, "a.png").returncode == 0
    done = sr(*BICUBIC, "a.png", "a_x2.png", "a_x3.png", "--skip-existing", "--json")
    assert inputs(done, "skipped") == ["a.png", "a_x2.png"]
    assert inputs(done, "done") == ["a_x3.png"]


def test_every_file_is_counted_by_reason(sr: Run, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    save(folder / "a.png")
    for name in (
        "b.tga",
        "c.TGA",
        "d.jp2",
        "e.psd",
        "f.ico",
        "g.xcf",
        "h.cbr",
        ".DS_Store",
        "notes.txt",
    ):
        (folder / name).write_bytes(b"anything")
    (folder / "photo").write_bytes(encoded("jpg"))
    (folder / "old.bak").write_bytes(encoded("bmp"))
    (folder / "BMW.txt").write_bytes(b"BMW is a maker of cars, and this is text.")
    (folder / "film.f4v").write_bytes(b"\0\0\0\x20ftypisom" + bytes(32))
    (folder / "gone.png").symlink_to(folder / "nowhere.png")
    (folder / "sub").mkdir()
    expected = {
        "status": "left-out",
        "earlier_results": 0,
        "unsupported": {
            "": 1,
            ".bak": 1,
            ".cbr": 1,
            ".ico": 1,
            ".jp2": 1,
            ".psd": 1,
            ".tga": 2,
            ".xcf": 1,
        },
        "hidden": 1,
        "other": 4,
    }
    done = sr(*BICUBIC, "in", "--json", "--quiet")
    assert done.returncode == 0 and done.stderr == b""
    assert left_out(done) == expected
    shown = sr(*BICUBIC, "in", "--skip-existing").stderr.decode().splitlines()
    (line,) = (x for x in shown if x.startswith("left out"))
    assert (
        ".bak, .cbr, .ico, .jp2, .psd, .tga, .xcf, no suffix" in line and "other files: 4" in line
    )
    pattern = sr(*BICUBIC, "in/*", "--json", "--dry-run")
    assert left_out(pattern) == expected | {"hidden": 0, "earlier_results": 1}
    told: list[object] = []
    options = UpscaleOptions(overwrite=True)
    list(upscale_files(folder, model="bicubic", scale=2, options=options, on_event=told.append))
    assert LeftOut(1, expected["unsupported"], 1, 4) in told


def test_a_folder_without_images_says_what_it_holds(sr: Run, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.jp2").write_bytes(b"x")
    done = sr(*BICUBIC, "in", "--json")
    assert done.returncode == 1 and done.error_codes == ["no-images-in-folder"]
    assert left_out(done)["unsupported"] == {".jp2": 1}


def test_a_link_to_itself_among_images(sr: Run, tmp_path: Path) -> None:
    save(tmp_path / "in/a.png")
    (tmp_path / "in/loop.png").symlink_to("loop.png")
    done = sr(*BICUBIC, "in", "-r")
    assert done.returncode == 0 and (tmp_path / "in/a_x2.png").exists()
    assert b"other files: 1" in done.stderr


def test_a_folder_that_cannot_be_searched_is_an_error(
    sr: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path / "in/a.png")
    (tmp_path / "in/locked").mkdir()
    real = os.scandir

    def deny(folder: Path) -> Any:
        if Path(folder).name == "locked":
            raise PermissionError(13, os.strerror(13))
        return real(folder)

    monkeypatch.setattr(os, "scandir", deny)
    done = sr(*BICUBIC, "in", "-r")
    assert done.returncode == 1 and done.error_codes == ["unreadable-file"]
    assert (tmp_path / "in/a_x2.png").exists()
