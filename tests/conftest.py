"""Shared fixtures: the CLI as a process, small pictures, the test sets where they are."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from faults import Server, serving
from helpers.inprocess import Invoke, invoke
from hypothesis import settings
from PIL import Image

from sr_cli.engine.device import cpu_precisions

# Property tests are about what is true, not about how busy the machine is.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

pytest_plugins = ["manifest_world"]

Run = Callable[..., subprocess.CompletedProcess[bytes]]
REPOSITORY = Path(__file__).resolve().parent.parent
BICUBIC = ("upscale", "-m", "bicubic", "-x2")
needs_bf16 = pytest.mark.skipif(
    "bf16" not in cpu_precisions(), reason="this CPU cannot compute in bf16"
)
SHARED = Path(os.environ.get("SR_SHARED", REPOSITORY.parent / "shared"))


# A shell that starts a job in the background has it ignore SIGINT, and what it starts as well.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Small tensors gain nothing from threads, and a busy machine makes them wait."""
    import torch

    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for the whole session, so that precision is measured once."""
    folder = tmp_path_factory.mktemp("cache")
    os.environ["SR_CACHE"] = str(folder)
    return folder


@pytest.fixture
def sr(tmp_path: Path) -> Run:
    """Run `sr` in a temporary folder; returns code, stdout and stderr as bytes."""

    def run(
        *arguments: str | bytes | Path, **options: object
    ) -> subprocess.CompletedProcess[bytes]:
        # `env` is a mapping of strings among options of any type.
        environment = {**os.environ, **options.pop("env", {})}  # type: ignore[dict-item]
        done = subprocess.run(
            [sys.executable, "-m", "sr_cli", *arguments],
            cwd=options.pop("cwd", tmp_path),
            capture_output=True,
            timeout=240,
            check=False,
            env=environment,
            **options,  # type: ignore[arg-type]
        )
        assert b"Traceback" not in done.stderr, done.stderr.decode(errors="replace")
        return done

    return run


@pytest.fixture
def inprocess(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Invoke:
    """Run `sr` inside this process, in a temporary folder."""
    monkeypatch.chdir(tmp_path)
    return invoke


def smooth(height: int, width: int, *, seed: int = 0, top: int = 255) -> np.ndarray:
    """A colourful picture without hard edges, (h, w, 3)."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    waves = [
        np.sin(y * random.uniform(0.05, 0.3) + x * random.uniform(0.05, 0.3) + random.uniform(0, 6))
        for _ in range(3)
    ]
    picture = (np.dstack(waves) * 0.45 + 0.5) * top
    return picture.astype(np.uint8 if top == 255 else np.uint16)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A small JPEG."""
    path = tmp_path / "photo.jpg"
    Image.fromarray(smooth(24, 32)).save(path, quality=95)
    return path


@pytest.fixture
def originals(tmp_path: Path) -> Path:
    """A folder with three pictures to measure on."""
    folder = tmp_path / "mine"
    folder.mkdir()
    for number in range(3):
        Image.fromarray(smooth(64, 72, seed=number)).save(folder / f"{number}.png")
    return folder


@pytest.fixture(scope="session")
def test_sets() -> Path:
    """The folder with Set5, Set14 and BSD100; skips where it is not."""
    folder = SHARED / "datasets" / "test"
    if not folder.is_dir():
        pytest.skip("the shared test sets are not here")
    return folder


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Eight pictures of 72x80, two of them in a sub-folder."""
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    for number in range(8):
        place = folder / "more" if number > 5 else folder
        Image.fromarray(smooth(72, 80, seed=number)).save(place / f"{number}.png")
    return folder


def picture(path: Path, width: int = 16, height: int = 12) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(smooth(height, width)).save(path)
    return path


def size_of(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        image.load()
        return image.size


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    """A local server; what is fetched from it goes to a cache of its own."""
    from sr_cli.store import transfer

    monkeypatch.setenv("SR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(transfer, "_PAUSE", 0.01)
    monkeypatch.setattr(transfer, "_TIMEOUT", 0.5)
    with serving() as server:
        yield server
