"""Counts by cell and a cell's details, against plain pandas and the h3 library."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import h3
import numpy as np
import pandas as pd
import pytest
from sqlalchemy import Connection, text

from data import columns
from data.maps import cell_counts, cell_detail
from data.query import ReportQuery
from geo.errors import InputError
from tests.data.reports_sample import Sample, make_sample


@pytest.fixture(scope="module")
def loaded(module_store: Any) -> Iterator[tuple[Connection, Sample]]:
    with module_store.engine.begin() as conn:
        sample = make_sample(conn)
        columns.refresh(conn, sample.territory)
    with module_store.engine.connect() as conn:
        yield conn, sample


def _parents(frame: pd.DataFrame, resolution: int) -> pd.Series:
    return frame["cell_text"].map(lambda c: h3.str_to_int(h3.cell_to_parent(c, resolution)))


def _drawn(sample: Sample, query: ReportQuery) -> pd.DataFrame:
    chosen = sample.choose(query)
    return chosen[chosen["cell_text"].notna()]


def test_counts_of_every_cell_at_every_resolution_are_those_of_pandas(
    loaded: tuple[Connection, Sample],
) -> None:
    conn, sample = loaded
    rng = np.random.default_rng(4)
    for query in [ReportQuery(sample.territory), *(sample.random_query(rng) for _ in range(25))]:
        answer = cell_counts(conn, query)
        drawn = _drawn(sample, query)
        assert answer.shown == len(drawn)
        assert list(answer.levels) == [4, 5, 6, 7, 8, 9, 10]
        for resolution, level in answer.levels.items():
            cells = _parents(drawn, resolution)
            expected = cells.value_counts()
            assert dict(zip(level.cells.tolist(), level.counts.tolist(), strict=True)) == expected.to_dict()
            assert (np.diff(level.cells) > 0).all()
            votes = drawn.assign(c=cells).dropna(subset="municipality_id").groupby("c")["municipality_id"]
            most = votes.agg(lambda ids: ids.mode().min()).to_dict()
            assert level.area_ids.tolist() == [int(most.get(cell, 0)) for cell in level.cells.tolist()]
            assert level.counts.dtype == level.cells.dtype == level.area_ids.dtype == np.int64


def test_what_is_left_out_is_counted_by_reason(loaded: tuple[Connection, Sample]) -> None:
    conn, sample = loaded
    rng = np.random.default_rng(8)
    seen = np.zeros(3, dtype=int)
    for query in [ReportQuery(sample.territory), *(sample.random_query(rng) for _ in range(25))]:
        answer = cell_counts(conn, query)
        with_defaults = sample.choose(query, default_points=True)
        chosen = sample.choose(query)
        placeless = chosen[chosen["cell_text"].isna()]
        left = answer.left_out
        assert left.no_point == len(placeless)
        assert left.area_only == (placeless["precision"] == 1).sum()
        assert left.default_points == len(with_defaults) - len(chosen)
        assert answer.shown + left.total == len(with_defaults)
        seen += (left.no_point, left.area_only, left.default_points)
    assert (seen > 0).all()


def test_the_finest_level_has_no_more_cells_than_allowed(loaded: tuple[Connection, Sample]) -> None:
    conn, sample = loaded
    query = ReportQuery(sample.territory)
    full = cell_counts(conn, query)
    allowed = len(full.levels[8].cells)
    assert list(cell_counts(conn, query, max_cells=allowed).levels) == [4, 5, 6, 7, 8]
    assert list(cell_counts(conn, query, max_cells=allowed - 1).levels) == [4, 5, 6, 7]
    # Something is drawn in any case.
    assert list(cell_counts(conn, query, max_cells=0).levels) == [4]


def test_levels_end_at_the_finest_that_was_asked_for(loaded: tuple[Connection, Sample]) -> None:
    conn, sample = loaded
    query = ReportQuery(sample.territory)
    assert list(cell_counts(conn, query, finest=6).levels) == [4, 5, 6]
    assert list(cell_counts(conn, query, finest=2).levels) == [2]
    for wrong in (-1, 11):
        with pytest.raises(InputError, match="0 to 10"):
            cell_counts(conn, query, finest=wrong)


def test_the_mean_area_of_a_level_is_that_of_its_cells(loaded: tuple[Connection, Sample]) -> None:
    conn, sample = loaded
    for level in cell_counts(conn, ReportQuery(sample.territory)).levels.values():
        exact = np.mean([h3.cell_area(h3.int_to_str(cell), "km^2") for cell in level.cells.tolist()])
        # h3 computes on a sphere, which differs from the ellipsoid by up to 0.7 %.
        assert level.km2 == pytest.approx(exact, rel=0.01)


def test_a_query_that_fits_nothing_gives_empty_levels(loaded: tuple[Connection, Sample]) -> None:
    conn, sample = loaded
    answer = cell_counts(conn, ReportQuery(sample.territory, end=dt.date(1999, 1, 1)))
    assert answer.shown == answer.left_out.total == 0
    assert [len(level.cells) for level in answer.levels.values()] == [0] * 7
    assert all(np.isnan(level.km2) for level in answer.levels.values())


def _named(parts: Any) -> dict[Any, int]:
    return {part.key: part.count for part in parts}


def _counted(values: pd.Series) -> dict[Any, int]:
    return {
        None if pd.isna(key) else int(key) if isinstance(key, float) else key: int(n)
        for key, n in values.value_counts(dropna=False).items()
    }


def test_a_cells_details_are_those_of_pandas_at_every_resolution(loaded: tuple[Connection, Sample]) -> None:
    conn, sample = loaded
    rng = np.random.default_rng(21)
    for query in [ReportQuery(sample.territory), *(sample.random_query(rng) for _ in range(8))]:
        for resolution, level in cell_counts(conn, query).levels.items():
            if not len(level.cells):
                continue
            at = int(rng.integers(len(level.cells)))
            cell = int(level.cells[at])
            drawn = _drawn(sample, query)
            inside = drawn[_parents(drawn, resolution) == cell]
            detail = cell_detail(conn, query, cell, resolution)
            assert detail.count == len(inside) == level.counts[at]
            assert detail.rate == pytest.approx(detail.count / detail.km2)
            assert _named(detail.by_element) == _counted(inside["element"])
            assert _named(detail.by_group) == _counted(inside["group"])
            assert _named(detail.by_type) == _counted(inside["type_id"])
            assert _named(detail.by_status) == _counted(inside["status"])
            assert _named(detail.by_channel) == _counted(inside["channel"])
            months = {month: n for month, n in detail.by_month if n}
            assert months == _counted(inside["local_month"])
            assert (detail.first, detail.last) == (inside["local_day"].min(), inside["local_day"].max())
            for parts in (detail.by_element, detail.by_type, detail.by_status):
                assert [p.count for p in parts] == sorted((p.count for p in parts), reverse=True)
            name = conn.scalar(
                text("SELECT name_en FROM area WHERE id = :id"), {"id": int(level.area_ids[at])}
            )
            assert detail.municipality_en == name


def test_months_of_a_cell_without_reports_between_are_listed_with_zero(
    loaded: tuple[Connection, Sample],
) -> None:
    conn, sample = loaded
    query = ReportQuery(sample.territory)
    level = cell_counts(conn, query).levels[4]
    months = [month for month, _ in cell_detail(conn, query, int(level.cells[0])).by_month]
    expected = pd.date_range(months[0], months[-1], freq="MS").date.tolist()
    assert months == expected


def test_a_cell_without_reports_has_a_count_of_zero_and_no_names(loaded: tuple[Connection, Sample]) -> None:
    conn, sample = loaded
    cell = h3.str_to_int(h3.latlng_to_cell(-40.0, 100.0, 8))
    detail = cell_detail(conn, ReportQuery(sample.territory), cell)
    assert (detail.count, detail.rate, detail.resolution) == (0, 0.0, 8)
    assert detail.by_element == detail.by_month == ()
    assert detail.municipality_en is detail.district_ar is detail.first is None


@pytest.mark.parametrize(
    "cell",
    [0, -1, 17, 2**70, h3.str_to_int(h3.latlng_to_cell(26, 49, 11)), h3.str_to_int("1152d19bffffffff")],
)
def test_what_is_no_cell_of_the_map_is_refused(loaded: tuple[Connection, Sample], cell: int) -> None:
    conn, sample = loaded
    with pytest.raises(InputError, match="not an H3 cell"):
        cell_detail(conn, ReportQuery(sample.territory), cell)


def test_a_cell_of_another_resolution_than_said_is_refused(loaded: tuple[Connection, Sample]) -> None:
    conn, sample = loaded
    cell = h3.str_to_int(h3.latlng_to_cell(26, 49, 8))
    with pytest.raises(InputError, match="resolution 8, not 7"):
        cell_detail(conn, ReportQuery(sample.territory), cell, 7)
