"""Fonts and words for rendered pages, from Debian's packages: for tools/text_pages.py."""

from __future__ import annotations

import html
import re
import subprocess
import zlib
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path

import numpy as np
from PIL import ImageFont

TRAINING_FONTS = (
    *("fonts-dejavu-core", "fonts-dejavu-extra", "fonts-liberation", "fonts-freefont-ttf"),
    *("fonts-noto-core", "fonts-noto-cjk", "fonts-roboto-unhinted", "fonts-inter"),
    *("fonts-open-sans", "fonts-crosextra-carlito", "fonts-cantarell", "fonts-go"),
    *("fonts-linuxlibertine", "fonts-lmodern", "fonts-cmu", "fonts-stix", "fonts-ebgaramond"),
    *("fonts-urw-base35", "fonts-texgyre", "fonts-sil-charis", "fonts-sil-gentium-basic"),
    *("fonts-oldstandard", "fonts-hack", "fonts-firacode", "fonts-inconsolata"),
    *("fonts-dkg-handwriting", "fonts-humor-sans", "fonts-dancingscript"),
    *("fonts-gfs-didot", "fonts-hosny-amiri", "fonts-kacst", "fonts-lohit-deva", "fonts-sarai"),
    *("fonts-wqy-zenhei", "fonts-arphic-uming", "fonts-ipafont-gothic", "fonts-ipafont-mincho"),
    "fonts-vlgothic",
)
HELD_OUT_FONTS = (
    *("fonts-lato", "fonts-crosextra-caladea", "fonts-vollkorn", "fonts-b612", "fonts-karla"),
    *("fonts-courier-prime", "fonts-jetbrains-mono", "fonts-sil-andika", "fonts-paratype"),
    *("fonts-gfs-neohellenic", "fonts-wqy-microhei", "fonts-arphic-ukai"),
    *("fonts-sil-scheherazade", "fonts-gargi"),
)
"""Packages, not faces: no face of a family that judges is trained on."""

HELD_OUT_JAPANESE = ("fonts-motoya-l-cedar", "fonts-sawarabi-gothic", "fonts-sawarabi-mincho")
"""Their Latin and Cyrillic letters are no fonts to judge these scripts by."""

WORD_PACKAGES = (
    *("wamerican", "wngerman", "wfrench", "wspanish", "wpolish", "wswedish", "wukrainian"),
    *("wbulgarian", "hunspell-el", "hunspell-ru", "hunspell-hi", "hunspell-ar"),
    *("fortunes-min", "fortunes", "fortunes-zh", "debian-faq-ja"),
)
HANDS = ("fonts-dkg-handwriting", "fonts-humor-sans", "fonts-dancingscript")
_HELD_OUT_SHARE = 8
"""One word in so many is never trained on."""

_PROSE = ("computers", "cookie", "definitions", "education", "food", "goedel", "humorists",
          "literature", "people", "science", "wisdom", "work")  # fmt: skip
_ODD = re.compile(r"[_|\\^`~<>{}]|--|\*\*|\.\.\.|\t")
"""What no reader could tell, or what is spelt as on a typewriter."""

_FONT_SUFFIXES = (".ttf", ".otf", ".ttc")
_WORD_FILES = {
    "eng": ("wamerican", "american-english"),
    "deu": ("wngerman", "ngerman"),
    "fra": ("wfrench", "french"),
    "spa": ("wspanish", "spanish"),
    "pol": ("wpolish", "polish"),
    "swe": ("wswedish", "swedish"),
    "ell": ("hunspell-el", "el_GR.dic"),
    "rus": ("hunspell-ru", "ru_RU.dic"),
    "ukr": ("wukrainian", "ukrainian"),
    "bul": ("wbulgarian", "bulgarian"),
    "ara": ("hunspell-ar", "ar.dic"),
    "hin": ("hunspell-hi", "hi_IN.dic"),
    "chi_sim": ("fortunes-zh", "tang300"),
}
"""The package and the file with each language's words; languages by Tesseract's names."""

_MOST_WORDS = 60_000

SAMPLES = {
    **dict.fromkeys(("eng", "deu", "fra", "spa", "swe"), "abcdefghxyzÄéßñÅÜ"),
    "pol": "ąęłńóśźżćabz",
    "ell": "αβγδεζηθΩάέήό",
    **dict.fromkeys(("rus", "ukr", "bul"), "абвгджщюяЖЯ"),
    "ara": "ابتجحدرسشعفقكلمنهوي",
    "hin": "अआइकखगघचजटडणतदनपबमयरलवशसहािीुेो्",
    "chi_sim": "的一是不了人我在有这春风明月",
    "jpn": "あいうえおかきくけこアイウエオ日本語",
    "kor": "가나다라마바사아자차한국어",
}
"""Letters that a font must have to be used for a language."""

