"""Where a report, or a territory's reports, stood at any past moment, and who had them then.

``geo/replay.py`` says which event counts: from its date, or from its recording where it has
none or one in the future; of those that count, the one that was told last. A past moment can
also be asked for as the store knew it then. Who is responsible, who does the work, the kind
and the limit are those of today's report, with every step taken in Rasd since undone (each
keeps what it replaced). Caveat: what a load corrected (a kind, an owner that a file names)
is corrected for the past as well, and ``report.recorded_at`` is not known of reports loaded
before it was kept: they count as always known.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
from sqlalchemy import Connection, text

from data.actions import Step
from data.life import BEFORE, Action
from data.vocabulary import Status
from geo.errors import InputError

#: From when an event counts; NULL dates are passed over by ``least``.
COUNTS_FROM = "least({0}.at, {0}.recorded_at)"
#: What may be replaced by a step, and its type.
_REPLACED = {
    "element_id": "smallint",
    "severity": "smallint",
    "agency_id": "integer",
    "contractor_id": "integer",
    "rule_id": "integer",
    "due_at": "timestamptz",
}
_EVER = dt.datetime.max.replace(tzinfo=dt.UTC)

#: What ``states`` gives of each report. ``seq`` 0: nothing told yet, the opening counts.
STATE_SCHEMA: dict[str, Any] = {
    "report_id": pl.Int64,
    "seq": pl.Int16,
    "status": pl.Int16,
    "since": pl.Datetime("us", "UTC"),
    "element_id": pl.Int16,
    "severity": pl.Int16,
    "agency_id": pl.Int32,
    "contractor_id": pl.Int32,
    "rule_id": pl.Int32,
    "due_at": pl.Datetime("us", "UTC"),
}


@dataclass(frozen=True, slots=True)
class State:
    """Where one report stood.

    Attributes
    ----------
    seq : of the event that says so; 0: only the opening.
    since : when that event happened (or was recorded), or the opening.
    """

    report_id: int
    seq: int
    status: Status
    since: dt.datetime
    element_id: int | None
    severity: int | None
    agency_id: int | None
    contractor_id: int | None
    rule_id: int | None
    due_at: dt.datetime | None


def states(
    conn: Connection,
    at: dt.datetime,
    *,
    territory_id: int | None = None,
    reports: Sequence[int] | None = None,
    known: dt.datetime | None = None,
) -> pl.DataFrame:
    """Every report that was open or done by ``at``, as STATE_SCHEMA, in order of id.

    Parameters
    ----------
    at : the moment, with its zone; reports that were opened later are left out.
    territory_id, reports : which reports; one of the two.
    known : leave out what the store learned later; everything it knows when left out.
    """
    if (territory_id is None) == (reports is None):
        raise InputError("A replay is of one territory or of some reports: name one of the two.")
    if at.tzinfo is None or (known is not None and known.tzinfo is None):
        raise InputError("A moment of a replay needs its time zone.")
    params = {"at": at, "known": known or _EVER, "territory": territory_id, "reports": reports}
    rows = conn.execute(text(_statement(reports is None)), params)
    return pl.DataFrame([tuple(row) for row in rows], schema=STATE_SCHEMA, orient="row")


def state(
    conn: Connection, report_id: int, at: dt.datetime, *, known: dt.datetime | None = None
) -> State | None:
    """Where one report stood; None when it was not opened yet, not known, or is not open to the user."""
    found = states(conn, at, reports=[report_id], known=known)
    if found.is_empty():
        return None
    row = found.row(0, named=True)
    return State(**(row | {"status": Status(row["status"])}))


def _statement(whole: bool) -> str:
    """Served by pk_report (some) or ix_report_opened (a territory), and pk_report_event, once a report."""
    counted = f"{COUNTS_FROM.format('c')} <= :at AND c.recorded_at <= :known"
    firsts = ", ".join(
        f"(array_agg(c.detail->'{BEFORE}'->'{name}' ORDER BY c.seq)"
        f" FILTER (WHERE jsonb_exists(c.detail->'{BEFORE}', '{name}')))[1] AS {name}"
        for name in _REPLACED
    )
    # A step that set a column to nothing before kept a JSON null: that is an answer, too.
    values = ", ".join(
        f"CASE WHEN b.{name} IS NULL THEN r.{name} ELSE CAST(b.{name} #>> '{{}}' AS {kind}) END AS {name}"
        for name, kind in _REPLACED.items()
    )
    chosen = "r.territory_id = :territory" if whole else "r.id = ANY(CAST(:reports AS bigint[]))"
    columns = ", ".join(STATE_SCHEMA)
    return f"""SELECT {columns} FROM (
      SELECT r.id AS report_id, coalesce(e.seq, 0) AS seq, coalesce(e.status, {int(Status.RECEIVED)}) AS status,
        coalesce(e.since, r.opened_at) AS since, {values}
      FROM report r
      LEFT JOIN LATERAL (
        SELECT c.seq, c.status, {COUNTS_FROM.format("c")} AS since FROM report_event c
        WHERE c.report_id = r.id AND {counted} ORDER BY c.seq DESC LIMIT 1) e ON true
      LEFT JOIN LATERAL (
        SELECT {firsts} FROM report_event c
        WHERE c.report_id = r.id AND c.batch_id IS NULL AND NOT ({counted})) b ON true
      WHERE {chosen} AND r.opened_at <= :at AND (r.recorded_at IS NULL OR r.recorded_at <= :known)
    ) s ORDER BY report_id"""


def standing_steps(steps: Sequence[Step]) -> tuple[Step, ...]:
    """Of a report's history (``data.actions.steps``) what still stands, in order, each step once.

    A history that a source tells late is told again from its first new step on: what was told
    before in another order is left out here, as it is wherever histories are counted. So is a
    bare status of which the next step of the same moment tells more.
    """
    kept: list[Step] = []
    earliest: dt.datetime | None = None
    for step in reversed(steps):
        moments = [moment for moment in (step.at, step.recorded_at) if moment is not None]
        counts = min(moments) if moments else None
        if step.seq and counts is not None:
            if earliest is not None and counts > earliest:
                continue
            after = kept[-1] if kept else None
            bare = step.action is Action.IMPORTED and not step.detail
            if step.detail.get("again") == 0:  # the opening, at the head of a retelling
                earliest = counts
                continue
            if bare and after is not None and (after.status, after.at) == (step.status, step.at):
                continue
            earliest = counts
        kept.append(step)
    return tuple(reversed(kept))


def find_report(conn: Connection, territory_id: int, reference: str) -> int:
    """Id of the report with this reference in a territory; InputError without one, or with several."""
    # Served by uq_report_source_id_reference, once a source of the territory.
    found = conn.execute(
        text(
            """SELECT r.id, s.code FROM source s JOIN report r ON r.source_id = s.id AND r.reference = :reference
               WHERE s.territory_id = :territory ORDER BY s.code"""
        ),
        {"territory": territory_id, "reference": reference},
    ).all()
    if len(found) != 1:
        said = "no report" if not found else "more than one report"
        sources = ", ".join(row.code for row in found)
        raise InputError(f"There is {said} {reference!r} in this territory. {sources}".strip())
    return int(found[0].id)
