"""Other tools' checkpoints: read safely, run by our engine, chained."""

from __future__ import annotations

import io
import pickle
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers import SHARED
from helpers.command import Run
from helpers.images import pixels_of, save, size_of, smooth
from helpers.networks import compact, needs_bf16
from PIL import Image
from safetensors.torch import save as saved_bytes
from safetensors.torch import save_file

from sr_cli.engine.options import PRECISION_NAMES
from sr_cli.engine.upscaler import Upscaler
from sr_cli.errors import SrError
from sr_cli.evaluation.costs import count_multiply_adds
from sr_cli.registry.foreign import ForeignModel, load_foreign
from sr_cli.registry.layouts import find_weights
from sr_cli.registry.tensors import read_tensors
from sr_cli.training.run_folder import RunFolder

spandrel = pytest.importorskip("spandrel")

REAL = SHARED / "reference" / "realesr-animevideov3-x4.pth"


def wanted(path: Path, lr: np.ndarray) -> np.ndarray:
    """What spandrel itself makes of a picture."""
    found = torch.load(path, weights_only=True)
    net = spandrel.ModelLoader(device="cpu").load_from_state_dict(found)
    x = torch.from_numpy(lr).permute(2, 0, 1)[None].float() / 255
    with torch.inference_mode():
        sr = net(x)[0].permute(1, 2, 0).clamp(0, 1)
    return (sr * 255 + 0.5).floor().byte().numpy()


@pytest.mark.skipif(not REAL.exists(), reason="the real checkpoint is not here")
def test_a_real_checkpoint_gives_its_own_images(sr: Run, tmp_path: Path) -> None:
    lr = smooth(60, 72)
    Image.fromarray(lr).save(tmp_path / "a.png")
    done = sr("upscale", "a.png", "-m", REAL, "--precision", "fp32", "-t", "20")
    assert done.returncode == 0, done.stderr.decode()
    # At its edges, the image is continued by mirroring instead of by zeros.
    inner = np.s_[72:-72, 72:-72]
    made = pixels_of(tmp_path / "a_x4.png").astype(int)
    assert np.abs(made - wanted(REAL, lr))[inner].max() <= 1
    told = sr("models", REAL)
    assert b"Compact" in told.stdout and b"scales: 4" in told.stdout


@pytest.mark.parametrize("wrapper", [None, "params", "params_ema", "state_dict"])
def test_wrapped_and_plain_tensors(tmp_path: Path, wrapper: str | None) -> None:
    tensors = compact(2)
    torch.save(tensors if wrapper is None else {wrapper: tensors}, tmp_path / "a.pth")
    loaded = load_foreign(tmp_path / "a.pth")
    assert isinstance(loaded.network, ForeignModel) and loaded.network.scale == 2
    traits = loaded.traits
    assert "Compact" in traits.architecture and traits.halo == 3 and not traits.half_is_safe
    assert traits.size_multiple == 1 and traits.smallest_side <= 1


def test_averaged_weights_are_preferred(tmp_path: Path) -> None:
    plain, averaged = compact(2), compact(2, seed=1)
    torch.save({"params": plain, "params_ema": averaged}, tmp_path / "a.pth")
    found = load_foreign(tmp_path / "a.pth").network.state_dict()
    assert torch.equal(found["net.body.0.weight"], averaged["body.0.weight"])


def test_the_default_factor_is_the_networks_own(sr: Run, tmp_path: Path) -> None:
    save(tmp_path / "a.png", 24, 20)
    save_file(compact(2), tmp_path / "two.safetensors")
    assert sr("upscale", "a.png", "-m", "two.safetensors").returncode == 0
    assert size_of(tmp_path / "a_x2.png") == (48, 40)


def test_networks_that_keep_the_size_are_chained(sr: Run, tmp_path: Path) -> None:
    save(tmp_path / "a.png", 24, 20)
    torch.save(compact(1), tmp_path / "one.pth")
    torch.save(compact(2), tmp_path / "two.pth")
    alone = sr("upscale", "a.png", "-m", "one.pth")
    assert alone.returncode == 0, alone.stderr.decode()
    assert size_of(tmp_path / "a_x1.png") == (24, 20)
    both = sr("upscale", "a.png", "-m", "one.pth+two.pth", "--precision", "fp32", "-o", "b.png")
    assert both.returncode == 0, both.stderr.decode()
    lr = pixels_of(tmp_path / "a.png")
    between = wanted(tmp_path / "one.pth", lr)
    made = pixels_of(tmp_path / "b.png").astype(int)
    assert np.abs(made - wanted(tmp_path / "two.pth", between)).max() <= 1
    done = sr("upscale", "a.png", "-m", "one.pth+espcn", "-x4", "-o", "c.png", "--json")
    (told,) = done.records
    assert done.returncode == 0 and told["precision"] in PRECISION_NAMES and told["tile"] >= 20


