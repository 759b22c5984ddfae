"""A manifest of the user's own: what it may hold, and what it must not take."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import Run, smooth
from manifest_world import World, fetch
from PIL import Image

from sr_cli.registry.manifest import load_manifest


def test_ones_own_manifest_serves_m_too(sr: Run, world: World, tmp_path: Path) -> None:
    Image.fromarray(smooth(20, 24)).save(tmp_path / "a.png")
    env = world.env | {"SR_MANIFEST": str(world.manifest)}
    done = sr("upscale", "a.png", "-m", "second", "--download", env=env)
    assert done.returncode == 0, done.stderr.decode()
    listed = json.loads(sr("download-weights", "--json", env=env).stdout)
    assert {"first-x2", "edsr-full-x4"} <= {row["id"] for row in listed}
    gone = sr("models", env=world.env | {"SR_MANIFEST": "nothing.json"})
    assert gone.returncode == 2 and b"nothing.json" in gone.stderr


def test_a_manifests_files_replace_no_others(sr: Run, world: World) -> None:
    document = json.loads(world.manifest.read_text())
    env = world.env | {"SR_MANIFEST": str(world.manifest)}
    for file, code in (("srgan-x4.safetensors", 0), ("RealESRGAN_x4plus.pth", 2)):
        document["weights"][0]["file"] = file
        world.manifest.write_text(json.dumps(document))
        done = sr("models", env=env)
        assert done.returncode == code, done.stderr.decode()
    assert b"error[manifest-file-taken]" in done.stderr


def test_a_manifest_may_point_to_this_machine(sr: Run, world: World, tmp_path: Path) -> None:
    (tmp_path / "copy.safetensors").write_bytes(world.content["first-x2"])
    document = json.loads(world.manifest.read_text())
    document["weights"][0]["url"] = str(tmp_path / "copy.safetensors")
    world.manifest.write_text(json.dumps(document))
    offline = world.env | {"SR_OFFLINE": "1"}
    done = sr("download-weights", "--manifest", world.manifest, "first-x2", env=offline)
    assert done.returncode == 0, done.stderr.decode()
    assert (world.cached / "first-x2.safetensors").exists() and not world.server.requests


def test_a_manifest_may_hold_checkpoints_of_sr_train(sr: Run, world: World, tmp_path: Path) -> None:
    Image.fromarray(smooth(20, 24)).save(tmp_path / "a.png")
    espcn = load_manifest().by_id("espcn-x2")
    assert espcn is not None
    document = json.loads(world.manifest.read_text())
    document["weights"][0] |= {
        "url": str(espcn.path), "bytes": espcn.bytes, "sha256": espcn.sha256,
        "licence": "[/MIT]",
    }  # fmt: skip
    world.manifest.write_text(json.dumps(document))
    env = world.env | {"SR_MANIFEST": str(world.manifest)}
    assert sr("download-weights", "first-x2", env=env).returncode == 0
    assert b"[/MIT]" in sr("models", env=env).stdout
    for name in ("first", "espcn"):
        done = sr("upscale", "a.png", "-m", name, "-x2", "-o", f"{name}.png", env=env)
        assert done.returncode == 0, done.stderr.decode()
    assert (tmp_path / "first.png").read_bytes() == (tmp_path / "espcn.png").read_bytes()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"id": 5}, "a table with an id"),
        ({"url": 5}, "wrong type"),
        ({"bytes": "10"}, "wrong type"),
        ({"bytes": -1}, "-1 bytes"),
        ({"licence": None}, "wrong type"),
        ({"accept": "no"}, "wrong type"),
        ({"file": ".."}, "plain name"),
        ({"file": "second-x2.safetensors"}, "another entry"),
        ({"sha256": "A" * 64}, "sha256"),
        ({"id": "first-x3"}, "does not end in"),
        ({"id": "second-x2"}, "twice"),
        ({"url": "ftp://example.org/a"}, "ftp"),
        ({"url": "hf://owner/repo@main/a.pth"}, "@commit"),
        ({"figures": {"Set5 PSNR-Y": "30"}}, "not numbers"),
        ({"colour": "red"}, "unknown field 'colour'"),
    ],
)
def test_a_manifest_is_checked_field_by_field(
    sr: Run, world: World, change: dict[str, object], said: str
) -> None:
    document = json.loads(world.manifest.read_text())
    document["weights"][0] |= change
    world.manifest.write_text(json.dumps(document))
    done = fetch(sr, world, "--json")
    assert done.returncode == 2 and said in done.stderr.decode().replace("\n", " ")


def test_a_manifest_does_not_take_the_file_of_installed_weights(sr: Run, world: World) -> None:
    installed = next(e for e in load_manifest().weights if e.url)
    document = json.loads(world.manifest.read_text())
    document["weights"][0]["file"] = installed.file
    world.manifest.write_text(json.dumps(document))
    done = fetch(sr, world, "first-x2")
    assert done.returncode == 2 and installed.id.encode() in done.stderr