UNSPACED = ("chi_sim", "jpn")
LATIN = ("eng", "deu", "fra", "spa", "pol", "swe")


@dataclass(frozen=True)
class Face:
    """A font file and the package that it is from."""

    path: Path
    package: str

    def at(self, size: int) -> ImageFont.FreeTypeFont:
        """The font at a size in pixels an em, laid out with HarfBuzz."""
        return ImageFont.truetype(str(self.path), size, layout_engine=ImageFont.Layout.RAQM)


@dataclass
class Faces:
    """The installed fonts of some packages, by language.

    A package, then one of its faces, is drawn by chance, so that large families weigh no more.
    """

    packages: tuple[str, ...]
    _covering: dict[str, dict[str, list[Face]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        found = [face for package in self.packages for face in _faces_of(package)]
        for language, sample in SAMPLES.items():
            by_package: dict[str, list[Face]] = {}
            for face in found:
                if _covers(face.path, sample):
                    by_package.setdefault(face.package, []).append(face)
            self._covering[language] = by_package

    def of(self, language: str) -> list[Face]:
        """All faces with a language's letters."""
        return [face for faces in self._covering[language].values() for face in faces]

    def languages(self) -> list[str]:
        """The languages that at least one face has the letters of."""
        return [language for language, faces in self._covering.items() if faces]

    def draw(self, language: str, random: np.random.Generator) -> Face:
        """A face by chance."""
        by_package = self._covering[language]
        # Hands are a twentieth of what is read, and would be a tenth of the packages.
        names = [n for n in by_package if n not in HANDS or random.random() < 0.5]
        faces = by_package[str(random.choice(names or list(by_package)))]
        return faces[int(random.integers(len(faces)))]


def missing_packages(names: tuple[str, ...]) -> list[str]:
    """Those of some Debian packages that are not installed."""
    return [name for name in names if not _files_of(name)]


@lru_cache
def _files_of(package: str) -> tuple[Path, ...]:
    listed = subprocess.run(["dpkg", "-L", package], capture_output=True, text=True, check=False)
    return tuple(Path(line) for line in listed.stdout.splitlines())


def _faces_of(package: str) -> list[Face]:
    found = sorted(p for p in _files_of(package) if p.suffix.lower() in _FONT_SUFFIXES)
    return [Face(p, package) for p in found if p.is_file() and not p.is_symlink()]


@cache
def _charset(path: Path) -> tuple[tuple[int, int], ...]:
    """The ranges of characters of a font file's first face, as fontconfig lists them."""
    command = ["fc-query", "--index=0", "--format=%{charset}", str(path)]
    listed = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    ends = (part.partition("-")[::2] for part in listed.split())
    return tuple((int(a, 16), int(b or a, 16)) for a, b in ends)


def has_letter(path: Path, letter: str) -> bool:
    """Whether a font has a character."""
    return any(a <= ord(letter) <= b for a, b in _charset(path))


def _covers(path: Path, sample: str) -> bool:
    return all(has_letter(path, letter) for letter in sample)


class Words:
    """Words and sentences of a language, either those to train on or the others.

    Args:
        language: One of SAMPLES.
        held_out: The words that are not trained on.
    """

    def __init__(self, language: str, *, held_out: bool) -> None:
        self.language = language
        known = _all_words(language) + (() if held_out else _common_signs(language))
        self.words = [w for w in known if _is_held_out(w) == held_out]
        if not self.words:
            raise SystemExit(f"no words for {language}: install {', '.join(WORD_PACKAGES)}")

    @property
    def joint(self) -> str:
        """What stands between words."""
        return "" if self.language in UNSPACED else " "

    def sentence(self, random: np.random.Generator, count: int) -> str:
        """`count` words with punctuation and, now and then, a number."""
        joint = self.joint
        parts = [self.words[int(i)] for i in random.integers(len(self.words), size=count)]
        for place in range(len(parts)):
            if random.random() < 0.06:
                parts[place] = number(random)
        capital = parts[0][:1].upper() + parts[0][1:]
        cjk, hindi = joint == "", self.language == "hin"
        for place in range(1, len(parts) - 1):
            if random.random() < 0.1:
                parts[place] += "，" if cjk else str(random.choice([",", ",", ";", ":"]))
        end = "。" if cjk else "।" if hindi else str(random.choice([".", ".", ".", "?", "!"]))
        return joint.join([capital, *parts[1:]]) + end

    def text(self, random: np.random.Generator, letters: int) -> str:
        """Sentences of at least so many letters."""
        made = ""
        while len(made) < letters:
            made += (self.joint if made else "") + self.sentence(
                random, int(random.integers(4, 14))
            )
        return made


def passages(language: str) -> list[str]:
    """English or Japanese texts that are never trained on, a line each.

    The fortunes of two packages, and sentences of Debian's FAQ.
    """
    found = _fortunes() if language == "eng" else _questions()
    if not found:
        raise SystemExit(f"no texts in {language}: install fortunes and debian-faq-ja")
    return found


def _questions() -> list[str]:
    pages = sorted(p for p in _files_of("debian-faq-ja") if p.name.endswith(".ja.html"))
    marked = "".join(page.read_text(encoding="utf-8") for page in pages)
    text = re.sub(r"\s+", "", html.unescape(re.sub(r"<[^>]+>", "", marked)))
    whole = re.findall("(?<=。)[\u3041-\u30ff\u4e00-\u9fff、「」（）]{15,}。", text)
    return list(dict.fromkeys(whole))


def _fortunes() -> list[str]:
    found = []
    for path in (*_files_of("fortunes-min"), *_files_of("fortunes")):
        if path.name in _PROSE:
            parts = (
                " ".join(part.split()) for part in re.split(r"^%$", _decoded(path), flags=re.M)
            )
            found += [p for p in parts if len(p) > 80 and p.isascii() and not _ODD.search(p)]
    return found


def number(random: np.random.Generator) -> str:
    """A number as it stands in tables and letters: counts, prices, dates, times, shares."""
    a, b, c = (int(n) for n in random.integers(1, [10000, 29, 100]))
    made = [f"{a}", f"{a}.{c:02}", f"{a:,}", f"${a}.{c:02}", f"{b:02}.{b % 12 + 1:02}.20{c:02}",
            f"{b % 24:02}:{c % 60:02}", f"{c}%", f"-{c}.{b}", f"({b})", f"№{a}"[1:]]  # fmt: skip
    return str(random.choice(made))


def _is_held_out(word: str) -> bool:
    return zlib.crc32(word.encode()) % _HELD_OUT_SHARE == 0


def _common_signs(language: str) -> tuple[str, ...]:
    """Chinese or Japanese signs in common use, by chance, as many as the poems have words.

    Level 1 of GB 2312 (rows 16 to 55) or of JIS X 0208 (rows 16 to 47): poems lack the modern ones.
    """
    if language not in UNSPACED:
        return ()
    encoding, end = ("gb2312", 56) if language == "chi_sim" else ("euc_jp", 48)
    cells = (bytes([0xA0 + row, 0xA0 + cell]) for row in range(16, end) for cell in range(1, 95))
    signs = [c for c in (raw.decode(encoding, "ignore") for raw in cells) if c]
    picked = np.random.default_rng(2).integers(len(signs), size=(len(_all_words(language)), 4))
    return tuple(
        "".join(signs[i] for i in row[: 2 + place % 3]) for place, row in enumerate(picked)
    )


@lru_cache
def _all_words(language: str) -> tuple[str, ...]:
    if language == "jpn":
        return _japanese()
    if language == "kor":
        random = np.random.default_rng(0)
        syllables = random.integers(0xAC00, 0xD7A4, size=(4000, 3))
        return tuple("".join(map(chr, row[: 1 + i % 3])) for i, row in enumerate(syllables))
    package, name = _WORD_FILES[language]
    files = [p for p in _files_of(package) if p.name == name]
    return tuple(sorted(_words_of(files[0], language))) if files else ()


def _words_of(path: Path, language: str) -> set[str]:
    text = _decoded(path)
    if language == "chi_sim":
        return set(re.findall("[\u4e00-\u9fff]{2,8}", text))
    # A word a line; in hunspell's files its affix classes follow after a slash.
    lines = text.splitlines()
    words = (re.split(r"[/\s]", line)[0] for line in lines[:: len(lines) // _MOST_WORDS + 1])
    return {w for w in words if 1 < len(w) < 16 and not w.isdecimal()}


def _decoded(path: Path) -> str:
    raw = path.read_bytes()
    encodings = ["utf-8", "iso8859-1"]
    if path.suffix == ".dic":
        rules = path.with_suffix(".aff").read_bytes().decode("latin-1")
        stated = re.search(r"^SET\s+(\S+)", rules, re.MULTILINE)
        encodings.insert(0, stated.group(1) if stated else "utf-8")
    for encoding in encodings:
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise SystemExit(f"{path}: unknown encoding")


def _japanese() -> tuple[str, ...]:
    """Kana by chance, and words of the Chinese poems' characters with kana endings."""
    random = np.random.default_rng(1)
    kana = [chr(c) for c in range(0x3042, 0x3094)]
    katakana = [chr(c) for c in range(0x30A2, 0x30F3)]
    han = _all_words("chi_sim")
    made = []
    for i in range(6000):
        stem = han[int(random.integers(len(han)))][:2] if i % 2 else ""
        letters = katakana if i % 6 == 0 else kana
        made.append(stem + "".join(random.choice(letters, size=1 + i % 4)))
    return tuple(made)
