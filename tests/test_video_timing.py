"""Times of frames: variable rates, start times, edit lists, all containers; 0 ms off."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import pytest
from helpers.clips import Made, times_of
from helpers.command import BICUBIC, Run

from sr_cli.video.timing import decoding_time, in_words, reorder_depth

CONSTANT = [n * 3003 for n in range(30)]
VARIABLE = [0, 3003, 9000, 9900, 15000, 30000, 33003, 36006, 45000, 46000, 47000, 60000, 240000]
TICKS = {"mp4": 90000, "mov": 90000, "mkv": 1000, "webm": 1000}
CODECS = {"mp4": "libx264", "mov": "libx264", "mkv": "libx264", "webm": "libvpx-vp9"}


def end_of(path: Path) -> Fraction:
    """When the video ends by its container: MP4 states the duration of the last frame there."""
    with av.open(path) as container:
        stream = container.streams.video[0]
        return Fraction((stream.start_time + stream.duration) * stream.time_base)


@pytest.mark.parametrize("start", [0, 45000, 9_000_000])
@pytest.mark.parametrize("times", [CONSTANT, VARIABLE], ids=["constant", "variable"])
@pytest.mark.parametrize("container", TICKS)
def test_times_in_all_containers(
    container: str, times: list[int], start: int, sr: Run, tmp_path: Path
) -> None:
    made = Made(
        CODECS[container],
        times=[(start + t) * TICKS[container] // 90000 for t in times],
        time_base=Fraction(1, TICKS[container]),
    )
    source = made.write(tmp_path / f"a.{container}")
    assert sr(*BICUBIC, source).returncode == 0
    result = tmp_path / f"a_x2.{container}"
    assert times_of(result) == times_of(source)
    assert times_of(source)[0] == Fraction(start, 90000)
    if container in ("mp4", "mov"):
        assert end_of(result) == end_of(source)


@pytest.mark.parametrize("name", ["b.mp4", "b.mov"])
def test_a_start_between_milliseconds(name: str, sr: Run, tmp_path: Path) -> None:
    """Edit lists of MP4 begin at milliseconds unless its writer is told otherwise."""
    source = Made(times=[127_575, 130_578, 136_575], time_base=Fraction(1, 90000))
    source.write(tmp_path / "a.m2ts")
    assert sr(*BICUBIC, "a.m2ts", "-o", name).returncode == 0
    times = times_of(tmp_path / "a.m2ts")
    assert (times[0] * 1000).denominator > 1
    assert times_of(tmp_path / name) == times


@pytest.mark.parametrize(
    ("codec", "name"),
    [
        ("libx265", "a.mp4"),
        ("libvpx-vp9", "a.mp4"),
        ("libsvtav1", "a.mp4"),
        ("libsvtav1", "a.webm"),
        ("libx265", "a.mkv"),
        ("ffv1", "a.mkv"),
        ("prores_ks", "a.mov"),
    ],
)
def test_times_in_other_codecs(codec: str, name: str, sr: Run, tmp_path: Path) -> None:
    fits = 90 if name.endswith(("mkv", "webm")) else 1
    pixel_format = "yuv422p10le" if codec == "prores_ks" else "yuv420p"
    times = sorted({t // fits for t in VARIABLE})
    made = Made(codec, pixel_format, 64, 64, times, Fraction(fits, 90000))
    source = made.write(tmp_path / name)
    assert sr(*BICUBIC, source, "-o", f"b_{name}").returncode == 0
    assert times_of(tmp_path / f"b_{name}") == times_of(source)


def test_segments_join_without_a_trace(sr: Run, tmp_path: Path) -> None:
    from sr_cli import UpscaleOptions, upscale_files
    from sr_cli.video.options import ClipOptions

    times = [t + 300000 * n for n in range(3) for t in VARIABLE]
    source = Made(times=times, time_base=Fraction(1, 90000)).write(tmp_path / "a.mp4")
    options = UpscaleOptions(clip=ClipOptions(segment=7))
    (result,) = upscale_files(source, model="bicubic", scale=2, options=options)
    assert result.status == "done" and result.target is not None
    assert times_of(result.target) == times_of(source)
    with av.open(result.target) as container:
        packets = [p for p in container.demux(video=0) if p.size]
    stored = [p.dts for p in packets]
    assert stored == sorted(set(stored)) and all(p.dts <= p.pts for p in packets)
    assert sum(p.is_keyframe for p in packets) == -(-len(times) // 7)


def test_an_edit_list_that_cuts_the_beginning(sr: Run, tmp_path: Path) -> None:
    """A clip cut without encoding again: its first frames are decoded, and not shown."""
    whole = Made(times=[512 * n for n in range(100)], options={"bf": "0", "g": "100"})
    whole.write(tmp_path / "whole.mp4")
    with av.open(tmp_path / "whole.mp4") as source, av.open(tmp_path / "a.mp4", "w") as cut:
        stream = cut.add_stream_from_template(source.streams.video[0], opaque=True)
        for packet in source.demux(video=0):
            if packet.size:
                # Times before 0 become an edit list that begins after them.
                packet.pts, packet.dts = packet.pts - 512 * 60, packet.dts - 512 * 60
                packet.stream = stream
                cut.mux(packet)
    source_times = times_of(tmp_path / "a.mp4")
    assert len(source_times) == 40 and source_times[0] == 0
    assert sr(*BICUBIC, "a.mp4").returncode == 0
    assert end_of(tmp_path / "a_x2.mp4") == end_of(tmp_path / "a.mp4")
    assert times_of(tmp_path / "a_x2.mp4") == source_times


def test_a_finer_clock_than_matroska_is_rounded_and_said(sr: Run, tmp_path: Path) -> None:
    made = Made(times=VARIABLE, time_base=Fraction(1, 90000))
    source = made.write(tmp_path / "a.mp4")
    done = sr(*BICUBIC, source, "-f", "mkv", "--json")
    assert "times-rounded" in done.note_kinds
    pairs = zip(times_of(tmp_path / "a_x2.mkv"), times_of(source), strict=True)
    assert max(abs(a - b) for a, b in pairs) <= Fraction(1, 2000)


def test_the_reading_order_of_a_stream() -> None:
    assert reorder_depth([0, 1, 2]) == 0
    assert reorder_depth([0, 30, 10, 20, 40]) == 1
    assert reorder_depth([0, 40, 20, 10, 30, 50]) == 2
    shown = [0, 10, 20, 30, 40, 50]
    assert [decoding_time(shown, i, 2) for i in range(6)] == [-20, -10, 0, 10, 20, 30]
    assert decoding_time([7], 0, 0) == 7


def test_times_in_words() -> None:
    clock = Fraction(1, 1000)
    assert in_words(3_723_004, clock) == "1:02:03.004"
    assert in_words(61_500, clock) == "1:01.500"
    assert in_words(-40, clock) == "-0:00.040"
    assert in_words(None, clock) == "?"
