"""What an OCR program read against what is written: errors by letter, and confusions."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

_SAME = str.maketrans({"‘": "'", "’": "'", "“": '"', "”": '"', "–": "-", "—": "-"})
"""Quotes and dashes that OCR programs choose by taste."""

_UNSPACED = (("⺀", "鿿"), ("豈", "﫿"), ("＀", "￯"))
"""Ranges of Chinese and Japanese signs (CJK radicals to unified ideographs, compatibility
ideographs, full width), between which a space says nothing."""


@dataclass
class Reading:
    """How a text was read.

    Attributes:
        letters: The letters that are written, spaces included.
        confused: How often each (written, read) pair of different letters occurred.
        missed: Letters that were not read.
        added: Letters that were read and are not written.
    """

    letters: int = 0
    confused: Counter[tuple[str, str]] = field(default_factory=Counter)
    missed: int = 0
    added: int = 0

    @property
    def errors(self) -> int:
        """The fewest single-letter edits that make what is written of what was read."""
        return self.confused.total() + self.missed + self.added

    @property
    def rate(self) -> float | None:
        """The character error rate: errors to a written letter; None where nothing is written."""
        return self.errors / self.letters if self.letters else None

    @property
    def confusions(self) -> list[tuple[tuple[str, str], int]]:
        """Confused pairs with their counts, the most frequent first."""
        return sorted(self.confused.items(), key=lambda pair: (-pair[1], pair[0]))


def sum_of(readings: Iterable[Reading]) -> Reading:
    """The readings of several texts as one."""
    found = Reading()
    for one in readings:
        found.letters += one.letters
        found.confused += one.confused
        found.missed += one.missed
        found.added += one.added
    return found


def comparable(text: str) -> str:
    """A text in the form in which texts are compared.

    Composed (NFC), with straight quotes and plain hyphens, without invisible marks (of direction,
    for instance), with single spaces, and none between Chinese and Japanese signs.
    """
    plain = unicodedata.normalize("NFC", text).translate(_SAME)
    words = "".join(c for c in plain if unicodedata.category(c) != "Cf").split()
    made = words[0] if words else ""
    for word in words[1:]:
        made += word if _is_unspaced(made[-1]) and _is_unspaced(word[0]) else f" {word}"
    return made


def _is_unspaced(letter: str) -> bool:
    return any(first <= letter <= last for first, last in _UNSPACED)


def compare_texts(written: str, read: str) -> Reading:
    """Align two texts with the fewest edits (Levenshtein) and count these.

    Args:
        written: The true text; both are made comparable first.
        read: What was read.
    """
    a, b = comparable(written), comparable(read)
    costs = _edit_distances(a, b)
    found = Reading(len(a))
    i, j = len(a), len(b)
    while i or j:
        if i and j and costs[i, j] == costs[i - 1, j - 1] + (a[i - 1] != b[j - 1]):
            if a[i - 1] != b[j - 1]:
                found.confused[a[i - 1], b[j - 1]] += 1
            i, j = i - 1, j - 1
        elif i and costs[i, j] == costs[i - 1, j] + 1:
            found.missed += 1
            i -= 1
        else:
            found.added += 1
            j -= 1
    return found


def _edit_distances(a: str, b: str) -> NDArray[np.int32]:
    """The distance of every beginning of `a` to every beginning of `b` (len(a)+1, len(b)+1)."""
    letters = np.array([ord(c) for c in b], np.int32)
    along = np.arange(len(b) + 1, dtype=np.int32)
    costs = np.empty((len(a) + 1, len(b) + 1), np.int32)
    costs[0] = along
    for i, letter in enumerate(a, 1):
        above = costs[i - 1]
        row = above + 1
        np.minimum(row[1:], above[:-1] + (letters != ord(letter)), out=row[1:])
        # Adding letters costs one each: the running minimum of what is left after them.
        costs[i] = np.minimum.accumulate(row - along) + along
    return costs
