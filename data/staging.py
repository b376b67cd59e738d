"""One batch on its way into the store: staging tables, binary COPY, and the merge.

Everything of a batch happens in one transaction, so a crash at any moment leaves no half
of it. Narrow rows are COPYed into a temporary table, landed rows straight into
``report_raw``; then one merge, under the territory's lock, tells new, changed and
unchanged reports apart. Arrow batches become PostgreSQL's binary format in Rust (pgpq).

The order of the merge is: duplicates inside the file, known reports, default points,
new reports, changed reports, history, quarantine. Read = accepted + updated + unchanged
+ quarantined holds at the end, and the table's own check enforces it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pgpq
import polars as pl
import psycopg
from pgpq import encoders
from pgpq.schema import Jsonb
from sqlalchemy import Connection, Engine, NullPool, create_engine, text

from data import bulk
from data.vocabulary import Flag, Status
from geo.errors import StoreError

# Name, polars type, PostgreSQL type: the shape that ingest/ hands over.
STAGE_COLUMNS: tuple[tuple[str, Any, str], ...] = (
    ("line", pl.Int32, "integer"),
    ("reference", pl.String, "text"),
    ("content", pl.Int64, "bigint"),
    ("type_no", pl.Int32, "integer"),
    ("status", pl.Int16, "smallint"),
    ("channel", pl.Int16, "smallint"),
    ("flags", pl.Int32, "integer"),
    ("precision", pl.Int16, "smallint"),
    ("severity", pl.Int16, "smallint"),
    ("region_id", pl.Int32, "integer"),
    ("amana_id", pl.Int32, "integer"),
    ("governorate_id", pl.Int32, "integer"),
    ("municipality_id", pl.Int32, "integer"),
    ("district_id", pl.Int32, "integer"),
    ("opened_at", pl.Datetime("us", "UTC"), "timestamptz"),
    ("closed_at", pl.Datetime("us", "UTC"), "timestamptz"),
    ("due_at", pl.Datetime("us", "UTC"), "timestamptz"),
    ("status_at", pl.Datetime("us", "UTC"), "timestamptz"),
    ("lon", pl.Float64, "double precision"),
    ("lat", pl.Float64, "double precision"),
    ("cell", pl.Int64, "bigint"),
    ("quantity", pl.Float64, "double precision"),
    ("unit", pl.String, "text"),
    ("agency", pl.String, "text"),
    ("contractor", pl.String, "text"),
    ("notes", pl.String, "jsonb"),
)
STAGE_SCHEMA: dict[str, Any] = {name: kind for name, kind, _ in STAGE_COLUMNS}
RAW_SCHEMA: dict[str, Any] = {
    "batch_id": pl.Int32,
    "first_line": pl.Int32,
    "last_line": pl.Int32,
    "lines": pl.List(pl.Int32),
    "rows": pl.String,
}
QUARANTINE_SCHEMA: dict[str, Any] = {
    "line": pl.Int32,
    "reference": pl.String,
    "digest": pl.Int64,
    "reasons": pl.List(pl.String),
    "details": pl.String,
    "row": pl.String,
}

# A batch that brings at least this many new reports, and more than the table holds, drops
# the secondary indexes of `report` for the load and builds them anew: about three times
# faster than keeping them (docs/architecture.md, "Loading").
BULK_ROWS = 200_000

# What a report takes from staging, in both INSERT and UPDATE.
_COPIED = (
    "status", "channel", "flags", "precision", "severity", "region_id", "amana_id", "governorate_id",
    "municipality_id", "district_id", "opened_at", "closed_at", "due_at", "status_at", "cell", "quantity",
    "unit", "agency", "contractor", "notes", "content", "line",
)  # fmt: skip
_POINT = "CASE WHEN s.lon IS NULL THEN NULL ELSE ST_SetSRID(ST_MakePoint(s.lon, s.lat), 4326) END"

# Places where a geocoder puts what it cannot find (Flag.DEFAULT_POINT). A real place has
# its own habits; a default point holds a random draw of everything. So a point is one when
# it holds at least PILE reports and five times as many as the busiest hundredth of fine cells,
# and its number of kinds is at least SHARE of what a random draw of as many reports from
# the whole batch would show (rarefaction: sum of 1 - (1 - p_i)^n; Hurlbert 1971).
DEFAULT_POINT_PILE = 20
DEFAULT_POINT_SHARE = 0.8
DEFAULT_POINT_MIN_EXPECTED = 4.0


@dataclass(frozen=True, slots=True)
class TypeEntry:
    """A type as the source names it, and the element that was found for it."""

    number: int
    name: str
    element_id: int | None
    method: int
    score: float | None
    suggestions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MergeCounts:
    """What the merge did with the staged rows."""

    accepted: int
    updated: int
    unchanged: int
    quarantined: int
    duplicate_rows: int  # rows of the file that repeat another row's key
    stale: int  # rows older than what the store holds: left alone, counted as unchanged
    default_point_reports: int


def _copy(conn: Connection, table: str, frame: pl.DataFrame, jsonb: tuple[str, ...] = ()) -> None:
    """COPY a frame in PostgreSQL's binary format; columns are matched by name."""
    if frame.is_empty():
        return
    arrow = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
    builders: dict[str, Any] = {}
    for field in arrow.schema:
        if field.name in jsonb:
            builders[field.name] = encoders.LargeStringEncoderBuilder.new_with_output(field, Jsonb())
        else:
            builders[field.name] = pgpq.ArrowToPostgresBinaryEncoder.infer_encoder(field)
    encoder = pgpq.ArrowToPostgresBinaryEncoder.new_with_encoders(arrow.schema, builders)
    names = psycopg.sql.SQL(", ").join(map(psycopg.sql.Identifier, arrow.schema.names))
    statement = psycopg.sql.SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)").format(
        psycopg.sql.Identifier(table), names
    )
    with raw_cursor(conn) as cursor, cursor.copy(statement) as copy:
        copy.write(encoder.write_header())
        for batch in arrow.to_batches():
            copy.write(encoder.write_batch(batch))
        copy.write(encoder.finish())


