"""Motion photos keep their video, wherever it is announced."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.command import BICUBIC, Run
from helpers.compound import (
    APPLE_XMP,
    CAMERA,
    GAIN_XMP,
    HDRGM,
    VIDEO,
    box,
    directory,
    gain_of,
    item,
    jpeg,
    packet,
    photo_with,
    property_of,
    read_back,
    says_nothing,
    scene,
    ultra_hdr,
    with_index,
)

from sr_cli.imaging.compound.video import video_end


@pytest.mark.parametrize("with_map", [True, False])
def test_motion_photo_keeps_its_video(sr: Run, tmp_path: Path, with_map: bool) -> None:
    motion = 'GCamera:MotionPhoto="1" GCamera:MotionPhotoVersion="1" '
    motion += 'GCamera:MotionPhotoPresentationTimestampUs="450000" '
    motion += f'OpCamera:VideoLength="{len(VIDEO)}" OpCamera:OLivePhotoVersion="2"'
    if with_map:
        gain = jpeg(gain_of(scene()), xmp=GAIN_XMP)
        data = ultra_hdr(scene(), gain, video=VIDEO, attributes=motion)
    else:
        entry = item("MotionPhoto", len(VIDEO), "video/mp4")
        data = jpeg(scene(), xmp=packet(motion, directory(entry))) + VIDEO
    photo_with(tmp_path, data)
    done = sr(*BICUBIC, "a.jpg", "--json")
    assert (done.returncode, done.notes) == (0, [])
    found = read_back(tmp_path / "a_x2.jpg")
    assert found.parts["MotionPhoto"] == VIDEO
    assert list(found.parts) == ["MotionPhoto", "GainMap"] if with_map else ["MotionPhoto"]
    assert len(found.indexed) == (2 if with_map else 0)
    assert property_of(found.xmp, CAMERA, "MotionPhoto") == "1"
    assert property_of(found.xmp, CAMERA, "MotionPhotoPresentationTimestampUs") == "450000"
    oppo = "http://ns.oplus.com/photos/1.0/camera/"
    assert property_of(found.xmp, oppo, "VideoLength") == str(len(VIDEO))
    assert (property_of(found.xmp, HDRGM, "Version") == "1.0") is with_map


def test_older_motion_photo_gets_a_directory(sr: Run, tmp_path: Path) -> None:
    motion = f'GCamera:MicroVideo="1" GCamera:MicroVideoOffset="{len(VIDEO)}" '
    motion += 'GCamera:MicroVideoPresentationTimestampUs="77"'
    photo_with(tmp_path, jpeg(scene(), xmp=packet(motion)) + VIDEO)
    assert sr(*BICUBIC, "a.jpg").returncode == 0
    found = read_back(tmp_path / "a_x2.jpg")
    assert found.parts == {"MotionPhoto": VIDEO}
    assert property_of(found.xmp, CAMERA, "MicroVideoOffset") == str(len(VIDEO))
    assert property_of(found.xmp, CAMERA, "MotionPhotoPresentationTimestampUs") == "77"


@pytest.mark.parametrize("described", [True, False])
def test_video_in_the_data_of_samsung_gets_a_directory(
    sr: Run, tmp_path: Path, described: bool
) -> None:
    # Blocks of type, name and data; their directory at the end; wrong lengths in XMP.
    block = b"\0\0\x30\x0a" + (16).to_bytes(4, "little") + b"MotionPhoto_Data" + VIDEO
    tail = b"SEFH" + bytes(20) + b"\x18\0\0\0SEFT"
    xmp = packet('GCamera:MotionPhoto="1"', directory(item("MotionPhoto", 80, "video/mp4")))
    photo_with(tmp_path, jpeg(scene(), xmp=xmp if described else None) + block + tail)
    done = sr(*BICUBIC, "a.jpg", "--json")
    assert done.returncode == 0
    assert done.note_kinds == ["data-dropped"]
    found = read_back(tmp_path / "a_x2.jpg")
    assert found.parts == {"MotionPhoto": VIDEO}
    assert property_of(found.xmp, CAMERA, "MotionPhotoVersion") == "1"


def test_video_after_a_map_that_is_not_listed(sr: Run, tmp_path: Path) -> None:
    gain = jpeg(gain_of(scene()), xmp=APPLE_XMP)
    motion = f'GCamera:MicroVideo="1" GCamera:MicroVideoOffset="{len(VIDEO)}"'
    photo_with(
        tmp_path, with_index([jpeg(scene(), xmp=packet(motion)), gain], [0x030000, 0]) + VIDEO
    )
    done = sr(*BICUBIC, "a.jpg", "--json")
    assert (done.returncode, done.notes) == (0, [])
    found = read_back(tmp_path / "a_x2.jpg")
    assert found.parts == {"MotionPhoto": VIDEO}
    assert len(found.indexed) == 2


@pytest.mark.parametrize("video", [b"", VIDEO[:-900], VIDEO[8:], b"\0" * 500])
def test_bad_video_is_dropped_with_its_promise(sr: Run, tmp_path: Path, video: bytes) -> None:
    motion = 'GCamera:MotionPhoto="1" GCamera:MotionPhotoVersion="1"'
    xmp = packet(motion, directory(item("MotionPhoto", len(VIDEO), "video/mp4")))
    photo_with(tmp_path, jpeg(scene(), xmp=xmp) + video)
    done = sr(*BICUBIC, "a.jpg", "--json")
    assert done.returncode == 0
    assert done.notes.count({"kind": "part-unreadable", "part": "motion photo"}) == 1
    assert says_nothing((tmp_path / "a_x2.jpg").read_bytes())


def test_no_video_is_missed_where_none_is_announced(sr: Run, tmp_path: Path) -> None:
    photo_with(tmp_path, jpeg(scene(), xmp=packet('GCamera:MotionPhoto="0"')))
    done = sr(*BICUBIC, "a.jpg", "--json")
    assert (done.returncode, done.notes) == (0, [])


def test_where_a_video_ends() -> None:
    assert video_end(VIDEO, 0, len(VIDEO)) == len(VIDEO)
    assert video_end(b"abc" + VIDEO + b"more", 3, len(VIDEO) + 7) == len(VIDEO) + 3
    large = b"\0\0\0\1mdat" + (16 + 5).to_bytes(8, "big") + b"12345"
    wide = VIDEO[: VIDEO.index(b"mdat") - 4] + large
    assert video_end(wide + b"?", 0, len(wide) + 1) == len(wide)
    to_the_end = VIDEO[: VIDEO.index(b"mdat") - 4] + b"\0\0\0\0mdat12345"
    assert video_end(to_the_end, 0, len(to_the_end)) == len(to_the_end)
    assert video_end(VIDEO + box(b"free") * 20_000, 0, len(VIDEO) + 160_000) is None
    assert video_end(VIDEO[:-1], 0, len(VIDEO) - 1) is None
    assert video_end(box(b"ftyp", b"heic") + box(b"meta"), 0, 20) is None
