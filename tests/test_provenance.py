"""Provenance: results say what made them, in XMP, and nothing that was there is lost."""

from __future__ import annotations

import os
import re
import zipfile
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch
from helpers.command import BICUBIC, Run
from helpers.images import save, smooth
from helpers.networks import compact
from PIL import ExifTags, Image
from safetensors.torch import save_file

from sr_cli.imaging.codecs import jxl
from sr_cli.imaging.decode import read_picture, read_provenance
from sr_cli.imaging.provenance import Provenance, UsedModel, add_provenance, find_provenance
from sr_cli.registry.manifest import load_manifest
from sr_cli.system.files import sha256_of

HOLDING = ["jpg", "png", "webp", "tif", "avif", "gif"]

PACKET = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    '<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="XMP Core 6.0">'
    '<r:RDF xmlns:r="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<r:Description r:about="uuid:1" xmlns:mm="http://ns.adobe.com/xap/1.0/mm/"'
    ' xmlns:e="http://ns.adobe.com/xap/1.0/sType/ResourceEvent#" xmlns:own="urn:mine"'
    ' xmlns:xap="http://ns.adobe.com/xap/1.0/" xap:CreatorTool="Lightroom é" own:kept="&lt;1&gt;">'
    '<mm:History><r:Seq><r:li e:action="saved" e:softwareAgent="Lightroom"/></r:Seq></mm:History>'
    "</r:Description></r:RDF></x:xmpmeta>" + "\n" * 40 + '<?xpacket end="w"?>'
).encode()
"""With other prefixes, another namespace, a history and padding."""

MADE = Provenance(4.0, (UsedModel("espcn-x4", "a" * 64),))


@pytest.mark.parametrize("suffix", HOLDING)
def test_a_result_says_what_made_it(sr: Run, tmp_path: Path, suffix: str) -> None:
    save(tmp_path / f"a.{suffix}")
    assert sr("upscale", f"a.{suffix}", "-m", "espcn", "-x2").returncode == 0
    entry = load_manifest().by_id("espcn-x2")
    assert entry is not None
    shown = sr("models", "--of", f"a_x2.{suffix}", "--json").document
    assert shown["factor"] == 2
    assert shown["models"] == [{"id": "espcn-x2", "sha256": entry.sha256}]
    assert re.fullmatch(r"sr \d\S*", shown["tool"])
    told = sr("models", "--of", f"a_x2.{suffix}").stdout.decode()
    assert "espcn-x2" in told and str(entry.sha256) in told
    before = (tmp_path / f"a_x2.{suffix}").read_bytes()
    assert sr("upscale", f"a.{suffix}", "-m", "espcn", "-x2", "-y").returncode == 0
    assert (tmp_path / f"a_x2.{suffix}").read_bytes() == before


@pytest.mark.parametrize("suffix", HOLDING)
def test_strip_leaves_it_out(sr: Run, tmp_path: Path, suffix: str) -> None:
    save(tmp_path / f"a.{suffix}")
    assert sr(*BICUBIC, f"a.{suffix}", "--strip").returncode == 0
    assert read_provenance(tmp_path / f"a_x2.{suffix}") is None
    done = sr("models", "--of", f"a_x2.{suffix}")
    assert done.returncode == 1 and done.error_codes == ["no-provenance"]


def test_a_format_without_a_place_says_nothing(sr: Run, tmp_path: Path) -> None:
    save(tmp_path / "a.bmp")
    done = sr(*BICUBIC, "a.bmp", "--json")
    assert done.returncode == 0 and done.notes == []
    assert read_provenance(tmp_path / "a_x2.bmp") is None


