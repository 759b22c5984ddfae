"""A manifest of small checkpoints, a local server that has them, and a cache, for tests."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
from faults import Server, serving
from safetensors.torch import save


def compact(scale: int, features: int = 8, seed: int = 0) -> dict[str, torch.Tensor]:
    """A small network of the Compact kind (SRVGGNetCompact) that changes little."""
    torch.manual_seed(seed)
    shapes = [(features, 3), (features, features), (3 * scale * scale, features)]
    tensors = {}
    for place, (outputs, inputs) in zip((0, 2, 4), shapes, strict=True):
        tensors[f"body.{place}.weight"] = torch.randn(outputs, inputs, 3, 3) * 0.02
        tensors[f"body.{place}.bias"] = torch.zeros(outputs)
        if place < 4:
            tensors[f"body.{place + 1}.weight"] = torch.full((outputs,), 0.25)
    return tensors


@dataclass
class World:
    """A manifest of three small checkpoints, the server that has them, and a cache."""

    server: Server
    manifest: Path
    env: dict[str, str]
    content: dict[str, bytes] = field(default_factory=dict)

    @property
    def cached(self) -> Path:
        return Path(self.env["SR_CACHE"]) / "weights"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with serving() as server:
        manifest = tmp_path / "manifest.json"
        env = {"SR_CACHE": str(tmp_path / "cache"), "SR_MIRROR": server.url}
        world = World(server, manifest, env)
        entries = []
        for number, name in enumerate(("first-x2", "second-x2", "third-x2")):
            content = save(compact(2, seed=number))
            world.content[name] = content
            server.put(f"/example.org/{name}.safetensors", content)
            entries.append(
                {
                    "id": name, "network": name[:-3], "scale": 2, "file": f"{name}.safetensors",
                    "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest(),
                    "parameters": 0, "licence": "CC BY-NC 4.0" if number == 2 else "MIT",
                    "default": False, "accept": number == 2, "architecture": "compact",
                    "url": f"https://example.org/{name}.safetensors",
                }
            )  # fmt: skip
        manifest.write_text(json.dumps({"schema": 2, "general": "first", "weights": entries}))
        yield world


def fetch(sr: Callable[..., object], world: World, *arguments: str) -> object:
    return sr("download-weights", "--manifest", world.manifest, *arguments, env=world.env)
