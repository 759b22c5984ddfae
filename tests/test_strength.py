"""`--strength`: weights between a faithful and a strong set."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers.command import Run
from helpers.images import save, smooth
from PIL import Image

from sr_cli.export.source import choose_model, load_source
from sr_cli.registry.manifest import as_json, load_manifest, parse_manifest
from sr_cli.registry.ref import parse_model
from sr_cli.registry.strength import with_strength

STRENGTHS = (0, 0.25, 0.5, 0.75, 1)


def noisy_wall() -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, 8, (40, 40, 1))
    return np.clip(np.round(128 + noise + np.zeros(3)), 0, 255).astype(np.uint8)


def soft_edge() -> np.ndarray:
    edge = np.full((40, 40, 3), 60, np.uint8)
    edge[:, 20:] = 190
    return cv2.GaussianBlur(edge, (0, 0), 1)


@pytest.mark.parametrize("scale", [2, 4])
def test_noise_falls_and_sharpness_rises(sr: Run, tmp_path: Path, scale: int) -> None:
    Image.fromarray(noisy_wall()).save(tmp_path / "wall.png")
    Image.fromarray(soft_edge()).save(tmp_path / "edge.png")
    noise, sharpness = [], []
    for strength in STRENGTHS:
        words = ("wall.png", "edge.png", f"-x{scale}", "-o", f"{strength}/")
        assert sr("upscale", *words, "--strength", str(strength)).returncode == 0
        wall, edge = (
            np.asarray(Image.open(tmp_path / str(strength) / name)).astype(float)
            for name in ("wall.png", "edge.png")
        )
        noise.append(wall[16:-16, 16:-16].std())
        sharpness.append(np.abs(np.diff(edge, axis=1)).max())
    assert noise == sorted(noise, reverse=True) and noise[-1] < noise[0] / 4
    assert sharpness == sorted(sharpness) and sharpness[-1] > 1.5 * sharpness[0]


def test_the_ends_are_the_two_models(sr: Run, tmp_path: Path) -> None:
    Image.fromarray(smooth(36, 40)).save(tmp_path / "a.png")
    makes = {"0": "edsr", "1": "photo"}
    for strength, model in makes.items():
        same = ("upscale", "a.png", "--precision", "fp32")
        assert sr(*same, "--strength", strength, "-o", "mixed.png", "-y").returncode == 0
        assert sr(*same, "-m", model, "-o", "plain.png", "-y").returncode == 0
        mixed, plain = (np.asarray(Image.open(tmp_path / f"{n}.png")) for n in ("mixed", "plain"))
        # The margin beyond the edges of the image stays that of photo.
        inside = (slice(48, -48), slice(48, -48)) if strength == "0" else ...
        assert np.abs(mixed[inside].astype(int) - plain[inside]).max() <= (strength == "0")


def test_results_say_their_strength(sr: Run, tmp_path: Path) -> None:
    save(tmp_path / "a.png")
    assert sr("upscale", "a.png", "--strength", ".5").returncode == 0
    made = sr("models", "--of", "a_x4.png", "--json").document
    assert made["strength"] == 0.5 and [m["id"] for m in made["models"]] == ["photo-x4"]
    assert sr("upscale", "a.png", "-y").returncode == 0
    assert sr("models", "--of", "a_x4.png", "--json").document["strength"] == 1


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("-m", "edsr", "--strength", ".5"), "strength-not-available"),
        (("-m", "bicubic", "--strength", "1"), "strength-not-available"),
        (("-m", "photo", "-m", "edsr", "--strength", ".5"), "strength-not-available"),
        (("--strength", "1.1"), "out-of-range"),
        (("--strength=-0.1",), "out-of-range"),
        (("--strength", "nan"), "out-of-range"),
    ],
)
def test_refused(sr: Run, tmp_path: Path, words: tuple[str, ...], code: str) -> None:
    save(tmp_path / "a.png")
    refused = sr("upscale", "a.png", *words)
    assert refused.returncode == 2 and f"error[{code}]".encode() in refused.stderr
    assert [p.name for p in tmp_path.glob("a*")] == ["a.png"]


def test_automatic_choice(sr: Run, tmp_path: Path) -> None:
    """The general model gets it; pages of text are for a model that has none."""
    save(tmp_path / "a.png")
    assert sr("upscale", "a.png", "-m", "auto", "--strength", "0").returncode == 0
    assert sr("models", "--of", "a_x4.png", "--json").document["strength"] == 0


def test_benchmark(sr: Run, tmp_path: Path, originals: Path) -> None:
    words = ("benchmark", str(originals), "-m", "photo", "-m", "edsr", "-x2", "--json")

    def psnr(*more: str) -> dict[str, float]:
        rows = sr(*words, *more).document["results"]
        return {row["model"]: row["sets"][originals.name]["psnr_y"] for row in rows}

    faithful, strong = psnr("--strength", "0"), psnr()
    assert faithful["edsr-baseline-x2"] == strong["edsr-baseline-x2"]
    assert faithful["photo-x2"] > strong["photo-x2"] + 0.5
    for others, code in (
        (("-m", "edsr"), "strength-not-available"),
        ((), "option-requires"),
        (("-m", "photo", "--check"), "conflicting-options"),
    ):
        refused = sr("benchmark", "--strength", ".5", *others)
        assert refused.returncode == 2 and f"error[{code}]".encode() in refused.stderr


def test_export(sr: Run) -> None:
    half, strong = (load_source(*choose_model("photo", 2, s)) for s in (0.5, None))
    assert half.metadata.model == "photo-x2 at strength 0.5"
    weights = [s.loaded.network.state_dict()["head.weight"] for s in (half, strong)]
    assert not weights[0].equal(weights[1])
    refused = sr("export", "edsr", "-o", "b.pt2", "--strength", ".5")
    assert refused.returncode == 2 and b"error[strength-not-available]" in refused.stderr


def test_manifests_name_weights_of_the_same_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sr: Run
) -> None:
    document = json.loads(as_json(load_manifest()))
    photo = next(e for e in document["weights"] if e["id"] == "photo-x4")
    for other in ("srresnet-x4", "edsr-baseline-x2", "nothing-x4"):
        photo["faithful"] = other
        (tmp_path / "m.json").write_text(json.dumps(document))
        monkeypatch.setenv("SR_MANIFEST", str(tmp_path / "m.json"))
        assert b"error[invalid-manifest]" in sr("models").stderr


def test_missing_weights_of_both_sets_are_downloads() -> None:
    document = json.loads(as_json(load_manifest()))
    for entry in document["weights"]:
        if entry["id"] == "edsr-baseline-x4":
            entry["url"] = "https://example.org/edsr.safetensors"
    manifest = parse_manifest(json.dumps(document), "own")
    ref = parse_model("photo")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sr_cli.registry.strength.load_manifest", lambda: manifest)
        mixed = with_strength(ref, 0.5)
    assert [d.name for d in mixed.missing(4)] == ["edsr-baseline-x4"] and ref.missing(4) == []
