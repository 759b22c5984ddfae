"""`sr download-weights` through the CLI against a local server, and what -m does then."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from helpers import REPOSITORY
from helpers.command import Run, start_process
from helpers.images import save
from helpers.server import cut, status, trickle, wrong
from helpers.world import World

Fetch = Run


@pytest.fixture
def fetch(sr: Run, world: World) -> Fetch:
    """Run `sr download-weights` on the world's manifest."""
    return partial(sr, "download-weights", "--manifest", world.manifest, env=world.env)


def test_the_list_says_what_there_is(fetch: Fetch, world: World) -> None:
    done = fetch()
    assert done.returncode == 0 and b"first-x2" in done.stdout and b"to be accepted" in done.stdout
    rows = fetch("--json").document
    assert [r["cached"] for r in rows] == [False] * 3 and rows[0]["licence"] == "MIT"
    assert not world.server.requests


def test_several_are_fetched_and_kept(fetch: Fetch, world: World) -> None:
    world.server.faults["/example.org/first-x2.safetensors"] = [cut(500), status(503)]
    done = fetch("first-x2", "second-x2")
    assert done.returncode == 0, done.stderr.decode()
    for name in ("first-x2", "second-x2"):
        assert (world.cached / f"{name}.safetensors").read_bytes() == world.content[name]
    asked = len(world.server.requests)
    again = fetch("first-x2", "--json")
    assert len(world.server.requests) == asked
    assert again.document[0]["cached"] is True


def test_wrong_bytes_fail_alone(fetch: Fetch, world: World) -> None:
    world.server.faults["/example.org/first-x2.safetensors"] = [wrong]
    done = fetch("first-x2", "second-x2")
    assert done.returncode == 1 and done.error_codes == ["wrong-content"]
    assert b"first-x2" in done.stderr
    assert not (world.cached / "first-x2.safetensors").exists()
    assert (world.cached / "second-x2.safetensors").exists()


def test_a_licence_that_forbids_things_is_asked_for(fetch: Fetch, world: World) -> None:
    refused = fetch("third-x2")
    assert refused.returncode == 2 and refused.error_codes == ["licence-not-accepted"]
    assert b"CC BY-NC 4.0" in refused.stderr
    assert not world.server.requests
    assert fetch("third-x2", "--accept-license").returncode == 0
    assert fetch("third-x2").returncode == 0
    (world.cached / "third-x2.safetensors").unlink()
    assert fetch("third-x2", "--accept-licence").returncode == 0


def test_verify_refetches_and_prune_removes(fetch: Fetch, world: World) -> None:
    assert fetch("first-x2").returncode == 0
    file = world.cached / "first-x2.safetensors"
    file.write_bytes(b"tampered with".ljust(len(world.content["first-x2"]), b"."))
    assert fetch("--verify").returncode == 0
    assert file.read_bytes() == world.content["first-x2"]
    assert not (world.cached / "second-x2.safetensors").exists()
    assert fetch("--prune").returncode == 0
    assert not file.exists()


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("fourth-x2",), "unknown-value"),
        (("first-x2", "--manifest", "gone.json"), "unreadable-file"),
        (("first-x2", "--manifest", "bad.json"), "invalid-manifest"),
        (("--verify", "first-x2"), "not-downloaded"),
        (("--verify", "--prune"), "conflicting-options"),
        (("--all", "--prune"), "conflicting-options"),
        (("--all", "first-x2"), "conflicting-options"),
    ],
)
def test_what_is_refused(
    fetch: Fetch, world: World, tmp_path: Path, arguments: tuple[str, ...], code: str
) -> None:
    (tmp_path / "bad.json").write_text('{"schema": 2, "general": "x", "weights": [{"id": "a"}]}')
    done = fetch(*arguments)
    assert done.returncode == 2 and done.error_codes == [code]
    assert not world.server.requests


def test_an_unknown_name_is_told_what_there_is(fetch: Fetch) -> None:
    assert b"first-x2" in fetch("fourth-x2").stderr


def test_all_are_fetched_where_the_licences_are_accepted(fetch: Fetch, world: World) -> None:
    assert fetch("--all").error_codes == ["licence-not-accepted"]
    done = fetch("--all", "--accept-license", "--json")
    assert done.returncode == 0, done.stderr.decode()
    assert [(r["id"], r["cached"]) for r in done.document] == [(n, True) for n in world.content]


def test_a_family_is_all_its_scales(fetch: Fetch, world: World) -> None:
    world.add("first-x4", 4)
    done = fetch("first", "--json")
    assert [r["id"] for r in done.document if r["cached"]] == ["first-x2", "first-x4"]


def test_a_mirror_may_be_named_on_the_command_line(sr: Run, world: World) -> None:
    env = {"SR_CACHE": world.env["SR_CACHE"], "SR_OFFLINE": "0"}
    command = ("download-weights", "--manifest", world.manifest, "first-x2")
    done = sr(*command, "--mirror", world.server.url, env=env)
    assert done.returncode == 0, done.stderr.decode()
    assert world.server.requests


def test_offline_nothing_is_asked_for(fetch: Fetch, world: World) -> None:
    world.env["HF_HUB_OFFLINE"] = "1"
    done = fetch("first-x2")
    assert done.returncode == 1 and done.error_codes == ["offline"] and not world.server.requests


