"""A manifest of the user's own: what it may hold, and what it must not take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from helpers.command import Run
from helpers.images import save
from helpers.world import World

from sr_cli.errors import RefusedError, SrError
from sr_cli.registry import manifest as manifest_module
from sr_cli.registry.manifest import as_json, load_manifest, parse_manifest, read_manifest


def test_ones_own_manifest_serves_m_too(sr: Run, world: World, tmp_path: Path) -> None:
    save(tmp_path / "a.png")
    done = sr("upscale", "a.png", "-m", "second", "--download", env=world.own)
    assert done.returncode == 0, done.stderr.decode()
    listed = sr("download-weights", "--json", env=world.own).document
    assert {"first-x2", "edsr-full-x4"} <= {row["id"] for row in listed}
    gone = sr("models", env=world.env | {"SR_MANIFEST": "nothing.json"})
    assert gone.returncode == 2 and gone.error_codes == ["unreadable-file"]
    assert b"nothing.json" in gone.stderr


def test_an_entry_of_ones_own_goes_before_the_installed_one(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.change(id="espcn-x2", network="espcn", default=True)
    monkeypatch.setenv("SR_MANIFEST", str(world.manifest))
    merged = load_manifest()
    found = [e for e in merged.weights if e.id == "espcn-x2"]
    assert [e.url for e in found] == ["https://example.org/first-x2.safetensors"]
    monkeypatch.delenv("SR_MANIFEST")
    assert merged.general == load_manifest().general
    assert len(merged.weights) == len(load_manifest().weights) + 2


def test_a_manifests_files_replace_no_others(sr: Run, world: World) -> None:
    world.change(file="srgan-x4.safetensors")
    assert sr("models", env=world.own).returncode == 0
    world.change(file="RealESRGAN_x4plus.pth")
    done = sr("models", env=world.own)
    assert done.returncode == 2 and done.error_codes == ["manifest-file-conflict"]
    assert b"realesrgan-x4" in done.stderr
    done = sr("download-weights", "first-x2", "--manifest", world.manifest, env=world.env)
    assert done.returncode == 2 and done.error_codes == ["manifest-file-conflict"]


def test_a_manifest_may_point_to_this_machine(sr: Run, world: World, tmp_path: Path) -> None:
    (tmp_path / "copy.safetensors").write_bytes(world.content["first-x2"])
    world.change(url=str(tmp_path / "copy.safetensors"))
    offline = world.env | {"SR_OFFLINE": "1"}
    done = sr("download-weights", "--manifest", world.manifest, "first-x2", env=offline)
    assert done.returncode == 0, done.stderr.decode()
    assert (world.cached / "first-x2.safetensors").exists() and not world.server.requests


def test_a_manifest_may_hold_checkpoints_of_sr_train(sr: Run, world: World, tmp_path: Path) -> None:
    save(tmp_path / "a.png")
    espcn = load_manifest().by_id("espcn-x2")
    assert espcn is not None
    world.change(url=str(espcn.path), bytes=espcn.bytes, sha256=espcn.sha256, licence="[/MIT]")
    assert sr("download-weights", "first-x2", env=world.own).returncode == 0
    assert b"[/MIT]" in sr("models", env=world.own).stdout
    for name in ("first", "espcn"):
        output = ("-o", f"{name}.png", "--strip")
        done = sr("upscale", "a.png", "-m", name, "-x2", *output, env=world.own)
        assert done.returncode == 0, done.stderr.decode()
    assert (tmp_path / "first.png").read_bytes() == (tmp_path / "espcn.png").read_bytes()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"id": 5}, "$.weights[0].id"),
        ({"url": 5}, "$.weights[0].url"),
        ({"bytes": "10"}, "$.weights[0].bytes"),
        ({"bytes": -1}, "$.weights[0].bytes"),
        ({"scale": 17}, "$.weights[0].scale"),
        ({"scale": 0}, "$.weights[0].scale"),
        ({"licence": None}, "$.weights[0].licence"),
        ({"accept": "no"}, "$.weights[0].accept"),
        ({"file": ".."}, "$.weights[0].file"),
        ({"file": "a/b"}, "$.weights[0].file"),
        ({"sha256": "A" * 64}, "$.weights[0].sha256"),
        ({"figures": {"Set5 PSNR-Y": "30"}}, "$.weights[0].figures"),
        ({"colour": "red"}, "colour"),
        ({"file": "second-x2.safetensors"}, "another entry"),
        ({"id": "first-x3"}, "-x2"),
        ({"id": "second-x2"}, "twice"),
        ({"url": "ftp://example.org/a"}, "ftp"),
        ({"url": "hf://owner/repo@main/a.pth"}, "@commit"),
        ({"url": f"hf://owner/repo@{'0' * 40}/a.pth", "sha256": None}, "sha256"),
        ({"url": "http://example.org/a.pth", "sha256": None}, "no sha256"),
        ({"url": "/somewhere/a.pth", "bytes": None}, "no sha256 or size"),
        ({"url": "", "sha256": None}, "no sha256"),
    ],
)
def test_a_manifest_is_checked_field_by_field(
    world: World, change: dict[str, Any], said: str
) -> None:
    world.change(**change)
    with pytest.raises(RefusedError) as caught:
        read_manifest(world.manifest)
    assert caught.value.code == "invalid-manifest"
    assert caught.value.subject == str(world.manifest)
    assert said in caught.value.facts["reason"]


@pytest.mark.parametrize(
    "change",
    [
        {"url": f"hf://owner/repo@{'0' * 40}/a.pth"},
        {"url": "http://example.org/a.pth"},
        {"url": "https://example.org/a.pth", "sha256": None, "bytes": None},
        {"scale": 16, "id": "first-x16"},
        {"file": "x.y-z 1.pth"},
    ],
)
def test_what_a_manifest_may_say(world: World, change: dict[str, Any]) -> None:
    world.change(**change)
    assert len(read_manifest(world.manifest).weights) == 3


def test_a_manifest_that_is_refused_is_one_error(sr: Run, world: World) -> None:
    world.change(bytes=-1)
    for command in (["models"], ["download-weights", "--manifest", world.manifest, "--json"]):
        done = sr(*command, env=world.own)
        assert done.returncode == 2 and done.error_codes == ["invalid-manifest"]
        assert done.stdout == b""


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        '{"schema": 99, "weights": [], "general": "x"}',
        '{"schema": 2, "weights": [{}], "general": "x"}',
        "[" * 100_000,
    ],
)
def test_a_malformed_manifest_is_an_error(text: str) -> None:
    with pytest.raises(SrError) as caught:
        parse_manifest(text, "m.json")
    assert (caught.value.code, caught.value.subject) == ("invalid-manifest", "m.json")


def test_a_manifest_comes_back_as_it_was_written(tmp_path: Path) -> None:
    installed = load_manifest()
    assert parse_manifest(as_json(installed), "again") == installed
    (tmp_path / "with_a_mark.json").write_text("\ufeff" + as_json(installed), encoding="utf-8")
    assert read_manifest(tmp_path / "with_a_mark.json") == installed
    (tmp_path / "bad.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RefusedError) as caught:
        read_manifest(tmp_path / "bad.json")
    assert caught.value.code == "unreadable-file"


def test_an_installation_without_its_manifest_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "site" / "sr_cli"
    package.mkdir(parents=True)
    monkeypatch.setattr(manifest_module, "_PACKAGE", package)
    read = manifest_module.installed_manifest.__wrapped__
    with pytest.raises(SrError) as caught:
        read()
    assert (caught.value.code, caught.value.hint) == ("invalid-manifest", "reinstall")
    installed = load_manifest()
    for place in (package.parent, package):
        (place / "weights_manifest.json").write_text(as_json(installed), encoding="utf-8")
        assert read() == installed
        (place / "weights_manifest.json").unlink()
    (package / "weights_manifest.json").write_text(as_json(installed), encoding="utf-8")
    (package.parent / "weights_manifest.json").write_text("of another program")
    assert read() == installed


def test_families() -> None:
    manifest = load_manifest()
    assert [e.id for e in manifest.family("edsr")] == [f"edsr-baseline-x{s}" for s in (2, 3, 4)]
    assert manifest.family("edsr-baseline") == manifest.family("edsr")
    assert manifest.family("nothing") == []
    assert manifest.by_id("nothing-x2") is None
    entry = manifest.by_id("espcn-x3")
    assert entry is not None and entry.family == "espcn" and entry.is_available
    assert not any(e.url for e in manifest.embedded) and all(e.url for e in manifest.public)
    assert len(manifest.embedded) + len(manifest.public) == len(manifest.weights)