@pytest.mark.parametrize(
    ("models", "code"),
    [
        (["two.pth+one.pth"], "chain-order"),
        (["bicubic+espcn"], "chain-order"),
        (["one.pth", "espcn"], "chain-in-average"),
        (["one.pth+two.pth", "espcn"], "chain-in-average"),
        (["two.pth", "espcn-x4"], "no-common-scale"),
    ],
)
def test_models_that_do_not_go_together(
    sr: Run, tmp_path: Path, models: list[str], code: str
) -> None:
    save(tmp_path / "a.png")
    torch.save(compact(1), tmp_path / "one.pth")
    torch.save(compact(2), tmp_path / "two.pth")
    done = sr("upscale", "a.png", *(f for m in models for f in ("-m", m)), "-x2")
    assert done.returncode == 2 and done.error_codes == [code], done.stderr.decode()


def test_a_file_with_a_plus_in_its_name_wins(sr: Run, tmp_path: Path) -> None:
    save(tmp_path / "a.png", 24, 20)
    torch.save(compact(2), tmp_path / "a+b.pth")
    assert sr("upscale", "a.png", "-m", "a+b.pth").returncode == 0


def test_alpha_and_gray_go_through(sr: Run, tmp_path: Path) -> None:
    torch.save(compact(2), tmp_path / "two.pth")
    gray = smooth(20, 24)[..., 0]
    Image.fromarray(gray).save(tmp_path / "gray.png")
    rgba = np.dstack([smooth(20, 24), np.full((20, 24), 200, np.uint8)])
    Image.fromarray(rgba, "RGBA").save(tmp_path / "alpha.png")
    assert sr("upscale", "gray.png", "alpha.png", "-m", "two.pth").returncode == 0
    assert Image.open(tmp_path / "gray_x2.png").mode == "L"
    made = pixels_of(tmp_path / "alpha_x2.png")
    assert made.shape == (40, 48, 4) and (made[..., 3] == 200).all()


class _Picky(torch.nn.Module):
    """Refuses sizes that are not multiples of 8 from 16 up; else repeats each pixel."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        assert x.shape[-1] % 8 == 0 and x.shape[-2] % 8 == 0 and min(x.shape[-2:]) >= 16
        assert x.shape[-1] == x.shape[-2]
        return x.repeat_interleave(2, 2).repeat_interleave(2, 3)


def random_checkpoint(kind: str, path: Path) -> None:
    """A network of spandrel's with random weights."""
    import importlib

    from safetensors.torch import save_file

    options = {
        "SwinIR": {"upscale": 2, "img_size": 16, "window_size": 4, "depths": [2], "embed_dim": 12,
                   "num_heads": [2], "upsampler": "pixelshuffledirect"},
        "DnCNN": {"in_nc": 3, "out_nc": 3, "nb": 5},
    }[kind]  # fmt: skip
    module = importlib.import_module(f"spandrel.architectures.{kind}")
    torch.manual_seed(0)
    tensors = getattr(module, kind)(**options).state_dict()
    save_file({n: t.contiguous().clone() for n, t in tensors.items()}, path)


@pytest.mark.parametrize("kind", ["SwinIR", "DnCNN"])
def test_networks_with_ways_of_their_own(kind: str, sr: Run, tmp_path: Path) -> None:
    """SwinIR mixes precisions; DnCNN's names start with model., and it is called in its own way."""
    pytest.importorskip("spandrel")
    random_checkpoint(kind, tmp_path / "net.safetensors")
    save(tmp_path / "a.png", 19, 13)
    done = sr("upscale", "a.png", "-m", "net.safetensors", "-o", "b.png", "-v")
    assert done.returncode == 0, done.stderr.decode()
    factor = 2 if kind == "SwinIR" else 1
    assert size_of(tmp_path / "b.png") == (19 * factor, 13 * factor)


