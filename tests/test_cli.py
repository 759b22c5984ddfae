"""`sr` as a stranger uses it: names, folders, streams, options, exit codes."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers import PACKAGE, REPOSITORY
from helpers.command import BICUBIC, Run
from helpers.images import pixels_of, save, size_of
from PIL import Image

from sr_cli import __version__
from sr_cli.networks import model_names


def test_a_trained_network_from_the_package(sr: Run, photo: Path) -> None:
    done = sr("upscale", photo, "--model", "srgan", "-x4", "--json")
    assert done.returncode == 0, done.stderr
    (record,) = done.records
    assert record["model"] == "srgan" and record["device"] == "cpu" and record["tile"] >= 1
    assert record["precision"] in ("fp32", "bf16", "fp16")
    assert size_of(photo.with_name("photo_x4.jpg")) == (128, 96)


def test_the_default_model_and_the_same_bytes_twice(sr: Run, photo: Path) -> None:
    assert sr("upscale", photo, "-o", "a.png").returncode == 0
    assert sr("upscale", photo, "-o", "b.png").returncode == 0
    first = (photo.parent / "a.png").read_bytes()
    assert first == (photo.parent / "b.png").read_bytes()
    assert size_of(photo.parent / "a.png") == (128, 96)


def test_a_remembered_precision_that_cannot_be_read_is_measured_again(
    sr: Run, photo: Path, tmp_path: Path
) -> None:
    remembered = tmp_path / "own" / "precision.json"
    remembered.parent.mkdir()
    remembered.write_text("[1]")
    env = {"SR_CACHE": str(remembered.parent)}
    assert sr("upscale", photo, "-m", "espcn", "-x2", "-o", "a.png", env=env).returncode == 0
    assert set(json.loads(remembered.read_text()).values()) <= {"fp32", "bf16", "fp16"}


@pytest.mark.parametrize(
    ("options", "size"),
    [
        (["-x4"], (64, 48)),
        (["-x", "x3"], (48, 36)),
        (["-x", "2x"], (32, 24)),
        (["-x", "×2"], (32, 24)),
        (["-s", "2.5"], (40, 30)),
        (["--scale", "16"], (256, 192)),
        (["--width", "40"], (40, 30)),
        (["--height", "36"], (48, 36)),
        (["--width", "40", "--height", "24"], (32, 24)),
        (["-x4", "--max-side", "32"], (32, 24)),
        (["-x4", "--max-side", "8"], (8, 6)),
    ],
)
def test_sizes(sr: Run, tmp_path: Path, options: list[str], size: tuple[int, int]) -> None:
    save(tmp_path / "a.png")
    assert sr("upscale", "-m", "bicubic", "a.png", "-o", "b.png", *options).returncode == 0
    assert size_of(tmp_path / "b.png") == size


def test_a_factor_beyond_the_networks_scale_is_said(sr: Run, tmp_path: Path) -> None:
    save(tmp_path / "a.png")
    done = sr("upscale", "a.png", "-m", "espcn-x4", "-x5", "-o", "b.png")
    assert done.returncode == 0
    assert b"applies the x4 network 2 times, then downscales to x5" in done.stderr
    assert size_of(tmp_path / "b.png") == (80, 60)


def test_several_models_are_averaged(sr: Run, tmp_path: Path) -> None:
    save(tmp_path / "a.png")
    for name, models in (("e", ["espcn"]), ("f", ["fsrcnn"]), ("both", ["espcn", "fsrcnn"])):
        flags = [f for m in models for f in ("-m", m)]
        done = sr("upscale", "a.png", "-x2", "-o", f"{name}.png", "--precision", "fp32", *flags)
        assert done.returncode == 0
    e, f, both = (pixels_of(tmp_path / f"{n}.png").astype(float) for n in ("e", "f", "both"))
    inside = (e > 2) & (e < 253) & (f > 2) & (f < 253)
    assert np.abs((e + f) / 2 - both)[inside].max() <= 1.01
    assert (e != f).any()


def test_streams(sr_process: Run, photo: Path, tmp_path: Path) -> None:
    done = sr_process(*BICUBIC, "-", input=photo.read_bytes())
    assert done.returncode == 0
    assert done.stdout[:3] == b"\xff\xd8\xff"
    done = sr_process(*BICUBIC, "-", "-f", "png", "-o", "-", input=photo.read_bytes())
    assert done.stdout[:4] == b"\x89PNG"
    assert sr_process(*BICUBIC, "-", "-o", "x.png", input=photo.read_bytes()).returncode == 0
    assert size_of(tmp_path / "x.png") == (64, 48)


def test_stdout_is_either_an_image_or_json(sr: Run) -> None:
    done = sr(*BICUBIC, "-", "--json")
    assert done.returncode == 2 and done.error_codes == ["conflicting-options"]
    assert done.stdout == b""


def test_globs_suffix_format_and_quality(sr: Run, tmp_path: Path) -> None:
    save(tmp_path / "a1.png", 64, 64)
    save(tmp_path / "a2.png", 64, 64)
    coarse = ("--suffix", "_big", "-f", "jpg", "-q", "30")
    assert sr(*BICUBIC, "a*.png", "-o", "out/", *coarse).returncode == 0
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a1_big.jpg", "a2_big.jpg"]
    assert sr(*BICUBIC, "a1.png", "-o", "fine.jpg").returncode == 0
    assert (tmp_path / "fine.jpg").stat().st_size > (tmp_path / "out/a1_big.jpg").stat().st_size
    with Image.open(tmp_path / "fine.jpg") as made:
        assert made.layer[0][1:3] == (1, 1)  # 4:4:4: luma is not sampled more finely.


def test_compare_writes_a_labelled_sheet(sr: Run, tmp_path: Path) -> None:
    save(tmp_path / "a.png", 80, 60)
    assert sr("upscale", "a.png", "-m", "espcn", "-x4", "--compare").returncode == 0
    width, height = size_of(tmp_path / "a_x4_compare.png")
    assert width == 2 * 320
    assert height > 240
    assert sr("upscale", ".", "-m", "espcn", "-x4", "--dry-run").stdout.count(b" -> ") == 1


def test_a_comparison_is_never_written_over_something(sr: Run, tmp_path: Path) -> None:
    save(tmp_path / "a.png")
    (tmp_path / "a_x2_compare.png").write_bytes(b"mine")
    done = sr(*BICUBIC, "a.png", "--compare")
    assert done.returncode == 1 and done.error_codes == ["already-exists"]
    assert (tmp_path / "a_x2_compare.png").read_bytes() == b"mine"
    save(tmp_path / "c.png")
    save(tmp_path / "c_compare.png")
    done = sr(*BICUBIC, "c.png", "c_compare.png", "-o", "out/", "--compare")
    assert done.returncode == 2 and done.error_codes == ["outputs-collide"]


@pytest.mark.parametrize(
    "environment", [{"LC_ALL": "C", "PYTHONUTF8": "0"}, {"PYTHONIOENCODING": "cp437"}]
)
def test_narrow_code_pages(sr_process: Run, tmp_path: Path, environment: dict[str, str]) -> None:
    save(tmp_path / "smile 😀 ☃.png")
    done = sr_process(*BICUBIC, "smile 😀 ☃.png", env=environment)
    assert done.returncode == 0
    assert sr_process("models", env=environment).returncode == 0
    assert sr_process("upscale", "--help", env=environment).returncode == 0


def test_help_errors_and_version_are_quick_and_load_nothing_heavy() -> None:
    code = """
