"""Excel and OpenDocument sheets: XLSX, XLSM, XLS, XLSB, ODS.

Read with calamine, which holds one sheet in memory; an XLSX whose sheets unpack to more
than ``STREAM_ABOVE`` bytes is streamed row by row with openpyxl instead (slower, and without
knowledge of merged header cells). A column keeps its type where every cell of it has that
type; a mixed one becomes text, with dates in ISO form. Error cells count as empty.
"""

from __future__ import annotations

import datetime as dt
import re
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import polars as pl
import python_calamine
from openpyxl import load_workbook
from python_calamine import CalamineWorkbook, SheetTypeEnum, SheetVisibleEnum

from geo.errors import InputError
from ingest.readers.header import Header, find_header
from ingest.readers.opening import check_bomb
from ingest.readers.table import LINE, BadRow, Chunk, Table

STREAM_ABOVE = 150 << 20
_LOOK = 400
_ERRORS = frozenset(
    ("#N/A", "#REF!", "#VALUE!", "#DIV/0!", "#NAME?", "#NUM!", "#NULL!", "#GETTING_DATA", "#SPILL!", "#CALC!")
)


class SheetTable(Table):
    """One sheet of a workbook."""

    def __init__(self, path: Path, name: str, kind: str, sheet: str | None) -> None:
        super().__init__(kind)
        self._name = name
        self._rows: Iterator[Sequence[Any]]
        self._types: list[pl.DataType] | None = None
        self._done = 0
        self._total = 0
        self._errors = 0
        self.sheets: tuple[str, ...] = ()  # those of the workbook that are shown
        if kind == "xlsx" and _sheet_bytes(path, name) > STREAM_ABOVE:
            self._open_streamed(path, sheet)
        else:
            self._open_whole(path, sheet)

    def position(self) -> float:
        return min(self._done / self._total, 1.0) if self._total else 0.0

    def _open_whole(self, path: Path, sheet: str | None) -> None:
        try:
            book = CalamineWorkbook.from_path(str(path))
        except python_calamine.PasswordError as error:
            raise InputError(_encrypted(self._name)) from error
        except (python_calamine.CalamineError, OSError) as error:
            raise InputError(
                f"{self._name} cannot be opened as a workbook ({error}). Open it in a spreadsheet "
                "program and "
                "save it again as XLSX, or as CSV UTF-8."
            ) from error
        self.stack.callback(book.close)
        shown = [
            meta.name
            for meta in book.sheets_metadata
            if meta.typ == SheetTypeEnum.WorkSheet and meta.visible == SheetVisibleEnum.Visible
        ] or list(book.sheet_names)
        if sheet is not None:
            chosen = _named_sheet(sheet, list(book.sheet_names), self._name)
            grid = book.get_sheet_by_name(chosen)
        else:
            sheets = [book.get_sheet_by_name(name) for name in shown]
            grid = max(sheets, key=lambda s: s.total_height * max(s.total_width, 1))
            chosen = grid.name
        if grid.total_height == 0:
            raise InputError(f"{self._name}: sheet {chosen!r} is empty. Sheets: {', '.join(shown)}.")
        rows = grid.to_python(skip_empty_area=False)
        header = find_header(rows[:_LOOK], self._name, grid.merged_cell_ranges or ())
        self._settle(header, chosen, shown)
        if self.format == "xlsx":
            self._errors = _error_cells(path, list(book.sheet_names).index(chosen))
        self._total = len(rows)
        self.rows_hint = len(rows) - header.last - 1
        body = rows[header.last + 1 :]
        self._types = [_type_of([row[i] for row in body if i < len(row)]) for i in range(len(self.columns))]
        self._rows = iter(body)

    def _open_streamed(self, path: Path, sheet: str | None) -> None:
        with warnings.catch_warnings():
            # openpyxl warns of extensions that it passes over: they hold no cells.
            warnings.simplefilter("ignore")
            book = load_workbook(path, read_only=True, data_only=True)
        self.stack.callback(book.close)
        names = list(book.sheetnames)
        chosen = _named_sheet(sheet, names, self._name) if sheet else _largest_sheet(path, names)
        grid = book[chosen]
        self._total = grid.max_row or 0
        grid.reset_dimensions()  # the stored extent is often wrong
        rows = grid.iter_rows(values_only=True)
        head = list(islice(rows, _LOOK))
        header = find_header(head, self._name)
        self._settle(header, chosen, names)
        self.notes.append("A large sheet: read row by row.")
        self.rows_hint = max(self._total - header.last - 1, 0) or None

        def remaining() -> Iterator[Sequence[Any]]:
            yield from head[header.last + 1 :]
            yield from rows

        self._rows = remaining()

    def _settle(self, header: Header, chosen: str, names: Sequence[str]) -> None:
        self.columns = header.names
        self.sheets = tuple(names)
        self._first_line = header.last + 2
        others = [name for name in names if name != chosen]
        also = f" Other sheets, not read: {', '.join(map(repr, others))}." if others else ""
        self.notes.append(f"Sheet {chosen!r}.{also}")
        if header.last > header.first:
            self.notes.append(f"Header in rows {header.first + 1} to {header.last + 1}, joined.")
        elif header.first:
            self.notes.append(f"Header in row {header.first + 1}.")

    def chunks(self, size: int = 65536) -> Iterator[Chunk]:
        line = self._first_line
        while rows := list(islice(self._rows, size)):
            yield self._chunk(rows, line)
            line += len(rows)
            self._done = line
        self._done = self._total
        if self._errors:
            self.notes.append(f"Cells with an Excel error (such as #N/A), read as empty: {self._errors:,}.")

    def _chunk(self, rows: list[Sequence[Any]], first: int) -> Chunk:
        width = len(self.columns)
        good: list[list[Any]] = []
        lines: list[int] = []
        bad: list[BadRow] = []
        for line, row in enumerate(rows, start=first):
            cells = [self._cell(value) for value in row]
            if all(cell is None for cell in cells):
                continue
            if any(cell is not None for cell in cells[width:]):
                shown = {
                    n: _text(c) or "" for n, c in zip(self.columns, cells, strict=False) if c is not None
                }
                shown["_extra"] = " | ".join(_text(c) or "" for c in cells[width:])
                message = f"Cells stand to the right of the last column of the header ({self.columns[-1]})."
                bad.append(BadRow(line, "wrong_field_count", message, shown))
                continue
            good.append(cells[:width] + [None] * (width - len(cells)))
            lines.append(line)
        columns = list(zip(*good, strict=True)) if good else [()] * width
        types = self._types or [pl.String()] * width
        data = {
            name: _series(name, values, kind)
            for name, values, kind in zip(self.columns, columns, types, strict=True)
        }
        return Chunk(pl.DataFrame({**data, LINE: pl.Series(lines, dtype=pl.Int64)}), bad)

    def _cell(self, value: Any) -> Any:
        if isinstance(value, str):
            if value in _ERRORS:
                self._errors += 1
                return None
            return value if value.strip() else None
        return value


