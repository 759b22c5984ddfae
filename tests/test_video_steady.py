"""`--steady`: still scenes stay still, what moves is computed, a cut does not bleed."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.clips import Made, frames_of, plane_of
from helpers.command import Run
from helpers.images import smooth
from numpy.typing import NDArray

from sr_cli.video.steady import BLOCK, SteadyFrames, changed_blocks

SIDE = 96


def noisy(image: NDArray[Any], sigma: float, seed: int) -> NDArray[np.uint8]:
    noise = np.random.default_rng(seed).normal(0, sigma, image.shape)
    return np.clip(np.rint(image + noise), 0, 255).astype(np.uint8)


def scene(seed: int = 0) -> NDArray[Any]:
    return 40 + smooth(SIDE, SIDE, seed=seed)[..., 0].astype(float) * 0.6


def written(path: Path, luma: list[NDArray[Any]]) -> Path:
    made = Made(
        "ffv1",
        "yuv420p",
        SIDE,
        SIDE,
        [40 * n for n in range(len(luma))],
        tags={"colorspace": 1, "color_range": 1},
    )
    made.time_base = Fraction(1, 1000)
    return made.write(path, [(plane, 128, 128) for plane in luma])


def upscaled(sr: Run, source: Path, name: str, *arguments: str) -> NDArray[Any]:
    """Luma of all frames of the result, (n, h, w)."""
    done = sr("upscale", source, "-x2", "--lossless", "-o", name, *arguments)
    assert done.returncode == 0, done.stderr
    return np.stack([plane_of(f, 0).astype(float) for f in frames_of(source.with_name(name))])


@pytest.mark.parametrize("model", ["fsrcnn", "edsr"])
@pytest.mark.parametrize("sigma", [1.0, 3.0])
def test_a_still_scene_with_noise_stays_still(
    model: str, sigma: float, sr: Run, tmp_path: Path
) -> None:
    source = written(tmp_path / "a.mkv", [noisy(scene(), sigma, n) for n in range(6)])
    frame_wise = upscaled(sr, source, "b.mkv", "-m", model).var(axis=0).mean()
    bicubic = upscaled(sr, source, "c.mkv", "-m", "bicubic").var(axis=0).mean()
    steady = upscaled(sr, source, "d.mkv", "-m", model, "--steady").var(axis=0).mean()
    assert steady <= bicubic
    assert steady < 0.1 * frame_wise


def test_steady_by_default_with_photo_alone(sr: Run, tmp_path: Path) -> None:
    source = written(tmp_path / "a.mkv", [noisy(scene(), 2, n) for n in range(3)])
    photo = [
        upscaled(sr, source, f"{n}.mkv", "-m", "photo", *a)
        for n, a in enumerate(((), ("--steady",), ("--no-steady",)))
    ]
    assert (photo[0] == photo[1]).all()
    assert photo[0].var(axis=0).mean() < 0.1 * photo[2].var(axis=0).mean()
    fsrcnn = [
        upscaled(sr, source, f"f{n}.mkv", "-m", "fsrcnn", *a)
        for n, a in enumerate(((), ("--no-steady",)))
    ]
    assert (fsrcnn[0] == fsrcnn[1]).all()


@pytest.mark.parametrize("arguments", [("-f", "png"), ("--preview", "2")])
def test_single_frames_are_not_steady(arguments: tuple[str, ...], sr: Run, tmp_path: Path) -> None:
    written(tmp_path / "a.mkv", [scene()])
    done = sr("upscale", "a.mkv", "-m", "bicubic", "-x2", "--steady", *arguments)
    assert (done.returncode, done.error_codes) == (2, ["conflicting-options"])


def test_a_cut_does_not_bleed(sr: Run, tmp_path: Path) -> None:
    luma = [noisy(scene(seed), 2, 10 * seed + n) for seed in (1, 2) for n in range(3)]
    source = written(tmp_path / "a.mkv", luma)
    steady = upscaled(sr, source, "b.mkv", "-m", "fsrcnn", "--steady")
    frame_wise = upscaled(sr, source, "c.mkv", "-m", "fsrcnn")
    for first in (0, 3):
        assert (steady[first] == frame_wise[first]).all()


def test_what_moves_is_computed(sr: Run, tmp_path: Path) -> None:
    """A textured square crosses a still scene: it is as sharp as without `--steady`."""
    texture = np.random.default_rng(5).uniform(40, 220, (24, 24))
    luma = []
    for number in range(8):
        frame = scene()
        frame[30:54, 6 * number : 6 * number + 24] = texture
        luma.append(noisy(frame, 1, number))
    source = written(tmp_path / "a.mkv", luma)
    steady = upscaled(sr, source, "b.mkv", "-m", "fsrcnn", "--steady")
    frame_wise = upscaled(sr, source, "c.mkv", "-m", "fsrcnn")
    for number in range(8):
        square = slice(60, 108), slice(12 * number, 12 * number + 48)
        assert np.abs(steady[number][square] - frame_wise[number][square]).max() <= 1
        # What the square left behind is the scene again.
        assert np.abs(steady[number] - frame_wise[number]).mean() < 1.5


def test_slow_changes_are_followed() -> None:
    class Copy:
        at_full_resolution = True

        def prepare(self, planes: Any) -> Any:
            return planes

        finish = compute = prepare

    steady = SteadyFrames(Copy())
    for number in range(60):
        frame = np.full((48, 48), 60 + number // 2, np.uint8)
        (made,) = steady.compute((frame,))
        assert np.abs(made.astype(int) - frame).max() <= 1


def test_blocks() -> None:
    before = np.full((70, 50, 3), 100, np.uint8)
    assert changed_blocks(before, before).shape == (5, 4)
    assert not changed_blocks(before, before).any()
    now = before.copy()
    now[3, 3, 1] = 130
    changed = changed_blocks(before, now)
    assert changed[:2, :2].all() and changed.sum() == 4
    deep = before.astype(np.uint16) * 257
    assert (changed_blocks(deep, now.astype(np.uint16) * 257) == changed).all()
    assert BLOCK == 16
