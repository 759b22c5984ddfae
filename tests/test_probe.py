"""What is found about networks of other tools when they are loaded, and what comes of it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from helpers.architectures import SMALL, build, write_checkpoint
from helpers.command import Run
from helpers.images import pixels_of, save, smooth
from helpers.networks import compact, needs_bf16
from PIL import Image
from torch import Tensor, nn

from sr_cli.engine import probe as probing
from sr_cli.engine.device import machine_key
from sr_cli.engine.findings import HalfPrecision, Place
from sr_cli.engine.probe import probe, probe_model
from sr_cli.engine.textured import textured_image
from sr_cli.engine.upscaler import Upscaler
from sr_cli.registry.foreign import ForeignModel, Needs, load_foreign
from sr_cli.registry.loaded import LoadedModel, Traits

spandrel = pytest.importorskip("spandrel")

CPU = Place(torch.device("cpu"), torch.float32)
FAILING = {"fdat-dysample"}


@pytest.mark.parametrize("name", sorted(SMALL.keys() - FAILING))
def test_every_architecture_gives_its_own_image(tmp_path: Path, name: str) -> None:
    loaded = load_foreign(write_checkpoint(name, tmp_path / "net.safetensors"))
    upscaler = Upscaler(loaded, precision="fp32", tile=0)
    # As its authors run it: not continued beyond the edges of the image.
    upscaler.margin = 0
    lr = smooth(64, 64)
    found = upscaler(lr).astype(int)
    own = spandrel.ModelLoader(device="cpu").load_from_state_dict(dict(build(name).state_dict()))
    pixels = torch.from_numpy(lr)
    with torch.inference_mode():
        wanted = own(pixels.permute(2, 0, 1)[None].float() / 255)[0].permute(1, 2, 0)
    assert np.abs(found - (wanted * 255).round().int().numpy()).max() <= 1


def test_a_network_that_cannot_run_here_is_named_before_any_image(sr: Run, tmp_path: Path) -> None:
    """FDAT's dysample asks for pinned memory, which needs an NVIDIA driver."""
    if torch.cuda.is_available():
        pytest.skip("it runs here")
    write_checkpoint("fdat-dysample", tmp_path / "net.safetensors")
    save(tmp_path / "a.png")
    for arguments in (("upscale", "a.png", "-m"), ("models",)):
        done = sr(*arguments, "net.safetensors")
        assert done.returncode == 1 and done.error_codes == ["network-failed"]
        assert b"net.safetensors: FDAT failed in fp32" in done.stderr
    assert not (tmp_path / "a_x2.png").exists()


def foreign(net: nn.Module, *, scale: int = 1, channels: int = 3) -> LoadedModel:
    """A network that declares nothing."""
    size = SimpleNamespace(minimum=0, multiple_of=1, square=False)
    descriptor = SimpleNamespace(
        scale=scale, model=net.eval(), input_channels=channels, size_requirements=size
    )
    network = ForeignModel(descriptor)
    traits = Traits(type(net).__name__, network.receptive_radius, half_is_safe=False)
    return LoadedModel(network, traits, sha256=f"{type(net).__name__}-{id(net)}")


