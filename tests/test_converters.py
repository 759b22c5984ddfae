"""Other tools' layouts of our networks: the same images, computed in two ways."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from sr_cli.engine.upscaler import Upscaler
from sr_cli.errors import SrError
from sr_cli.networks import create_model
from sr_cli.networks.base import SRModel
from sr_cli.registry import converters
from sr_cli.registry.foreign import known_architectures, load_foreign


def conv(inputs: int, outputs: int, kernel: int = 3, bias: bool = True) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=bias)


def lively(net: nn.Module) -> nn.Module:
    """With statistics and slopes that differ from a new network's."""
    torch.manual_seed(0)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.normal_(module.weight, 1, 0.1)
            nn.init.normal_(module.bias, std=0.1)
        if isinstance(module, nn.PReLU):
            nn.init.constant_(module.weight, 0.2)
    return net.eval()


class Named(nn.Module):
    """Parts by name."""

    def __init__(self, **parts: nn.Module) -> None:
        super().__init__()
        for name, part in parts.items():
            setattr(self, name, part)


class Residual(Named):
    def forward(self, x: Tensor) -> Tensor:
        return x + nn.Sequential(*self.children())(x)


def rcb(features: int) -> nn.Module:
    parts = [conv(features, features, bias=False), nn.BatchNorm2d(features), nn.PReLU()]
    parts += [conv(features, features, bias=False), nn.BatchNorm2d(features)]
    return Residual(rcb=nn.Sequential(*parts))


class UpsampleBlock(Named):
    def forward(self, x: Tensor) -> Tensor:
        return self.upsample_block(x)


