"""Where is the header of this table, and what are its columns called?

Exports often start with title rows, blank rows or a header of several merged rows. The
header is the first row that is mostly text, mostly distinct, and about as wide as the
rows that follow it. A header block of several rows is joined top to bottom with " / ".
Works on a grid of the first rows; a table without any header row is refused.
"""

from __future__ import annotations

import datetime as dt
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from geo.errors import InputError
from ingest.readers.table import RESERVED

JOINT = " / "
_LOOK = 40  # a header further down than this is not looked for
_NUMBER = re.compile(
    r"[-+]?[\d\u0660-\u0669\u06f0-\u06f9][\d\u0660-\u0669\u06f0-\u06f9.,:/\-\s٫٬%TZAPMampصهـ]*"
)
_MARKS = re.compile("[\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]")

Cell = object  # str, number, date, bool or None, as the reader gives it
Merge = tuple[tuple[int, int], tuple[int, int]]  # ((row, column), (row, column)), inclusive, from 0


@dataclass(frozen=True)
class Header:
    """Rows ``first`` to ``last`` (from 0, inclusive) of the grid are the header."""

    first: int
    last: int
    names: list[str]


def find_header(rows: Sequence[Sequence[Cell]], name: str, merges: Sequence[Merge] = ()) -> Header:
    """Find the header among the first rows of a table.

    ``merges`` are merged cell ranges of a spreadsheet. Raises InputError, showing the first
    rows, when no row can be the header.
    """
    for i, row in enumerate(rows[:_LOOK]):
        if _is_header(row, rows[i + 1 : i + 21], _group_span(i, rows, merges)):
            last = _block_end(i, rows, merges)
            names = _joined_names(rows[i : last + 1], i, merges)
            below = [_width(r) for r in rows[last + 1 : last + 21]]
            width = max(_width(names), max(below, default=0) if not _spills(rows, last, names) else 0)
            return Header(i, last, clean_names((names + [""] * width)[: max(width, 1)]))
    filled = [row for row in rows if not all(_blank(c) for c in row)]
    shown = "\n  ".join(" | ".join(str(c) for c in row if not _blank(c))[:120] for row in filled[:5])
    raise InputError(
        f"{name}: no header row was found in the first {min(len(rows), _LOOK)} rows. A header is a "
        "row of column "
        f"names, as wide as the rows below it. The file starts with:\n  {shown}\nPut a row of column "
        "names on top."
    )


def clean_names(names: Sequence[str]) -> list[str]:
    """Return header names trimmed, without direction marks, never empty, and unique.

    A repeated name gets " (2)"; an empty one becomes "column 3".
    """
    out: list[str] = []
    seen: set[str] = set()
    for number, name in enumerate(names, start=1):
        text = " ".join(_MARKS.sub("", unicodedata.normalize("NFC", name)).split()) or f"column {number}"
        if text in RESERVED:
            text = f"{text} (file)"
        unique, copy = text, 1
        while unique in seen:
            copy += 1
            unique = f"{text} ({copy})"
        seen.add(unique)
        out.append(unique)
    return out


def _blank(cell: Cell) -> bool:
    return cell is None or (isinstance(cell, str) and not _MARKS.sub("", cell).strip())


def _is_text(cell: Cell) -> bool:
    if isinstance(cell, str):
        return not _NUMBER.fullmatch(_MARKS.sub("", cell).strip())
    return not isinstance(cell, (bool, int, float, dt.date, dt.time, dt.timedelta))


def _name(cell: Cell) -> str:
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return "" if _blank(cell) else str(cell).strip()


def _width(row: Sequence[Cell]) -> int:
    """Number of cells up to the last one that holds something."""
    return max((i + 1 for i, cell in enumerate(row) if not _blank(cell)), default=0)


def _spills(rows: Sequence[Sequence[Cell]], last: int, names: Sequence[str]) -> bool:
    """Whether only few rows are wider than the header: those are broken rows, not columns."""
    below = [row for row in rows[last + 1 : last + 21] if _width(row)]
    wider = sum(_width(row) > _width(names) for row in below)
    return wider < 0.5 * max(len(below), 1)


def _group_span(first: int, rows: Sequence[Sequence[Cell]], merges: Sequence[Merge]) -> int:
    """Number of columns that the merged cells of a row stand for, when names stand below them."""
    mine = [(m[0][1], m[1][0], m[1][1]) for m in merges if m[0][0] == first]
    groups = [
        right - left
        for left, bottom, right in mine
        if right > left and bottom + 1 < len(rows) and _names_below(rows[bottom + 1], left, right)
    ]
    return sum(groups)


def _is_header(row: Sequence[Cell], below: Sequence[Sequence[Cell]], span: int) -> bool:
    filled = [cell for cell in row if not _blank(cell)]
    if not filled:
        return False
    counts = [sum(not _blank(cell) for cell in r) for r in below]
    counts = [count for count in counts if count]
    typical = median(counts) if counts else len(filled)
    if len(filled) + span < 0.5 * typical or (len(filled) == 1 and max(counts, default=1) > 1):
        return False
    texts = sum(_is_text(cell) for cell in filled)
    distinct = len({str(cell).strip() for cell in filled})
    return texts >= 0.75 * len(filled) and distinct >= 0.6 * len(filled)


def _block_end(first: int, rows: Sequence[Sequence[Cell]], merges: Sequence[Merge]) -> int:
    """Last row of a header block: follow merges downwards, and go below a merge across columns."""
    last, grown = first, True
    while grown:
        grown = False
        for (top, left), (bottom, right) in merges:
            if not first <= top <= last:
                continue
            end = bottom
            if right > left and bottom + 1 < len(rows) and _names_below(rows[bottom + 1], left, right):
                end = bottom + 1
            if end > last:
                last, grown = end, True
    return min(last, len(rows) - 1)


def _names_below(row: Sequence[Cell], left: int, right: int) -> bool:
    cells = [cell for cell in row[left : right + 1] if not _blank(cell)]
    return len(cells) > 1 and all(_is_text(cell) for cell in cells)


def _joined_names(block: Sequence[Sequence[Cell]], first: int, merges: Sequence[Merge]) -> list[str]:
    width = max(len(row) for row in block)
    grid = [[_name(c) for c in row] + [""] * (width - len(row)) for row in block]
    for (top, left), (bottom, right) in merges:
        if first <= top < first + len(block) and len(block) > 1:
            for r in range(top, min(bottom, first + len(block) - 1) + 1):
                for c in range(left, min(right, width - 1) + 1):
                    grid[r - first][c] = grid[top - first][left]
    names = []
    for column in zip(*grid, strict=True):
        parts = list(dict.fromkeys(part for part in column if part))
        names.append(JOINT.join(parts))
    return names
