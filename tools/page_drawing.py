"""Rendered pages: paragraphs, tables, formulas, drawings, windows. For tools/text_pages.py."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from page_text import LATIN, Face, Faces, Words, has_letter, number
from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]
Box = tuple[int, int, int, int]

PITCH = 1.3
"""From line to line, in ems."""

_MATHS = "∑∫√∞≈≠≤≥±×÷∂∇∈∉⊂∪∩→⇒∀∃αβγδεθλμπσφωΔΩ"
_KERNEL = np.array([0x08, 0x4D, 0x56, 0x4D, 0x08]) / 256
"""FreeType's default filter over the stripes of a liquid crystal (FT_LCD_FILTER_DEFAULT)."""


@dataclass(frozen=True)
class Style:
    """What one part of a page is set in; sizes in pixels of the canvas."""

    face: Face
    words: Words
    size: int
    ink: Colour
    paper: Colour

    @property
    def font(self) -> ImageFont.FreeTypeFont:
        """The font at its size."""
        return self.face.at(self.size)

    @property
    def pitch(self) -> int:
        """From line to line."""
        return round(self.size * PITCH)

    def writable(self, text: str) -> str:
        """A text without the letters that the font does not have."""
        return "".join(c for c in text if c == " " or has_letter(self.face.path, c))