class InPlace(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        x *= 0.5
        return x


class Remembering(nn.Module):
    """Adds what it saw first."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        if self.seen is not None:
            return x * 0.5 + self.seen.mean()
        self.seen = x
        return x * 0.5


class OfTheBatch(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        assert len(x) == 1
        return x * 0.5


class Blocks(nn.Module):
    """Needs multiples of 4, from 16 up."""

    def forward(self, x: Tensor) -> Tensor:
        assert min(x.shape[2:]) >= 16 and not x.shape[2] % 4 and not x.shape[3] % 4
        return x * 0.5


@pytest.mark.parametrize("kind", [InPlace, Remembering, OfTheBatch, Blocks])
@pytest.mark.parametrize("size", [(1, 1), (5, 40), (37, 21)])
def test_habits_of_networks_do_not_spoil_an_image(
    kind: type[nn.Module], size: tuple[int, int]
) -> None:
    lr = smooth(*size)
    upscaler = Upscaler(foreign(kind()), precision="fp32", tile=16, halo=2, tta=True)
    for _ in range(2):
        assert np.abs(upscaler(lr).astype(int) - (lr / 2 + 0.5).astype(int)).max() <= 1
    gray = upscaler(lr[..., 0])
    assert np.abs(gray.astype(int) - (lr[..., 0] / 2 + 0.5).astype(int)).max() <= 1


def test_a_batch_is_computed_image_by_image() -> None:
    network = foreign(OfTheBatch()).network
    lr = torch.rand(3, 3, 5, 7)
    assert torch.equal(network(lr), lr * 0.5)
    kept = lr.clone()
    assert torch.equal(foreign(InPlace()).network(lr[:1]), kept[:1] * 0.5)
    assert torch.equal(lr, kept)


@pytest.mark.parametrize(
    ("kind", "needs"),
    [
        (InPlace, Needs()),
        (Remembering, Needs(fresh=True)),
        (Blocks, Needs(least=16, multiple=4)),
    ],
)
def test_what_a_probe_finds(kind: type[nn.Module], needs: Needs) -> None:
    found = probe(foreign(kind()), CPU).needs
    assert (found.least, found.multiple, found.fresh) == (needs.least, needs.multiple, needs.fresh)


def test_channels_last_is_left_where_it_does_not_work(tmp_path: Path) -> None:
    """FFTformer has a parameter with five dimensions."""
    loaded = load_foreign(write_checkpoint("fftformer", tmp_path / "a.safetensors"))
    assert not probe(loaded, CPU).channels_last


@pytest.mark.parametrize(
    ("seconds", "change", "taken"), [(0.9, 0.0, True), (1.2, 0.0, False), (0.9, 0.01, False)]
)
def test_channels_last_is_taken_where_it_is_the_same_and_no_slower(
    seconds: float, change: float, taken: bool
) -> None:
    image = textured_image(48)
    fast = probing._Run(image + change, seconds)
    assert probing._is_as_good(fast, probing._Run(image, 1.0)) is taken


def test_what_was_found_is_remembered_by_the_file(
    sr: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SR_CACHE", str(tmp_path / "cache"))
    path = write_checkpoint("esrgan-x2", tmp_path / "net.safetensors")
    loaded = load_foreign(path)
    first = probe_model(loaded, CPU)
    (key,) = (remembered := json.loads((tmp_path / "cache" / "probes.json").read_text()))
    assert loaded.sha256 in key and remembered[key]["least"] == first.traits.smallest_side
    monkeypatch.setattr(probing, "_measure", lambda *_: pytest.fail("measured again"))
    assert probe_model(loaded, CPU) == first
    monkeypatch.undo()
    monkeypatch.setenv("SR_CACHE", str(tmp_path / "cache"))
    for damaged in ("{", json.dumps({key: {"least": "one"}})):
        (tmp_path / "cache" / "probes.json").write_text(damaged)
        assert probe(loaded, CPU).least == first.traits.smallest_side


@pytest.mark.parametrize(
    ("psnr", "worst", "time", "used"),
    [
        (54.0, 4.0, 0.5, True),
        (50.0, 8.0, 0.9, True),
        (49.9, 4.0, 0.5, False),
        (54.0, 8.1, 0.5, False),
        (54.0, 4.0, 0.95, False),
        (None, None, None, False),
    ],
)
def test_when_half_precision_is_used(
    psnr: float | None, worst: float | None, time: float | None, used: bool
) -> None:
    assert HalfPrecision("bf16", psnr, worst, time).is_used is used


class Large(nn.Module):
    """Its values lose their differences in 8 significant bits."""

    def forward(self, x: Tensor) -> Tensor:
        return (x + 30) - 30


class NotInHalf(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        assert x.dtype == torch.float32
        return x


@needs_bf16
def test_half_precision_is_compared_on_a_textured_image() -> None:
    place = Place(torch.device("cpu"), torch.bfloat16)
    large = probe(foreign(Large()), place).half
    assert large is not None and large.psnr is not None and large.psnr < 40
    assert not large.is_safe and not probe_model(foreign(Large()), place).traits.half_is_safe
    assert probe(foreign(NotInHalf()), place).half == HalfPrecision("bf16")
    good = probe(foreign(InPlace()), place).half
    assert good is not None and good.is_safe and good.worst is not None and good.worst < 2


@pytest.mark.parametrize("result", [math.nan, math.inf])
def test_a_network_that_returns_no_image_is_refused(result: float) -> None:
    class Broken(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x * result

    class Cropped(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x[..., 1:]

    for net in (Broken(), Cropped()):
        with pytest.raises(probing.SrError) as caught:
            probe(foreign(net), CPU)
        assert caught.value.code == "network-failed"


def doubling() -> dict[str, Tensor]:
    """A network on one channel of the Compact kind that doubles its input."""
    tensors = {}
    for place, (outputs, inputs) in zip((0, 2, 4), [(4, 1), (4, 4), (4, 4)], strict=True):
        weight = torch.zeros(outputs, inputs, 3, 3)
        weight[:, 0, 1, 1] = 1
        tensors |= {f"body.{place}.weight": weight, f"body.{place}.bias": torch.zeros(outputs)}
        if place < 4:
            tensors[f"body.{place + 1}.weight"] = torch.ones(outputs)
    return tensors


def test_networks_on_gray_get_all_values_from_0_to_255(sr: Run, tmp_path: Path) -> None:
    torch.save({"params": doubling()}, tmp_path / "net.pth")
    gray = np.arange(256, dtype=np.uint8).reshape(16, 16)
    Image.fromarray(gray).save(tmp_path / "gray.png")
    Image.fromarray(np.dstack([gray] * 3)).save(tmp_path / "rgb.png")
    run = ("upscale", "gray.png", "rgb.png", "-m", "net.pth", "--precision", "fp32")
    done = sr(*run)
    assert done.returncode == 0, done.stderr.decode()
    wanted = np.minimum(gray.astype(int) * 2, 255).repeat(2, 0).repeat(2, 1)
    found = pixels_of(tmp_path / "gray_x2.png").astype(int)
    assert np.abs(found - wanted).max() <= 1 and found[0, 0] == 0
    colour = pixels_of(tmp_path / "rgb_x2.png").astype(int)
    assert np.abs(colour - wanted[..., None]).max() <= 1


@pytest.fixture
def half_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which bf16 is fastest, also for networks of other tools."""
    monkeypatch.setenv("SR_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "precision.json").write_text(json.dumps({machine_key(): "bf16"}))
    monkeypatch.setattr(HalfPrecision, "is_used", HalfPrecision.is_safe)


@needs_bf16
@pytest.mark.parametrize("model", ["edsr", "net.pth"])
def test_16_bits_and_alpha_are_computed_in_fp32(
    sr: Run, tmp_path: Path, half_by_default: None, model: str
) -> None:
    torch.save(compact(2), tmp_path / "net.pth")
    ramp = np.linspace(1000, 3000, 40 * 48).reshape(40, 48)
    cv2.imwrite(str(tmp_path / "deep.png"), ramp.astype(np.uint16))
    rgba = np.dstack([smooth(40, 48), (ramp / 16).astype(np.uint8)])
    Image.fromarray(rgba, "RGBA").save(tmp_path / "alpha.png")
    made = {}
    for precision in ("auto", "fp32"):
        run = ("upscale", "deep.png", "alpha.png", "-m", model, "-x2", "--json")
        done = sr(*run, "--precision", precision, "-o", f"{precision}/")
        assert done.returncode == 0, done.stderr.decode()
        made[precision] = [r["precision"] for r in done.records]
    assert made == {"auto": ["fp32", "bf16"], "fp32": ["fp32", "fp32"]}
    deep = [cv2.imread(str(tmp_path / p / "deep.png"), -1) for p in ("auto", "fp32")]
    assert deep[0] is not None and deep[0].dtype == np.uint16 and (deep[0] == deep[1]).all()
    assert len(np.unique(deep[0])) > 1000
    colour = [pixels_of(tmp_path / p / "alpha.png") for p in ("auto", "fp32")]
    assert (colour[0][..., 3] == colour[1][..., 3]).all()
    assert (colour[0][..., :3] != colour[1][..., :3]).any(), "bf16 is what the colours used"


def test_the_built_in_image_is_textured_and_the_same_everywhere() -> None:
    image = textured_image(48)
    assert image.shape == (1, 3, 48, 48) and 0 <= float(image.min()) < float(image.max()) <= 1
    assert float((image[..., 1:] - image[..., :-1]).abs().mean()) > 0.03
    assert textured_image.__wrapped__(48).equal(image)
