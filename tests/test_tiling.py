"""Tile geometry, and what tiles must not change: the image."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers.images import noise
from helpers.networks import SMALL, small_model
from hypothesis import given
from hypothesis import strategies as st

from sr_cli.engine import upscaler as engine
from sr_cli.engine.device import cpu_precisions
from sr_cli.engine.tiling import Axis, continued_axis, plan_spans, plan_tiles, split_tile
from sr_cli.engine.tiling_probe import measure_tile_needs
from sr_cli.engine.upscaler import Upscaler
from sr_cli.errors import SrError
from sr_cli.networks import create_model, model_class, model_names
from sr_cli.networks.base import InferenceNet, SRModel
from sr_cli.registry.loaded import LoadedModel, Traits
from sr_cli.registry.ref import parse_model


@st.composite
def axes(draw: st.DrawFn) -> Axis:
    """Images with any continuation beyond their edges, on any grid."""
    return continued_axis(
        draw(st.integers(1, 300)),
        margin=draw(st.integers(0, 20)),
        grid=draw(st.sampled_from([1, 2, 7, 8, 16])),
        smallest=draw(st.sampled_from([1, 16])),
        wrap=draw(st.booleans()),
    )


@given(axes(), axes(), st.integers(1, 128), st.integers(0, 40))
def test_cores_cover_once_and_reads_are_equal(
    rows: Axis, columns: Axis, tile: int, halo: int
) -> None:
    count = np.zeros((rows.length, columns.length), int)
    heights = set()
    for t in plan_tiles(rows, columns, tile=tile, halo=halo):
        count[t.rows.start : t.rows.stop, t.columns.start : t.columns.stop] += 1
        for span, axis in ((t.rows, rows), (t.columns, columns)):
            assert span.start < span.stop
            assert axis.first <= span.first <= max(axis.first, span.start - halo)
            assert min(axis.last, span.stop + halo) <= span.last <= axis.last
            assert (span.first - axis.first) % axis.grid == 0
            assert (span.last - span.first) % axis.grid == 0
        heights.add(t.rows.last - t.rows.first)
    assert (count == 1).all()
    assert len(heights) == 1


@given(st.integers(1, 400), st.integers(0, 20), st.integers(1, 128), st.integers(0, 40))
def test_there_are_no_more_tiles_than_the_reads_need(
    length: int, margin: int, tile: int, halo: int
) -> None:
    axis = continued_axis(length, margin=margin)
    spans = plan_spans(axis, tile=tile, halo=halo)
    most = (len(spans) - 1) * tile + 2 * halo
    whole = axis.last - axis.first
    assert len(spans) == 1 or whole > most
    assert all(s.last - s.first <= tile + 2 * halo for s in spans) or len(spans) == 1


@given(axes())
def test_an_axis_is_continued_on_its_grid(axis: Axis) -> None:
    assert (axis.last - axis.first) % axis.grid == 0
    # Mirrored where one pass has it; repeated where the middle one of three has it.
    assert (axis.before - axis.length if axis.wrap else axis.before) % axis.grid == 0


@given(st.integers(2, 200), st.integers(2, 200), st.integers(0, 20))
def test_a_split_tile_covers_the_same_core(h: int, w: int, halo: int) -> None:
    (whole,) = plan_tiles(Axis(h), Axis(w), tile=max(h, w), halo=halo)
    parts = split_tile(whole, Axis(h), Axis(w), halo=halo)
    count = np.zeros((h, w), int)
    for t in parts:
        count[t.rows.start : t.rows.stop, t.columns.start : t.columns.stop] += 1
        # Halves, to a pixel: less memory than what did not fit.
        assert 0 < t.rows.stop - t.rows.start <= (h + 1) // 2
        assert 0 < t.columns.stop - t.columns.start <= (w + 1) // 2
    assert (count == 1).all()
    assert len(parts) == 4


@pytest.mark.parametrize("bad", [(0, 5, 4, 1), (5, 5, 0, 1), (5, 5, 4, -1)])
def test_nonsense_is_refused(bad: tuple[int, int, int, int]) -> None:
    h, w, tile, halo = bad
    with pytest.raises(ValueError, match="no tiles"):
        plan_tiles(Axis(h), Axis(w), tile=tile, halo=halo)


def floats(upscaler: Upscaler, lr: np.ndarray) -> np.ndarray:
    """The result before rounding, through the engine's own tiles: 16 bits show 1e-4 easily."""
    return upscaler(lr.astype(np.uint16) * 257).astype(np.float64) / 65535


@pytest.mark.parametrize("name", [n for n in model_names() if n != "rcan"])
def test_tile_size_does_not_change_the_image(name: str) -> None:
    model = small_model(name, model_class(name).scales[-1])
    lr = noise(45, 38)
    whole = floats(Upscaler(model, precision="fp32", tile=64), lr)
    for tile in (9, 20):
        assert np.abs(floats(Upscaler(model, precision="fp32", tile=tile), lr) - whole).max() < 1e-4


