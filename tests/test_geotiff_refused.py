"""GeoTIFF files that are refused: their place, values or compression would not survive."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest
import tifffile
from helpers.command import BICUBIC, Run
from helpers.geotiffs import corners_of, rasterio, scene, write_scene

PLACE_TAGS = {
    "scale": (33550, 12, 3, (10.0, 10.0, 0.0), True),
    "tie": (33922, 12, 6, (0.0, 0.0, 0.0, 5e5, 5.4e6, 0.0), True),
    "matrix": (34264, 12, 16, (10.0, 0, 0, 5e5, 0, -10, 0, 5.4e6, 0, 0, 0, 0, 0, 0, 0, 1), True),
    "elsewhere": (34264, 12, 16, (9.0, 0, 0, 5e5, 0, -9, 0, 5e6, 0, 0, 0, 0, 0, 0, 0, 1), True),
    "flat": (34264, 12, 16, (1.0, 2, 0, 5e5, 2, 4, 0, 5e6, 0, 0, 0, 0, 0, 0, 0, 1), True),
    "no size": (33550, 12, 3, (0.0, 10.0, 0.0), True),
    "nowhere": (33922, 12, 6, (0.0, 0.0, 0.0, float("nan"), 5.4e6, 0.0), True),
    "half a tie": (33922, 12, 5, (0.0, 0.0, 0.0, 5e5, 5.4e6), True),
    "keys": (34735, 3, 8, (1, 1, 0, 9, 1024, 0, 1, 1), True),
}


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        (("scale", "tie", "elsewhere"), "contradiction"),
        (("no size", "tie"), "scale"),
        (("flat",), "scale"),
        (("scale", "nowhere"), "scale"),
        (("scale", "half a tie"), "count"),
        (("scale", "tie", "keys"), "keys"),
        (("scale", "tie", "matrix"), None),
    ],
)
def test_tags_that_do_not_place_an_image_are_refused(
    sr: Run, tmp_path: Path, tags: tuple[str, ...], reason: str | None
) -> None:
    stored = [PLACE_TAGS[tag] for tag in tags]
    tifffile.imwrite(tmp_path / "a.tif", scene(20, 30)[0], extratags=stored, metadata=None)
    done = sr(*BICUBIC, "a.tif", "--json")
    if reason is None:
        assert done.returncode == 0
        assert corners_of(tmp_path / "a_x2.tif") == corners_of(tmp_path / "a.tif")
        return
    assert done.returncode == 1 and done.error_codes == ["bad-georeference"]
    assert done.records[0]["error"]["reason"] == reason
    assert not (tmp_path / "a_x2.tif").exists()
    # Nothing is wrong with the image.
    assert sr(*BICUBIC, "a.tif", "--strip").returncode == 0
    with tifffile.TiffFile(tmp_path / "a_x2.tif") as file:
        assert not {33550, 33922, 34264, 34735} & set(file.pages[0].tags.keys())


def test_classes_and_turned_images_are_refused(sr: Run, tmp_path: Path) -> None:
    write_scene(
        tmp_path / "classes.tif", scene(20, 30, dtype="uint8", high=9), photometric="palette"
    )
    with rasterio.open(tmp_path / "classes.tif", "r+") as file:
        file.write_colormap(1, {n: (n, n, n, 255) for n in range(256)})
    place = [PLACE_TAGS["scale"], PLACE_TAGS["tie"]]
    turned = [*place, (274, 3, 1, 6, True)]
    tifffile.imwrite(tmp_path / "turned.tif", scene(20, 30)[0], extratags=turned, metadata=None)
    done = sr(*BICUBIC, "classes.tif", "turned.tif", "-o", "out/")
    assert done.error_codes == ["unsupported-samples", "bad-georeference"]
    assert not list((tmp_path / "out").glob("*"))


def test_a_compression_that_is_not_supported_is_named(sr: Run, tmp_path: Path) -> None:
    write_scene(tmp_path / "a.tif", scene(20, 30, 2, dtype="float32"))
    content = (tmp_path / "a.tif").read_bytes()
    entry = struct.pack("<HHIHH", 259, 3, 1, 1, 0)
    assert entry in content
    lerc = struct.pack("<HHIHH", 259, 3, 1, 34887, 0)
    (tmp_path / "a.tif").write_bytes(content.replace(entry, lerc))
    done = sr(*BICUBIC, "a.tif", "--json")
    assert done.error_codes == ["unsupported-compression"]
    assert done.records[0]["error"]["compression"] == "LERC"


def test_a_compression_that_libtiff_was_built_without_is_named(sr: Run, tmp_path: Path) -> None:
    write_scene(tmp_path / "a.tif", scene(20, 30, 3, dtype="uint8", high=200), compress="webp")
    done = sr(*BICUBIC, "a.tif", "--json")
    if done.returncode:
        assert done.error_codes == ["unsupported-compression"]
        assert done.records[0]["error"]["compression"] == "WEBP"
        assert not (tmp_path / "a_x2.tif").exists()
    else:
        assert corners_of(tmp_path / "a_x2.tif") == corners_of(tmp_path / "a.tif")


@pytest.mark.parametrize(
    "profile",
    [
        {"nodata": 7},
        {"nodata": None},
        {"nodata": 1, "NBITS": 1},
    ],
)
def test_values_that_would_be_turned_around_or_stretched_are_refused(
    sr: Run, tmp_path: Path, profile: dict[str, Any]
) -> None:
    pixels = scene(20, 30, dtype="uint8", high=1 if "NBITS" in profile else 200)
    write_scene(tmp_path / "a.tif", pixels, photometric="miniswhite", **profile)
    done = sr(*BICUBIC, "a.tif")
    assert done.returncode == 1 and done.error_codes == ["unsupported-samples"]
    assert not (tmp_path / "a_x2.tif").exists()
    assert sr(*BICUBIC, "a.tif", "--strip").returncode == 0


@pytest.mark.parametrize("tag", [256, 257])
def test_an_image_without_size_is_damaged(sr: Run, tmp_path: Path, tag: int) -> None:
    write_scene(tmp_path / "a.tif", scene(20, 30))
    content = (tmp_path / "a.tif").read_bytes()
    entry = struct.pack("<HHIHH", tag, 3, 1, {256: 30, 257: 20}[tag], 0)
    assert entry in content
    content = content.replace(entry, struct.pack("<HHIHH", tag, 3, 1, 0, 0))
    (tmp_path / "a.tif").write_bytes(content)
    assert sr(*BICUBIC, "a.tif", "--json").error_codes == ["damaged-image"]
    assert [path.name for path in tmp_path.iterdir()] == ["a.tif"]
