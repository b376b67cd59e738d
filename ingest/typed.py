"""Columns of typed sources (workbooks, Parquet, map files) as the text that a reader would see."""

from __future__ import annotations

import polars as pl

from ingest.text import clean


def as_text(values: pl.Series) -> pl.Series:
    """A column as text; whole numbers of a typed source lose their '.0'."""
    if values.dtype == pl.String:
        return values
    if values.dtype.is_float():
        whole = values.is_not_null() & (values == values.round()) & (values.abs() < 2**53)
        texts = pl.select(
            pl.when(whole)
            .then(values.cast(pl.Int64, strict=False).cast(pl.String))
            .otherwise(values.cast(pl.String))
        ).to_series()
        return texts.alias(values.name)
    return values.cast(pl.String)


def joined_clock(days: pl.Series, clock: pl.Series) -> pl.Series:
    """A column of dates and one of times as one column of texts."""
    day = as_text(days.dt.date() if isinstance(days.dtype, pl.Datetime) else days)
    return pl.select(pl.concat_str([clean(day), clock], separator=" ", ignore_nulls=True)).to_series()
