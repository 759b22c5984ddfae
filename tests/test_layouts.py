"""Every layout in which checkpoints come: the result is that of the plain file."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.command import Outcome, Run
from helpers.images import pixels_of, save
from helpers.networks import compact, small_model
from safetensors.torch import save_file

from sr_cli.registry.foreign import load_foreign
from sr_cli.registry.layouts import find_weights
from sr_cli.registry.reparameterised import fuse_modules, other_forms

Tensors = dict[str, torch.Tensor]
Layout = Callable[[Tensors, Tensors], Any]

spandrel = pytest.importorskip("spandrel")


def nested(tensors: Tensors) -> dict[str, Any]:
    """Dictionaries in dictionaries instead of points in names."""
    found: dict[str, Any] = {}
    for name, tensor in tensors.items():
        *path, last = name.split(".")
        inner = found
        for part in path:
            inner = inner.setdefault(part, {})
        inner[last] = tensor
    return found


def named(prefix: str, tensors: Tensors) -> Tensors:
    return {prefix + name: tensor for name, tensor in tensors.items()}


DISCRIMINATOR = {"net_d.conv.weight": torch.ones(4, 3, 3, 3), "net_d.conv.bias": torch.ones(4)}
OPTIMISER = {"state": {0: {"exp_avg": torch.ones(3)}}, "param_groups": [{"lr": 1e-4}]}

LAYOUTS: dict[str, Layout] = {
    "plain": lambda t, _: t,
    "ordered": lambda t, _: OrderedDict(t),
    "params": lambda t, _: {"params": t},
    "net": lambda t, _: {"net": t},
    "any single name": lambda t, _: {"my_own_network": t},
    "single name and step": lambda t, _: {"my_own_network": t, "step": 7, "note": "text"},
    "single name and optimiser": lambda t, _: {"mine": t, "optimizer": OPTIMISER, "epoch": 3},
    "nested": lambda t, _: nested(t),
    "nested in a wrapper": lambda t, _: {"net_g": nested(t), "iter": 10},
    "compiled": lambda t, _: named("_orig_mod.", t),
    "compiled inside": lambda t, _: {
        n.replace("body.", "body._orig_mod."): v for n, v in t.items()
    },
    "data parallel": lambda t, _: named("module.", t),
    "compiled and parallel": lambda t, _: {"params": named("_orig_mod.module.", t)},
    "averaged model": lambda t, _: named("module.", t) | {"n_averaged": torch.tensor(5)},
    "lightning model": lambda t, _: {
        "epoch": 1,
        "pytorch-lightning_version": "2.4.0",
        "state_dict": named("model.", t),
        "optimizer_states": [OPTIMISER],
        "lr_schedulers": [],
        "hyper_parameters": {"lr": 1e-4, "name": "x"},
    },
    "lightning gan": lambda t, _: {
        "state_dict": named("net_g.", t)
        | DISCRIMINATOR
        | {"perceptual_loss.vgg.0.weight": torch.ones(2)},
        "callbacks": {"checkpoint": {"best": torch.tensor(0.5)}},
    },
    "lightning averaged": lambda t, o: {
        "state_dict": named("net_g.", o)
        | named("net_g_ema.module.", t)
        | {"net_g_ema.n_averaged": torch.tensor(9)}
    },
    "both": lambda t, o: {"params": o, "params_ema": t},
    "both with a dash": lambda t, o: {"params-ema": t, "params": o},
    "both of stylegan's": lambda t, o: {"g": o, "d": DISCRIMINATOR, "g_ema": t},
    "both of ema_pytorch": lambda t, o: (
        named("online_model.", o)
        | named("ema_model.", t)
        | {"initted": torch.tensor(True), "step": torch.tensor(3)}
    ),
}
AVERAGED = {name for name in LAYOUTS if name.startswith(("both", "lightning averaged"))}


def upscaled(sr: Run, folder: Path, name: str) -> tuple[np.ndarray[Any, Any], Outcome]:
    """The result with a checkpoint of the folder."""
    if not (folder / "a.png").exists():
        save(folder / "a.png", 21, 17)
    done = sr("upscale", "a.png", "-m", name, "-o", "b.png", "-y", "--precision", "fp32")
    assert done.returncode == 0, done.stderr.decode()
    return pixels_of(folder / "b.png"), done


def is_flat(layout: str) -> bool:
    content = LAYOUTS[layout](compact(2), compact(2))
    return all(isinstance(value, torch.Tensor) for value in content.values())


FILES = [(name, "pth") for name in LAYOUTS]
FILES += [(name, "safetensors") for name in LAYOUTS if is_flat(name)]


@pytest.mark.parametrize(("layout", "suffix"), FILES)
def test_the_result_is_that_of_the_plain_file(
    sr: Run, tmp_path: Path, layout: str, suffix: str
) -> None:
    tensors, other = compact(2, seed=1), compact(2, seed=2)
    save_file(tensors, tmp_path / "plain.safetensors")
    wanted, _ = upscaled(sr, tmp_path, "plain.safetensors")
    content = LAYOUTS[layout](tensors, other)
    if suffix == "safetensors":
        save_file(content, tmp_path / "a.safetensors")
    else:
        torch.save(content, tmp_path / "a.pth")
    found, done = upscaled(sr, tmp_path, f"a.{suffix}")
    assert (found == wanted).all()
    assert (b"averaged weights" in done.stderr) == (layout in AVERAGED), done.stderr.decode()


def test_the_note_names_what_is_used_and_what_is_not(tmp_path: Path) -> None:
    torch.save({"params": compact(2), "params_ema": compact(2, seed=1)}, tmp_path / "a.pth")
    (note,) = load_foreign(tmp_path / "a.pth").notes
    assert note.as_dict() == {
        "kind": "averaged-weights",
        "used": "params_ema",
        "others": ["params"],
    }
    torch.save({"params_ema": compact(2)}, tmp_path / "b.pth")
    assert not load_foreign(tmp_path / "b.pth").notes


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("suffix", ["pth", "pt", "ckpt", "safetensors"])
@pytest.mark.parametrize("kind", ["foreign", "converted"])
def test_numbers_of_every_width(
    sr: Run, tmp_path: Path, dtype: torch.dtype, suffix: str, kind: str
) -> None:
    tensors = {n: t.to(dtype) for n, t in (compact(2) if kind == "foreign" else edsr()).items()}
    torch.save({n: t.float() for n, t in tensors.items()}, tmp_path / "plain.pth")
    wanted, _ = upscaled(sr, tmp_path, "plain.pth")
    if suffix == "safetensors":
        save_file(tensors, tmp_path / "a.safetensors")
    else:
        torch.save({"params": tensors}, tmp_path / f"a.{suffix}")
    found, _ = upscaled(sr, tmp_path, f"a.{suffix}")
    assert (found == wanted).all()
    network = load_foreign(tmp_path / f"a.{suffix}").network
    assert network.name == ("foreign" if kind == "foreign" else "edsr")


def edsr() -> Tensors:
    """EDSR in the names of its authors."""
    found = {}
    for name, tensor in small_model("edsr", 2).state_dict().items():
        theirs = name.replace("head.", "head.0.").replace(".branch.", ".body.")
        theirs = theirs.replace("tail.2.", "tail.1.").replace("tail.0.", "tail.0.0.")
        found[theirs] = tensor
    return found


def span() -> Tensors:
    """A small SPAN with random weights, in the form in which it is trained."""
    torch.manual_seed(0)
    module = pytest.importorskip("spandrel.architectures.SPAN")
    net = module.SPAN(num_in_ch=3, num_out_ch=3, feature_channels=8, upscale=2).eval()
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    for part in net.modules():
        if hasattr(part, "update_params"):
            part.update_params()
    return {name: tensor.clone() for name, tensor in net.state_dict().items()}


def without(tensors: Tensors, *parts: str) -> Tensors:
    return {n: t for n, t in tensors.items() if not any(f".{p}." in n for p in parts)}


SPAN_FORMS: dict[str, Callable[[Tensors], Tensors]] = {
    "trained only": lambda t: without(t, "eval_conv"),
    "fused only": lambda t: without(t, "conv", "sk"),
    "fused under the plain name": lambda t: {
        n.replace(".eval_conv.", "."): v for n, v in without(t, "conv", "sk").items()
    },
}


@pytest.mark.parametrize("form", SPAN_FORMS)
def test_fused_and_unfused_span(sr: Run, tmp_path: Path, form: str) -> None:
    whole = span()
    torch.save({"params": whole}, tmp_path / "plain.pth")
    torch.save({"params": SPAN_FORMS[form](whole)}, tmp_path / "a.pth")
    wanted, _ = upscaled(sr, tmp_path, "plain.pth")
    found, _ = upscaled(sr, tmp_path, "a.pth")
    assert len(np.unique(wanted)) > 50
    assert np.abs(found.astype(int) - wanted).max() <= 1


@pytest.mark.parametrize("form", ["trained", "both", "fused"])
def test_a_compact_network_of_reparameterised_convolutions(
    sr: Run, tmp_path: Path, form: str
) -> None:
    module = pytest.importorskip("spandrel.architectures.SPAN.__arch.span")
    torch.manual_seed(3)
    plain, tensors = compact(2), {}
    for name, tensor in compact(2).items():
        place = name.rpartition(".")[0]
        if tensor.ndim != 4:
            tensors.setdefault(name, tensor)
            continue
        part = module.Conv3XC(tensor.shape[1], tensor.shape[0], gain1=2).eval()
        for parameter in part.parameters():
            torch.nn.init.normal_(parameter, std=0.1)
        part.update_params()
        fused = part.eval_conv.state_dict()
        plain |= {f"{place}.{n}": t.clone() for n, t in fused.items()}
        tensors.pop(f"{place}.bias", None)
        tensors |= {f"{place}.{n}": t.clone() for n, t in part.state_dict().items()}
    for place in (0, 2, 4):
        tensors.pop(f"body.{place}.bias", None)
    dropped = {"trained": ("eval_conv",), "both": (), "fused": ("conv", "sk")}[form]
    torch.save(plain, tmp_path / "plain.pth")
    torch.save(without(tensors, *dropped), tmp_path / "a.pth")
    wanted, _ = upscaled(sr, tmp_path, "plain.pth")
    found, _ = upscaled(sr, tmp_path, "a.pth")
    assert len(np.unique(wanted)) > 20
    assert np.abs(found.astype(int) - wanted).max() <= 1


def test_the_module_equals_its_one_convolution() -> None:
    module = pytest.importorskip("spandrel.architectures.SPAN.__arch.span")
    torch.manual_seed(0)
    net = torch.nn.Sequential(module.Conv3XC(3, 5, gain1=2)).eval()
    x = torch.rand(1, 3, 9, 7)
    with torch.inference_mode():
        wanted = net(x)
        fuse_modules(net)
        assert torch.allclose(net(x), wanted, atol=1e-6)
    assert isinstance(net[0], torch.nn.Conv2d)


def test_other_networks_have_no_other_forms() -> None:
    assert not list(other_forms(compact(2)))
    incomplete = {"a.sk.weight": torch.ones(1, 1, 1, 1), "b.eval_conv.weight": torch.ones(1)}
    assert not list(other_forms(incomplete))


def test_as_many_wrappers_as_a_file_likes() -> None:
    weights = find_weights({"model." * 3000 + "a": torch.ones(1)})
    assert len(weights) == 9


def test_a_mapping_in_many_places_is_read_once(sr: Run, tmp_path: Path) -> None:
    inner: dict[str, Any] = compact(2)
    for _ in range(7):
        inner = {f"n{i}": inner for i in range(40)}
    torch.save(inner, tmp_path / "a.pth")
    assert sr("models", "a.pth").returncode == 0
