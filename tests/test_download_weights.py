"""`sr download-weights` through the CLI against a local server, and what -m does then."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import REPOSITORY, Run, smooth
from faults import cut, status, trickle, wrong
from manifest_world import World, compact, fetch
from PIL import Image
from safetensors.torch import save


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
        (("first-x2", "--manifest", "bad.json"), 2, b"not a manifest"),
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


def start(world: World, *arguments: str, **options: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "sr_cli", "download-weights", "--manifest", str(world.manifest),
         *arguments],
        env={**os.environ, **world.env}, stderr=subprocess.PIPE, **options,  # type: ignore[call-overload]
    )  # fmt: skip


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_ctrl_c_leaves_a_part_to_go_on_with(sr: Run, world: World) -> None:
    path = "/example.org/first-x2.safetensors"
    content = world.content["first-x2"]
    world.server.put(path, content, trickle(0.01, 2000))
    process = start(world, "first-x2")
    part = world.cached / "first-x2.safetensors.part"
    until = time.monotonic() + 60
    while not (part.exists() and part.stat().st_size > 20):
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130 and b"Traceback" not in said
    assert not (world.cached / "first-x2.safetensors").exists()
    assert fetch(sr, world, "first-x2").returncode == 0
    assert world.server.requests[-1][1] is not None, "the second leg asks for the rest"
    assert (world.cached / "first-x2.safetensors").read_bytes() == content


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX limits")
def test_a_full_disk_is_said_and_nothing_is_left_under_the_name(sr: Run, world: World) -> None:
    import resource

    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))

    process = start(world, "first-x2", preexec_fn=small_files)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1 and b"cannot be written" in said and b"Traceback" not in said
    assert not (world.cached / "first-x2.safetensors").exists()
    assert fetch(sr, world, "first-x2").returncode == 0


def test_two_processes_fetch_it_once(world: World) -> None:
    path = "/example.org/first-x2.safetensors"
    world.server.put(path, world.content["first-x2"], trickle(0.3, 3))
    processes = [start(world, "first-x2") for _ in range(2)]
    assert [p.wait(timeout=90) for p in processes] == [0, 0]
    for process in processes:
        assert process.stderr is not None
        process.stderr.close()
    asked = [r for r in world.server.requests if r == (path, None)]
    assert len(asked) == 1, "the second process waited for the first"


def test_what_the_pictures_need_is_fetched(sr: Run, world: World, tmp_path: Path) -> None:
    Image.fromarray(smooth(20, 24)).save(tmp_path / "a.png")
    content = save(compact(3))
    world.server.put("/example.org/first-x3.safetensors", content)
    document = json.loads(world.manifest.read_text())
    document["weights"].append(
        document["weights"][0]
        | {
            "id": "first-x3", "scale": 3, "file": "first-x3.safetensors", "bytes": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
            "url": "https://example.org/first-x3.safetensors",
        }
    )  # fmt: skip
    world.manifest.write_text(json.dumps(document))
    env = world.env | {"SR_MANIFEST": str(world.manifest)}
    plan = sr("upscale", "a.png", "-m", "first", "--download", "--dry-run", env=env)
    assert plan.returncode == 0 and not world.server.requests
    done = sr("upscale", "a.png", "-m", "first", "--download", "--width", "48", env=env)
    assert done.returncode == 0, done.stderr.decode()
    assert {path for path, _ in world.server.requests} == {"/example.org/first-x2.safetensors"}


def test_what_differs_is_never_left_under_its_name(sr: Run, world: World) -> None:
    assert fetch(sr, world, "first-x2").returncode == 0
    file = world.cached / "first-x2.safetensors"
    wrong_bytes = bytes(len(file.read_bytes()))
    own = world.env | {"SR_MANIFEST": str(world.manifest)}
    file.write_bytes(wrong_bytes)
    used = sr("models", "--verify", env=own)
    assert used.returncode == 1 and b"thrown away" in used.stderr and not file.exists()
    for more in ({"SR_OFFLINE": "1"}, {"SR_MIRROR": "http://127.0.0.1:9"}):
        file.write_bytes(wrong_bytes)
        done = sr("download-weights", "first-x2", "--verify", env=own | more)
        assert done.returncode == 1 and not file.exists()
    file.write_bytes(wrong_bytes)
    assert fetch(sr, world, "first-x2").returncode == 0
    assert file.read_bytes() == world.content["first-x2"]


def test_a_place_that_cannot_be_used_is_a_failure(sr: Run, world: World, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    env = world.env | {"SR_CACHE": str(tmp_path / "file"), "SR_MANIFEST": str(world.manifest)}
    done = sr("download-weights", "first-x2", env=env)
    assert done.returncode == 1 and b"cannot be written" in done.stderr
