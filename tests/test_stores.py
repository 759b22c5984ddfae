"""`sr upscale` from and to object stores and other file systems of fsspec."""

from __future__ import annotations

import importlib.util
import io
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.command import BICUBIC, Run
from helpers.dask import dask_cluster, needs_dask
from helpers.images import encoded, save
from PIL import Image

from sr_cli import upscale_files

fsspec = pytest.importorskip("fsspec")

needs_s3 = pytest.mark.skipif(
    not (importlib.util.find_spec("s3fs") and importlib.util.find_spec("moto")),
    reason="s3fs or moto is not installed",
)


@pytest.fixture
def store() -> Iterator[Any]:
    """fsspec's store in memory, with two images, one in a subfolder, and a file that is none."""
    system = fsspec.filesystem("memory")
    system.store.clear()
    system.pseudo_dirs[:] = [""]
    system.pipe("/shop/in/a.png", encoded("png", 30, 20))
    system.pipe("/shop/in/sub/b.jpg", encoded("jpg", 20, 30))
    system.pipe("/shop/in/notes.txt", b"words")
    yield system
    system.store.clear()


def size_in(system: Any, name: str) -> tuple[int, int]:
    """(width, height) of an image in a store."""
    return Image.open(io.BytesIO(system.cat(name))).size


def temporary_files() -> set[str]:
    return {p.name for p in Path(tempfile.gettempdir()).iterdir() if p.name.startswith(".sr-")}


def test_a_folder_of_a_store(sr: Run, store: Any) -> None:
    before = temporary_files()
    done = sr(*BICUBIC, "memory://shop/in/", "-r", "-o", "memory://shop/out/", "--json")
    assert done.returncode == 0, done.stderr
    assert sorted(store.find("/shop/out")) == ["/shop/out/a.png", "/shop/out/sub/b.jpg"]
    assert size_in(store, "/shop/out/a.png") == (60, 40)
    assert [(r.get("input"), r.get("output")) for r in done.records[1:]] == [
        ("memory://shop/in/a.png", "memory://shop/out/a.png"),
        ("memory://shop/in/sub/b.jpg", "memory://shop/out/sub/b.jpg"),
    ]
    assert done.records[0]["other"] == 1
    assert b"memory://shop/out/a.png  30x20 -> 60x40" in done.stderr
    assert temporary_files() == before
    again = sr(*BICUBIC, "memory://shop/in/", "-r", "-o", "memory://shop/out/")
    assert again.returncode == 1 and again.error_codes == ["already-exists"] * 2
    assert b"memory://shop/out/a.png" in again.stderr and b"sr-mirror" not in again.stderr
    store.rm_file("/shop/out/a.png")
    kept = store.modified("/shop/out/sub/b.jpg")
    resumed = sr(*BICUBIC, "memory://shop/in", "-r", "-o", "memory://shop/out", "--skip-existing")
    assert resumed.returncode == 0 and b"1 done, 1 skipped" in resumed.stderr
    assert store.modified("/shop/out/sub/b.jpg") == kept
    assert sr(*BICUBIC, "memory://shop/in", "-o", "memory://shop/out", "-y").returncode == 0
    assert store.modified("/shop/out/sub/b.jpg") == kept


def test_the_bytes_are_those_of_local_files(sr: Run, store: Any, tmp_path: Path) -> None:
    local = tmp_path / "in/a.png"
    local.parent.mkdir()
    local.write_bytes(store.cat("/shop/in/a.png"))
    assert sr(*BICUBIC, local, "-o", "local/", "--compare").returncode == 0
    assert sr(*BICUBIC, "memory://shop/in/a.png", "-o", "fetched/", "--compare").returncode == 0
    assert sr(*BICUBIC, local, "-o", "memory://shop/sent/", "--compare").returncode == 0
    for name in ("a.png", "a_compare.png"):
        wanted = (tmp_path / "local" / name).read_bytes()
        assert (tmp_path / "fetched" / name).read_bytes() == wanted
        assert store.cat(f"/shop/sent/{name}") == wanted
    one = sr(*BICUBIC, "memory://shop/in/*.png", "-o", "memory://shop/one.webp")
    assert one.returncode == 0 and size_in(store, "/shop/one.webp") == (60, 40)


def test_sizes_are_read_where_they_decide(sr: Run, store: Any) -> None:
    done = sr("upscale", "memory://shop/in/a.png", "-o", "memory://shop/out/", "-m", "espcn",
              "--width", "60", "-v")  # fmt: skip
    assert done.returncode == 0 and size_in(store, "/shop/out/a.png") == (60, 40)
    # A factor of 2 takes the network for 2: nothing is said of another one.
    assert b"applies the" not in done.stderr


def test_archives_and_clips(sr: Run, store: Any) -> None:
    pages = io.BytesIO()
    with zipfile.ZipFile(pages, "w") as archive:
        archive.writestr("1.png", encoded("png", 10, 10))
    store.pipe("/shop/in/comic.cbz", pages.getvalue())
    store.pipe("/shop/in/clip.mkv", b"nothing")
    done = sr(*BICUBIC, "memory://shop/in", "-o", "memory://shop/out/", "--json")
    assert done.returncode == 1 and done.error_codes == ["clip-in-store"]
    assert b"memory://shop/in/clip.mkv" in done.stderr
    made = zipfile.ZipFile(io.BytesIO(store.cat("/shop/out/comic.cbz")))
    assert Image.open(io.BytesIO(made.read("1.png"))).size == (20, 20)


def test_images_that_fail_are_named_by_their_address(sr: Run, store: Any) -> None:
    store.pipe("/shop/in/broken.png", b"nothing")
    done = sr(*BICUBIC, "memory://shop/in", "-o", "memory://shop/out/", "--json")
    assert done.returncode == 1 and done.error_codes == ["unknown-image-format"]
    failed = [r["error"]["subject"] for r in done.records if r["status"] == "failed"]
    assert failed == ["memory://shop/in/broken.png"]
    assert store.find("/shop/out") == ["/shop/out/a.png"]


