"""Downloads against a server that fails."""

from __future__ import annotations

import hashlib
import shutil
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from faults import Server, cut, longer, stall, status, trickle, without_ranges, wrong

from sr_cli.errors import SrError
from sr_cli.evaluation.datasets import open_set
from sr_cli.store import download
from sr_cli.store.download import Remote, fetch
from sr_cli.store.pins import pinned

CONTENT = bytes(range(256)) * 4000
DIGEST = hashlib.sha256(CONTENT).hexdigest()


def remote(url: str) -> Remote:
    return Remote(url, len(CONTENT), DIGEST)


def test_a_file_is_fetched_once(server: Server, tmp_path: Path) -> None:
    url = server.put("/a", CONTENT)
    told: list[tuple[int, int | None]] = []
    for _ in range(2):
        path = fetch(remote(url), tmp_path / "x" / "a", on_bytes=lambda *t: told.append(t))
        assert path.read_bytes() == CONTENT
    assert len(server.requests) == 1 and told[-1] == (len(CONTENT), len(CONTENT))
    assert not list((tmp_path / "x").glob("*.part"))


def test_a_cut_connection_is_resumed(server: Server, tmp_path: Path) -> None:
    url = server.put("/a", CONTENT, cut(300_000), cut(0))
    assert fetch(remote(url), tmp_path / "a").read_bytes() == CONTENT
    assert [r for _, r in server.requests][:2] == [None, "bytes=300000-"]


def test_a_server_without_ranges_is_asked_for_all(server: Server, tmp_path: Path) -> None:
    url = server.put("/a", CONTENT, cut(300_000), without_ranges)
    assert fetch(remote(url), tmp_path / "a").read_bytes() == CONTENT


def test_an_earlier_leg_is_gone_on_with(server: Server, tmp_path: Path) -> None:
    url = server.put("/a", CONTENT)
    (tmp_path / "a.part").write_bytes(CONTENT[:1000])
    assert fetch(remote(url), tmp_path / "a").read_bytes() == CONTENT
    assert server.requests == [("/a", "bytes=1000-")]


def test_what_was_fetched_before_may_be_rubbish(server: Server, tmp_path: Path) -> None:
    url = server.put("/a", CONTENT)
    (tmp_path / "a.part").write_bytes(b"x" * 1000)
    assert fetch(remote(url), tmp_path / "a").read_bytes() == CONTENT


@pytest.mark.parametrize("fault", [wrong, longer])
def test_other_bytes_never_get_the_name(server: Server, tmp_path: Path, fault: object) -> None:
    url = server.put("/a", CONTENT, fault)  # type: ignore[arg-type]
    with pytest.raises(SrError, match=r"not the content|longer than"):
        fetch(remote(url), tmp_path / "a")
    assert not (tmp_path / "a").exists()
    assert fetch(remote(url), tmp_path / "a").read_bytes() == CONTENT


@pytest.mark.parametrize("code", [429, 500, 503])
def test_a_busy_server_is_asked_again(server: Server, tmp_path: Path, code: int) -> None:
    url = server.put("/a", CONTENT, status(code, Retry_After="0"), status(code))
    assert fetch(remote(url), tmp_path / "a").exists()


def test_a_server_that_stays_down_is_named(server: Server, tmp_path: Path) -> None:
    url = server.put("/a", CONTENT, *[status(503)] * 9)
    with pytest.raises(SrError, match="503") as caught:
        fetch(remote(url), tmp_path / "a", hint="do this instead")
    assert caught.value.hint == "do this instead" and not (tmp_path / "a").exists()


def test_a_missing_file_is_not_asked_for_again(server: Server, tmp_path: Path) -> None:
    with pytest.raises(SrError, match="404"):
        fetch(remote(server.url + "/nothing"), tmp_path / "a")
    assert len(server.requests) == 1


def test_a_server_that_falls_silent(server: Server, tmp_path: Path) -> None:
    url = server.put("/a", CONTENT, stall(1.5))
    assert fetch(remote(url), tmp_path / "a").read_bytes() == CONTENT


def test_a_server_that_trickles_is_asked_again(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "_PATIENCE", 0.3)
    url = server.put("/a", CONTENT, trickle(0.05, 60))
    start = time.monotonic()
    assert fetch(remote(url), tmp_path / "a").read_bytes() == CONTENT
    assert len(server.requests) == 2 and server.requests[1][1] is not None
    assert time.monotonic() - start < 2.5
    server.put("/a", CONTENT, *(trickle(0.05, 60) for _ in range(9)))
    with pytest.raises(SrError, match=r"only \d+ bytes in"):
        fetch(remote(url), tmp_path / "b")


