"""Steps that life cannot take, in histories that sources told: kept, flagged, and listed here.

Of each report the history that stands is read (``geo.replay.standing``); a step is impossible
where it cannot follow the one before it (``data.life.may_follow``: treated after closed
without a reopening), or lies more than a day before the opening. Caveat: only reports that
carry the flag are read; the ingest sets and clears it whenever it adds to a history.
"""

from __future__ import annotations

import contextlib
import datetime as dt
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl
from sqlalchemy import Connection, text

from data.histories import FOLLOWS
from data.replay import COUNTS_FROM
from data.sheets import CsvSheet, XlsxSheet
from data.vocabulary import Flag, Status
from geo.errors import InputError

#: Pairs of status codes that cannot follow each other, as ``before * 100 + after``.
PAIRS = [
    int(before) * 100 + int(after) for before in Status for after in Status if not FOLLOWS[before, after]
]
_SHEET: dict[str, Any] = {
    "territory": pl.String,
    "source": pl.String,
    "reference": pl.String,
    "kind": pl.String,
    "before": pl.String,
    "status": pl.String,
    "at": pl.String,
    "seq": pl.Int64,
    "file": pl.String,
}


@dataclass(frozen=True, slots=True)
class ImpossibleStep:
    """One step.

    Attributes
    ----------
    kind : ``order`` (cannot follow ``before``) or ``early`` (before the opening).
    at : when it counts from. seq : of the event. file : that brought it.
    """

    territory: str
    source: str
    reference: str
    report_id: int
    kind: str
    before: Status
    status: Status
    at: dt.datetime
    seq: int
    file: str | None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, statuses by name."""
        names = {"before": self.before.name.lower(), "status": self.status.name.lower()}
        return asdict(self) | names | {"at": self.at.isoformat()}


def impossible_steps(
    conn: Connection, territory_id: int | None = None, limit: int = 1000
) -> list[ImpossibleStep]:
    """Impossible steps of a territory, or of all, by report and in order; at most ``limit``."""
    # A scan of `report` for the flag (few have it), then pk_report_event, once a report.
    rows = conn.execute(
        text(
            f"""WITH odd AS (SELECT r.id, r.opened_at, r.reference, r.source_id FROM report r
                  WHERE r.flags & :flag <> 0
                    AND (CAST(:territory AS smallint) IS NULL OR r.territory_id = :territory)),
                told AS (SELECT e.report_id, e.seq, e.status, e.batch_id, {COUNTS_FROM.format("e")} AS at,
                    min({COUNTS_FROM.format("e")}) OVER (PARTITION BY e.report_id ORDER BY e.seq
                      ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING) AS earliest_after
                  FROM odd JOIN report_event e ON e.report_id = odd.id),
                chain AS (SELECT *, lag(status) OVER (PARTITION BY report_id ORDER BY seq) AS before FROM told
                  WHERE earliest_after IS NULL OR at <= earliest_after)
                SELECT t.code AS territory, s.code AS source, odd.reference, odd.id AS report_id,
                  CASE WHEN c.before * 100 + c.status = ANY(:pairs) THEN 'order' ELSE 'early' END AS kind,
                  coalesce(c.before, {int(Status.RECEIVED)}) AS before, c.status, c.at, c.seq, b.file_name AS file
                FROM chain c JOIN odd ON odd.id = c.report_id JOIN source s ON s.id = odd.source_id
                JOIN territory t ON t.id = s.territory_id LEFT JOIN batch b ON b.id = c.batch_id
                WHERE c.before * 100 + c.status = ANY(:pairs) OR c.at < odd.opened_at - interval '1 day'
                ORDER BY t.code, odd.reference, c.seq LIMIT :limit"""
        ),
        {"flag": int(Flag.IMPOSSIBLE_SEQUENCE), "territory": territory_id, "pairs": PAIRS, "limit": limit},
    )
    return [
        ImpossibleStep(**(dict(row._mapping) | {"before": Status(row.before), "status": Status(row.status)}))
        for row in rows
    ]


def count_reports(conn: Connection) -> int:
    """Reports of the store with a step that life cannot take."""
    # A scan of `report`.
    found = conn.scalar(
        text("SELECT count(*) FROM report WHERE flags & :flag <> 0"), {"flag": int(Flag.IMPOSSIBLE_SEQUENCE)}
    )
    return int(found or 0)


def write_steps(conn: Connection, path: Path, territory_id: int | None = None) -> int:
    """Write all impossible steps to a .csv or .xlsx file; returns how many.

    Raises
    ------
    InputError : the file's ending is neither, or its folder does not exist.
    """
    if path.suffix.lower() not in (".csv", ".xlsx"):
        raise InputError(f"{path.name}: impossible steps are written to a .csv or .xlsx file.")
    if not path.parent.is_dir():
        raise InputError(f"There is no folder {path.parent}; make it first.")
    found = [step.to_dict() for step in impossible_steps(conn, territory_id, limit=1_000_000)]
    frame = pl.DataFrame(found, schema=_SHEET).select(_SHEET.keys())
    with contextlib.ExitStack() as stack:
        if path.suffix.lower() == ".csv":
            stack.enter_context(CsvSheet(stack.enter_context(path.open("wb")))).write(frame)
        else:
            stack.enter_context(XlsxSheet(path, "histories")).write(frame)
    return len(found)
