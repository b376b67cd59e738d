"""How the owners of reports do: share handled, time to answer, open, overdue, returned.

Counted by recorded owner (``report.agency_id``), rejected and duplicate reports left out. An
answer takes from the referral in Rasd, else from the opening, to the closing; what is open
still counts as lasting until the last day that the store knows of (Kaplan-Meier,
``geo/survival.py``). Reports per kilometre of works only where an owner tells its kilometres.
Caveat: owners differ in what they are given, so their times do not rank them.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl
from sqlalchemy import Connection, text

from data import parties
from data.analyses.misrouting import Named
from data.life import Action
from data.query import ReportQuery, territory_facts, where
from data.vocabulary import Status
from geo.errors import InputError
from geo.proportions import wilson
from geo.survival import kaplan_meier

_ASIDE = f"({int(Status.REJECTED)}, {int(Status.DUPLICATE)})"
_MONTH = re.compile(r"(\d{4})-(0[1-9]|1[0-2])(-\d{2})?")
MOST_KM = 1e6  # of one owner in one month


@dataclass(frozen=True, slots=True)
class Owner:
    """One owner's figures.

    Attributes
    ----------
    handled : closed reports; low, high : Wilson's 95 % interval of their share of ``received``.
    open : neither closed nor answered, referred ones included; overdue : of these, past their limit.
    returned : times that it gave a referred report back.
    median_days, p90_days : by when half and nine tenths were answered; None: not reached yet.
    median_low, median_high : 95 % limits of the median; None where they are not reached.
    km, per_km : kilometres of works in months of the period, and reports opened in those
        months a kilometre; None where none are told.
    """

    party: Named
    kind: str
    received: int
    handled: int
    low: float
    high: float
    open: int
    overdue: int
    returned: int
    median_days: float | None
    median_low: float | None
    median_high: float | None
    p90_days: float | None
    km: float | None
    per_km: float | None

    @property
    def share(self) -> float:
        return self.handled / self.received if self.received else 0.0


@dataclass(frozen=True, slots=True)
class Owners:
    """All owners of the kinds asked for, most reports first; ``until`` is the last moment known."""

    until: dt.datetime | None
    owners: tuple[Owner, ...]

    def frame(self) -> pl.DataFrame:
        """As a table for a file."""
        rows = []
        for one in self.owners:
            values = asdict(one) | {"share": one.share}
            party = values.pop("party")
            rows.append(
                {"code": party["code"], "name_ar": one.party.name_ar, "name_en": one.party.name_en} | values
            )
        return pl.DataFrame(rows, infer_schema_length=None)


def owners(
    conn: Connection, query: ReportQuery, *, kinds: Sequence[str] = ("department", "entity")
) -> Owners:
    """Figures of the owners of some kinds, over the reports that fit the query."""
    condition, params = where(conn, query)
    params |= {"kinds": list(kinds), "territory": query.territory_id}
    # Served by ix_report_opened or a scan; referrals made here by ix_report_event_recorded. Each
    # column comes as one byte string, so that no report becomes an object.
    row = conn.execute(
        text(
            f"""WITH referred AS MATERIALIZED (
                  SELECT report_id, max(at) AS at FROM report_event
                  WHERE batch_id IS NULL AND action = {int(Action.REFER)} GROUP BY report_id),
                own AS MATERIALIZED (
                  SELECT r.agency_id, coalesce(f.at, r.opened_at) AS began, r.opened_at, r.closed_at,
                    r.due_at, r.status_at, r.status
                  FROM report r JOIN party p ON p.id = r.agency_id AND p.kind = ANY(:kinds)
                  LEFT JOIN referred f ON f.report_id = r.id
                  WHERE {condition} AND r.status NOT IN {_ASIDE})
                SELECT (SELECT least(now(), max(greatest(opened_at, status_at))) FROM own) AS until,
                  string_agg(int8send(agency_id), ''::bytea) AS party,
                  string_agg(int8send((status = {int(Status.CLOSED)})::int), ''::bytea) AS closed,
                  string_agg(float8send(extract(epoch FROM began)), ''::bytea) AS began,
                  string_agg(float8send(coalesce(extract(epoch FROM closed_at), 'NaN')), ''::bytea) AS ended,
                  string_agg(float8send(coalesce(extract(epoch FROM due_at), 'NaN')), ''::bytea) AS due
                FROM own"""
        ),
        params,
    ).one()
    known = [p for p in parties.listed(conn, query.territory_id, kinds=kinds) if p.active]
    if row.party is None:
        return Owners(None, ())
    until = row.until.timestamp()
    party = np.frombuffer(row.party, ">i8").astype(np.int64)
    closed = np.frombuffer(row.closed, ">i8").astype(bool)
    began, ended, due = (np.frombuffer(data, ">f8").astype(float) for data in (row.began, row.ended, row.due))
    ids = np.array(sorted(p.id for p in known), dtype=np.int64)
    of = np.minimum(np.searchsorted(ids, party), max(len(ids) - 1, 0))
    kept = ids[of] == party if len(ids) else np.zeros(len(party), bool)
    party, closed, began, ended, due, of = (each[kept] for each in (party, closed, began, ended, due, of))
    late = ~closed & (due < until)
    survival = kaplan_meier(np.where(closed, ended, until) - began, closed, of, max(len(ids), 1))
    counted = {
        "received": np.bincount(of, minlength=len(ids)),
        "handled": np.bincount(of[closed], minlength=len(ids)),
        "overdue": np.bincount(of[late], minlength=len(ids)),
    }
    returned = _returned(conn, condition, params)
    works = _works(conn, query, condition, params)
    by_id = {p.id: p for p in known}
    found = [
        _owner(by_id[int(each)], i, counted, survival, returned.get(int(each), 0), works.get(int(each)))
        for i, each in enumerate(ids)
        if counted["received"][i]
    ]
    return Owners(row.until, tuple(sorted(found, key=lambda one: (-one.received, one.party.code))))


def _owner(
    party: parties.PartyInfo,
    at: int,
    counted: dict[str, Any],
    survival: Any,
    returned: int,
    works: tuple[float, int] | None,
) -> Owner:
    received, handled = int(counted["received"][at]), int(counted["handled"][at])
    low, high = wilson(handled, received)
    days = [
        None if math.isnan(seconds) else float(seconds) / 86400
        for seconds in (
            survival.reached[at, 0], survival.low[at, 0], survival.high[at, 0], survival.reached[at, 1],
        )
    ]  # fmt: skip
    km, reports = works or (None, 0)
    return Owner(
        party=Named(party.id, party.code, party.name_ar, party.name_en),
        kind=party.kind,
        received=received,
        handled=handled,
        low=float(low),
        high=float(high),
        open=received - handled,
        overdue=int(counted["overdue"][at]),
        returned=returned,
        median_days=days[0],
        median_low=days[1],
        median_high=days[2],
        p90_days=days[3],
        km=km,
        per_km=reports / km if km else None,
    )


def _returned(conn: Connection, condition: str, params: dict[str, Any]) -> dict[int, int]:
    """How often each party gave a report back: the party of the referral before."""
    # Served by ix_report_event_recorded, then pk_report_event and pk_report.
    rows = conn.execute(
        text(
            f"""SELECT (f.detail->>'agency_id')::integer AS party, count(*) AS times
                FROM report_event b JOIN report r ON r.id = b.report_id
                CROSS JOIN LATERAL (SELECT detail FROM report_event f
                  WHERE f.report_id = b.report_id AND f.seq < b.seq AND f.action = {int(Action.REFER)}
                  ORDER BY f.seq DESC LIMIT 1) f
                WHERE b.batch_id IS NULL AND b.action = {int(Action.RETURN)} AND {condition} GROUP BY 1"""
        ),
        params,
    )
    return {row.party: row.times for row in rows}


def _works(
    conn: Connection, query: ReportQuery, condition: str, params: dict[str, Any]
) -> dict[int, tuple[float, int]]:
    """By party: kilometres in the months of the period, and reports opened in those months."""
    zone = territory_facts(conn, query.territory_id).timezone
    # Served by pk_party_works, then a scan of the reports of the parties that tell works.
    rows = conn.execute(
        text(
            f"""WITH told AS (SELECT w.party_id, w.month, w.km FROM party_works w JOIN party p ON p.id = w.party_id
                  WHERE p.territory_id = :territory AND p.kind = ANY(:kinds) AND w.km > 0
                    AND (CAST(:first AS date) IS NULL OR w.month >= date_trunc('month', CAST(:first AS date)))
                    AND (CAST(:last AS date) IS NULL OR w.month <= :last)),
                came AS (SELECT r.agency_id, CAST(date_trunc('month', r.opened_at AT TIME ZONE :zone) AS date)
                    AS month, count(*) AS reports
                  FROM report r WHERE {condition} AND r.status NOT IN {_ASIDE}
                    AND r.agency_id IN (SELECT party_id FROM told) GROUP BY 1, 2)
                SELECT t.party_id, sum(t.km) AS km, coalesce(sum(c.reports), 0)::bigint AS reports
                FROM told t LEFT JOIN came c ON c.agency_id = t.party_id AND c.month = t.month GROUP BY 1"""
        ),
        params | {"zone": zone, "first": query.start, "last": query.end},
    )
    return {row.party_id: (float(row.km), int(row.reports)) for row in rows}


def load_works(conn: Connection, territory_id: int, content: bytes, name: str = "works.csv") -> int:
    """Kilometres of works from a CSV (party, month, km); a month again replaces it. Returns rows.

    Raises
    ------
    InputError : all faulty rows, with their line and what is wrong.
    """
    try:
        rows = list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"))))
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{name} is no CSV in UTF-8: {error}.") from None
    if not rows or not {"party", "month", "km"} <= set(rows[0]):
        raise InputError(f"{name}: the columns party, month and km are needed, and a row at least.")
    ids = {p.code: p.id for p in parties.listed(conn, territory_id)}
    faults, values = [], {}
    for line, row in enumerate(rows, 2):
        code, month = str(row["party"] or "").strip(), _MONTH.fullmatch(str(row["month"] or "").strip())
        km = _number(row["km"])
        if code not in ids:
            faults.append(f"line {line}: there is no party {code!r} here")
        if month is None:
            faults.append(f"line {line}: the month {row['month']!r} is not like 2026-03")
        if km is None:
            faults.append(f"line {line}: {row['km']!r} is no length in km between 0 and {MOST_KM:,.0f}")
        if code in ids and month is not None and km is not None:
            values[ids[code], dt.date(int(month[1]), int(month[2]), 1)] = km
    if faults:
        more = f"; and {len(faults) - 10} more" if len(faults) > 10 else ""
        raise InputError(f"{name} was not loaded: {'; '.join(faults[:10])}{more}.")
    conn.execute(
        text(
            """INSERT INTO party_works (party_id, month, km) VALUES (:party, :month, :km)
               ON CONFLICT (party_id, month) DO UPDATE SET km = excluded.km"""
        ),
        [{"party": party, "month": month, "km": km} for (party, month), km in values.items()],
    )
    return len(values)


def _number(value: Any) -> float | None:
    try:
        number = float(str(value).strip())
    except ValueError:
        return None
    return number if math.isfinite(number) and 0 <= number <= MOST_KM else None