def test_a_store_that_fails_while_it_is_written(
    sr: Run, store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(store), "put_file", full)
    done = sr(*BICUBIC, "memory://shop/in/a.png", "-o", "memory://shop/out/")
    assert done.returncode == 1 and done.error_codes == ["unwritable-file"]
    assert b"memory://shop/out/a.png" in done.stderr and b"No space" in done.stderr
    assert not store.exists("/shop/out/a.png")


def test_file_systems_that_are_written_in_place(sr: Run, tmp_path: Path) -> None:
    save(tmp_path / "in/a.png", 30, 20)
    done = sr(*BICUBIC, f"file://{tmp_path}/in/", "-o", f"file://{tmp_path}/out/")
    assert done.returncode == 0
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["a.png"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["memory://shop/in"], "missing-option"),
        (["memory://shop/in", "-o", "memory://shop/in/"], "output-is-an-input"),
        (["nowhere://shop/in", "-o", "out/"], "store-not-supported"),
        (["memory://shop/in", "-o", "nowhere://shop/out/"], "store-not-supported"),
    ],
)
def test_addresses_that_cannot_work(sr: Run, store: Any, arguments: list[str], code: str) -> None:
    before = temporary_files()
    done = sr(*BICUBIC, *arguments)
    assert done.returncode == 2 and done.error_codes == [code], done.stderr
    assert temporary_files() == before


def test_names_that_lead_out_of_the_folder_are_refused(sr: Run, store: Any) -> None:
    store.store["/shop/in/../../../evil.png"] = store.store["/shop/in/a.png"]
    done = sr(*BICUBIC, "memory://shop/in", "-r", "-o", "memory://shop/out/")
    assert done.returncode == 2 and done.error_codes == ["invalid-address"]
    assert not store.exists("/shop/out")


def test_nothing_at_an_address(sr: Run, store: Any) -> None:
    done = sr(*BICUBIC, "memory://shop/none.png", "memory://shop/in/a.png", "-o", "out/", "--json")
    assert done.returncode == 1 and done.error_codes == ["path-not-found"]
    assert [r["input"] for r in done.records] == [
        "memory://shop/none.png",
        "memory://shop/in/a.png",
    ]


def test_what_is_planned_is_shown_by_address(sr: Run, store: Any) -> None:
    done = sr(*BICUBIC, "memory://shop/in", "-o", "memory://shop/out/", "--dry-run")
    assert done.stdout.split() == [b"memory://shop/in/a.png", b"->", b"memory://shop/out/a.png"]
    assert not store.exists("/shop/out")


def test_the_library_gives_addresses(store: Any) -> None:
    (result,) = upscale_files("memory://shop/in", "memory://shop/out/", model="bicubic", scale=2)
    assert str(result.source) == "memory://shop/in/a.png"
    assert result.target is not None and result.target.name == "a.png"


def test_the_extra_is_named_if_it_is_missing(sr: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    done = sr(*BICUBIC, "memory://shop/in", "-o", "out/")
    assert done.returncode == 2 and done.error_codes == ["extra-missing"]
    assert b"'stores'" in done.stderr


@needs_dask
def test_workers_read_and_write_a_store(sr: Run, tmp_path: Path) -> None:
    for index in range(6):
        save(tmp_path / f"in/{index}.png", 30, 20, seed=index)
    (tmp_path / "in/broken.png").write_bytes(b"nothing")
    before = temporary_files()
    store = f"file://{tmp_path}"
    with dask_cluster(tmp_path) as address:
        command = (*BICUBIC, f"{store}/in/", "-o", f"{store}/out/", "--cluster", address)
        done = sr(*command, "--json")
        assert done.returncode == 1 and done.error_codes == ["unknown-image-format"]
        assert sr(*command).error_codes.count("already-exists") == 6
        (tmp_path / "out/3.png").unlink()
        again = sr(*command, "--skip-existing")
        assert b"1 done, 5 skipped, 1 failed" in again.stderr
    assert {r["output"] for r in done.records} == {
        f"{store}/out/{name}.png" for name in (*"012345", "broken")
    }
    assert sr(*BICUBIC, "in", "-o", "one").returncode == 1
    one = {p.name: p.read_bytes() for p in (tmp_path / "one").iterdir()}
    assert {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()} == one and len(one) == 6
    assert temporary_files() == before


@needs_s3
@needs_dask
def test_s3(sr: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    try:
        host, port = server.get_host_and_port()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        system = fsspec.filesystem("s3", skip_instance_cache=True)
        system.mkdir("bucket")
        for index in range(4):
            system.pipe(f"bucket/in/{index}.png", encoded("png", 20, 10 + index))
        one = sr(*BICUBIC, "s3://bucket/in/", "-o", "s3://bucket/one/")
        assert one.returncode == 0, one.stderr
        with dask_cluster(tmp_path) as address:
            command = (*BICUBIC, "s3://bucket/in/", "-o", "s3://bucket/many/")
            done = sr(*command, "--cluster", address)
        assert done.returncode == 0, done.stderr
        system.invalidate_cache()
        for index in range(4):
            wanted = system.cat(f"bucket/one/{index}.png")
            assert system.cat(f"bucket/many/{index}.png") == wanted
        assert size_in(system, "bucket/many/0.png") == (40, 20)
        missing = sr(*BICUBIC, "s3://bucket/in/", "-o", "s3://no-such-bucket-here/out/")
        assert missing.returncode == 1 and set(missing.error_codes) == {"unwritable-file"}
    finally:
        server.stop()
