"""Histories that a source tells: steps of reports it sent, put in order and appended.

``geo/retelling.py`` places new steps among those that are known; this module finds which are
new, writes them as events of the batch and brings the reports' own columns up to date. Steps
that life cannot take (``data.life.may_follow``) are kept and flagged. Caveats: an owner or
contractor that a history names counts only where nobody has acted on the report in Rasd, and
the store's table of events is locked for writing while a file is merged.
"""

from __future__ import annotations

import json
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sqlalchemy import Connection, text

from data.copying import copied_out, copy_frame
from data.history_steps import AGAIN, UNDATED_KEY, matched, prepared, told_again, told_new, with_index
from data.life import Action, may_follow
from data.vocabulary import FINAL, Flag, Status
from geo.replay import standing
from geo.retelling import UNDATED, Told, impossible, retell

Ints = NDArray[np.int64]

_DAY = 86_400_000_000
_EPOCH = "(extract(epoch FROM {}) * 1000000)::bigint"
_EVENT_SCHEMA: dict[str, Any] = {
    "report_id": pl.Int64,
    "seq": pl.Int64,
    "status": pl.Int64,
    "action": pl.Int64,
    "at": pl.Int64,
    "recorded_at": pl.Int64,
    "here": pl.Boolean,
    "actor_id": pl.Int32,
    "detail": pl.String,
}
_REPORT_SCHEMA: dict[str, Any] = {
    "id": pl.Int64,
    "status": pl.Int64,
    "status_at": pl.Int64,
    "opened_at": pl.Int64,
    "flags": pl.Int32,
    "agency_id": pl.Int32,
    "contractor_id": pl.Int32,
    "duplicate_of": pl.Int64,
}

#: (k, k) bool by status codes: whether the second may follow the first, as ``may_follow``.
FOLLOWS = np.array([[may_follow(a, b) for b in Status] for a in Status])


@dataclass(frozen=True, slots=True)
class HistoryCounts:
    """What came of a file's steps.

    Attributes
    ----------
    accepted, unchanged : steps that were new, and that were known or stand twice in the file.
    repeated : of ``unchanged``, those that stand twice.
    again : known steps that were told again behind a new one.
    moved : reports whose current status or its date changed.
    impossible : reports of this file with a step that life cannot take.
    circular : reports that repeat each other in a circle: their link was dropped.
    """

    accepted: int = 0
    unchanged: int = 0
    repeated: int = 0
    again: int = 0
    moved: int = 0
    impossible: int = 0
    circular: int = 0

    def __add__(self, other: HistoryCounts) -> HistoryCounts:
        """Of two parts of a file that share no report."""
        return HistoryCounts(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))


def known_reports(conn: Connection, source_id: int, references: pl.Series) -> pl.DataFrame:
    """Ids of a source's reports by reference: columns ``reference``, ``report_id``."""
    conn.execute(text('CREATE TEMP TABLE wanted (reference text COLLATE "C") ON COMMIT DROP'))
    copy_frame(conn, "wanted", pl.DataFrame({"reference": references}, schema={"reference": pl.String}))
    conn.execute(text("ANALYZE wanted"))
    # Served by uq_report_source_id_reference, or a hash join when much is wanted.
    found = copied_out(
        conn,
        """SELECT r.reference, r.id FROM wanted w
           JOIN report r ON r.source_id = %(source)s AND r.reference = w.reference""",
        {"source": source_id},
        {"reference": pl.String, "report_id": pl.Int64},
    )
    conn.execute(text("DROP TABLE wanted"))
    return found


def store_steps(conn: Connection, territory_id: int, batch_id: int, steps: pl.DataFrame) -> HistoryCounts:
    """Append the new ones of ``steps`` (HISTORY_SCHEMA); the territory's lock must be held."""
    if steps.is_empty():
        return HistoryCounts()
    merge = _Merge(conn, batch_id, steps)
    appended = merge.append()
    merge.write(appended)
    moved, odd = merge.bring_up_to_date(appended)
    circular = _settle_duplicates(conn, territory_id) if steps["of"].is_not_null().any() else 0
    return HistoryCounts(
        accepted=merge.accepted,
        unchanged=steps.height - merge.accepted,
        repeated=steps.height - merge.new.height,
        again=appended.height - merge.accepted,
        moved=moved,
        impossible=odd,
        circular=circular,
    )