def test_lossless_avif_says_it_too(sr: Run, tmp_path: Path) -> None:
    save(tmp_path / "a.png")
    done = sr(*BICUBIC, "a.png", "-o", "b.avif", "--lossless", "--json")
    assert done.returncode == 0 and done.notes == []
    assert read_provenance(tmp_path / "b.avif") is not None


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
def test_sixteen_bits_frames_and_pages(sr: Run, tmp_path: Path, suffix: str) -> None:
    """The other ways of writing: 16 bits, 16-bit gray with alpha, animations, pages."""
    target = tmp_path / f"out.{suffix}"
    if suffix in ("png", "tif"):
        Image.fromarray(smooth(12, 16, top=65535)[..., 0]).save(tmp_path / "a.png")
        assert sr(*BICUBIC, "a.png", "-o", target).returncode == 0
        assert read_provenance(target) == Provenance(2.0, (UsedModel("bicubic"),))
    if suffix != "jpg":
        frames = [Image.fromarray(smooth(12, 16, seed=i)) for i in range(3)]
        kind = "tif" if suffix == "tif" else "webp"
        frames[0].save(tmp_path / f"b.{kind}", save_all=True, append_images=frames[1:])
        assert sr(*BICUBIC, f"b.{kind}", "-o", target, "-y").returncode == 0
        assert read_provenance(target) == Provenance(2.0, (UsedModel("bicubic"),))


def test_a_tiff_that_pillow_does_not_open(sr: Run, tmp_path: Path) -> None:
    import numpy as np
    import tifffile

    deep = np.dstack([smooth(12, 16, top=65535)[..., 0]] * 2)
    tifffile.imwrite(
        tmp_path / "a.tif", deep, photometric="minisblack", extrasamples=["unassalpha"]
    )
    assert sr(*BICUBIC, "a.tif").returncode == 0
    assert read_provenance(tmp_path / "a_x2.tif") == Provenance(2.0, (UsedModel("bicubic"),))


def test_software_stays_the_cameras(sr: Run, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Software] = "Camera 1.0"
    Image.fromarray(smooth(12, 16)).save(tmp_path / "a.jpg", exif=exif)
    assert sr(*BICUBIC, "a.jpg").returncode == 0
    with Image.open(tmp_path / "a_x2.jpg") as made:
        assert made.getexif()[ExifTags.Base.Software] == "Camera 1.0"
    assert read_provenance(tmp_path / "a_x2.jpg") is not None


@pytest.mark.parametrize("suffix", HOLDING)
def test_a_packet_is_extended_and_not_replaced(sr: Run, tmp_path: Path, suffix: str) -> None:
    Image.fromarray(smooth(12, 16)).save(tmp_path / "a.jpg", xmp=PACKET)
    assert sr(*BICUBIC, "a.jpg", "-o", f"b.{suffix}").returncode == 0
    xmp = read_picture(tmp_path / f"b.{suffix}").metadata.xmp
    assert xmp is not None
    head, tail = PACKET.split(b"</r:Seq>")
    assert xmp.startswith(head) and xmp.endswith(tail)
    assert xmp.count(b"CreatorTool") == 1 and xmp.count(b"History") == 2
    agents = [e.text for e in ElementTree.fromstring(xmp).iter() if "softwareAgent" in e.tag]
    assert len(agents) == 1
    again = sr("upscale", "-m", "bicubic", "-x3", f"b.{suffix}", "-o", f"c.{suffix}")
    assert again.returncode == 0
    last = read_provenance(tmp_path / f"c.{suffix}")
    assert last is not None and last.factor == 3
    xmp = read_picture(tmp_path / f"c.{suffix}").metadata.xmp
    assert xmp is not None and xmp.count(b"<stEvt:softwareAgent>") == 2


