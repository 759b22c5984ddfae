"""Everything but the video is copied: audio, subtitles, chapters, attachments, metadata."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest
from av.stream import Disposition
from helpers.clips import (
    Made,
    add_tone,
    frames_of,
    packets_of,
    subtitle_packet,
    tone_packets,
)
from helpers.command import BICUBIC, Run
from helpers.images import encoded, pixels_of

CHAPTERS = [
    {
        "id": n,
        "start": 1000 * n,
        "end": 1000 * (n + 1),
        "time_base": Fraction(1, 1000),
        "metadata": {"title": f"part {n}"},
    }
    for n in range(2)
]


SUBTITLES = {"mp4": "mov_text", "mov": "mov_text", "mkv": "subrip", "webm": "webvtt"}


def full_clip(path: Path) -> Path:
    """A clip of two seconds with one of everything that its container holds."""
    kind = path.suffix.lstrip(".")
    ticks = 1000 if kind in ("mkv", "webm") else 12800
    made = Made(
        "libvpx-vp9" if kind == "webm" else "libx264",
        times=[ticks * n // 25 for n in range(50)],
        time_base=Fraction(1, ticks),
    )
    with av.open(path, "w") as container:
        video = made.add_to(container)
        video.codec_context.sample_aspect_ratio = Fraction(4, 3)
        video.metadata["language"] = "deu"
        tones = [
            add_tone(container, "libopus" if kind == "webm" else "aac"),
            add_tone(container, "aac" if kind == "mov" else "libopus", "jpn"),
        ]
        tones[1].disposition = Disposition.comment
        text = container.add_mux_stream(SUBTITLES[kind])
        text.metadata["language"] = "eng"
        if kind == "mkv":
            container.add_attachment("font.ttf", "font/ttf", b"not really a font")
        container.set_chapters(CHAPTERS)
        container.metadata.update({"title": "A title", "comment": "A remark"})
        for planes, pts in (((60 + n, 90, 160), t) for n, t in enumerate(made.times)):
            container.mux(video.encode(made.frame(planes, pts)))
        container.mux(video.encode())
        for tone, start in zip(tones, (0.1, 0.0), strict=True):
            container.mux(tone_packets(tone, 2, start))
        for second in (0.2, 1.1):
            line = f"at {second}".encode()
            framed = len(line).to_bytes(2, "big") + line if kind in ("mp4", "mov") else line
            container.mux(subtitle_packet(text, framed, round(second * 1000), 500))
    return path


def described(path: Path) -> dict[str, Any]:
    with av.open(path) as container:
        streams = [
            (s.type, s.language, int(s.disposition) & ~1, getattr(s.codec_context, "name", None))
            for s in container.streams
            if s.type != "data"
        ]
        return {
            "streams": streams,
            "chapters": [
                (c["start"] * c["time_base"], c["end"] * c["time_base"], c["metadata"]["title"])
                for c in container.chapters()
            ],
            "title": container.metadata.get("title", container.metadata.get("TITLE")),
            "comment": container.metadata.get("comment", container.metadata.get("COMMENT")),
            "attachments": [
                (s.metadata["filename"], s.data) for s in container.streams.attachments
            ],
            "aspect": container.streams.video[0].sample_aspect_ratio,
        }


@pytest.mark.parametrize("suffix", SUBTITLES)
def test_everything_else_is_copied(suffix: str, sr: Run, tmp_path: Path) -> None:
    source = full_clip(tmp_path / f"a.{suffix}")
    done = sr(*BICUBIC, source)
    assert done.returncode == 0, done.stderr
    result = tmp_path / f"a_x2.{suffix}"
    found = described(result)
    assert found == described(source)
    assert len(found["streams"]) == (5 if suffix == "mkv" else 4)
    assert found["chapters"][1] == (1, 2, "part 1") and found["title"] == "A title"
    # FFmpeg's QuickTime has no code for "deu".
    assert [s[1] for s in found["streams"][:4]] == [
        None if suffix == "mov" else "deu",
        *("fra", "jpn", "eng"),
    ]
    for kind in ("audio", "subtitle"):
        assert packets_of(result, kind) == packets_of(source, kind) != []


def test_strip_drops_metadata_and_chapters(sr: Run, tmp_path: Path) -> None:
    source = full_clip(tmp_path / "a.mkv")
    assert sr(*BICUBIC, source, "--strip").returncode == 0
    found = described(tmp_path / "a_x2.mkv")
    assert (found["chapters"], found["title"], found["comment"]) == ([], None, None)
    assert len(found["streams"]) == 5


def test_what_a_container_cannot_hold_is_named_before_the_work(sr: Run, tmp_path: Path) -> None:
    source = full_clip(tmp_path / "a.mkv")
    done = sr(*BICUBIC, source, "-o", "b.mp4", "--json")
    assert done.returncode == 1 and done.error_codes == ["unsupported-streams"]
    (record,) = done.records
    assert record["error"]["streams"] == ["subtitle subrip (eng)", "attachment"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mkv"]
    done = sr(*BICUBIC, source, "-o", "b.mp4", "--json", "--flatten")
    assert done.returncode == 0
    assert {"kind": "streams-dropped", "streams": record["error"]["streams"]} in done.notes
    assert [s[0] for s in described(tmp_path / "b.mp4")["streams"]] == ["video", "audio", "audio"]


@pytest.mark.parametrize("degrees", [90, 180, 270])
@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv"])
def test_rotation_is_kept(suffix: str, degrees: int, sr: Run, tmp_path: Path) -> None:
    source, made = tmp_path / f"a.{suffix}", Made(width=48)
    with av.open(source, "w") as container:
        stream = made.add_to(container)
        stream.set_display_rotation(degrees)
        container.mux(stream.encode(made.frame((50, 100, 150), 0)))
        container.mux(stream.encode())
    assert sr(*BICUBIC, source).returncode == 0
    before, after = frames_of(source)[0], frames_of(tmp_path / f"a_x2.{suffix}")[0]
    assert before.rotation == after.rotation != 0
    assert (after.width, after.height) == (96, 64)


@pytest.mark.parametrize(
    ("degrees", "coded", "upright"), [(90, (90, 60), (60, 90)), (180, (60, 40), (60, 40))]
)
def test_sizes_and_previews_are_of_upright_frames(
    degrees: int, coded: tuple[int, int], upright: tuple[int, int], sr: Run, tmp_path: Path
) -> None:
    source, made = tmp_path / "a.mp4", Made(width=48)
    with av.open(source, "w") as container:
        stream = made.add_to(container)
        stream.set_display_rotation(degrees)
        container.mux(stream.encode(made.frame((50, 100, 150), 0)))
        container.mux(stream.encode())
    same = ("upscale", "-m", "bicubic", "--width", "60", source)
    assert sr(*same, "-o", "b.mp4").returncode == 0
    after = frames_of(tmp_path / "b.mp4")[0]
    assert (after.width, after.height) == coded
    assert sr(*same, "-f", "png").returncode == 0
    assert pixels_of(tmp_path / "a_w60" / "000001.png").shape[1::-1] == upright
    assert sr(*same, "--preview", "1").returncode == 0
    width, height = pixels_of(tmp_path / "a_w60_preview.png").shape[1::-1]
    assert width == 2 * upright[0] and upright[1] <= height < upright[1] + 40


def test_a_cover_picture_goes_along(sr: Run, tmp_path: Path) -> None:
    made = Made()
    with av.open(tmp_path / "a.mp4", "w") as container:
        stream = made.add_to(container)
        cover = container.add_mux_stream("mjpeg", width=40, height=40)
        cover.disposition = Disposition.attached_pic
        container.mux(stream.encode(made.frame((50, 100, 150), 0)))
        container.mux(stream.encode())
        packet = av.Packet(encoded("jpg"))
        packet.stream, packet.pts, packet.dts, packet.time_base = cover, 0, 0, Fraction(1, 90000)
        container.mux(packet)
    assert sr(*BICUBIC, "a.mp4").returncode == 0
    for name, width in (("a.mp4", 32), ("a_x2.mp4", 64)):
        with av.open(tmp_path / name) as container:
            main, cover = container.streams.video
            assert (main.width, cover.width) == (width, 40)
            assert cover.disposition & Disposition.attached_pic
            assert [bytes(p) for p in container.demux(cover) if p.size] == [encoded("jpg")]


def test_metadata_that_mp4_has_no_field_for(sr: Run, tmp_path: Path) -> None:
    made, source = Made(), tmp_path / "a.mov"
    own = {"com.apple.quicktime.model": "A camera", "title": "t", "location": "+48.1000+011.5000/"}
    with av.open(source, "w", container_options={"movflags": "use_metadata_tags"}) as container:
        stream = made.add_to(container)
        container.metadata.update(own)
        container.mux(stream.encode(made.frame((50, 100, 150), 0)))
        container.mux(stream.encode())
    assert sr(*BICUBIC, source).returncode == 0
    with av.open(tmp_path / "a_x2.mov") as container:
        assert own.items() <= container.metadata.items()
