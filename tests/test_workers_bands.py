"""Large images that several workers compute in bands: the bytes of one process."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from helpers.command import BICUBIC, Run
from helpers.dask import dask_cluster, files_of, needs_dask, without_time
from helpers.images import save, smooth
from PIL import Image

pytestmark = needs_dask


@pytest.mark.parametrize("factor", ["-x3", "-x2.5"])
def test_bands_give_the_bytes_of_one_process(
    sr: Run, tmp_path: Path, cluster: str, factor: str
) -> None:
    save(tmp_path / "in/large.png", 60, 150)
    (tmp_path / "in/large.pgw").touch()
    Image.fromarray(smooth(150, 50, top=65535)[..., 0]).save(tmp_path / "in/deep.png")
    save(tmp_path / "in/small.jpg", 20, 20)
    save(tmp_path / "in/colour.jpg", 50, 60)
    Image.fromarray(smooth(70, 40)[..., 0]).save(tmp_path / "in/gray.jpg")
    options = ("-m", "espcn", factor, "--threads", "1", "--tile", "16", "--json")
    one = sr("upscale", "in", "-o", "one", *options)
    many = sr(
        "upscale", "in", "-o", "many", *options, "--cluster", cluster, "--split-pixels", "2000"
    )
    assert one.returncode == many.returncode == 0
    assert files_of(tmp_path / "one") == files_of(tmp_path / "many")
    assert len(list((tmp_path / "many").iterdir())) == 5
    ended = [[r for r in done.records if r["status"] == "done"] for done in (one, many)]
    assert without_time(ended[0], "one") == without_time(ended[1], "many")
    assert [note["kind"] for note in many.notes] == ["files-beside-unread"]


def test_bands_that_a_killed_command_left_are_removed(
    sr: Run, scans: Path, cluster: str, tmp_path: Path
) -> None:
    left, used = tmp_path / "out/.sr-1-1-bands", tmp_path / "out/.sr-2-1-bands"
    for folder in (left, used):
        folder.mkdir(parents=True)
        (folder / "3").touch()
    (left / ".lock").touch()
    options = ("-m", "espcn", "-x3", "--cluster", cluster, "--split-pixels", "100")
    with FileLock(used / ".lock"):
        assert sr("upscale", scans / "a.png", "-o", "out/", *options).returncode == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [used.name, "a.png"]


def test_a_split_image_takes_as_long_as_its_steps_and_may_lose_its_input(
    sr: Run, tmp_path: Path
) -> None:
    geotiffs = pytest.importorskip("helpers.geotiffs")
    save(tmp_path / "in/a.png", 30, 20)
    geotiffs.write_scene(tmp_path / "in/gone.tif", geotiffs.scene(60, 40, 1, "uint8", 20, 240))
    setup = (
        "import time\n"
        "compute = task.compute_band\n"
        "def slowly(job, *more):\n"
        "    time.sleep(0.7)\n"
        "    if job.source.suffix == '.tif': job.source.unlink(missing_ok=True)\n"
        "    return compute(job, *more)\n"
        "task.compute_band = slowly"
    )
    with dask_cluster(tmp_path, setup) as address:
        split = ("--cluster", address, "--split-pixels", "500", "--json")
        done = sr("upscale", "in", "-o", "out", "-m", "espcn", "-x3", *split)
    assert done.returncode == 1 and done.error_codes == ["unreadable-file"]
    (made,) = [r for r in done.records if r["status"] == "done"]
    assert made["seconds"] >= 0.7
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.png"]


FEW_ROWS = """
from sr_cli.engine import raster, rows, windows
from sr_cli.engine.upscaler import Upscaler
from sr_cli.imaging.codecs import pillow
from sr_cli.imaging.codecs.tiff_samples import SampleReader
windows._BAND_SAMPLES = raster._BAND_BYTES = 1 << 12
source, read, kept, call = (
    rows.RowSource.__getitem__, SampleReader.read, rows.SlidingRows._rows, Upscaler.__call__
)
def few(count):
    if count > 400: raise AssertionError(f'{count} rows, at most 400')
def source_of_few(self, part):
    found = source(self, part)
    few(len(found))
    return found
def read_few(self, first, last):
    few(last - first)
    return read(self, first, last)
def keep_few(self, first, last):
    few(sum(map(len, self._kept)))
    return kept(self, first, last)
def make_few(self, *args, **options):
    sr = call(self, *args, **options)
    few(len(sr))
    return sr