class _Merge:
    """The steps of one file on their way into the histories of their reports."""

    def __init__(self, conn: Connection, batch_id: int, steps: pl.DataFrame) -> None:
        self.conn = conn
        self.batch_id = batch_id
        self.ids = np.unique(steps["report_id"].to_numpy())
        self._read()
        self.new = prepared(steps, self.ids)
        self.accepted = 0

    def _read(self) -> None:
        """The reports and their events; nobody adds any until the transaction ends."""
        conn = self.conn
        conn.execute(text("LOCK TABLE report_event IN SHARE ROW EXCLUSIVE MODE"))
        conn.execute(text("CREATE TEMP TABLE told (id bigint PRIMARY KEY) ON COMMIT DROP"))
        copy_frame(conn, "told", pl.DataFrame({"id": self.ids}))
        conn.execute(text("ANALYZE told"))
        # Both are served by the primary keys, or hash joins when much is told.
        times = ", ".join(_EPOCH.format(name) for name in ("status_at", "opened_at"))
        self.reports = copied_out(
            conn,
            f"""SELECT r.id, r.status, {times}, r.flags, r.agency_id, r.contractor_id, r.duplicate_of
                FROM told t JOIN report r ON r.id = t.id ORDER BY r.id""",
            {},
            _REPORT_SCHEMA,
        )
        times = ", ".join(_EPOCH.format(name) for name in ("e.at", "e.recorded_at"))
        events = copied_out(
            conn,
            f"""SELECT e.report_id, e.seq, e.status, e.action, {times}, e.batch_id IS NULL, e.actor_id,
                  e.detail::text FROM told t JOIN report_event e ON e.report_id = t.id""",
            {},
            _EVENT_SCHEMA,
        )
        conn.execute(text("DROP TABLE told"))
        self.now = int(conn.scalar(text(f"SELECT {_EPOCH.format('clock_timestamp()')}")) or 0)
        self.events = (
            with_index(events, self.ids)
            .sort("report", "seq")
            .with_columns(
                pl.min_horizontal("at", "recorded_at").alias("counts"),
                (
                    pl.col("at").is_null()
                    | pl.col("detail").str.contains(f'"{UNDATED_KEY}"').fill_null(False)
                ).alias("undated"),
            )
        )

    # -- what to append ---------------------------------------------------------------------

    def append(self) -> pl.DataFrame:
        """The events to append: report, seq, status, action, at, actor_id, detail, agency_id … ``fresh``."""
        stands = standing(self.events["report"].to_numpy(), self.events["counts"].to_numpy())
        known = self.events.filter(pl.Series(stands))
        same, covered = matched(known, self.new)
        told = Told(
            known["report"].to_numpy(),
            np.where(known["undated"].to_numpy(), UNDATED, known["counts"].to_numpy()),
            known["status"].to_numpy(),
        )
        new = Told(self.new["report"].to_numpy(), self.new["key"].to_numpy(), self.new["status"].to_numpy())
        found = retell(told, new, same, covered, FOLLOWS)
        self.accepted = int((found.new >= 0).sum())
        rows = pl.DataFrame(
            {"report": found.report, "known": found.known, "new": found.new, "before": found.before}
        ).with_row_index("order")
        repeats = rows.filter(pl.col("known") >= 0)
        added = rows.filter(pl.col("new") >= 0)
        opening = rows.filter((pl.col("known") < 0) & (pl.col("new") < 0))
        parts = [
            pl.concat(
                [repeats.select("order", "report"), told_again(known[repeats["known"].to_numpy()])],
                how="horizontal",
            ),
            pl.concat(
                [added.select("order", "report"), told_new(self.new[added["new"].to_numpy()])],
                how="horizontal",
            ),
            self._openings(opening),
        ]
        last = np.zeros(len(self.ids), dtype=np.int64)
        # Events are sorted, so a report's last one is written last.
        last[self.events["report"].to_numpy()] = self.events["seq"].to_numpy()
        out = pl.concat(parts, how="vertical_relaxed").sort("order")
        return out.with_columns(
            seq=pl.int_range(1, pl.len() + 1).over("report") + pl.Series(last[out["report"].to_numpy()])
        ).pipe(self._comments)

    def _openings(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The opening told again, before the first new step."""
        opened = self.reports["opened_at"].to_numpy()[rows["report"].to_numpy()]
        at = np.minimum(opened, rows["before"].to_numpy() - 1)
        return rows.select("order", "report").with_columns(
            status=pl.lit(int(Status.RECEIVED), pl.Int64),
            action=pl.lit(0, pl.Int64),
            at=pl.Series(at, dtype=pl.Int64),
            actor_id=pl.lit(None, pl.Int32),
            detail=pl.lit(json.dumps({AGAIN: 0})),
            agency_id=pl.lit(None, pl.Int32),
            contractor_id=pl.lit(None, pl.Int32),
            of=pl.lit(None, pl.Int64),
            fresh=pl.lit(False),
        )

    def _chain(self, appended: pl.DataFrame) -> pl.DataFrame:
        """All events of the reports that stand once ``appended`` is there, in order."""
        columns = ["report", "seq", "status", "action", "counts"]
        added = appended.with_columns(counts=pl.col("at").fill_null(self.now).clip(upper_bound=self.now))
        whole = pl.concat([self.events.select(columns), added.select(columns)], how="vertical_relaxed").sort(
            "report", "seq"
        )
        return whole.filter(pl.Series(standing(whole["report"].to_numpy(), whole["counts"].to_numpy())))

    def _comments(self, appended: pl.DataFrame) -> pl.DataFrame:
        """A comment leaves the report where it is: the status of the step before it."""
        comment = pl.col("action") == int(Action.COMMENT)
        if not appended.select(comment.any()).item():
            return appended
        chain = self._chain(appended).with_columns(
            pl.when(comment)
            .then(None)
            .otherwise(pl.col("status"))
            .forward_fill()
            .over("report")
            .alias("held")
        )
        held = appended.join(chain.select("report", "seq", "held"), on=["report", "seq"], how="left")["held"]
        held = held.fill_null(int(Status.RECEIVED))
        return appended.with_columns(status=pl.when(comment).then(held).otherwise(pl.col("status")))

    # -- writing ------------------------------------------------------------------------------

    def write(self, appended: pl.DataFrame) -> None:
        copy_frame(
            self.conn,
            "report_event",
            appended.select(
                pl.Series("report_id", self.ids[appended["report"].to_numpy()]),
                pl.col("seq").cast(pl.Int16),
                pl.col("status").cast(pl.Int16),
                pl.lit(self.batch_id, pl.Int32).alias("batch_id"),
                pl.col("at").cast(pl.Datetime("us", "UTC")),
                pl.col("action").cast(pl.Int16),
                "actor_id",
                "detail",
            ),
            jsonb=("detail",),
        )

    def bring_up_to_date(self, appended: pl.DataFrame) -> tuple[int, int]:
        """Write what the reports' own columns come to; returns (reports moved, reports impossible)."""
        touched = appended["report"].unique().sort()
        if touched.is_empty():
            return 0, 0
        chain = self._chain(appended)
        odd = self._odd(chain)
        last = appended.group_by("report", maintain_order=True).last().sort("report")
        here = self.events.filter("here")["report"].unique()
        owners = (
            appended.filter(pl.col("fresh") & ~pl.col("report").is_in(here.implode()))
            .group_by("report", maintain_order=True)
            .agg(pl.col("agency_id").drop_nulls().last(), pl.col("contractor_id").drop_nulls().last())
        )
        before = self.reports.with_row_index("report").with_columns(pl.col("report").cast(pl.Int64))
        rows = (
            last.select("report", "status", "action", "at", "of", "fresh")
            .join(before, on="report", suffix="_was")
            .join(owners, on="report", how="left", suffix="_told")
            .join(
                pl.DataFrame({"report": odd, "odd": True}, schema={"report": pl.Int64, "odd": pl.Boolean}),
                on="report",
                how="left",
            )
        )
        moves = pl.col("fresh") & (pl.col("action") != int(Action.COMMENT))
        moves &= (pl.col("status") != pl.col("status_was")) | pl.col("at").ne_missing(pl.col("status_at"))
        # A link stays while the report is a duplicate; another status ends it.
        linked = pl.when(pl.col("status") != int(Status.DUPLICATE)).then(None)
        flag = int(Flag.IMPOSSIBLE_SEQUENCE)
        flags = pl.col("flags")
        rows = rows.with_columns(
            moves=moves,
            link=pl.when(pl.col("fresh"))
            .then(linked.otherwise(pl.coalesce("of", "duplicate_of")))
            .otherwise(pl.col("duplicate_of")),
            agency=pl.coalesce("agency_id_told", "agency_id"),
            contractor=pl.coalesce("contractor_id_told", "contractor_id"),
            bits=pl.when(pl.col("odd").fill_null(False)).then(flags | flag).otherwise(flags & ~flag),
        )
        changed = rows.filter(
            pl.col("moves")
            | pl.col("link").ne_missing(pl.col("duplicate_of"))
            | pl.col("agency").ne_missing(pl.col("agency_id"))
            | pl.col("contractor").ne_missing(pl.col("contractor_id"))
            | (pl.col("bits") != flags)
        )
        self._update(changed)
        return int(rows["moves"].sum()), len(odd)

    def _odd(self, chain: pl.DataFrame) -> pl.Series:
        """Reports with a step that life cannot take, or more than a day before their opening."""
        report = chain["report"].to_numpy()
        opened = self.reports["opened_at"].to_numpy()[report]
        early = chain["counts"].to_numpy() < opened - _DAY
        wrong = impossible(report, chain["status"].to_numpy(), FOLLOWS) | early
        return pl.Series(np.unique(report[wrong]), dtype=pl.Int64)

    def _update(self, rows: pl.DataFrame) -> None:
        if rows.is_empty():
            return
        final = [int(status) for status in FINAL]
        at = pl.col("at").cast(pl.Datetime("us", "UTC"))
        frame = rows.select(
            pl.col("id"),
            pl.col("status").cast(pl.Int16),
            at,
            pl.when(pl.col("status").is_in(final)).then(at).alias("closed_at"),
            "moves",
            pl.col("agency").cast(pl.Int32),
            pl.col("contractor").cast(pl.Int32),
            pl.col("link").cast(pl.Int64),
            pl.col("bits").cast(pl.Int32),
        )
        self.conn.execute(
            text(
                """CREATE TEMP TABLE moved (id bigint, status smallint, at timestamptz, closed_at timestamptz,
                     moves boolean, agency integer, contractor integer, link bigint, bits integer)
                   ON COMMIT DROP"""
            )
        )
        copy_frame(self.conn, "moved", frame)
        self.conn.execute(text("ANALYZE moved"))
        # Served by pk_report, or a hash join when much moved.
        self.conn.execute(
            text(
                """UPDATE report r SET
                     status = CASE WHEN m.moves THEN m.status ELSE r.status END,
                     status_at = CASE WHEN m.moves THEN m.at ELSE r.status_at END,
                     closed_at = CASE WHEN m.moves THEN m.closed_at ELSE r.closed_at END,
                     agency_id = m.agency, contractor_id = m.contractor, duplicate_of = m.link, flags = m.bits
                   FROM moved m WHERE m.id = r.id"""
            )
        )
        self.conn.execute(text("DROP TABLE moved"))


def _settle_duplicates(conn: Connection, territory_id: int) -> int:
    """Links lead to reports that are no duplicates themselves; circles are dropped, and counted."""
    params = {"territory": territory_id}
    # All are served by ix_report_duplicate_of.
    for _ in range(20):
        moved = conn.execute(
            text(
                """UPDATE report r SET duplicate_of = p.duplicate_of FROM report p
                   WHERE r.territory_id = :territory AND p.id = r.duplicate_of
                     AND p.duplicate_of IS NOT NULL AND p.duplicate_of NOT IN (r.id, p.id)"""
            ),
            params,
        ).rowcount
        if not moved:
            break
    return int(
        conn.execute(
            text(
                """UPDATE report r SET duplicate_of = NULL FROM report p
                   WHERE r.territory_id = :territory AND p.id = r.duplicate_of AND p.duplicate_of IS NOT NULL"""
            ),
            params,
        ).rowcount
    )
