"""Files beside an image that say where it lies, or hold parts of it, and are not read.

The names are those by which GDAL finds them ("GTiff", "World files", "PAM").
"""

from __future__ import annotations

from pathlib import Path

from sr_cli.errors import Note

_OF_STEM = (".{0}{2}w", ".{0}{1}{2}w", ".wld", ".prj", ".RPB", "_RPC.TXT", "_rpc.txt", ".aux.xml")
"""What follows the stem: world files have the letters of the extension and a w."""

_OF_NAME = ("w", ".aux.xml", ".ovr", ".msk")
"""What follows the whole name."""

_PLACED = (".tif", ".tiff", ".png", ".jpg", ".jpeg", ".webp", ".jp2", ".bmp", ".gif")


def notes_on_files_beside(path: Path) -> list[Note]:
    """The names of such files, if there are any."""
    letters = path.suffix[1:]
    if path.suffix.lower() not in _PLACED:
        return []
    ends = [end.format(letters[0], letters[1:-1], letters[-1]) for end in _OF_STEM]
    names = [path.stem + end for end in ends] + [path.name + end for end in _OF_NAME]
    names += [path.stem + end.upper() for end in ends if end.islower()]
    # Two names may be those of one file, and a system may not tell capitals.
    found: dict[tuple[int, int], str] = {}
    for name in names:
        try:
            status = (path.parent / name).stat()
        except OSError:
            continue
        found.setdefault((status.st_dev, status.st_ino), name)
    return [Note("files-beside-unread", {"files": list(found.values())})] if found else []
