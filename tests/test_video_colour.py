"""Colours of clips: what a correct player shows before and after, in all combinations of tags."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest
from helpers.clips import Made, frames_of, plane_of, rgb_of, yuv_of
from helpers.command import Run

from sr_cli.video.chroma import resize_chroma
from sr_cli.video.probe import Layout

COLOURS = [
    *((0, 0, 0), (255, 255, 255), (200, 30, 60), (10, 240, 90), (40, 60, 250), (128, 128, 128)),
    # Their integers, rounded, lie outside of RGB.
    *((255, 0, 0), (208, 255, 177), (88, 0, 170), (190, 0, 225), (255, 255, 196)),
]
SAME_SIZE = ("-m", "bicubic", "--width", "32", "--lossless", "--json")
NAMES = ("colorspace", "color_range", "color_primaries", "color_trc")
LIMITED, FULL = 1, 2


def written(path: Path, made: Made, matrix: int, full: bool, depth: int) -> Path:
    """A clip with a frame for each of COLOURS."""
    made.times = [500 * n for n in range(len(COLOURS))]
    return made.write(path, [yuv_of(c, matrix, full, depth) for c in COLOURS])


def errors(before: Path, after: Path, matrix: int, full: bool, depth: int) -> float:
    """The largest difference of a flat colour between two clips, in levels of 8 bits."""

    def shown(path: Path) -> list[Any]:
        return [
            [rgb_of(yuv, matrix, full, depth) for yuv in _extremes(frame)]
            for frame in frames_of(path)
        ]

    pairs = zip(shown(before), shown(after), strict=True)
    return max(float(np.abs(a - b[0]).max()) for b, made in pairs for a in made)


def _extremes(frame: Any) -> list[list[float]]:
    planes = [plane_of(frame, index) for index in range(3)]
    return [[p.min() for p in planes], [p.max() for p in planes]]


@pytest.mark.parametrize("depth", [8, 10])
@pytest.mark.parametrize("kind", ["420", "422", "444"])
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize(
    "tags", [(1, 1, 1), (1, 2, 2), (6, 6, 6), (5, 5, 6), (6, 1, 13), (9, 9, 14), (9, 9, 18)]
)
def test_flat_colours(
    tags: tuple[int, int, int], full: bool, kind: str, depth: int, sr: Run, tmp_path: Path
) -> None:
    matrix, primaries, transfer = tags
    values = (matrix, FULL if full else LIMITED, primaries, transfer)
    ending = "" if depth == 8 else "10le"
    made = Made("ffv1", f"yuv{kind}p{ending}", tags=dict(zip(NAMES, values, strict=True)))
    source = written(tmp_path / "a.mkv", made, matrix, full, depth)
    done = sr("upscale", source, *SAME_SIZE, "-o", "b.mkv")
    assert done.returncode == 0 and done.notes == []
    result = tmp_path / "b.mkv"
    assert errors(source, result, matrix, full, depth) == 0
    for frame in frames_of(result):
        assert tuple(int(getattr(frame, name)) for name in NAMES) == values
        assert frame.format.name == made.pixel_format


@pytest.mark.parametrize(
    ("codec", "pixel_format", "name"),
    [
        ("libx264", "yuv420p", "a.mp4"),
        ("libx264", "yuv444p10le", "a.mov"),
        ("libx265", "yuv422p10le", "a.mp4"),
        ("libvpx-vp9", "yuv420p", "a.webm"),
        ("libx264", "yuvj420p", "a.mp4"),
    ],
)
def test_flat_colours_in_other_codecs(
    codec: str, pixel_format: str, name: str, sr: Run, tmp_path: Path
) -> None:
    depth = 10 if "10" in pixel_format else 8
    full = "yuvj" in pixel_format
    tags = dict(zip(NAMES, (1, FULL if full else LIMITED, 1, 1), strict=True))
    made = Made(codec, pixel_format, tags=tags, options={"lossless": "1"} if "vp9" in codec else {})
    source = written(tmp_path / name, made, 1, full, depth)
    result = tmp_path / f"b_{name}"
    done = sr("upscale", source, *SAME_SIZE, "-o", result)
    assert done.returncode == 0, done.stderr
    assert errors(source, result, 1, full, depth) <= 2
    assert {tuple(int(getattr(f, n)) for n in NAMES) for f in frames_of(result)} == {
        tuple(tags.values())
    }


@pytest.mark.parametrize("width", [16, 32, 64])
def test_lossless_hevc_is_lossless_where_frames_are_narrow(
    width: int, sr: Run, tmp_path: Path
) -> None:
    source = written(tmp_path / "a.mp4", Made(width=width, height=width), 6, False, 8)
    asked = ("-m", "bicubic", "--width", str(width), "--lossless", "--codec", "hevc")
    for again in range(4):
        # The encoder was wrong in most runs, not in all.
        done = sr("upscale", source, *asked, "-o", f"{again}.mp4")
        assert done.returncode == 0
        assert errors(source, tmp_path / f"{again}.mp4", 6, False, 8) == 0


@pytest.mark.parametrize(
    ("width", "height", "arguments", "matrix", "limits"),
    [
        (64, 48, (), 6, LIMITED),
        (1280, 32, (), 1, LIMITED),
        (32, 720, (), 1, LIMITED),
        (64, 48, ("--colour", "bt709"), 1, LIMITED),
        (64, 48, ("--colour", "bt2020-full"), 9, FULL),
    ],
)
def test_untagged_clips_by_their_size(
    width: int,
    height: int,
    arguments: tuple[str, ...],
    matrix: int,
    limits: int,
    sr: Run,
    tmp_path: Path,
) -> None:
    # At x2, the result is of another size: a player would guess another matrix.
    source = Made("libx264", width=width, height=height, times=[0]).write(tmp_path / "a.mkv")
    done = sr("upscale", source, "-m", "bicubic", "-x2", "--json", *arguments)
    assert done.returncode == 0
    assert done.note_kinds == ([] if arguments else ["colour-assumed"])
    (frame,) = frames_of(tmp_path / "a_x2.mkv")
    assert (frame.width, int(frame.colorspace), int(frame.color_range)) == (
        2 * width,
        matrix,
        limits,
    )


def test_colour_replaces_wrong_tags(sr: Run, tmp_path: Path) -> None:
    made = Made("ffv1", "yuv444p", tags={"colorspace": 6, "color_range": LIMITED})
    source = written(tmp_path / "a.mkv", made, 1, False, 8)
    assert sr("upscale", source, *SAME_SIZE, "-o", "b.mkv", "--colour", "bt709").returncode == 0
    assert errors(source, tmp_path / "b.mkv", 1, False, 8) <= 2
    assert {int(f.colorspace) for f in frames_of(tmp_path / "b.mkv")} == {1}


@pytest.mark.parametrize(("codec", "name"), [("libx264", "a.mp4"), ("ffv1", "a.mkv")])
@pytest.mark.parametrize("kind", ["420", "422"])
def test_chroma_stays_in_its_place(
    codec: str, name: str, kind: str, sr: Run, tmp_path: Path
) -> None:
    ramp = np.tile(np.arange(64, 192, 2), (64, 1))
    chroma = ramp[:: 2 if kind == "420" else 1, : 64 // 2] * 2 - 60
    made = Made(codec, f"yuv{kind}p", 64, 64, [0], tags={"colorspace": 1, "color_range": 1})
    source = made.write(tmp_path / name, [(128, chroma, 128)])
    result = tmp_path / f"b_{name}"
    done = sr("upscale", source, "-m", "bicubic", "--width", "64", "--lossless", "-o", result)
    assert done.returncode == 0
    before, after = (plane_of(frames_of(p)[0], 1) for p in (source, result))
    inner = slice(4, -4)
    # Half a luma pixel would be two levels of this ramp.
    assert np.abs(before[inner, inner].astype(int) - after[inner, inner]).max() <= 1


@pytest.mark.parametrize(("pixel_format", "depth"), [("bgr0", 8), ("gbrp10le", 10)])
def test_rgb_stays_rgb_in_ffv1_and_becomes_444_elsewhere(
    pixel_format: str, depth: int, sr: Run, tmp_path: Path
) -> None:
    top = (1 << depth) - 1
    colours = [(2, top, top // 2), (top, 300 * top // 1023, 0)]
    made = Made("ffv1", pixel_format, times=[0, 500])
    with av.open(tmp_path / "a.mkv", "w") as container:
        stream = made.add_to(container)
        for (red, green, blue), pts in zip(colours, made.times, strict=True):
            planar = replace(made, pixel_format="gbrp" if depth == 8 else pixel_format)
            frame = planar.frame((green, blue, red), pts).reformat(format=pixel_format)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    assert sr("upscale", "a.mkv", *SAME_SIZE, "-o", "b.mkv").returncode == 0
    planar_format = "gbrp" if depth == 8 else pixel_format
    for frame, (red, green, blue) in zip(frames_of(tmp_path / "b.mkv"), colours, strict=True):
        assert frame.format.name == pixel_format
        planes = frame.reformat(format=planar_format)
        assert [set(plane_of(planes, i).flat) for i in range(3)] == [{green}, {blue}, {red}]
    done = sr("upscale", "a.mkv", *SAME_SIZE, "-o", "b.mp4")
    assert done.returncode == 0 and done.note_kinds == ["rgb-written-as-yuv"]
    first = frames_of(tmp_path / "b.mp4")[0]
    assert first.format.name == ("yuv444p" if depth == 8 else "yuv444p10le")
    shown = rgb_of([plane_of(first, i)[5, 5] for i in range(3)], 1, False, depth)
    assert np.abs(shown - np.array(colours[0]) / top * 255).max() <= 2


@pytest.mark.parametrize("depth", [8, 10])
def test_what_is_brighter_than_white_is_not_clipped(depth: int, sr: Run, tmp_path: Path) -> None:
    """A limited range has room above white and below black, which RGB has not."""
    step = 1 << (depth - 8)
    contents = [[250.0 * step, 128.0 * step, 128.0 * step], [4.0 * step, 90.0 * step, 200.0 * step]]
    made = Made("ffv1", "yuv420p" if depth == 8 else "yuv420p10le", times=[0, 500])
    made.tags = {"colorspace": 1, "color_range": LIMITED}
    made.write(tmp_path / "a.mkv", contents)
    for model in ("bicubic", "edsr-baseline"):
        assert sr("upscale", "a.mkv", "-m", model, "-x2", "-o", f"{model}.mkv").returncode == 0
        frames = frames_of(tmp_path / f"{model}.mkv")
        found = [[float(plane_of(f, i).mean()) for i in range(3)] for f in frames]
        assert np.abs(np.array(found) - contents).max() <= 1.5 * step
        assert model == "edsr-baseline" or found == contents


def test_gray_clips(sr: Run, tmp_path: Path) -> None:
    source = Made("ffv1", "gray", times=[0]).write(tmp_path / "a.mkv", [(77,)])
    assert sr("upscale", source, *SAME_SIZE, "-o", "b.mkv").returncode == 0
    (frame,) = frames_of(tmp_path / "b.mkv")
    assert [set(plane_of(frame, i).flat) for i in range(3)] == [{77}, {128}, {128}]


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize(
    ("codec", "pixel_format", "name"),
    [
        ("libx264", "yuv420p", "a.mp4"),
        ("ffv1", "yuv422p10le", "a.mkv"),
        ("libx264", "yuv444p", "a.mp4"),
    ],
)
def test_networks_on_luma_keep_colours(
    codec: str, pixel_format: str, name: str, full: bool, sr: Run, tmp_path: Path
) -> None:
    """They do not pass through RGB: chroma is upscaled by itself."""
    depth = 10 if "10" in pixel_format else 8
    tags = dict(zip(NAMES, (1, FULL if full else LIMITED, 1, 1), strict=True))
    source = written(tmp_path / name, Made(codec, pixel_format, tags=tags), 1, full, depth)
    assert sr("upscale", source, "-m", "espcn", "-x2", "--lossless").returncode == 0
    result = source.with_stem("a_x2")
    assert errors(source, result, 1, full, depth) <= 2
    assert {tuple(int(getattr(f, n)) for n in NAMES) for f in frames_of(result)} == {
        tuple(tags.values())
    }


@pytest.mark.parametrize(("codec", "name"), [("libx264", "a.mp4"), ("ffv1", "a.mkv")])
@pytest.mark.parametrize("kind", ["420", "422", "444"])
def test_chroma_of_networks_on_luma_is_where_rgb_has_it(
    codec: str, name: str, kind: str, sr: Run, tmp_path: Path
) -> None:
    wide, high = 64 if kind == "444" else 32, 32 if kind == "420" else 64
    across = np.linspace(100, 150, wide)[None] + np.linspace(0, 10, high)[:, None]
    made = Made(codec, f"yuv{kind}p", 64, 64, [0], tags={"colorspace": 1, "color_range": 1})
    source = made.write(tmp_path / name, [(128, across.astype(np.uint8), 128)])
    for model in ("espcn", "bicubic"):
        done = sr("upscale", source, "-m", model, "-x2", "--lossless", "-o", f"{model}_{name}")
        assert done.returncode == 0
    luma, rgb = (
        plane_of(frames_of(tmp_path / f"{m}_{name}")[0], 1).astype(float)
        for m in ("espcn", "bicubic")
    )
    inner = slice(8, -8)
    # A quarter of a sample, by which others place it wrongly, is at least 0.2 levels.
    assert abs((luma - rgb)[inner, inner].mean()) < 0.18


@pytest.mark.parametrize("scale", [2, 3, 4, 1.5])
@pytest.mark.parametrize("kind", ["420", "422", "444"])
@pytest.mark.parametrize("codec", ["h264", "vp9"])
def test_chroma_lies_at_its_place(scale: float, kind: str, codec: str) -> None:
    """Bicubic keeps a ramp: each sample tells where it was read."""
    width, height, left = 48, 36, codec == "h264"
    across, down = (1 if kind == "444" else 2), (2 if kind == "420" else 1)

    def luma_of(count: int, step: int, *, sited: bool) -> np.ndarray:
        return np.arange(count) * step + (0 if sited else (step - 1) / 2)

    x = luma_of(width // across, across, sited=left)
    y = luma_of(height // down, down, sited=False)
    clip: Any = SimpleNamespace(layout=Layout(kind, 10), codec=codec, width=width, height=height)
    encoding: Any = SimpleNamespace(
        sited_left=left, width=round(width * scale), height=round(height * scale)
    )
    ramp = np.uint16(x[None] * 8 + y[:, None] * 8 + 40)
    made = resize_chroma(ramp, clip, encoding)
    into_x = luma_of(made.shape[1], across, sited=left)
    into_y = luma_of(made.shape[0], down, sited=False)
    wanted = (into_x[None] + 0.5) / scale + (into_y[:, None] + 0.5) / scale - 1
    inside = slice(round(3 * scale), -round(3 * scale))
    off = made - (wanted * 8 + 40)
    # A luma pixel is 8.
    assert np.abs(off[inside, inside]).max() < 0.01
