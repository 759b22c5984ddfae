"""The Python interface, and the shape of the house."""

from __future__ import annotations

import ast
import doctest
import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import PACKAGE, REPOSITORY
from helpers.images import pixels_of, save, size_of, smooth
from helpers.world import World
from PIL import Image, ImageFile

import sr_cli
from sr_cli import (
    EngineOptions,
    RefusedError,
    SrError,
    UpscaleOptions,
    read_provenance,
    upscale_files,
    upscale_image,
)
from sr_cli.registry.manifest import load_manifest
from sr_cli.upscale.request import (
    Downloaded,
    DownloadProgress,
    Event,
    PipelineReady,
    Planned,
    Progress,
    Replacing,
)

FLOORS = [
    "cli", "upscale", "video", "training", "export", "evaluation", "engine", "registry", "store",
    "networks", "layers", "imaging", "system",
]  # fmt: skip


def test_pillow_in_pillow_out() -> None:
    for mode in ("RGB", "L", "RGBA", "P", "1", "I;16"):
        image = Image.fromarray(smooth(10, 12))
        if mode == "I;16":
            image = Image.fromarray(smooth(10, 12, top=65535)[..., 0])
        image = image if mode == "I;16" else image.convert(mode)
        made = upscale_image(image, model="bicubic", scale=3)
        assert made.size == (36, 30)
        assert made.mode == {"P": "RGB", "1": "L"}.get(mode, mode)


def test_arrays_in_arrays_out() -> None:
    for pixels in (
        smooth(10, 12),
        smooth(10, 12)[..., 0],
        smooth(10, 12, top=65535),
        np.dstack([smooth(10, 12), np.full((10, 12), 255, np.uint8)]),
    ):
        made = upscale_image(pixels, model="espcn", scale=4)
        assert made.shape == (40, 48, *pixels.shape[2:])
        assert made.dtype == pixels.dtype
        assert abs(made.mean() - pixels.mean()) < 0.02 * np.iinfo(pixels.dtype).max


@pytest.mark.parametrize(
    "bad",
    [np.zeros((4, 4)), np.zeros((4, 4, 2), np.uint8), np.zeros((0, 4), np.uint8), "photo.jpg"],
)
def test_what_is_not_an_image_is_refused(bad: Any) -> None:
    with pytest.raises(RefusedError) as caught:
        upscale_image(bad, model="bicubic")
    assert caught.value.code == "not-an-image"


@pytest.mark.parametrize(
    ("arguments", "code", "subject"),
    [
        ({"scale": 1}, "out-of-range", "scale"),
        ({"scale": 16.5}, "out-of-range", "scale"),
        ({"scale": float("nan")}, "out-of-range", "scale"),
        ({"scale": "4"}, "wrong-type", "scale"),
        ({"scale": True}, "wrong-type", "scale"),
        ({"tile": 1.5}, "wrong-type", "tile"),
        ({"tile": True}, "wrong-type", "tile"),
        ({"tile": -1}, "out-of-range", "tile"),
        ({"device": "toaster"}, "unknown-value", "device"),
        ({"precision": "int3"}, "unknown-value", "precision"),
        ({"model": "nonsense"}, "unknown-model", "nonsense"),
        ({"model": "realesrgan-x4"}, "not-downloaded", "realesrgan-x4"),
    ],
)
def test_arguments_that_are_not_supported(
    arguments: dict[str, Any], code: str, subject: str
) -> None:
    with pytest.raises(RefusedError) as caught:
        upscale_image(smooth(4, 4), **{"model": "bicubic", **arguments})
    assert (caught.value.code, caught.value.subject) == (code, subject)


@pytest.mark.parametrize(
    "entry",
    # One for each file: VDSR's serves three scales.
    {e.file: e for e in reversed(load_manifest().embedded)}.values(),
    ids=lambda e: e.id,
)
def test_flat_colours_come_out_unchanged(entry: Any) -> None:
    colours = [(0, 0, 0), (255, 255, 255), (128, 128, 128), (255, 0, 0), (20, 90, 200)]
    for colour in colours:
        flat = np.full((36, 36, 3), colour, np.uint8)
        made = upscale_image(flat, model=entry.id, scale=entry.scale)
        inside = made[16 * entry.scale : -16 * entry.scale, 16 * entry.scale : -16 * entry.scale]
        assert np.abs(inside.astype(int) - colour).max() <= 1, colour


def test_a_pillow_image_keeps_its_profile() -> None:
    image = Image.fromarray(smooth(12, 12))
    image.info |= {"icc_profile": b"profile", "dpi": (300, 300)}
    made = upscale_image(image, model="bicubic", scale=np.float32(2), tile=np.int64(8))
    assert made.info["icc_profile"] == b"profile" and made.info["dpi"] == (300, 300)


def test_pillow_keeps_its_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50)
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    upscale_image(Image.new("L", (4, 4)), model="bicubic", scale=2)
    inputs = [save(tmp_path / f"{n}.png", 48, 40) for n in "abc"]
    for result in upscale_files(inputs, model="bicubic", scale=2):
        assert result.status == "done" and result.target is not None
        read_provenance(result.target)
    assert Image.MAX_IMAGE_PIXELS == 50
    assert ImageFile.LOAD_TRUNCATED_IMAGES is True


