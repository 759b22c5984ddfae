"""A small data pack for a leg on another machine: the most telling tiles of many images.

    python tools/pack.py photos/ more-photos/ -o pack/ --megabytes 17

Photographs are chosen by how much fine detail they hold, with some smooth ones (skies, skin) kept
for variety, and re-encoded as AVIF 4:4:4. Screenshots, text and drawings are rendered: photographs
hold few of them, and a network that has not seen letters paints moss over them.
"""

from __future__ import annotations

import argparse
import io
import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

SIDE = 512
_SMOOTH = 0.12
"""Share of the photographs that is taken from the smooth ones."""

_DETAILED = 0.6
"""Share of all photographs that counts as detailed."""

_WORDS = (  # noqa: SIM905
    "the quick brown fox jumps over lazy dogs while seven wizards quietly mix 1234567890 bottles "
    "of very old amber oil Street Café Hotel OPEN Exit Menu Price $19.99 50% km/h Überfall Straße "
    "naïve garçon Kaffee Zürich São Paulo Łódź привет мир Ελλάδα e-mail info@example.org +49 30"
).split()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--megabytes", type=float, default=29.0)
    parser.add_argument("--quality", type=int, default=78)
    parser.add_argument("--drawn", type=float, default=0.06, help="share of rendered tiles")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    files = sorted(p for folder in options.folders for p in folder.rglob("*.avif"))
    with ThreadPoolExecutor(2) as pool:
        energies = list(pool.map(lambda p: detail(tile_of(p)), files))
    options.output.mkdir(parents=True, exist_ok=True)
    room, count = options.megabytes * (1 << 20), 0
    random = np.random.default_rng(options.seed)
    order = chosen_order(np.array(energies), random)
    drawn_every = round(1 / options.drawn)
    for place, index in enumerate(order):
        tiles = [(files[index].stem, tile_of(files[index]))]
        if place % drawn_every == 0:
            tiles.append(
                (f"drawn-{place:04}", drawing(np.random.default_rng([options.seed, place])))
            )
        for name, tile in tiles:
            packed = encoded(tile, options.quality)
            room -= len(packed)
            if room < 0:
                print(f"{count} tiles, {options.megabytes - room / (1 << 20):.1f} MiB")
                return
            (options.output / f"{name}.avif").write_bytes(packed)
            count += 1
    print(f"{count} tiles: all there are")