def _sheet_bytes(path: Path, name: str) -> int:
    try:
        with zipfile.ZipFile(path) as archive:
            infos = archive.infolist()
    except zipfile.BadZipFile as error:
        raise InputError(
            f"{name} is a damaged or cut-off XLSX file ({error}). Fetch or export it again."
        ) from error
    total = sum(info.file_size for info in infos)
    check_bomb(total, path.stat().st_size, name)
    sizes = [info.file_size for info in infos if re.fullmatch(r"xl/worksheets/[^/]+\.xml", info.filename)]
    return max(sizes, default=0)


def _member(index: int) -> str:
    """Every common writer stores the sheets in the workbook's order as sheet1.xml and so on."""
    return f"xl/worksheets/sheet{index + 1}.xml"


def _largest_sheet(path: Path, names: list[str]) -> str:
    with zipfile.ZipFile(path) as archive:
        sizes = {info.filename: info.file_size for info in archive.infolist()}
    return max(names, key=lambda n: sizes.get(_member(names.index(n)), 0))


def _error_cells(path: Path, index: int) -> int:
    """Count the cells with an Excel error: calamine gives them as empty and does not tell."""
    with zipfile.ZipFile(path) as archive:
        if _member(index) not in archive.namelist():
            return 0
        return archive.read(_member(index)).count(b' t="e"')


def _named_sheet(sheet: str, names: list[str], file: str) -> str:
    if sheet in names:
        return sheet
    if sheet.isdigit() and 1 <= int(sheet) <= len(names):
        return names[int(sheet) - 1]
    raise InputError(f"{file} has no sheet {sheet!r}. Sheets: {', '.join(map(repr, names))}.")


def _encrypted(name: str) -> str:
    return (
        f"{name} is protected with a password. Open it in a spreadsheet program, remove the password "
        "(File > Info > Protect) and save it."
    )


def open_ole(path: Path, name: str, sheet: str | None) -> SheetTable:
    """Open an OLE file: an old XLS, or an encrypted XLSX, which is refused with the reason."""
    with path.open("rb") as file:
        start = file.read(1 << 16)
    if "EncryptedPackage".encode("utf-16-le") in start or b"E\x00n\x00c\x00r\x00y\x00p\x00t" in start:
        raise InputError(_encrypted(name))
    return SheetTable(path, name, "xls", sheet)


def _type_of(values: Sequence[Any]) -> pl.DataType:
    """The type that all cells of a column share; text where they differ."""
    kinds = {type(v) for v in values if v is not None and not (isinstance(v, str) and _empty(v))}
    if not kinds:
        return pl.String()
    if kinds == {bool}:
        return pl.Boolean()
    if kinds <= {int, float}:
        whole = all(float(v).is_integer() and abs(v) < 2**53 for v in values if isinstance(v, (int, float)))
        return pl.Int64() if whole else pl.Float64()
    if kinds == {dt.date}:
        return pl.Date()
    if kinds <= {dt.date, dt.datetime}:
        return pl.Datetime("us")
    return pl.String()


def _empty(text: str) -> bool:
    return not text.strip() or text in _ERRORS


def _series(name: str, values: Sequence[Any], kind: pl.DataType) -> pl.Series:
    if kind == pl.String:
        return pl.Series(name, [_text(value) for value in values], dtype=pl.String)
    if isinstance(kind, pl.Datetime):
        midnight = dt.time()
        values = [
            v if v is None or isinstance(v, dt.datetime) else dt.datetime.combine(v, midnight) for v in values
        ]
    elif kind == pl.Int64:
        values = [None if v is None else int(v) for v in values]
    return pl.Series(name, values, dtype=kind)


def _text(value: Any) -> str | None:
    """A cell as text; whole numbers without the ".0" that Excel stores them with."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    if isinstance(value, dt.datetime):
        return value.isoformat(" ")
    return str(value)
