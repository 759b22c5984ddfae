"""Write sr_cli/registry/published.json, the published checkpoints that sr knows by their sha256.

    python tools/published.py FACTS.json

FACTS.json has facts from OpenModelDB (https://openmodeldb.info): `source` with the commit and its
date, and `files` with `id`, `sha256`, `bytes`, `format`, `scale`, `architecture`, `licence` and
`urls` each.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

TARGET = Path(__file__).resolve().parent.parent / "sr_cli" / "registry" / "published.json"


def direct_address(file: dict[str, Any]) -> str:
    """The first address that returns the file itself, not a page about it or an archive."""
    for url in file["urls"]:
        path = PurePosixPath(urlsplit(url).path)
        if f".{file['format']}" in path.suffixes and "blob" not in path.parts:
            return str(url)
    return ""


def row(file: dict[str, Any]) -> list[Any]:
    """The fields of `PublishedFile`, in their order."""
    fields = [file[key] for key in ("id", "sha256", "bytes", "format", "scale", "architecture")]
    return [*fields, file["licence"] or "", direct_address(file)]


def main(facts: Path) -> None:
    """Write one line for each file, sorted by id."""
    document = json.loads(facts.read_text(encoding="utf-8"))
    rows = sorted({tuple(row(file)) for file in document["files"]})
    lines = ",\n".join(json.dumps(r, ensure_ascii=False) for r in rows)
    head = json.dumps(document["source"])
    TARGET.write_text(f'{{"source": {head}, "files": [\n{lines}\n]}}\n', encoding="utf-8")
    print(f"{len(rows)} files, {sum(bool(r[-1]) for r in rows)} with a direct address")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