class Page:
    """A canvas, and what is drawn on it by chance.

    Args:
        size: (width, height) in pixels of the canvas.
        em: Pixels of the canvas to a pixel of what is written; lines get this wide.
        random: What decides.
    """

    def __init__(self, size: tuple[int, int], em: float, random: np.random.Generator) -> None:
        self.random = random
        self.em = em
        self.ink, self.paper = _colours(random)
        self.image = Image.new("RGB", size, self.paper)
        self.draw = ImageDraw.Draw(self.image)

    def fill(self, faces: Faces, words: dict[str, Words], sizes: tuple[int, int]) -> None:
        """Fill the page with parts, each with a font and a size from `sizes`, until it is full."""
        width, height = self.image.size
        columns = int(self.random.choice([1, 1, 2]))
        gap = int(8 * self.em)
        for column in range(columns):
            left = column * width // columns + int(self.random.integers(gap))
            right = (column + 1) * width // columns - int(self.random.integers(gap))
            y = int(self.random.integers(gap))
            while y < height:
                y = self._part((left, y, right, height), faces, words, sizes) + gap

    def _part(self, box: Box, faces: Faces, words: dict[str, Words], sizes: tuple[int, int]) -> int:
        """Draw one part from the top of a box; returns where it ends."""
        language = str(self.random.choice(list(words), p=_shares(list(words))))
        low, high = sizes
        # Small letters more often: they are the ones that are read wrongly.
        size = round(low + (high - low) * self.random.random() ** 2)
        if self.random.random() < 0.12:
            size = round(size * self.random.uniform(1.3, 2.5))
        ink, paper = self.ink, self.paper
        if self.random.random() < 0.15:
            ink, paper = _colours(self.random)
        style = Style(faces.draw(language, self.random), words[language], size, ink, paper)
        kinds = (self.paragraph, self.table, self.formula, self.drawing, self.window)
        part = kinds[int(self.random.choice(len(kinds), p=[0.62, 0.14, 0.06, 0.08, 0.1]))]
        return part(box, style)

    def paragraph(self, box: Box, style: Style) -> int:
        """Some lines of text, on their own ground where it is not the page's."""
        left, top, right, bottom = box
        count = int(self.random.integers(1, 9))
        end = min(bottom, top + count * style.pitch + style.size // 3)
        if style.paper != self.paper:
            self.draw.rectangle((left, top, right, end), fill=style.paper)
            left += style.size // 3
        lines = wrapped(style.words.text(self.random, 60 * count), style, right - left)
        for line in lines[:count]:
            if top > bottom:
                break
            self.draw.text((left, top), line, font=style.font, fill=style.ink)
            if self.random.random() < 0.03:
                self._rule((left, top + round(style.size * 1.15), right), style)
            top += style.pitch
        return end

    def table(self, box: Box, style: Style) -> int:
        """Rows of numbers and words between rules."""
        left, top, right, bottom = box
        columns, rows = (int(n) for n in self.random.integers(2, [6, 8]))
        ruled = int(self.random.integers(3))
        wide = (right - left) // columns
        for row in range(rows):
            if top > bottom:
                break
            for column in range(columns):
                word = style.words.words[int(self.random.integers(len(style.words.words)))]
                text = style.writable(word if column == 0 else number(self.random))
                place = (left + column * wide + style.size // 3, top)
                self.draw.text(place, text, font=style.font, fill=style.ink)
                if ruled == 2:
                    x = left + column * wide
                    self._line((x, top, x, top + style.pitch), style)
            if ruled and (ruled == 2 or row < 1):
                self._rule((left, top, right), style)
            top += round(style.pitch * 1.1)
        return top

    def formula(self, box: Box, style: Style) -> int:
        """Symbols with indices and exponents, and a fraction."""
        left, top, right, _ = box
        small = style.face.at(max(6, round(style.size * 0.65)))
        x, middle = left, top + round(style.size * 0.6)
        while x < right - 3 * style.size:
            sign = style.writable(str(self.random.choice(list(_MATHS + "xyzabn=+-=+-(),"))))
            self.draw.text((x, middle), sign, font=style.font, fill=style.ink)
            x += round(self.draw.textlength(sign, font=style.font)) + style.size // 6
            kind, index = self.random.random(), str(self.random.choice(list("0123ijknxy")))
            if kind < 0.4:
                lift = style.size // 2 if kind < 0.2 else -style.size // 3
                place = (x - style.size // 6, middle + lift)
                self.draw.text(place, index, font=small, fill=style.ink)
                x += round(self.draw.textlength(index, font=small))
            elif kind < 0.5:
                for rise in (-style.size // 2, style.size // 2 + style.size // 6):
                    term = number(self.random)[:3]
                    self.draw.text((x, middle + rise), term, font=style.font, fill=style.ink)
                bar = middle + round(style.size * 0.6)
                self._line((x, bar, x + 2 * style.size, bar), style)
                x += 2 * style.size + style.size // 3
        return top + round(style.size * 2.4)

    def drawing(self, box: Box, style: Style) -> int:
        """A diagram: a curve over axes with ticks and labels, or shapes with lines."""
        left, top, right, bottom = box
        side = int(min(right - left, self.random.uniform(6, 12) * style.size))
        if top + side > bottom + side // 2 or side < 4 * style.size:
            return bottom
        foot = top + side
        self._line((left, foot, right, foot), style)
        self._line((left, top, left, foot), style)
        for step in range(1, 6):
            x = left + (right - left) * step // 6
            self._line((x, foot, x, foot - style.size // 3), style)
            label = style.writable(number(self.random)[:4])
            self.draw.text((x, foot + 2), label, font=style.font, fill=style.ink)
        for _ in range(int(self.random.integers(1, 4))):
            xs = np.linspace(left, right, int(self.random.integers(3, 30)))
            ys = top + side * self.random.random(len(xs))
            points = [(float(x), float(y)) for x, y in zip(xs, ys, strict=True)]
            self.draw.line(points, fill=_any_ink(self.random, style.ink), width=self._width())
        x, y = left + side // 3, top + side // 4
        self.draw.ellipse((x, y, x + side // 3, y + side // 4), outline=style.ink, width=2)
        return foot + style.pitch

    def window(self, box: Box, style: Style) -> int:
        """Buttons and fields in a row, as programs show them."""
        left, top, right, _ = box
        x, height = left, round(style.size * 1.7)
        while x < right - 3 * style.size:
            word = style.words.words[int(self.random.integers(len(style.words.words)))]
            text = style.writable(word)[:14]
            wide = round(self.draw.textlength(text, font=style.font)) + style.size
            ground = _any_ink(self.random, style.paper)
            ink = (0, 0, 0) if sum(ground) > 380 else (255, 255, 255)
            frame = (x, top, min(x + wide, right), top + height)
            radius = int(self.random.choice([0, style.size // 3]))
            self.draw.rounded_rectangle(frame, radius, ground, style.ink, self._width())
            place = (x + style.size // 2, top + style.size // 4)
            self.draw.text(place, text, font=style.font, fill=ink)
            x += wide + style.size // 2
        return top + height

    def _width(self) -> int:
        return max(1, round(self.em * self.random.choice([0.5, 1.0, 1.5])))

    def _line(self, ends: Box, style: Style) -> None:
        self.draw.line(ends, fill=style.ink, width=self._width())

    def _rule(self, ends: tuple[int, int, int], style: Style) -> None:
        left, y, right = ends
        self._line((left, y, right, y), style)


def wrapped(text: str, style: Style, width: int) -> list[str]:
    """Lines of a text that are at most `width` pixels wide."""
    font, joint = style.font, style.words.joint
    lines, line = [], ""
    for word in style.writable(text).split(joint) if joint else style.writable(text):
        longer = line + joint + word if line else word
        if line and font.getlength(longer) > width:
            lines.append(line)
            longer = word
        line = longer
    return [*lines, line]


def _colours(random: np.random.Generator) -> tuple[Colour, Colour]:
    """Ink and paper: mostly black on white or on paper's tones, also inverted and coloured."""
    kind = random.random()
    if kind < 0.45:
        return (0, 0, 0), (255, 255, 255)
    if kind < 0.7:
        tone = int(random.integers(215, 256))
        warm = random.integers(0, 14, size=3)
        paper = (tone, tone - int(warm[0]), tone - int(warm[0] + warm[1]))
        dark = int(random.integers(0, 90))
        return (dark, dark, min(255, dark + int(warm[2]))), paper
    if kind < 0.85:
        ground, light = random.integers(0, 60, size=3), random.integers(170, 256, size=3)
        return _colour(light), _colour(ground)
    while True:
        ink, paper = random.integers(0, 256, size=(2, 3))
        if abs(float((ink - paper) @ [0.299, 0.587, 0.114])) > 80:
            return _colour(ink), _colour(paper)


def _any_ink(random: np.random.Generator, usual: Colour) -> Colour:
    return usual if random.random() < 0.5 else _colour(random.integers(0, 256, size=3))


def _colour(values: NDArray[np.int64]) -> Colour:
    r, g, b = (int(v) for v in values)
    return r, g, b


def _shares(languages: list[str]) -> NDArray[np.float64]:
    """Half of all parts in Latin letters, the other half shared evenly."""
    latin = np.array([name in LATIN for name in languages])
    shares = np.where(latin, 0.5 / max(1, latin.sum()), 0.5 / max(1, (~latin).sum()))
    return shares / shares.sum()


def photographed(image: Image.Image, random: np.random.Generator) -> Image.Image:
    """A page as it lies under a scanner or a camera: a little turned and unevenly lit."""
    angle = random.normal(0, 1.0)
    paper = image.getpixel((0, 0))
    turned = image.rotate(angle, Image.Resampling.BICUBIC, fillcolor=paper)
    light = random.uniform(0.7, 1.0, size=(3, 3)).astype(np.float32)
    field = Image.fromarray(light).resize(image.size, Image.Resampling.BICUBIC)
    lit = np.asarray(turned, np.float32) * np.asarray(field)[..., None]
    return Image.fromarray(np.clip(lit + 0.5, 0, 255).astype(np.uint8))


def on_stripes(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Reduce a page as a screen renders it: each colour is a third of a pixel beside the next.

    Args:
        image: The page, larger than `size`.
        size: (width, height) of the result.
    """
    width, height = size
    fine = np.asarray(image.resize((3 * width, height), Image.Resampling.BOX), np.float32)
    padded = np.pad(fine, ((0, 0), (2, 2), (0, 0)), mode="edge")
    soft = sum(w * padded[:, i : i + 3 * width] for i, w in enumerate(_KERNEL))
    stripes = np.stack([np.asarray(soft)[:, c::3, c] for c in range(3)], -1)
    return Image.fromarray(np.clip(stripes + 0.5, 0, 255).astype(np.uint8))
