"""What every reader hands out: a table of chunks, and the rows that could not be read.

A ``Table`` is read once, front to back, in chunks of bounded size, so that memory does
not grow with the file. Text stays text: dates, numbers and coordinates are parsed later,
with the evidence of the whole column. Only formats that carry types of their own
(spreadsheets, Parquet, OGR) give typed columns.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from types import TracebackType

import numpy as np
import polars as pl

LINE = "__line"
LON = "__lon"
LAT = "__lat"
RESERVED = (LINE, LON, LAT)


@dataclass(frozen=True)
class BadRow:
    """A row that could not be read.

    ``line`` is the physical line (delimited text), sheet row or feature number, from 1.
    ``reason`` is one of ``wrong_field_count``, ``undecodable``, ``null_byte``,
    ``unreadable_geometry``, ``unreadable_record``. ``row`` holds what could be read by
    column name; values beyond the header stand under ``_extra`` and a line that could
    not be split at all under ``_text``.
    """

    line: int
    reason: str
    message: str
    row: dict[str, str]


@dataclass
class Chunk:
    """Some rows of a table: ``frame`` (with the column ``__line``) and the bad rows among them."""

    frame: pl.DataFrame
    bad: list[BadRow] = field(default_factory=list)


class Table(ABC):
    """An open table. Use it as a context manager; read ``chunks()`` once."""

    def __init__(self, format_name: str) -> None:
        self.format = format_name
        self.columns: list[str] = []
        self.notes: list[str] = []
        self.rows_hint: int | None = None
        self.crs: str | None = None
        self.stack = ExitStack()

    def __enter__(self) -> Table:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file and remove what was unpacked for it."""
        self.stack.close()

    def position(self) -> float:
        """Return the share of the file that was read, 0 to 1."""
        return 0.0

    @abstractmethod
    def chunks(self, size: int = 65536) -> Iterator[Chunk]:
        """Yield the rows in order, at most about ``size`` at a time."""


def split_bad(frame: pl.DataFrame, reasons: dict[int, tuple[str, str]]) -> Chunk:
    """Take rows out of a frame into bad rows; ``reasons`` by position."""
    if not reasons:
        return Chunk(frame)
    bad = []
    for i, (reason, message) in sorted(reasons.items()):
        values = frame.row(i, named=True)
        line = values.pop(LINE)
        row = {k: str(v) for k, v in values.items() if v is not None and k not in (LON, LAT)}
        bad.append(BadRow(int(line), reason, message, row))
    keep = np.ones(frame.height, bool)
    keep[list(reasons)] = False
    return Chunk(frame.filter(pl.Series(keep)), bad)