import sys
import sr_cli.cli.main as m
m.prepare_streams()
for arguments in (["--help"], ["upscale", "--help"], ["upscale", "x", "-x", "99"],
                  ["upscale", "x", "--device", "toaster"], ["--version"], ["models"],
                  ["upscale", "x", "-m", "nope"], ["models", "nope"], ["models", "no.pth"],
                  ["train", "-m", "espcn", "-x2", "--data", "nope"]):
    sys.argv = ["sr", *arguments]
    try:
        m.app()
    except SystemExit:
        pass
    heavy = {"torch", "cv2", "numpy", "PIL"} & set(sys.modules)
    assert not heavy, (arguments, heavy)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


def test_what_an_image_does_not_need_is_not_imported(tmp_path: Path) -> None:
    save(tmp_path / "a.png")
    code = """
import sys
import sr_cli.cli.main as m
m.prepare_streams()
sys.argv = ["sr", "upscale", "-m", "bicubic", "-x2", "a.png"]
try:
    m.app()
except SystemExit as end:
    assert end.code == 0
unused = {
    "torch", "cv2", "pydantic", "rich", "tifffile", "filelock", "asyncio", "http.client", "ssl",
    "PIL.ImageDraw", "PIL.AvifImagePlugin", "sr_cli.cli.train", "sr_cli.cli.benchmark",
    "sr_cli.upscale.clips", "sr_cli.upscale.cluster", "sr_cli.upscale.raster_job",
    "sr_cli.imaging.codecs.tiff", "sr_cli.imaging.codecs.dicom", "sr_cli.imaging.codecs.jxl",
    "sr_cli.imaging.compound.attach",
}
assert not unused & set(sys.modules), unused & set(sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    assert size_of(tmp_path / "a_x2.png") == (32, 24)


def test_upscaling_does_not_import_the_compiler(tmp_path: Path) -> None:
    """torch._dynamo takes as long to import as torch; operations on the meta device import it."""
    code = """