def test_old_esrgan_names_are_known(tmp_path: Path) -> None:
    esrgan = pytest.importorskip("spandrel.architectures.ESRGAN").ESRGAN
    net = esrgan(num_filters=8, num_blocks=1)
    torch.save(net.state_dict(), tmp_path / "old.pth")
    assert all(n.startswith("model.") for n in net.state_dict())
    assert load_foreign(tmp_path / "old.pth").network.scale == 4


@needs_bf16
def test_a_network_that_fails_fails_alone(sr: Run, tmp_path: Path) -> None:
    pytest.importorskip("spandrel")
    random_checkpoint("SwinIR", tmp_path / "net.safetensors")
    for name in "ab":
        save(tmp_path / f"{name}.png", 12, 12)
    done = sr("upscale", "a.png", "b.png", "-m", "net.safetensors", "--precision", "bf16")
    assert done.returncode == 1 and set(done.error_codes) == {"network-failed"}
    assert b"SwinIR" in done.stderr and b"--precision fp32" in done.stderr


@pytest.mark.parametrize("size", [(1, 1), (5, 40), (17, 16), (33, 70)])
def test_sizes_that_a_network_cannot_take_are_padded(size: tuple[int, int]) -> None:
    descriptor = SimpleNamespace(
        architecture=SimpleNamespace(name="Picky"),
        scale=2,
        supports_half=True,
        supports_bfloat16=True,
        model=_Picky(),
        input_channels=3,
        size_requirements=SimpleNamespace(minimum=16, multiple_of=8, square=True),
    )
    lr = smooth(*size)
    sr = Upscaler(ForeignModel(descriptor), tile=16, precision="fp32")(lr)
    assert (sr == lr.repeat(2, 0).repeat(2, 1)).all()


class _Hostile:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        import os

        return os.system, ("touch executed",)


def test_nothing_in_a_file_is_run(sr: Run, tmp_path: Path) -> None:
    save(tmp_path / "a.png", 24, 20)
    (tmp_path / "evil.pth").write_bytes(pickle.dumps({"params": _Hostile()}))
    torch.save({"params": _Hostile()}, tmp_path / "evil2.pth")
    for name in ("evil.pth", "evil2.pth"):
        done = sr("upscale", "a.png", "-m", name)
        assert done.returncode == 1 and done.error_codes == ["unreadable-checkpoint"]
        assert not (tmp_path / "executed").exists()


def test_junk_is_named(sr: Run, tmp_path: Path) -> None:
    save(tmp_path / "a.png", 24, 20)
    whole = tmp_path / "whole.pth"
    torch.save(compact(2), whole)
    (tmp_path / "cut.pth").write_bytes(whole.read_bytes()[:2000])
    (tmp_path / "text.pth").write_text("not a checkpoint")
    torch.save({"layer.weight": torch.zeros(3, 3)}, tmp_path / "unknown.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    (tmp_path / "head.safetensors").write_bytes(b"\xff" * 8 + b"{}")
    for name in ("cut.pth", "text.pth", "unknown.pth", "list.pth", "head.safetensors"):
        code = "unknown-architecture" if name == "unknown.pth" else "unreadable-checkpoint"
        for command in (("upscale", "a.png", "-m", name), ("models", name)):
            done = sr(*command)
            assert done.returncode == 1 and done.error_codes == [code], done.stderr.decode()
            assert name.encode() in done.stderr
    assert b"ESRGAN" in sr("models", "unknown.pth").stderr


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"purpose": "Inpainting"}, "not-for-upscaling"),
        ({"purpose": "SR", "input_channels": 4}, "unsupported-channels"),
    ],
)
def test_networks_for_something_else_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, object], code: str
) -> None:
    torch.save(compact(2), tmp_path / "a.pth")
    kind = type(spandrel.ModelLoader(device="cpu").load_from_state_dict(compact(2)))
    for name, value in change.items():
        fixed = property(lambda _, v=value: v, lambda *_: None)
        monkeypatch.setattr(kind, name, fixed, raising=False)
    with pytest.raises(SrError) as caught:
        load_foreign(tmp_path / "a.pth")
    assert caught.value.code == code


