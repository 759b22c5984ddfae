"""Checkpoints from hf:// and https:// addresses, through the CLI, against a local server."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import torch
from helpers.command import Outcome, Run
from helpers.images import save, size_of
from helpers.networks import compact
from helpers.server import Server, serving, status, without_length
from helpers.world import World

from sr_cli.cli.messages import advice, sentence
from sr_cli.errors import RefusedError, SrError
from sr_cli.store.pins import all_pins
from sr_cli.store.remote import HubFile, Remote, parse_hub

COMMIT = "0123456789abcdef0123456789abcdef01234567"
HUB_FILE = "hf://owner/repo/nets/small.safetensors"


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


def cached(world: World) -> Path:
    return Path(world.env["SR_CACHE"]) / "hub/owner/repo/main/nets/small.safetensors"


def test_a_file_on_the_hub_is_fetched_pinned_and_kept(
    sr: Run, world: World, tmp_path: Path
) -> None:
    content = world.content["first-x2"]
    put_on_hub(world.server, content)
    save(tmp_path / "a.png", 24, 20)
    done = sr("upscale", "a.png", "-m", HUB_FILE, env=hub_env(world))
    assert done.returncode == 0, done.stderr.decode()
    digest = hashlib.sha256(content).hexdigest()
    assert f"{HUB_FILE}: sha256 {digest}, pinned" in done.stderr.decode()
    assert size_of(tmp_path / "a_x2.png") == (48, 40)
    asked = len(world.server.requests)
    files = {p for p, _ in world.server.requests if p.startswith("/owner")}
    assert files == {f"/owner/repo/resolve/{COMMIT}/nets/small.safetensors"}
    offline = hub_env(world) | {"SR_OFFLINE": "1"}
    shown = sr("models", HUB_FILE, "--json", env=offline).document
    assert shown["scales"] == [2] and len(world.server.requests) == asked
    rows = sr("download-weights", HUB_FILE, "--json", env=offline).document
    assert rows[0]["sha256"] == digest and rows[0]["cached"]


def test_the_hubs_endpoint_is_taken_from_the_environment(sr_process: Run, world: World) -> None:
    put_on_hub(world.server, world.content["first-x2"])
    done = sr_process("download-weights", HUB_FILE, env=hub_env(world))
    assert done.returncode == 0, done.stderr.decode()
    assert cached(world).read_bytes() == world.content["first-x2"]


def test_a_token_is_for_the_hub_alone(sr: Run, world: World) -> None:
    """The hub sends to storage on another host, which must not learn who asks."""
    content = world.content["first-x2"]
    put_on_hub(world.server, content)
    path = f"/owner/repo/resolve/{COMMIT}/nets/small.safetensors"
    with serving() as storage:
        world.server.faults[path] = [status(302, Location=storage.put("/blob", content))]
        env = hub_env(world) | {"HF_TOKEN": "hf_secret"}
        assert sr("download-weights", HUB_FILE, env=env).returncode == 0
        assert (path, "Bearer hf_secret") in world.server.tokens
        assert storage.tokens == [("/blob", None)]


def test_a_file_on_the_hub_that_changes_is_discarded(sr: Run, world: World) -> None:
    env = hub_env(world)
    put_on_hub(world.server, world.content["first-x2"], etag="0" * 64)
    lied = sr("download-weights", HUB_FILE, env=env)
    assert lied.returncode == 1 and lied.error_codes == ["wrong-content"]
    put_on_hub(world.server, world.content["first-x2"])
    assert sr("download-weights", HUB_FILE, env=env).returncode == 0
    cached(world).write_bytes(b"changed here")
    put_on_hub(world.server, world.content["second-x2"])
    changed = sr("models", HUB_FILE, env=env)
    assert changed.returncode == 1 and changed.error_codes == ["wrong-content"]
    assert f"--prune '{HUB_FILE}'" in changed.stderr.decode()
    assert not cached(world).exists()


@pytest.mark.parametrize(
    ("address", "code", "exit_code"),
    [
        ("hf://owner/repo", "invalid-address", 2),
        ("hf://owner/repo/../x.pth", "invalid-address", 2),
        ("hf://owner/repo//etc/x.pth", "invalid-address", 2),
        ("https://example.org/..%5Cx.pth", "invalid-address", 2),
        ("https://127.0.0.1:9/", "invalid-address", 2),
        ("https://example.org/a b.pth", "invalid-address", 2),
        ("https:///a.pth", "invalid-address", 2),
        ("hf://owner/repo/nothing.pth", "download-failed", 1),
        ("http://127.0.0.1:9/a.pth", "insecure-address", 1),
    ],
)
def test_addresses_that_lead_nowhere(
    sr: Run, world: World, tmp_path: Path, address: str, code: str, exit_code: int
) -> None:
    save(tmp_path / "a.png")
    for command in (("download-weights", address), ("upscale", "a.png", "-m", address)):
        done = sr(*command, env=hub_env(world))
        assert (done.returncode, done.error_codes) == (exit_code, [code])
        assert address.encode() in done.stderr
        assert code != "insecure-address" or b"downloading" not in done.stderr


@pytest.mark.parametrize("address", ["ftp://example.org/a.pth", "s3://bucket/a"])
def test_addresses_of_other_schemes_are_named_as_such(
    sr: Run, tmp_path: Path, address: str
) -> None:
    save(tmp_path / "a.png")
    for command in (("upscale", "a.png", "-m", address), ("models", address)):
        done = sr(*command)
        assert (done.returncode, done.error_codes) == (2, ["invalid-address"])
        assert b"https://" in done.stderr


def test_pruning_an_address_forgets_its_pin(sr: Run, world: World) -> None:
    env = hub_env(world)
    put_on_hub(world.server, world.content["first-x2"])
    assert sr("download-weights", HUB_FILE, env=env).returncode == 0
    put_on_hub(world.server, world.content["second-x2"])
    assert sr("download-weights", "--prune", HUB_FILE, env=env).returncode == 0
    assert not cached(world).exists()
    assert sr("download-weights", HUB_FILE, env=env).returncode == 0


def test_addresses_with_one_name_have_places_of_their_own() -> None:
    ends = ("/a.pth?v=1", "/a.pth?v=2", ":8443/a.pth", "/b/a.pth")
    places = {Remote(f"https://example.org{end}").path for end in ends}
    assert len(places) == 4 and {p.name for p in places} == {"a.pth"}
    assert Remote("https://example.org/a%20b.pth").path.name == "a b.pth"


def test_a_place_stays_the_same_from_version_to_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SR_CACHE", "/cache")
    web = Remote("https://example.org/a.pth").path
    assert web == Path("/cache/web/0f62215f747fca49/a.pth")
    assert Remote("hf://o/r@v1/x/a.pth").path == Path("/cache/hub/o/r/v1/x/a.pth")


@pytest.mark.parametrize(
    "name", ["..", "con:", "a%2Fb%5Cc.pth", "a%00.pth", "%20", 'a".pth', "a|b.pth", "a%3F.pth"]
)
def test_names_that_some_system_takes_for_something_else_are_refused(name: str) -> None:
    with pytest.raises(RefusedError) as caught:
        assert Remote(f"https://example.org/{name}").path
    assert (caught.value.code, caught.value.hint) == ("invalid-address", "no-file")


def test_the_parts_of_a_hub_address() -> None:
    assert parse_hub("hf://o/r/a.pth") == HubFile("o/r", "main", "a.pth")
    assert parse_hub("hf://o/r@v1.0/x y/a.pth") == HubFile("o/r", "v1.0", "x y/a.pth")
    for bad in ("hf://o/a.pth", "hf://o/r@/a.pth", "hf://o/r/./a.pth", "hf://o/r/a?.pth"):
        with pytest.raises(RefusedError) as caught:
            parse_hub(bad)
        assert (caught.value.code, caught.value.hint) == ("invalid-address", "hub")


def test_verify_looks_at_addresses_too(sr: Run, world: World) -> None:
    env = hub_env(world)
    put_on_hub(world.server, world.content["first-x2"])
    uncached = sr("download-weights", "--verify", HUB_FILE, env=env)
    assert uncached.returncode == 2 and uncached.error_codes == ["not-downloaded"]
    assert sr("download-weights", HUB_FILE, env=env).returncode == 0
    assert sr("download-weights", "--verify", env=env).returncode == 0
    with cached(world).open("ab") as file:
        file.write(b"junk")
    assert sr("download-weights", "--verify", env=env).returncode == 0
    assert cached(world).read_bytes() == world.content["first-x2"]


LOGIN = b"\n<!DOCTYPE html>\n<html><head><title>Sign in</title></head></html>"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n"


def bad_answers(good: bytes) -> dict[str, bytes]:
    """What comes instead of a checkpoint, by the reason that names it."""
    return {
        "web-page": LOGIN,
        "lfs-pointer": POINTER,
        "empty-file": b"",
        "truncated-file": good[:900],
    }


@pytest.fixture
def https(monkeypatch: pytest.MonkeyPatch) -> None:
    """Addresses without a known sha256 from the mirror here, which knows no https."""
    monkeypatch.setattr(Remote, "check_secure", lambda _: None)


def refused(done: Outcome, address: str, reason: str, hint: str) -> None:
    """The one error of a command names what came, and nothing is in the cache."""
    assert (done.returncode, done.error_codes) == (1, ["unreadable-checkpoint"]), done.stderr
    error = SrError("unreadable-checkpoint", address, hint=hint, reason=reason)
    assert sentence(error) in done.stderr.decode() and str(advice(error)) in done.stderr.decode()


@pytest.mark.usefixtures("https")
@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
@pytest.mark.parametrize("reason", list(bad_answers(b"")))
def test_what_is_not_a_checkpoint_is_never_kept(
    sr: Run, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, reason: str
) -> None:
    monkeypatch.setenv("SR_CACHE", world.env["SR_CACHE"])
    good = world.content["first-x2"]
    if suffix == "pth":
        torch.save(compact(2), tmp_path / "good.pth")
        good = (tmp_path / "good.pth").read_bytes()
    bad = bad_answers(good)[reason]
    address = f"https://example.org/net.{suffix}"
    world.server.put(f"/example.org/net.{suffix}", good, *[without_length(bad)] * 4)
    save(tmp_path / "a.png", 24, 20)
    for command in (
        ("download-weights", address),
        ("models", address),
        ("upscale", "a.png", "-m", address),
        ("benchmark", "-m", address, "-x2", "--data-dir", tmp_path, "Set5"),
    ):
        done = sr(*command, env=world.env)
        refused(done, address, reason, "address")
        assert not all_pins() and not list(tmp_path.glob("cache/web/*/net*"))
    # The file itself is taken as soon as it comes.
    assert sr("upscale", "a.png", "-m", address, env=world.env).returncode == 0
    assert size_of(tmp_path / "a_x2.png") == (48, 40)
    assert all_pins() == {address: hashlib.sha256(good).hexdigest()}


@pytest.mark.parametrize("reason", list(bad_answers(b"")))
def test_what_the_hub_gives_is_looked_at_too(
    sr: Run, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    monkeypatch.setenv("SR_CACHE", world.env["SR_CACHE"])
    # Files outside Git LFS have no sha256 on the hub.
    put_on_hub(world.server, bad_answers(world.content["first-x2"])[reason], etag="abc")
    save(tmp_path / "a.png", 24, 20)
    done = sr("upscale", "a.png", "-m", HUB_FILE, env=hub_env(world))
    refused(done, HUB_FILE, reason, "address")
    assert not all_pins() and not cached(world).exists()


@pytest.mark.usefixtures("https")
@pytest.mark.parametrize("reason", list(bad_answers(b"")))
def test_a_bad_pin_of_an_earlier_version_can_be_forgotten(
    sr: Run, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    monkeypatch.setenv("SR_CACHE", world.env["SR_CACHE"])
    good = world.content["first-x2"]
    bad = bad_answers(good)[reason]
    address = "https://example.org/net.safetensors"
    world.server.put("/example.org/net.safetensors", good)
    path = Remote(address).path
    path.parent.mkdir(parents=True)
    path.write_bytes(bad)
    pins = Path(world.env["SR_CACHE"]) / "pins.json"
    pins.write_text(json.dumps({address: hashlib.sha256(bad).hexdigest()}))
    save(tmp_path / "a.png", 24, 20)
    for command in (
        ("upscale", "a.png", "-m", address),
        ("models", address),
        ("download-weights", address),
        ("download-weights", "--verify", address),
    ):
        refused(sr(*command, env=world.env), address, reason, "pinned")
    assert not world.server.requests
    assert sr("download-weights", "--prune", address, env=world.env).returncode == 0
    assert sr("upscale", "a.png", "-m", address, env=world.env).returncode == 0


@pytest.mark.usefixtures("https")
def test_a_login_page_does_not_replace_what_is_pinned(
    sr: Run, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SR_CACHE", world.env["SR_CACHE"])
    good = world.content["first-x2"]
    address = "https://example.org/net.safetensors"
    world.server.put("/example.org/net.safetensors", good)
    assert sr("download-weights", address, env=world.env).returncode == 0
    before = all_pins()
    Remote(address).path.unlink()
    world.server.put("/example.org/net.safetensors", good, without_length(LOGIN))
    refused(sr("download-weights", address, env=world.env), address, "web-page", "pinned")
    assert all_pins() == before and sr("download-weights", address, env=world.env).returncode == 0


def test_a_scheme_in_capitals_is_the_same_address(sr: Run, world: World, tmp_path: Path) -> None:
    put_on_hub(world.server, world.content["first-x2"])
    save(tmp_path / "a.png")
    assert sr("upscale", "a.png", "-m", HUB_FILE, env=hub_env(world)).returncode == 0
    asked = len(world.server.requests)
    address = HUB_FILE.replace("hf://", "HF://")
    assert sr("upscale", "a.png", "-y", "-m", address, env=hub_env(world)).returncode == 0
    assert len(world.server.requests) == asked
    nowhere = sr("upscale", "a.png", "-m", "HTTPS://example.org/", env=world.env)
    assert nowhere.returncode == 2 and nowhere.error_codes == ["invalid-address"]
    assert Remote("Hf://owner/Repo/X.pth").address == "hf://owner/Repo/X.pth"
    assert Remote("weights/A.pth").address == "weights/A.pth"
