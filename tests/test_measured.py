"""Measured images: which model they get, and what their files say of space and values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from helpers.command import Run
from helpers.images import save, smooth

from sr_cli import read_provenance

DEFAULT = ("upscale", "-x2", "--json")


def gray(h: int = 20, w: int = 24, top: int = 255) -> Any:
    return smooth(h, w, top=top)[..., 0]


def write_measured(path: Path, kind: str) -> None:
    """A TIFF of one of the kinds that are measured."""
    if kind == "float":
        tifffile.imwrite(path, gray().astype(np.float32) / 255)
    elif kind == "signed":
        tifffile.imwrite(path, gray().astype(np.int16))
    elif kind == "ome":
        tifffile.imwrite(path, gray(), ome=True, metadata={"axes": "YX"})
    elif kind == "imagej":
        tifffile.imwrite(path, gray(), imagej=True)
    else:
        scale = (33550, 12, 3, (10.0, 10.0, 0.0), True)
        tifffile.imwrite(path, gray(), extratags=[scale], metadata=None)


KINDS = ["float", "signed", "ome", "imagej", "geo"]


@pytest.mark.parametrize("kind", KINDS)
def test_measured_images_get_a_faithful_model(sr: Run, tmp_path: Path, kind: str) -> None:
    write_measured(tmp_path / "a.tif", kind)
    save(tmp_path / "b.png", 20, 24)
    tifffile.imwrite(tmp_path / "c.tif", gray(), metadata=None)
    done = sr(*DEFAULT, "a.tif", "b.png", "c.tif")
    models = {record["input"]: record["model"] for record in done.records}
    assert models == {"a.tif": "edsr-baseline", "b.png": "photo", "c.tif": "photo"}
    (note,) = [n for n in done.notes if n["kind"] == "faithful-model"]
    assert note["model"] == "edsr-baseline"


@pytest.mark.parametrize("kind", ["float", "ome"])
def test_measured_images_on_stdin_as_well(sr: Run, tmp_path: Path, kind: str) -> None:
    write_measured(tmp_path / "a.tif", kind)
    content = (tmp_path / "a.tif").read_bytes()
    done = sr(*DEFAULT, "-", "-o", "a.tiff", input=content)
    assert done.returncode == 0 and done.records[0]["model"] == "edsr-baseline"
    assert "faithful-model" in done.note_kinds
    named = sr("upscale", "-x2", "-m", "edsr", "a.tif", "-o", "b.tiff")
    assert named.returncode == 0
    made = [tifffile.imread(tmp_path / name) for name in ("a.tiff", "b.tiff")]
    assert np.array_equal(*made)


def test_a_model_that_invents_is_used_when_it_is_named(sr: Run, tmp_path: Path) -> None:
    write_measured(tmp_path / "a.tif", "float")
    save(tmp_path / "b.png", 20, 24)
    done = sr(*DEFAULT, "-m", "photo", "a.tif", "b.png")
    assert [record["model"] for record in done.records] == ["photo", "photo"]
    (note,) = [n for n in done.notes if n["kind"] == "may-invent"]
    assert note["model"] == "photo"
    for model in ("edsr", "espcn", "bicubic"):
        kinds = sr(*DEFAULT, "-m", model, "-y", "a.tif").note_kinds
        assert "may-invent" not in kinds and "faithful-model" not in kinds


def test_the_scale_of_the_faithful_model_is_the_wanted_one(sr: Run, tmp_path: Path) -> None:
    write_measured(tmp_path / "a.tif", "float")
    for inputs in (("a.tif",), ("-", "-o", "b.tif")):
        content = (tmp_path / "a.tif").read_bytes()
        done = sr("upscale", "-x3", *inputs, "-v", input=content)
        # `photo` has no x3.
        assert done.returncode == 0
    assert np.array_equal(
        tifffile.imread(tmp_path / "a_x3.tif"), tifffile.imread(tmp_path / "b.tif")
    )
    made = read_provenance(tmp_path / "b.tif")
    assert made is not None and made.models[0].id == "edsr-baseline-x3"


def ome_file(path: Path, stack: Any, axes: str, **more: Any) -> None:
    sizes: dict[str, Any] = {f"PhysicalSize{axis}Unit": "µm" for axis in "XYZ"}
    sizes |= {"PhysicalSizeX": 0.5, "PhysicalSizeY": 0.25, "PhysicalSizeZ": 2.0}
    with tifffile.TiffWriter(path, ome=True) as writer:
        writer.write(
            stack, resolution=(2e4, 4e4), resolutionunit="CENTIMETER",
            metadata={"axes": axes, **sizes, **more},
        )  # fmt: skip


def stack_of(*shape: int, dtype: str = "uint16") -> Any:
    count = int(np.prod(shape))
    planes = [smooth(20, 24, seed=i, top=4000)[..., 0] for i in range(count)]
    return np.stack(planes).reshape(*shape, 20, 24).astype(dtype)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
def test_ome_stacks_keep_axes_channels_and_the_size_of_pixels(
    sr: Run, tmp_path: Path, dtype: str
) -> None:
    ome_types = pytest.importorskip("ome_types")
    stack = stack_of(2, 3, 2, dtype=dtype)
    ome_file(tmp_path / "a.ome.tif", stack, "TZCYX", Channel={"Name": ["red <1>", "green"]})
    done = sr("upscale", "-m", "bicubic", "-x2", "a.ome.tif", "-o", "b.ome.tif", "--json")
    assert done.returncode == 0
    assert {n["kind"] for n in done.notes} <= {"values-mapped"}
    with tifffile.TiffFile(tmp_path / "b.ome.tif") as made:
        assert made.is_ome and len(made.series) == 1
        assert (made.series[0].axes, made.series[0].shape) == ("TZCYX", (2, 3, 2, 40, 48))
        assert made.series[0].dtype == dtype
        xml = made.ome_metadata
        x, y = (made.pages[0].tags[code].value for code in (282, 283))
        assert (x[0] / x[1], y[0] / y[1]) == (4e4, 8e4) and made.pages[0].tags[296].value == 3
        pixels = ome_types.from_xml(xml, validate=False).images[0].pixels
        other = made.asarray()
    assert (pixels.size_x, pixels.size_y) == (48, 40)
    assert (pixels.physical_size_x, pixels.physical_size_y) == (0.25, 0.125)
    assert (pixels.physical_size_z, pixels.physical_size_x_unit.value) == (2.0, "µm")
    assert [channel.name for channel in pixels.channels] == ["red <1>", "green"]
    each = [tifffile.imread(tmp_path / "b.ome.tif", key=i) for i in range(12)]
    assert np.array_equal(other.reshape(12, 40, 48), np.stack(each))
    # Another file has another name.
    with tifffile.TiffFile(tmp_path / "a.ome.tif") as source:
        names = [text.split('UUID="')[1][:45] for text in (source.ome_metadata, xml)]
    assert names[0] != names[1]


def test_ome_colour_and_several_images(sr: Run, tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif", ome=True) as writer:
        writer.write(smooth(20, 24), photometric="rgb", metadata={"PhysicalSizeX": 1.0})
        writer.write(stack_of(3)[:, :10], metadata={"axes": "ZYX", "PhysicalSizeX": 3.0})
    done = sr("upscale", "-m", "bicubic", "-x2", "a.tif", "--json")
    assert done.returncode == 0 and "calibration-dropped" not in done.note_kinds
    with tifffile.TiffFile(tmp_path / "a_x2.tif") as made:
        assert [s.shape for s in made.series] == [(40, 48, 3), (3, 20, 48)]
        text = made.ome_metadata
    assert 'PhysicalSizeX="0.5"' in text and 'PhysicalSizeX="1.5"' in text


@pytest.mark.parametrize("order", ["<", ">"])
def test_imagej_stacks_keep_axes_unit_and_labels(sr: Run, tmp_path: Path, order: Any) -> None:
    labels = [f"slice {i}" for i in range(12)]
    tifffile.imwrite(
        tmp_path / "a.tif", stack_of(2, 3, 2), imagej=True, resolution=(2.0, 4.0), byteorder=order,
        metadata={"axes": "TZCYX", "unit": "um", "spacing": 1.5, "Labels": labels, "finterval": 2},
    )  # fmt: skip
    done = sr("upscale", "-m", "bicubic", "-x2", "a.tif", "--json")
    assert done.returncode == 0 and set(done.note_kinds) <= {"values-mapped"}
    with tifffile.TiffFile(tmp_path / "a_x2.tif") as made:
        assert made.is_imagej
        assert (made.series[0].axes, made.series[0].shape) == ("TZCYX", (2, 3, 2, 40, 48))
        assert made.pages[0].tags[282].value == (4, 1) and made.pages[0].tags[283].value == (8, 1)
        said = made.imagej_metadata
    assert (said["unit"], said["spacing"], said["finterval"]) == ("um", 1.5, 2.0)
    assert said["Labels"] == labels


def test_what_cannot_be_true_of_a_stack_is_said(sr: Run, tmp_path: Path) -> None:
    command = ("upscale", "-m", "bicubic", "-x2", "--json", "-y")
    # A stack with one directory, as ImageJ writes beyond 4 GB: its description counts twelve.
    tifffile.imwrite(tmp_path / "a.tif", stack_of(12), imagej=True)
    content = (tmp_path / "a.tif").read_bytes()
    tifffile.imwrite(tmp_path / "b.tif", stack_of(1)[0], metadata=None, software=False,
                     description="ImageJ=1.53t\nimages=12\nslices=12\n")  # fmt: skip
    kinds = sr(*command, "b.tif").note_kinds
    assert "images-dropped" in kinds and "calibration-dropped" in kinds
    (tmp_path / "a.tif").write_bytes(content)
    done = sr(*command, "a.tif", "-f", "png", "--flatten")
    assert "metadata-dropped" in done.note_kinds
    roi = b"Iout" + bytes(80)
    tifffile.imwrite(tmp_path / "c.tif", stack_of(1)[0], imagej=True, metadata={"ROI": roi})
    assert "regions-dropped" in sr(*command, "c.tif").note_kinds
    parts = b'<TiffData><UUID FileName="x.tif"/></TiffData><TiffData><UUID FileName="y.tif"/>'
    ome_file(tmp_path / "d.ome.tif", stack_of(1), "ZYX")
    with tifffile.TiffFile(tmp_path / "d.ome.tif") as file:
        text = file.ome_metadata.encode()
    split = text.replace(b"<TiffData", parts + b"</TiffData><TiffData")
    tifffile.imwrite(tmp_path / "e.tif", stack_of(1)[0], description=split, metadata=None)
    assert "calibration-dropped" in sr(*command, "e.tif").note_kinds


@pytest.mark.parametrize(
    "sizes",
    ["", 'SizeX="a" SizeY="20"', 'SizeX="24" SizeY="20" SizeC="x" SizeZ="1" SizeT="1"',
     'SizeX="24" SizeY="20" SizeC="0" SizeZ="1" SizeT="1"'],
)  # fmt: skip
def test_damaged_calibrations_are_dropped_with_a_word(sr: Run, tmp_path: Path, sizes: str) -> None:
    space = "http://www.openmicroscopy.org/Schemas/OME/2016-06"
    text = f'<OME xmlns="{space}"><Image><Pixels {sizes}/></Image></OME>'
    tifffile.imwrite(tmp_path / "a.tif", gray(), description=text, metadata=None)
    done = sr("upscale", "-m", "bicubic", "-x2", "a.tif", "--json")
    assert done.returncode == 0 and done.note_kinds == ["calibration-dropped"]


def test_pyramids_below_pages_are_said_to_be_lost(sr: Run, tmp_path: Path) -> None:
    plane = stack_of(1)[0].repeat(4, 0).repeat(4, 1)
    with tifffile.TiffWriter(tmp_path / "a.ome.tif", ome=True) as writer:
        writer.write(plane, subifds=2, tile=(16, 16), metadata={"PhysicalSizeX": 1.0})
        for step in (2, 4):
            writer.write(plane[::step, ::step], subfiletype=1, tile=(16, 16))
    done = sr("upscale", "-m", "bicubic", "-x2", "a.ome.tif", "-o", "b.ome.tif", "--json")
    assert {"kind": "pyramid-dropped", "count": 2} in done.notes
    with tifffile.TiffFile(tmp_path / "b.ome.tif") as made:
        assert made.series[0].shape == (160, 192) and len(made.series[0].levels) == 1
        assert 'PhysicalSizeX="0.5"' in made.ome_metadata
