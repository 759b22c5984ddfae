"""XMP of photos with further parts: what it promises is true, the rest is kept."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from helpers.command import BICUBIC, Run
from helpers.compound import (
    GAIN_XMP,
    directory,
    extension,
    extension_of,
    gain_of,
    item,
    jpeg,
    packet,
    photo_with,
    property_of,
    read_back,
    says_nothing,
    scene,
    segment,
    segments_of,
    ultra_hdr,
    with_index,
)
from PIL import Image

from sr_cli.imaging.compound.promises import Promises
from sr_cli.imaging.compound.xmp import add_promises, take_promises

NOTE = "http://ns.adobe.com/xmp/note/"


def test_map_survives_xmp_that_does_not_fit(sr: Run, tmp_path: Path) -> None:
    gain = jpeg(gain_of(scene()), xmp=GAIN_XMP)
    # Attributes in double quotes grow when they are written again.
    attributes = f"xmp:Nickname='{chr(34) * 60_000}'"
    photo_with(tmp_path, ultra_hdr(scene(), gain, attributes=attributes))
    done = sr(*BICUBIC, "a.jpg", "--json")
    assert done.returncode == 0
    assert set(done.note_kinds) == {"metadata-too-large", "provenance-not-written"}
    assert [n["block"] for n in done.notes if "block" in n] == ["XMP"]
    found = read_back(tmp_path / "a_x2.jpg")
    assert found.parts == {"GainMap": found.indexed[1]}


def test_second_packet_of_long_xmp_is_kept(sr: Run, tmp_path: Path) -> None:
    # A depth map, as in portraits: more than fits into a segment, and not to be parsed.
    long = packet(f'xmp:Nickname="{"x" * 150_000}"')
    name, segments = extension(long)
    xmp = packet(f'xmp:Label="red" xmpNote:HasExtendedXMP="{name}"')
    photo_with(tmp_path, jpeg(scene(), xmp=xmp, segments=segments))
    done = sr(*BICUBIC, "a.jpg", "--json")
    assert (done.returncode, done.notes) == (0, [])
    made = tmp_path / "a_x2.jpg"
    assert extension_of(made.read_bytes()) == {name: long}
    assert property_of(read_back(made).xmp, NOTE, "HasExtendedXMP") == name
    done = sr(*BICUBIC, "a.jpg", "-f", "png", "--json")
    said = {"kind": "metadata-dropped", "block": "extended XMP", "format": "PNG"}
    assert done.notes == [said]
    with Image.open(tmp_path / "a_x2.png") as image:
        assert b'xmp:Label="red"' in image.info["xmp"]
        assert b"HasExtendedXMP" not in image.info["xmp"]
    assert sr(*BICUBIC, "a.jpg", "--strip", "-o", "bare.jpg").returncode == 0
    assert extension_of((tmp_path / "bare.jpg").read_bytes()) == {}


def test_promises_in_the_second_packet_become_true(sr: Run, tmp_path: Path) -> None:
    gain = jpeg(gain_of(scene()), xmp=GAIN_XMP)
    second = packet('hdrgm:Version="1.0" xmp:Rating="4"', directory(item("GainMap", len(gain))))
    name, segments = extension(second, 300)
    xmp = packet(f'xmpNote:HasExtendedXMP="{name}"')
    photo_with(tmp_path, jpeg(scene(), xmp=xmp, segments=segments) + gain)
    assert sr(*BICUBIC, "a.jpg").returncode == 0
    found = read_back(tmp_path / "a_x2.jpg")
    assert found.parts == {"GainMap": found.indexed[1]}
    ((made, content),) = extension_of(found.indexed[0]).items()
    assert b'xmp:Rating="4"' in content
    assert says_nothing(content)
    assert made == hashlib.md5(content).hexdigest().upper() != name
    assert property_of(found.xmp, NOTE, "HasExtendedXMP") == made


def test_second_packet_that_is_not_complete_is_said(sr: Run, tmp_path: Path) -> None:
    name, segments = extension(packet("xmp:Rating='4'"), 300)
    whole = segments_of(b"\xff\xd8" + segments + b"\0\0")
    xmp = packet(f'xmp:Label="red" xmpNote:HasExtendedXMP="{name}"')
    photo_with(tmp_path, jpeg(scene(), xmp=xmp, segments=segment(0xE1, whole[0])))
    done = sr(*BICUBIC, "a.jpg", "--json")
    assert done.notes == [{"kind": "part-unreadable", "part": "extended XMP"}]
    made = tmp_path / "a_x2.jpg"
    assert extension_of(made.read_bytes()) == {}
    assert property_of(read_back(made).xmp, NOTE, "HasExtendedXMP") is None


def test_xmp_that_cannot_be_cleaned_is_dropped(sr: Run, tmp_path: Path) -> None:
    gain = jpeg(gain_of(scene()), xmp=GAIN_XMP)
    for number, change in enumerate((b"</rdf:RDF>", b"<x:xmpmeta")):
        bad = {b"</rdf:RDF>": b"</rdf:RD>", b"<x:xmpmeta": b"<!DOCTYPE a []><x:xmpmeta"}[change]
        xmp = packet('hdrgm:Version="1.0"', directory(item("GainMap", len(gain))))
        photo_with(tmp_path, jpeg(scene(), xmp=xmp.replace(change, bad)), f"{number}.jpg")
        done = sr(*BICUBIC, f"{number}.jpg", "--json")
        assert (done.returncode, done.note_kinds) == (0, ["xmp-unreadable"])
        assert says_nothing(read_back(tmp_path / f"{number}_x2.jpg").xmp)


def test_promises_in_other_formats_are_dropped_and_said(sr: Run, tmp_path: Path) -> None:
    xmp = packet('hdrgm:Version="1.0" GCamera:MotionPhoto="1"', directory(item("GainMap", 9)))
    for suffix in ("webp", "avif", "tif"):
        path = tmp_path / f"a.{suffix}"
        # Pillow takes XMP of a TIFF as a tag.
        options: dict[str, Any] = {"tiffinfo": {700: xmp}} if suffix == "tif" else {"xmp": xmp}
        Image.fromarray(scene()).save(path, **options)
        done = sr(*BICUBIC, path.name, "--json")
        name = {"tif": "TIFF"}.get(suffix, suffix.upper())
        assert done.notes == [
            {"kind": "part-unsupported", "part": "HDR gain map", "format": name},
            {"kind": "part-unsupported", "part": "motion photo", "format": name},
        ]
        assert says_nothing((tmp_path / f"a_x2.{suffix}").read_bytes())


ELEMENTS = packet(
    "",
    "<hdrgm:Version>1.0</hdrgm:Version><GCamera:MotionPhoto>1</GCamera:MotionPhoto>"
    "<xmp:Rating>5</xmp:Rating><Container:Directory><rdf:Seq>"
    '<rdf:li><rdf:Description><Container:Item rdf:parseType="Resource">'
    "<Item:Semantic>Primary</Item:Semantic><Item:Padding>12</Item:Padding>"
    "</Container:Item></rdf:Description></rdf:li>"
    '<rdf:li rdf:parseType="Resource"><Container:Item><rdf:Description Item:Semantic="GainMap" '
    'Item:Length="345"/></Container:Item></rdf:li></rdf:Seq></Container:Directory>',
)


def test_promises_in_other_forms_of_rdf() -> None:
    clean, found = take_promises(ELEMENTS)
    assert clean is not None
    assert says_nothing(clean)
    assert b"<xmp:Rating>5</xmp:Rating>" in clean
    assert clean.startswith(b"<?xpacket begin=")
    assert [(i.semantic, i.length, i.padding) for i in found.items] == [
        ("Primary", 0, 12),
        ("GainMap", 345, 0),
    ]
    assert found.gain_map == "1.0"
    assert [(p.name, p.value) for p in found.motion] == [("MotionPhoto", "1")]
    assert take_promises(add_promises(clean, found))[1] == found


def test_a_packet_of_promises_alone_becomes_none() -> None:
    assert take_promises(packet('hdrgm:Version="1.0"')) == (None, Promises(gain_map="1.0"))
    clean, _ = take_promises(packet('hdrgm:Version="1.0"', "<xmp:Rating>5</xmp:Rating>"))
    assert b"<xmp:Rating>5</xmp:Rating>" in (clean or b"")


def test_xmp_made_to_take_long_is_not_parsed() -> None:
    long = packet('hdrgm:Version="1.0"', "<xmp:a/>" * 20_000)
    deep = packet('hdrgm:Version="1.0"', "<xmp:a>" * 9_000 + "</xmp:a>" * 9_000)
    for xmp in (long, deep):
        assert take_promises(xmp) == (None, Promises(unreadable=True))


def test_xmp_without_promises_is_not_touched() -> None:
    for xmp in (
        None,
        b"",
        b"<not xml",
        packet("").replace(b"hdr-gain", b"hdr").split(b"xmlns:")[0],
    ):
        assert take_promises(xmp) == (xmp, Promises())


def test_added_description_is_about_the_same_thing() -> None:
    xmp = packet().replace(b'rdf:about=""', b'rdf:about="uuid:1"')
    made = add_promises(xmp, Promises(gain_map="1.0"))
    assert made is not None
    assert made.count(b'rdf:about="uuid:1"') == 2


def test_map_without_promise_beside_xmp_that_cannot_be_parsed(sr: Run, tmp_path: Path) -> None:
    gain = jpeg(gain_of(scene()), xmp=GAIN_XMP)
    base = jpeg(scene(), xmp=b"<x:xmpmeta>no namespaces</x:xmpmeta>")
    photo_with(tmp_path, with_index([base, gain], [0x030000, 0]))
    done = sr(*BICUBIC, "a.jpg", "--json")
    assert (done.returncode, done.note_kinds) == (0, ["provenance-not-written", "xmp-unreadable"])
    found = read_back(tmp_path / "a_x2.jpg")
    assert found.parts == {"GainMap": found.indexed[1]}
