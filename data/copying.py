"""Rows on the wire: the shapes that the ingest hands over, and binary COPY.

Arrow batches become PostgreSQL's binary format in Rust (pgpq); points become EWKB in numpy.
Whatever is COPYed is part of the transaction of the SQLAlchemy connection given.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pgpq
import polars as pl
import psycopg
import pyarrow as pa
from numpy.typing import NDArray
from pgpq import encoders
from pgpq.schema import Jsonb
from sqlalchemy import Connection, Engine, NullPool, create_engine

from geo.errors import StoreError

# A report as ingest/ hands it over: points as lon and lat, types by number.
STAGE_SCHEMA: dict[str, Any] = {
    "line": pl.Int32,
    "reference": pl.String,
    "content": pl.Int64,
    "type_no": pl.Int32,
    "status": pl.Int16,
    "channel": pl.Int16,
    "flags": pl.Int32,
    "precision": pl.Int16,
    "severity": pl.Int16,
    "region_id": pl.Int32,
    "amana_id": pl.Int32,
    "governorate_id": pl.Int32,
    "municipality_id": pl.Int32,
    "district_id": pl.Int32,
    "opened_at": pl.Datetime("us", "UTC"),
    "closed_at": pl.Datetime("us", "UTC"),
    "due_at": pl.Datetime("us", "UTC"),
    "status_at": pl.Datetime("us", "UTC"),
    "lon": pl.Float64,
    "lat": pl.Float64,
    "cell": pl.Int64,
    "quantity": pl.Float64,
    "unit": pl.String,
    "agency": pl.String,
    "contractor": pl.String,
    "reporter": pl.Int64,
    "notes": pl.String,
}
# A row whose report the store holds already, just as it is: nothing of it is written.
KNOWN_SCHEMA: dict[str, Any] = {
    "line": pl.Int32,
    "reference": pl.String,
    "content": pl.Int64,
    "type_no": pl.Int32,
    "cell": pl.Int64,
}
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

ID_RANGE = 1 << 19  # ids read at a time, to bound memory
# Little-endian point with SRID 4326.
_POINT = np.dtype([("order", "u1"), ("kind", "<u4"), ("srid", "<u4"), ("lon", "<f8"), ("lat", "<f8")])


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


def copy_frame(conn: Connection, table: str, frame: pl.DataFrame, jsonb: tuple[str, ...] = ()) -> None:
    """COPY a frame into a table; columns are matched by name, ``jsonb`` names those of that type."""
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


def points(lon: pl.Series, lat: pl.Series) -> pl.Series:
    """EWKB of points in EPSG:4326, (n,) Binary; null where lon is null."""
    missing = lon.is_null().to_numpy()
    wkb = np.zeros(len(lon), dtype=_POINT)
    wkb["order"], wkb["kind"], wkb["srid"] = 1, 0x20000001, 4326
    wkb["lon"], wkb["lat"] = lon.fill_null(0).to_numpy(), lat.fill_null(0).to_numpy()
    ends = np.concatenate(([0], np.cumsum(np.where(missing, 0, _POINT.itemsize), dtype=np.int64)))
    present = np.packbits(~missing, bitorder="little")
    buffers = (pa.py_buffer(present), pa.py_buffer(ends), pa.py_buffer(wkb[~missing].tobytes()))
    return pl.Series("geom", pa.Array.from_buffers(pa.large_binary(), len(lon), list(buffers)))


def report_ids(conn: Connection, count: int) -> NDArray[np.int64]:
    """Ids for ``count`` new reports, (count,), that no other load will draw."""
    with raw_cursor(conn) as cursor:
        cursor.execute(
            """SELECT string_agg(int8send(nextval(pg_get_serial_sequence('report', 'id'))), ''::bytea)
               FROM generate_series(1, %s)""",
            (count,),
            binary=True,
        )
        (data,) = cursor.fetchone() or (None,)
    return np.frombuffer(data or b"", dtype=">i8").astype(np.int64)


def packed(
    conn: Connection,
    fields: Iterable[str],
    condition: str,
    params: dict[str, Any],
    step: int = ID_RANGE,
    tables: str = "report r",
) -> Iterator[list[NDArray[np.int64]]]:
    """Expressions over ``report r`` that send eight bytes, one (n,) array each, in ranges of ids.

    ``tables`` may join others to it, each with at most one row a report.
    Each range comes as one byte string an expression: all aggregates of one SELECT see its
    rows in the same order, and no row becomes a Python object.
    """
    sums = ", ".join(f"string_agg({field}, ''::bytea)" for field in fields)
    with raw_cursor(conn) as cursor:
        # Served by pk_report: first and last id, then its ranges.
        cursor.execute("SELECT min(id), max(id) FROM report")
        low, last = cursor.fetchone() or (None, None)
        while low is not None and low <= last:
            cursor.execute(
                f"""SELECT {sums} FROM {tables}
                    WHERE {condition} AND r.id >= %(low)s AND r.id < %(high)s""",
                {**params, "low": low, "high": low + step},
                binary=True,
            )
            row = cursor.fetchone()
            if row is not None and row[0] is not None:
                yield [np.frombuffer(data, dtype=">i8").astype(np.int64) for data in row]
            low += step


def copied_out(conn: Connection, query: str, params: dict[str, Any], schema: dict[str, Any]) -> pl.DataFrame:
    """The rows of a SELECT as a frame, by COPY: a million rows without a Python object each.

    Columns must be numbers, booleans or texts that are never empty (an empty one reads as null).
    """
    with raw_cursor(conn) as cursor:
        statement = f"COPY ({query}) TO STDOUT (FORMAT CSV)"
        with cursor.copy(statement, params) as copy:
            data = b"".join(bytes(part) for part in copy)
    flags = [name for name, kind in schema.items() if kind == pl.Boolean]
    texts = schema | dict.fromkeys(flags, pl.String)
    if not data:
        return pl.DataFrame(schema=schema)
    frame = pl.read_csv(data, has_header=False, new_columns=list(schema), schema_overrides=texts)
    return frame.with_columns(pl.col(name) == "t" for name in flags)
