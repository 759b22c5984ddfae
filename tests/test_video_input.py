"""Clips that are damaged, or no clips, or that cannot be written as asked; HDR; interlaced."""

from __future__ import annotations

import re
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from helpers.clips import (
    Made,
    add_tone,
    frames_of,
    packets_of,
    plane_of,
    times_of,
    tone_packets,
)
from helpers.command import BICUBIC, Run
from helpers.images import noise, save

LONG = [512 * n for n in range(100)]


def noisy(path: Path, **fields: Any) -> Path:
    """A clip of noise, whose packets are spread over the file."""
    made = Made(times=LONG, **fields)
    if path.suffix == ".mkv":
        made.times, made.time_base = [40 * n for n in range(100)], Fraction(1, 1000)
    return made.write(path, [(noise(32, 32, seed=n)[..., 0], 120, 140) for n in range(100)])


def refused(done: Any, code: str, folder: Path, *files: str) -> None:
    """It failed with this code alone, and left nothing but these files."""
    assert done.error_codes == [code], done.stderr
    assert done.returncode in (1, 2)
    assert sorted(p.name for p in folder.iterdir()) == sorted(files)


def test_a_file_without_its_end(sr: Run, tmp_path: Path) -> None:
    whole = noisy(tmp_path / "whole.mp4").read_bytes()
    (tmp_path / "whole.mp4").unlink()
    (tmp_path / "a.mp4").write_bytes(whole[: len(whole) // 2])
    refused(sr(*BICUBIC, "a.mp4"), "damaged-clip", tmp_path, "a.mp4")


@pytest.mark.parametrize(("suffix", "code"), [("mp4", "damaged-frame"), ("mkv", "truncated-clip")])
def test_truncated_clips(suffix: str, code: str, sr: Run, tmp_path: Path) -> None:
    path = tmp_path / f"a.{suffix}"
    noisy(tmp_path / f"whole.{suffix}")
    with av.open(tmp_path / f"whole.{suffix}") as source:
        # The index in front, as files for the web have it.
        options = {"movflags": "faststart"} if suffix == "mp4" else {}
        with av.open(path, "w", container_options=options) as output:
            stream = output.add_stream_from_template(source.streams.video[0], opaque=True)
            stream.metadata.update(source.streams.video[0].metadata)
            for packet in source.demux(video=0):
                if packet.size:
                    packet.stream = stream
                    output.mux(packet)
    (tmp_path / f"whole.{suffix}").unlink()
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 6 // 10])
    refused(sr(*BICUBIC, path), code, tmp_path, path.name)
    done = sr(*BICUBIC, path, "--allow-damaged", "--json")
    assert done.returncode == 0, done.stderr
    (note,) = [note for note in done.notes if note["kind"] == "clip-truncated"]
    assert note["time"] < note["end"] and "0:04.0" in note["end"]
    assert 40 < len(frames_of(tmp_path / f"a_x2.{suffix}")) < 80


def test_a_damaged_frame_is_named_by_its_time(sr: Run, tmp_path: Path) -> None:
    source = noisy(tmp_path / "a.mp4", options={"bf": "0"})
    with av.open(source) as container:
        packet = [p for p in container.demux(video=0) if p.size][60]
    content = bytearray(source.read_bytes())
    content[packet.pos : packet.pos + 60] = b"\xff" * 60
    source.write_bytes(content)
    done = sr(*BICUBIC, source, "--json")
    refused(done, "damaged-frame", tmp_path, "a.mp4")
    assert done.records[-1]["error"]["time"] == "0:02.400"
    done = sr(*BICUBIC, source, "--json", "--allow-damaged")
    assert done.returncode == 0 and "damaged-frames" in done.note_kinds
    assert times_of(tmp_path / "a_x2.mp4")[-1] == Fraction(LONG[-1], 12800)


def test_a_size_that_changes_in_mid_stream(sr: Run, tmp_path: Path) -> None:
    parts = [Made(times=[512 * n for n in range(10)], width=w) for w in (32, 48)]
    with av.open(tmp_path / "a.mkv", "w") as output:
        stream = parts[0].add_to(output)
        for number, part in enumerate(parts):
            with av.open(tmp_path / "part.h264", "w", format="h264") as raw:
                encoder = part.add_to(raw)
                for pts in part.times:
                    raw.mux(encoder.encode(part.frame((90, 100, 110), pts)))
                raw.mux(encoder.encode())
            with av.open(tmp_path / "part.h264") as raw:
                for index, packet in enumerate(p for p in raw.demux(video=0) if p.size):
                    packet.pts = packet.dts = (index + 10 * number) * 512
                    packet.time_base, packet.stream = part.time_base, stream
                    output.mux(packet)
    (tmp_path / "part.h264").unlink()
    done = sr(*BICUBIC, "a.mkv", "--json")
    refused(done, "clip-size-changes", tmp_path, "a.mkv")
    assert done.records[-1]["error"]["width"] == 48


def test_audio_alone_and_audio_with_a_cover(sr: Run, tmp_path: Path) -> None:
    with av.open(tmp_path / "a.mp4", "w") as container:
        tone = add_tone(container)
        container.mux(tone_packets(tone, 0.5))
    refused(sr(*BICUBIC, "a.mp4"), "no-video-stream", tmp_path, "a.mp4")


def test_no_frames(sr: Run, tmp_path: Path) -> None:
    with av.open(tmp_path / "a.mkv", "w") as container:
        Made().add_to(container)
        tone = add_tone(container)
        container.mux(tone_packets(tone, 0.2))
    refused(sr(*BICUBIC, "a.mkv"), "no-frames", tmp_path, "a.mkv")


def test_an_empty_file_and_text(sr: Run, tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"")
    refused(sr(*BICUBIC, "a.mp4"), "empty-file", tmp_path, "a.mp4")
    (tmp_path / "a.mp4").write_bytes(b"#EXTM3U\nfile:///etc/hostname\n" * 20)
    refused(sr(*BICUBIC, "a.mp4"), "damaged-clip", tmp_path, "a.mp4")


def test_an_image_named_as_a_clip_and_a_clip_named_as_an_image(sr: Run, tmp_path: Path) -> None:
    save(tmp_path / "a.png").rename(tmp_path / "a.mp4")
    refused(sr(*BICUBIC, "a.mp4"), "not-a-clip", tmp_path, "a.mp4")
    (tmp_path / "a.mp4").unlink()
    Made("libx264").write(tmp_path / "b.mp4").rename(tmp_path / "b.jpg")
    done = sr(*BICUBIC, "b.jpg", "--json")
    refused(done, "is-a-clip", tmp_path, "b.jpg")
    assert done.records[0]["error"]["format"] == "MP4"
    content = (tmp_path / "b.jpg").read_bytes()
    done = sr("upscale", "-m", "bicubic", "-x2", "-", "-o", "c.png", input=content)
    refused(done, "is-a-clip", tmp_path, "b.jpg")


@pytest.mark.parametrize("name", ["a.ts", "a.m2ts", "a"])
def test_transport_streams(name: str, sr: Run, tmp_path: Path) -> None:
    blu_ray = {"mpegts_m2ts_mode": "1"} if name == "a.m2ts" else {}
    times = [3600 * n for n in range(30)]
    made = Made(times=times, time_base=Fraction(1, 90000))
    with av.open(tmp_path / name, "w", format="mpegts", container_options=blu_ray) as container:
        video, tone = made.add_to(container), add_tone(container)
        for number, pts in enumerate(times):
            container.mux(video.encode(made.frame((30 + 5 * number, 120, 140), pts)))
        container.mux(video.encode())
        container.mux(tone_packets(tone, 1.0))
    done = sr(*BICUBIC, name, "--json")
    assert done.returncode == 0, done.stderr
    before, after = times_of(tmp_path / name), times_of(tmp_path / "a_x2.mkv")
    assert len(after) == 30 and before[0] > 0
    assert max(abs(a - b) for a, b in zip(after, before, strict=True)) <= Fraction(1, 2000)
    assert packets_of(tmp_path / "a_x2.mkv", "audio")


def test_a_program_is_no_transport_stream(sr: Run, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "main.ts").write_text("export const scale = 2;\n" * 40)
    save(tmp_path / "in" / "b.png")
    done = sr(*BICUBIC, "in", "-o", "out", "--json")
    assert done.returncode == 0, done.stderr
    assert [Path(r["input"]).name for r in done.records if r["status"] == "done"] == ["b.png"]


def test_a_clip_without_a_suffix_is_known_by_its_content(sr: Run, tmp_path: Path) -> None:
    Made().write(tmp_path / "a.mp4").rename(tmp_path / "a")
    assert sr(*BICUBIC, "a").returncode == 0
    assert len(frames_of(tmp_path / "a_x2.mp4")) == 4


def test_formats_that_are_read_alone_become_matroska(sr: Run, tmp_path: Path) -> None:
    Made("mpeg4", times=range(4), time_base=Fraction(1, 25)).write(tmp_path / "a.avi")
    assert sr(*BICUBIC, "a.avi").returncode == 0
    assert len(frames_of(tmp_path / "a_x2.mkv")) == 4


def test_without_the_extra(sr: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Made().write(tmp_path / "a.mp4")
    save(tmp_path / "b.png")
    monkeypatch.setitem(sys.modules, "av", None)
    done = sr(*BICUBIC, "a.mp4", "b.png", "--json")
    assert done.error_codes == ["extra-missing"] and done.returncode == 1
    assert [r["status"] for r in done.records] == ["failed", "done"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mp4", "b.png", "b_x2.png"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--codec", "divx"), "unknown-value"),
        (("--crf", "64"), "out-of-range"),
        (("--colour", "srgb"), "unknown-value"),
        (("-f", "webm", "--codec", "h264"), "codec-not-in-container"),
        (("-f", "mov", "--codec", "av1"), "codec-not-in-container"),
        (("--codec", "av1", "--lossless"), "never-lossless"),
        (("-f", "mkv", "--codec", "ffv1", "--crf", "9"), "codec-without-crf"),
        (("-o", "a.jpg"), "format-of-other-kind"),
        (("-o", "a.txt"), "format-not-in-name"),
        (("-o", "-"), "clip-on-stdout"),
        (("--compare",), "compare-of-clips"),
    ],
)
def test_what_cannot_be_written(
    arguments: tuple[str, ...], code: str, sr: Run, tmp_path: Path
) -> None:
    Made().write(tmp_path / "a.mp4")
    refused(sr(*BICUBIC, "a.mp4", *arguments), code, tmp_path, "a.mp4")


