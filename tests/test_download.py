"""The store against a server that fails: fetched, resumed, verified, pinned, forgotten."""

from __future__ import annotations

import hashlib
import shutil
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from helpers.server import (
    Answer,
    Server,
    cut,
    longer,
    serving,
    stall,
    status,
    trickle,
    without_ranges,
    wrong,
)

from sr_cli.errors import SrError
from sr_cli.store import store, transfer
from sr_cli.store.pins import all_pins, pin, pinned
from sr_cli.store.remote import Remote
from sr_cli.store.store import partial_of

CONTENT = bytes(range(256)) * 4000
DIGEST = hashlib.sha256(CONTENT).hexdigest()


def remote(url: str, place: str = "a") -> Remote:
    return Remote(url, place, len(CONTENT), DIGEST)


def code_of(wanted: Remote) -> str:
    """The code with which a remote cannot be had; nothing lies under its name then."""
    with pytest.raises(SrError) as caught:
        store.get(wanted)
    assert not wanted.path.exists()
    return caught.value.code


def begin(wanted: Remote, content: bytes) -> None:
    """As if so much had been fetched before."""
    wanted.path.parent.mkdir(parents=True, exist_ok=True)
    partial_of(wanted.path).write_bytes(content)


@pytest.fixture
def unverified(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plain http also without a sha256: the server here knows no https."""
    monkeypatch.setattr(Remote, "check_secure", lambda _: None)


def test_a_file_is_fetched_once(server: Server) -> None:
    wanted = remote(server.put("/a", CONTENT), "x/a")
    told: list[tuple[int, int | None]] = []
    for _ in range(2):
        path = store.get(wanted, on_bytes=lambda *t: told.append(t))
        assert path == wanted.path and path.read_bytes() == CONTENT
    assert len(server.requests) == 1 and told[-1] == (len(CONTENT), len(CONTENT))
    assert [n for n, _ in told] == sorted({n for n, _ in told})
    assert not list(path.parent.glob("*.part"))


def test_a_cut_connection_is_resumed(server: Server) -> None:
    wanted = remote(server.put("/a", CONTENT, cut(300_000), cut(0)))
    assert store.get(wanted).read_bytes() == CONTENT
    assert [r for _, r in server.requests][:2] == [None, "bytes=300000-"]


def test_a_server_without_ranges_is_asked_for_all(server: Server) -> None:
    wanted = remote(server.put("/a", CONTENT, cut(300_000), without_ranges))
    assert store.get(wanted).read_bytes() == CONTENT


def test_an_earlier_download_is_resumed(server: Server) -> None:
    wanted = remote(server.put("/a", CONTENT))
    begin(wanted, CONTENT[:1000])
    assert store.get(wanted).read_bytes() == CONTENT
    assert server.requests == [("/a", "bytes=1000-")]


@pytest.mark.parametrize("before", [b"x" * 1000, b"x" * len(CONTENT), CONTENT + b"more"])
def test_what_was_fetched_before_may_be_rubbish(server: Server, before: bytes) -> None:
    wanted = remote(server.put("/a", CONTENT))
    begin(wanted, before)
    assert store.get(wanted).read_bytes() == CONTENT


def test_a_download_that_was_complete_needs_no_request(server: Server) -> None:
    wanted = remote(server.put("/a", CONTENT))
    begin(wanted, CONTENT)
    assert store.get(wanted).read_bytes() == CONTENT
    assert not server.requests


@pytest.mark.parametrize(("fault", "code"), [(wrong, "wrong-content"), (longer, "unexpected-size")])
def test_other_bytes_never_get_the_name(server: Server, fault: Answer, code: str) -> None:
    wanted = remote(server.put("/a", CONTENT, fault))
    assert code_of(wanted) == code
    assert code == "unexpected-size" or not partial_of(wanted.path).exists()
    assert store.get(wanted).read_bytes() == CONTENT


def test_what_differs_is_told_by_its_hash(server: Server) -> None:
    wanted = Remote(server.put("/a", b"another"), "a", sha256=DIGEST)
    # The advice to forget a pin is for what only a pin vouches for.
    pin(wanted.address, DIGEST)
    with pytest.raises(SrError) as caught:
        store.get(wanted)
    found = hashlib.sha256(b"another").hexdigest()
    assert (caught.value.hint, caught.value.facts) == (None, {"sha256": found[:16]})


def test_a_half_is_fetched_again_where_the_hub_knows_the_hash(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = server.put("/a", CONTENT)
    monkeypatch.setattr(
        "sr_cli.store.transfer.find_source",
        lambda r: transfer.TransferSource(r, url, len(CONTENT), DIGEST),
    )
    wanted = Remote("hf://owner/repo/file", "a")
    begin(wanted, b"x" * 1000)
    assert store.get(wanted).read_bytes() == CONTENT and pinned(wanted.address) == DIGEST
    assert [r for _, r in server.requests] == ["bytes=1000-", None]


@pytest.mark.parametrize("code", [408, 425, 429, 500, 502, 503, 504])
def test_a_busy_server_is_asked_again(server: Server, code: int) -> None:
    wanted = remote(server.put("/a", CONTENT, status(code, Retry_After="0"), status(code)))
    assert store.get(wanted).exists()


def test_a_server_says_how_long_to_wait(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr(transfer.time, "sleep", waited.append)
    faults = [status(429, Retry_After="7"), status(503), status(503, Retry_After="900")]
    store.get(remote(server.put("/a", CONTENT, *faults)))
    assert waited == [7, 0.02, 30]


def test_a_server_that_stays_down_is_named(server: Server) -> None:
    url = server.put("/a", CONTENT, *[status(503)] * 9)
    wanted = replace(remote(url), local_option="--data-dir")
    with pytest.raises(SrError) as caught:
        store.get(wanted)
    error = caught.value
    assert (error.code, error.subject, error.hint) == ("download-failed", url, "--data-dir")
    assert error.facts["tries"] == len(server.requests) == 5 and "503" in error.facts["reason"]
    assert not wanted.path.exists()


def test_a_missing_file_is_not_asked_for_again(server: Server) -> None:
    with pytest.raises(SrError) as caught:
        store.get(remote(server.url + "/nothing"))
    assert caught.value.code == "download-failed"
    assert caught.value.facts["tries"] == 1 and "404" in caught.value.facts["reason"]
    assert len(server.requests) == 1


@pytest.mark.parametrize("code", [401, 403, 410, 501])
def test_a_refusal_is_not_asked_for_again(server: Server, code: int) -> None:
    assert code_of(remote(server.put("/a", CONTENT, status(code)))) == "download-failed"
    assert len(server.requests) == 1


def test_a_server_that_falls_silent(server: Server) -> None:
    wanted = remote(server.put("/a", CONTENT, stall(1.5)))
    assert store.get(wanted).read_bytes() == CONTENT


def test_a_server_that_trickles_is_asked_again(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "_STALL_SECONDS", 0.3)
    url = server.put("/a", CONTENT, trickle(0.05, 60))
    start = time.monotonic()
    assert store.get(remote(url)).read_bytes() == CONTENT
    assert len(server.requests) == 2 and server.requests[1][1] is not None
    assert time.monotonic() - start < 2.5
    server.put("/a", CONTENT, *(trickle(0.05, 60) for _ in range(9)))
    with pytest.raises(SrError) as caught:
        store.get(remote(url, "b"))
    assert caught.value.code == "download-failed" and "bytes in" in caught.value.facts["reason"]


def test_a_path_is_copied_and_checked(server: Server, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(CONTENT)
    assert store.get(remote(str(source))).read_bytes() == CONTENT
    source.write_bytes(CONTENT[::-1])
    assert code_of(remote(str(source), "b")) == "wrong-content"
    assert code_of(remote(str(tmp_path / "nothing"), "b")) == "download-failed"
    assert source.exists() and not server.requests


def test_a_redirect_is_followed_where_the_hash_proves_the_file(server: Server) -> None:
    target = server.put("/b", CONTENT)
    wanted = remote(server.put("/a", CONTENT, status(302, Location=target)))
    assert store.get(wanted).read_bytes() == CONTENT


def test_a_redirect_to_plain_http_is_refused_without_a_hash(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = server.put("/a", CONTENT, status(302, Location=server.url + "/b"))
    real = Remote.check_secure
    monkeypatch.setattr(Remote, "check_secure", lambda r: None if r.address == url else real(r))
    assert code_of(Remote(url)) == "insecure-address"
    assert [path for path, _ in server.requests] == ["/a"]


def test_the_hubs_token_stays_with_the_hub(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub redirects to storage of others, which must not learn who asks."""
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    url = server.url + "/hub"
    headers = {"Authorization": "Bearer hf_secret"}
    monkeypatch.setattr(
        "sr_cli.store.transfer.find_source",
        lambda r: transfer.TransferSource(r, url, len(CONTENT), DIGEST, headers),
    )
    with serving() as storage:
        elsewhere = storage.put("/file", CONTENT)
        server.put("/hub", b"", status(302, Location="/moved"))
        server.put("/moved", b"", status(302, Location=elsewhere))
        assert store.get(remote("hf://owner/repo/file")).read_bytes() == CONTENT
        assert server.tokens == [("/hub", "Bearer hf_secret"), ("/moved", "Bearer hf_secret")]
        assert storage.tokens == [("/file", None)]


def test_nobody_at_home(server: Server) -> None:
    with pytest.raises(SrError) as caught:
        store.get(remote("http://127.0.0.1:9/a"))
    assert caught.value.code == "download-failed" and caught.value.facts["tries"] == 5


def test_plain_http_needs_a_hash(server: Server) -> None:
    assert code_of(Remote(server.put("/a", CONTENT), "a")) == "insecure-address"
    assert code_of(Remote("ftp://example.org/a", "a", sha256=DIGEST)) == "insecure-address"
    assert not server.requests


@pytest.mark.usefixtures("unverified")
def test_what_has_no_hash_is_pinned(server: Server) -> None:
    url = server.put("/a", CONTENT)
    store.get(Remote(url, "a"))
    assert pinned(url) == DIGEST and all_pins() == {url: DIGEST}
    server.put("/a", b"another")
    with pytest.raises(SrError) as caught:
        store.get(Remote(url, "b"))
    assert (caught.value.code, caught.value.hint) == ("wrong-content", "pin")
    assert store.is_intact(Remote(url, "a"))
    store.forget(Remote(url, "a"))
    assert store.get(Remote(url, "a")).read_bytes() == b"another"


@pytest.mark.usefixtures("unverified")
def test_a_prefix_of_the_hash_is_checked(server: Server) -> None:
    wrong_one = Remote(server.put("/c", CONTENT), "c", sha256_prefix="1234")
    assert code_of(wrong_one) == "wrong-content" and pinned(wrong_one.address) is None
    good = Remote(server.put("/d", CONTENT), "d", sha256_prefix=DIGEST[:8])
    store.get(good)
    assert store.is_intact(good)
    good.path.write_bytes(b"tampered with")
    assert not store.is_intact(good)
    assert store.get(good).read_bytes() == CONTENT


@pytest.mark.usefixtures("unverified")
def test_what_is_no_such_file_is_neither_kept_nor_pinned(server: Server) -> None:
    def refuse(path: Path) -> None:
        assert path.read_bytes() == CONTENT
        raise SrError("unreadable-checkpoint", path)

    wanted = Remote(server.put("/a", CONTENT), "a")
    with pytest.raises(SrError, match="unreadable-checkpoint"):
        store.get(wanted, validate=refuse)
    assert not list(wanted.path.parent.glob("a*")) and pinned(wanted.address) is None


@pytest.mark.usefixtures("unverified")
def test_halves_of_two_files_never_become_one_without_a_hash(server: Server) -> None:
    wanted = Remote(server.put("/a", CONTENT), "a")
    begin(wanted, b"x" * 1000)
    assert store.get(wanted).read_bytes() == CONTENT
    assert pinned(wanted.address) == DIGEST


@pytest.mark.usefixtures("unverified")
def test_what_lies_there_without_a_pin_is_not_trusted(server: Server) -> None:
    wanted = Remote(server.put("/a", CONTENT), "a")
    wanted.path.parent.mkdir(parents=True)
    wanted.path.write_bytes(b"planted")
    assert store.get(wanted).read_bytes() == CONTENT


@pytest.mark.parametrize("content", ["[not json", "[1]"])
def test_a_damaged_file_of_pins_is_said(server: Server, tmp_path: Path, content: str) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "pins.json").write_text(content)
    with pytest.raises(SrError) as caught:
        pinned("https://example.org/a")
    assert caught.value.code == "unreadable-file" and "pins.json" in caught.value.subject


