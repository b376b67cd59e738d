"""Steps of histories as frames: in order with their details, which are known, what is told again.

Method: joins on whole frames (polars); a step is the same as a known one where report, moment
and status agree and it tells nothing more. Caveat: a step is matched with events that stand;
what was told again since counts once.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data.life import Action
from geo.retelling import UNDATED, carried

Ints = NDArray[np.int64]

# A step as ingest/ hands it over, in the order of telling. The last ones go into the detail.
HISTORY_SCHEMA: dict[str, Any] = {
    "line": pl.Int32,
    "report_id": pl.Int64,
    "status": pl.Int16,
    "action": pl.Int16,
    "at": pl.Datetime("us", "UTC"),
    "agency_id": pl.Int32,
    "contractor_id": pl.Int32,
    "of": pl.Int64,
    "reason": pl.String,
    "note": pl.String,
    "role": pl.String,
    "of_reference": pl.String,
    "entity": pl.String,
}
_NUMBERS = ("agency_id", "contractor_id", "of")
_TEXTS = ("entity", "note", "of_reference", "reason", "role")
#: Keys of an imported event's detail beside those of ``data.life.DETAILS``: the role of who
#: acted, the entity and the original report as written; the event that is told again, and
#: whether nobody says when that was.
ROLE, ENTITY, OF_REFERENCE, AGAIN, UNDATED_KEY = "role", "entity", "of_reference", "again", "undated"
_OURS = (AGAIN, UNDATED_KEY, "before")


def with_index(frame: pl.DataFrame, ids: Ints) -> pl.DataFrame:
    """With ``report``, the position of ``report_id`` in the sorted ``ids``."""
    at = np.searchsorted(ids, frame["report_id"].to_numpy())
    return frame.with_columns(pl.Series("report", at, dtype=pl.Int64))


def prepared(steps: pl.DataFrame, ids: Ints) -> pl.DataFrame:
    """Steps by report and in the order of telling, each once, with its detail as JSON."""
    pieces = [
        pl.when(pl.col(name).is_not_null()).then(pl.lit(f'"{name}":') + _json(name)).alias(name)
        for name in sorted((*_NUMBERS, *_TEXTS))
    ]
    body = pl.concat_str(pieces, separator=",", ignore_nulls=True)
    frame = with_index(steps, ids).with_columns(
        pl.col("status").cast(pl.Int64),
        pl.col("action").cast(pl.Int64),
        pl.col("at").dt.epoch("us").alias("micros"),
        pl.when(body != "").then(pl.lit("{") + body + pl.lit("}")).alias("detail"),
    )
    frame = frame.with_columns(pl.col("micros").fill_null(UNDATED).alias("key")).sort(
        "report", maintain_order=True
    )
    order = pl.Series("order", carried(frame["report"].to_numpy(), frame["key"].to_numpy()))
    frame = frame.with_columns(order).sort("report", "order", maintain_order=True)
    # A row that stands twice is one step; the same step twice on one day, with others between, is two.
    same = pl.all_horizontal(
        pl.col(name).eq_missing(pl.col(name).shift())
        for name in ("report", "key", "status", "action", "detail")
    )
    return frame.filter(~same | (pl.int_range(pl.len()) == 0))


def _json(name: str) -> pl.Expr:
    if name in _NUMBERS:
        return pl.col(name).cast(pl.String)
    return pl.struct(pl.col(name).alias("v")).struct.json_encode().str.slice(5).str.strip_suffix("}")


def _told_detail(values: pl.Series) -> pl.Series:
    """Details of events as ``prepared`` writes them, without what the store itself added."""
    known: dict[str, str | None] = {}
    for said in values.unique().drop_nulls().to_list():
        own = {key: value for key, value in json.loads(said).items() if key not in _OURS}
        known[said] = (
            json.dumps(own, ensure_ascii=False, sort_keys=True, separators=(",", ":")) if own else None
        )
    return values.replace_strict(list(known), list(known.values()), default=None, return_dtype=pl.String)


def matched(known: pl.DataFrame, new: pl.DataFrame) -> tuple[Ints, NDArray[np.bool_]]:
    """The known step that each new one repeats, -1 for none; and known ones of which a new one tells more."""
    nothing = pl.lit("")
    # A comment stays where the report is, so its status says nothing about which one it is.
    where = (
        pl.when(pl.col("action") == int(Action.COMMENT)).then(-1).otherwise(pl.col("status")).alias("where")
    )
    old = known.with_row_index("old").select(
        "old", "report", "action", where,
        pl.when("undated").then(UNDATED).otherwise(pl.col("counts")).alias("key"),
        _told_detail(known["detail"]).fill_null("").alias("said"),
        pl.col("here"),
    )  # fmt: skip
    fresh = new.with_row_index("row").select(
        "row", "report", "action", "key", where, pl.col("detail").fill_null(nothing).alias("said")
    )
    exact = ["report", "key", "where", "action", "said"]
    loose = ["report", "key", "where"]
    bare = (pl.col("action") == 0) & (pl.col("said") == "")
    same = np.full(new.height, -1, dtype=np.int64)
    # The second of two equal steps of one moment is the second of those that are known.
    time = pl.int_range(pl.len()).over(exact).alias("time")
    first = fresh.with_columns(time).join(old.with_columns(time), on=[*exact, "time"])
    same[first["row"].to_numpy()] = first["old"].to_numpy()
    rest = fresh.filter(pl.Series(same < 0) & fresh.select(bare).to_series())
    second = rest.join(old.unique(loose, keep="last", maintain_order=True), on=loose)
    same[second["row"].to_numpy()] = second["old"].to_numpy()
    more = fresh.filter(pl.Series(same < 0) & ~fresh.select(bare).to_series())
    told_less = old.filter(bare & ~pl.col("here")).join(more.unique(loose), on=loose, how="semi")
    covered = np.zeros(known.height, dtype=bool)
    covered[told_less["old"].to_numpy()] = True
    covered[same[same >= 0]] = False
    return same, covered


def told_again(known: pl.DataFrame) -> pl.DataFrame:
    """Known steps as they are told again; each says which event it repeats."""
    mark = pl.lit(f'{{"{AGAIN}":') + pl.col("seq").cast(pl.String)
    mark = mark + pl.when("undated").then(pl.lit(f',"{UNDATED_KEY}":true')).otherwise(pl.lit(""))
    detail = pl.col("detail")
    return known.select(
        "status",
        "action",
        pl.col("counts").alias("at"),
        "actor_id",
        pl.when(detail.is_null() | (detail == "{}"))
        .then(mark + pl.lit("}"))
        .when(detail.str.contains(f'"{AGAIN}"'))
        .then(detail)
        .otherwise(mark + pl.lit(",") + detail.str.slice(1))
        .alias("detail"),
        pl.lit(None, pl.Int32).alias("agency_id"),
        pl.lit(None, pl.Int32).alias("contractor_id"),
        pl.lit(None, pl.Int64).alias("of"),
        pl.lit(False).alias("fresh"),
    )


def told_new(new: pl.DataFrame) -> pl.DataFrame:
    """New steps as they are appended."""
    return new.select(
        "status",
        "action",
        pl.col("micros").alias("at"),
        pl.lit(None, pl.Int32).alias("actor_id"),
        "detail",
        "agency_id",
        "contractor_id",
        "of",
        pl.lit(True).alias("fresh"),
    )