def test_an_encoder_that_is_not_in_the_wheel(
    sr: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Made().write(tmp_path / "a.mp4")
    monkeypatch.setattr(av, "codecs_available", av.codecs_available - {"libx265"})
    done = sr(*BICUBIC, "a.mp4", "--codec", "hevc")
    refused(done, "encoder-missing", tmp_path, "a.mp4")


def test_a_pixel_format_that_an_encoder_does_not_have(sr: Run, tmp_path: Path) -> None:
    Made("ffv1", "yuv444p12le").write(tmp_path / "a.mkv", [(9, 9, 9)] * 4)
    done = sr(*BICUBIC, "a.mkv", "--codec", "h264", "--json")
    refused(done, "pixel-format-not-supported", tmp_path, "a.mkv")
    assert "hevc" in done.records[0]["error"]["codecs"]


def test_odd_sizes_with_420(sr: Run, tmp_path: Path) -> None:
    Made("ffv1", "yuv420p", 33, 31).write(tmp_path / "a.mkv")
    done = sr(*BICUBIC, "a.mkv", "--json", "-f", "mp4")
    assert done.returncode == 0 and "size-made-even" not in done.note_kinds
    assert frames_of(tmp_path / "a_x2.mp4")[0].width == 66
    done = sr("upscale", "-m", "bicubic", "-x3", "a.mkv", "--json", "-f", "mp4")
    assert {"kind": "size-made-even", "width": 100, "height": 94, "layout": "420"} in done.notes
    frame = frames_of(tmp_path / "a_x3.mp4")[0]
    assert (frame.width, frame.height) == (100, 94)


def test_transparent_clips_are_refused(sr: Run, tmp_path: Path) -> None:
    Made("ffv1", "yuva420p").write(tmp_path / "a.mkv", [(9, 9, 9, 9)] * 4)
    refused(sr(*BICUBIC, "a.mkv"), "transparent-clip", tmp_path, "a.mkv")


def test_alpha_that_decoders_leave_out_is_not_lost_in_silence(sr: Run, tmp_path: Path) -> None:
    made = Made("libvpx-vp9", "yuva420p", times=[0, 40], time_base=Fraction(1, 1000))
    made.write(tmp_path / "a.webm", [(90, 128, 128, 20)] * 2)
    assert frames_of(tmp_path / "a.webm")[0].format.name == "yuv420p"
    refused(sr(*BICUBIC, "a.webm"), "transparent-clip", tmp_path, "a.webm")


def interlaced(path: Path) -> Path:
    """A bar that moves from field to field."""
    options = {"flags": "+ilme+ildct", "bf": "0", "x264-params": "interlaced=1:tff=1"}
    made = Made(times=[512 * n for n in range(12)], width=64, height=64, options=options)
    contents = []
    for number in range(12):
        luma = np.full((64, 64), 40, np.uint8)
        for field in (0, 1):
            at = 4 * number + 2 * field
            luma[field::2, at : at + 8] = 220
        contents.append((luma, 128, 128))
    return made.write(path, contents)


def test_interlaced_clips(sr: Run, tmp_path: Path) -> None:
    source = interlaced(tmp_path / "a.mp4")
    assert frames_of(source)[0].interlaced_frame
    refused(sr(*BICUBIC, "a.mp4"), "interlaced", tmp_path, "a.mp4")
    same = ("-m", "bicubic", "--width", "64", "--lossless", "--deinterlace")
    assert sr("upscale", "a.mp4", *same, "-o", "b.mp4").returncode == 0
    assert times_of(tmp_path / "b.mp4") == times_of(source)
    frame = frames_of(tmp_path / "b.mp4")[5]
    luma = plane_of(frame, 0).astype(int)
    combed = plane_of(frames_of(source)[5], 0).astype(int)
    assert not frame.interlaced_frame
    assert np.abs(np.diff(luma, axis=0)).sum() < np.abs(np.diff(combed, axis=0)).sum() / 4


MASTERING = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"


def side_data(path: Path) -> dict[str, bytes]:
    return {d.type.name: bytes(d) for d in frames_of(path)[0].side_data}


def test_hdr10_is_kept(sr: Run, tmp_path: Path) -> None:
    options = {"x265-params": f"log-level=none:hdr10=1:master-display={MASTERING}:max-cll=1000,400"}
    tags = {"colorspace": 9, "color_range": 1, "color_primaries": 9, "color_trc": 16}
    made = Made("libx265", "yuv420p10le", 64, 64, tags=tags, options=options)
    source = made.write(tmp_path / "a.mp4", [(500, 500, 520)] * 4)
    done = sr(*BICUBIC, source, "--json")
    assert done.returncode == 0 and done.notes == []
    result = tmp_path / "a_x2.mp4"
    frame = frames_of(result)[0]
    assert (frame.format.name, int(frame.color_trc)) == ("yuv420p10le", 16)
    before = side_data(source)
    assert {"MASTERING_DISPLAY_METADATA", "CONTENT_LIGHT_LEVEL"} <= set(before)
    after = side_data(result)
    for kind in ("MASTERING_DISPLAY_METADATA", "CONTENT_LIGHT_LEVEL"):
        assert after[kind] == before[kind]
    done = sr(*BICUBIC, source, "--json", "-o", "b.mp4", "--codec", "av1")
    assert "hdr-metadata-dropped" in done.note_kinds


def dynamic_metadata() -> bytes:
    """A prefix SEI of HEVC with HDR10+ for one window (CTA-861.4, annex S; ITU-T T.35)."""
    bits = "01" + f"{4000:027b}" + "0" + "".join(f"{v:017b}" for v in (10000, 20000, 30000, 15000))
    bits += "0000" + f"{5:010b}" + "000"
    bits += "0" * (-len(bits) % 8)
    content = bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits), 8))
    payload = b"\xb5\x00\x3c\x00\x01\x04\x01" + content
    message = bytes([4, len(payload)]) + payload + b"\x80"
    escaped = re.sub(rb"\x00\x00(?=[\x00-\x03])", b"\x00\x00\x03", message)
    return b"\x00\x00\x00\x01" + bytes([39 << 1, 1]) + escaped