def test_the_first_pin_stays(server: Server) -> None:
    pin("https://example.org/a", "1" * 64)
    pin("https://example.org/a", "2" * 64)
    pin("https://example.org/b", "3" * 64)
    assert all_pins() == {"https://example.org/a": "1" * 64, "https://example.org/b": "3" * 64}


@pytest.mark.usefixtures("unverified")
def test_a_mirror_serves_what_is_pinned_to_the_address(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SR_MIRROR", server.url + "/")
    server.put("/example.org/a?v=1", CONTENT)
    store.get(Remote("https://example.org/a?v=1"))
    assert pinned("https://example.org/a?v=1") == DIGEST


def test_a_mirror_on_plain_http_serves_only_what_has_a_hash(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SR_MIRROR", server.url)
    server.put("/example.org/a", CONTENT)
    assert code_of(Remote("https://example.org/a", "a")) == "insecure-address"
    assert not server.requests
    assert store.get(remote("https://example.org/a")).read_bytes() == CONTENT


@pytest.mark.parametrize("url", ["https://[::1/x", "https://127.0.0.1:port/x", "https:///x"])
def test_what_is_no_address_is_said(url: str, server: Server) -> None:
    assert code_of(Remote(url, "a", 10, DIGEST)) == "download-failed"


def test_a_full_disk_is_said(server: Server) -> None:
    wanted = Remote(server.put("/a", CONTENT), "a", 1 << 60, DIGEST)
    begin(wanted, b"half" * (1 << 18))
    with pytest.raises(SrError) as caught:
        store.get(wanted)
    assert (caught.value.code, caught.value.subject) == ("disk-full", str(wanted.path))
    assert caught.value.facts["needed_mib"] == (1 << 40) - 1
    assert 0 < caught.value.facts["free_mib"] < 1 << 40
    assert not server.requests


def test_what_is_there_needs_no_more_room(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    half = len(CONTENT) // 2
    wanted = remote(server.put("/a", CONTENT))
    begin(wanted, CONTENT[:half])
    room = SimpleNamespace(free=len(CONTENT) - half)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: room)
    assert store.get(wanted).read_bytes() == CONTENT
    assert code_of(remote(wanted.address, "b")) == "disk-full"


def test_two_at_once_fetch_it_once(server: Server) -> None:
    wanted = remote(server.put("/a", CONTENT, stall(0.2)))
    threads = [threading.Thread(target=store.get, args=(wanted,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wanted.path.read_bytes() == CONTENT
    assert len([r for r in server.requests if r[1] is None]) == 1


@pytest.mark.parametrize(
    ("name", "value", "offline"),
    [
        ("SR_OFFLINE", "1", True),
        ("SR_OFFLINE", "No", False),
        ("SR_OFFLINE", "0", False),
        ("SR_OFFLINE", "", False),
        ("HF_HUB_OFFLINE", "ON", True),
        ("HF_HUB_OFFLINE", "off", False),
        ("HF_HUB_OFFLINE", "false", False),
    ],
)
def test_offline_nothing_is_asked_for(
    server: Server, monkeypatch: pytest.MonkeyPatch, name: str, value: str, offline: bool
) -> None:
    monkeypatch.setenv(name, value)
    wanted = replace(remote(server.put("/a", CONTENT)), local_option="--data-dir")
    if not offline:
        assert store.get(wanted).exists()
        return
    with pytest.raises(SrError) as caught:
        store.get(wanted)
    assert (caught.value.code, caught.value.hint) == ("offline", "--data-dir")
    assert not server.requests


def test_offline_files_of_this_machine_are_still_there(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SR_OFFLINE", "1")
    (tmp_path / "source").write_bytes(CONTENT)
    assert store.get(remote(str(tmp_path / "source"))).read_bytes() == CONTENT


@pytest.mark.usefixtures("unverified")
def test_removing_keeps_the_pin_and_forgetting_does_not(server: Server) -> None:
    wanted = Remote(server.put("/a", CONTENT), "a")
    store.get(wanted)
    begin(wanted, b"half")
    assert store.remove(wanted) == [wanted.path, partial_of(wanted.path)]
    assert pinned(wanted.address) == DIGEST and not store.is_cached(wanted)
    assert store.forget(wanted) == []
    assert pinned(wanted.address) is None


def test_something_in_the_way_is_said(server: Server) -> None:
    wanted = remote(server.put("/a", CONTENT))
    wanted.path.mkdir(parents=True)
    with pytest.raises(SrError) as caught:
        store.get(wanted)
    assert caught.value.code == "unwritable-file" and caught.value.subject == str(wanted.path)
    assert not server.requests


def test_what_differs_goes_also_where_nothing_can_be_fetched(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SR_OFFLINE", "1")
    wanted = remote(server.url + "/a")
    wanted.path.parent.mkdir(parents=True)
    wanted.path.write_bytes(bytes(len(CONTENT)))
    assert code_of(wanted) == "offline"


@pytest.mark.usefixtures("unverified")
def test_cached_addresses_are_those_of_the_user(server: Server) -> None:
    web = Remote("https://example.org/a.pth")
    for place, content in ((web.path, CONTENT), (Remote("x", "weights/b.pth").path, b"")):
        place.parent.mkdir(parents=True)
        place.write_bytes(content)
    assert [r.path for r in store.cached_addresses()] == [web.path]
    pin(web.address, DIGEST)
    pin("https://example.org/gone.pth", DIGEST)
    pin("/somewhere/else.pth", DIGEST)
    half = partial_of(Remote("https://example.org/half.pth").path)
    half.parent.mkdir()
    half.write_bytes(b"half")
    half.with_name(".half.pth.lock").touch()
    found = store.cached_addresses()
    assert found[0] == web and [r.path for r in found] == [web.path, half]
    assert store.remove(found[1]) == [half]