def test_without_spandrel_only_our_own_layouts_are_read(
    sr: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save(compact(2), tmp_path / "a.pth")
    monkeypatch.setitem(sys.modules, "spandrel", None)
    done = sr("models", "a.pth")
    assert done.returncode == 2 and done.error_codes == ["extra-missing"]
    assert b"[foreign]" in done.stderr


def test_a_view_beyond_its_storage_is_refused(tmp_path: Path) -> None:
    tensors = compact(2)
    tensors["body.0.weight"] = torch.zeros(1).expand(8, 3, 3, 3)
    torch.save(tensors, tmp_path / "a.pth")
    assert load_foreign(tmp_path / "a.pth").network.scale == 2
    with pytest.raises(SrError) as caught:
        load_foreign(tmp_path / "missing.pth")
    assert caught.value.code == "file-not-found"


def test_files_that_grow_when_read_are_refused(sr: Run, tmp_path: Path) -> None:
    import zipfile

    torch.save({"a": torch.zeros(1)}, tmp_path / "plain.pth")
    with (
        zipfile.ZipFile(tmp_path / "plain.pth") as plain,
        zipfile.ZipFile(tmp_path / "bomb.pth", "w", zipfile.ZIP_DEFLATED) as bomb,
    ):
        for item in plain.infolist():
            content = b"\0" * (64 << 20) if "/data/" in item.filename else plain.read(item)
            bomb.writestr(item.filename, content)
    torch.save({"a": torch.zeros(1).expand(1 << 28)}, tmp_path / "wide.pth")
    endless: dict[str, object] = {}
    endless["state_dict"] = endless
    torch.save(endless, tmp_path / "endless.pth")
    torch.save({"model." * 3000 + "a": torch.zeros(1)}, tmp_path / "deep.pth")
    codes = {
        "bomb": "expands-too-much",
        "wide": "expands-too-much",
        "endless": "unreadable-checkpoint",
        "deep": "unknown-architecture",
    }
    for name, code in codes.items():
        done = sr("models", f"{name}.pth")
        assert done.returncode == 1 and done.error_codes == [code], (name, done.stderr)


@pytest.mark.parametrize(("mib", "refused"), [(4, False), (6, True)])
def test_how_far_a_file_may_expand(tmp_path: Path, mib: int, refused: bool) -> None:
    """To four times its size and a MiB: this one holds a MiB of numbers, shared by views."""
    numbers = torch.zeros(1 << 18)
    views = {f"view.{n}": numbers for n in range(mib)}
    torch.save(views, tmp_path / "a.pth")
    if not refused:
        assert len(read_tensors(tmp_path / "a.pth")) == mib
        return
    with pytest.raises(SrError) as caught:
        read_tensors(tmp_path / "a.pth")
    assert (caught.value.code, caught.value.facts) == ("expands-too-much", {"mib": mib})


def test_wrappers_within_wrappers(tmp_path: Path) -> None:
    inner: object = {"a": torch.ones(1), "step": 3, "complex": torch.ones(1, dtype=torch.cfloat)}
    for _ in range(8):
        inner = {"model": inner, "epoch": 1}
    torch.save(inner, tmp_path / "a.pth")
    *_, innermost = find_weights(read_tensors(tmp_path / "a.pth"))
    assert innermost.tensors == {"a": torch.ones(1)}
    assert innermost.place == ".".join(["model"] * 8)
    torch.save({"model": inner}, tmp_path / "b.pth")
    with pytest.raises(SrError) as caught:
        read_tensors(tmp_path / "b.pth")
    assert caught.value.facts == {"reason": "no named tensors"}


def test_files_that_are_something_else_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(b"")
    (tmp_path / "b.pth").write_bytes(b"PK\3\4" + bytes(100))
    (tmp_path / "c.safetensors").write_bytes(saved_bytes({"a": torch.zeros(9)})[:-1])
    (tmp_path / "d.pth").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    (tmp_path / "e.pth").write_bytes(b"\xef\xbb\xbf <html>")
    reasons = {
        "a.safetensors": "empty-file",
        "b.pth": "truncated-file",
        "c.safetensors": "truncated-file",
        "d.pth": "lfs-pointer",
        "e.pth": "web-page",
    }
    for name, reason in reasons.items():
        with pytest.raises(SrError) as caught:
            read_tensors(tmp_path / name)
        assert caught.value.code == "unreadable-checkpoint"
        assert caught.value.facts == {"reason": reason}


def scripted() -> bytes:
    """A TorchScript archive."""
    file = io.BytesIO()
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), file)
    return file.getvalue()