def test_tile_size_does_not_change_a_resampled_image() -> None:
    upscaler = Upscaler(create_model("bicubic", scale=4), precision="fp32", tile=64)
    narrow = Upscaler(create_model("bicubic", scale=4), precision="fp32", tile=9)
    lr = noise(41, 30)
    for size in [(103, 76), (164, 119), (50, 40), (42, 31)]:
        assert np.abs(upscaler(lr, size=size).astype(int) - narrow(lr, size=size)).max() <= 1


def test_pooling_networks_differ_little_between_tiles() -> None:
    model = small_model("rcan", 2)
    lr = noise(80, 80)
    whole = floats(Upscaler(model, precision="fp32", tile=80), lr)
    tiled = floats(Upscaler(model, precision="fp32", tile=40), lr)
    assert np.abs(whole - tiled).max() < 0.02


def test_gray_deep_and_tta_shapes() -> None:
    for name in ("espcn", "edsr"):
        model = create_model(name, scale=2, **SMALL.get(name, {}))
        gray = np.random.default_rng(0).integers(0, 65536, (9, 7), dtype=np.uint16)
        sr = Upscaler(model, tta=True)(gray)
        assert sr.shape == (18, 14)
        assert sr.dtype == np.uint16


def test_ensemble_is_the_mean_before_rounding() -> None:
    a, b = small_model("edsr", 2), small_model("espcn", 2)
    lr = noise(20, 20)
    one, two = (floats(Upscaler(m, precision="fp32"), lr) for m in (a, b))
    both = floats(Upscaler([a, b], precision="fp32"), lr)
    inside = (one > 0) & (one < 1) & (two > 0) & (two < 1)
    assert np.abs(both - (one + two) / 2)[inside].max() < 1e-4


def test_tta_of_a_symmetric_network_changes_nothing() -> None:
    lr = noise(13, 21)
    model = create_model("bicubic", scale=3)
    plain, tta = (
        Upscaler(model, precision="fp32")(lr),
        Upscaler(model, precision="fp32", tta=True)(lr),
    )
    assert np.abs(plain.astype(int) - tta).max() <= 1


@pytest.mark.parametrize("precision", cpu_precisions())
def test_a_tile_that_is_not_finite_is_done_again_in_fp32(
    monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    model = small_model("edsr", 2)
    lr = noise(30, 30)
    wanted = Upscaler(model, precision="fp32")(lr)
    upscaler = Upscaler(model, precision=precision, tile=15)
    broken = upscaler._nets[0].subpixels

    def nan_in_one_tile(x: torch.Tensor) -> torch.Tensor:
        y = broken(x)
        y[..., 12, 12] = float("nan")
        return y

    monkeypatch.setattr(upscaler._nets[0], "subpixels", nan_in_one_tile)
    assert np.array_equal(upscaler(lr), Upscaler(model, precision="fp32", tile=15)(lr))
    assert np.abs(upscaler(lr).astype(int) - wanted).max() <= 1


def test_a_network_that_is_never_finite_is_an_error_not_a_black_image() -> None:
    model = small_model("espcn", 2)
    with torch.no_grad():
        next(model.parameters()).fill_(float("nan"))
    with pytest.raises(SrError) as caught:
        Upscaler(model)(np.zeros((8, 8, 3), np.uint8))
    assert caught.value.code == "not-finite" and caught.value.facts == {"network": "espcn"}


def test_out_of_memory_halves_the_tile_and_continues(monkeypatch: pytest.MonkeyPatch) -> None:
    model = create_model("bicubic", scale=2)
    lr = noise(100, 90)
    wanted = Upscaler(model)(lr)
    upscaler = Upscaler(model, tile=128)
    real = InferenceNet.__call__

    def small_memory(net: InferenceNet, x: torch.Tensor) -> torch.Tensor:
        if x.shape[-1] * x.shape[-2] > 40 * 40:
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")
        return real(net, x)

    monkeypatch.setattr(type(upscaler._nets[0]), "__call__", small_memory)
    assert np.array_equal(upscaler(lr), wanted)
    assert upscaler.tile < 40
    monkeypatch.setattr(engine, "_SMALLEST_TILE", 64)
    with pytest.raises(SrError) as caught:
        Upscaler(model, tile=64)(lr)
    assert caught.value.code == "out-of-memory"


def test_a_tile_counts_what_its_widest_layer_holds() -> None:
    """In ESPCN the second, from 64 to 32 channels: fused with its activation it counts too."""
    upscaler = Upscaler(small_model("espcn", 2), precision="fp32")
    assert upscaler._bytes_per_pixel() >= 1.5 * 4 * (64 + 32) + 3 * 4 * 2**2 * 3


WHITE, BLACK, RED = (255, 255, 255), (0, 0, 0), (200, 30, 60)


@pytest.mark.parametrize("colour", [WHITE, BLACK, RED])
@pytest.mark.parametrize("model", ["espcn", "fsrcnn", "vdsr", "edsr", "rcan", "srgan", "photo"])
def test_flat_colours_are_flat_to_the_last_pixel(model: str, colour: tuple[int, int, int]) -> None:
    """Networks pad with zeros, which was a frame of up to 26 levels around a white page."""
    lr = np.broadcast_to(np.array(colour, np.uint8), (9, 13, 3)).copy()
    sr = Upscaler(parse_model(model).load(4), precision="fp32")(lr)
    assert np.abs(sr.astype(int) - np.array(colour)).max() <= 1


@pytest.mark.parametrize("tile", [9, 64])
@pytest.mark.parametrize("name", ["bicubic", "espcn", "edsr", "srresnet"])
@pytest.mark.parametrize("size", [None, (33, 45)])
def test_an_image_that_wraps_is_the_middle_of_its_repetition(
    name: str, tile: int, size: tuple[int, int] | None
) -> None:
    model = small_model(name, 4)
    lr = noise(11, 15)
    wrapped = Upscaler(model, precision="fp32", tile=tile, wrap="both")(lr, size=size)
    h, w = wrapped.shape[:2]
    repeated = Upscaler(model, precision="fp32", tile=64)(
        np.tile(lr, (3, 3, 1)), size=(3 * h, 3 * w)
    )
    middle = repeated[h : 2 * h, w : 2 * w]
    assert np.abs(wrapped.astype(int) - middle).max() <= 1


def test_an_image_may_wrap_in_one_direction() -> None:
    lr = noise(12, 10)
    model = small_model("edsr", 2)
    across = Upscaler(model, precision="fp32", wrap="x")(lr)
    repeated = Upscaler(model, precision="fp32")(np.tile(lr, (1, 3, 1)))
    assert np.abs(across.astype(int) - repeated[:, 20:40]).max() <= 1


class _Windows(SRModel):
    """Averages within windows of 8 pixels, so that what it makes depends on where they lie."""

    name, channels, scales = "windows", 3, (1,)

    def __init__(self) -> None:
        super().__init__(1, {})
        self.layer = torch.nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, lr: torch.Tensor) -> torch.Tensor:
        means = torch.nn.functional.avg_pool2d(lr, 8)
        return self.layer(lr + means.repeat_interleave(8, 2).repeat_interleave(8, 3))


