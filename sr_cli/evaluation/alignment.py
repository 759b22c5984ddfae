"""Two texts letter by letter, with the fewest edits (Levenshtein)."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

_MOST_CELLS = 4_000_000
"""Distances that are kept at once."""


def aligned(a: str, b: str) -> Iterator[tuple[str, str]]:
    """The letters of two texts in pairs with the fewest differences; "" where one has none.

    Long texts are cut in two where that costs nothing, so that memory grows with their length and
    not with its square (Hirschberg, 1975).
    """
    if len(a) < 2 or (len(a) + 1) * (len(b) + 1) <= _MOST_CELLS:
        yield from reversed(_traced(a, b))
        return
    half = len(a) // 2
    (before,) = deque(edit_distances(a[:half], b), maxlen=1)
    (after,) = deque(edit_distances(a[half:][::-1], b[::-1]), maxlen=1)
    cut = int((before + after[::-1]).argmin())
    yield from aligned(a[:half], b[:cut])
    yield from aligned(a[half:], b[cut:])


def _traced(a: str, b: str) -> list[tuple[str, str]]:
    """The pairs of two texts from the last to the first."""
    costs = np.stack(list(edit_distances(a, b)))
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


def edit_distances(a: str, b: str) -> Iterator[NDArray[np.int32]]:
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
