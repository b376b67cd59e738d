"""CSV and XLSX that are safe to open in a spreadsheet, written a chunk at a time.

A text that a spreadsheet would run as a formula (it begins with =, +, -, @, a tab or a
carriage return; OWASP, "CSV Injection") gets an apostrophe in front. Numbers stay as they
are, also those that arrive as text: -49.97 is a longitude, not a formula. In XLSX every
text is stored as text, which no spreadsheet runs; the apostrophe is written there too
unless it is switched off, because the sheet may be saved as CSV later.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import polars as pl
import xlsxwriter

from geo.errors import InputError

XLSX_ROWS = 1_048_576  # of a sheet, header included
XLSX_TEXT = 32_767  # characters of a cell
_RISKY = r"^[=+\-@\t\r]"
_NUMBER = r"^[+\-]?[0-9]+([.,][0-9]+)?([eE][+\-]?[0-9]+)?$"


def safe_text(column: str) -> pl.Expr:
    """The text column with an apostrophe before everything that could run as a formula."""
    value = pl.col(column)
    risky = value.str.contains(_RISKY) & ~value.str.contains(_NUMBER)
    return pl.when(risky).then(pl.concat_str(pl.lit("'"), value)).otherwise(value).alias(column)


def safe_frame(frame: pl.DataFrame) -> pl.DataFrame:
    """A frame whose texts, and column names, are safe in a spreadsheet."""
    texts = [name for name, kind in frame.schema.items() if kind == pl.String]
    frame = frame.with_columns(safe_text(name) for name in texts)
    names = pl.DataFrame({"name": frame.columns}, schema={"name": pl.String})
    return frame.rename(
        dict(zip(frame.columns, names.select(safe_text("name")).to_series().to_list(), strict=True))
    )


class CsvSheet:
    """A CSV file, UTF-8 with a byte order mark (without it Excel garbles Arabic).

    Times with a zone are written as ISO 8601 with their offset.
    """

    def __init__(self, out: IO[bytes]) -> None:
        self._out = out
        self._begun = False

    def write(self, frame: pl.DataFrame) -> None:
        """Append a chunk; the first one, even without rows, brings the header."""
        if not self._begun:
            self._out.write("\ufeff".encode())
        frame = safe_frame(frame).with_columns(
            pl.col(name).dt.to_string("%Y-%m-%dT%H:%M:%S%:z")
            for name, kind in frame.schema.items()
            if isinstance(kind, pl.Datetime) and kind.time_zone
        )
        self._out.write(frame.write_csv(include_header=not self._begun).encode())
        self._begun = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._out.flush()


class XlsxSheet:
    """An XLSX file of one sheet, streamed row by row to a temporary file.

    Times with a zone are written as local times, for Excel knows no zones.

    Raises
    ------
    InputError : more rows, or a longer text, than the format can hold; ``write`` says it.
    """

    def __init__(self, out: IO[bytes] | Path, title: str, *, apostrophes: bool = True) -> None:
        self._book = xlsxwriter.Workbook(
            str(out) if isinstance(out, Path) else out,
            {
                "constant_memory": True,
                "strings_to_formulas": False,
                "strings_to_urls": False,
                "default_date_format": "yyyy-mm-dd hh:mm:ss",
            },
        )
        self._sheet = self._book.add_worksheet(title)
        self._bold = self._book.add_format({"bold": True})
        self._apostrophes = apostrophes
        self._row = 0

    def write(self, frame: pl.DataFrame) -> None:
        """Append a chunk; the first one, even without rows, brings the header."""
        safe = safe_frame(frame) if self._apostrophes else frame
        if self._row == 0:
            for at, name in enumerate(safe.columns):
                self._text(0, at, name, self._bold)
            self._sheet.freeze_panes(1, 0)
            self._row = 1
        if self._row + safe.height > XLSX_ROWS:
            raise InputError(
                f"An XLSX sheet holds {XLSX_ROWS - 1:,} rows and there are more: choose csv or parquet, "
                "or a shorter period."
            )
        for row in safe.iter_rows():
            for at, value in enumerate(row):
                self._cell(self._row, at, value)
            self._row += 1

    def _cell(self, row: int, at: int, value: Any) -> None:
        if value is None:
            return
        if isinstance(value, bool):
            self._sheet.write_boolean(row, at, value)
        elif isinstance(value, int | float):
            self._sheet.write_number(row, at, value)
        elif isinstance(value, dt.datetime):
            self._sheet.write_datetime(row, at, value.replace(tzinfo=None))
        else:
            self._text(row, at, str(value))

    def _text(self, row: int, at: int, value: str, style: Any = None) -> None:
        if len(value) > XLSX_TEXT:
            raise InputError(
                f"Row {row + 1}, column {at + 1}: the text has {len(value):,} characters and an XLSX cell "
                f"holds {XLSX_TEXT:,}: choose csv."
            )
        self._sheet.write_string(row, at, value, style)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._book.close()
