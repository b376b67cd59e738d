"""What a batch has brought so far: 24 bytes a row, so that questions about all rows are short.

Which references come twice, and on which cells reports pile up, is answered here by
sorting numbers; the store is then asked only about the few rows in question. References
are compared by 64-bit hashes, which may suspect too much and never miss a repeat.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numpy.typing import NDArray

_SEED = 311  # any fixed number: the same text then has the same hash in every chunk


@dataclass
class _Rows:
    """Columns of rows, chunk by chunk."""

    parts: dict[str, list[NDArray]] = field(default_factory=dict)
    count: int = 0

    def add(self, **columns: NDArray) -> None:
        for name, values in columns.items():
            self.parts.setdefault(name, []).append(values)
        self.count += len(next(iter(columns.values())))

    def column(self, name: str) -> NDArray:
        """All values of a column, (count,)."""
        parts = self.parts.get(name, [])
        if len(parts) > 1:
            self.parts[name] = parts = [np.concatenate(parts)]
        return parts[0] if parts else np.zeros(0, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Twins:
    """Staged rows with the reference of a row that the store holds already, (n,) each."""

    staged: NDArray[np.int32]  # line of the staged row
    known: NDArray[np.int32]  # last line of the known row
    content: NDArray[np.int64]  # of the known row


class Tally:
    """References, cells and kinds of a batch's rows.

    *Staged* rows are on their way into the store; *known* rows are there already with the
    same content, and only counted.
    """

    def __init__(self) -> None:
        self.staged = _Rows()
        self.known = _Rows()
        self.refused: list[str] = []
        self._kinds = np.zeros(0, dtype=np.int64)

    def add_staged(self, rows: pl.DataFrame) -> None:
        self.staged.add(reference=_hashes(rows), line=rows["line"].to_numpy(), cell=_cells(rows))
        self._count_kinds(rows)

    def add_known(self, rows: pl.DataFrame) -> None:
        self.known.add(
            reference=_hashes(rows),
            line=rows["line"].to_numpy(),
            cell=_cells(rows),
            content=rows["content"].to_numpy(),
        )
        self._count_kinds(rows)

    def add_refused(self, references: pl.Series) -> None:
        self.refused.extend(references.drop_nulls().to_list())

    def _count_kinds(self, rows: pl.DataFrame) -> None:
        found = np.bincount(rows["type_no"].drop_nulls().to_numpy(), minlength=len(self._kinds))
        found[: len(self._kinds)] += self._kinds
        self._kinds = found

    def repeated_lines(self) -> list[int]:
        """Lines of staged rows that share their reference with another staged row."""
        references = self.staged.column("reference")
        values, counts = _distinct(references)
        twice = values[counts > 1]
        if not len(twice):
            return []
        lines: list[int] = self.staged.column("line")[among(references, twice)].tolist()
        return lines

    def known_repeats(self) -> int:
        """Number of known rows that say what another known row of the file says."""
        return self.known.count - len(_distinct(self.known.column("content"))[0])

    def twins(self) -> Twins:
        """Staged rows that share their reference with a known row."""
        references = self.staged.column("reference")
        known = self.known.column("reference")
        shared = np.flatnonzero(among(known, references))
        values, last = _last(known[shared], self.known.column("line")[shared])
        there = np.flatnonzero(among(references, values))
        match = shared[last[np.searchsorted(values, references[there])]]
        return Twins(
            self.staged.column("line")[there],
            self.known.column("line")[match],
            self.known.column("content")[match],
        )

    def arrived(self, references: list[str]) -> list[str]:
        """Those of some references that a staged or known row carries."""
        if not references:
            return []
        hashes = pl.Series(references, dtype=pl.String).hash(_SEED).to_numpy()
        columns = (self.staged.column("reference"), self.known.column("reference"))
        here = np.concatenate([column[among(column, hashes)] for column in columns])
        return [name for name, is_here in zip(references, among(hashes, here), strict=True) if is_here]

    def cells(self, without: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Cells that hold reports and how many, (k,) each; ``without`` are cells of staged rows taken out."""
        known = self.known.column("cell")
        if self.known_repeats():
            known = known[np.unique(self.known.column("content"), return_index=True)[1]]
        cells, counts = _distinct(np.concatenate([self.staged.column("cell"), known]))
        np.subtract.at(counts, np.searchsorted(cells, without), 1)
        kept = (cells != 0) & (counts > 0)
        return cells[kept], counts[kept]

    def kinds(self) -> NDArray[np.float64]:
        """Share of each kind among the rows that have one, (k,); repeats count too."""
        shares = self._kinds[self._kinds > 0].astype(np.float64)
        return shares / max(shares.sum(), 1.0)


def _hashes(rows: pl.DataFrame) -> NDArray[np.uint64]:
    return rows["reference"].hash(_SEED).to_numpy()


def _cells(rows: pl.DataFrame) -> NDArray[np.int64]:
    return rows["cell"].fill_null(0).to_numpy()


def _distinct(values: NDArray) -> tuple[NDArray, NDArray[np.int64]]:
    """Distinct values, sorted, and how often each occurs (np.unique hashes, which is slower here)."""
    ordered = np.sort(values)
    starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1])[: len(ordered)])
    return ordered[starts], np.diff(starts, append=len(ordered))


def among(values: NDArray, wanted: NDArray) -> NDArray[np.bool_]:
    """Which of many values (n,) are among a few wanted ones (k,)."""
    if not len(wanted):
        return np.zeros(len(values), dtype=bool)
    ordered = np.sort(wanted)
    found: NDArray[np.bool_] = (
        ordered[np.minimum(np.searchsorted(ordered, values), len(ordered) - 1)] == values
    )
    return found


def _last(values: NDArray, lines: NDArray) -> tuple[NDArray, NDArray[np.int64]]:
    """Distinct values, sorted, and where each stands with its greatest line."""
    order = np.lexsort((lines, values))
    ordered = values[order]
    ends = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True)[: len(ordered)])
    return ordered[ends], order[ends]
