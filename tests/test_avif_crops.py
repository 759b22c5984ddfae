"""Clean apertures of AVIF files: what was cropped away does not come back."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.boxes import (
    clap,
    imir,
    irot,
    with_properties,
    with_track_properties,
    with_unused_property,
)
from helpers.command import BICUBIC, Run
from helpers.images import size_of, smooth
from PIL import Image

from sr_cli.errors import Note
from sr_cli.imaging.decode import read_picture, read_size

WIDTH, HEIGHT = 96, 64
CROP = clap(80, 56, 4, 2)
"""Leaves out 12 columns and 6 rows before it, 4 and 2 after it."""

LEFT, TOP, RIGHT, BOTTOM = 12, 6, 92, 62


def avif(*frames: Image.Image, **options: Any) -> bytes:
    file = io.BytesIO()
    several = {"save_all": True, "append_images": frames[1:]} if len(frames) > 1 else {}
    frames[0].save(file, "AVIF", subsampling="4:2:0", **several, **options)
    return file.getvalue()


def image(*, seed: int = 0, alpha: bool = False) -> Image.Image:
    made = Image.fromarray(smooth(HEIGHT, WIDTH, seed=seed))
    if alpha:
        made.putalpha(Image.fromarray(smooth(HEIGHT, WIDTH, seed=9)[..., 0]))
    return made


def pixels_of(data: bytes) -> list[np.ndarray]:
    return [
        frame.pixels if frame.alpha is None else np.dstack([frame.pixels, frame.alpha])
        for frame in read_picture(data).frames
    ]


def test_what_was_cropped_away_does_not_come_back(sr: Run, tmp_path: Path) -> None:
    data = with_properties(avif(image()), CROP)
    (tmp_path / "a.avif").write_bytes(data)
    done = sr(*BICUBIC, "a.avif", "-f", "png", "--json")
    assert done.returncode == 0 and done.notes == []
    assert size_of(tmp_path / "a_x2.png") == (160, 112)


@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("turned", ["", "turned", "mirrored"])
def test_the_crop_comes_before_rotation_and_mirror(alpha: bool, turned: str) -> None:
    plain = avif(image(alpha=alpha))
    (whole,) = pixels_of(plain)
    wanted = whole[TOP:BOTTOM, LEFT:RIGHT]
    turns = {"": (), "turned": (irot(1),), "mirrored": (irot(1), imir(1))}[turned]
    data = with_properties(plain, CROP, *turns)
    if turns:
        wanted = np.rot90(wanted)
    if turned == "mirrored":
        wanted = wanted[:, ::-1]
    (made,) = pixels_of(data)
    assert np.array_equal(made, wanted)
    assert read_size(data) == (made.shape[1], made.shape[0])


def test_all_frames_of_an_animation_are_cropped_as_their_track_says() -> None:
    plain = avif(image(), image(seed=1), duration=50)
    # What the primary item says is about another image.
    data = with_properties(with_track_properties(plain, CROP), clap(2, 2, 0, 0))
    wanted = [frame[TOP:BOTTOM, LEFT:RIGHT] for frame in pixels_of(plain)]
    made = pixels_of(data)
    assert len(made) == 2 and all(map(np.array_equal, made, wanted))
    assert read_size(data) == (80, 56)


def test_fractions_may_make_whole_pixels() -> None:
    plain = avif(image())
    # 81 of 96 columns, from 7.5 + 9 / 2 on.
    (whole,), (made,) = pixels_of(plain), pixels_of(with_properties(plain, clap(162, 112, 9, 4, 2)))
    assert np.array_equal(made, whole[TOP:BOTTOM, LEFT : LEFT + 81])


INVALID = {
    "outside": (clap(80, 56, 9, 2),),
    "larger": (clap(98, 64, 0, 0),),
    "empty": (clap(0, 56, 0, 0),),
    "half a pixel": (clap(81, 56, 4, 2),),
    "divided by nothing": (clap(80, 56, 4, 2, 0),),
    "after the rotation": (irot(1), clap(56, 80, 0, 0)),
}


@pytest.mark.parametrize("name", list(INVALID))
def test_invalid_crops_are_ignored_with_a_note(name: str) -> None:
    picture = read_picture(data := with_properties(avif(image()), *INVALID[name]))
    size = (HEIGHT, WIDTH) if name == "after the rotation" else (WIDTH, HEIGHT)
    assert (picture.width, picture.height) == read_size(data) == size
    assert picture.notes == [Note("crop-ignored")]


def test_a_crop_of_no_item_crops_nothing() -> None:
    plain = avif(image(alpha=True))
    data = with_unused_property(plain, CROP)
    assert np.array_equal(pixels_of(data), pixels_of(plain))
    assert read_size(data) == (WIDTH, HEIGHT)
