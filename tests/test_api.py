"""The Python interface, and the shape of the house."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import REPOSITORY, smooth
from PIL import Image

from sr_cli import upscale_image
from sr_cli.errors import RefusedError
from sr_cli.registry.manifest import load_manifest

FLOORS = [
    "cli", "upscale", "training", "evaluation", "engine", "registry", "store", "networks", "layers",
    "imaging", "system",
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
    for picture in (
        smooth(10, 12),
        smooth(10, 12)[..., 0],
        smooth(10, 12, top=65535),
        np.dstack([smooth(10, 12), np.full((10, 12), 255, np.uint8)]),
    ):
        made = upscale_image(picture, model="espcn", scale=4)
        assert made.shape == (40, 48, *picture.shape[2:])
        assert made.dtype == picture.dtype
        assert abs(made.mean() - picture.mean()) < 0.02 * np.iinfo(picture.dtype).max


@pytest.mark.parametrize(
    "bad",
    [np.zeros((4, 4)), np.zeros((4, 4, 2), np.uint8), np.zeros((0, 4), np.uint8), "photo.jpg"],
)
def test_what_is_no_picture_is_refused(bad: object) -> None:
    with pytest.raises(RefusedError, match="not a picture"):
        upscale_image(bad, model="bicubic")  # type: ignore[type-var]
    with pytest.raises(RefusedError, match="out of range"):
        upscale_image(smooth(4, 4), model="bicubic", scale=1)


@pytest.mark.parametrize("entry", load_manifest().embedded, ids=lambda e: e.id)
def test_flat_colours_come_out_unchanged(entry) -> None:  # type: ignore[no-untyped-def]
    colours = [
        (0, 0, 0),
        (255, 255, 255),
        (128, 128, 128),
        (255, 0, 0),
        (20, 90, 200),
        (250, 240, 10),
    ]
    for colour in colours:
        flat = np.full((48, 48, 3), colour, np.uint8)
        made = upscale_image(flat, model=entry.id, scale=entry.scale)
        inside = made[16 * entry.scale : -16 * entry.scale, 16 * entry.scale : -16 * entry.scale]
        assert np.abs(inside.astype(int) - colour).max() <= 1, colour


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = "import sys, sr_cli; print({'torch', 'numpy', 'cv2', 'PIL'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout.strip() == b"set()"


def test_imports_run_downward_only() -> None:
    package = REPOSITORY / "sr_cli"
    for path in package.rglob("*.py"):
        parts = path.relative_to(package).parts
        if len(parts) == 1:
            continue
        below = FLOORS[FLOORS.index(parts[0]) :]
        for name in imported(path):
            room = name.split(".")[1] if name.startswith("sr_cli.") else None
            assert room not in FLOORS or room in below, f"{path} imports {name}"


def imported(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    names = {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    return names | {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.module}


def test_a_pillow_image_keeps_its_profile_and_pillow_its_settings() -> None:
    image = Image.fromarray(smooth(12, 12))
    image.info |= {"icc_profile": b"profile", "dpi": (300, 300)}
    made = upscale_image(image, model="bicubic", scale=np.float32(2), tile=np.int64(8))
    assert made.info["icc_profile"] == b"profile" and made.info["dpi"] == (300, 300)
    code = "import sr_cli; from PIL import Image; n = Image.MAX_IMAGE_PIXELS; " \
        "sr_cli.upscale_image(Image.new('L', (4, 4)), model='bicubic', scale=2); " \
        "assert n == Image.MAX_IMAGE_PIXELS is not None"  # fmt: skip
    subprocess.run([sys.executable, "-c", code], check=True)
