"""A manifest of small checkpoints, a local server that has them, and a cache."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors.torch import save

from helpers.networks import compact
from helpers.server import Server, serving
from sr_cli.system.cache import cache_folder


@dataclass
class World:
    """Everything that a download needs.

    Attributes:
        server: Has the checkpoints at /example.org/ID.safetensors.
        manifest: A file that names them: first-x2, second-x2 and third-x2, whose licence must be
            accepted.
        env: An environment with the server as the mirror and a cache of its own.
        content: The checkpoints' bytes by id.
    """

    server: Server
    manifest: Path
    env: dict[str, str]
    content: dict[str, bytes] = field(default_factory=dict)

    @property
    def cached(self) -> Path:
        """Where the manifest's checkpoints lie once they were fetched."""
        return Path(self.env["SR_CACHE"]) / "weights"

    @property
    def own(self) -> dict[str, str]:
        """The environment with the manifest as the user's own."""
        return self.env | {"SR_MANIFEST": str(self.manifest)}

    def change(self, **fields: Any) -> None:
        """Change fields of the manifest's first entry."""
        document = json.loads(self.manifest.read_text())
        document["weights"][0] |= fields
        self.manifest.write_text(json.dumps(document))

    def add(self, name: str, scale: int, **fields: Any) -> None:
        """Another entry, and its checkpoint at the server."""
        content = save(compact(scale, seed=len(self.content)))
        self.content[name] = content
        self.server.put(f"/example.org/{name}.safetensors", content)
        document = json.loads(self.manifest.read_text())
        document["weights"].append(
            {
                "id": name,
                "network": name.rsplit("-x", 1)[0],
                "scale": scale,
                "file": f"{name}.safetensors",
                "bytes": len(content),
                "sha256": hashlib.sha256(content).hexdigest(),
                "parameters": 0,
                "licence": "MIT",
                "default": False,
                "architecture": "compact",
                "url": f"https://example.org/{name}.safetensors",
                **fields,
            }
        )
        self.manifest.write_text(json.dumps(document))


@contextmanager
def small_world(folder: Path) -> Iterator[World]:
    """A world in a folder; its server runs until the block ends."""
    with serving() as server:
        manifest = folder / "manifest.json"
        manifest.write_text(json.dumps({"schema": 2, "general": "first", "weights": []}))
        cache = folder / "cache"
        world = World(server, manifest, {"SR_CACHE": str(cache), "SR_MIRROR": server.url})
        for name in ("first-x2", "second-x2"):
            world.add(name, 2)
        world.add("third-x2", 2, licence="CC BY-NC 4.0", accept=True)
        # Which precision is fastest was measured for the whole session.
        if (measured := cache_folder() / "precision.json").exists():
            cache.mkdir()
            shutil.copy(measured, cache)
        yield world
