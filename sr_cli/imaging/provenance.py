"""Provenance: what made a result, as an entry in the history of its XMP packet.

XMP is the place that all formats but BMP share (XMP specification, part 3, section 1.1);
the `Software` of EXIF stays the camera's. A packet that is there is extended in place: every other
byte of it stays as it is. Nothing depends on the time, so that results stay the same byte for byte.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from html import escape
from typing import Literal
from xml.etree import ElementTree
from xml.parsers import expat

import msgspec

from sr_cli.imaging.xmp import EMPTY_PACKET, quoted
from sr_cli.version import __version__

_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_XMP = "http://ns.adobe.com/xap/1.0/"
_MEDIA = "http://ns.adobe.com/xap/1.0/mm/"
_EVENT = "http://ns.adobe.com/xap/1.0/sType/ResourceEvent#"

_EMPTY_ELEMENT = re.compile(rb"""<([^\s/>]+)(?:[^>"']|"[^"]*"|'[^']*')*?(/>)""")

TOOL = f"sr {__version__}"

Combined = Literal["", "average", "chain"]


@dataclass(frozen=True)
class UsedModel:
    """A model that computed a result.

    Attributes:
        id: The id of the weights, or the name of a checkpoint file.
        sha256: Of the file with the weights; None for bicubic, which has none.
    """

    id: str
    sha256: str | None = None


@dataclass(frozen=True)
class Provenance:
    """What made a result.

    Attributes:
        factor: By which the sides were multiplied.
        models: The models, in order.
        combined: How several models were used: their `average`, or a `chain` of them in turn.
        adapted: Steps in which the weights were tuned to the image; 0 if they are the file's.
        tool: The name and version of this tool.
        strength: Below 1 if weights were mixed with faithful ones.
    """

    factor: float
    models: tuple[UsedModel, ...]
    combined: Combined = ""
    adapted: int = 0
    tool: str = TOOL
    strength: float = 1.0


class _Parameters(msgspec.Struct, omit_defaults=True):
    """What an entry's stEvt:parameters holds, as JSON."""

    factor: float
    models: tuple[UsedModel, ...]
    combined: Combined = ""
    adapted: int = 0
    strength: float = 1.0


def find_provenance(packet: bytes) -> Provenance | None:
    """The last entry of this tool in the history of an XMP packet, or None.

    Other programs may have written the packet anew: fields are read as attributes and as elements.
    """
    # XMP has no document type; one could only define entities that expand without end.
    if b"<!DOCTYPE" in packet:
        return None
    try:
        root = ElementTree.fromstring(packet.rstrip(b"\0"))
    except (ElementTree.ParseError, ValueError):
        return None
    for entry in reversed(root.findall(f".//{{{_MEDIA}}}History//{{{_RDF}}}li")):
        agent = _field(entry, "softwareAgent")
        if re.fullmatch(r"sr \S+", agent):
            try:
                found = msgspec.convert(json.loads(_field(entry, "parameters")), _Parameters)
            except (msgspec.ValidationError, ValueError, RecursionError):
                continue
            return _made_by(agent, found)
    return None


def _made_by(tool: str, found: _Parameters) -> Provenance:
    return Provenance(
        found.factor, found.models, found.combined, found.adapted, tool, found.strength
    )


def _field(entry: ElementTree.Element, name: str) -> str:
    tag = f"{{{_EVENT}}}{name}"
    for element in entry.iter():
        if element.tag == tag:
            return element.text or ""
        if tag in element.attrib:
            return element.attrib[tag]
    return ""


def provenance_as_text(made: Provenance, most: int) -> str:
    """What made a result as text in ASCII, for formats without XMP.

    Args:
        made: What to say.
        most: The most characters; models that have no room are left out.
    """
    for models in (made.models, tuple(UsedModel(m.id) for m in made.models), ()):
        combined = made.combined if models else ""
        parameters = _Parameters(made.factor, models, combined, made.adapted, made.strength)
        text = f"resized by {made.tool} {json.dumps(msgspec.to_builtins(parameters))}"
        if len(text) <= most:
            break
    return text


def find_provenance_in_text(text: str) -> Provenance | None:
    """The last entry of this tool in a text, or None."""
    entries = re.finditer(r"resized by (sr \S+) (?=\{)", text)
    for entry in reversed(list(entries)):
        try:
            parameters, _ = json.JSONDecoder().raw_decode(text, entry.end())
            found = msgspec.convert(parameters, _Parameters)
        except (msgspec.ValidationError, ValueError, RecursionError):
            continue
        return _made_by(entry[1], found)
    return None


def add_provenance(packet: bytes | None, made: Provenance) -> bytes:
    """Add an entry to the history of an XMP packet.

    `xmp:CreatorTool` is the first tool that made an image (XMP specification, part 1, section
    8.4), so that it is set only where there is none.

    Args:
        packet: None for a new packet.
        made: What to add.

    Returns:
        The extended packet; `packet` itself if it cannot be parsed or extended, as with a history
        that is no rdf:Seq.
    """
    packet = packet or EMPTY_PACKET
    places = _find_places(packet)
    if places is None or places.descriptions is None:
        return packet
    parts: list[tuple[_Place, str]] = []
    properties = ""
    if not places.has_creator:
        tool = escape(made.tool, quote=False)
        properties += f'<xmp:CreatorTool xmlns:xmp="{_XMP}">{tool}</xmp:CreatorTool>'
    if places.history is None:
        properties += (
            f'<xmpMM:History xmlns:xmpMM="{_MEDIA}"><rdf:Seq>{_entry(made)}</rdf:Seq>'
            "</xmpMM:History>"
        )
    else:
        parts.append((places.history, _entry(made)))
    if properties:
        about = quoted(places.about)
        described = f'<rdf:Description xmlns:rdf="{_RDF}" rdf:about={about}>{properties}'
        parts.append((places.descriptions, described + "</rdf:Description>"))
    for place, text in sorted(parts, key=lambda part: part[0].start, reverse=True):
        added = place.before + text.encode() + place.after
        packet = packet[: place.start] + added + packet[place.end :]
    return packet


def _entry(made: Provenance) -> str:
    # In ASCII: XML does not allow every character that the name of a file may have.
    parameters = json.dumps(
        msgspec.to_builtins(
            _Parameters(made.factor, made.models, made.combined, made.adapted, made.strength)
        )
    )
    fields = {
        "action": "resized",
        "softwareAgent": made.tool,
        "parameters": parameters,
    }
    inner = "".join(f"<stEvt:{n}>{escape(v, quote=False)}</stEvt:{n}>" for n, v in fields.items())
    return (
        f'<rdf:li xmlns:rdf="{_RDF}" xmlns:stEvt="{_EVENT}" rdf:parseType="Resource">{inner}'
        "</rdf:li>"
    )


@dataclass(frozen=True)
class _Place:
    """Where an element can be extended: before its end tag, or instead of the end of `<name/>`.

    Attributes:
        start, end: The bytes that are replaced.
        before, after: What encloses the addition.
    """

    start: int
    end: int
    before: bytes = b""
    after: bytes = b""


@dataclass
class _Places:
    """Where a packet can be extended.

    Attributes:
        descriptions: After the last description.
        about: What the packet describes; all its descriptions must say the same.
        has_creator: Whether it has an xmp:CreatorTool.
        has_history: Whether it has an xmpMM:History.
        history: After the last entry of the history.
    """

    descriptions: _Place | None = None
    about: str = ""
    has_creator: bool = False
    has_history: bool = False
    history: _Place | None = None


def _find_places(packet: bytes) -> _Places | None:
    """Where a packet can be extended; None if it cannot be parsed or has an unusual form."""
    found = _Places()
    path: list[str] = []
    starts: list[int] = []
    description = [f"{_RDF} RDF", f"{_RDF} Description"]
    history = [*description, f"{_MEDIA} History", f"{_RDF} Seq"]
    parser = expat.ParserCreate("utf-8", " ")

    def start(name: str, attributes: dict[str, str]) -> None:
        path.append(name)
        starts.append(parser.CurrentByteIndex)
        if path[-2:] == description:
            found.about = found.about or attributes.get(f"{_RDF} about", "")
            found.has_creator |= f"{_XMP} CreatorTool" in attributes
        found.has_creator |= path[-3:] == [*description, f"{_XMP} CreatorTool"]
        found.has_history |= path[-3:] == history[:3]

    def end(name: str) -> None:
        place = _place_in(packet, starts.pop(), parser.CurrentByteIndex)
        if path[-4:] == history:
            found.history = place
        elif name == description[0] and len(path) <= 2:
            found.descriptions = place
        path.pop()

    def refuse(*_: object) -> None:
        raise ValueError("a document type")

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(packet.rstrip(b"\0"), True)
    except (expat.ExpatError, ValueError):
        return None
    unusual = found.has_history and found.history is None
    return None if found.descriptions is None or unusual else found


def _place_in(packet: bytes, start: int, end: int) -> _Place:
    """Where an element can be extended, from the positions of its start tag and its end tag."""
    empty = _EMPTY_ELEMENT.match(packet, start)
    return _Place(*empty.span(2), b">", b"</" + empty[1] + b">") if empty else _Place(end, end)