def public_entry(name: str) -> dict[str, object]:
    document = json.loads((REPOSITORY / "weights_manifest.json").read_text())
    found: dict[str, object] = next(e for e in document["weights"] if e["id"] == name)
    return found


def test_a_public_model_that_is_not_here_says_how_to_get_it(
    sr: Run, world: World, tmp_path: Path
) -> None:
    save(tmp_path / "a.png")
    done = sr("upscale", "a.png", "-m", "realesrgan-x4", env=world.env)
    assert done.returncode == 2 and done.error_codes == ["not-downloaded"]
    assert b"sr download-weights realesrgan-x4" in done.stderr
    # The mirror has another file under that name: it is never used.
    path = str(public_entry("realesrgan-x4")["url"]).removeprefix("https:/")
    world.server.put(path, b"something else")
    fetched = sr("upscale", "a.png", "-m", "realesrgan-x4", "--download", env=world.env)
    assert fetched.returncode == 1 and fetched.error_codes == ["download-failed"]
    assert not list(world.cached.glob("*.pth"))


def test_a_cached_file_with_another_hash_is_never_used(
    sr: Run, world: World, tmp_path: Path
) -> None:
    save(tmp_path / "a.png")
    world.cached.mkdir(parents=True)
    (world.cached / str(public_entry("realesr-general-x4")["file"])).write_bytes(b"planted")
    done = sr("upscale", "a.png", "-m", "realesr-general-x4", env=world.env)
    assert done.returncode == 1 and done.error_codes == ["damaged-weights"]
    assert not list(world.cached.glob("*.pth"))


def test_public_entries_are_whole() -> None:
    document = json.loads((REPOSITORY / "weights_manifest.json").read_text())
    public = [e for e in document["weights"] if e.get("url")]
    assert len(public) >= 20
    for entry in public:
        assert entry["url"].startswith("https://") and entry["licence"] and entry["note"]
        assert "NC" not in entry["licence"] or entry["accept"]
        assert entry["sha256"] is None or len(entry["sha256"]) == 64


def start(world: World, *arguments: str, **options: Any) -> subprocess.Popen[bytes]:
    command = ("download-weights", "--manifest", world.manifest, *arguments)
    return start_process(*command, cwd=world.manifest.parent, env=world.env, **options)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_ctrl_c_leaves_a_part_that_is_resumed(fetch: Fetch, world: World) -> None:
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
    assert fetch("first-x2").returncode == 0
    assert world.server.requests[-1][1] is not None, "the second run asks for the rest"
    assert (world.cached / "first-x2.safetensors").read_bytes() == content


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX limits")
def test_a_full_disk_is_said_and_nothing_is_left_under_the_name(fetch: Fetch, world: World) -> None:
    import resource

    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))

    process = start(world, "first-x2", preexec_fn=small_files)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1 and b"error[unwritable-file]" in said
    assert b"Traceback" not in said
    assert not (world.cached / "first-x2.safetensors").exists()
    assert fetch("first-x2").returncode == 0


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


def test_what_the_images_need_is_fetched(sr: Run, world: World, tmp_path: Path) -> None:
    save(tmp_path / "a.png", 24, 20)
    world.add("first-x3", 3)
    plan = sr("upscale", "a.png", "-m", "first", "--download", "--dry-run", env=world.own)
    assert plan.returncode == 0 and not world.server.requests
    done = sr("upscale", "a.png", "-m", "first", "--download", "--width", "48", env=world.own)
    assert done.returncode == 0, done.stderr.decode()
    assert {path for path, _ in world.server.requests} == {"/example.org/first-x2.safetensors"}


def test_a_licence_is_not_accepted_on_the_way(sr: Run, world: World, tmp_path: Path) -> None:
    save(tmp_path / "a.png")
    done = sr("upscale", "a.png", "-m", "third", "--download", env=world.own)
    assert done.returncode == 2 and done.error_codes == ["licence-not-accepted"]
    assert not world.server.requests


def test_what_differs_is_never_left_under_its_name(sr: Run, fetch: Fetch, world: World) -> None:
    assert fetch("first-x2").returncode == 0
    file = world.cached / "first-x2.safetensors"
    wrong_bytes = bytes(len(file.read_bytes()))
    file.write_bytes(wrong_bytes)
    used = sr("models", "--verify", env=world.own)
    assert used.returncode == 1 and used.error_codes == ["damaged-weights"] and not file.exists()
    for more in ({"SR_OFFLINE": "1"}, {"SR_MIRROR": "http://127.0.0.1:9"}):
        file.write_bytes(wrong_bytes)
        done = sr("download-weights", "first-x2", "--verify", env=world.own | more)
        assert done.returncode == 1 and not file.exists()
    file.write_bytes(wrong_bytes)
    assert fetch("first-x2").returncode == 0
    assert file.read_bytes() == world.content["first-x2"]


def test_a_place_that_cannot_be_used_is_a_failure(sr: Run, world: World, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    env = world.own | {"SR_CACHE": str(tmp_path / "file")}
    done = sr("download-weights", "first-x2", env=env)
    assert done.returncode == 1 and done.error_codes == ["unwritable-file"]
