"""Refused rows: how many for which reason, a look at them, and a file to correct them in.

A row may have several reasons and counts once for each, so the counts of ``reasons`` can
add up to more than the number of rows. An export begins with the file's own columns in
their order, then columns whose names begin with ``_``: a profile does not map those, so a
corrected file can be ingested as it is. XLSX brings every value back unchanged; in CSV a
text that a spreadsheet would run gets an apostrophe in front (``data/sheets.py``), which
is to be taken off again where it matters. Personal columns were dropped at the ingest.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl
from sqlalchemy import Connection, text

from data.copying import copy_frame
from data.sheets import CsvSheet, XlsxSheet
from geo.errors import InputError

_CHUNK = 10_000
WHOLE_LINE = "_text"  # key of a row that could not be taken apart: the line as it stands
_WHERE = (
    "(CAST(:batch AS integer) IS NULL OR q.batch_id = :batch) AND (NOT :open_only OR q.resolved_by IS NULL)"
)


@dataclass(frozen=True, slots=True)
class ReasonCount:
    """Refused rows that have a reason (a code, see ``docs/bad-input.md``)."""

    code: str
    rows: int


@dataclass(frozen=True, slots=True)
class RefusedRow:
    """One refused row.

    Attributes
    ----------
    line : of the file, the header counted.
    details : one entry a reason: code, column, value, proposal.
    row : the row's own columns and texts.
    resolved_by : the batch that later took the row, None while it waits.
    """

    id: int
    batch_id: int
    file_name: str
    line: int
    reference: str | None
    reasons: tuple[str, ...]
    details: tuple[dict[str, Any], ...]
    row: dict[str, Any]
    resolved_by: int | None

    def to_dict(self) -> dict[str, Any]:
        """The same as plain dictionaries and lists, for JSON."""
        return asdict(self)


def reasons(conn: Connection, batch_id: int | None = None, open_only: bool = True) -> list[ReasonCount]:
    """Refused rows by reason, most first; of one batch, or of all.

    ``open_only`` leaves out rows that a later batch brought again and that were taken.
    """
    # Served by ix_quarantine_batch_id for one batch, else a scan: refused rows are few.
    found = conn.execute(
        text(
            f"""SELECT reason AS code, count(DISTINCT q.id) AS rows
                FROM quarantine q CROSS JOIN unnest(q.reasons) AS reason
                WHERE {_WHERE} GROUP BY reason ORDER BY 2 DESC, 1"""
        ),
        {"batch": batch_id, "open_only": open_only},
    )
    return [ReasonCount(row.code, row.rows) for row in found]


def rows(
    conn: Connection, batch_id: int | None = None, open_only: bool = True, limit: int = 100
) -> list[RefusedRow]:
    """Refused rows, newest batch first and in order of line, at most ``limit``."""
    # Served by ix_quarantine_batch_id for one batch, else a scan and a sort.
    found = conn.execute(
        text(
            f"""SELECT q.id, q.batch_id, b.file_name, q.line, q.reference, q.reasons, q.details, q.row,
                  q.resolved_by
                FROM quarantine q JOIN batch b ON b.id = q.batch_id
                WHERE {_WHERE} ORDER BY q.batch_id DESC, q.line, q.id LIMIT :limit"""
        ),
        {"batch": batch_id, "open_only": open_only, "limit": limit},
    )
    return [
        RefusedRow(
            row.id,
            row.batch_id,
            row.file_name,
            row.line,
            row.reference,
            tuple(row.reasons),
            tuple(row.details),
            row.row,
            row.resolved_by,
        )
        for row in found
    ]


def keep_refused(
    conn: Connection, batch_id: int, source_id: int, refused: pl.DataFrame, arrived: list[str]
) -> None:
    """Keep refused rows once, for sources whose rows are not reports; the caller commits.

    The same row refused again moves to this batch; a row whose reference has ``arrived`` by
    now is settled.

    Parameters
    ----------
    refused : ``QUARANTINE_SCHEMA`` of ``data/copying.py``.
    """
    # All three are served by ix_quarantine_batch_id.
    if arrived:
        conn.execute(
            text(
                """UPDATE quarantine q SET resolved_by = :batch FROM batch b
                   WHERE q.resolved_by IS NULL AND b.id = q.batch_id AND b.source_id = :source
                     AND q.reference = ANY(:arrived)"""
            ),
            {"batch": batch_id, "source": source_id, "arrived": arrived},
        )
    if refused.is_empty():
        return
    conn.execute(
        text(
            """DELETE FROM quarantine q USING batch b
               WHERE b.id = q.batch_id AND b.source_id = :source AND q.resolved_by IS NULL
                 AND q.digest = ANY(:digests)"""
        ),
        {"source": source_id, "digests": refused["digest"].to_list()},
    )
    frame = refused.with_columns(pl.lit(batch_id, pl.Int32).alias("batch_id"))
    copy_frame(conn, "quarantine", frame, jsonb=("details", "row"))


def watched(conn: Connection, source_id: int) -> tuple[str, ...]:
    """References of a source's refused rows that still wait to come again."""
    # Served by ix_quarantine_batch_id.
    return tuple(
        conn.execute(
            text(
                """SELECT DISTINCT q.reference FROM quarantine q JOIN batch b ON b.id = q.batch_id
                   WHERE b.source_id = :source AND q.resolved_by IS NULL AND q.reference IS NOT NULL"""
            ),
            {"source": source_id},
        ).scalars()
    )