def tile_of(path: Path) -> NDArray[np.uint8]:
    """The middle 512x512 of an image, or less where it is smaller."""
    pixels = np.asarray(Image.open(path).convert("RGB"))
    top, left = (max(0, n - SIDE) // 2 for n in pixels.shape[:2])
    return np.ascontiguousarray(pixels[top : top + SIDE, left : left + SIDE])


def detail(tile: NDArray[np.uint8]) -> float:
    """The median over 32x32 blocks of the mean gradient, so that one hard edge is not detail."""
    luma = tile.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    gradient = np.abs(np.diff(luma, axis=0))[:, :-1] + np.abs(np.diff(luma, axis=1))[:-1]
    h, w = (n // 32 * 32 for n in gradient.shape)
    blocks = gradient[:h, :w].reshape(h // 32, 32, w // 32, 32).mean((1, 3))
    return float(np.median(blocks) + 0.25 * blocks.mean())


def chosen_order(energies: NDArray[np.float64], random: np.random.Generator) -> list[int]:
    """Indices: mostly of the more detailed images in any order, smooth ones strewn in.

    Not the most detailed first: those are all grass and gravel, and the largest files.
    """
    by_detail = np.argsort(-energies)
    enough = round(_DETAILED * len(by_detail))
    detailed, smooth = (list(random.permutation(p)) for p in np.split(by_detail, [enough]))
    order: list[int] = []
    while detailed or smooth:
        take_smooth = not detailed or (smooth and random.random() < _SMOOTH)
        order.append(int(smooth.pop(0) if take_smooth else detailed.pop(0)))
    return order


def encoded(tile: NDArray[np.uint8], quality: int) -> bytes:
    """AVIF 4:4:4."""
    file = io.BytesIO()
    Image.fromarray(tile).save(file, "AVIF", quality=quality, subsampling="4:4:4", speed=8)
    return file.getvalue()


def drawing(random: np.random.Generator) -> NDArray[np.uint8]:
    """A page of text, a façade of straight lines, or a screen, 512x512, drawn twice as large."""
    kind = random.choice(["text", "text", "facade", "lines", "screen"])
    big = Image.new("RGB", (2 * SIDE, 2 * SIDE), colour(random))
    pen = ImageDraw.Draw(big)
    {"text": write, "facade": build, "lines": cross, "screen": show}[kind](pen, random)
    if kind != "screen" and random.random() < 0.6:
        turned = float(random.uniform(-12, 12))
        big = big.rotate(turned, Image.Resampling.BICUBIC, fillcolor=colour(random))
    return np.asarray(big.resize((SIDE, SIDE), Image.Resampling.LANCZOS))


def colour(random: np.random.Generator) -> tuple[int, int, int]:
    """Black, white or gray as often as any other."""
    if random.random() < 0.5:
        gray = int(random.choice([0, 20, 128, 235, 255]))
        return (gray, gray, gray)
    r, g, b = (int(v) for v in random.integers(0, 256, 3))
    return (r, g, b)


def ink_on(ground: tuple[int, int, int], random: np.random.Generator) -> tuple[int, int, int]:
    """A colour that can be read on the ground."""
    while True:
        ink = colour(random)
        if abs(sum(ink) - sum(ground)) > 180:
            return ink


def font(random: np.random.Generator, size: int) -> ImageFont.FreeTypeFont:
    """Any of the machine's fonts that is not for mathematics alone."""
    found = sorted(p for p in Path("/usr/share/fonts").rglob("*.[to]tf") if "Math" not in p.name)
    return ImageFont.truetype(str(found[int(random.integers(len(found)))]), size)


def write(pen: ImageDraw.ImageDraw, random: np.random.Generator) -> None:
    """Lines of words in several sizes, each block on a ground of its own."""
    y = int(random.integers(0, 24))
    while y < 2 * SIDE:
        size = int(np.exp(random.uniform(np.log(18), np.log(120))))
        face, lines = font(random, size), int(random.integers(1, 5))
        ground = colour(random)
        ink = ink_on(ground, random)
        pen.rectangle((0, y, 2 * SIDE, y + int(1.3 * size) * lines + 8), fill=ground)
        for _ in range(lines):
            words = " ".join(random.choice(_WORDS, 24))
            pen.text((int(random.integers(-40, 40)), y), words, font=face, fill=ink)
            y += int(1.3 * size)
        y += 8 + int(random.integers(0, 20))


def build(pen: ImageDraw.ImageDraw, random: np.random.Generator) -> None:
    """Windows in rows with frames and shades, bricks between them."""
    wall = colour(random)
    dark = (wall[0] * 3 // 4, wall[1] * 3 // 4, wall[2] * 3 // 4)
    pen.rectangle((0, 0, 2 * SIDE, 2 * SIDE), fill=wall)
    height, width = int(random.integers(10, 28)), int(random.integers(28, 72))
    for row, y in enumerate(range(0, 2 * SIDE, height)):
        pen.line((0, y, 2 * SIDE, y), fill=dark, width=2)
        for x in range(-(row % 2) * width // 2, 2 * SIDE, width):
            pen.line((x, y, x, y + height), fill=dark, width=2)
    w, h = int(random.integers(60, 140)), int(random.integers(80, 200))
    gap, frame, glass = int(random.integers(30, 90)), ink_on(wall, random), colour(random)
    for y in range(gap // 2, 2 * SIDE, h + gap):
        for x in range(gap // 2, 2 * SIDE, w + gap):
            pen.rectangle((x, y, x + w, y + h), fill=glass, outline=frame, width=6)
            pen.line((x + w // 2, y, x + w // 2, y + h), fill=frame, width=4)
            pen.line((x, y + h // 3, x + w, y + h // 3), fill=frame, width=4)


def cross(pen: ImageDraw.ImageDraw, random: np.random.Generator) -> None:
    """Fans of lines, grids, circles and polygons of many widths."""
    for _ in range(int(random.integers(8, 20))):
        ink, width = colour(random), int(random.integers(1, 10))
        x, y = (int(v) for v in random.integers(0, 2 * SIDE, 2))
        reach, kind = int(random.integers(60, 500)), int(random.integers(4))
        if kind == 0:
            for angle in np.arange(0, math.pi, random.uniform(0.05, 0.3)):
                dx, dy = reach * math.cos(angle), reach * math.sin(angle)
                pen.line((x - dx, y - dy, x + dx, y + dy), fill=ink, width=width)
        elif kind == 1:
            pitch = int(random.integers(8, 40))
            for step in range(0, reach, pitch):
                pen.line((x + step, y, x + step, y + reach), fill=ink, width=max(1, width // 2))
                pen.line((x, y + step, x + reach, y + step), fill=ink, width=max(1, width // 2))
        elif kind == 2:
            for radius in range(width + 4, reach // 2, int(random.integers(10, 40))):
                pen.ellipse(
                    (x - radius, y - radius, x + radius, y + radius), outline=ink, width=width
                )
        else:
            corners = random.integers(-reach, reach, (int(random.integers(3, 7)), 2))
            pen.polygon(
                [(x + int(a), y + int(b)) for a, b in corners], fill=ink, outline=colour(random)
            )


def show(pen: ImageDraw.ImageDraw, random: np.random.Generator) -> None:
    """Windows of an imagined desktop: bars, buttons, fields, lines of small text."""
    for _ in range(int(random.integers(3, 7))):
        x, y = (int(v) for v in random.integers(-100, 2 * SIDE - 200, 2))
        w, h = (int(v) for v in random.integers(260, 900, 2))
        ground, bar = colour(random), colour(random)
        ink, size = ink_on(ground, random), int(random.integers(18, 34))
        face = font(random, size)
        pen.rounded_rectangle((x, y, x + w, y + h), 16, fill=ground, outline=bar, width=3)
        pen.rounded_rectangle((x, y, x + w, y + 44), 16, fill=bar)
        for button in range(3):
            pen.ellipse(
                (x + 14 + 32 * button, y + 12, x + 34 + 32 * button, y + 32), fill=colour(random)
            )
        for line in range(y + 56, y + h - size, int(1.5 * size)):
            words = " ".join(random.choice(_WORDS, 4))
            pen.text((x + 16, line), words, font=face, fill=ink)


if __name__ == "__main__":
    main()
