"""Degradation step by step: kernels against their equations, noise against its statistics."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from helpers.images import smooth

from sr_cli.imaging import degrade as steps
from sr_cli.imaging import kernels
from sr_cli.imaging.degradation import Photo, Round
from sr_cli.imaging.degrade import add_noise, degrade, degrade_photo
from sr_cli.imaging.kernels import (
    blur,
    gaussian_kernel,
    plateau_kernel,
    random_kernel,
    random_sinc,
    sinc_kernel,
)
from sr_cli.imaging.resize import downscale_bicubic


class Drawn:
    """Stands for a random generator: gives what it is told, in order, and the middle of ranges."""

    def __init__(self, *values: float) -> None:
        self.values = list(values)
        self.asked: list[tuple[float, float]] = []

    def random(self) -> float:
        return self.values.pop(0)

    def integers(self, _: int) -> int:
        return int(self.values.pop(0))

    def choice(self, options: Any, p: Any = None) -> Any:
        number = int(self.values.pop(0))
        return number if isinstance(options, int) else options[number]

    def uniform(self, low: float, high: float) -> float:
        self.asked.append((low, high))
        return (low + high) / 2

    def standard_normal(self, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        self.shape = shape
        return np.ones(shape, dtype)


def turned(side: int, sigma: tuple[float, float], angle: float) -> np.ndarray:
    """The squared distances, written pixel by pixel."""
    made = np.zeros((side, side))
    for row in range(side):
        for column in range(side):
            y, x = row - (side - 1) / 2, column - (side - 1) / 2
            along = math.cos(angle) * x + math.sin(angle) * y
            across = -math.sin(angle) * x + math.cos(angle) * y
            made[row, column] = (along / sigma[0]) ** 2 + (across / sigma[1]) ** 2
    return made


@pytest.mark.parametrize("side", [7, 13])
@pytest.mark.parametrize(("sigma", "angle"), [((1.5, 1.5), 0.0), ((0.7, 2.5), 0.6)])
@pytest.mark.parametrize("power", [0.5, 1.0, 2.5])
def test_kernels_are_their_equations(
    side: int, sigma: tuple[float, float], angle: float, power: float
) -> None:
    distance = turned(side, sigma, angle)
    bell, plateau = np.exp(-(distance**power) / 2), 1 / (1 + distance**power)
    made = gaussian_kernel(side, sigma, angle, power=power)
    assert np.allclose(made, bell / bell.sum(), atol=1e-14)
    if power == 1:
        assert np.array_equal(made, gaussian_kernel(side, sigma, angle))
        assert np.array_equal(
            plateau_kernel(side, sigma, angle), plateau_kernel(side, sigma, angle, power=1.0)
        )
    made = plateau_kernel(side, sigma, angle, power=power)
    assert np.allclose(made, plateau / plateau.sum(), atol=1e-14)


@pytest.mark.parametrize("cutoff", [math.pi / 5, 1.5, math.pi])
@pytest.mark.parametrize("side", [7, 21])
def test_a_sinc_kernel_is_a_bessel_function_by_its_radius(side: int, cutoff: float) -> None:
    steps_ = torch.arange(side, dtype=torch.float64) - side // 2
    radius = torch.hypot(*torch.meshgrid(steps_, steps_, indexing="ij"))
    wanted = cutoff * torch.special.bessel_j1(cutoff * radius) / (2 * math.pi * radius)
    wanted[side // 2, side // 2] = cutoff**2 / (4 * math.pi)
    assert np.allclose(sinc_kernel(side, cutoff), (wanted / wanted.sum()).numpy(), atol=1e-12)


def test_each_kind_of_kernel_is_made_from_its_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[tuple[Any, ...]] = []
    for name in ("gaussian_kernel", "plateau_kernel", "sinc_kernel"):
        monkeypatch.setattr(
            kernels, name, lambda *a, name=name, power=None: made.append((name, *a, power))
        )
    ranges = Round(sinc=0.25, blur_sigma=(1.0, 2.0), generalised=(0.5, 4.0), plateau=(1.0, 2.0))
    kinds = list(ranges.kernels)
    # A side, no sinc, a kind; then for powers whether it is below 1.
    random_kernel(Drawn(0, 0.25, kinds.index("isotropic")), ranges)  # type: ignore[arg-type]
    random_kernel(Drawn(7, 0.9, kinds.index("anisotropic")), ranges)  # type: ignore[arg-type]
    random_kernel(Drawn(1, 0.9, kinds.index("generalised_isotropic"), 0.4), ranges)  # type: ignore[arg-type]
    random_kernel(Drawn(1, 0.9, kinds.index("generalised_isotropic"), 0.5), ranges)  # type: ignore[arg-type]
    random_kernel(Drawn(1, 0.9, kinds.index("plateau_anisotropic"), 0.1), ranges)  # type: ignore[arg-type]
    assert made == [
        ("gaussian_kernel", 7, (1.5, 1.5), 0.0, 1.0),
        ("gaussian_kernel", 21, (1.5, 1.5), math.pi / 2, 1.0),
        ("gaussian_kernel", 9, (1.5, 1.5), 0.0, 0.75),
        ("gaussian_kernel", 9, (1.5, 1.5), 0.0, 2.5),
        ("plateau_kernel", 9, (1.5, 1.5), math.pi / 2, 1.5),
    ]
    made.clear()
    random_kernel(Drawn(2, 0.24), ranges)  # type: ignore[arg-type]
    random_kernel(Drawn(3, 0.24), ranges)  # type: ignore[arg-type]
    assert made == [
        ("sinc_kernel", 11, math.pi * 2 / 3, None),
        ("sinc_kernel", 13, math.pi * 3 / 5, None),
    ]


def test_kinds_are_drawn_as_often_as_they_should_be(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = {"gaussian_kernel": 0, "plateau_kernel": 0, "sinc_kernel": 0}

    def count(name: str) -> Any:
        def counted(*_: object, **__: object) -> np.ndarray:
            drawn[name] += 1
            return np.ones((1, 1))

        return counted

    for name in drawn:
        monkeypatch.setattr(kernels, name, count(name))
    ranges = Round(sinc=0.2, kernels={"isotropic": 1.0, "plateau_isotropic": 3.0})
    random = np.random.default_rng(0)
    for _ in range(2000):
        random_kernel(random, ranges)
    assert abs(drawn["sinc_kernel"] - 400) < 60
    assert abs(drawn["plateau_kernel"] - 1200) < 80


def test_small_sinc_kernels_cut_off_less() -> None:
    small, large = Drawn(), Drawn()
    random_sinc(small, 11)  # type: ignore[arg-type]
    random_sinc(large, 13)  # type: ignore[arg-type]
    assert small.asked == [(math.pi / 3, math.pi)] and large.asked == [(math.pi / 5, math.pi)]


def test_blur_mirrors_at_the_border() -> None:
    image = np.random.default_rng(0).random((9, 11, 3)).astype(np.float32)
    kernel = gaussian_kernel(7, (1.0, 2.0), 0.4)
    wide = np.pad(image, ((3, 3), (3, 3), (0, 0)), mode="reflect")
    wanted = sum(kernel[y, x] * wide[y : y + 9, x : x + 11] for y in range(7) for x in range(7))
    assert np.abs(blur(image, kernel) - wanted).max() < 1e-5


def test_degradations_are_what_their_names_say() -> None:
    hr, random = smooth(32, 32), np.random.default_rng
    bicubic = downscale_bicubic(hr, 2)
    assert np.array_equal(degrade(hr, scale=2, degradation="bicubic", random=random(0)), bicubic)
    noisy = degrade(hr, scale=2, degradation="noise", random=random(0), noise_sigma=(9.0, 9.0))
    assert np.array_equal(noisy, add_noise(bicubic, (9.0, 9.0), random(0)))
    assert 5 < np.abs(noisy.astype(int) - bicubic).mean() < 9
    photo = degrade(hr, scale=2, degradation="photo", random=random(0))
    assert np.array_equal(photo, degrade_photo(hr, 2, Photo(), random(0)))
    own = degrade(hr, scale=2, degradation="photo", random=random(0), photo=Photo(clean=1.0))
    assert np.array_equal(own, bicubic)


def test_noise_by_default_is_up_to_25() -> None:
    drawn = Drawn()
    flat = np.full((4, 4, 3), 100, np.uint8)
    made = degrade(flat, scale=1, degradation="noise", random=drawn)  # type: ignore[arg-type]
    assert drawn.asked == [(0.0, 25.0)] and (made == 113).all()
    white = np.full((4, 4, 3), 250, np.uint8)
    assert (add_noise(white, (20.0, 20.0), Drawn()) == 255).all()  # type: ignore[arg-type]


@pytest.mark.parametrize(("final", "sinc"), [(0.79, True), (0.8, False)])
@pytest.mark.parametrize(("last", "compressed_last"), [(0.49, True), (0.5, False)])
def test_the_order_of_a_photos_steps(
    monkeypatch: pytest.MonkeyPatch, final: float, sinc: bool, last: float, compressed_last: bool
) -> None:
    photo, done = Photo(), []

    def note(name: str) -> Any:
        def noted(image: np.ndarray, ranges: Any, *_: object, **more: object) -> np.ndarray:
            which = {id(photo.first): 1, id(photo.second): 2}.get(id(ranges), ranges)
            done.append((name, which, *more.values()) if more else (name, which))
            return image

        return noted

    for name in ("_blur", "_resize", "_noise", "_compress", "_to_size"):
        monkeypatch.setattr(steps, name, note(name))
    monkeypatch.setattr(steps, "blur", note("sinc"))
    monkeypatch.setattr(steps, "random_sinc", lambda _, side: side)
    hr = smooth(24, 36)
    made = degrade_photo(hr, 4, photo, Drawn(0.0, final, last))  # type: ignore[arg-type]
    assert np.array_equal(made, hr)
    compress = [("_compress", 2)]
    assert done == [
        ("_blur", 1), ("_resize", 1, (24, 36)), ("_noise", 1), ("_compress", 1),
        ("_blur", 2), ("_resize", 2, (6, 9)), ("_noise", 2),
        *([] if compressed_last else compress),
        ("_to_size", (6, 9)),
        *([("sinc", 21)] if sinc else []),
        *(compress if compressed_last else []),
    ]  # fmt: skip


def test_how_often_an_image_is_blurred(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "random_kernel", lambda *_: np.full((3, 3), 1 / 9))
    image = np.random.default_rng(0).random((9, 9, 3)).astype(np.float32)
    ranges = Round(blur=0.6)
    assert steps._blur(image, ranges, Drawn(0.6)) is image  # type: ignore[arg-type]
    assert steps._blur(image, ranges, Drawn(0.59)).std() < image.std()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "asked", "size"),
    [(0.19, (1, 1.5), (25, 50)), (0.2, (0.5, 1), (15, 30)), (0.69, (0.5, 1), (15, 30)),
     (0.7, None, (20, 40))],
)  # fmt: skip
def test_sizes_between_the_rounds(
    kind: float, asked: tuple[float, float] | None, size: tuple[int, int]
) -> None:
    drawn = Drawn(kind, 1)
    image = np.zeros((10, 10, 3), np.float32)
    ranges = Round(up=0.2, down=0.5, resize=(0.5, 1.5))
    made = steps._resize(image, ranges, drawn, base=(20, 40))  # type: ignore[arg-type]
    assert made.shape == (*size, 3) and drawn.asked == ([] if asked is None else [asked])
    least = steps._resize(image, Round(up=0, down=1, resize=(0.1, 0.1)), Drawn(0.5, 1),
                          base=(10, 10))  # type: ignore[arg-type]  # fmt: skip
    assert least.shape == (8, 8, 3)
    larger = Drawn(0.0, 1)
    steps._resize(image, Round(up=1.0, down=0, resize=(0.2, 0.5)), larger, base=(9, 9))  # type: ignore[arg-type]
    assert larger.asked == [(1, 1)]


def test_resized_images_stay_in_range_by_each_kernel() -> None:
    image = np.zeros((16, 16, 3), np.float32)
    image[4:12, 4:12] = 1
    made = [steps._to_size(image, (24, 20), Drawn(number)) for number in range(3)]  # type: ignore[arg-type]
    for one in made:
        assert one.shape == (24, 20, 3) and one.min() >= 0 and one.max() <= 1
    assert not np.array_equal(made[0], made[1]) and not np.array_equal(made[1], made[2])


def test_gaussian_noise_has_its_sigma_and_may_be_gray() -> None:
    image = np.full((20, 20, 3), 0.5, np.float32)
    ranges = Round(gray=0.4, gaussian=0.5, gaussian_sigma=(10.0, 20.0))
    colour = Drawn(0.4, 0.49)
    made = steps._noise(image, ranges, colour)  # type: ignore[arg-type]
    assert colour.shape == (20, 20, 3) and np.allclose(made, 0.5 + 15 / 255, atol=1e-6)
    gray = Drawn(0.39, 0.49)
    steps._noise(image, ranges, gray)  # type: ignore[arg-type]
    assert gray.shape == (20, 20, 1)
    bright = np.ones((4, 4, 3), np.float32)
    assert (steps._noise(bright, ranges, Drawn(0.4, 0.0)) == 1).all()  # type: ignore[arg-type]


@pytest.mark.parametrize("gray", [False, True])
def test_poisson_noise_grows_with_the_light(gray: bool) -> None:
    random = np.random.default_rng(0)
    image = np.zeros((200, 200, 3), np.float32)
    image[:, 100:] = 0.5
    image[0, : 256 // 2] = np.arange(128)[:, None] / 255
    made = steps._poisson_noise(image, gray, random)
    assert made.shape == (200, 200, 1 if gray else 3) and made.dtype == np.float32
    # 129 values: as many quanta as the next power of two.
    assert (made[1:, :100] == 0).all()
    assert abs(made[1:, 100:].var() - 0.5 / 256) < 0.0002 and abs(made[1:, 100:].mean()) < 0.002
    scaled = steps._noise(
        image, Round(gray=float(gray), gaussian=0.0, poisson_scale=(2.0, 2.0)), random
    )
    spread = (scaled - image)[1:, 100:].std()
    assert abs(spread - 2 * math.sqrt(0.5 / 256)) < 0.004
    assert np.ptp(scaled - image, axis=2).max() < 1e-6 or not gray


def test_few_values_are_few_quanta() -> None:
    image = np.full((300, 300, 3), 0.5, np.float32)
    made = steps._poisson_noise(image, False, np.random.default_rng(0))
    # 0.5 becomes 128/255 of two quanta.
    assert abs(made.var() - (128 / 255) / 2) < 0.01


@pytest.mark.parametrize(("webp", "is_webp"), [(0.09, True), (0.1, False)])
def test_compression_takes_the_codec_and_quality_drawn(
    monkeypatch: pytest.MonkeyPatch, webp: float, is_webp: bool
) -> None:
    import cv2

    asked = []
    real = cv2.imencode
    monkeypatch.setattr(cv2, "imencode", lambda s, p, o: asked.append((s, o)) or real(s, p, o))
    image = smooth(32, 32).astype(np.float32) / 255
    made = steps._compress(image, Round(jpeg=(80.0, 91.0), webp=0.1), Drawn(webp))  # type: ignore[arg-type]
    option = cv2.IMWRITE_WEBP_QUALITY if is_webp else cv2.IMWRITE_JPEG_QUALITY
    assert asked == [(".webp" if is_webp else ".jpg", [option, 86])]
    assert made.shape == image.shape and made.dtype == np.float32
    assert 0 < np.abs(made - image).mean() < 0.03
    white = np.ones((16, 16, 3), np.float32)
    assert (steps._compress(white, Round(webp=0.0), Drawn(0.5)) == 1).all()  # type: ignore[arg-type]


def test_results_are_rounded_half_up() -> None:
    values = np.array([-0.1, 0.0, 0.5 / 255, 1.49 / 255, 1.5 / 255, 1.0, 1.2])
    assert steps._to_uint8(values).tolist() == [0, 0, 1, 1, 2, 255, 255]
