"""From pixels to a size: passes, chains, frames, alpha, and how large a result may be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.images import smooth
from helpers.networks import compact

from sr_cli.engine import device
from sr_cli.engine import frames as engine_frames
from sr_cli.engine.frames import bleed_colour, check_result_size, upscale_picture
from sr_cli.engine.options import EngineOptions
from sr_cli.engine.pipeline import (
    BicubicPipeline,
    ChainPipeline,
    NetworkPipeline,
    build_pipeline,
    network_scale,
)
from sr_cli.engine.size import Size, best_scale, passes_for
from sr_cli.errors import RefusedError, SrError
from sr_cli.imaging.picture import Frame, Metadata, Picture
from sr_cli.imaging.resize import resize_bicubic
from sr_cli.registry.ref import BicubicRef, parse_model


@dataclass
class Repeat:
    """Stands for a network: each pixel becomes a square of `scale`, plus `more`."""

    scale: int
    more: int = 0
    once: bool = False
    sizes: list[tuple[int, int] | None] = field(default_factory=list)
    exact: list[bool] = field(default_factory=list)

    def __call__(
        self,
        lr: np.ndarray,
        on_tile: Callable[[int, int], None] | None = None,
        *,
        size: tuple[int, int] | None = None,
        exact: bool = False,
    ) -> np.ndarray:
        self.exact.append(exact)
        self.sizes.append(size)
        if on_tile is not None:
            on_tile(1, 2)
            on_tile(2, 2)
        sr = lr.repeat(self.scale, 0).repeat(self.scale, 1) + lr.dtype.type(self.more)
        return sr if size is None else sr[: size[0], : size[1]]


class Restoring(NetworkPipeline):
    restores = True


def network(scale: int, more: int = 0) -> NetworkPipeline:
    return NetworkPipeline(Repeat(scale, more))  # type: ignore[arg-type]


def gray(height: int, width: int, value: int = 50) -> np.ndarray:
    return np.full((height, width), value, np.uint8)


@pytest.mark.parametrize(
    ("factor", "scale", "passes"),
    [(1.5, 2, 1), (2, 2, 1), (2.0000000001, 2, 1), (2.01, 2, 2), (4, 2, 2), (9, 3, 2), (9.1, 3, 3),
     (0.5, 4, 1)],
)  # fmt: skip
def test_as_many_passes_as_the_factor_needs(factor: float, scale: int, passes: int) -> None:
    assert passes_for(factor, scale) == passes


@pytest.mark.parametrize(
    ("factor", "scale"), [(1.5, 2), (2, 2), (2.0000000001, 2), (2.5, 3), (3.5, 4), (4, 4), (16, 4)]
)
def test_the_smallest_scale_that_reaches_the_factor(factor: float, scale: int) -> None:
    assert best_scale(factor, [2, 3, 4]) == scale


@pytest.mark.parametrize(
    ("size", "wanted"),
    [
        (Size(2.5), (250, 125)),
        (Size(0.001), (1, 1)),
        (Size(width=300), (300, 150)),
        (Size(height=200), (400, 200)),
        (Size(width=300, height=100), (200, 100)),
        (Size(4, max_side=200), (200, 100)),
        (Size(1.5, max_side=200), (150, 75)),
        (Size(width=90, max_side=200), (90, 45)),
    ],
)
def test_sizes_of_results(size: Size, wanted: tuple[int, int]) -> None:
    assert size.of(100, 50) == wanted
    # Upright images are bounded by their height.
    if size.width is None and size.height is None:
        assert size.of(50, 100) == wanted[::-1]


def test_a_network_is_applied_until_the_size_is_reached() -> None:
    pipeline = network(2)
    shares: list[float] = []
    sr = pipeline.run(gray(4, 5), (14, 20), shares.append)
    # 14 / 4 needs two passes; the last one brings the result to the size.
    assert sr.shape == (14, 20) and pipeline.upscaler.sizes == [None, (14, 20)]  # type: ignore[attr-defined]
    # The second pass sees four times the pixels.
    assert shares == pytest.approx([0.1, 0.2, 0.6, 1.0])
    once = network(4)
    once.run(gray(4, 5), (16, 10))
    assert once.upscaler.sizes == [(16, 10)]  # type: ignore[attr-defined]
    wide = network(2)
    wide.run(gray(4, 5), (8, 20))
    assert len(wide.upscaler.sizes) == 2  # type: ignore[attr-defined]
    assert not pipeline.restores and pipeline.upscalers == [pipeline.upscaler]


def test_some_networks_are_applied_once_whatever_the_factor_is() -> None:
    repeat = Repeat(2, 7, once=True)
    pipeline = NetworkPipeline(repeat)  # type: ignore[arg-type]
    lr = smooth(6, 5)
    made = pipeline.run(lr, (24, 20))
    drawn = lr.repeat(2, 0).repeat(2, 1) + np.uint8(7)
    assert repeat.sizes == [None]
    assert np.array_equal(made, resize_bicubic(drawn, 24, 20))
    assert np.array_equal(pipeline.run(lr, (12, 10)), drawn) and repeat.sizes[1:] == [(12, 10)]


def test_a_chain_restores_then_upscales() -> None:
    chain = ChainPipeline([Repeat(1, 3), Repeat(1, 4)], network(2, 5))  # type: ignore[list-item]
    shares: list[float] = []
    sr = chain.run(gray(4, 4), (8, 8), shares.append)
    assert (sr == 62).all() and sr.shape == (8, 8) and chain.restores
    assert shares[:2] == pytest.approx([1 / 3, 2 / 3]) and shares[-1] == 1
    assert [u.more for u in chain.upscalers] == [3, 4, 5]  # type: ignore[attr-defined]
    # Where the size stays, nothing upscales.
    assert (chain.run(gray(4, 4), (4, 4)) == 57).all()


@pytest.mark.parametrize("size", [(9, 31), (31, 9), (20, 12), (7, 7), (600, 24)])
def test_bicubic_is_imresize_at_any_size(size: tuple[int, int]) -> None:
    for lr in (smooth(20, 12), smooth(20, 12, top=65535)[..., 0]):
        sr = BicubicPipeline().run(lr, size)
        assert sr.dtype == lr.dtype and (sr == resize_bicubic(lr, *size)).all()
    assert BicubicPipeline().upscalers == [] and not BicubicPipeline.restores


def test_pipelines_are_built_for_what_models_are(tmp_path: Path) -> None:
    torch.save(compact(1), tmp_path / "same.pth")
    torch.save(compact(2), tmp_path / "twice.pth")
    same, twice = str(tmp_path / "same.pth"), str(tmp_path / "twice.pth")
    options = EngineOptions(device="cpu", precision="fp32", tile=32, tta=True)

    def build(*names: str, factor: float = 2) -> Any:
        return build_pipeline([parse_model(n) for n in names], factor, options)

    assert isinstance(build("bicubic"), BicubicPipeline)
    one = build(twice)
    assert isinstance(one, NetworkPipeline)
    assert (one.upscaler.scale, one.upscaler.tile, one.upscaler.tta) == (2, 32, True)
    assert one.upscaler.dtype == torch.float32
    assert len(build(twice, "espcn-x2", "bicubic").upscaler.models) == 3
    assert build("espcn", factor=3).upscaler.scale == 3
    # A network that keeps the size is a chain of its own, with bicubic after it.
    alone = build(same)
    assert isinstance(alone, ChainPipeline) and isinstance(alone.last, BicubicPipeline)
    assert [u.scale for u in alone.first] == [1]
    chain = build(f"{same}+{same}+{twice}")
    assert [u.scale for u in chain.upscalers] == [1, 1, 2]
    ends = build(f"{same}+bicubic")
    assert len(ends.first) == 1 and isinstance(ends.last, BicubicPipeline)
    for names, code in (
        ((f"{twice}+espcn-x2",), "chain-order"),
        ((f"bicubic+{twice}",), "chain-order"),
        ((same, twice), "chain-in-average"),
        ((f"{same}+{twice}", twice), "chain-in-average"),
        ((twice, "espcn-x3"), "no-common-scale"),
    ):
        with pytest.raises(RefusedError) as caught:
            build(*names)
        assert caught.value.code == code, names
    with pytest.raises(RefusedError) as caught:
        build_pipeline([BicubicRef()], 2, EngineOptions(device="cuda:99"))
    assert caught.value.code == "device-not-available"
    assert network_scale([parse_model("espcn"), BicubicRef()], 2.5) == 3
    assert network_scale([BicubicRef()], 2) is None
    assert network_scale([parse_model("espcn-x2"), parse_model("espcn-x3")], 2) is None


def test_threads_are_set_before_a_network_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int | None] = []
    monkeypatch.setattr(device, "prepare_cpu", asked.append)
    build_pipeline([BicubicRef()], 2, EngineOptions(threads=3))
    build_pipeline([parse_model("espcn-x2")], 2, EngineOptions(threads=3, precision="fp32"))
    assert asked == [3]


def picture(*frames: Frame) -> Picture:
    return Picture(list(frames), "PNG", Metadata(icc=b"profile"), True, 3, [])


def test_every_frame_is_upscaled_and_the_rest_stays() -> None:
    shares: list[float] = []
    source = picture(Frame(gray(4, 6), None, 40.0), Frame(gray(4, 6, 90), None, 60.0))
    made = upscale_picture(source, network(2, 1), Size(2), shares.append)
    assert [f.pixels.shape for f in made.frames] == [(8, 12)] * 2
    assert [int(f.pixels[0, 0]) for f in made.frames] == [51, 91]
    assert [f.duration for f in made.frames] == [40.0, 60.0]
    assert made.metadata == source.metadata
    assert (made.format, made.animation, made.loop) == ("PNG", True, 3)
    assert shares == pytest.approx([0.25, 0.5, 0.75, 1.0])
    assert upscale_picture(source, network(2), Size(2)).frames[0].alpha is None


def test_a_result_that_is_no_larger_is_made_by_bicubic_alone() -> None:
    frame = Frame(smooth(20, 30)[..., 0])
    for size, by_network in ((Size(1), False), (Size(0.5), False), (Size(1.1), True)):
        pipeline = network(2, 1)
        upscale_picture(picture(frame), pipeline, size)
        assert bool(pipeline.upscaler.sizes) == by_network  # type: ignore[attr-defined]
    restoring = Restoring(Repeat(2, 1))  # type: ignore[arg-type]
    upscale_picture(picture(frame), restoring, Size(1))
    assert restoring.upscaler.sizes  # type: ignore[attr-defined]


def test_alpha_is_upscaled_beside_the_colour() -> None:
    alpha = gray(12, 12, 255)
    alpha[:, :6] = 0
    pixels = smooth(12, 12)
    shares: list[float] = []
    repeat = Repeat(2, 1)
    pipeline = NetworkPipeline(repeat)  # type: ignore[arg-type]
    made = upscale_picture(picture(Frame(pixels, alpha)), pipeline, Size(2), shares.append)
    assert repeat.exact == [False, True], "alpha is computed in fp32"
    (frame,) = made.frames
    # Flat parts stay exact whatever the network does; those around the edge are its own.
    assert frame.alpha is not None and frame.alpha.shape == (24, 24)
    assert set(np.unique(frame.alpha[:, :8])) == {0} and set(np.unique(frame.alpha[:, 16:])) == {
        255
    }
    assert set(np.unique(frame.alpha[:, 8:12])) == {1}
    # Colour is nine of twelve parts of the work.
    assert shares == pytest.approx([0.375, 0.75, 1.0])
    assert (frame.pixels[:, 12:] == (pixels.repeat(2, 0).repeat(2, 1) + 1)[:, 12:]).all()


def test_flat_alpha_needs_no_network() -> None:
    pipeline = network(2, 1)
    made = upscale_picture(picture(Frame(smooth(4, 4), gray(4, 4, 77))), pipeline, Size(2))
    assert made.frames[0].alpha is not None and (made.frames[0].alpha == 77).all()
    assert len(pipeline.upscaler.sizes) == 1  # type: ignore[attr-defined]


def test_alpha_that_becomes_smaller_is_resized_alone() -> None:
    alpha = gray(20, 20, 255)
    alpha[:, :10] = 0
    made = upscale_picture(picture(Frame(smooth(20, 20), alpha)), network(2), Size(0.5))
    assert made.frames[0].alpha is not None
    assert (made.frames[0].alpha == resize_bicubic(alpha, 10, 10)).all()


def test_bands_of_alpha_equal_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    alpha = (smooth(30, 20)[..., 0] > 100).astype(np.uint8) * 255
    frame = Frame(smooth(30, 20), alpha)
    whole = upscale_picture(picture(frame), BicubicPipeline(), Size(1.7)).frames[0].alpha
    monkeypatch.setattr(engine_frames, "_BAND", 7)
    banded = upscale_picture(picture(frame), BicubicPipeline(), Size(1.7)).frames[0].alpha
    assert whole is not None and banded is not None and (whole == banded).all()


@pytest.mark.parametrize("piece", [1 << 20, 7])
def test_invisible_pixels_take_the_nearest_visible_colour(
    monkeypatch: pytest.MonkeyPatch, piece: int
) -> None:
    monkeypatch.setattr(engine_frames, "_PIECE", piece)
    pixels = np.zeros((6, 8, 3), np.uint8)
    pixels[:, :2], pixels[:, 6:] = (200, 0, 0), (0, 0, 90)
    alpha = gray(6, 8, 255)
    alpha[:, 2:6] = 0
    bled = bleed_colour(pixels, alpha)
    assert (bled[:, :4] == (200, 0, 0)).all() and (bled[:, 4:] == (0, 0, 90)).all()
    assert (pixels[:, 2:6] == 0).all(), "the original stays as it is"
    assert bleed_colour(pixels, gray(6, 8, 255)) is pixels
    assert bleed_colour(pixels, gray(6, 8, 0)) is pixels
    assert bleed_colour(pixels[..., 0], alpha).shape == (6, 8)


def test_how_large_a_result_may_be() -> None:
    two = picture(Frame(gray(10, 20)), Frame(gray(30, 4)))
    assert check_result_size(two, Size(2), 800 + 480) == (40, 60)
    with pytest.raises(SrError) as caught:
        check_result_size(two, Size(2), 800 + 479)
    assert caught.value.code == "result-too-large"
    assert caught.value.facts == {
        "width": 40, "height": 60, "total": 1280, "max_pixels": 1279,
    }  # fmt: skip
    check_result_size(two, Size(16), 1 << 30)
    with pytest.raises(SrError) as caught:
        check_result_size(two, Size(width=65), 1 << 30)
    assert caught.value.code == "factor-too-large"
    assert caught.value.facts == {"factor": 65 / 4, "most": 16.0}
