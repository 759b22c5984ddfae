"""The habits of `sr upscale` hold for clips: names, existing files, folders, JSON, exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from fractions import Fraction
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from helpers import REPOSITORY
from helpers.clips import Made, frames_of, plane_of, times_of
from helpers.command import BICUBIC, Run
from helpers.images import encoded, pixels_of, save, size_of

from sr_cli import UpscaleOptions, read_provenance, upscale_files
from sr_cli.upscale.comparison import LABEL_ROOM
from sr_cli.upscale.request import ClipProgress, Event
from sr_cli.video import join as joining
from sr_cli.video.containers import (
    container_by_option,
    container_of_name,
    result_container,
    sniff_container,
)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return Made().write(tmp_path / "clip.mp4")


def names(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (("-x2",), "clip_x2.mp4"),
        (("-x3", "-f", "mkv"), "clip_x3.mkv"),
        (("--width", "48"), "clip_w48.mp4"),
        (("-x2", "--suffix", "_big"), "clip_big.mp4"),
        (("-x2", "-o", "out/", "-f", "mp4"), "out/clip.mp4"),
        (("-x2", "-o", "new/b.webm"), "new/b.webm"),
        (("-x2", "-o", "b.mov", "--codec", "hevc", "--crf", "30"), "b.mov"),
    ],
)
def test_names(arguments: tuple[str, ...], name: str, clip: Path, sr: Run, tmp_path: Path) -> None:
    done = sr("upscale", "-m", "bicubic", clip, *arguments)
    assert done.returncode == 0, done.stderr
    assert names(tmp_path) == sorted(["clip.mp4", name])
    frames = frames_of(tmp_path / name)
    assert (len(frames) == 4 and frames[0].width == (96 if "-x3" in arguments else 64)) or (
        "--width" in arguments and frames[0].width == 48
    )


def test_a_network_and_bicubic_differ(clip: Path, sr: Run, tmp_path: Path) -> None:
    assert sr("upscale", clip, "-m", "espcn", "-x2").returncode == 0
    assert sr(*BICUBIC, clip, "-o", "b.mp4").returncode == 0
    network, bicubic = (frames_of(tmp_path / n) for n in ("clip_x2.mp4", "b.mp4"))
    assert network[0].width == 64
    difference = [
        abs(plane_of(a, 0).astype(int) - plane_of(b, 0)).max()
        for a, b in zip(network, bicubic, strict=True)
    ]
    # Flat frames stay flat, whatever computes them.
    assert max(difference) <= 2


def test_existing_files(clip: Path, sr: Run, tmp_path: Path) -> None:
    result = tmp_path / "clip_x2.mp4"
    result.write_bytes(b"mine")
    done = sr(*BICUBIC, clip)
    assert (done.returncode, done.error_codes) == (1, ["already-exists"])
    assert result.read_bytes() == b"mine"
    assert sr(*BICUBIC, clip, "-y").returncode == 0
    assert len(frames_of(result)) == 4


def test_results_that_exist_are_skipped_if_they_are_readable(
    clip: Path, sr: Run, tmp_path: Path
) -> None:
    result = tmp_path / "clip_x2.mp4"
    result.write_bytes(b"")
    done = sr(*BICUBIC, clip, "--skip-existing", "--json")
    note = done.records[-1]["notes"][-1]
    assert (note["kind"], note["file"]) == ("unreadable-result-replaced", str(result))
    assert len(frames_of(result)) == 4
    made = result.stat()
    done = sr(*BICUBIC, clip, "--skip-existing", "--json")
    assert (done.returncode, done.records[0]["reason"]) == (0, "exists")
    assert result.stat().st_mtime_ns == made.st_mtime_ns


def test_a_clip_overwritten_by_its_own_result(clip: Path, sr: Run, tmp_path: Path) -> None:
    times = times_of(clip)
    assert sr(*BICUBIC, clip, "-o", clip, "-y").returncode == 0
    assert frames_of(clip)[0].width == 64 and times_of(clip) == times
    assert names(tmp_path) == ["clip.mp4"]


def test_folders_mix_images_and_clips(clip: Path, sr: Run, tmp_path: Path) -> None:
    save(tmp_path / "in/a.png")
    save(tmp_path / "in/more/clip.jpg")
    clip.rename(tmp_path / "in/more/clip.mp4")
    done = sr(*BICUBIC, "in", "-r", "-o", "out", "--json")
    assert done.returncode == 0
    assert names(tmp_path / "out") == ["a.png", "more/clip.jpg", "more/clip.mp4"]
    # -f is for inputs of its kind.
    done = sr(*BICUBIC, "in", "-r", "-o", "other", "-f", "webp")
    assert done.returncode == 0
    assert names(tmp_path / "other") == ["a.webp", "more/clip.mp4", "more/clip.webp"]
    assert size_of(tmp_path / "other/a.webp") == (32, 24)
    # Results of earlier runs are not inputs.
    assert sr(*BICUBIC, "in", "-r").returncode == 0
    done = sr(*BICUBIC, "in", "-r", "--skip-existing", "--json")
    reasons = [r["reason"] for r in done.records if r["status"] == "skipped"]
    assert reasons == ["earlier-result"] * 3 + ["exists"] * 3


def test_earlier_results_of_clips_are_told_by_name_and_size(sr: Run, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("clip.mkv", "clip_x3.mkv"):
        # x1.5 is 51x39, and made even.
        Made(width=34, height=26).write(tmp_path / "in" / name)
    assert sr("upscale", "in", "-m", "bicubic", "-x", "1.5").returncode == 0
    done = sr("upscale", "in", "-m", "bicubic", "-x", "1.5", "--dry-run", "--json")
    found = {Path(r["input"]).name: r["status"] for r in done.records if "input" in r}
    earlier = {"clip_x1.5.mkv": "skipped", "clip_x3_x1.5.mkv": "skipped"}
    assert found == {"clip.mkv": "planned", "clip_x3.mkv": "planned"} | earlier


def test_previews_are_no_inputs(clip: Path, sr: Run, tmp_path: Path) -> None:
    assert sr(*BICUBIC, clip, "--preview", "2").returncode == 0
    assert read_provenance(tmp_path / "clip_x2_preview.png") is not None
    done = sr(*BICUBIC, tmp_path, "--dry-run", "--json")
    skipped = [Path(r["input"]).name for r in done.records if r["status"] == "skipped"]
    assert skipped == ["clip_x2_preview.png"]


@pytest.mark.parametrize("arguments", [("-f", "mp4"), ("-o", "book.mp4")])
def test_archives_are_no_clips(arguments: tuple[str, ...], sr: Run, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "book.cbz", "w") as archive:
        archive.writestr("1.png", encoded("png"))
    done = sr(*BICUBIC, "book.cbz", *arguments)
    codes = {"-f": "format-of-other-kind", "-o": "archive-not-in-name"}
    assert (done.returncode, done.error_codes) == (2, [codes[arguments[0]]])


def test_folders_with_an_archive_and_a_clip(clip: Path, sr: Run, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    clip.rename(tmp_path / "in/clip.mp4")
    with zipfile.ZipFile(tmp_path / "in/book.cbz", "w") as archive:
        archive.writestr("1.png", encoded("png"))
    assert sr(*BICUBIC, "in", "-o", "out", "-f", "mkv").returncode == 0
    assert names(tmp_path / "out") == ["book.cbz", "clip.mkv"]
    assert zipfile.ZipFile(tmp_path / "out/book.cbz").namelist() == ["1.png"]


def test_dry_run(clip: Path, sr: Run, tmp_path: Path) -> None:
    done = sr(*BICUBIC, clip, "--dry-run", "--json")
    assert done.records == [
        {
            "input": str(clip),
            "output": str(tmp_path / "clip_x2.mp4"),
            "status": "planned",
            "exists": False,
        }
    ]
    assert names(tmp_path) == ["clip.mp4"]


def test_json_has_progress_and_follows_its_schema(sr: Run, tmp_path: Path) -> None:
    clip = Made(times=[512 * n for n in range(30)]).write(tmp_path / "clip.mp4")
    done = sr(*BICUBIC, clip, "--json")
    schema = json.loads((REPOSITORY / "docs/schemas/upscale.schema.json").read_text())
    for record in done.records:
        jsonschema.Draft202012Validator(schema).validate(record)
    *progress, last = done.records
    assert last["status"] == "done" and last["output_width"] == 64
    assert progress[0]["frames"] == 1 and progress[0]["total"] == 30
    assert progress[-1]["frames"] == 30 and progress[-1]["seconds_left"] == 0
    assert all(p["status"] == "progress" and p["fps"] > 0 for p in progress)


def test_from_python(clip: Path, tmp_path: Path) -> None:
    events: list[Event] = []
    options = UpscaleOptions(format="mkv")
    (result,) = upscale_files(clip, model="espcn", scale=2, options=options, on_event=events.append)
    assert (result.status, result.target) == ("done", tmp_path / "clip_x2.mkv")
    assert (result.width, result.output_height, result.precision) != (0, 0, None)
    shares = [e.share for e in events if isinstance(e, ClipProgress)]
    assert shares == [0.25, 0.5, 0.75, 1.0]


def test_what_a_caller_raises_ends_the_run(clip: Path, tmp_path: Path) -> None:
    def stop(event: Event) -> None:
        if isinstance(event, ClipProgress):
            raise LookupError("enough")

    with pytest.raises(LookupError, match="enough"):
        list(upscale_files(clip, model="bicubic", scale=2, on_event=stop))
    assert names(tmp_path) == ["clip.mp4"]


def test_a_result_appears_when_it_is_whole(
    clip: Path, sr: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "clip_x2.mp4").write_bytes(b"mine")
    seen = []
    copy_description = joining.copy_description

    def look(output: object, source: object) -> None:
        seen.append((tmp_path / "clip_x2.mp4").read_bytes())
        copy_description(output, source)

    monkeypatch.setattr(joining, "copy_description", look)
    assert sr(*BICUBIC, clip, "-y").returncode == 0
    assert seen == [b"mine"]
    assert names(tmp_path) == ["clip.mp4", "clip_x2.mp4"]


def test_held_frames_are_computed_once(
    sr: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sr_cli.engine.pipeline import BicubicPipeline

    contents = [(40 + n // 5 * 30, 120, 140) for n in range(20)]
    made = Made(times=[40 * n for n in range(20)], time_base=Fraction(1, 1000))
    made.write(tmp_path / "clip.mkv", contents)
    computed = []
    run = BicubicPipeline.run

    def count(*arguments: object, **more: object) -> object:
        computed.append(1)
        return run(*arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(BicubicPipeline, "run", count)
    assert sr(*BICUBIC, "clip.mkv", "--lossless").returncode == 0
    assert len(computed) == 4
    frames = frames_of(tmp_path / "clip_x2.mkv")
    assert [plane_of(f, 0)[9, 9] for f in frames] == [luma for luma, _, _ in contents]
    assert times_of(tmp_path / "clip_x2.mkv") == times_of(tmp_path / "clip.mkv")


def test_containers_by_name_option_and_content() -> None:
    assert container_of_name("a.MKV") is container_by_option("mkv")
    assert container_of_name("a.png") is None and container_by_option("png") is None
    avi = container_of_name("a.avi")
    assert avi is not None and not avi.writable
    assert result_container(avi) is container_of_name("a.mkv")
    mp4, mov = container_of_name("a.mp4"), container_of_name("a.mov")
    assert sniff_container(b"\0\0\0\x20ftypisom\0\0") is mp4
    assert sniff_container(b"\0\0\0\x14ftypqt  \0\0") is mov
    assert sniff_container(b"\x1a\x45\xdf\xa3\0\0") is container_of_name("a.mkv")
    for image in (b"\0\0\0\x20ftypavif", b"\0\0\0\x20ftypheic", b"\x89PNG\r\n\x1a\n"):
        assert sniff_container(image) is None


def test_a_preview_is_a_sheet_of_moments(sr: Run, tmp_path: Path) -> None:
    contents = [(40 + 4 * n, 128, 128) for n in range(40)]
    tags = {"colorspace": 1, "color_range": 1}
    made = Made(times=[512 * n for n in range(40)], tags=tags)
    made.write(tmp_path / "clip.mp4", contents)
    done = sr(*BICUBIC, "clip.mp4", "--preview", "4", "--json")
    assert (done.returncode, done.records[-1]["output"]) == (0, "clip_x2_preview.png")
    assert names(tmp_path) == ["clip.mp4", "clip_x2_preview.png"]
    sheet = pixels_of(tmp_path / "clip_x2_preview.png")
    each = 64 + LABEL_ROOM
    assert sheet.shape == (4 * each, 2 * 64, 3)
    for number in range(4):
        shown = sheet[number * each + LABEL_ROOM + 10 : (number + 1) * each - 10]
        luma = contents[5 + 10 * number][0]
        assert np.abs(shown.astype(float) - (luma - 16) / 219 * 255).max() <= 1
    done = sr(*BICUBIC, "clip.mp4", "--preview", "4")
    assert done.error_codes == ["already-exists"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--preview", "0"), "out-of-range"),
        (("--preview", "21"), "out-of-range"),
        (("--preview", "2", "--deinterlace"), "conflicting-options"),
    ],
)
def test_previews_that_are_refused(
    arguments: tuple[str, ...], code: str, clip: Path, sr: Run, tmp_path: Path
) -> None:
    done = sr(*BICUBIC, clip, *arguments)
    assert (done.returncode, done.error_codes) == (2, [code])
    assert names(tmp_path) == ["clip.mp4"]


_PEAK = """
import resource, sys
from sr_cli import UpscaleOptions, upscale_files
from sr_cli.video.options import ClipOptions
options = UpscaleOptions(clip=ClipOptions(segment=10), overwrite=True)
(result,) = upscale_files(sys.argv[1], model="bicubic", scale=2, options=options)
assert result.status == "done", result.error
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in other units elsewhere")
def test_memory_does_not_grow_with_the_length(tmp_path: Path) -> None:
    peaks = []
    for count in (100, 600):
        made = Made(width=160, height=96, times=[512 * n for n in range(count)])
        made.write(tmp_path / "clip.mp4")
        command = [sys.executable, "-c", _PEAK, str(tmp_path / "clip.mp4")]
        done = subprocess.run(command, capture_output=True, check=True)
        peaks.append(int(done.stdout))
    # An encoder that is left behind takes about 10 MB at this size, and there are 50 more.
    assert peaks[1] - peaks[0] < 30_000
