"""`sr upscale` on several workers: the same results as one process, and what is refused."""

from __future__ import annotations

import importlib.util
import shutil
import socket
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import pytest
from helpers.command import BICUBIC, Run
from helpers.dask import dask_cluster, files_of, needs_dask, needs_two_cores, without_time
from helpers.images import encoded, save, size_of

from sr_cli import WorkerOptions, read_provenance, upscale_files
from sr_cli.upscale.cluster import connect

pytestmark = needs_dask


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
