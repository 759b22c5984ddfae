"""`sr upscale` on several workers: the same results as one process, whatever happens to them."""

from __future__ import annotations

import gc
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock
from helpers.command import BICUBIC, Run, start_process
from helpers.dask import dask_cluster, needs_dask
from helpers.images import encoded, save, size_of, smooth
from PIL import Image

from sr_cli import SrError, WorkerOptions, read_provenance, upscale_files
from sr_cli.engine.options import EngineOptions
from sr_cli.registry.ref import parse_model
from sr_cli.upscale.cluster import check, connect, local
from sr_cli.upscale.cluster.options import available_cores

pytestmark = needs_dask

needs_two_cores = pytest.mark.skipif(available_cores() < 2, reason="needs two cores")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a scheduler with two workers."""
    with dask_cluster(tmp_path_factory.mktemp("dask")) as address:
        yield address


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """A folder of five images of several kinds, one in a subfolder, and one file that is none."""
    folder = tmp_path / "in"
    for index, name in enumerate(("a.png", "b.jpg", "sub/c.webp")):
        save(folder / name, 30 + index, 20, seed=index)
    Image.fromarray(smooth(20, 20)).convert("L").save(folder / "gray.tif")
    rgba = Image.fromarray(smooth(24, 30)).convert("RGBA")
    rgba.putalpha(Image.fromarray(smooth(24, 30, seed=3)[..., 0]))
    rgba.save(folder / "alpha.png")
    (folder / "broken.png").write_bytes(b"nothing")
    return folder


def files_of(folder: Path) -> dict[str, bytes]:
    """All files below a folder, hidden ones too."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def without_time(records: list[dict[str, Any]], output: str) -> list[dict[str, Any]]:
    """Records of `--json` that can be compared between runs."""
    return sorted(
        (
            {k: str(v).replace(f"{output}/", "") for k, v in record.items() if k != "seconds"}
            for record in records
        ),
        key=lambda record: record["input"],
    )


def test_the_same_files_records_and_exit_code(sr: Run, scans: Path, cluster: str) -> None:
    options = ("-r", "-m", "espcn", "-x3", "--threads", "1", "--compare", "--json")
    one = sr("upscale", "in", "-o", "one", *options)
    many = sr("upscale", "in", "-o", "many", *options, "--cluster", cluster)
    assert one.returncode == many.returncode == 1
    assert files_of(scans.parent / "one") == files_of(scans.parent / "many")
    assert len(files_of(scans.parent / "many")) == 10
    made = read_provenance(scans.parent / "many/a.png")
    assert made is not None and made.models[0].id == "espcn-x3"
    assert without_time(one.records, "one") == without_time(many.records, "many")
    assert one.error_codes == many.error_codes == ["unknown-image-format"]
    assert b"5 done, 1 failed" in many.stderr


@needs_two_cores
def test_processes_of_this_machine(sr_process: Run, scans: Path) -> None:
    command = ("upscale", "in", "-r", "-m", "bicubic", "-x2")
    assert sr_process(*command, "-o", "one").returncode == 1
    many = sr_process(*command, "-o", "many", "--workers", "2", "-v")
    assert many.returncode == 1
    assert files_of(scans.parent / "one") == files_of(scans.parent / "many")
    assert b"worker 0: cpu, 1 thread" in many.stderr and b"images, " in many.stderr


def test_existing_results(sr: Run, scans: Path, cluster: str) -> None:
    (scans / "broken.png").unlink()
    workers = ("--cluster", cluster)
    first = sr(*BICUBIC, scans / "a.png", "-o", "out/", *workers)
    assert first.returncode == 0
    again = sr(*BICUBIC, "in", "-o", "out", "-r", *workers)
    assert again.returncode == 1 and again.error_codes == ["already-exists"]
    resumed = sr(*BICUBIC, "in", "-o", "out", "-r", "--skip-existing", *workers)
    assert resumed.returncode == 0 and b"5 skipped" in resumed.stderr
    assert sr(*BICUBIC, "in", "-o", "out", "-r", "-y", *workers).returncode == 0
    assert not [name for name in files_of(scans.parent / "out") if ".sr-" in name]


