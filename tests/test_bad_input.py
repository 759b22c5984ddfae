"""What bad input gets: one line of error, the right exit code, nothing lost, the next file done."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers import PACKAGE
from helpers.command import BICUBIC, Run
from helpers.images import save
from safetensors.numpy import save as tensors_as_bytes

from sr_cli import (
    BenchmarkOptions,
    EngineOptions,
    Note,
    Pairs,
    RefusedError,
    TrainingRequest,
    benchmark,
    load_model,
    upscale_files,
)
from sr_cli.cli.messages import sentence
from sr_cli.engine.device import cpu_precisions
from sr_cli.engine.options import PRECISION_NAMES
from sr_cli.errors import SrError
from sr_cli.system.files import atomic_write, mib_rounded_up


@pytest.mark.parametrize("name", [n for n in PRECISION_NAMES if n not in cpu_precisions()])
def test_a_precision_that_this_cpu_does_not_support_is_refused(
    sr: Run, photo: Path, name: str
) -> None:
    for command in (
        ("upscale", photo, "-m", "edsr", "-x4"),
        ("benchmark", photo.parent, "-m", "edsr", "-x4"),
        ("train", "-m", "espcn", "-x2", "--data", photo.parent, "-o", "a.safetensors"),
    ):
        done = sr(*command, "--device", "cpu", "--precision", name)
        assert done.returncode == 2 and done.error_codes == ["precision-not-supported"]
        assert name.encode() in done.stderr and b"fp32" in done.stderr
    assert [p.name for p in photo.parent.iterdir()] == [photo.name]


def test_max_pixels_bounds_the_result_too(sr: Run, tmp_path: Path) -> None:
    save(tmp_path / "a.png", 20, 20)
    done = sr(*BICUBIC, "a.png", "--max-pixels", "1600")
    assert done.returncode == 0
    done = sr(*BICUBIC, "a.png", "-y", "--max-pixels", "1599", "--json")
    assert done.returncode == 1
    error = done.records[0]["error"]
    assert error["code"] == "result-too-large"
    assert (error["width"], error["height"], error["total"]) == (40, 40, 1600)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["-m", "nonsense"], "unknown-model", "bicubic"),
        (["-m", "missing.safetensors"], "file-not-found", "missing.safetensors"),
        (["-x", "1"], "out-of-range", "scale 1"),
        (["-x", "0"], "out-of-range", "scale 0"),
        (["-x", "17"], "out-of-range", "scale 17"),
        (["-x", "abc"], "out-of-range", "scale 'abc'"),
        (["-x", "2", "-s", "3"], "conflicting-options", "scale"),
        (["-x2", "--width", "100"], "conflicting-options", "width"),
        (["-t", "-1"], "out-of-range", "tile -1"),
        (["--width", "0"], "out-of-range", "width 0"),
        (["--max-side", "-5"], "out-of-range", "max-side -5"),
        (["--max-pixels", "0"], "out-of-range", "max-pixels 0"),
        (["-q", "101"], "out-of-range", "quality 101"),
        (["-f", "docx"], "unknown-value", "format 'docx'"),
        (["-f", "heic"], "unknown-value", "format 'heic'"),
        (["-o", "x.docx"], "format-not-in-name", "x.docx"),
        (["-o", "x.png", "-f", "jpg"], "format-contradicts-name", "x.png"),
        (["--device", "cuda:9"], "device-not-available", "cuda:9"),
        (["--device", "toaster"], "unknown-value", "device 'toaster'"),
        (["--precision", "int3"], "unknown-value", "precision 'int3'"),
        (["--threads", "100000"], "out-of-range", "threads 100000"),
        (["--threads", "0"], "out-of-range", "threads 0"),
        (["-y", "--skip-existing"], "conflicting-options", "skip-existing"),
        (["--compare", "-o", "-"], "conflicting-options", "compare"),
        (["b.png", "-o", "-"], "one-image-on-stdout", ""),
    ],
)
def test_refused_before_any_image_is_opened(
    sr: Run, tmp_path: Path, arguments: list[str], code: str, said: str
) -> None:
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_text("nobody opens this")
    model = [] if "-m" in arguments else ["-m", "espcn"]
    done = sr("upscale", "a.png", *model, *arguments)
    assert done.returncode == 2, done.stderr
    assert done.error_codes == [code]
    assert said in done.stderr.decode()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.png", "b.png"]


def test_an_unknown_option_is_refused(sr: Run) -> None:
    done = sr("upscale", "a.png", "--nonsense")
    assert done.returncode == 2 and b"--nonsense" in done.stderr


def test_scales_without_weights_are_refused(sr: Run, tmp_path: Path) -> None:
    save(tmp_path / "a.png")
    done = sr("upscale", "a.png", "-m", "edsr-x9")
    assert done.returncode == 2 and done.error_codes == ["no-weights"]
    assert b"trained scales: x2, x3, x4" in done.stderr


def test_colliding_names_are_refused(sr: Run, tmp_path: Path) -> None:
    for name in ("a/x.png", "b/x.png", "x.jpg", "x.png"):
        save(tmp_path / name)
    for arguments in (["a/x.png", "b/x.png", "-o", "out/"], ["x.jpg", "x.png", "-f", "webp"]):
        done = sr(*BICUBIC, *arguments)
        assert done.returncode == 2 and done.error_codes == ["outputs-collide"]
    done = sr(*BICUBIC, "x.png", "a/x.png", "-o", "a/", "-y")
    assert done.returncode == 2 and done.error_codes == ["output-is-an-input"]


def test_folders_and_places(sr: Run, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    save(tmp_path / "a.png")
    done = sr(*BICUBIC, "empty")
    assert done.returncode == 1 and done.error_codes == ["no-images-in-folder"]
    assert b"-r searches" in done.stderr
    assert b"-r searches" not in sr(*BICUBIC, "empty", "-r").stderr
    done = sr(*BICUBIC, "*.webp")
    assert done.returncode == 1 and done.error_codes == ["no-images-match"]
    done = sr(*BICUBIC, "a.png", "empty", "-o", "a.png")
    assert done.returncode == 2 and done.error_codes == ["output-not-a-folder"]
    done = sr(*BICUBIC, "a.png", "-o", "a.png/x.png")
    assert done.returncode == 1 and done.error_codes == ["unwritable-file"]
    # What lies in /proc may be an open file of this process.
    done = sr(*BICUBIC, "a.png", "-o", "/proc/nowhere/x.png")
    assert done.returncode == 1 and done.error_codes == ["not-a-regular-file"]


def test_a_result_that_clearly_does_not_fit_is_not_begun(
    sr: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path / "a.png")
    usage = shutil.disk_usage(tmp_path)._replace(free=100)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    done = sr(*BICUBIC, "a.png")
    assert done.returncode == 1 and done.error_codes == ["disk-full"]


def test_a_full_disk_keeps_what_was_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    target = tmp_path / "a.png"
    target.write_bytes(b"before")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SrError) as caught, atomic_write(target) as file:
        file.write(b"after")
    assert caught.value.code == "unwritable-file"
    assert caught.value.facts == {"reason": "No space left on device"}
    assert target.read_bytes() == b"before"
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


class Hostile:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch executed",)


def test_bad_checkpoints_never_execute(sr: Run, tmp_path: Path) -> None:
    save(tmp_path / "a.png")
    (shipped,) = (PACKAGE / "registry/files").glob("espcn-x4*")
    good = shipped.read_bytes()
    length = int.from_bytes(good[:8], "little")
    header = json.loads(good[8 : 8 + length])
    described = json.loads(header["__metadata__"]["sr"])
    other = {"sr": json.dumps({**described, "model": "fsrcnn", "config": {}})}
    weights = {"layers.0.weight": np.zeros((64, 1, 5, 5), np.float32)}
    bad = {
        "junk.safetensors": (b"\1\2\3 junk", "unreadable-checkpoint"),
        "cut.safetensors": (good[:-1000], "unreadable-checkpoint"),
        "huge.safetensors": ((2**62).to_bytes(8, "little") + b"{}", "unreadable-checkpoint"),
        "plain.safetensors": (tensors_as_bytes(weights), "unknown-architecture"),
        "other.safetensors": (tensors_as_bytes(weights, metadata=other), "tensor-mismatch"),
        "some.safetensors": (
            tensors_as_bytes(weights, metadata={"sr": json.dumps(described)}),
            "tensor-mismatch",
        ),
        "hostile.pth": (pickle.dumps(Hostile()), "unreadable-checkpoint"),
        "hostile.safetensors": (pickle.dumps(Hostile()), "unreadable-checkpoint"),
    }
    for name, (content, code) in bad.items():
        (tmp_path / name).write_bytes(content)
        done = sr("upscale", "a.png", "-m", name)
        assert done.returncode == 1, (name, done.stderr)
        assert done.error_codes == [code], (name, done.stderr)
        assert name.encode() in done.stderr
    assert b"missing: layers.0.bias" in sr("upscale", "a.png", "-m", "some.safetensors").stderr
    assert not (tmp_path / "executed").exists()
    assert not (tmp_path / "a_x4.png").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ("upscale", ""),
        ("upscale", "a.png", "-o", ""),
        ("upscale", "a.png", "-m", ""),
        ("upscale", "a.png", "-x", ""),
        ("upscale", "a.png", "-f", ""),
        ("train", "-m", "espcn", "-x2", "--data", ""),
        ("train", "-m", "espcn", "-x2", "--data", ".", "--val", ""),
        ("train", "-m", "espcn", "-x2", "--data", ".", "-o", ""),
        ("train", "--recipe", "", "--data", "."),
        ("benchmark", ""),
        ("benchmark", "--hr", "", "--lr", "."),
        ("benchmark", "--data-dir", ""),
        ("benchmark", "--save", ""),
        ("download-weights", ""),
        ("models", ""),
        ("models", "--of", ""),
    ],
)
def test_empty_values_are_refused(sr: Run, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    save(tmp_path / "a.png")
    done = sr(*arguments)
    assert done.returncode == 2 and done.error_codes == ["empty-value"]
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


def test_an_empty_suffix_says_something(sr: Run, tmp_path: Path) -> None:
    save(tmp_path / "a.png")
    assert sr(*BICUBIC, "a.png", "-o", "out/", "--suffix", "").returncode == 0
    assert (tmp_path / "out/a.png").exists()


@pytest.mark.parametrize(("inputs", "output"), [("", None), (["a.png", ""], None), ("a.png", "")])
def test_empty_paths_are_refused_in_python(inputs: str | list[str], output: str | None) -> None:
    with pytest.raises(RefusedError) as caught:
        upscale_files(inputs, output, model="bicubic", scale=2)
    assert caught.value.code == "empty-value"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_as_an_input_does_not_block(sr: Run, tmp_path: Path) -> None:
    save(tmp_path / "in/a.png")
    os.mkfifo(tmp_path / "in/pipe.png")
    done = sr(*BICUBIC, "in/pipe.png", "in/a.png", "-o", "out/")
    assert done.returncode == 1 and done.error_codes == ["not-a-regular-file"]
    assert (tmp_path / "out/a.png").exists()
    done = sr(*BICUBIC, "in", "--json")
    assert done.returncode == 0 and done.records[0]["other"] == 1
    trained = sr("train", "-m", "espcn", "-x2", "--data", "in/pipe.png", "-o", "x.safetensors")
    assert trained.error_codes == ["path-not-found"]
    assert sr("models", "in/pipe.png").error_codes == ["unknown-model"]
    assert sr("models", "--of", "in/pipe.png").error_codes == ["not-a-regular-file"]


def test_an_error_is_one_line_whatever_it_names(sr: Run) -> None:
    done = sr(*BICUBIC, "a\nb\x1b.png")
    assert done.error_codes == ["path-not-found"]
    assert done.stderr.count(b"\n") == 1 and b"\x1b" not in done.stderr


def test_what_is_needed_on_the_disk_is_never_nothing() -> None:
    assert [mib_rounded_up(n) for n in (1, 1 << 20, (1 << 20) + 1)] == [1, 1, 2]


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: TrainingRequest(data="photos"), "data"),
        (lambda: TrainingRequest(data=["a"], steps="5"), "steps"),
        (lambda: TrainingRequest(data=["a"], seconds=True), "seconds"),
        (lambda: TrainingRequest(data=[3]), "data"),
        (lambda: TrainingRequest(data=["a"], output=3), "output"),
        (lambda: Pairs("hr", Path("lr")), "hr"),
        (lambda: benchmark(["x"], options=BenchmarkOptions(rgb="yes")), "rgb"),
        (lambda: benchmark(["x"], options=BenchmarkOptions(save="out")), "save"),
        (lambda: benchmark(["x"], options=BenchmarkOptions(degradations="noise")), "degradations"),
        (
            lambda: benchmark(["x"], options=BenchmarkOptions(engine=EngineOptions(threads="2"))),
            "engine.threads",
        ),
    ],
)
def test_requests_of_the_wrong_types_are_refused(make: Callable[[], object], field: str) -> None:
    with pytest.raises(RefusedError) as caught:
        make()
    assert caught.value.code == "invalid-request" and caught.value.subject == field
    assert sentence(caught.value)


def test_requests_take_numbers_of_numpy() -> None:
    request = TrainingRequest(data=("a", Path("b")), steps=np.int64(5), save_seconds=1)
    assert request.steps == 5


def test_bicubic_at_a_scale_that_it_does_not_have() -> None:
    with pytest.raises(SrError) as caught:
        load_model("bicubic", scale=7)
    assert caught.value.code == "scale-not-available"
    assert caught.value.facts == {"scale": 7, "available": [2, 3, 4]}


def test_notes_can_be_in_a_set() -> None:
    note = Note("metadata-dropped", {"block": "IPTC"})
    assert len({note, Note("metadata-dropped", {"block": "IPTC"}), Note("metadata-dropped")}) == 2
