"""Scales and output names, for any input."""

from __future__ import annotations

import shutil
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from sr_cli.cli.upscale_options import parse_scale
from sr_cli.engine.size import Size, best_scale, passes_for
from sr_cli.errors import RefusedError
from sr_cli.upscale.inputs import STDIO, InputFile, Search, find_inputs
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


def test_the_largest_factor_is_16() -> None:
    assert parse_scale("16") == parse_scale(" X16. ") == 16 and parse_scale("1.01") == 1.01
    for text in ("2x", "x2", "2X", "X2", "×2", "2×", " 2x ", "2."):
        assert parse_scale(text) == 2
    for text in ("16.01", "1", "1.0", "x2x", "2xx", "x", "×", "2 x 2", "٢"):
        with pytest.raises(RefusedError):
            parse_scale(text)


@pytest.mark.parametrize(
    ("factor", "scales", "scale", "passes"),
    [(2, [2, 3, 4], 2, 1), (3, [2, 3, 4], 3, 1), (4, [2], 2, 2), (16, [4], 4, 2), (9, [3], 3, 2),
     (2.5, [2, 4], 4, 1), (3 + 1e-12, [3], 3, 1), (16, [2, 3, 4], 4, 2)],
)  # fmt: skip
def test_a_factor_that_a_scale_reaches_exactly(
    factor: float, scales: list[int], scale: int, passes: int
) -> None:
    assert best_scale(factor, scales) == scale and passes_for(factor, scale) == passes


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


def found_behind(*names: str, **options: Any) -> tuple[list[str], list[str], list[str]]:
    """Inputs, results of earlier runs, and the codes of problems."""
    wanted = {"recursive": False, "output": None, "label": "_x4", "size": Size(4.0), **options}
    inputs = find_inputs(names, Search(**wanted))
    return (
        [str(f.path) for f in inputs.files],
        [str(p) for p in inputs.earlier_results],
        [error.code for _, error in inputs.problems],
    )


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with images, results of them, and other things; the present one."""
    monkeypatch.chdir(tmp_path)
    for name in ("a.png", "a_x4.png", "a_x2_compare.png", "b.JPG", "c_x4.png", "in/d.webp",
                 "in/more/e.tif", "notes.txt", "f.png/g.png", ".h.png"):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    for name, size in {"a": (4, 3), "a_x4": (16, 12), "a_x2_compare": (16, 34)}.items():
        Image.new("RGB", size).save(tmp_path / f"{name}.png")
    (tmp_path / "empty").mkdir()
    return tmp_path


@pytest.mark.usefixtures("folder")
def test_what_inputs_stand_for() -> None:
    results = ["a_x2_compare.png", "a_x4.png"]
    assert found_behind(".") == (["a.png", "b.JPG", "c_x4.png"], results, [])
    below = ["a.png", "b.JPG", "c_x4.png", "f.png/g.png", "in/d.webp", "in/more/e.tif"]
    assert found_behind(".", recursive=True) == (below, results, [])
    elsewhere = sorted([*below[:-2], *results])
    assert sorted(found_behind(".", recursive=True, output=Path("in"))[0]) == elsewhere
    assert found_behind("in", output=Path("in"))[0] == ["in/d.webp"]
    assert found_behind("*.png")[:2] == (["a.png", "c_x4.png"], results)
    assert found_behind("**/*.tif") == (["in/more/e.tif"], [], [])
    assert found_behind("*")[0] == ["a.png", "b.JPG", "c_x4.png"]
    assert found_behind("a.png", "./a.png", "a.png") == (["a.png"], [], [])
    assert found_behind("-", "a_x4.png", "a.png") == (["-", "a.png"], ["a_x4.png"], [])
    # The folder's image was not named: its result is meant as an input.
    assert found_behind("in", "a_x4.png") == (["in/d.webp", "a_x4.png"], [], [])
    assert found_behind("a_big.png", label="_big")[2] == ["path-not-found"]
    problems = found_behind("none.png", "*.gif", "empty", "a.png")
    assert problems == (["a.png"], [], ["path-not-found", "no-images-match", "no-images-in-folder"])


def test_results_with_a_label_of_ones_own(folder: Path) -> None:
    shutil.copy(folder / "a_x4.png", folder / "a_big.png")
    assert found_behind(".", label="_big")[0] == ["a.png", "b.JPG", "c_x4.png"]
    assert "a_big.png" in found_behind(".")[0]
    assert found_behind("a.png", "a_big.png", label="_big")[1] == ["a_big.png"]


def test_a_file_named_like_a_stream_is_a_file(folder: Path) -> None:
    (folder / "-").touch()
    assert found_behind("./-")[0] == [str(folder / "-")]
    (folder / "[x].png").touch()
    assert found_behind("[x].png")[0] == ["[x].png"]


def test_a_result_beside_an_input_whose_name_says_nothing(folder: Path) -> None:
    """The content decides the format; PNG where that says nothing either."""
    (folder / "photo").write_bytes(b"\xff\xd8\xff\xe0" + bytes(40))
    (folder / "odd").write_bytes(b"?")
    found = [InputFile(Path(n), Path(), True) for n in ("photo", "odd", "missing")]
    jobs = plan_jobs(found, Naming(None, "_x4"), several=True)
    assert [str(j.target) for j in jobs] == ["photo_x4.jpg", "odd_x4.png", "missing_x4.png"]


@pytest.mark.parametrize(
    ("output", "several", "target"),
    [
        (None, False, "a_x4.png"),
        ("out", True, "out/a.png"),
        ("out/", False, "out/a.png"),
        ("in", False, "in/a.png"),
        ("b.webp", False, "b.webp"),
        ("-", False, "-"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_where_a_result_goes(output: str | None, several: bool, target: str) -> None:
    (job,) = plan_jobs([InputFile(Path("a.png"), Path(), True)], Naming(output, "_x4"),
                       several=several)  # fmt: skip
    assert str(job.target) == target


def test_folders_keep_their_structure_and_stdin_has_a_name() -> None:
    found = [
        InputFile(Path("in/x/a.png"), Path("in"), False),
        InputFile(Path("in/y/b.png"), Path("in/y"), True),
        InputFile(STDIO, STDIO, True),
    ]
    jobs = plan_jobs(found, Naming("out/", "_x4", "_big", "webp"), several=True)
    assert [str(j.target) for j in jobs] == [
        "out/x/a_big.webp", "out/b_big.webp", "out/stdin_big.webp"
    ]  # fmt: skip
    (alone,) = plan_jobs([found[2]], Naming(None, "_x4"), several=False)
    assert (alone.source, alone.target, alone.format) == (STDIO, STDIO, None)


def test_heic_becomes_jpeg_and_suffixes_keep_their_case() -> None:
    found = [InputFile(Path("a.HEIC"), Path(), True), InputFile(Path("b.JPG"), Path(), True)]
    jobs = plan_jobs(found, Naming(None, "_x4"), several=True)
    assert [str(j.target) for j in jobs] == ["a_x4.jpg", "b_x4.JPG"]
