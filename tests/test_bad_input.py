"""What bad input gets: one line of error, the right exit code, nothing lost, the next file done."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from conftest import Run, smooth
from PIL import Image

from sr_cli.engine.device import cpu_precisions
from sr_cli.engine.options import PRECISION_NAMES
from sr_cli.errors import SrError

BICUBIC = ("upscale", "-m", "bicubic", "-x2")


@pytest.mark.parametrize("name", [n for n in PRECISION_NAMES if n not in cpu_precisions()])
def test_a_precision_that_this_cpu_has_not_is_refused(sr: Run, photo: Path, name: str) -> None:
    for command in (
        ("upscale", photo, "-m", "edsr", "-x4"),
        ("benchmark", photo.parent, "-m", "edsr", "-x4"),
        ("train", "-m", "espcn", "-x2", "--data", photo.parent, "-o", "a.safetensors"),
    ):
        done = sr(*command, "--device", "cpu", "--precision", name)
        assert done.returncode == 2
        assert f"this CPU cannot compute in {name}".encode() in done.stderr
        assert b"fp32" in done.stderr
    assert [p.name for p in photo.parent.iterdir()] == [photo.name]


def test_max_pixels_bounds_the_result_too(sr: Run, tmp_path: Path) -> None:
    Image.fromarray(smooth(20, 20)).save(tmp_path / "a.png")
    done = sr(*BICUBIC, "a.png", "--max-pixels", "1000")
    assert done.returncode == 1
    assert b"the result would be 40x40" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-m", "nonsense"], "known: bicubic"),
        (["-m", "missing.safetensors"], "no such checkpoint"),
        (["-x", "1"], "scale '1' is out of range"),
        (["-x", "0"], "out of range"),
        (["-x", "17"], "out of range"),
        (["-x", "abc"], "out of range"),
        (["-x", "2", "-s", "3"], "scale given twice"),
        (["-x2", "--width", "100"], "contradict"),
        (["-t", "0"], "--tile 0: must be at least 1"),
        (["--width", "0"], "--width 0"),
        (["--max-side", "-5"], "--max-side -5"),
        (["-q", "101"], "quality 101"),
        (["-f", "docx"], "cannot be written"),
        (["-f", "heic"], "cannot be written"),
        (["-o", "x.docx"], "no format that can be written"),
        (["-o", "x.png", "-f", "jpg"], "contradict"),
        (["--device", "cuda:9"], "no device 'cuda:9'"),
        (["--device", "toaster"], "no device 'toaster'"),
        (["--precision", "int3"], "unknown precision"),
        (["--threads", "100000"], "at most 1024"),
        (["--nonsense"], "No such option"),
        (["-y", "--skip-existing"], "contradict"),
    ],
)
def test_refused_before_any_picture_is_opened(
    sr: Run, tmp_path: Path, arguments: list[str], said: str
) -> None:
    Image.fromarray(smooth(9, 9)).save(tmp_path / "a.png")
    model = [] if "-m" in arguments else ["-m", "espcn"]
    done = sr("upscale", "a.png", *model, *arguments)
    assert done.returncode == 2, done.stderr
    assert said.encode() in done.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


def test_untrained_networks_are_refused(sr: Run, tmp_path: Path) -> None:
    Image.fromarray(smooth(9, 9)).save(tmp_path / "a.png")
    done = sr("upscale", "a.png", "-m", "espcn-x7")
    assert done.returncode == 2
    assert b"no trained weights" in done.stderr and b"x2, x3, x4" in done.stderr


def test_colliding_names_are_refused(sr: Run, tmp_path: Path) -> None:
    for name in ("a/x.png", "b/x.png", "x.jpg", "x.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(smooth(9, 9)).save(tmp_path / name)
    for arguments in (["a/x.png", "b/x.png", "-o", "out/"], ["x.jpg", "x.png", "-f", "webp"]):
        done = sr(*BICUBIC, *arguments)
        assert done.returncode == 2
        assert b"would both become" in done.stderr
    done = sr(*BICUBIC, "x.png", "a/x.png", "-o", "a/", "-y")
    assert done.returncode == 2
    assert b"itself an input" in done.stderr


def test_folders_and_places(sr: Run, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    Image.fromarray(smooth(9, 9)).save(tmp_path / "a.png")
    done = sr(*BICUBIC, "empty")
    assert done.returncode == 1
    assert b"no pictures in this folder" in done.stderr
    done = sr(*BICUBIC, "a.png", "empty", "-o", "a.png")
    assert done.returncode == 2
    assert b"several results need a folder" in done.stderr
    assert sr(*BICUBIC, "a.png", "-o", "a.png/x.png").returncode == 1
    assert sr(*BICUBIC, "a.png", "-o", "/proc/nowhere/x.png").returncode == 1


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs Linux")
def test_a_full_disk_keeps_what_was_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from sr_cli.system.files import atomic_write

    target = tmp_path / "a.png"
    target.write_bytes(b"before")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SrError, match="No space left"), atomic_write(target) as file:
        file.write(b"after")
    assert target.read_bytes() == b"before"
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


class Hostile:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch executed",)


def test_bad_checkpoints_never_execute(sr: Run, tmp_path: Path) -> None:
    from safetensors.numpy import save

    Image.fromarray(smooth(9, 9)).save(tmp_path / "a.png")
    good = next(
        (Path(__file__).parent.parent / "sr_cli/registry/files").glob("espcn-x4*")
    ).read_bytes()
    length = int.from_bytes(good[:8], "little")
    header = json.loads(good[8 : 8 + length])
    described = json.loads(header["__metadata__"]["sr"])
    other = {"sr": json.dumps({**described, "model": "fsrcnn", "config": {}})}
    weights = {"layers.0.weight": np.zeros((64, 1, 5, 5), np.float32)}
    files = {
        "junk.safetensors": b"\1\2\3 junk",
        "cut.safetensors": good[:-1000],
        "huge.safetensors": (2**62).to_bytes(8, "little") + b"{}",
        "plain.safetensors": save(weights),
        "other.safetensors": save(weights, metadata=other),
        "some.safetensors": save(weights, metadata={"sr": json.dumps(described)}),
        "hostile.pth": pickle.dumps(Hostile()),
        "hostile.safetensors": pickle.dumps(Hostile()),
    }
    said = {
        "plain.safetensors": b"not a kind of network that is known",
        "other.safetensors": b"its tensors are not those of fsrcnn",
        "some.safetensors": b"missing layers.0.bias",
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
        done = sr("upscale", "a.png", "-m", name)
        assert done.returncode == 1, (name, done.stderr)
        assert name.encode() in done.stderr
        assert said.get(name, b"") in done.stderr
    assert not (tmp_path / "executed").exists()
    assert not (tmp_path / "a_x4.png").exists()
