"""The form in which rows land: blocks of JSON for what is kept, whole rows for what is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import polars as pl

from data.staging import QUARANTINE_SCHEMA, RAW_SCHEMA
from ingest.result import Fault

BLOCK_ROWS = 256  # landed rows are stored in blocks of this many
SEPARATOR = "\x1f"  # joins the cells of a row before it is hashed; no text file uses it
_ESCAPED = r'[\x00-\x1e"\\]'  # what JSON escapes, but for the separator


def json_arrays(joined: pl.Series) -> pl.Series:
    """Rows joined by the separator as JSON arrays of texts.

    Most rows hold nothing that JSON escapes, and become arrays by one replacement; the
    others are escaped by polars' own encoder.
    """
    if joined.is_empty():
        return pl.Series([], dtype=pl.String)
    plain = pl.lit('["') + pl.col("v").str.replace_all(SEPARATOR, '","', literal=True) + pl.lit('"]')
    arrays = pl.DataFrame({"v": joined}).select(plain).to_series()
    odd = joined.str.contains(_ESCAPED)
    if odd.any():
        # jsonb cannot hold NUL: readers refuse such rows, a typed source may still bring one.
        text = pl.DataFrame({"v": joined.filter(odd).str.replace_all("\x00", "␀", literal=True)})
        encoded = text.select(pl.struct("v").struct.json_encode().alias("j"))
        escaped = encoded.select(
            pl.lit("[")
            + pl.col("j").str.slice(5).str.strip_suffix("}").str.replace_all("\\u001f", '","', literal=True)
            + pl.lit("]")
        ).to_series()
        arrays = arrays.scatter(odd.arg_true(), escaped)
    return arrays


def blocks(batch_id: int, lines: pl.Series, arrays: pl.Series) -> pl.DataFrame:
    """Landed rows in blocks of BLOCK_ROWS, as RAW_SCHEMA."""
    block = pl.int_range(pl.len()) // BLOCK_ROWS
    return (
        pl.DataFrame({"line": lines, "row": arrays})
        .group_by(block.alias("block"), maintain_order=True)
        .agg(
            pl.lit(batch_id, pl.Int32).alias("batch_id"),
            pl.col("line").min().alias("first_line"),
            pl.col("line").max().alias("last_line"),
            pl.col("line").alias("lines"),
            (pl.lit("[") + pl.col("row").str.join(",") + pl.lit("]")).alias("rows"),
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
