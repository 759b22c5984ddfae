"""Read passages found among the written ones, wherever they stand."""

from __future__ import annotations

import heapq
import itertools
import textwrap
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sr_cli.evaluation.alignment import edit_distances

_LONGEST = 1000
"""Lines are cut into passages of at most so many letters, which bounds the time."""

_AT_ONCE = 4096
"""Pairs that are compared at once, which bounds the memory."""

Numbered = tuple[int, str]


class _Match(NamedTuple):
    """The best place of the shorter of two passages in the longer one; the least `loss` fits best.

    Attributes:
        loss: Edits, less the letters of the shorter passage that need none.
        written: The number of the written passage.
        read: The number of the read one.
        end: Where the place ends in the longer passage.
    """

    loss: int
    written: int
    read: int
    end: int


def match_passages(
    written: Sequence[str], read: Sequence[str]
) -> tuple[list[tuple[str, str]], list[str], list[str]]:
    """Pair what is written with what was read, in whatever order it was read.

    As in Clausner, Pletschacher and Antonacopoulos, Flexible character accuracy measure for
    reading-order-independent evaluation (Pattern Recognition Letters 131, 2020): the two lines that
    fit best are taken out, in part if one is longer, and what is left of that one is matched again.
    They weigh edits, lengths and places with weights that they search for. Here two lines fit
    best where the shorter one has the most right letters, less one for each edit, and not at all
    where that is none.

    Args:
        written: The true lines.
        read: The lines that were read.

    Returns:
        Pairs of passages (written, read), and what is left of each side.
    """
    sides = (_passages(written), _passages(read))
    number = itertools.count(max(map(len, sides)))
    heap = _matches(itertools.product(sides[0].items(), sides[1].items()))
    heapq.heapify(heap)
    pairs = []
    while heap:
        match = heapq.heappop(heap)
        if match.written not in sides[0] or match.read not in sides[1]:
            continue
        taken = [sides[0].pop(match.written), sides[1].pop(match.read)]
        longer = int(len(taken[0]) < len(taken[1]))
        start = _start_of(taken[1 - longer], taken[longer][: match.end])
        rest = (taken[longer][:start].rstrip(), taken[longer][match.end :].lstrip())
        taken[longer] = taken[longer][start : match.end]
        pairs.append((taken[0], taken[1]))
        new = {next(number): part for part in rest if part}
        sides[longer].update(new)
        others = sides[1 - longer].items()
        product = ((n, o) if longer == 0 else (o, n) for n in new.items() for o in others)
        for found in _matches(product):
            heapq.heappush(heap, found)
    return pairs, list(sides[0].values()), list(sides[1].values())


def _passages(lines: Iterable[str]) -> dict[int, str]:
    parts = (part for line in lines for part in textwrap.wrap(line, _LONGEST))
    return dict(enumerate(parts))


def _matches(pairs: Iterable[tuple[Numbered, Numbered]]) -> list[_Match]:
    """The best places of pairs of (written, read) passages, without those that do not fit."""
    listed = list(pairs)
    found = []
    for first in range(0, len(listed), _AT_ONCE):
        batch = listed[first : first + _AT_ONCE]
        ordered = [sorted((a, b), key=len) for (_, a), (_, b) in batch]
        edits, ends = _best_places([a for a, _ in ordered], [b for _, b in ordered])
        for (one, other), (short, _), cost, end in zip(batch, ordered, edits, ends, strict=True):
            loss = 2 * int(cost) - len(short)
            if loss < 0:
                found.append(_Match(loss, one[0], other[0], int(end)))
    return found


def _best_places(
    patterns: Sequence[str], texts: Sequence[str]
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """The fewest edits that make each pattern of a part of its text, and where that part ends.

    Sellers, The theory and computation of evolutionary distances (1980).
    """
    sought, given = _letters(patterns, -1), _letters(texts, -2)
    lengths = np.array([len(p) for p in patterns])
    edits, ends = np.zeros((2, len(patterns)), np.int32)
    along = np.arange(given.shape[1] + 1, dtype=np.int32)
    above = np.zeros((len(patterns), len(along)), np.int32)
    for place in range(sought.shape[1]):
        row = above + 1
        differs = given != sought[:, place : place + 1]
        np.minimum(row[:, 1:], above[:, :-1] + differs, out=row[:, 1:])
        above = np.minimum.accumulate(row - along, axis=1) + along
        done = lengths == place + 1
        edits[done], ends[done] = above[done].min(1), above[done].argmin(1)
    return edits, ends


def _letters(texts: Sequence[str], padding: int) -> NDArray[np.int32]:
    """Code points, a text a row."""
    found = np.full((len(texts), max(map(len, texts))), padding, np.int32)
    for row, text in zip(found, texts, strict=True):
        row[: len(text)] = [ord(c) for c in text]
    return found


def _start_of(pattern: str, text: str) -> int:
    """Where the part of a text begins that ends with it and is nearest to the pattern."""
    *_, last = edit_distances(pattern[::-1], text[::-1])
    return len(text) - int(last.argmin())