@pytest.mark.parametrize(
    "broken",
    [
        b"<x:xmpmeta",
        b"no XML",
        PACKET.decode().encode("utf-16"),
        b"<!DOCTYPE a [<!ENTITY b 'c'>]>" + PACKET[PACKET.index(b"<x:") :],
        PACKET.replace(b"r:Seq", b"r:Bag"),
    ],
)
def test_a_packet_that_cannot_be_extended_stays_as_it_is(
    sr: Run, tmp_path: Path, broken: bytes
) -> None:
    assert add_provenance(broken, MADE) == broken
    assert find_provenance(broken) is None
    Image.fromarray(smooth(12, 16)).save(tmp_path / "a.jpg", xmp=broken)
    assert sr(*BICUBIC, "a.jpg", "--json").note_kinds == ["provenance-not-written"]
    with Image.open(tmp_path / "a_x2.jpg") as made:
        assert made.info["xmp"] == broken


def test_a_packet_that_fits_only_without_it_stays_whole(sr: Run, tmp_path: Path) -> None:
    large = PACKET.replace(b"\n" * 40, b"\n" * (65_450 - len(PACKET) + 40))
    Image.fromarray(smooth(12, 16)).save(tmp_path / "a.jpg", xmp=large)
    done = sr(*BICUBIC, "a.jpg", "--json")
    assert done.returncode == 0 and done.note_kinds == ["provenance-not-written"]
    with Image.open(tmp_path / "a_x2.jpg") as made:
        assert made.info["xmp"] == large


def test_other_programs_may_write_the_entry_anew() -> None:
    packet = add_provenance(PACKET, MADE).decode()
    entry = re.search(r"<stEvt:parameters>(.*)</stEvt:parameters>", packet)
    assert entry is not None
    parameters = entry[1].replace('"', "&quot;")
    agent = MADE.tool
    fields = f'stEvt:action="resized" stEvt:softwareAgent="{agent}" stEvt:parameters="{parameters}"'
    opened = re.search(r"<rdf:li [^>]*>", packet)
    assert opened is not None
    start, end = packet.index(opened[0]), packet.index("</rdf:li>")
    names = opened[0].replace(' rdf:parseType="Resource"', "")
    inner = f"{names}<rdf:Description {fields}/>"
    flat = names.replace(">", f" {fields}>")
    for written in (inner, flat):
        assert find_provenance((packet[:start] + written + packet[end:]).encode()) == MADE


def test_averages_chains_files_and_images_that_shrink(sr: Run, tmp_path: Path) -> None:
    save(tmp_path / "a.png")
    save_file(compact(1), tmp_path / "clean.safetensors")
    cases = {
        ("-m", "espcn", "-m", "bicubic", "-x2"): (["espcn-x2", "bicubic"], "average", 2),
        ("-m", "clean.safetensors+espcn", "-x2"): (["clean.safetensors", "espcn-x2"], "chain", 2),
        ("-m", "clean.safetensors", "-x2"): (["clean.safetensors"], "", 2),
        ("-m", "espcn", "--width", "40"): (["espcn-x3"], "", 2.5),
        ("-m", "espcn", "--width", "8"): (["bicubic"], "", 0.5),
    }
    for number, (options, (ids, combined, factor)) in enumerate(cases.items()):
        done = sr("upscale", "a.png", "-o", f"{number}.png", *options)
        assert done.returncode == 0, done.stderr
        found = read_provenance(tmp_path / f"{number}.png")
        assert found is not None
        assert ([m.id for m in found.models], found.combined, found.factor) == (
            ids, combined, factor
        )  # fmt: skip
    found = read_provenance(tmp_path / "2.png")
    assert found is not None
    assert found.models[0].sha256 == sha256_of(tmp_path / "clean.safetensors")


@pytest.mark.parametrize("name", ['ünï <&">.pth', os.fsdecode(b"bad\xff.pth"), "a\n\uffff.pth"])
def test_a_checkpoint_of_any_name(sr: Run, tmp_path: Path, name: str) -> None:
    save(tmp_path / "a.png")
    torch.save(compact(2), tmp_path / "net.pth")
    (tmp_path / "net.pth").rename(tmp_path / name)
    assert sr("upscale", "a.png", "-m", name, "-o", "b.png").returncode == 0
    found = read_provenance(tmp_path / "b.png")
    assert found is not None and found.models[0].id == name
    assert sr("models", "--of", "b.png").returncode == 0
    assert sr("models", "--of", "b.png", "--json").document["models"][0]["id"] == name