class Lornatangs(nn.Module):
    """Names: those of the present SRResNet, or with "_block" of the older Generator."""

    def __init__(self, extra: str, scale: int, features: int = 6, blocks: int = 2) -> None:
        super().__init__()
        f, r = features, 3 if scale == 3 else 2
        self.names = [f"conv{extra}{k}" for k in (1, 2, 3)]
        parts = [nn.Sequential(conv(3, f, 9), nn.PReLU())]
        parts += [nn.Sequential(conv(f, f, bias=False), nn.BatchNorm2d(f)), conv(f, 3, 9)]
        for name, part in zip(self.names, parts, strict=True):
            setattr(self, name, part)
        self.trunk = nn.Sequential(*(rcb(f) for _ in range(blocks)))
        steps = 2 if scale == 4 else 1
        self.upsampling = nn.Sequential(
            *(
                UpsampleBlock(
                    upsample_block=nn.Sequential(conv(f, f * r * r), nn.PixelShuffle(r), nn.PReLU())
                )
                for _ in range(steps)
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        first, second, third = (getattr(self, name) for name in self.names)
        start = first(x)
        return third(self.upsampling(start + second(self.trunk(start))))


class LeftthomasStep(nn.Module):
    def __init__(self, f: int) -> None:
        super().__init__()
        self.conv, self.prelu = conv(f, 4 * f), nn.PReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.prelu(nn.functional.pixel_shuffle(self.conv(x), 2))


class Leftthomas(nn.Module):
    def __init__(self, scale: int, f: int = 6) -> None:
        super().__init__()
        self.block1 = nn.Sequential(conv(3, f, 9), nn.PReLU())
        for block in range(2, 7):
            parts = {"conv1": conv(f, f), "bn1": nn.BatchNorm2d(f), "prelu": nn.PReLU()}
            parts |= {"conv2": conv(f, f), "bn2": nn.BatchNorm2d(f)}
            setattr(self, f"block{block}", Residual(**parts))
        self.block7 = nn.Sequential(conv(f, f), nn.BatchNorm2d(f))
        steps = [LeftthomasStep(f) for _ in range(scale // 2)]
        self.block8 = nn.Sequential(*steps, conv(f, 3, 9))

    def forward(self, x: Tensor) -> Tensor:
        start = x = self.block1(x)
        for block in range(2, 7):
            x = getattr(self, f"block{block}")(x)
        return (torch.tanh(self.block8(start + self.block7(x))) + 1) / 2


class LornatangsESPCN(nn.Module):
    def __init__(self, scale: int) -> None:
        super().__init__()
        self.feature_maps = nn.Sequential(conv(1, 8, 5), nn.Tanh(), conv(8, 4), nn.Tanh())
        self.sub_pixel = nn.Sequential(conv(4, scale * scale), nn.PixelShuffle(scale))

    def forward(self, x: Tensor) -> Tensor:
        return self.sub_pixel(self.feature_maps(x))


def agree(net: nn.Module, file: Path, name: str, scale: int, channels: int = 3) -> None:
    """The file gives our network `name`, and that the images of `net`; on the fast path too."""
    torch.save({"state_dict": net.state_dict(), "epoch": 3}, file)
    found = load_foreign(file).network
    assert (found.name, found.scale, found.channels) == (name, scale, channels)
    x = torch.rand(1, channels, 19, 14)
    with torch.inference_mode():
        wanted = net.eval()(x.clone())
        assert torch.allclose(found(x), wanted, atol=1e-5)
        inside = (..., *[slice(found.margin * scale, -found.margin * scale or None)] * 2)
        assert torch.allclose(found.for_inference()(x)[inside], wanted[inside], atol=1e-5)


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("extra", ["", "_block"])
def test_srresnet_of_lornatang(extra: str, scale: int, tmp_path: Path) -> None:
    agree(lively(Lornatangs(extra, scale)), tmp_path / "a.pth", "srresnet", scale)


@pytest.mark.parametrize("scale", [2, 4])
def test_srgan_of_leftthomas(scale: int, tmp_path: Path) -> None:
    agree(lively(Leftthomas(scale)), tmp_path / "a.pth", "srresnet", scale)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_espcn_of_lornatang(scale: int, tmp_path: Path) -> None:
    agree(LornatangsESPCN(scale), tmp_path / "a.pth", "espcn", scale, channels=1)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_rcan_of_edsr_pytorch(scale: int, tmp_path: Path) -> None:
    rcan = pytest.importorskip("spandrel.architectures.RCAN").RCAN
    torch.manual_seed(0)
    net = rcan(scale=scale, n_resgroups=2, n_resblocks=3, n_feats=16, reduction=4)
    agree(net, tmp_path / "a.pt", "rcan", scale)


def test_what_only_looks_like_a_layout_is_left_to_others(tmp_path: Path) -> None:
    tensors = LornatangsESPCN(2).state_dict()
    tensors["feature_maps.2.weight"] = torch.zeros(5, 5, 3, 3)
    torch.save(tensors, tmp_path / "a.pth")
    with pytest.raises(SrError) as caught:
        load_foreign(tmp_path / "a.pth")
    assert caught.value.code == "unknown-architecture"
    known = {"EDSR (sanghyun-son)", "SRResNet (Lornatang, leftthomas)"}
    assert known <= set(known_architectures()) == set(caught.value.facts["known"])


def test_a_converted_file_runs_in_the_engine(tmp_path: Path) -> None:
    torch.save(lively(Leftthomas(4)).state_dict(), tmp_path / "a.pth")
    lr = (torch.rand(40, 50, 3) * 255).byte().numpy()
    found = load_foreign(tmp_path / "a.pth")
    whole, tiled = (Upscaler(found, tile=t, precision="fp32")(lr) for t in (64, 20))
    assert whole.shape == (160, 200, 3) and abs(whole.astype(int) - tiled).max() <= 1


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_edsr_of_its_authors_becomes_ours(tmp_path: Path, scale: int) -> None:
    torch.manual_seed(0)
    ours = create_model("edsr", scale=scale, features=6, blocks=2)
    theirs = {"sub_mean.weight": torch.eye(3)[..., None, None], "sub_mean.bias": torch.zeros(3)}
    for name, tensor in ours.state_dict().items():
        parts = name.split(".")
        if parts[0] == "head":
            parts = ["head", "0", *parts[1:]]
        elif parts[0] == "body" and "branch" in parts:
            parts = ["body", parts[1], "body", *parts[3:]]
        elif parts[0] == "tail":
            last = str(max(int(n.split(".")[1]) for n in ours.state_dict() if n[:4] == "tail"))
            parts = ["tail", "1", *parts[2:]] if parts[1] == last else ["tail", "0", *parts[1:]]
        theirs[".".join(parts)] = tensor * 255 if name.endswith("bias") else tensor
    torch.save(theirs, tmp_path / "edsr.pt")
    found = load_foreign(tmp_path / "edsr.pt").network
    assert found.name == "edsr" and found.scale == scale
    x = torch.rand(1, 3, 9, 11)
    with torch.inference_mode():
        assert torch.allclose(found(x), ours.eval()(x), atol=1e-6)


def test_shapes_that_promise_more_than_the_file_holds_are_not_built(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tensors = {f"body.{n}.body.0.weight": torch.zeros(0) for n in range(32)}
    tensors |= {"head.0.weight": torch.zeros(4096, 0), "tail.0.0.weight": torch.zeros(4, 1)}
    built = []

    def watched(name: str, **config: object) -> SRModel:
        built.append(torch.empty(0).device.type)
        return create_model(name, **config)

    monkeypatch.setattr(converters, "create_model", watched)
    assert converters.convert_tensors(tensors) is None
    assert set(built) <= {"meta"}
    assert converters.convert_tensors(tensors | {"head.0.weight": torch.tensor(1.0)}) is None