def test_results_that_cannot_be_read_are_made_again(sr: Run, scans: Path, cluster: str) -> None:
    (scans / "broken.png").unlink()
    resume = ("upscale", "in", "-r", "-m", "bicubic", "-x2", "--skip-existing", "--json")
    for output, workers in (("one", ()), ("many", ("--cluster", cluster))):
        (scans.parent / output).mkdir()
        (scans.parent / output / "a.png").write_bytes(b"")
        done = sr(*resume, "-o", output, *workers)
        assert done.returncode == 0
        note = {"kind": "unreadable-result-replaced", "file": str(Path(output, "a.png"))}
        assert done.notes == [note]
    assert files_of(scans.parent / "one") == files_of(scans.parent / "many")
    again = sr(*resume, "-o", "many", "--cluster", cluster)
    assert [r["status"] for r in again.records] == ["skipped"] * 5


def test_archives_and_clips_among_images(sr: Run, tmp_path: Path, cluster: str) -> None:
    pytest.importorskip("av")
    from helpers.clips import Made

    save(tmp_path / "in/a.png", 30, 20)
    Made().write(tmp_path / "in/clip.mp4")
    pages = [(f"{n}.png", encoded("png", 30 + n, 20)) for n in range(3)]
    for name, content in {"b.cbz": pages, "damaged.cbz": [*pages, ("4.png", b"nothing")]}.items():
        with zipfile.ZipFile(tmp_path / "in" / name, "w") as archive:
            for page, data in content:
                archive.writestr(zipfile.ZipInfo(page), data)
    options = ("-m", "espcn", "-x3", "--threads", "1", "--json")
    one = sr("upscale", "in", "-o", "one", *options)
    split = ("--cluster", cluster, "--split-pixels", "100")
    many = sr("upscale", "in", "-o", "many", *options, *split)
    assert one.returncode == many.returncode == 1
    assert one.error_codes == many.error_codes == ["unknown-image-format"]
    assert sorted(files_of(tmp_path / "many")) == ["a.png", "b.cbz", "clip.mp4"]
    assert files_of(tmp_path / "one") == files_of(tmp_path / "many")

    ended = [[r for r in done.records if r["status"] != "progress"] for done in (one, many)]
    assert len(ended[1]) == 4
    assert without_time(ended[0], "one") == without_time(ended[1], "many")


def test_relative_names_and_a_library_call(
    scans: Path, cluster: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(scans)
    results = list(
        upscale_files("a.png", model="bicubic", scale=2, workers=WorkerOptions(cluster=cluster))
    )
    assert [(r.status, r.source, r.target) for r in results] == [
        ("done", Path("a.png"), Path("a_x2.png"))
    ]
    assert size_of(scans / "a_x2.png") == (60, 40)


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


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--workers", "0"], "out-of-range", "workers 0"),
        (["--workers", "5000"], "out-of-range", "workers 5000"),
        (["--workers", "1", "--threads", "1024"], "out-of-range", "threads 1024"),
        (["--workers", "1", "-o", "-"], "conflicting-options", "stdout"),
        (["--workers", "1", "--cluster", "tcp://localhost:1"], "conflicting-options", "cluster"),
        (["--cluster", "localhost"], "invalid-address", "localhost"),
        (["--cluster", "tcp://localhost:99999"], "invalid-address", "99999"),
        (["--cluster", "tcp://10.0.0.1:8786"], "insecure-address", "10.0.0.1"),
        (["--cluster", "tls://10.0.0.1:8786"], "missing-option", "--tls-ca"),
        (["--cluster", "tcp://localhost:1", "--tls-ca", "x"], "conflicting-options", "TLS"),
        (["--split-pixels", "0", "--workers", "1"], "out-of-range", "split-pixels 0"),
        (["--split-pixels", "9"], "missing-option", "--workers"),
        (["--workers", "1", "--some"], "missing-option", "--cluster"),
        (["--device", "cuda:0,cuda:x"], "unknown-value", "cuda:x"),
        (["--device", "cuda:0,cuda:1", "--cluster", "tcp://localhost:1"], "conflicting-options",
         "devices"),
    ],
)  # fmt: skip
def test_options_that_cannot_work(
    sr: Run, photo: Path, arguments: list[str], code: str, said: str
) -> None:
    done = sr(*BICUBIC, photo, *arguments)
    assert done.returncode == 2 and done.error_codes == [code]
    assert said.encode() in done.stderr
    assert [p.name for p in photo.parent.iterdir()] == [photo.name]