@pytest.mark.parametrize(
    "parameters", ["", "{}", "5", "[" * 100_000, '{"factor": "4", "models": []}', '{"factor": NaN}']
)
def test_an_entry_that_is_not_ours_says_nothing(parameters: str) -> None:
    packet = add_provenance(None, MADE).decode()
    other = re.sub(r"(<stEvt:parameters>).*(</stEvt:parameters>)", rf"\g<1>{parameters}\2", packet)
    assert other != packet and find_provenance(other.encode()) is None


def test_the_comparison_says_it_too(sr: Run, tmp_path: Path) -> None:
    save(tmp_path / "a.png")
    assert sr(*BICUBIC, "a.png", "--compare").returncode == 0
    assert read_provenance(tmp_path / "a_x2_compare.png") is not None


def test_models_of_what_is_no_result(sr: Run, photo: Path) -> None:
    assert sr("models", "--of", photo).error_codes == ["no-provenance"]
    assert sr("models", "--of", "missing.png").error_codes == ["file-not-found"]
    folder = sr("models", "--of", ".")
    assert folder.error_codes == ["not-a-regular-file"] and b"pipe" not in folder.stderr
    both = sr("models", "espcn", "--of", photo)
    assert both.returncode == 2 and both.error_codes == ["conflicting-options"]


def test_models_of_an_archive_reads_its_first_page(sr: Run, photo: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.cbz", "w") as archive:
        archive.write(photo, "1.jpg")
    assert sr("models", "--of", "a.cbz").error_codes == ["no-provenance"]
    assert sr(*BICUBIC, "a.cbz").returncode == 0
    told = sr("models", "--of", "a_x2.cbz", "--json").document
    assert (told["file"], told["models"][0]["id"]) == ("a_x2.cbz", "bicubic")
    (tmp_path / "a.cbz").write_bytes(b"no ZIP")
    assert sr("models", "--of", "a.cbz").error_codes == ["damaged-archive"]


def test_models_of_what_needs_an_extra_names_it(
    sr: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jxl, "is_available", lambda: False)
    (tmp_path / "a.jxl").write_bytes(b"\xff\x0a" + bytes(40))
    done = sr("models", "--of", "a.jxl", "--json")
    assert done.returncode == 1 and done.error_codes == ["extra-missing"]
    assert b"'jxl'" in done.stderr


@pytest.mark.parametrize(
    "packet",
    [
        PACKET.replace(PACKET[PACKET.index(b"<r:Seq>") : PACKET.index(b"</mm:")], b"<r:Seq />"),
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><r:RDF a=">/>" xmlns:r='
        b'"http://www.w3.org/1999/02/22-rdf-syntax-ns#"/></x:xmpmeta>',
    ],
    ids=["empty history", "no description"],
)
def test_an_empty_packet_or_history_is_extended(packet: bytes) -> None:
    made = add_provenance(packet, MADE)
    ElementTree.fromstring(made)
    assert find_provenance(made) == MADE
    again = add_provenance(made, replace(MADE, factor=2.0))
    assert find_provenance(again) == replace(MADE, factor=2.0)


def test_a_history_that_cannot_be_extended_is_said(sr: Run, tmp_path: Path) -> None:
    packet = PACKET.replace(b"r:Seq>", b"r:Bag>")
    Image.new("RGB", (5, 4)).save(tmp_path / "a.webp", xmp=packet)
    done = sr("upscale", "-m", "bicubic", "-x2", "a.webp", "--json")
    assert done.notes == [{"kind": "provenance-not-written", "format": "WEBP"}]
    assert b"cannot be extended" in done.stderr
    assert Image.open(tmp_path / "a_x2.webp").info["xmp"] == packet