convert = pillow.to_pillow
def map_many(frame):
    image = convert(frame)
    if not image.readonly: few(image.height)
    return image
rows.RowSource.__getitem__, SampleReader.read = source_of_few, read_few
pillow.to_pillow = map_many
rows.SlidingRows._rows, Upscaler.__call__ = keep_few, make_few
"""
"""Lets a worker fail that holds more than 400 rows of an image or of a result."""


def test_no_worker_holds_a_large_image(sr: Run, tmp_path: Path) -> None:
    geotiffs = pytest.importorskip("helpers.geotiffs")
    tiled = {"tiled": True, "blockxsize": 64, "blockysize": 64}
    (tmp_path / "in").mkdir()
    colours = geotiffs.scene(600, 40, 4, "uint8", 20, 240)
    geotiffs.write_scene(
        tmp_path / "in/alpha.tif", colours, photometric="rgb", alpha="yes", **tiled
    )
    values = geotiffs.with_hole(geotiffs.scene(600, 40, 2, "uint16", 20, 3000), 7)
    geotiffs.write_scene(tmp_path / "in/values.tif", values, nodata=7, overviews=(2,), **tiled)
    valid = np.full((600, 40), 255, np.uint8)
    valid[:3] = valid[250:400, 10:31] = 0
    geotiffs.write_scene(tmp_path / "in/masked.tif", values, overviews=(2,), mask=valid, **tiled)
    save(tmp_path / "in/plain.png", 40, 600)
    save(tmp_path / "in/plain.jpg", 40, 600)
    options = ("-m", "espcn", "-x2", "--threads", "1", "--tile", "64", "--json")
    one = sr("upscale", "in", "-o", "one", *options)
    with dask_cluster(tmp_path, FEW_ROWS) as address:
        split = ("--cluster", address, "--split-pixels", "5000")
        many = sr("upscale", "in", "-o", "many", *options, *split)
    assert one.returncode == many.returncode == 0, many.stderr
    assert files_of(tmp_path / "one") == files_of(tmp_path / "many")
    ended = [[r for r in done.records if r["status"] != "progress"] for done in (one, many)]
    assert without_time(ended[0], "one") == without_time(ended[1], "many")
    assert sorted(path.name for path in (tmp_path / "many").iterdir()) == [
        "alpha.tif", "masked.tif", "plain.jpg", "plain.png", "values.tif",
    ]  # fmt: skip


def test_what_cannot_be_split_is_said(sr: Run, scans: Path, cluster: str) -> None:
    options = ("--cluster", cluster, "--split-pixels", "100", "--json")
    done = sr("upscale", scans / "alpha.png", "-o", "many/", "-m", "espcn", "-x3", *options)
    assert done.returncode == 0
    assert done.notes == [{"kind": "not-split", "reason": "alpha"}]
    done = sr(*BICUBIC, scans / "b.jpg", "-o", "many/", *options)
    assert done.notes == [{"kind": "not-split", "reason": "model"}]
    # Measurements are mapped to the range that they have as a whole.
    values = smooth(30, 24, top=9999)[..., 0]
    Image.fromarray(values).save(scans / "values.tif")
    one = sr("upscale", scans / "values.tif", "-o", "one/", "-m", "espcn", "-x3", "--json")
    done = sr("upscale", scans / "values.tif", "-o", "many/", "-m", "espcn", "-x3", *options)
    assert done.notes == [*one.notes, {"kind": "not-split", "reason": "values"}]
    assert files_of(scans.parent / "one")["values.tif"] == (
        files_of(scans.parent / "many").pop("values.tif")
    )
    (scans.parent / "many/values.tif").unlink()
    failed = sr("upscale", scans / "broken.png", "-o", "many/", "-m", "espcn", *options)
    assert failed.returncode == 1 and failed.error_codes == ["unknown-image-format"]
    assert sorted(files_of(scans.parent / "many")) == ["alpha.png", "b.jpg"]


def test_a_split_image_that_its_format_cannot_hold_fails_alone(
    sr: Run, scans: Path, cluster: str
) -> None:
    options = ("-m", "espcn", "-x3", "--cluster", cluster, "--split-pixels", "100")
    done = sr("upscale", scans / "a.png", "-o", "many/", *options, "--max-pixels", "5000")
    assert done.returncode == 1 and done.error_codes == ["result-too-large"]
    assert not files_of(scans.parent / "many")