def test_stdin_is_refused(sr: Run) -> None:
    done = sr(*BICUBIC, "-", "--workers", "1")
    assert done.returncode == 2 and done.error_codes == ["conflicting-options"]


def test_the_extra_is_named_if_it_is_missing(
    sr: Run, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    done = sr(*BICUBIC, photo, "--workers", "1")
    assert done.returncode == 2 and done.error_codes == ["extra-missing"]
    assert b"'cluster'" in done.stderr


def test_dask_is_not_imported_without_need(photo: Path) -> None:
    code = (
        "import sys; from typer.testing import CliRunner; from sr_cli.cli.main import app\n"
        f"for words in (['--help'], ['upscale', '--help'], ['upscale', {str(photo)!r},\n"
        "  '--workers', '0'], ['upscale', '-m', 'bicubic', '-x2', 'none.png']):\n"
        "    CliRunner().invoke(app, words)\n"
        "print({'dask', 'distributed'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout.strip() == b"set()"


def test_nobody_answers(sr: Run, photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connect, "PATIENCE", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        done = sr(*BICUBIC, photo, "--cluster", f"tcp://127.0.0.1:{port}")
    assert done.returncode == 2 and done.error_codes == ["cluster-unreachable"]
    assert [p.name for p in photo.parent.iterdir()] == [photo.name]


def test_another_server_answers(sr: Run, photo: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:

        def answer() -> None:
            with other.accept()[0] as peer:
                peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                peer.recv(1 << 16)

        answering = threading.Thread(target=answer)
        answering.start()
        done = sr(*BICUBIC, photo, "--cluster", f"tcp://127.0.0.1:{other.getsockname()[1]}")
        answering.join()
    assert done.returncode == 2 and done.error_codes == ["cluster-unreachable"]


def test_an_input_is_not_replaced_by_workers(sr: Run, photo: Path, cluster: str) -> None:
    before = photo.read_bytes()
    done = sr(*BICUBIC, photo, "-o", photo, "-y", "--cluster", cluster)
    assert done.returncode == 2 and done.error_codes == ["input-replaced"]
    assert photo.read_bytes() == before


def test_workers_that_are_not_fit(sr: Run, scans: Path, tmp_path: Path) -> None:
    updated = tmp_path / "updated"
    setup = (
        "import os\n"
        "versions = check._versions\n"
        "def older():\n"
        f"    return versions() if os.path.exists({str(updated)!r}) else {{'sr': '0.0'}}\n"
        "if worker.name == 1:\n"
        "    check._versions, check._compute = older, lambda probe: 'cpu bf16'"
    )
    (scans / "broken.png").unlink()
    with dask_cluster(tmp_path, setup) as address:
        command = (*BICUBIC, "in", "-r", "-o", "out", "--cluster", address, "-v")
        refused = sr(*command)
        assert refused.returncode == 2
        assert refused.error_codes == ["worker-unfit", "workers-refused"]
        assert b"worker 1: sr differs" in refused.stderr and b"1 of 2 workers" in refused.stderr
        assert not (tmp_path / "out").exists()
        done = sr(*command, "--some")
        updated.touch()
        other = sr(*command, "-y")
    assert other.returncode == 2 and b"precision differs" in other.stderr
    assert other.error_codes == ["worker-unfit", "workers-refused"]
    assert done.returncode == 0 and b"worker 0: 5 images" in done.stderr
    assert len(files_of(tmp_path / "out")) == 5


def test_what_a_worker_must_have(tmp_path: Path) -> None:
    source = save(tmp_path / "in.png")
    mark = tmp_path / "mark"
    mark.touch()
    refs = (parse_model("espcn"),)
    probe = check.Probe(refs, 3, EngineOptions("cpu"), (source,), mark)
    here, found = check.describe_here(probe), check.describe_worker(probe)
    assert found.compute.startswith("cpu ") and check.difference(found, here) is None
    other = check.Facts(here.versions, ("0" * 64,), here.sizes)
    problem = check.difference(other, here)
    assert problem is not None and problem.facts["what"] == "weights"
    older = check.Facts(here.versions | {"torch": "1.0"}, here.weights, here.sizes)
    problem = check.difference(older, here)
    assert problem is not None and problem.facts["what"] == "torch"
    source.write_bytes(b"another file of this name")
    assert check.difference(check.describe_worker(probe), here) is not None
    mark.unlink()
    with pytest.raises(SrError) as error:
        check.describe_worker(probe)
    assert error.value.code == "folder-not-found"
    source.unlink()
    with pytest.raises(SrError) as error:
        check.describe_worker(probe)
    assert error.value.code == "file-not-found"


def test_an_image_that_kills_workers_fails_alone(sr: Run, scans: Path, tmp_path: Path) -> None:
    setup = (
        "import os\n"
        "run = task.Batch.run\n"
        "def deadly(self):\n"
        "    if 'a.png' in str(self._group.jobs[0].source): os._exit(1)\n"
        "    return run(self)\n"
        "task.Batch.run = deadly"
    )
    (scans / "alpha.png").unlink()
    with dask_cluster(tmp_path, setup) as address:
        done = sr(*BICUBIC, "in", "-r", "-o", "out", "--cluster", address)
    assert done.returncode == 1
    assert sorted(done.error_codes) == ["unknown-image-format", "worker-killed"]
    assert done.stderr.count(b"lost, its images go to others") == 3
    assert sorted(files_of(tmp_path / "out")) == ["b.jpg", "gray.tif", "sub/c.webp"]
    assert not list((tmp_path / "out").glob(".sr-*"))


def test_a_result_that_was_written_before_its_worker_was_lost(
    sr: Run, scans: Path, tmp_path: Path
) -> None:
    setup = (
        "import os, pathlib\n"
        "publish = task._publish\n"
        "def dies_once(staged, job, options, **more):\n"
        "    notes = publish(staged, job, options, **more)\n"
        f"    mark = pathlib.Path({str(tmp_path / 'died')!r})\n"
        "    if not mark.exists():\n"
        "        mark.touch()\n"
        "        os._exit(1)\n"
        "    return notes\n"
        "task._publish = dies_once"
    )
    (scans / "broken.png").unlink()
    with dask_cluster(tmp_path, setup) as address:
        done = sr(*BICUBIC, "in", "-r", "-o", "out", "--cluster", address, "--json")
    assert done.returncode == 0 and (tmp_path / "died").exists()
    assert [record["status"] for record in done.records] == ["done"] * 5
    assert len(files_of(tmp_path / "out")) == 5


@needs_dask
def test_a_result_that_cannot_be_fetched_is_not_talked_about(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(connect, "_FETCH", 1.0)
    gc.disable()
    try:
        with connect.connect(WorkerOptions(workers=1)) as (client, processes):
            assert processes is not None
            processes.start_missing(())
            future = client.submit(os.getpid)
            os.kill(future.result(timeout=60), signal.SIGKILL)
            assert connect.value_of(future) is None
            future.cancel()
    finally:
        gc.enable()
    gc.collect()
    assert not caplog.records


def children_of(process: subprocess.Popen[bytes]) -> list[int]:
    """The worker processes that a process started."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rsplit(")", 1)[1].split()[1])
            is_worker = b"cluster.local" in (stat.parent / "cmdline").read_bytes()
        except OSError:
            continue
        if parent == process.pid and is_worker:
            found.append(int(stat.parent.name))
    return found


def temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for the temporary files of processes that are started."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


def wait_for_results(process: subprocess.Popen[bytes], folder: Path, count: int) -> None:
    until = time.monotonic() + 120
    while len(list(folder.glob("*.png"))) < count:
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.02)


@needs_two_cores
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc")
@pytest.mark.parametrize("event", ["kill", "interrupt"])
def test_killed_workers_and_interruptions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, event: str
) -> None:
    temporary = temporary_folder(tmp_path, monkeypatch)
    for index in range(24):
        save(tmp_path / f"in/{index:02}.png", 150, 150, seed=index)
    process = start_process(
        "upscale", "in", "-o", "out", "-m", "bicubic", "-x6", "--workers", "2",
        cwd=tmp_path, start_new_session=True,
    )  # fmt: skip
    out = tmp_path / "out"
    wait_for_results(process, out, 2)
    workers = children_of(process)
    assert len(workers) == 2
    if event == "kill":
        os.kill(workers[0], signal.SIGKILL)
    else:
        # As a terminal does: to the command and its workers.
        os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=200)
    assert b"Traceback" not in said, said.decode()
    assert process.returncode == (0 if event == "kill" else 130), said
    assert all(size_of(path) == (900, 900) for path in out.iterdir())
    made = len(list(out.iterdir()))
    assert made == 24 if event == "kill" else 0 < made < 24
    assert not [pid for pid in workers if Path(f"/proc/{pid}").exists()]
    assert not list(temporary.iterdir())


@needs_two_cores
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc")
def test_workers_end_with_a_command_that_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = temporary_folder(tmp_path, monkeypatch)
    for index in range(24):
        save(tmp_path / f"in/{index:02}.png", 150, 150, seed=index)
    process = start_process(
        "upscale", "in", "-o", "out", "-m", "bicubic", "-x6", "--workers", "2", cwd=tmp_path
    )
    wait_for_results(process, tmp_path / "out", 1)
    workers = children_of(process)
    assert len(workers) == 2
    process.kill()
    process.communicate()
    until = time.monotonic() + 60
    while any(Path(f"/proc/{pid}").exists() for pid in workers):
        assert time.monotonic() < until
        time.sleep(0.1)
    assert all(size_of(path) == (900, 900) for path in (tmp_path / "out").iterdir())
    assert not list(temporary.iterdir())


def test_processes_that_never_become_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", shutil.which("false"))
    workers = local.LocalWorkers("tcp://127.0.0.1:1", 1, str(tmp_path))
    until = time.monotonic() + 60
    with pytest.raises(SrError) as error:
        while time.monotonic() < until:
            workers.start_missing(())
            time.sleep(0.01)
    workers.close()
    assert error.value.code == "workers-not-started" and "1" in error.value.facts["reason"]


def _certificates(folder: Path) -> tuple[str, ...]:
    """An authority of our own and one certificate, as PEM files."""

    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)

    folder.mkdir()
    new = ("req", "-newkey", "rsa:2048", "-nodes", "-subj")
    openssl(*new, "/CN=authority", "-x509", "-keyout", "ca.key", "-out", "ca.pem", "-days", "2")
    openssl(*new, "/CN=sr", "-keyout", "key.pem", "-out", "request.pem")
    openssl("x509", "-req", "-in", "request.pem", "-CA", "ca.pem", "-CAkey", "ca.key",
            "-CAcreateserial", "-out", "cert.pem", "-days", "2")  # fmt: skip
    return tuple(str(folder / name) for name in ("ca.pem", "cert.pem", "key.pem"))


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_tls(sr: Run, scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from distributed import Security

    ca, cert, key = _certificates(tmp_path / "ours")
    strangers = _certificates(tmp_path / "theirs")
    security = Security(
        tls_ca_file=ca,
        require_encryption=True,
        **{f"tls_{part}_cert": cert for part in ("client", "scheduler", "worker")},
        **{f"tls_{part}_key": key for part in ("client", "scheduler", "worker")},
    )
    monkeypatch.setattr(connect, "PATIENCE", 5)
    with dask_cluster(tmp_path, security=security, protocol="tls://") as address:
        assert address.startswith("tls://")

        def run(files: tuple[str, ...]) -> tuple[int, list[str]]:
            options = ("--tls-ca", files[0], "--tls-cert", files[1], "--tls-key", files[2])
            done = sr(*BICUBIC, scans / "a.png", "-o", "out/", "--cluster", address, *options)
            return done.returncode, done.error_codes

        assert run(strangers) == (2, ["cluster-unreachable"])
        assert run((ca, cert, key)) == (0, [])
    assert size_of(tmp_path / "out/a.png") == (60, 40)