def test_files_are_upscaled_as_the_results_are_read(tmp_path: Path) -> None:
    inputs = [save(tmp_path / f"{n}.png", 48, 40, seed=i) for i, n in enumerate("ab")]
    told: list[Event] = []
    options = UpscaleOptions(suffix="_big", engine=EngineOptions(precision="fp32", tile=8))
    found = upscale_files(
        inputs, tmp_path / "out", model="espcn", options=options, on_event=told.append
    )
    assert not (tmp_path / "out").exists()
    first = next(found)
    assert (first.status, first.target) == ("done", tmp_path / "out/a_big.png")
    assert (first.width, first.height) == (48, 40)
    assert (first.output_width, first.output_height) == (192, 160)
    assert (first.model, first.device, first.precision, first.tile) == ("espcn", "cpu", "fp32", 8)
    assert first.error is None and first.notes == () and first.reason == "" and first.seconds > 0
    (second,) = found
    assert second.target is not None and size_of(second.target) == (192, 160)
    wanted = upscale_image(smooth(40, 48), model="espcn", precision="fp32", tile=8)
    assert first.target is not None and np.array_equal(pixels_of(first.target), wanted)
    assert [e for e in told if isinstance(e, Planned)] == [Planned(2)]
    (ready,) = (e for e in told if isinstance(e, PipelineReady))
    assert (ready.factor, ready.scale, ready.passes, ready.tile) == (4.0, 4, 1, 8)
    shares = [e.share for e in told if isinstance(e, Progress) and e.source == inputs[0]]
    assert len(shares) > 1 and shares == sorted(shares) and shares[-1] == 1.0


def test_files_of_one_name_become_what_the_name_says(tmp_path: Path) -> None:
    source = save(tmp_path / "a.png")
    (result,) = upscale_files(str(source), str(tmp_path / "b.webp"), model="bicubic", scale=2.5)
    assert (result.output_width, result.output_height, result.precision) == (40, 30, None)
    with Image.open(tmp_path / "b.webp") as made:
        assert made.format == "WEBP" and made.size == (40, 30)


def test_what_cannot_work_is_refused_before_the_first_result(tmp_path: Path) -> None:
    source = save(tmp_path / "a.png")
    for arguments, code in (
        ({"scale": 99}, "out-of-range"),
        ({"model": "nonsense"}, "unknown-model"),
        ({"options": UpscaleOptions(quality=0)}, "out-of-range"),
        ({"options": UpscaleOptions(overwrite=True, skip_existing=True)}, "conflicting-options"),
        ({"options": UpscaleOptions(engine=EngineOptions(threads=0))}, "out-of-range"),
    ):
        with pytest.raises(RefusedError) as caught:
            upscale_files(source, **{"model": "bicubic", **arguments})  # type: ignore[arg-type]
        assert caught.value.code == code


def test_a_file_that_is_replaced_is_announced(tmp_path: Path) -> None:
    source = save(tmp_path / "a.png")
    told: list[Event] = []
    options = UpscaleOptions(overwrite=True)
    (result,) = upscale_files(
        source, source, model="bicubic", scale=2, options=options, on_event=told.append
    )
    assert result.status == "done" and Replacing(source) in told and size_of(source) == (32, 24)


def test_weights_are_fetched_where_that_is_allowed(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in world.own.items():
        monkeypatch.setenv(name, value)
    source = save(tmp_path / "a.png")
    with pytest.raises(SrError) as caught:
        list(upscale_files(source, model="first"))
    assert caught.value.code == "not-downloaded" and not world.server.requests
    told: list[Event] = []
    options = UpscaleOptions(download=True)
    (result,) = upscale_files(source, model="first", options=options, on_event=told.append)
    assert result.status == "done" and result.output_width == 32
    (fetched,) = (e for e in told if isinstance(e, Downloaded))
    assert fetched.name == "first-x2" and not fetched.pinned
    coming = [e for e in told if isinstance(e, DownloadProgress)]
    size = len(world.content["first-x2"])
    assert coming[0] == DownloadProgress("first-x2", "MIT", 0, size)
    assert coming[-1] == DownloadProgress("first-x2", "MIT", size, size)


PUBLIC = [n for n in sr_cli.__all__ if n != "__version__"]
FUNCTIONS = [n for n in PUBLIC if inspect.isfunction(getattr(sr_cli, n))]


def test_the_public_names_are_there_and_documented() -> None:
    assert set(dir(sr_cli)) == set(sr_cli.__all__)
    for name in PUBLIC:
        assert inspect.getdoc(getattr(sr_cli, name)), name
    assert {"upscale_image", "upscale_files", "load_model"} <= set(FUNCTIONS)
    with pytest.raises(AttributeError, match="nothing_here"):
        _ = sr_cli.nothing_here
    assert (PACKAGE / "py.typed").is_file()


@pytest.mark.parametrize("name", PUBLIC)
def test_the_examples_of_public_names_are_true(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside photo.jpg and a folder photos/."""
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    with Image.open(REPOSITORY / "examples" / "photo.jpg") as whole:
        whole.resize((32, 24)).save("photo.jpg")
        for number in range(8):
            left = 40 * number
            whole.crop((left, 60, left + 80, 132)).save(f"photos/{number}.png")
    found = doctest.DocTestFinder(recurse=False).find(getattr(sr_cli, name), name, globs={})
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    for example in found:
        runner.run(example)
    assert runner.failures == 0
    assert runner.tries or name not in FUNCTIONS, f"{name} has no example"


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = "import sys, sr_cli; print({'torch', 'numpy', 'cv2', 'PIL'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout.strip() == b"set()"


def test_imports_run_downward_only() -> None:
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE).parts
        if len(parts) == 1:
            continue
        below = FLOORS[FLOORS.index(parts[0]) :]
        for name in imported(path):
            room = name.split(".")[1] if name.startswith("sr_cli.") else None
            assert room not in FLOORS or room in below, f"{path} imports {name}"
    assert not {n for n in imported(PACKAGE / "errors.py") if n.startswith("sr_cli")}


def imported(path: Path) -> set[str]:
    """Everything that a file imports anywhere, for `from a import b` both `a` and `a.b`."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {a.name for a in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{a.name}" for a in node.names}
    return names