def test_a_path_is_copied_and_checked(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(CONTENT)
    assert fetch(remote(str(tmp_path / "source")), tmp_path / "a").read_bytes() == CONTENT
    (tmp_path / "source").write_bytes(CONTENT[::-1])
    with pytest.raises(SrError, match="not the content"):
        fetch(remote(str(tmp_path / "source")), tmp_path / "b")
    with pytest.raises(SrError, match="cannot be copied"):
        fetch(remote(str(tmp_path / "nothing")), tmp_path / "b")
    assert sorted(p.name for p in tmp_path.iterdir() if p.name[0] != ".") == ["a", "source"]


def test_a_redirect_is_followed_where_the_hash_proves_the_file(
    server: Server, tmp_path: Path
) -> None:
    target = server.put("/b", CONTENT)
    url = server.put("/a", CONTENT, status(302, Location=target))
    assert fetch(remote(url), tmp_path / "a").read_bytes() == CONTENT


def test_nobody_at_home(tmp_path: Path, server: Server) -> None:
    with pytest.raises(SrError, match="tried"):
        fetch(remote("http://127.0.0.1:9/a"), tmp_path / "a")


def test_plain_http_needs_a_hash(server: Server, tmp_path: Path) -> None:
    with pytest.raises(SrError, match="only https"):
        fetch(Remote(server.put("/a", CONTENT)), tmp_path / "a")
    assert not server.requests


def test_what_has_no_hash_is_pinned(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "check_address", lambda _: None)
    url = server.put("/a", CONTENT)
    fetch(Remote(url), tmp_path / "a")
    server.put("/a", b"another")
    with pytest.raises(SrError, match="not the content"):
        fetch(Remote(url), tmp_path / "b")
    with pytest.raises(SrError, match="not the content"):
        fetch(Remote(server.put("/c", CONTENT), sha256_prefix="1234"), tmp_path / "c")
    fetch(Remote(server.put("/d", CONTENT), sha256_prefix=DIGEST[:8]), tmp_path / "d")


def test_halves_of_two_files_never_become_one_without_a_hash(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "check_address", lambda _: None)
    url = server.put("/a", CONTENT)
    (tmp_path / "a.part").write_bytes(b"x" * 1000)
    assert fetch(Remote(url), tmp_path / "a").read_bytes() == CONTENT
    assert pinned(url) == DIGEST


def test_what_lies_there_without_a_pin_is_not_trusted(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "check_address", lambda _: None)
    url = server.put("/a", CONTENT)
    (tmp_path / "a").write_bytes(b"planted")
    assert fetch(Remote(url), tmp_path / "a", verify=True).read_bytes() == CONTENT
    (tmp_path / "cache" / "pins.json").write_text("[not json")
    with pytest.raises(SrError, match=r"pins\.json"):
        fetch(Remote(url), tmp_path / "a", verify=True)


def test_a_mirror_serves_what_is_pinned_to_the_address(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "check_address", lambda _: None)
    monkeypatch.setenv("SR_MIRROR", server.url)
    server.put("/example.org/a?v=1", CONTENT)
    fetch(Remote("https://example.org/a?v=1"), tmp_path / "a")
    assert pinned("https://example.org/a?v=1") == DIGEST


@pytest.mark.parametrize("url", ["https://[::1/x", "https://127.0.0.1:port/x", "https:///x"])
def test_what_is_no_address_is_said(url: str, server: Server, tmp_path: Path) -> None:
    with pytest.raises(SrError):
        fetch(Remote(url, 10, DIGEST), tmp_path / "a")


def test_a_full_disk_is_said(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    huge = Remote(server.put("/a", CONTENT), 1 << 60, DIGEST)
    with pytest.raises(SrError, match="will not fit"):
        fetch(huge, tmp_path / "a")


def test_what_is_there_needs_no_more_room(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    half = len(CONTENT) // 2
    (tmp_path / "a.part").write_bytes(CONTENT[:half])
    room = SimpleNamespace(free=len(CONTENT) - half)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: room)
    whole = Remote(server.put("/a", CONTENT), len(CONTENT), DIGEST)
    assert fetch(whole, tmp_path / "a").read_bytes() == CONTENT
    with pytest.raises(SrError, match="will not fit"):
        fetch(whole, tmp_path / "b")


def test_two_at_once_fetch_it_once(server: Server, tmp_path: Path) -> None:
    url = server.put("/a", CONTENT, stall(0.2))
    threads = [threading.Thread(target=fetch, args=(remote(url), tmp_path / "a")) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "a").read_bytes() == CONTENT
    assert len([r for r in server.requests if r[1] is None]) == 1


def test_offline_says_what_would_help(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SR_OFFLINE", "1")
    with pytest.raises(SrError, match="SR_OFFLINE") as caught:
        open_set("Set5")
    assert "--data-dir" in str(caught.value.hint)
