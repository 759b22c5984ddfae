"""Render pages of text: to train `text` on, or to judge it by reading.

    python tools/text_pages.py train OUT --scale 2 [--count 1200] [--seed 0] [--language ara]
    sr train --recipe text-x2 --data OUT/pages --data OUT/screen
    python tools/text_pages.py judge OUT [--language eng] [--px 8 10 12] [--count 2] [--hr 2]

`train` writes OUT/pages (hr alone, which the trainer degrades as a scan or a photograph) and
OUT/screen/hr and lr (pairs: what screens and programs make of a page, with coloured stripes or
reduced by one of five filters, also as a JPEG, and scans), with 6 to 15 lr pixels from line to
line, small ones more often. `judge` writes lr
with FILE.gt.txt beside FILE.png for `sr benchmark --ocr`, one folder a language, in fonts and words
that `train` never uses. With `--hr` it writes the same pages in hr, which is what a perfect network
would make of lr: how they are read bounds every model.

HarfBuzz through Pillow's Raqm. The same seed, packages and versions make the same files.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from page_drawing import PITCH, Page, Style, on_stripes, photographed, wrapped
from page_text import (
    HELD_OUT_FONTS,
    HELD_OUT_JAPANESE,
    SAMPLES,
    TRAINING_FONTS,
    WORD_PACKAGES,
    Faces,
    Words,
    missing_packages,
    passages,
)
from PIL import Image, ImageDraw, features

SIDE = 480
"""Of a page to train on, in hr pixels."""

EM = (5, 12)
"""In lr pixels: 6 to 15 pixels from line to line."""

_FINE = 3
"""A page is drawn so much larger than hr, except where it keeps the font's hints."""

_FILTERS = (
    *(Image.Resampling.BOX, Image.Resampling.BILINEAR, Image.Resampling.BICUBIC),
    *(Image.Resampling.LANCZOS, Image.Resampling.HAMMING),
)
_LARGEST_SCALE = 4
_EMS_WIDE, _LINES = 30, 8
CONDITIONS = ("screen", "jpeg", "scan")
JUDGED = ("eng", "deu", "fra", "ell", "rus", "ara", "hin", "chi_sim", "jpn")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("what", choices=["train", "judge"])
    parser.add_argument("output", type=Path)
    parser.add_argument("--scale", type=int, default=2, choices=[2, 3, 4], help="of train's pairs")
    parser.add_argument("--count", type=int, help="pages: 1200, or 1 of each kind to judge by")
    parser.add_argument("--language", action="append", choices=list(SAMPLES), help="all without it")
    parser.add_argument(
        "--px", type=int, nargs="+", default=[6, 8, 10, 12, 14], help="a line, in lr"
    )
    parser.add_argument("--hr", type=int, choices=[2, 3, 4], help="judge: hr of this scale, not lr")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if not features.check("raqm"):
        raise SystemExit("this Pillow has no Raqm, and would not shape Arabic and Devanagari")
    training = options.what == "train"
    languages = options.language or list(SAMPLES if training else JUDGED)
    fonts = TRAINING_FONTS if training else HELD_OUT_FONTS
    if not training and "jpn" in languages:
        fonts += HELD_OUT_JAPANESE
    wanted = fonts + WORD_PACKAGES
    if missing := missing_packages(wanted):
        raise SystemExit(f"not installed: {' '.join(missing)}")
    if training:
        count = options.count or 1200
        write_training(options.output, languages, options.scale, count, options.seed)
    else:
        count = options.count or 1
        write_judged(options.output, languages, options.px, count, options.seed, options.hr or 1)