def test_dynamic_hdr_metadata_is_dropped_with_a_note(sr: Run, tmp_path: Path) -> None:
    tags = {"colorspace": 9, "color_range": 1, "color_primaries": 9, "color_trc": 16}
    made = Made("libx265", "yuv420p10le", 64, 64, tags=tags)
    with av.open(tmp_path / "a.mkv", "w") as container:
        stream = made.add_to(container)
        frames = [made.frame((300, 512, 512), pts) for pts in made.times]
        for packet in [p for frame in (*frames, None) for p in stream.encode(frame)]:
            marked = av.Packet(dynamic_metadata() + bytes(packet))
            marked.pts, marked.dts, marked.time_base = packet.pts, packet.dts, packet.time_base
            marked.stream, marked.is_keyframe = stream, packet.is_keyframe
            container.mux(marked)
    assert "DYNAMIC_HDR_PLUS" in side_data(tmp_path / "a.mkv")
    done = sr(*BICUBIC, "a.mkv", "--json")
    assert done.returncode == 0 and done.note_kinds == ["dynamic-hdr-dropped"]
    assert "DYNAMIC_HDR_PLUS" not in side_data(tmp_path / "a_x2.mkv")
    done = sr(*BICUBIC, "a.mkv", "--json", "-f", "png")
    assert "dynamic-hdr-dropped" in done.note_kinds
