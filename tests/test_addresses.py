"""Checkpoints from hf:// and https:// addresses, through the CLI, against a local server."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from conftest import Run, smooth
from faults import Server
from manifest_world import World
from PIL import Image

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def put_on_hub(server: Server, content: bytes, etag: str | None = None) -> None:
    for revision in ("main", COMMIT):
        path = f"/owner/repo/resolve/{revision}/nets/small.safetensors"
        server.put(path, content)
        server.headers[path] = {
            "X-Repo-Commit": COMMIT,
            "ETag": f'"{etag or hashlib.sha256(content).hexdigest()}"',
        }


def hub_env(world: World) -> dict[str, str]:
    env = {k: v for k, v in world.env.items() if k != "SR_MIRROR"}
    return env | {"HF_ENDPOINT": world.server.url, "HF_HUB_DISABLE_XET": "1"}


HUB_FILE = "hf://owner/repo/nets/small.safetensors"


def test_a_file_on_the_hub_is_fetched_pinned_and_kept(
    sr: Run, world: World, tmp_path: Path
) -> None:
    content = world.content["first-x2"]
    put_on_hub(world.server, content)
    Image.fromarray(smooth(20, 24)).save(tmp_path / "a.png")
    done = sr("upscale", "a.png", "-m", HUB_FILE, env=hub_env(world))
    assert done.returncode == 0, done.stderr.decode()
    digest = hashlib.sha256(content).hexdigest()
    assert f"{HUB_FILE}: sha256 {digest}, pinned" in done.stderr.decode().replace("\n", " ")
    with Image.open(tmp_path / "a_x2.png") as big:
        assert big.size == (48, 40)
    asked = len(world.server.requests)
    offline = hub_env(world) | {"SR_OFFLINE": "1"}
    shown = json.loads(sr("models", HUB_FILE, "--json", env=offline).stdout)
    assert shown["scales"] == [2] and len(world.server.requests) == asked
    rows = json.loads(sr("download-weights", HUB_FILE, "--json", env=offline).stdout)
    assert rows[0]["sha256"] == digest and rows[0]["cached"]


def test_a_file_on_the_hub_that_changes_is_thrown_away(sr: Run, world: World) -> None:
    env = hub_env(world)
    put_on_hub(world.server, world.content["first-x2"], etag="0" * 64)
    lied = sr("download-weights", HUB_FILE, env=env)
    assert lied.returncode == 1 and b"the hub gives" in lied.stderr
    put_on_hub(world.server, world.content["first-x2"])
    assert sr("download-weights", HUB_FILE, env=env).returncode == 0
    cached = Path(env["SR_CACHE"]) / "hub/owner/repo/main/nets/small.safetensors"
    cached.write_bytes(b"changed here")
    put_on_hub(world.server, world.content["second-x2"])
    changed = sr("models", HUB_FILE, env=env)
    assert changed.returncode == 1 and b"seen there first" in changed.stderr
    assert not cached.exists()


@pytest.mark.parametrize(
    ("address", "code", "said"),
    [
        ("hf://owner/repo", 2, "not hf://owner/repo"),
        ("hf://owner/repo/../x.pth", 2, "not hf://owner/repo"),
        ("hf://owner/repo//etc/x.pth", 2, "not hf://owner/repo"),
        ("https://example.org/..%5Cx.pth", 2, "names no file"),
        ("hf://owner/repo/nothing.pth", 1, "nothing.pth"),
        ("http://127.0.0.1:9/a.pth", 1, "only https"),
        ("https://127.0.0.1:9/", 2, "names no file"),
    ],
)
def test_addresses_that_lead_nowhere(
    sr: Run, world: World, tmp_path: Path, address: str, code: int, said: str
) -> None:
    Image.fromarray(smooth(8, 8)).save(tmp_path / "a.png")
    for command in (("download-weights", address), ("upscale", "a.png", "-m", address)):
        done = sr(*command, env=hub_env(world))
        assert done.returncode == code and said in done.stderr.decode().replace("\n", " ")


def test_pruning_an_address_forgets_its_pin(sr: Run, world: World) -> None:
    env = hub_env(world)
    put_on_hub(world.server, world.content["first-x2"])
    assert sr("download-weights", HUB_FILE, env=env).returncode == 0
    put_on_hub(world.server, world.content["second-x2"])
    assert sr("download-weights", "--prune", HUB_FILE, env=env).returncode == 0
    assert sr("download-weights", HUB_FILE, env=env).returncode == 0
    assert sr("download-weights", "--verify", "third-x2", env=env | {
        "SR_MANIFEST": str(world.manifest)}).returncode == 2  # fmt: skip


def test_addresses_with_one_name_have_places_of_their_own() -> None:
    from sr_cli.store.address import place_of

    places = {place_of(f"https://example.org{rest}") for rest in ("/a.pth?v=1", "/a.pth?v=2",
              ":8443/a.pth", "/b/a.pth")}  # fmt: skip
    assert len(places) == 4 and {p.name for p in places} == {"a.pth"}


def test_verify_looks_at_addresses_too(sr: Run, world: World) -> None:
    env = hub_env(world)
    put_on_hub(world.server, world.content["first-x2"])
    uncached = sr("download-weights", "--verify", HUB_FILE, env=env)
    assert uncached.returncode == 2 and b"is not cached" in uncached.stderr
    assert sr("download-weights", HUB_FILE, env=env).returncode == 0
    assert sr("download-weights", "--verify", env=env).returncode == 0
    cached = Path(env["SR_CACHE"]) / "hub/owner/repo/main/nets/small.safetensors"
    with cached.open("ab") as file:
        file.write(b"junk")
    assert sr("download-weights", "--verify", env=env).returncode == 0
    assert cached.read_bytes() == world.content["first-x2"]
