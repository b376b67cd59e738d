"""The form in which rows land: blocks of JSON for what is kept, whole rows for what is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl
import xxhash
from numpy.typing import NDArray

from data.copying import QUARANTINE_SCHEMA, RAW_SCHEMA
from ingest.result import Fault

BLOCK_ROWS = 256  # landed rows are stored in blocks of this many
_BETWEEN = '","'
_ESCAPED = r'[\x00-\x1f"\\]'  # what JSON escapes in a text


def json_bodies(frame: pl.DataFrame, columns: list[str]) -> pl.Series:
    """Rows as JSON arrays of texts, without the outer ``["`` and ``"]``; null becomes "".

    Most files hold nothing that JSON escapes; counting bytes tells so, and cells are then
    joined as they are. Rows that do hold something are escaped by polars' own encoder.
    """
    texts = frame.select(pl.col(name).cast(pl.String).fill_null("").alias(name) for name in columns)
    bodies = texts.select(pl.concat_str(columns, separator=_BETWEEN).alias("v")).to_series()
    data, _ = _bytes(bodies)
    special = np.count_nonzero(data < 0x20) + np.count_nonzero(data == 0x5C)
    quotes = np.count_nonzero(data == 0x22)
    if special == 0 and quotes == 2 * (len(columns) - 1) * len(bodies):
        return bodies
    odd = texts.select(pl.any_horizontal(pl.col(name).str.contains(_ESCAPED) for name in columns)).to_series()
    # jsonb cannot hold NUL: readers refuse such rows, a typed source may still bring one.
    encoded = texts.filter(odd).select(
        pl.struct(pl.col(name).str.replace_all("\x00", "␀", literal=True).alias("v"))
        .struct.json_encode()
        .str.slice(5)
        .str.strip_suffix("}")
        .alias(name)
        for name in columns
    )
    whole = encoded.select(pl.concat_str(columns, separator=",").str.head(-1).str.slice(1)).to_series()
    return bodies.scatter(odd.arg_true(), whole)


def row_digests(bodies: pl.Series, salt: int) -> pl.Series:
    """64-bit digests of rows, (n,) Int64 (XXH3: stable across versions and machines)."""
    data, ends = _bytes(bodies)
    view, digest, at = data.data, xxhash.xxh3_64_intdigest, ends.tolist()
    values = np.fromiter((digest(view[low:high], salt) for low, high in pairwise(at)), np.uint64, len(bodies))
    return pl.Series(values.view(np.int64))


def row_digest(text: str, salt: int) -> int:
    """The digest of one text, signed as PostgreSQL's bigint is."""
    value = xxhash.xxh3_64_intdigest(text.encode(), salt)
    return value - (1 << 64) if value >= 1 << 63 else value


def _bytes(texts: pl.Series) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The bytes of texts without nulls one after the other, and where each begins (n + 1,)."""
    array = texts.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())
    _, offsets, data = array.buffers()
    if not len(texts) or offsets is None or data is None:
        return np.zeros(0, dtype=np.uint8), np.zeros(len(texts) + 1, dtype=np.int64)
    ends = np.frombuffer(offsets, np.int64)[array.offset : array.offset + len(texts) + 1]
    return np.frombuffer(data, np.uint8)[ends[0] : ends[-1]], ends - ends[0]


def blocks(batch_id: int, lines: pl.Series, bodies: pl.Series) -> pl.DataFrame:
    """Landed rows in blocks of BLOCK_ROWS, as RAW_SCHEMA."""
    block = pl.int_range(pl.len()) // BLOCK_ROWS
    return (
        pl.DataFrame({"line": lines, "body": bodies}, schema={"line": pl.Int32, "body": pl.String})
        .group_by(block.alias("block"), maintain_order=True)
        .agg(
            pl.lit(batch_id, pl.Int32).alias("batch_id"),
            pl.col("line").min().alias("first_line"),
            pl.col("line").max().alias("last_line"),
            pl.col("line").alias("lines"),
            (pl.lit('[["') + pl.col("body").str.join('"],["') + pl.lit('"]]')).alias("rows"),
        )
        .select(pl.col(name).cast(kind) for name, kind in RAW_SCHEMA.items())
    )


def refused_frame(records: list[tuple[int, str | None, int, list[Fault], dict[str, str]]]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "line": [line for line, *_ in records],
            "reference": [reference for _, reference, *_ in records],
            "digest": [digest for _, _, digest, _, _ in records],
            "reasons": [sorted({fault.code for fault in own}) for *_, own, _ in records],
            "details": [
                json.dumps([_without_line(fault) for fault in own], ensure_ascii=False)
                for *_, own, _ in records
            ],
            "row": [json.dumps(_storable(whole), ensure_ascii=False) for *_, whole in records],
        },
        schema=QUARANTINE_SCHEMA,
    )


def _without_line(fault: Fault) -> dict[str, Any]:
    values = _storable(fault.to_dict())
    values.pop("line")
    return values


def _storable(values: Mapping[str, Any]) -> dict[str, Any]:
    """Texts without NUL, which PostgreSQL cannot hold; shown as its symbol instead."""
    return {
        k.replace("\x00", "␀"): v.replace("\x00", "␀") if isinstance(v, str) else v for k, v in values.items()
    }
