"""Images that become a clip, and clips that become images."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from helpers.clips import Made, frames_of, plane_of, rgb_of, times_of, yuv_of
from helpers.command import BICUBIC, Run
from helpers.images import pixels_of
from PIL import Image

from sr_cli import RefusedError, read_provenance
from sr_cli.video.options import ClipOptions

COLOURS = [(250, 10, 30), (20, 200, 90), (40, 60, 220)]


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    """1.png, 2.png and 10.png."""
    (tmp_path / "frames").mkdir()
    for name, colour in zip((1, 2, 10), COLOURS, strict=True):
        Image.new("RGB", (24, 18), colour).save(tmp_path / f"frames/{name}.png")
    return tmp_path / "frames"


def shown(path: Path) -> list[list[float]]:
    return [
        list(rgb_of([plane_of(f, i)[9, 9] for i in range(3)], 1, False, 8)) for f in frames_of(path)
    ]


@pytest.mark.parametrize("inputs", ["frames", "frames/*.png"])
@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.webm", "new/clip.mov"])
def test_frames_in(inputs: str, name: str, frames: Path, sr: Run, tmp_path: Path) -> None:
    done = sr(*BICUBIC, inputs, "-o", name, "--fps", "25", "--lossless", "--json")
    assert done.returncode == 0, done.stderr
    result = tmp_path / name
    assert times_of(result) == [0, Fraction(1, 25), Fraction(2, 25)]
    assert np.abs(np.array(shown(result)) - np.array(COLOURS)).max() <= 2
    frame = frames_of(result)[0]
    assert (frame.width, frame.height, frame.format.name) == (48, 36, "yuv420p")
    assert (int(frame.colorspace), int(frame.color_range)) == (1, 1)
    assert done.records[-1]["input"] == inputs and done.records[-1]["status"] == "done"


def test_ffv1_stores_rgb(frames: Path, sr: Run, tmp_path: Path) -> None:
    done = sr(*BICUBIC, "frames", "-o", "a.mkv", "--fps", "29.97", "--codec", "ffv1")
    assert done.returncode == 0
    result = frames_of(tmp_path / "a.mkv")
    planar = [f.reformat(format="gbrp") for f in result]
    found = [tuple(int(plane_of(f, i)[5, 5]) for i in (2, 0, 1)) for f in planar]
    assert found == COLOURS and result[0].format.name == "bgr0"
    # Matroska counts in milliseconds.
    assert times_of(tmp_path / "a.mkv") == [0, Fraction(33, 1000), Fraction(67, 1000)]


def test_an_interrupted_sequence_is_resumed(frames: Path, sr: Run, tmp_path: Path) -> None:
    done = sr(*BICUBIC, "frames", "-o", "a.mp4", "--fps", "25", "--resume")
    assert done.returncode == 0 and len(frames_of(tmp_path / "a.mp4")) == 3


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("frames", "-o", "a.mp4"), "missing-option"),
        (("frames", "--fps", "25"), "fps-without-images"),
        (("frames/1.png", "-o", "a.mp4", "--fps", "25"), "fps-without-images"),
        (("frames", "-o", "a.mp4", "--fps", "0"), "out-of-range"),
        (("frames", "-o", "a.mp4", "--fps", "1/0"), "out-of-range"),
        (("frames", "-o", "a.mp4", "--fps", "fast"), "out-of-range"),
        (("frames", "-o", "a.mp4", "--fps", "25", "--preview", "3"), "conflicting-options"),
        (("frames/1.png", "-o", "a.mp4"), "format-of-other-kind"),
    ],
)
def test_requests_that_are_refused(
    arguments: tuple[str, ...], code: str, frames: Path, sr: Run, tmp_path: Path
) -> None:
    done = sr(*BICUBIC, *arguments)
    assert (done.returncode, done.error_codes) == (2, [code])
    assert [p.name for p in tmp_path.iterdir()] == ["frames"]


@pytest.mark.parametrize(
    ("image", "code"),
    [
        (Image.new("RGB", (24, 20)), "frame-differs"),
        (Image.new("RGBA", (24, 18), (9, 9, 9, 9)), "transparent-clip"),
        (Image.new("I;16", (24, 18)), "frame-differs"),
        (Image.new("F", (24, 18)), "unsupported-by-format"),
    ],
)
def test_images_that_do_not_fit(
    image: Image.Image, code: str, frames: Path, sr: Run, tmp_path: Path
) -> None:
    image.save(frames / "3.png", "TIFF" if image.mode == "F" else "PNG")
    done = sr(*BICUBIC, "frames", "-o", "a.mp4", "--fps", "25", "--json")
    assert (done.returncode, done.error_codes) == (1, [code])
    assert done.records[-1]["error"]["subject"].endswith("3.png")
    assert [p.name for p in tmp_path.iterdir()] == ["frames"]


def test_images_with_16_bits_become_10(sr: Run, tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    for number in range(2):
        deep = np.full((18, 24), 30000 + 9 * number, np.uint16)
        Image.fromarray(deep).save(tmp_path / f"frames/{number}.png")
    assert sr(*BICUBIC, "frames", "-o", "a.mp4", "--fps", "25", "--lossless").returncode == 0
    frame = frames_of(tmp_path / "a.mp4")[0]
    assert frame.format.name == "yuv420p10le"
    assert abs(plane_of(frame, 0)[5, 5] - (64 + 876 * 30000 / 65535)) <= 1


def test_rates() -> None:
    assert ClipOptions(fps="23.976").rate == Fraction(24000, 1001)
    assert ClipOptions(fps="12.5").rate == Fraction(25, 2)
    assert ClipOptions().rate is None
    with pytest.raises(RefusedError):
        ClipOptions(fps="-3").check()


def written_clip(path: Path, pixel_format: str = "yuv444p", **tags: int) -> Path:
    """A clip of three frames, one for each of COLOURS, in BT.709."""
    depth = 10 if "10" in pixel_format else 8
    found = {"colorspace": 1, "color_range": 1, "color_primaries": 1, "color_trc": 1} | tags
    made = Made("libx264", pixel_format, times=[0, 512, 1024], tags=found)
    return made.write(path, [yuv_of(c, found["colorspace"], False, depth) for c in COLOURS])


@pytest.mark.parametrize(
    ("arguments", "folder"),
    [
        (("-f", "png"), "clip_x2"),
        (("-f", "tif", "-o", "out/"), "out"),
        (("-f", "png", "-o", "new/out"), "new/out"),
        (("-o", "out/"), "out"),
        (("-o", "there"), "there"),
    ],
)
def test_frames_out(arguments: tuple[str, ...], folder: str, sr: Run, tmp_path: Path) -> None:
    written_clip(tmp_path / "clip.mp4")
    (tmp_path / "there").mkdir()
    done = sr(*BICUBIC, "clip.mp4", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    *chosen, described = done.notes
    assert chosen == ([] if "-f" in arguments else [{"kind": "clip-as-images"}])
    times = tmp_path / folder / "timestamps.txt"
    facts = {"count": 3, "fps": 25.0, "file": str(times.relative_to(tmp_path))}
    assert described == {"kind": "frames-as-images"} | facts
    files = sorted(set((tmp_path / folder).iterdir()) - {times})
    assert [f.stem for f in files] == ["000001", "000002", "000003"]
    for file, colour in zip(files, COLOURS, strict=True):
        pixels = pixels_of(file)
        assert pixels.shape == (64, 64, 3)
        assert np.abs(pixels.astype(int) - colour).max() <= 2


@pytest.mark.parametrize(
    ("names", "first"),
    [
        ("out/%06d.png", "out/000001.png"),
        ("out/shot_%02d_a.webp", "out/shot_01_a.webp"),
        ("%d.jpg", "1.jpg"),
    ],
)
def test_frames_out_with_numbers_in_their_names(
    names: str, first: str, sr: Run, tmp_path: Path
) -> None:
    written_clip(tmp_path / "clip.mp4")
    assert sr(*BICUBIC, "clip.mp4", "-o", names).returncode == 0
    files = list((tmp_path / first).parent.glob("*" + Path(first).suffix))
    assert len(files) == 3 and (tmp_path / first) in files
    done = sr(*BICUBIC, "clip.mp4", "-o", names)
    assert (done.returncode, done.error_codes) == (1, ["already-exists"])


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("clip.mp4", "b.mp4", "-o", "out/%06d.png"), "conflicting-options"),
        (("clip.mp4", "-o", "out/%06d.png", "-f", "jpg"), "format-contradicts-name"),
        (("clip.mp4", "-o", "%d/a.png"), "format-of-other-kind"),
        (("clip.mp4", "-o", "out/%s.png"), "format-of-other-kind"),
        (("clip.mp4", "-o", "out/%06d.png", "--preview", "2"), "conflicting-options"),
        (("clip.mp4", "-f", "png", "--preview", "2"), "conflicting-options"),
        (("clip.mp4", "-f", "png", "--codec", "hevc"), "conflicting-options"),
        (("clip.mp4", "-o", "out/%06d.png", "--resume"), "conflicting-options"),
    ],
)
def test_refused_names_of_frames(
    arguments: tuple[str, ...], code: str, sr: Run, tmp_path: Path
) -> None:
    for name in ("clip.mp4", "b.mp4"):
        written_clip(tmp_path / name)
    done = sr(*BICUBIC, *arguments)
    assert (done.returncode, done.error_codes) == (2, [code])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["b.mp4", "clip.mp4"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("clip.mp4", "-f", "mp4"),
        ("clip.mp4", "--crf", "30"),
        ("clip.mp4", "--codec", "h264"),
        ("clip.mp4", "--resume"),
        ("clip.mp4", "--steady"),
        ("cl*.mp4",),
        ("folder",),
    ],
)
def test_an_output_folder_keeps_a_clip(arguments: tuple[str, ...], sr: Run, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for name in ("clip.mp4", "folder/clip.mp4"):
        written_clip(tmp_path / name)
    assert sr(*BICUBIC, *arguments, "-o", "out/").returncode == 0
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["clip.mp4"]


def test_folders_keep_clips_beside_images(sr: Run, tmp_path: Path) -> None:
    (tmp_path / "both").mkdir()
    written_clip(tmp_path / "both/clip.mp4")
    Image.new("RGB", (8, 8)).save(tmp_path / "both/a.png")
    assert sr(*BICUBIC, "both/", "-o", "out/").returncode == 0
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a.png", "clip.mp4"]
    assert sr(*BICUBIC, "both/clip.mp4", "both/a.png", "-o", "named/").returncode == 0
    assert sorted(p.name for p in (tmp_path / "named").iterdir()) == ["a.png", "clip.mp4"]


def test_frames_do_not_mix_with_other_files(sr: Run, tmp_path: Path) -> None:
    written_clip(tmp_path / "clip.mp4")
    done = sr(*BICUBIC, "clip.mp4", "-o", ".")
    assert (done.returncode, done.error_codes) == (2, ["not-only-frames"])
    assert [p.name for p in tmp_path.iterdir()] == ["clip.mp4"]


@pytest.mark.parametrize("name", ["again.mp4", "again.mkv"])
@pytest.mark.parametrize("arguments", [("-o", "out/"), ("-o", "out/a%d_b.png")])
def test_frames_out_and_in_again_keep_their_times(
    arguments: tuple[str, ...], name: str, sr: Run, tmp_path: Path
) -> None:
    times = [6400, 6912, 7500, 9000, 9001, 12800]
    contents = [(16 + 30 * n, 128, 128) for n in range(6)]
    tags = {"colorspace": 1, "color_range": 1}
    Made(times=times, tags=tags).write(tmp_path / "clip.mp4", contents)
    assert sr(*BICUBIC, "clip.mp4", *arguments).returncode == 0
    done = sr(*BICUBIC, "out/", "-o", name, "--json")
    assert done.returncode == 0, done.stderr
    assert "times-from-file" in done.note_kinds
    assert not any(record.get("event") == "left-out" for record in done.records)
    before, after = times_of(tmp_path / "clip.mp4"), times_of(tmp_path / name)
    rounding = Fraction(1, 2000) if name.endswith("mkv") else 0
    assert max(abs(a - b) for a, b in zip(before, after, strict=True)) <= rounding
    luma = [int(plane_of(frame, 0)[9, 9]) for frame in frames_of(tmp_path / name)]
    assert np.abs(np.array(luma) - [y for y, _, _ in contents]).max() <= 2


@pytest.mark.parametrize(
    ("text", "times"),
    [
        ("# timecode format v2\n0\n40\n100\n", [0, Fraction(1, 25), Fraction(1, 10)]),
        ("# timestamp format v2\n7.5\n\n8\n9.25\n20", [0.0075, 0.008, 0.00925]),
    ],
)
def test_times_of_other_programs(
    text: str, times: list[float], frames: Path, sr: Run, tmp_path: Path
) -> None:
    (frames / "timestamps.txt").write_text(text)
    assert sr(*BICUBIC, "frames", "-o", "a.mp4").returncode == 0
    assert times_of(tmp_path / "a.mp4") == pytest.approx(times)
    assert sr(*BICUBIC, "frames", "-o", "b.mp4", "--fps", "10").returncode == 0
    assert times_of(tmp_path / "b.mp4") == [0, Fraction(1, 10), Fraction(1, 5)]


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        ("0\n40\n40", "invalid-timestamps"),
        ("0\n40\nlater", "invalid-timestamps"),
        ("0\n40\n-5", "invalid-timestamps"),
        ("0\n40", "timestamps-mismatch"),
        ("", "timestamps-mismatch"),
        ("0\n1\n2\n3\n4", "timestamps-mismatch"),
        ("# time base 0/7\n0\n40\n80\n1e9", "invalid-timestamps"),
    ],
)
def test_times_that_do_not_fit(
    lines: str, code: str, frames: Path, sr: Run, tmp_path: Path
) -> None:
    (frames / "timestamps.txt").write_text("# timestamp format v2\n" + lines)
    done = sr(*BICUBIC, "frames", "-o", "new/a.mp4")
    assert (done.returncode, done.error_codes) == (1, [code])
    assert [p.name for p in tmp_path.iterdir()] == ["frames"]


def test_a_text_file_is_not_overwritten_by_times(sr: Run, tmp_path: Path) -> None:
    written_clip(tmp_path / "clip.mp4")
    mine = tmp_path / "timestamps.txt"
    mine.write_text("mine")
    for arguments in ((), ("--skip-existing",)):
        done = sr(*BICUBIC, "clip.mp4", "-o", "%06d.png", *arguments)
        assert done.error_codes == ["already-exists"]
    assert mine.read_text() == "mine" and len(list(tmp_path.iterdir())) == 2


def test_frames_out_of_several_clips(sr: Run, tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        written_clip(tmp_path / name)
    assert sr(*BICUBIC, "a.mp4", "b.mp4", "-f", "png", "-o", "out").returncode == 0
    for name in ("a", "b"):
        files = sorted(p.name for p in (tmp_path / "out" / name).iterdir())
        assert files == ["000001.png", "000002.png", "000003.png", "timestamps.txt"]


def test_frames_that_exist(sr: Run, tmp_path: Path) -> None:
    written_clip(tmp_path / "clip.mp4")
    to_images = (*BICUBIC, "clip.mp4", "-f", "png", "-o", "out/")
    assert sr(*to_images).returncode == 0
    done = sr(*to_images)
    assert (done.returncode, done.error_codes) == (1, ["already-exists"])
    mine = Image.new("RGB", (5, 5))
    mine.save(tmp_path / "out/000002.png")
    (tmp_path / "out/000003.png").unlink()
    (tmp_path / "out/000001.png").write_bytes(b"")
    done = sr(*to_images, "--skip-existing", "--json")
    replaced = [n["file"] for n in done.notes if n["kind"] == "unreadable-result-replaced"]
    assert replaced == [str(Path("out/000001.png"))]
    assert pixels_of(tmp_path / "out/000002.png").shape == (5, 5, 3)
    for number in (1, 3):
        made = tmp_path / f"out/00000{number}.png"
        assert pixels_of(made).shape == (64, 64, 3)
        assert read_provenance(made) is not None
    assert sr(*to_images, "-y").returncode == 0
    assert pixels_of(tmp_path / "out/000002.png").shape == (64, 64, 3)


def test_frames_with_10_bits_and_hdr(sr: Run, tmp_path: Path) -> None:
    tags = {"colorspace": 9, "color_primaries": 9, "color_trc": 16}
    written_clip(tmp_path / "clip.mp4", "yuv444p10le", **tags)
    done = sr(*BICUBIC, "clip.mp4", "-f", "jpg")
    assert done.error_codes == ["unsupported-by-format"]
    done = sr(*BICUBIC, "clip.mp4", "-f", "jpg", "--flatten")
    assert done.error_codes == ["hdr-images"]
    assert sr(*BICUBIC, "clip.mp4", "-f", "png").returncode == 0
    content = (tmp_path / "clip_x2/000001.png").read_bytes()
    assert content[24] == 16
    assert b"cICP" + bytes([9, 16, 0, 1]) in content
    made = cv2.imread(str(tmp_path / "clip_x2/000002.png"), cv2.IMREAD_UNCHANGED)[9, 9, ::-1]
    assert np.abs(made / 257 - COLOURS[1]).max() <= 1


def test_images_of_a_longer_clip_are_named(sr: Run, tmp_path: Path) -> None:
    for name, count in (("long", 5), ("short", 2)):
        Made(times=[512 * n for n in range(count)]).write(tmp_path / f"{name}.mp4")
        done = sr(*BICUBIC, f"{name}.mp4", "-o", "frames/", "-y", "--json")
        assert done.returncode == 0, done.stderr
    (note,) = [note for note in done.notes if note["kind"] == "images-of-another-clip"]
    assert (note["count"], Path(note["first"]).name) == (3, "000003.png")


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
@pytest.mark.parametrize("flip", [False, True])
def test_frames_out_are_upright(degrees: int, flip: bool, sr: Run, tmp_path: Path) -> None:
    made = Made(width=32, height=48, tags={"colorspace": 1, "color_range": 1})
    luma = np.full((48, 32), 60)
    luma[:10, :8] = 220
    with av.open(tmp_path / "clip.mp4", "w") as container:
        stream = made.add_to(container)
        stream.set_display_rotation(degrees, hflip=flip)
        container.mux(stream.encode(made.frame((luma, 128, 128), 0)))
        container.mux(stream.encode())
    assert sr(*BICUBIC, "clip.mp4", "-f", "png").returncode == 0
    coded = frames_of(tmp_path / "clip.mp4")[0]
    # Counter-clockwise, then mirrored, as PyAV describes the matrix.
    expected = np.rot90(plane_of(coded, 0), degrees // 90)
    expected = expected[:, ::-1] if flip else expected
    found = pixels_of(tmp_path / "clip_x2/000001.png")[::2, ::2, 0]
    assert found.shape == expected.shape
    assert ((found > 130) == (expected > 130)).mean() > 0.98