@pytest.mark.parametrize("size", [(40, 56), (37, 51), (12, 70)])
@pytest.mark.parametrize("wrap", ["none", "both"])
def test_tiles_lie_on_the_grid_of_the_network(size: tuple[int, int], wrap: str) -> None:
    torch.manual_seed(0)
    traits = Traits("windows", halo=10, margin=3, size_multiple=8, grid=8)
    model = LoadedModel(_Windows().eval(), traits)
    lr = noise(*size)
    whole = floats(Upscaler(model, precision="fp32", tile=0, wrap=wrap), lr)
    for tile in (9, 16, 30):
        made = floats(Upscaler(model, precision="fp32", tile=tile, wrap=wrap), lr)
        assert np.abs(made - whole).max() < 1e-4
    if wrap == "both":
        three = floats(Upscaler(model, precision="fp32", tile=0), np.tile(lr, (3, 3, 1)))
        h, w = size
        assert np.abs(whole - three[h : 2 * h, w : 2 * w]).max() < 1e-4


def test_tile_0_takes_the_whole_image_or_says_what_it_would_take(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    upscaler = Upscaler(small_model("edsr", 2), tile=0)
    calls: list[tuple[int, int]] = []
    upscaler(noise(70, 600), lambda done, total: calls.append((done, total)))
    assert calls == [(1, 1)]
    monkeypatch.setattr(engine, "free_memory", lambda _: 1 << 20)
    with pytest.raises(SrError) as caught:
        upscaler(noise(70, 600))
    assert caught.value.code == "whole-image-too-large"
    assert caught.value.facts["needed_mib"] > caught.value.facts["free_mib"] == 1


@pytest.mark.parametrize(
    ("levels", "margin"),
    [
        pytest.param((80, 40, 20, 4, 4, 4), 3, id="a sixteenth of the edge's"),
        pytest.param((4, 2, 1.5, 0.9, 0.9), 3, id="a level"),
        pytest.param((0.9, 0.9), 0, id="less than a level"),
        pytest.param((80,) * 30, 16, id="at most 16"),
    ],
)
def test_images_are_continued_until_flat_colours_are_flat_enough(
    levels: tuple[float, ...], margin: int
) -> None:
    off_by = torch.zeros(200)
    off_by[: len(levels)] = torch.tensor(levels) / 255

    def network(lr: torch.Tensor) -> torch.Tensor:
        near = [torch.minimum(n, n.flip(0)) for n in map(torch.arange, lr.shape[2:])]
        return lr - off_by[torch.minimum(near[0][:, None], near[1])]

    assert measure_tile_needs(network, channels=3, scale=1).margin == margin
