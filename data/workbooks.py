"""A workbook of several sheets, written in memory, the same bytes for the same content.

For documents of a few thousand rows (a weekly pack); reports stream through
``data/exports.py``. Texts are stored as texts and are safe to save as CSV later
(``data/sheets.py``). Caveat: Excel knows no zones, so times are written as they are handed in.
"""

from __future__ import annotations

import datetime as dt
import io
from dataclasses import dataclass

import polars as pl
import xlsxwriter

from data.sheets import XLSX_TEXT, safe_frame

Value = str | int | float | bool | dt.date | None
_MADE = dt.datetime(2000, 1, 1)  # the same content gives the same file
_WIDEST = 48
_FORMATS = {"share": "0.0%", "rate": "0.0000", "days": "0.0"}


@dataclass(frozen=True, slots=True)
class BookSheet:
    """One sheet: ``heads`` over ``rows``; ``kinds`` of the columns: "share", "rate", "days" or "".

    A sheet without heads is a list of labels and values.
    """

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[Value, ...], ...]
    kinds: tuple[str, ...] = ()


def book(sheets: tuple[BookSheet, ...], *, title: str, rtl: bool) -> bytes:
    """The workbook's content; ``rtl`` lets its sheets run from right to left."""
    out = io.BytesIO()
    with xlsxwriter.Workbook(
        out, {"strings_to_formulas": False, "strings_to_urls": False, "default_date_format": "yyyy-mm-dd"}
    ) as made:
        made.set_properties({"title": title, "created": _MADE})
        head = made.add_format({"bold": True, "bg_color": "#E4EEE9", "text_wrap": True, "border": 1})
        plain = made.add_format({"text_wrap": True, "valign": "top"})
        shown = {kind: made.add_format({"num_format": layout}) for kind, layout in _FORMATS.items()}
        for one in sheets:
            sheet = made.add_worksheet(one.title)
            if rtl:
                sheet.right_to_left()
            begin = 0
            if one.heads:
                for at, name in enumerate(_safe(one.heads)):
                    sheet.write_string(0, at, name, head)
                sheet.freeze_panes(1, 1)
                if one.rows:
                    sheet.autofilter(0, 0, len(one.rows), len(one.heads) - 1)
                begin = 1
            width = [len(name) for name in one.heads] or [0] * max(map(len, one.rows), default=0)
            for row, values in enumerate(one.rows, begin):
                for at, value in enumerate(values):
                    kind = one.kinds[at] if at < len(one.kinds) else ""
                    _write(sheet, row, at, value, shown.get(kind), plain)
                    width[at] = max(width[at], len(str(value)) if isinstance(value, str) else 0)
            for at, most in enumerate(width):
                sheet.set_column(at, at, min(max(most + 2, 10), _WIDEST))
    return out.getvalue()


def _write(
    sheet: xlsxwriter.worksheet.Worksheet,
    row: int,
    at: int,
    value: Value,
    number: object,
    plain: object,
) -> None:
    if value is None:
        return
    if isinstance(value, bool):
        sheet.write_boolean(row, at, value)
    elif isinstance(value, int | float):
        sheet.write_number(row, at, value, number)
    elif isinstance(value, dt.date):
        sheet.write_datetime(row, at, value)
    else:
        sheet.write_string(row, at, _safe((value[:XLSX_TEXT],))[0], plain)


def _safe(texts: tuple[str, ...]) -> list[str]:
    """Texts that no spreadsheet runs."""
    frame = pl.DataFrame({"text": list(texts)}, schema={"text": pl.String})
    found: list[str] = safe_frame(frame)["text"].to_list()
    return found
