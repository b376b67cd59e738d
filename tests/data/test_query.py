"""The question: its SQL and its columns choose the same reports as plain pandas."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Connection, text

from data import columns
from data.query import ReportQuery, parent_sql, territory_facts, where
from geo.cells import cells_of, parents
from geo.errors import InputError
from tests.data.reports_sample import Sample, make_sample


@pytest.fixture(scope="module")
def loaded(module_store: Any) -> Iterator[tuple[Connection, Sample]]:
    with module_store.engine.begin() as conn:
        sample = make_sample(conn)
    with module_store.engine.connect() as conn:
        yield conn, sample


def _count(conn: Connection, query: ReportQuery) -> int:
    condition, params = where(conn, query)
    return int(conn.scalar(text(f"SELECT count(*) FROM report r WHERE {condition}"), params))


def test_sql_and_columns_choose_what_pandas_chooses(loaded: tuple[Connection, Sample]) -> None:
    conn, sample = loaded
    rng = np.random.default_rng(11)
    sizes = set()
    for _ in range(80):
        query = sample.random_query(rng)
        expected = len(sample.choose(query))
        assert _count(conn, query) == expected, query
        assert int(columns.select(conn, query)[1].sum()) == expected, query
        sizes.add(expected)
    assert len(sizes) > 20  # the queries were not all empty


def test_a_day_is_a_local_day_with_both_ends_included(loaded: tuple[Connection, Sample]) -> None:
    conn, sample = loaded
    day = dt.date(2025, 3, 1)
    local = sample.frame[(sample.frame["local_day"] == day) & ~sample.frame["default_point"]]
    utc = sample.frame[(sample.frame["opened_at"].dt.date == day) & ~sample.frame["default_point"]]
    assert len(local) != len(utc)
    assert _count(conn, ReportQuery(sample.territory, start=day, end=day)) == len(local)


def test_the_same_day_begins_elsewhere_in_another_zone(loaded: tuple[Connection, Sample]) -> None:
    conn, sample = loaded
    day = dt.date(2025, 2, 28)
    opened = sample.frame["opened_at"].head(50).dt.tz_convert("America/New_York").dt.date
    query = ReportQuery(sample.other, start=day, end=day)
    assert _count(conn, query) == (opened == day).sum() > 0
    assert columns.select(conn, query)[1].sum() == (opened == day).sum()


def test_elements_select_within_groups(loaded: tuple[Connection, Sample]) -> None:
    conn, sample = loaded
    first = sample.frame.dropna(subset="element").iloc[0]
    other = next(g for g in sample.frame["group"].dropna().unique() if g != first["group"])
    assert _count(conn, ReportQuery(sample.territory, groups=(first["group"],), elements=(first["element"],)))
    query = ReportQuery(sample.territory, groups=(other,), elements=(first["element"],))
    assert _count(conn, query) == 0 == columns.select(conn, query)[1].sum()


@pytest.mark.parametrize(
    "fields",
    [
        {"elements": ("' OR 1=1 --",)},
        {"types": (10**30,)},
        {"municipalities": (-1,)},
        {"statuses": (99, -7)},
        {"channels": (2**40,)},
        {"start": dt.date(9999, 12, 31)},
        {"end": dt.date(1, 1, 1)},
    ],
)
def test_values_that_no_report_has_find_nothing_and_break_nothing(
    loaded: tuple[Connection, Sample], fields: dict[str, Any]
) -> None:
    conn, sample = loaded
    query = ReportQuery(sample.territory, **fields)
    assert _count(conn, query) == 0
    assert columns.select(conn, query)[1].sum() == 0


def test_the_last_day_there_is_can_end_a_period(loaded: tuple[Connection, Sample]) -> None:
    conn, sample = loaded
    query = ReportQuery(sample.territory, end=dt.date(9999, 12, 31), default_points=True)
    assert _count(conn, query) == len(sample.frame) == columns.select(conn, query)[1].sum()


def test_a_period_that_ends_before_it_starts_is_refused() -> None:
    with pytest.raises(InputError, match="exchange them"):
        ReportQuery(1, start=dt.date(2025, 2, 1), end=dt.date(2025, 1, 1))


def test_a_code_with_a_nul_is_refused() -> None:
    with pytest.raises(InputError, match="not a code"):
        ReportQuery(1, elements=("B\x0001",))


def test_an_unknown_territory_is_said(loaded: tuple[Connection, Sample]) -> None:
    with pytest.raises(InputError, match="no territory 999"):
        territory_facts(loaded[0], 999)


def test_parents_in_sql_are_those_of_numpy(loaded: tuple[Connection, Sample]) -> None:
    rng = np.random.default_rng(3)
    cells = cells_of(rng.uniform(-180, 180, 500), rng.uniform(-90, 90, 500))
    for resolution in range(13):
        found = loaded[0].scalars(
            text(f"SELECT {parent_sql(resolution, 'c')} FROM unnest(CAST(:cells AS bigint[])) AS c"),
            {"cells": cells.tolist()},
        )
        assert list(found) == parents(cells, resolution).tolist()


def test_a_resolution_finer_than_the_store_keeps_is_refused() -> None:
    with pytest.raises(InputError, match="0 to 12"):
        parent_sql(13)
