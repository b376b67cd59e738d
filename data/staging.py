"""One batch on its way into the store: how it is loaded, staging by binary COPY, the merge.

Everything of a batch happens in one transaction, so a crash at any moment leaves no half
of it. Rows that the store holds already, just as they are, are only counted. Others are
COPYed into a temporary table and merged under the territory's lock. A first load that
outgrows the table goes straight into ``report`` without its indexes; ``stage`` is then a
view of the batch's own rows, so that one merge serves both ways.

The order of the merge is: duplicates inside the file, known reports, default points,
new reports, changed reports, history, quarantine. Read = accepted + updated + unchanged
+ quarantined holds at the end, and the table's own check enforces it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from sqlalchemy import Connection, text

from data import bulk, parties, territories
from data.copying import copy_frame, points, report_ids
from data.default_points import flag_default_points
from data.impossible import PAIRS
from data.known import KnownReports, known_reports
from data.repeats import settle_repeats, settle_twins
from data.source_types import SourceTypes, TypeEntry
from data.tally import Tally
from data.vocabulary import Flag, Status

# A batch that brings at least this many new reports, and more than the table holds, loads
# without indexes and builds them anew (docs/architecture.md, "Loading").
BULK_ROWS = 200_000
# The contents of all reports of a source are read beforehand if the file has at least this share of them.
KNOWN_SHARE = 0.1

# What a report takes from staging, in both INSERT and UPDATE.
_COPIED = (
    "status", "channel", "flags", "precision", "severity", "region_id", "amana_id", "governorate_id",
    "municipality_id", "district_id", "opened_at", "closed_at", "due_at", "status_at", "cell", "quantity",
    "unit", "agency", "contractor", "notes", "content", "line", "element_id", "type_id", "reporter",
    "geom", "agency_id", "contractor_id",
)  # fmt: skip
# In staging a party is the number of its wording; the merge knows which party that is.
_PARTIES = {f"{name}_id": f"(CAST(:{name}_ids AS integer[]))[s.{name}_id]" for name in parties.COLUMNS}


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """How a file is loaded.

    Attributes
    ----------
    rebuild : statements that build the indexes again; empty unless rows go straight into ``report``.
    known : reports whose rows are passed over when they come again unchanged; none where
        that is not worth knowing.
    watched : references of the source's quarantined rows: a row that has one settles them,
        so it is never passed over.
    """

    rebuild: tuple[str, ...] = ()
    known: KnownReports = field(default_factory=KnownReports.none)
    watched: tuple[str, ...] = ()

    @property
    def direct(self) -> bool:
        return bool(self.rebuild)


@dataclass(frozen=True, slots=True)
class MergeCounts:
    """What the merge did with the batch's rows."""

    accepted: int
    updated: int
    unchanged: int
    quarantined: int
    duplicate_rows: int  # rows of the file that repeat another row's key
    stale: int  # rows older than what the store holds: left alone, counted as unchanged
    default_point_reports: int
    earlier: int = 0  # reports of earlier batches that changed: their element, or a default point


def plan_load(
    conn: Connection,
    *,
    territory_id: int,
    source_id: int,
    expected_rows: int,
    content_is_key: bool,
    may_lock: bool = True,
) -> LoadPlan:
    """Decide how to load a file; the caller holds its source's row (find_or_create_source).

    Parameters
    ----------
    expected_rows : estimate of the file's rows.
    content_is_key : whether equal contents mean equal references.
    may_lock : whether a first load may take ``report`` for itself.
    """
    params = {"source": source_id}
    # Served by ix_quarantine_batch_id.
    watched = tuple(
        conn.execute(
            text(
                """SELECT DISTINCT q.reference FROM quarantine q JOIN batch b ON b.id = q.batch_id
                   WHERE b.source_id = :source AND q.resolved_by IS NULL AND q.reference IS NOT NULL"""
            ),
            params,
        ).scalars()
    )
    # Served by uq_report_source_id_reference.
    if not conn.scalar(text("SELECT EXISTS (SELECT FROM report WHERE source_id = :source)"), params):
        held = conn.scalar(
            text("SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = 'report'::regclass")
        )
        if not may_lock or expected_rows < BULK_ROWS or expected_rows < int(held or 0):
            return LoadPlan(watched=watched)
        # First the territory, as every load does; `report` is taken only if it is free.
        territories.lock_territory(conn, territory_id)
        return LoadPlan(rebuild=tuple(bulk.drop_all_indexes(conn)), watched=watched)
    accepted = conn.scalar(text("SELECT sum(accepted) FROM batch WHERE source_id = :source"), params)
    if not content_is_key or expected_rows < KNOWN_SHARE * int(accepted or 0):
        return LoadPlan(watched=watched)
    return LoadPlan(known=known_reports(conn, source_id, watched), watched=watched)