def export(conn: Connection, path: Path, batch_id: int | None = None, open_only: bool = True) -> int:
    """Write refused rows to a .csv or .xlsx file and return how many.

    Columns: those of the file in their order (of the newest batch first, when there are
    several), then ``_line``, ``_reasons``, ``_proposals``, ``_batch``, ``_file`` and ``_text``
    (the whole line, where it could not be taken apart).

    Raises
    ------
    InputError : the file's ending is neither, its folder does not exist, or the rows come from
        several sources: their columns mean different things and cannot be one file.
    """
    ending = path.suffix.lower()
    if ending not in (".csv", ".xlsx"):
        raise InputError(f"{path.name}: refused rows are written to .csv or .xlsx, not '{ending}'.")
    if not path.parent.is_dir():
        raise InputError(f"{path}: the folder does not exist; make it first.")
    _require_one_source(conn, batch_id, open_only)
    columns = _columns(conn, batch_id, open_only)
    written = 0
    with (
        path.open("wb") as out,
        CsvSheet(out) if ending == ".csv" else XlsxSheet(out, "quarantine", apostrophes=False) as sheet,
    ):
        for frame in _frames(conn, columns, batch_id, open_only):
            sheet.write(frame)
            written += frame.height
    return written


def _require_one_source(conn: Connection, batch_id: int | None, open_only: bool) -> None:
    # Served by ix_quarantine_batch_id, pk_batch.
    found = conn.execute(
        text(
            f"""SELECT b.source_id, max(b.id) AS batch, max(b.file_name) AS file, count(*) AS rows
                FROM quarantine q JOIN batch b ON b.id = q.batch_id WHERE {_WHERE}
                GROUP BY b.source_id ORDER BY 2"""
        ),
        {"batch": batch_id, "open_only": open_only},
    ).all()
    if len(found) > 1:
        listed = "; ".join(f"--batch {row.batch} ({row.file}, {row.rows:,} rows)" for row in found)
        raise InputError(
            f"The refused rows come from {len(found)} sources, whose columns differ. Name a batch: {listed}."
        )


def _columns(conn: Connection, batch_id: int | None, open_only: bool) -> list[str]:
    """Names of the rows' own columns: in the order of the batches' headers, the rest by name."""
    params = {"batch": batch_id, "open_only": open_only}
    # Served by ix_quarantine_batch_id, pk_batch.
    headers = conn.execute(
        text(
            f"""SELECT b.columns FROM batch b
                WHERE EXISTS (SELECT FROM quarantine q WHERE q.batch_id = b.id AND {_WHERE})
                ORDER BY b.id DESC"""
        ),
        params,
    ).scalars()
    keys = conn.execute(
        text(f"SELECT DISTINCT jsonb_object_keys(q.row) AS key FROM quarantine q WHERE {_WHERE} ORDER BY 1"),
        params,
    ).scalars()
    present = dict.fromkeys(keys)
    ordered = dict.fromkeys(name for header in headers for name in header if name in present)
    return [name for name in ordered | present if name != WHOLE_LINE]


def _frames(
    conn: Connection, columns: list[str], batch_id: int | None, open_only: bool
) -> Iterator[pl.DataFrame]:
    """Chunks of refused rows; at least one, so that an empty file has a header."""
    own: dict[str, type[pl.DataType]] = dict.fromkeys(columns, pl.String)
    added: dict[str, type[pl.DataType]] = {
        "_line": pl.Int64,
        "_reasons": pl.String,
        "_proposals": pl.String,
        "_batch": pl.Int64,
        "_file": pl.String,
        WHOLE_LINE: pl.String,
    }
    # A column of the file may have the name of one of ours: the file's wins.
    extra = {name: kind for name, kind in added.items() if name not in own}
    yield pl.DataFrame(schema=own | extra)
    last = (0, 0, 0)
    while True:
        # Served by ix_quarantine_batch_id, then a sort; each chunk begins after the last row.
        found = conn.execute(
            text(
                f"""SELECT q.id, q.batch_id, b.file_name, q.line, q.reasons, q.details, q.row
                    FROM quarantine q JOIN batch b ON b.id = q.batch_id
                    WHERE {_WHERE} AND (q.batch_id, q.line, q.id) > (:last_batch, :last_line, :last_id)
                    ORDER BY q.batch_id, q.line, q.id LIMIT :chunk"""
            ),
            {
                "batch": batch_id,
                "open_only": open_only,
                "last_batch": last[0],
                "last_line": last[1],
                "last_id": last[2],
                "chunk": _CHUNK,
            },
        ).all()
        if not found:
            return
        records = []
        for row in found:
            said = {
                "_line": row.line,
                "_reasons": "; ".join(row.reasons),
                "_proposals": _proposals(row.details),
                "_batch": row.batch_id,
                "_file": row.file_name,
                WHOLE_LINE: row.row.get(WHOLE_LINE),
            }
            records.append(
                {name: _as_text(row.row.get(name)) for name in columns}
                | {name: value for name, value in said.items() if name in extra}
            )
        yield pl.DataFrame(records, schema=own | extra)
        last = (found[-1].batch_id, found[-1].line, found[-1].id)


def _proposals(details: list[dict[str, Any]]) -> str | None:
    """ "column: proposal" of every reason that has one."""
    said = [
        f"{detail['column']}: {detail['proposal']}" if detail.get("column") else str(detail["proposal"])
        for detail in details
        if detail.get("proposal")
    ]
    return "; ".join(said) or None


def _as_text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else str(value)
