"""What the name of a model means, before anything is fetched or loaded."""

from __future__ import annotations

import pickle
import socket
from pathlib import Path

import pytest
import torch
from helpers.networks import compact
from helpers.world import World

from sr_cli.errors import RefusedError, SrError
from sr_cli.networks import SCALES, create_model
from sr_cli.registry.checkpoint import Header, save_checkpoint
from sr_cli.registry.manifest import Entry, load_manifest
from sr_cli.registry.ref import (
    AddressRef,
    BicubicRef,
    ChainRef,
    FamilyRef,
    FileRef,
    load_model,
    parse_model,
    verified_path,
)
from sr_cli.store import store
from sr_cli.store.pins import pin
from sr_cli.store.remote import Remote
from sr_cli.system.files import sha256_of

ADDRESS = "https://example.org/nets/a+b.pth?v=1+2"


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a name was looked up in the network")

    if "world" not in request.fixturenames:
        monkeypatch.setattr(socket, "getaddrinfo", refuse)
        monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture
def cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Remote:
    """An address whose file is in the cache."""
    monkeypatch.setenv("SR_CACHE", str(tmp_path / "cache"))
    torch.save(compact(2), tmp_path / "there.pth")
    content = (tmp_path / "there.pth").read_bytes()
    remote = Remote("https://example.org/there.pth")
    remote.path.parent.mkdir(parents=True)
    remote.path.write_bytes(content)
    pin(remote.address, sha256_of(remote.path))
    return remote


def refused(name: str) -> RefusedError:
    with pytest.raises(RefusedError) as caught:
        parse_model(name)
    return caught.value


def test_no_name_is_the_general_model() -> None:
    general = parse_model(None)
    assert isinstance(general, FamilyRef) and general.name == load_manifest().general


def test_an_id_is_one_entry_and_a_family_all_its_scales() -> None:
    one = parse_model("edsr-baseline-x3")
    assert isinstance(one, FamilyRef) and one.name == "edsr-baseline-x3"
    assert one.scales() == [3] and one.steps == (one,) and one.own_scale is None
    for name in ("edsr-baseline", "edsr"):
        family = parse_model(name)
        assert isinstance(family, FamilyRef) and family.name == "edsr-baseline"
        assert family.scales() == [2, 3, 4]
    assert family.missing(2.5) == []
    espcn = parse_model("espcn")
    assert espcn.load().network.scale == 2
    loaded = espcn.load(3)
    assert loaded.network.scale == 3 and loaded.traits.architecture == "espcn"
    with pytest.raises(SrError) as caught:
        one.load(2)
    assert caught.value.code == "scale-not-available"
    assert caught.value.facts == {"scale": 2, "available": [3]}


def test_bicubic_has_every_scale_and_needs_nothing() -> None:
    bicubic = parse_model("bicubic")
    assert bicubic == BicubicRef() and bicubic.scales() == list(SCALES)
    assert bicubic.missing(16) == [] and bicubic.own_scale is None
    assert bicubic.load(3).network.scale == 3


def test_public_weights_are_named_with_what_is_missing(tmp_path: Path) -> None:
    ref = parse_model("realesrgan-x4")
    assert isinstance(ref, FamilyRef) and ref.own_scale == 4
    (download,) = ref.missing(2)
    assert download.name == "realesrgan-x4" and download.licence and not download.accept
    assert download.remote.sha256 and download.remote.address.startswith("https://")
    with pytest.raises(RefusedError) as caught:
        ref.load(4)
    assert caught.value.code == "not-downloaded"


def test_the_entry_that_reaches_the_factor_is_missing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in world.own.items():
        monkeypatch.setenv(name, value)
    world.add("first-x4", 4)
    ref = parse_model("first")
    assert ref.scales() == [2, 4] and ref.own_scale == 4
    for factor, name in ((1.5, "first-x2"), (2, "first-x2"), (2.1, "first-x4"), (9, "first-x4")):
        assert [d.name for d in ref.missing(factor)] == [name]
    store.get(ref.missing(2)[0].remote)
    assert ref.missing(2) == [] and ref.load(2).network.scale == 2


def test_files_of_ours_and_of_others(tmp_path: Path) -> None:
    vdsr = create_model("vdsr", scale=2, layers=3, features=8)
    header = Header("vdsr", [3, 2], vdsr.config, halo=3, half_is_safe=False)
    save_checkpoint(tmp_path / "ours.safetensors", header, vdsr.state_dict())
    ours = parse_model(tmp_path / "ours.safetensors")
    assert isinstance(ours, FileRef) and ours.name == "ours.safetensors"
    assert ours.scales() == [2, 3] and ours.own_scale == 3
    loaded = ours.load(2)
    assert (loaded.network.scale, loaded.traits.halo, loaded.traits.half_is_safe) == (2, 3, False)
    torch.save(compact(2), tmp_path / "theirs.bin")
    theirs = parse_model(str(tmp_path / "theirs.bin"))
    assert theirs.scales() == [2] and theirs.own_scale == 2 and theirs.missing(4) == []
    (tmp_path / "no_suffix").write_bytes((tmp_path / "theirs.bin").read_bytes())
    assert isinstance(parse_model(tmp_path / "no_suffix"), FileRef)


