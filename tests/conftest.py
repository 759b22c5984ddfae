"""Shared fixtures: `sr` as a command, small images, a server, the test sets where they are."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import SHARED
from helpers.command import Argument, Outcome, Run, run_in_process, run_process
from helpers.dask import dask_cluster
from helpers.images import save, smooth
from helpers.server import Server, serving
from helpers.world import World, small_world
from hypothesis import settings
from PIL import Image

from sr_cli.engine.device import pick_precision
from sr_cli.store import transfer

# Property tests are about what is true, not about how busy the machine is.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

# A shell that starts a job in the background has it ignore SIGINT, and what it starts as well.
signal.signal(signal.SIGINT, signal.default_int_handler)


# The releases of PyAV that convert colours exactly need Python 3.11.
collect_ignore_glob = ["test_video*.py"] if sys.version_info < (3, 11) else []


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Small tensors gain nothing from threads, and a busy machine makes them wait."""
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, _one_thread: None) -> Path:
    """One cache for the whole session, in which the precision is measured once."""
    folder = tmp_path_factory.mktemp("cache")
    os.environ["SR_CACHE"] = str(folder)
    pick_precision(torch.device("cpu"))
    return folder


@pytest.fixture
def sr(tmp_path: Path) -> Run:
    """Run `sr` in a temporary folder, inside this process: `sr(*arguments, env=, cwd=, input=)`."""
    return _in(tmp_path, run_in_process)


@pytest.fixture
def sr_process(tmp_path: Path) -> Run:
    """As `sr`, but a real process: for streams, signals, start-up, exit and memory."""
    return _in(tmp_path, run_process)


def _in(folder: Path, run: Run) -> Run:
    def there(*arguments: Argument, cwd: Path = folder, **options: Any) -> Outcome:
        return run(*arguments, cwd=cwd, **options)

    return there


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A small JPEG."""
    path = tmp_path / "photo.jpg"
    Image.fromarray(smooth(24, 32)).save(path, quality=95)
    return path


@pytest.fixture
def originals(tmp_path: Path) -> Path:
    """A folder with three images to measure on."""
    for number in range(3):
        save(tmp_path / f"mine/{number}.png", 72, 64, seed=number)
    return tmp_path / "mine"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Eight images of 72x80, two of them in a sub-folder."""
    for number in range(8):
        place = "more/" if number > 5 else ""
        save(tmp_path / f"photos/{place}{number}.png", 80, 72, seed=number)
    return tmp_path / "photos"


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


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a scheduler with two workers."""
    with dask_cluster(tmp_path_factory.mktemp("dask")) as address:
        yield address


@pytest.fixture(scope="session")
def test_sets() -> Path:
    """The folder with Set5, Set14 and BSD100; skips where it is not."""
    folder = SHARED / "datasets" / "test"
    if not folder.is_dir():
        pytest.skip("the shared test sets are not here")
    return folder


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    """A local server; what is fetched from it goes to a cache of its own."""
    monkeypatch.setenv("SR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(transfer, "_PAUSE", 0.01)
    monkeypatch.setattr(transfer, "_TIMEOUT", 0.5)
    with serving() as server:
        yield server


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[World]:
    """A manifest of three small checkpoints, the server that has them, and a cache."""
    monkeypatch.setattr(transfer, "_PAUSE", 0.01)
    with small_world(tmp_path) as world:
        yield world