import sys
from PIL import Image
from sr_cli.registry.manifest import load_manifest
from sr_cli import upscale_image
for entry in load_manifest().weights:
    if not entry.url and entry.scale == 4:
        upscale_image(Image.new("RGB", (8, 8)), model=entry.id, scale=4, precision="fp32")
assert not {"torch._dynamo", "sympy"} & set(sys.modules), sorted(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)


def test_ctrl_c_while_the_command_is_imported() -> None:
    code = """
import sys

class Interrupted:
    def find_spec(self, name, *_):
        if name == "sr_cli.cli.main":
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupted())
from sr_cli.__main__ import main
main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 130
    assert done.stderr.split() == [b"interrupted"] and not done.stdout


def test_version_and_module(sr_process: Run) -> None:
    assert sr_process("--version").stdout.decode().strip() == f"sr {__version__}"
    assert b"upscale" in sr_process("--help").stdout


def test_models_lists_every_network(sr: Run) -> None:
    rows = sr("models", "--json", "--verify").document
    assert {row["network"] for row in rows} >= set(model_names())
    for row in rows:
        if row["trained"] and row["network"] != "bicubic":
            assert row["figures"]["Set5 PSNR-Y"] > 20
            assert row["licence"]
    assert sum(row.get("general_default", False) for row in rows) >= 1
    assert b"srgan-x4" in sr("models").stdout


@pytest.mark.parametrize("name", ["espcn", "edsr-baseline", "photo-x4", "srgan", "rcan", "bicubic"])
def test_models_explains_a_network(sr: Run, name: str) -> None:
    found = sr("models", name, "--json").document
    assert found["name"] == name and found["paper"] and found["scales"]
    assert found["channels"] in ("luma", "RGB")
    for weights in found["weights"]:
        assert weights["figures"]["Set5 PSNR-Y"] > 20 and weights["parameters"] > 1000
        assert weights["bytes"] == Path(weights["file"]).stat().st_size
        # RCAN pools over the whole image.
        assert (weights["halo"] is None) == (found["network"] == "rcan")
    assert bool(found["weights"]) == (name != "bicubic")
    told = sr("models", name).stdout.decode()
    assert found["paper"] in told
    assert all(w["id"] in told and str(w["halo"] or "") in told for w in found["weights"])


@pytest.mark.parametrize(
    ("name", "code", "status"),
    [
        ("nope", "unknown-model", 2),
        ("nope.pth", "file-not-found", 2),
        ("espcn+edsr", "chain-not-supported", 1),
        ("", "empty-value", 2),
    ],
)
def test_models_refuses_what_it_does_not_know(sr: Run, name: str, code: str, status: int) -> None:
    done = sr("models", name)
    assert done.returncode == status and done.error_codes == [code]


def test_the_manifest_matches_the_files() -> None:
    document = json.loads((REPOSITORY / "weights_manifest.json").read_text())
    files = {e["file"]: e for e in document["weights"] if not e.get("url")}
    folder = PACKAGE / "registry/files"
    assert {p.name for p in folder.glob("*.safetensors")} == set(files)
    for name, entry in files.items():
        content = (folder / name).read_bytes()
        assert hashlib.sha256(content).hexdigest() == entry["sha256"]
        assert len(content) == entry["bytes"]
    assert sum(e["bytes"] for e in files.values()) < 30e6
