"""`sr download-weights` through the CLI against a local server, and what -m does then."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from conftest import REPOSITORY, Run, smooth
from faults import Server, cut, serving, status, wrong
from PIL import Image
from safetensors.torch import save
from test_foreign import compact


@dataclass
class World:
    """A manifest of three small checkpoints, the server that has them, and a cache."""

    server: Server
    manifest: Path
    env: dict[str, str]
    content: dict[str, bytes] = field(default_factory=dict)

    @property
    def cached(self) -> Path:
        return Path(self.env["SR_CACHE"]) / "weights"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with serving() as server:
        manifest = tmp_path / "manifest.json"
        env = {"SR_CACHE": str(tmp_path / "cache"), "SR_MIRROR": server.url}
        world = World(server, manifest, env)
        entries = []
        for number, name in enumerate(("first-x2", "second-x2", "third-x2")):
            content = save(compact(2, seed=number))
            world.content[name] = content
            server.put(f"/example.org/{name}.safetensors", content)
            entries.append(
                {
                    "id": name, "network": name[:-3], "scale": 2, "file": f"{name}.safetensors",
                    "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest(),
                    "parameters": 0, "licence": "CC BY-NC 4.0" if number == 2 else "MIT",
                    "default": False, "accept": number == 2, "architecture": "compact",
                    "url": f"https://example.org/{name}.safetensors",
                }
            )  # fmt: skip
        manifest.write_text(json.dumps({"schema": 2, "general": "first", "weights": entries}))
        yield world


def fetch(sr: Run, world: World, *arguments: str) -> object:
    return sr("download-weights", "--manifest", world.manifest, *arguments, env=world.env)


def test_the_list_says_what_there_is(sr: Run, world: World) -> None:
    done = fetch(sr, world)
    assert done.returncode == 0 and b"first-x2" in done.stdout and b"to be accepted" in done.stdout
    rows = json.loads(fetch(sr, world, "--json").stdout)
    assert [r["cached"] for r in rows] == [False] * 3 and rows[0]["licence"] == "MIT"
    assert not world.server.requests


def test_several_are_fetched_and_kept(sr: Run, world: World) -> None:
    world.server.faults["/example.org/first-x2.safetensors"] = [cut(500), status(503)]
    done = fetch(sr, world, "first-x2", "second-x2")
    assert done.returncode == 0, done.stderr.decode()
    for name in ("first-x2", "second-x2"):
        assert (world.cached / f"{name}.safetensors").read_bytes() == world.content[name]
    asked = len(world.server.requests)
    again = fetch(sr, world, "first-x2", "--json")
    assert len(world.server.requests) == asked
    assert json.loads(again.stdout)[0]["cached"] is True


def test_wrong_bytes_fail_alone(sr: Run, world: World) -> None:
    world.server.faults["/example.org/first-x2.safetensors"] = [wrong]
    done = fetch(sr, world, "first-x2", "second-x2")
    assert done.returncode == 1 and b"first-x2" in done.stderr and b"not the content" in done.stderr
    assert not (world.cached / "first-x2.safetensors").exists()
    assert (world.cached / "second-x2.safetensors").exists()


def test_a_licence_that_forbids_things_is_asked_for(sr: Run, world: World) -> None:
    refused = fetch(sr, world, "third-x2")
    assert refused.returncode == 2 and b"CC BY-NC 4.0" in refused.stderr
    assert not world.server.requests
    assert fetch(sr, world, "third-x2", "--accept-license").returncode == 0
    assert fetch(sr, world, "third-x2").returncode == 0


def test_verify_refetches_and_prune_removes(sr: Run, world: World) -> None:
    assert fetch(sr, world, "first-x2").returncode == 0
    file = world.cached / "first-x2.safetensors"
    file.write_bytes(b"tampered with".ljust(len(world.content["first-x2"]), b"."))
    assert fetch(sr, world, "--verify").returncode == 0
    assert file.read_bytes() == world.content["first-x2"]
    assert not (world.cached / "second-x2.safetensors").exists()
    assert fetch(sr, world, "--prune").returncode == 0
    assert not file.exists()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("fourth-x2",), 2, b"there are: first-x2"),
        (("first-x2", "--manifest", "gone.json"), 2, b"gone.json"),
        (("first-x2", "--manifest", "bad.json"), 1, b"not a manifest"),
    ],
)
def test_bad_names_and_manifests(
    sr: Run, world: World, tmp_path: Path, arguments: tuple[str, ...], code: int, said: bytes
) -> None:
    (tmp_path / "bad.json").write_text('{"schema": 2, "general": "x", "weights": [{"id": "a"}]}')
    done = fetch(sr, world, *arguments)
    assert done.returncode == code and said in done.stderr, done.stderr.decode()


def test_offline_nothing_is_asked_for(sr: Run, world: World) -> None:
    world.env["HF_HUB_OFFLINE"] = "1"
    done = fetch(sr, world, "first-x2")
    assert done.returncode == 1 and b"SR_OFFLINE" in done.stderr and not world.server.requests


def public_entry(name: str) -> dict[str, object]:
    document = json.loads((REPOSITORY / "weights_manifest.json").read_text())
    found: dict[str, object] = next(e for e in document["weights"] if e["id"] == name)
    return found


def test_a_public_model_that_is_not_here_says_how_to_get_it(
    sr: Run, world: World, tmp_path: Path
) -> None:
    Image.fromarray(smooth(16, 16)).save(tmp_path / "a.png")
    done = sr("upscale", "a.png", "-m", "realesrgan-x4", env=world.env)
    assert done.returncode == 2 and b"sr download-weights realesrgan-x4" in done.stderr
    # The mirror has another file under that name: it is never used.
    path = str(public_entry("realesrgan-x4")["url"]).removeprefix("https:/")
    world.server.put(path, b"something else")
    fetched = sr("upscale", "a.png", "-m", "realesrgan-x4", "--download", env=world.env)
    assert fetched.returncode == 1, fetched.stderr.decode()
    assert not list(world.cached.glob("*.pth"))


def test_a_cached_file_with_another_hash_is_never_used(
    sr: Run, world: World, tmp_path: Path
) -> None:
    Image.fromarray(smooth(16, 16)).save(tmp_path / "a.png")
    world.cached.mkdir(parents=True)
    (world.cached / str(public_entry("realesr-general-x4")["file"])).write_bytes(b"planted")
    done = sr("upscale", "a.png", "-m", "realesr-general-x4", env=world.env)
    assert done.returncode == 1 and b"not the published weights" in done.stderr


def test_public_entries_are_whole() -> None:
    document = json.loads((REPOSITORY / "weights_manifest.json").read_text())
    public = [e for e in document["weights"] if e.get("url")]
    assert len(public) >= 20
    for entry in public:
        assert entry["url"].startswith("https://") and entry["licence"] and entry["note"]
        assert "NC" not in entry["licence"] or entry["accept"]
        assert entry["sha256"] is None or len(entry["sha256"]) == 64