def write_training(folder: Path, languages: list[str], scale: int, count: int, seed: int) -> None:
    """Write `count` pages: two fifths for the trainer to degrade, the others as pairs."""
    faces = Faces(TRAINING_FONTS)
    words = {name: Words(name, held_out=False) for name in languages}
    for place in (folder / "pages", folder / "screen/hr", folder / "screen/lr"):
        place.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        random = np.random.default_rng([seed, scale, index])
        name = f"page-{index:05}.png"
        is_pair = index % 5 >= 2
        fine = drawn(faces, words, scale, random, native=not is_pair and index % 2 == 0)
        condition = CONDITIONS[int(random.integers(len(CONDITIONS)))]
        if condition == "scan":
            fine = photographed(fine, random)
        hr = fine.resize((SIDE, SIDE), Image.Resampling.BOX)
        if is_pair:
            hr.save(folder / "screen/hr" / name)
            lr = reduced(fine, (SIDE // scale, SIDE // scale), condition, random)
            Image.fromarray(lr).save(folder / "screen/lr" / name)
        else:
            hr.save(folder / "pages" / name)
        if index % 100 == 99:
            print(f"{index + 1} of {count} pages", flush=True)


def drawn(
    faces: Faces, words: dict[str, Words], scale: int, random: np.random.Generator, *, native: bool
) -> Image.Image:
    """A page of SIDE hr pixels: at that size with the fonts' hints, or _FINE times as large."""
    fine = 1 if native else _FINE
    page = Page((SIDE * fine, SIDE * fine), scale * fine, random)
    page.fill(faces, words, (EM[0] * scale * fine, EM[1] * scale * fine))
    return page.image


def reduced(
    fine: Image.Image, size: tuple[int, int], condition: str, random: np.random.Generator
) -> NDArray[np.uint8]:
    """What a condition makes of a page, in `size` (width, height)."""
    if condition == "scan":
        return scanned(fine, size, random)
    lr = np.asarray(on_screen(fine, size, random))
    return jpeg(lr, random) if condition == "jpeg" else lr


def on_screen(fine: Image.Image, size: tuple[int, int], random: np.random.Generator) -> Image.Image:
    """Reduce a page to `size` (width, height) as screens and programs do."""
    if random.random() < 0.4:
        return on_stripes(fine, size)
    return fine.resize(size, _FILTERS[int(random.integers(len(_FILTERS)))])


def write_judged(
    folder: Path, languages: list[str], px: list[int], count: int, seed: int, scale: int = 1
) -> None:
    """Write `count` pages of every language, lr pixels a line and condition, and their text.

    They are lr with a scale of 1, and hr of that scale otherwise.
    """
    for language in languages:
        faces = Faces(HELD_OUT_JAPANESE if language == "jpn" else HELD_OUT_FONTS)
        words = Words(language, held_out=True)
        place = folder / language
        place.mkdir(parents=True, exist_ok=True)
        fonts = faces.of(language)
        if not fonts:
            raise SystemExit(f"no held-out font for {language}")
        for pitch in px:
            for number, condition in enumerate(CONDITIONS):
                for copy in range(count):
                    random = np.random.default_rng([seed, pitch, number, copy])
                    page, size, text = judged_page(faces, words, pitch, condition, random)
                    stem = f"{pitch:02}px-{condition}-{copy}"
                    if scale > 1:
                        made = page.resize((size[0] * scale, size[1] * scale), Image.Resampling.BOX)
                    else:
                        made = Image.fromarray(reduced(page, size, condition, random))
                    made.save(place / f"{stem}.png")
                    (place / f"{stem}.gt.txt").write_text(text + "\n", encoding="utf-8")
        print(f"{place}: {len(px) * len(CONDITIONS) * count} pages of {len(fonts)} fonts")


def judged_page(
    faces: Faces, words: Words, pitch: int, condition: str, random: np.random.Generator
) -> tuple[Image.Image, tuple[int, int], str]:
    """A fine page in one held-out font, its lr size with lines of `pitch` pixels, and its text."""
    up = _LARGEST_SCALE * _FINE
    em = pitch / PITCH
    face = faces.draw(words.language, random)
    style = Style(face, words, round(em * up), (0, 0, 0), (255, 255, 255))
    if words.language in ("eng", "jpn"):
        found = passages(words.language)
        text = words.joint.join(found[int(i)] for i in random.integers(len(found), size=8))
    else:
        text = words.text(random, 700)
    size = (round((_EMS_WIDE + 2) * em), round((_LINES + 1.5) * pitch))
    lines = wrapped(text, style, round(_EMS_WIDE * em * up))[:_LINES]
    image = Image.new("RGB", (size[0] * up, size[1] * up), style.paper)
    draw = ImageDraw.Draw(image)
    for place, line in enumerate(lines):
        y = round((place + 0.7) * pitch * up)
        draw.text((round(em * up), y), line, font=style.font, fill=style.ink)
    if condition == "scan":
        image = photographed(image, random)
    return image, size, "\n".join(lines)


def scanned(
    image: Image.Image, size: tuple[int, int], random: np.random.Generator
) -> NDArray[np.uint8]:
    """A page (turned a little, unevenly lit) blurred, with noise, and compressed."""
    sigma = random.uniform(0.3, 0.6) * image.width / size[0]
    soft = cv2.GaussianBlur(np.asarray(image), (0, 0), sigma)
    lr = cv2.resize(soft, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    lr += random.standard_normal((*lr.shape[:2], 1)).astype(np.float32) * random.uniform(2, 6)
    return jpeg(np.clip(lr + 0.5, 0, 255).astype(np.uint8), random)


def jpeg(pixels: NDArray[np.uint8], random: np.random.Generator) -> NDArray[np.uint8]:
    """Compress with a quality of 50 to 90 (4:2:0) and decode again."""
    options = [cv2.IMWRITE_JPEG_QUALITY, int(random.integers(50, 91))]
    _, packed = cv2.imencode(".jpg", np.ascontiguousarray(pixels[..., ::-1]), options)
    unpacked: NDArray[np.uint8] = np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.uint8)
    return unpacked[..., ::-1]


if __name__ == "__main__":
    main()
