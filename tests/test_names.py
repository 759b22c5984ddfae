"""Scales and output names, for any input."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sr_cli.cli.upscale import parse_scale
from sr_cli.engine.size import Size, best_scale, passes_for
from sr_cli.errors import RefusedError
from sr_cli.upscale.inputs import InputFile
from sr_cli.upscale.outputs import Naming, plan_jobs

NAMES = st.text("abcXYZ .-_é😀0123456789", min_size=1, max_size=12).filter(
    lambda s: s.strip(". ") == s and s not in ("-",)
)


@given(st.floats(1.001, 16))
def test_scales_parse_back(scale: float) -> None:
    assert parse_scale(f"{scale:.6f}") == pytest.approx(scale, abs=1e-6)
    assert parse_scale(f"x{scale:.6f}") == parse_scale(f"{scale:.6f}")


@given(st.text(max_size=8))
def test_a_scale_is_in_range_or_refused(text: str) -> None:
    try:
        assert 1 < parse_scale(text) <= 16
    except RefusedError as error:
        assert error.code == "out-of-range"


@given(st.floats(1.01, 16), st.sets(st.sampled_from([2, 3, 4]), min_size=1))
def test_the_passes_reach_the_factor(factor: float, scales: set[int]) -> None:
    scale = best_scale(factor, sorted(scales))
    passes = passes_for(factor, scale)
    assert scale**passes >= factor - 1e-6
    assert passes == 1 or scale ** (passes - 1) < factor
    if passes > 1:
        assert scale == max(scales)


@given(st.integers(1, 5000), st.integers(1, 5000), st.integers(1, 4000), st.integers(1, 4000))
def test_sizes_fit_inside_and_keep_the_ratio(w: int, h: int, width: int, height: int) -> None:
    out = Size(width=width, height=height).of(w, h)
    assert 1 <= out[0] <= width
    assert 1 <= out[1] <= height
    assert out[0] == width or out[1] == height
    capped = Size(factor=4, max_side=1000).of(w, h)
    assert max(capped) <= max(1000, 1)


@given(
    st.lists(
        st.tuples(NAMES, st.sampled_from([".png", ".JPG", ".webp", ".heic"])),
        min_size=1,
        max_size=8,
        unique=True,
    )
)
def test_no_two_images_share_an_output(parts: list[tuple[str, str]]) -> None:
    found = [InputFile(Path("in") / (n + s), Path("in"), False) for n, s in parts]
    for naming in (Naming(None, "_x4"), Naming("out/", "_x4"), Naming(None, "_x4", None, "png")):
        try:
            jobs = plan_jobs(found, naming, several=True)
        except RefusedError as error:
            assert error.code in ("outputs-collide", "output-is-an-input")
            continue
        targets = [j.target for j in jobs]
        assert len(set(targets)) == len(targets)
        assert not set(targets) & {f.path for f in found}
        for job in jobs:
            assert job.format is not None and job.format.writable
            assert PurePosixPath(job.target).suffix.lower() in job.format.suffixes


def test_heic_becomes_jpeg_and_suffixes_keep_their_case() -> None:
    found = [InputFile(Path("a.HEIC"), Path(), True), InputFile(Path("b.JPG"), Path(), True)]
    jobs = plan_jobs(found, Naming(None, "_x4"), several=True)
    assert [str(j.target) for j in jobs] == ["a_x4.jpg", "b_x4.JPG"]
