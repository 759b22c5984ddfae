"""What an OCR program read against what is written: errors by letter, and confusions."""

from __future__ import annotations

import unicodedata
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

_SAME = str.maketrans({"‘": "'", "’": "'", "“": '"', "”": '"', "–": "-", "—": "-"})
"""Quotes and dashes that OCR programs choose by taste."""

_UNSPACED = (("⺀", "鿿"), ("豈", "﫿"), ("＀", "￯"))
"""Ranges of Chinese and Japanese signs (CJK radicals to unified ideographs, compatibility
ideographs, full width), between which a space says nothing."""

_MOST_CELLS = 4_000_000
"""Distances that are kept at once."""


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
    found = Reading(len(a))
    for one, other in _aligned(a, b):
        if not other:
            found.missed += 1
        elif not one:
            found.added += 1
        elif one != other:
            found.confused[one, other] += 1
    return found


def _aligned(a: str, b: str) -> Iterator[tuple[str, str]]:
    """The letters of two texts in pairs with the fewest differences; "" where one has none.

    Long texts are cut in two where that costs nothing, so that memory grows with their length and
    not with its square (Hirschberg, 1975).
    """
    if len(a) < 2 or (len(a) + 1) * (len(b) + 1) <= _MOST_CELLS:
        yield from reversed(_traced(a, b))
        return
    half = len(a) // 2
    (before,) = deque(_edit_distances(a[:half], b), maxlen=1)
    (after,) = deque(_edit_distances(a[half:][::-1], b[::-1]), maxlen=1)
    cut = int((before + after[::-1]).argmin())
    yield from _aligned(a[:half], b[:cut])
    yield from _aligned(a[half:], b[cut:])


def _traced(a: str, b: str) -> list[tuple[str, str]]:
    """The pairs of two texts from the last to the first."""
    costs = np.stack(list(_edit_distances(a, b)))
    pairs = []
    i, j = len(a), len(b)
    while i or j:
        if i and j and costs[i, j] == costs[i - 1, j - 1] + (a[i - 1] != b[j - 1]):
            i, j = i - 1, j - 1
            pairs.append((a[i], b[j]))
        elif i and costs[i, j] == costs[i - 1, j] + 1:
            i -= 1
            pairs.append((a[i], ""))
        else:
            j -= 1
            pairs.append(("", b[j]))
    return pairs


def _edit_distances(a: str, b: str) -> Iterator[NDArray[np.int32]]:
    """The distances of each beginning of `a`, the empty one first, to all of `b` (len(b)+1)."""
    letters = np.array([ord(c) for c in b], np.int32)
    along = np.arange(len(b) + 1, dtype=np.int32)
    above = along
    yield above
    for letter in a:
        row = above + 1
        np.minimum(row[1:], above[:-1] + (letters != ord(letter)), out=row[1:])
        # Adding letters costs one each: the running minimum of what is left after them.
        above = np.minimum.accumulate(row - along) + along
        yield above
