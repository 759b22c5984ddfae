"""What XMP promises about its file: taken out of a packet, and added to one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from xml.dom.minidom import Attr, Document, Element, parseString
from xml.parsers.expat import ExpatError

from sr_cli.imaging.compound.promises import Item, Promises
from sr_cli.imaging.picture import CameraProperty
from sr_cli.imaging.xmp import quoted

GAIN_MAP_URI = "http://ns.adobe.com/hdr-gain-map/1.0/"
_CONTAINER = "http://ns.google.com/photos/1.0/container/"
_ITEM = "http://ns.google.com/photos/1.0/container/item/"
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_XMLNS = "http://www.w3.org/2000/xmlns/"

_URIS = (GAIN_MAP_URI, _CONTAINER, _ITEM)
"""Namespaces in which everything is a promise."""

_NOTE = "http://ns.adobe.com/xmp/note/"
_EXTENDED = "HasExtendedXMP"

_WORDS = re.compile(
    rb"hdr-gain-map/|photos/1.0/container/|MotionPhoto|MicroVideo|OLivePhoto|VideoLength"
    rb"|HasExtendedXMP"
)
"""Parts of names and namespaces. XMP without them is not parsed, and stays as it is."""

_MAX_TAGS = 20_000
"""Tags of XMP that is parsed, because time grows with their square."""

_MOTION = re.compile(r"MotionPhoto|MicroVideo|OLivePhoto|^VideoLength$")
"""Names of properties about the video, by Google and by makers in namespaces of their own."""

_EMPTY = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{_RDF}"/></x:xmpmeta>'
    '<?xpacket end="w"?>'
).encode()


def take_promises(xmp: bytes | None) -> tuple[bytes | None, Promises]:
    """Remove what a packet promises about other parts of its file.

    Returns:
        The packet without it, unchanged if there is nothing; and the promises. A packet becomes
        None if nothing else is in it, or if it has promises and cannot be parsed.
    """
    if xmp is None or not _WORDS.search(xmp):
        return xmp, Promises()
    try:
        document = _parse(xmp)
        found = Promises(
            tuple(_items(document)),
            _simple_value(document, GAIN_MAP_URI, "Version"),
            _motion(document),
            _simple_value(document, _NOTE, _EXTENDED),
        )
        if not _has_promises(document):
            return xmp, Promises()
        _remove(document)
        clean = _serialise(document)
        _parse(clean)
    except (ExpatError, ValueError, RecursionError):
        # Nothing can be removed from it, so that it would promise what is not there.
        return None, Promises(unreadable=True)
    return (None if _is_empty(document) else clean), found


def add_promises(xmp: bytes | None, promises: Promises) -> bytes | None:
    """Add promises to a packet without them, in a description of their own.

    Args:
        xmp: A packet, or None for a new one.
        promises: What the file holds.

    Returns:
        The packet; None if `xmp` cannot be parsed.
    """
    try:
        document = _parse(xmp or _EMPTY)
        rdf = document.getElementsByTagNameNS(_RDF, "RDF")[0]
    except (ExpatError, ValueError, IndexError):
        return None
    descriptions = rdf.getElementsByTagNameNS(_RDF, "Description")
    # All descriptions are about the same thing (XMP part 1, section 7.4).
    about = descriptions[0].getAttributeNS(_RDF, "about") if descriptions else ""
    made = parseString(_description(promises, about))
    assert made.documentElement is not None
    rdf.appendChild(document.importNode(made.documentElement, True))
    return _serialise(document)


def _description(promises: Promises, about: str) -> str:
    spaces = {p.prefix: p.uri for p in promises.motion} | {"rdf": _RDF}
    values = {"rdf:about": about}
    values |= {f"{p.prefix}:{p.name}": p.value for p in promises.motion}
    if promises.gain_map:
        spaces["hdrgm"] = GAIN_MAP_URI
        values["hdrgm:Version"] = promises.gain_map
    if promises.extension:
        spaces["xmpNote"] = _NOTE
        values[f"xmpNote:{_EXTENDED}"] = promises.extension
    directory = ""
    if promises.items:
        spaces |= {"Container": _CONTAINER, "Item": _ITEM}
        entries = "".join(_entry(item) for item in promises.items)
        directory = f"<Container:Directory><rdf:Seq>{entries}</rdf:Seq></Container:Directory>"
    names = "".join(f" xmlns:{prefix}={quoted(uri)}" for prefix, uri in spaces.items())
    values_text = "".join(f" {name}={quoted(value)}" for name, value in values.items())
    return f"<rdf:Description{names}{values_text}>{directory}</rdf:Description>"


def _entry(item: Item) -> str:
    values = {"Mime": item.mime, "Semantic": item.semantic}
    if item.length:
        values["Length"] = str(item.length)
    if item.padding:
        values["Padding"] = str(item.padding)
    text = "".join(f" Item:{name}={quoted(value)}" for name, value in values.items())
    return f'<rdf:li rdf:parseType="Resource"><Container:Item{text}/></rdf:li>'


def _parse(xmp: bytes) -> Document:
    # XMP has no document type, and entities could expand without end.
    if b"<!DOCTYPE" in xmp or xmp.count(b"<") > _MAX_TAGS:
        raise ValueError("document type in XMP, or too large")
    return parseString(xmp.strip(b"\0 \t\r\n"))


def _serialise(document: Document) -> bytes:
    return "".join(node.toxml() for node in document.childNodes).encode()


def _elements(document: Document) -> list[Element]:
    return list(document.getElementsByTagName("*"))


def _items(document: Document) -> Iterator[Item]:
    for element in document.getElementsByTagNameNS(_CONTAINER, "Item"):
        yield Item(
            _property(element, "Semantic"),
            _number(_property(element, "Length")),
            _number(_property(element, "Padding")),
            _property(element, "Mime"),
        )


def _property(item: Element, name: str) -> str:
    """A property of an item: an attribute or element, of the item or of a description in it."""
    for element in (item, *item.getElementsByTagName("*")):
        if element.hasAttributeNS(_ITEM, name):
            return element.getAttributeNS(_ITEM, name).strip()
        if (element.namespaceURI, element.localName) == (_ITEM, name):
            return _text(element)
    return ""


def _number(text: str) -> int:
    return int(text) if re.fullmatch(r"[0-9]{1,12}", text) else 0


def _text(element: Element) -> str:
    return "".join(n.data for n in element.childNodes if n.nodeType == n.TEXT_NODE).strip()


def _simple_value(document: Document, uri: str, name: str) -> str:
    """The first value of a property, which is an attribute or an element."""
    for element in _elements(document):
        if element.hasAttributeNS(uri, name):
            return element.getAttributeNS(uri, name).strip()
        if (element.namespaceURI, element.localName) == (uri, name):
            return _text(element)
    return ""


def _motion(document: Document) -> tuple[CameraProperty, ...]:
    found: list[tuple[Attr | Element, str]] = []
    for element in _elements(document):
        found += [(node, node.value) for node in element.attributes.values()]
        found.append((element, _text(element)))
    return tuple(
        CameraProperty(str(node.prefix), str(node.localName), str(node.namespaceURI), value)
        for node, value in found
        if node.prefix and _is_motion(node.namespaceURI, node.localName)
    )


def _is_motion(uri: str | None, name: str | None) -> bool:
    return bool(uri and uri.endswith("/photos/1.0/camera/") and _MOTION.search(name or ""))


def _is_promise(uri: str | None, name: str | None) -> bool:
    named = uri in _URIS or (uri, name) == (_NOTE, _EXTENDED)
    return named or _is_motion(uri, name)


def _has_promises(document: Document) -> bool:
    return any(
        _is_promise(node.namespaceURI, node.localName)
        for element in _elements(document)
        for node in (element, *element.attributes.values())
    )


def _is_empty(document: Document) -> bool:
    """Whether no description says anything."""
    return not any(
        node.namespaceURI not in (_XMLNS, _RDF)
        for element in document.getElementsByTagNameNS(_RDF, "Description")
        for node in (*element.attributes.values(), *element.getElementsByTagName("*"))
    )


def _remove(document: Document) -> None:
    """Remove promises, and the declarations of their namespaces."""
    for element in _elements(document):
        if _is_promise(element.namespaceURI, element.localName):
            if element.parentNode is not None:
                element.parentNode.removeChild(element)
            continue
        for node in list(element.attributes.values()):
            is_declaration = node.namespaceURI == _XMLNS and node.value in _URIS
            if is_declaration or _is_promise(node.namespaceURI, node.localName):
                element.removeAttributeNode(node)
