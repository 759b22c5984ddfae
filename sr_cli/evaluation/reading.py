"""What an OCR program read against what is written: errors by letter, and confusions."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from sr_cli.evaluation.alignment import aligned
from sr_cli.evaluation.passages import match_passages

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
        in_any_order: The errors where the order of passages does not count.
    """

    letters: int = 0
    confused: Counter[tuple[str, str]] = field(default_factory=Counter)
    missed: int = 0
    added: int = 0
    in_any_order: int = 0

    @property
    def errors(self) -> int:
        """The fewest single-letter edits that make what is written of what was read."""
        return self.confused.total() + self.missed + self.added

    @property
    def rate(self) -> float | None:
        """The character error rate: errors to a written letter; None where nothing is written."""
        return self.errors / self.letters if self.letters else None

    @property
    def rate_in_any_order(self) -> float | None:
        """As `rate`, where the order of passages does not count."""
        return self.in_any_order / self.letters if self.letters else None

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
        found.in_any_order += one.in_any_order
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
    for one, other in aligned(a, b):
        if not other:
            found.missed += 1
        elif not one:
            found.added += 1
        elif one != other:
            found.confused[one, other] += 1
    found.in_any_order = min(found.errors, _errors_in_any_order(written, read))
    return found


def _errors_in_any_order(written: str, read: str) -> int:
    """The edits within passages that match, wherever they stand, and of all that is left."""
    pairs, missed, added = match_passages(_lines(written), _lines(read))
    pairs.append((" ".join(missed), " ".join(added)))
    return sum(one != other for pair in pairs for one, other in aligned(*pair))


def _lines(text: str) -> list[str]:
    return [comparable(line) for line in text.splitlines()]
