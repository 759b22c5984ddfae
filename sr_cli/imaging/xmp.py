"""XMP packets: properties are added as text, so that what is there stays as it is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape

NAMESPACES = {
    "dc": "http://purl.org/dc/elements/1.1/",
    "exif": "http://ns.adobe.com/exif/1.0/",
}
_ORDERED = ("dc:creator",)
"""Lists; the other properties are texts in several languages (XMP part 1, section 8.2.2.4)."""

EMPTY_PACKET = (
    b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/">'
    b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"></rdf:RDF>'
    b'</x:xmpmeta><?xpacket end="w"?>'
)
"""An empty packet (XMP part 1, section 7.3)."""

_NOT_XML = "[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"
"""Characters that XML 1.0 does not allow (section 2.2); compiled when it is needed."""


def add_to_xmp(packet: bytes | None, properties: Mapping[str, str]) -> bytes | None:
    """Add properties to a packet.

    Args:
        packet: In UTF-8; None for a new one.
        properties: Texts by names with the prefixes of NAMESPACES.

    Returns:
        The packet; None if it has one of the properties already, or is not in the usual form.
    """
    packet = packet or EMPTY_PACKET
    end = packet.rfind(b"</rdf:RDF>")
    if end < 0 or any(_has(packet, name) for name in properties):
        return None
    # All descriptions in a packet are about the same (XMP part 1, section 7.4).
    about = re.search(rb"""rdf:about\s*=\s*("[^"]*"|'[^']*')""", packet)
    subject = about[1].decode("utf-8", "replace") if about else '""'
    used = {name.partition(":")[0] for name in properties}
    declared = "".join(f" xmlns:{p}={quoted(NAMESPACES[p])}" for p in sorted(used))
    added = f"<rdf:Description rdf:about={subject}{declared}>"
    added += "".join(_element(name, text) for name, text in properties.items())
    return packet[:end] + f"{added}</rdf:Description>".encode() + packet[end:]


def quoted(value: str) -> str:
    """A value as XML has it in a tag, in quotes, so that reading it gives the same text.

    `xml.sax.saxutils` has a function for it, and imports HTTP and TLS.
    """
    # Plain white space in a value is read as spaces (XML 1.0, section 3.3.3).
    spaces = {ord(character): f"&#{ord(character)};" for character in "\t\n\r"}
    inner = escape(value, quote=False).replace('"', "&quot;").translate(spaces)
    return f'"{inner}"'


def _has(packet: bytes, name: str) -> bool:
    return re.search(rb"[\s<]" + re.escape(name.encode()) + rb"[\s=>/]", packet) is not None


def _element(name: str, text: str) -> str:
    kind, language = ("Seq", "") if name in _ORDERED else ("Alt", ' xml:lang="x-default"')
    content = escape(re.sub(_NOT_XML, "\ufffd", text), quote=False)
    return f"<{name}><rdf:{kind}><rdf:li{language}>{content}</rdf:li></rdf:{kind}></{name}>"