def raw_cursor(conn: Connection) -> psycopg.Cursor[Any]:
    """A psycopg cursor inside the transaction of a SQLAlchemy connection (for COPY)."""
    driver = conn.connection.driver_connection
    if not isinstance(driver, psycopg.Connection):
        raise StoreError(
            "The store is reached through psycopg only; DATABASE_URL must begin with postgresql+psycopg://"
        )
    return driver.cursor()


def loading_engine(engine: Engine) -> Engine:
    """An engine for one ingest: memory for staging a million rows and building indexes.

    A connection of its own, because PostgreSQL fixes ``temp_buffers`` when a session first
    uses a temporary table; with the default of 8 MB staging takes twice as long.
    """
    return create_engine(
        engine.url,
        poolclass=NullPool,
        connect_args={
            "application_name": "rasd ingest",
            "options": "-c temp_buffers=384MB -c work_mem=256MB -c maintenance_work_mem=512MB",
        },
    )


class Stage:
    """The staging area of one batch; lives as long as its transaction."""

    def __init__(self, conn: Connection, *, batch_id: int, source_id: int, territory_id: int) -> None:
        self.conn = conn
        self.batch_id = batch_id
        self.source_id = source_id
        self.territory_id = territory_id
        self.rows = 0
        self.kept = 0  # rows after repeats were taken out
        self.refused = 0
        columns = ", ".join(f"{name} {kind}" for name, _, kind in STAGE_COLUMNS)
        # Every staged row draws an id; those that turn out not to be new waste theirs.
        self._run(
            f"""CREATE TEMP TABLE stage (id bigint DEFAULT
                  nextval(pg_get_serial_sequence('report', 'id')), {columns}) ON COMMIT DROP"""
        )
        self._run(
            """CREATE TEMP TABLE stage_refused (line integer, reference text, digest bigint,
                 reasons text[], details jsonb, row jsonb) ON COMMIT DROP"""
        )

    def _run(self, sql: str, **params: Any) -> Any:
        return self.conn.execute(text(sql), params)

    def _scalar(self, sql: str, **params: Any) -> int:
        return int(self.conn.scalar(text(sql), params) or 0)

    def write(self, rows: pl.DataFrame, raw: pl.DataFrame, refused: pl.DataFrame) -> None:
        """Add a chunk: rows of STAGE_SCHEMA, blocks of RAW_SCHEMA, faults of QUARANTINE_SCHEMA."""
        _copy(self.conn, "stage", rows, jsonb=("notes",))
        _copy(self.conn, "report_raw", raw)
        _copy(self.conn, "stage_refused", refused, jsonb=("details", "row"))
        self.rows += rows.height
        self.refused += refused.height

    # -- the merge, in its order ------------------------------------------------------

    def merge(self, types: list[TypeEntry], *, digest_keys: bool) -> MergeCounts:
        """Bring the staged rows into ``report``; the territory's lock must be held.

        ``digest_keys`` says that references are digests of the identifying columns: rows
        that share one but differ are then different reports, numbered in file order.
        """
        # Temporary tables have no statistics of their own making; without them the planner
        # sorts a million wide rows for a join with forty types.
        self._run("ANALYZE stage (reference, type_no, status)")
        repeats = self._settle_repeats(digest_keys)
        self._map_types(types)
        known, same, stale = self._match()
        defaults = self._flag_default_points()
        self.kept = self.rows - repeats
        new = self.kept - known
        self._insert(new)
        updated = known - same - stale
        if updated:
            self._update()
        self._forget_unused_raw(repeats + same + stale)
        self._quarantine()
        return MergeCounts(
            accepted=new,
            updated=updated,
            unchanged=same + stale + repeats,
            quarantined=self.refused,
            duplicate_rows=repeats,
            stale=stale,
            default_point_reports=defaults,
        )

    def _settle_repeats(self, digest_keys: bool) -> int:
        """Keep one staged row a key; returns how many were taken out."""
        # One pass over the staged keys, one join: `repeated` then holds only the rows in question.
        self._run(
            """CREATE TEMP TABLE repeated ON COMMIT DROP AS
               SELECT s.id, s.reference, s.content, s.line, s.status_at,
                      row_number() OVER (PARTITION BY s.reference, s.content ORDER BY s.line) AS nth
               FROM stage s JOIN (SELECT reference FROM stage GROUP BY reference HAVING count(*) > 1) AS r
                 USING (reference)"""
        )
        if not self._scalar("SELECT count(*) FROM repeated"):
            return 0
        exact = self._run("DELETE FROM stage s USING repeated r WHERE s.id = r.id AND r.nth > 1").rowcount
        if digest_keys:
            self._run(
                """UPDATE stage s SET reference = s.reference || '#' || d.nth FROM (
                     SELECT id, row_number() OVER (PARTITION BY reference ORDER BY line) AS nth
                     FROM repeated WHERE nth = 1) AS d
                   WHERE s.id = d.id AND d.nth > 1"""
            )
            return int(exact)
        # The row that knows most wins: the latest status date, then the later line.
        losers = self._run(
            """DELETE FROM stage s USING (
                 SELECT id, row_number() OVER (PARTITION BY reference
                          ORDER BY status_at DESC NULLS LAST, line DESC) AS nth
                 FROM repeated WHERE nth = 1) AS d
               WHERE s.id = d.id AND d.nth > 1
               RETURNING s.reference, s.line, s.status, s.status_at"""
        ).all()
        if losers:
            self._run(
                """UPDATE stage s SET flags = flags | :flag,
                     notes = coalesce(notes, '{}'::jsonb) ||
                       jsonb_build_object('duplicate_conflict', jsonb_build_object('lines', d.lines))
                   FROM (SELECT reference, jsonb_agg(line ORDER BY line) AS lines
                         FROM unnest(CAST(:references AS text[]), CAST(:lines AS integer[]))
                              AS u(reference, line) GROUP BY reference) AS d
                   WHERE s.reference = d.reference""",
                flag=int(Flag.DUPLICATE_CONFLICT),
                references=[r.reference for r in losers],
                lines=[r.line for r in losers],
            )
        return int(exact) + len(losers)

    def _map_types(self, types: list[TypeEntry]) -> None:
        """Give every type of the batch its id; a changed classification reaches old reports."""
        self._run(
            """CREATE TEMP TABLE type_map (type_no integer, type_id integer, element_id smallint)
               ON COMMIT DROP"""
        )
        for entry in types:
            params = {
                "source": self.source_id,
                "name": entry.name,
                "element": entry.element_id,
                "method": entry.method,
                "score": entry.score,
                "suggestions": list(entry.suggestions),
            }
            known = self._run(
                "SELECT id, element_id FROM source_type WHERE source_id = :source AND name = :name", **params
            ).first()
            if known is None:
                type_id = self._scalar(
                    """INSERT INTO source_type (source_id, name, element_id, method, score, suggestions)
                       VALUES (:source, :name, :element, :method, :score, :suggestions) RETURNING id""",
                    **params,
                )
            else:
                type_id = known.id
                self._run(
                    """UPDATE source_type SET element_id = :element, method = :method, score = :score,
                         suggestions = :suggestions WHERE id = :id""",
                    id=type_id,
                    **params,
                )
                if known.element_id != entry.element_id:
                    self._run(
                        "UPDATE report SET element_id = :element WHERE source_id = :source AND type_id = :id",
                        id=type_id,
                        **params,
                    )
            self._run(
                "INSERT INTO type_map VALUES (:number, :id, :element)",
                number=entry.number,
                id=type_id,
                element=entry.element_id,
            )
        self._run("ANALYZE type_map")

    def _match(self) -> tuple[int, int, int]:
        """Find staged rows whose report is known. Returns (known, same content, stale)."""
        # Served by uq_report_source_id_reference, or a hash join when much is staged.
        self._run(
            """CREATE TEMP TABLE match ON COMMIT DROP AS
               SELECT s.id AS stage_id, s.line, r.id AS report_id, r.content = s.content AS same,
                      coalesce(s.status_at < r.status_at, false) AS stale
               FROM stage s JOIN report r ON r.source_id = :source AND r.reference = s.reference""",
            source=self.source_id,
        )
        self._run("ANALYZE match")
        row = self._run(
            """SELECT count(*) AS known, count(*) FILTER (WHERE same) AS same,
                      count(*) FILTER (WHERE stale AND NOT same) AS stale FROM match"""
        ).one()
        return row.known, row.same, row.stale

    def _flag_default_points(self) -> int:
        """Find geocoder's default points in this batch and flag all reports on known ones."""
        # Piles by fine cell first (one integer to hash a row), then the points in the few that stand out.
        self._run(
            """CREATE TEMP TABLE pile ON COMMIT DROP AS
               SELECT cell, count(*) AS n FROM stage WHERE cell IS NOT NULL GROUP BY cell"""
        )
        found = self._run(
            """WITH hist AS (SELECT n, count(*) AS cells FROM pile GROUP BY n),
                 busy AS (SELECT min(n) AS n FROM (
                   SELECT n, sum(cells) OVER (ORDER BY n) AS below, sum(cells) OVER () AS total
                   FROM hist) AS h WHERE below >= 0.99 * total),
                 floor AS (SELECT greatest(CAST(:pile AS bigint), 5 * n) AS n FROM busy),
                 piles AS MATERIALIZED (
                   SELECT s.lon, s.lat, s.type_no FROM stage s
                   WHERE s.cell IN (SELECT cell FROM pile, floor WHERE pile.n >= floor.n)),
                 mix AS MATERIALIZED (
                   SELECT type_no, count(*)::double precision / sum(count(*)) OVER () AS p
                   FROM stage WHERE type_no IS NOT NULL AND EXISTS (SELECT FROM piles) GROUP BY type_no),
                 suspects AS (SELECT lon, lat, count(*) AS n, count(DISTINCT type_no) AS kinds
                              FROM piles GROUP BY lon, lat)
               SELECT s.*, (SELECT sum(1 - power(1 - p, s.n)) FROM mix) AS expected
               FROM suspects s, floor WHERE s.n >= floor.n""",
            pile=DEFAULT_POINT_PILE,
        ).all()
        for row in found:
            expected = row.expected or 0.0
            if expected < DEFAULT_POINT_MIN_EXPECTED or row.kinds < DEFAULT_POINT_SHARE * expected:
                continue
            self._run(
                """INSERT INTO default_point (territory_id, lon, lat, reports, kinds, batch_id)
                   VALUES (:territory, :lon, :lat, :n, :kinds, :batch)
                   ON CONFLICT (territory_id, lon, lat) DO NOTHING""",
                territory=self.territory_id,
                lon=row.lon,
                lat=row.lat,
                n=row.n,
                kinds=row.kinds,
                batch=self.batch_id,
            )
            # Reports of earlier batches on that point: ix_report_geom.
            self._run(
                """UPDATE report SET flags = flags | :flag
                   WHERE territory_id = :territory AND flags & :flag = 0
                     AND geom && ST_SetSRID(ST_MakePoint(:lon, :lat), 4326)""",
                flag=int(Flag.DEFAULT_POINT),
                territory=self.territory_id,
                lon=row.lon,
                lat=row.lat,
            )
        return int(
            self._run(
                """UPDATE stage s SET flags = flags | :flag FROM default_point d
                   WHERE d.territory_id = :territory AND s.lon = d.lon AND s.lat = d.lat""",
                flag=int(Flag.DEFAULT_POINT),
                territory=self.territory_id,
            ).rowcount
        )

    def _insert(self, new: int) -> None:
        if not new:
            return
        large = new >= BULK_ROWS and new > self._scalar(
            "SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = 'report'::regclass"
        )
        indexes = bulk.drop_indexes(self.conn) if large else []
        only_new = "NOT EXISTS (SELECT FROM match m WHERE m.stage_id = s.id)" if new < self.kept else "true"
        columns = ", ".join(_COPIED)
        values = ", ".join(f"s.{name}" for name in _COPIED)
        self._run(
            f"""INSERT INTO report (id, territory_id, source_id, reference, element_id, type_id, batch_id,
                  geom, {columns})
                SELECT s.id, :territory, :source, s.reference, t.element_id, t.type_id, :batch,
                  {_POINT}, {values}
                FROM stage s LEFT JOIN type_map t USING (type_no)
                WHERE {only_new}""",
            territory=self.territory_id,
            source=self.source_id,
            batch=self.batch_id,
        )
        # The history begins with the opening, which the report itself holds; an event says
        # where the report stands now.
        self._run(
            f"""INSERT INTO report_event (report_id, seq, status, batch_id, at)
                SELECT s.id, 1, s.status, :batch, s.status_at FROM stage s
                WHERE s.status <> :received AND {only_new}""",
            batch=self.batch_id,
            received=int(Status.RECEIVED),
        )
        for statement in indexes:
            self._run(statement)

    def _update(self) -> None:
        columns = ", ".join(f"{name} = s.{name}" for name in _COPIED if name != "flags")
        # A default point found earlier stays flagged; the conflict of an earlier file does not.
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
            f"""UPDATE report r SET {columns}, flags = s.flags | (r.flags & :default_point),
                  element_id = t.element_id, type_id = t.type_id, batch_id = :batch, geom = {_POINT}
                FROM match m JOIN stage s ON s.id = m.stage_id LEFT JOIN type_map t USING (type_no)
                WHERE r.id = m.report_id AND NOT m.same AND NOT m.stale""",
            batch=self.batch_id,
            default_point=int(Flag.DEFAULT_POINT),
        )

    def _forget_unused_raw(self, unused: int) -> None:
        """Blocks of landed rows in which no row changed anything are not kept a second time."""
        if not unused:
            return
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
        # A row that came again and was taken is settled.
        self._run(
            """UPDATE quarantine q SET resolved_by = :batch FROM stage s, batch b
               WHERE q.resolved_by IS NULL AND q.reference = s.reference
                 AND b.id = q.batch_id AND b.source_id = :source""",
            batch=self.batch_id,
            source=self.source_id,
        )