def test_an_address_is_not_asked_for() -> None:
    ref = parse_model(ADDRESS)
    assert isinstance(ref, AddressRef) and ref.remote.address == ADDRESS and ref.name == "a+b.pth"
    assert [d.remote.address for d in ref.missing(4)] == [ADDRESS]
    for use in (ref.scales, ref.load, lambda: ref.own_scale):
        with pytest.raises(RefusedError) as caught:
            use()
        assert (caught.value.code, caught.value.hint) == ("not-downloaded", "address")
        assert caught.value.subject == ADDRESS


def test_an_address_that_was_fetched_is_a_file(cached: Remote) -> None:
    ref = parse_model(cached.address)
    assert ref.missing(2) == [] and ref.scales() == [2] and ref.own_scale == 2
    assert ref.load().network.scale == 2
    cached.path.write_bytes(b"something else")
    assert [d.remote for d in ref.missing(2)] == [cached]
    with pytest.raises(RefusedError, match="not-downloaded"):
        ref.load()


def test_a_chain_and_the_address_at_its_end(tmp_path: Path) -> None:
    torch.save(compact(1), tmp_path / "one.pth")
    first = tmp_path / "one.pth"
    chain = parse_model(f"{first}+{first}+edsr")
    assert isinstance(chain, ChainRef) and chain.name == f"{first}+{first}+edsr"
    assert [type(s) for s in chain.steps] == [FileRef, FileRef, FamilyRef]
    assert chain.scales() == [2, 3, 4] and chain.own_scale is None and chain.missing(4) == []
    with pytest.raises(SrError) as caught:
        chain.load()
    assert caught.value.code == "chain-is-not-one-network"
    chain = parse_model(f"{first}+{ADDRESS}")
    assert [type(s) for s in chain.steps] == [FileRef, AddressRef]
    assert [d.name for d in chain.missing(2)] == [ADDRESS]
    hub = parse_model(f"{first}+hf://owner/repo/a.pth")
    assert hub.steps[-1] == parse_model("hf://owner/repo/a.pth")
    assert refused("one.pth+nonsense").code == "file-not-found"
    assert refused("edsr+nonsense").code == "unknown-model"


def test_a_file_with_a_plus_in_its_name_is_no_chain(tmp_path: Path) -> None:
    torch.save(compact(2), tmp_path / "a+b.pth")
    assert isinstance(parse_model(tmp_path / "a+b.pth"), FileRef)
    assert isinstance(parse_model("espcn+fsrcnn"), ChainRef)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("nonsense", "unknown-model"),
        ("", "unknown-model"),
        ("missing.safetensors", "file-not-found"),
        ("missing.CKPT", "file-not-found"),
        ("hf://owner/repo", "invalid-address"),
        ("https://example.org/", "invalid-address"),
        ("srgan-x2", "no-weights"),
        ("edsr-x9", "no-weights"),
    ],
)
def test_what_means_nothing(name: str, code: str) -> None:
    error = refused(name)
    assert (error.code, error.subject) == (code, name)
    if code in ("unknown-model", "no-weights"):
        assert {"edsr-baseline", "bicubic"} <= set(error.facts["known"])
    if name == "edsr-x9":
        assert error.hint == "other-scales" and error.facts["available"] == ["x2", "x3", "x4"]


@pytest.mark.parametrize("name", ["edsr", "bicubic", ADDRESS, "fsrcnn+" + ADDRESS])
def test_another_process_can_be_handed_a_ref(name: str) -> None:
    ref = parse_model(name)
    assert pickle.loads(pickle.dumps(ref)) == ref


def test_load_model_takes_names_and_files(tmp_path: Path) -> None:
    assert load_model("fsrcnn", scale=3).network.scale == 3
    torch.save(compact(2), tmp_path / "a.pth")
    assert load_model(tmp_path / "a.pth").network.scale == 2


def test_weights_of_the_package_are_verified(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = load_manifest().by_id("espcn-x2")
    assert entry is not None and verified_path(entry) == entry.path
    monkeypatch.setattr("sr_cli.registry.manifest.FOLDER", tmp_path)
    for content in (None, b"tampered with"):
        if content is not None:
            (tmp_path / entry.file).write_bytes(content)
        with pytest.raises(SrError) as caught:
            verified_path(entry)
        assert (caught.value.code, caught.value.hint) == ("damaged-weights", None)


def test_downloaded_weights_that_are_damaged_are_removed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in world.own.items():
        monkeypatch.setenv(name, value)
    entry: Entry | None = load_manifest().by_id("first-x2")
    assert entry is not None and not entry.is_here
    with pytest.raises(RefusedError) as refusal:
        verified_path(entry)
    assert refusal.value.code == "not-downloaded"
    store.get(entry.remote)
    assert entry.is_here and verified_path(entry) == entry.path
    entry.path.write_bytes(b"tampered with")
    with pytest.raises(SrError) as caught:
        verified_path(entry)
    assert (caught.value.code, caught.value.hint) == ("damaged-weights", "fetch-again")
    assert not entry.is_here