class Stage:
    """The staging area of one batch; lives as long as its transaction."""

    def __init__(
        self, conn: Connection, plan: LoadPlan, *, batch_id: int, source_id: int, territory_id: int
    ) -> None:
        self.conn = conn
        self.plan = plan
        self.batch_id = batch_id
        self.source_id = source_id
        self.territory_id = territory_id
        self.refused = 0
        self._seen = 0
        self.types = SourceTypes(conn, source_id)
        self.wordings = parties.Wordings(conn, territory_id)
        self.tally = Tally()
        if plan.direct:
            # Written through by the merge; dropped at its end.
            self._run(
                f"""CREATE TEMP VIEW stage AS SELECT id, reference, content, line, status, status_at, flags,
                      notes, type_id, cell, geom FROM report WHERE batch_id = {int(batch_id)}"""
            )
        else:
            # Every staged row draws an id; those that turn out not to be new waste theirs.
            self._run(
                f"""CREATE TEMP TABLE stage ON COMMIT DROP AS
                    SELECT id, reference, {", ".join(_COPIED)} FROM report WITH NO DATA"""
            )
            self._run(
                """ALTER TABLE stage ALTER COLUMN id
                   SET DEFAULT nextval(pg_get_serial_sequence('report', 'id'))"""
            )
        self._run(
            """CREATE TEMP TABLE stage_refused (line integer, reference text, digest bigint,
                 reasons text[], details jsonb, row jsonb) ON COMMIT DROP"""
        )

    @property
    def rows(self) -> int:
        """Rows seen so far, those that nothing is written of included."""
        return self._seen or self.tally.staged.count + self.tally.known.count + self.refused

    def _run(self, sql: str, **params: Any) -> Any:
        return self.conn.execute(text(sql), params)

    def write(
        self,
        rows: pl.DataFrame,
        known: pl.DataFrame,
        raw: pl.DataFrame,
        refused: pl.DataFrame,
        types: Iterable[TypeEntry],
    ) -> None:
        """Add a chunk.

        Parameters
        ----------
        rows : STAGE_SCHEMA, rows that are new or changed
        known : KNOWN_SCHEMA, rows of the plan's known reports
        raw : RAW_SCHEMA, the landed form of ``rows`` in blocks
        refused : QUARANTINE_SCHEMA
        types : types that no earlier chunk had
        """
        self.types.learn(types)
        self.tally.add_staged(rows)
        self.tally.add_known(known)
        self.tally.add_refused(refused["reference"])
        self.refused += refused.height
        numbers = rows["type_no"]
        ready = rows.drop("lon", "lat", "type_no").with_columns(
            self.types.ids(numbers),
            self.types.elements(numbers),
            points(rows["lon"], rows["lat"]),
            *(self.wordings.numbers(rows[name], name) for name in parties.COLUMNS),
        )
        if self.plan.direct:
            self._write_reports(ready)
        else:
            copy_frame(self.conn, "stage", ready, jsonb=("notes",))
        copy_frame(self.conn, "report_raw", raw)
        copy_frame(self.conn, "stage_refused", refused, jsonb=("details", "row"))

    def _write_reports(self, rows: pl.DataFrame) -> None:
        batch = pl.lit(self.batch_id, pl.Int32).alias("batch_id")
        # The plan holds the territory's lock since before the first row.
        reports = rows.with_columns(
            *(self.wordings.ids(rows[f"{name}_id"], name) for name in parties.COLUMNS),
            pl.Series("id", report_ids(self.conn, rows.height)),
            pl.lit(self.territory_id, pl.Int16).alias("territory_id"),
            pl.lit(self.source_id, pl.Int16).alias("source_id"),
            batch,
        )
        copy_frame(self.conn, "report", reports, jsonb=("notes",))
        # The history begins with the opening, which the report itself holds; an event says
        # where the report stands now.
        events = reports.filter(pl.col("status") != int(Status.RECEIVED)).select(
            pl.col("id").alias("report_id"),
            pl.lit(1, pl.Int16).alias("seq"),
            "status",
            batch,
            pl.col("status_at").alias("at"),
        )
        copy_frame(self.conn, "report_event", events)

    # -- the merge, in its order ------------------------------------------------------

    def merge(self, *, digest_keys: bool) -> MergeCounts:
        """Bring the staged rows into ``report``; the territory's lock must be held.

        ``digest_keys`` says that references are digests of the identifying columns: rows
        that share one but differ are then different reports, numbered in file order.
        """
        if not self.plan.direct:
            # Temporary tables have no statistics of their own making.
            self._run("ANALYZE stage (reference, type_id, status, line)")
        tally = self.tally
        repeats = settle_repeats(self.conn, tally.repeated_lines(), digest_keys=digest_keys)
        twins = settle_twins(self.conn, self.source_id, tally.twins(), repeats)
        taken_out = len(repeats.taken) + len(twins.taken)
        if self.plan.direct and taken_out:
            self._run(
                "DELETE FROM report_event WHERE report_id = ANY(CAST(:ids AS bigint[])) AND batch_id = :batch",
                batch=self.batch_id,
                ids=[row.id for row in repeats.taken],
            )
        earlier = self.types.reach_reports()
        known, same, stale = (0, 0, 0) if self.plan.direct else self._match()
        flagged = flag_default_points(
            self.conn,
            territory_id=self.territory_id,
            source_id=self.source_id,
            batch_id=self.batch_id,
            tally=tally,
            without=np.array([row.cell or 0 for row in (*repeats.taken, *twins.taken)], dtype=np.int64),
        )
        kept = tally.staged.count - taken_out
        new = kept - known
        if self.plan.direct:
            for statement in self.plan.rebuild:
                self._run(statement)
        elif new:
            self._insert(new, only_new="true" if not known else _NOT_KNOWN)
        updated = known - same - stale
        if updated:
            self._update()
        if same + stale + taken_out and not self.plan.direct:
            self._forget_unused_raw()
        self._quarantine()
        if self.plan.direct:
            self._run("DROP VIEW stage")
        repeated, passed = tally.known_repeats(), tally.known.count
        self._seen, self.tally = self.rows, Tally()  # its memory is wanted for what follows
        return MergeCounts(
            accepted=new,
            updated=updated,
            unchanged=same + stale + taken_out + passed,
            quarantined=self.refused,
            duplicate_rows=taken_out + twins.won + repeated,
            stale=stale,
            default_point_reports=flagged.batch,
            earlier=earlier + flagged.earlier,
        )

    def _match(self) -> tuple[int, int, int]:
        """Find staged rows whose report is known. Returns (known, same content, stale)."""
        # Served by uq_report_source_id_reference, or a hash join when much is staged.
        self._run(
            """CREATE TEMP TABLE match ON COMMIT DROP AS
               SELECT s.id AS stage_id, s.line, r.id AS report_id, r.content = s.content AS same,
                      coalesce(s.status_at < r.status_at, false)
                        OR coalesce(b.id > o.first AND b.file_digest <> o.digest, false) AS stale
               FROM stage s JOIN report r ON r.source_id = :source AND r.reference = s.reference
               JOIN batch b ON b.id = r.batch_id
               -- The same file was read before, and another file has told more since: what it
               -- says is old, also where the rows carry no date that would tell.
               CROSS JOIN (SELECT own.file_digest AS digest, min(e.id) AS first
                           FROM batch own LEFT JOIN batch e ON e.id < own.id AND e.source_id = own.source_id
                             AND e.profile = own.profile AND e.file_digest = own.file_digest
                           WHERE own.id = :batch GROUP BY own.file_digest) o""",
            source=self.source_id,
            batch=self.batch_id,
        )
        self._run("ANALYZE match")
        row = self._run(
            """SELECT count(*) AS known, count(*) FILTER (WHERE same) AS same,
                      count(*) FILTER (WHERE stale AND NOT same) AS stale FROM match"""
        ).one()
        return row.known, row.same, row.stale

    def _insert(self, new: int, only_new: str) -> None:
        held = self.conn.scalar(
            text("SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = 'report'::regclass")
        )
        indexes = bulk.drop_indexes(self.conn) if new >= BULK_ROWS and new > int(held or 0) else []
        columns = ", ".join(_COPIED)
        values = ", ".join(_PARTIES.get(name, f"s.{name}") for name in _COPIED)
        self._run(
            f"""INSERT INTO report (id, territory_id, source_id, reference, batch_id, {columns})
                SELECT s.id, :territory, :source, s.reference, :batch, {values}
                FROM stage s WHERE {only_new}""",
            territory=self.territory_id,
            source=self.source_id,
            batch=self.batch_id,
            **self._party_ids(),
        )
        # As in _write_reports.
        self._run(
            f"""INSERT INTO report_event (report_id, seq, status, batch_id, at)
                SELECT s.id, 1, s.status, :batch, s.status_at FROM stage s
                WHERE s.status <> :received AND {only_new}""",
            batch=self.batch_id,
            received=int(Status.RECEIVED),
        )
        for statement in indexes:
            self._run(statement)

    def _party_ids(self) -> dict[str, list[int]]:
        """Parties by the number of their wording, as _PARTIES reads them."""
        return {f"{name}_ids": self.wordings.settle(name) for name in parties.COLUMNS}

    def _update(self) -> None:
        columns = ", ".join(f"{name} = s.{name}" for name in _COPIED if name not in ("flags", *_PARTIES))
        # Who is responsible may have been decided here since; only a source that changes its
        # mind decides anew.
        for name in parties.COLUMNS:
            columns += f""", {name}_id = CASE WHEN s.{name} IS DISTINCT FROM r.{name} OR r.{name}_id IS NULL
                     THEN {_PARTIES[f"{name}_id"]} ELSE r.{name}_id END"""
        # A default point found earlier stays flagged, and so does a history that cannot be; the
        # conflict of an earlier file does not.
        self._run(
            """INSERT INTO report_event (report_id, seq, status, batch_id, at)
                SELECT r.id, coalesce((SELECT max(seq) FROM report_event e WHERE e.report_id = r.id), 0) + 1,
                       s.status, :batch, s.status_at
                FROM match m JOIN stage s ON s.id = m.stage_id JOIN report r ON r.id = m.report_id
                WHERE NOT m.same AND NOT m.stale AND (r.status <> s.status
                      OR r.status_at IS DISTINCT FROM s.status_at)""",
            batch=self.batch_id,
        )
        self._run(
            f"""UPDATE report r SET {columns}, flags = s.flags | (r.flags & :kept) | CASE WHEN
                    r.status * 100 + s.status = ANY(CAST(:impossible AS integer[])) THEN :odd ELSE 0 END,
                  batch_id = :batch
                FROM match m JOIN stage s ON s.id = m.stage_id
                WHERE r.id = m.report_id AND NOT m.same AND NOT m.stale""",
            batch=self.batch_id,
            kept=int(Flag.DEFAULT_POINT | Flag.IMPOSSIBLE_SEQUENCE),
            impossible=PAIRS,
            odd=int(Flag.IMPOSSIBLE_SEQUENCE),
            **self._party_ids(),
        )

    def _forget_unused_raw(self) -> None:
        """Blocks of landed rows in which no row changed anything are not kept a second time."""
        # Which block a line is in: a binary search in the array of the blocks' first lines.
        self._run(
            """WITH blocks AS (SELECT array_agg(first_line ORDER BY first_line) AS first
                               FROM report_raw WHERE batch_id = :batch),
                 used AS (SELECT DISTINCT first[width_bucket(s.line, first)] AS first_line
                          FROM blocks, stage s LEFT JOIN match m ON m.stage_id = s.id
                          WHERE m.stage_id IS NULL OR NOT (m.same OR m.stale))
               DELETE FROM report_raw w WHERE w.batch_id = :batch
                 AND w.first_line NOT IN (SELECT first_line FROM used WHERE first_line IS NOT NULL)""",
            batch=self.batch_id,
        )

    def _quarantine(self) -> None:
        """Keep refused rows once: the same row refused again moves to this batch."""
        if self.refused:
            self._run(
                """DELETE FROM quarantine q USING batch b
                   WHERE b.id = q.batch_id AND b.source_id = :source AND q.resolved_by IS NULL
                     AND q.digest IN (SELECT digest FROM stage_refused)""",
                source=self.source_id,
            )
            self._run(
                """INSERT INTO quarantine (batch_id, line, reference, digest, reasons, details, row)
                   SELECT :batch, line, reference, digest, reasons, details, row
                   FROM stage_refused ORDER BY line""",
                batch=self.batch_id,
            )
        # A row that came again and was taken is settled, whether it was written or known.
        arrived = self.tally.arrived([*self.plan.watched, *self.tally.refused])
        if arrived:
            self._run(
                """UPDATE quarantine q SET resolved_by = :batch FROM batch b
                   WHERE q.resolved_by IS NULL AND b.id = q.batch_id AND b.source_id = :source
                     AND q.reference = ANY(:arrived)""",
                batch=self.batch_id,
                source=self.source_id,
                arrived=arrived,
            )


_NOT_KNOWN = "NOT EXISTS (SELECT FROM match m WHERE m.stage_id = s.id)"