def tarred() -> bytes:
    """The layout of the oldest checkpoints of PyTorch."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name in ("pickle", "storages", "tensors"):
            archive.addfile(tarfile.TarInfo(name))
    return file.getvalue()


def legacy() -> bytes:
    """A pickle without an archive, cut."""
    file = io.BytesIO()
    torch.save({"a": torch.zeros(300)}, file, _use_new_zipfile_serialization=False)
    return file.getvalue()[:-500]


@pytest.mark.parametrize(
    "content",
    [b"Not Found", pickle.dumps({"params": _Hostile()}), scripted, tarred, legacy],
    ids=["text", "hostile", "scripted", "tarred", "legacy"],
)
def test_nothing_advises_to_load_a_file_unsafely(
    sr: Run, tmp_path: Path, content: bytes | Callable[[], bytes]
) -> None:
    path = tmp_path / "a.pth"
    path.write_bytes(content if isinstance(content, bytes) else content())
    told = sr("models", "a.pth")
    assert told.error_codes == ["unreadable-checkpoint"]
    # What PyTorch itself says about the same file does not get through.
    with pytest.raises((RuntimeError, pickle.UnpicklingError, EOFError)) as caught:
        torch.load(path, weights_only=True)
    assert b"weights_only" not in told.stderr and b"Weights only" not in told.stderr
    if content is not legacy:
        assert "weights_only" in str(caught.value)
    # A training state is such a file, too.
    folder = RunFolder(tmp_path / "run.safetensors")
    folder.path.mkdir()
    path.rename(folder.state_file)
    torch.save({"step": 1}, folder.previous_file)
    state, note = folder.load_state()
    assert state == {"step": 1} and note is not None and note.kind == "state-damaged"
    assert "eights" not in note.facts["reason"]


def test_a_header_that_describes_too_much_is_refused_at_once(sr: Run, tmp_path: Path) -> None:
    from sr_cli.registry.checkpoint import Header, save_checkpoint

    for name, config in (("many", {"groups": 4096, "blocks": 4096}), ("scale", {"scale": 4})):
        header = Header(model="rcan", scales=[2], config=config)
        save_checkpoint(tmp_path / f"{name}.safetensors", header, {"a": torch.zeros(1)})
        done = sr("models", f"{name}.safetensors")
        assert done.returncode == 1 and done.error_codes == ["invalid-header"], done.stderr


def test_the_suffix_does_not_decide(sr: Run, tmp_path: Path) -> None:
    save_file(compact(2), tmp_path / "a.safetensors")
    (tmp_path / "a.safetensors").rename(tmp_path / "a.pth")
    assert load_foreign(tmp_path / "a.pth").network.scale == 2


class _Normalised(torch.nn.Module):
    """Features whose mean is far larger than how they vary, through a GroupNorm."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.head = torch.nn.Conv2d(3, 16, 3, padding=1)
        self.head.bias.data += 30
        self.norm = torch.nn.GroupNorm(4, 16)
        self.tail = torch.nn.Conv2d(16, 3, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + 0.05 * self.tail(self.norm(self.head(x)))


def test_group_normalisation_keeps_its_variance_in_channels_last() -> None:
    net = _Normalised().eval()
    needs = SimpleNamespace(minimum=1, multiple_of=1, square=False)
    kind = SimpleNamespace(name="normalised")
    foreign = ForeignModel(
        SimpleNamespace(
            architecture=kind, scale=1, model=net, input_channels=3, size_requirements=needs
        )
    )
    x = torch.rand(1, 3, 384, 384)
    with torch.inference_mode():
        exact = net.double()(x.double()).float()
        net.float()
        fast = foreign.for_inference().to(memory_format=torch.channels_last)
        made = fast(x.contiguous(memory_format=torch.channels_last))
    assert (made - exact).abs().max() * 255 < 0.01


def test_operations_of_other_networks_count_where_no_layer_does() -> None:
    class Functional(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.conv2d(x, torch.ones(3, 3, 1, 1))

    needs = SimpleNamespace(minimum=1, multiple_of=1, square=False)
    descriptor = SimpleNamespace(
        architecture=SimpleNamespace(name="functional"),
        scale=1,
        model=Functional(),
        input_channels=3,
        size_requirements=needs,
    )
    assert count_multiply_adds([ForeignModel(descriptor)]) == 9
