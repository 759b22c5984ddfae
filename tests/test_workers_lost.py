"""Workers that are not fit, die or are killed: no image is lost, and nothing stays behind."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers.command import BICUBIC, Run, start_process
from helpers.dask import dask_cluster, files_of, needs_dask, needs_two_cores
from helpers.images import save, size_of

from sr_cli import SrError, WorkerOptions
from sr_cli.engine.options import EngineOptions
from sr_cli.registry.ref import parse_model
from sr_cli.upscale.cluster import check, connect, local

pytestmark = needs_dask


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
