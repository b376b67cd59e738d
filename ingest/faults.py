"""Serious faults of a chunk's rows: a row is refused with *all* of its faults, not the first."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import polars as pl

from ingest.result import Fault


@dataclass
class Faults:
    """Faults of a chunk, column by column; rows come out with all of theirs."""

    size: int
    found: list[tuple[str, str | None, np.ndarray, pl.Series | None, pl.Series | None]] = field(
        default_factory=list
    )

    def add(
        self,
        code: str,
        column: str | None,
        mask: np.ndarray,
        values: pl.Series | None = None,
        proposals: pl.Series | None = None,
    ) -> None:
        if mask.any():
            self.found.append((code, column, mask, values, proposals))

    def refused(self) -> np.ndarray:
        total = np.zeros(self.size, dtype=bool)
        for _, _, mask, _, _ in self.found:
            total |= mask
        return total

    def of_row(self, row: int, line: int) -> list[Fault]:
        return [
            Fault(
                line,
                code,
                column,
                None if values is None or values[row] is None else str(values[row]),
                None if proposals is None else proposals[row],
            )
            for code, column, mask, values, proposals in self.found
            if mask[row]
        ]


def equals(values: pl.Series, code: str) -> np.ndarray:
    """Where a column of codes says ``code``, (n,) bool."""
    return (values == code).fill_null(False).to_numpy()
