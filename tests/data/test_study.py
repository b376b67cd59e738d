"""The study area as cells, and reports by cell and time, against plain pandas."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import h3
import numpy as np
import pandas as pd
import pytest
import shapely
from sqlalchemy import Connection, text

from data import columns
from data.analyses import kept
from data.analyses.study import counts_of, cube, study, study_cells
from data.query import ReportQuery
from geo.cells import cells_covering
from geo.errors import InputError
from tests.data.reports_sample import Sample, make_sample


@pytest.fixture(scope="module")
def loaded(module_store: Any) -> Iterator[tuple[Connection, Sample]]:
    with module_store.engine.begin() as conn:
        sample = make_sample(conn)
        conn.execute(
            text("UPDATE territory SET study_area = ST_GeomFromText(:shape, 4326) WHERE id = :id"),
            {"shape": shapely.MultiPolygon([SQUARE]).wkt, "id": sample.territory},
        )
        columns.refresh(conn, sample.territory)
    with module_store.engine.connect() as conn:
        yield conn, sample


SQUARE = shapely.box(49.9, 26.2, 50.3, 26.6)


def _cells(frame: pd.DataFrame, resolution: int) -> pd.Series:
    return frame["cell_text"].map(lambda c: h3.str_to_int(h3.cell_to_parent(c, resolution)))


def test_every_cell_whose_centre_lies_in_the_study_area_is_there_with_its_count_or_zero(
    loaded: tuple[Connection, Sample],
) -> None:
    conn, sample = loaded
    rng = np.random.default_rng(3)
    for query in [ReportQuery(sample.territory), *(sample.random_query(rng) for _ in range(12))]:
        query = replace(query, municipalities=(), districts=())
        answer = study(conn, query, 7)
        assert answer.bounded
        assert answer.cells.tolist() == cells_covering(SQUARE, 7).tolist()
        drawn = sample.choose(query)
        drawn = drawn[drawn["cell_text"].notna()]
        counted = _cells(drawn, 7).value_counts()
        inside = counted[counted.index.isin(answer.cells)]
        assert answer.counts.sum() == inside.sum()
        assert dict(zip(answer.cells.tolist(), answer.counts.tolist(), strict=True)) == {
            cell: int(inside.get(cell, 0)) for cell in answer.cells.tolist()
        }
        assert answer.outside == counted.sum() - inside.sum()
        assert counts_of(conn, query, answer.cells, 7).tolist() == answer.counts.tolist()


def test_reports_outside_the_cells_are_said(loaded: tuple[Connection, Sample]) -> None:
    conn, sample = loaded
    answer = study(conn, ReportQuery(sample.territory), 7)
    said = {remark.code: dict(remark.values) for remark in answer.remarks}
    assert answer.outside > 0
    assert said["study_outside"] == {"reports": answer.outside}


def test_chosen_areas_narrow_the_study_area(loaded: tuple[Connection, Sample]) -> None:
    conn, sample = loaded
    one = ReportQuery(sample.territory, municipalities=(sample.municipalities[0],))
    shape = shapely.from_wkb(
        bytes(
            conn.execute(
                text("SELECT ST_AsBinary(geom) FROM area WHERE id = :id"), {"id": sample.municipalities[0]}
            ).scalar_one()
        )
    )
    assert study_cells(conn, one, 6)[0].tolist() == cells_covering(shape, 6).tolist()


def test_an_area_of_elsewhere_is_refused(loaded: tuple[Connection, Sample]) -> None:
    conn, sample = loaded
    with pytest.raises(InputError, match="areas"):
        study_cells(conn, ReportQuery(sample.territory, municipalities=(987654,)), 6)


def test_without_boundaries_the_area_is_the_cells_with_reports_and_those_around(
    loaded: tuple[Connection, Sample],
) -> None:
    conn, sample = loaded
    with conn.begin_nested() as undo:
        conn.execute(
            text("UPDATE territory SET study_area = NULL, data_version = data_version + 1 WHERE id = :id"),
            {"id": sample.territory},
        )
        answer = study(conn, ReportQuery(sample.territory), 7)
        frame = sample.frame[sample.frame["cell_text"].notna()]
        around = {
            h3.str_to_int(c)
            for cell in set(frame["cell_text"].map(lambda c: h3.cell_to_parent(c, 7)))
            for c in h3.grid_disk(cell, 1)
        }
        assert not answer.bounded
        assert set(answer.cells.tolist()) == around
        assert "study_guessed" in [remark.code for remark in answer.remarks]
        undo.rollback()


@pytest.mark.parametrize("step", ["day", "week", "month"])
def test_the_cube_counts_as_pandas_does(loaded: tuple[Connection, Sample], step: Any) -> None:
    conn, sample = loaded
    rng = np.random.default_rng(8)
    cells = cells_covering(SQUARE, 7)
    for query in [ReportQuery(sample.territory), *(sample.random_query(rng) for _ in range(8))]:
        found = cube(conn, query, cells, 7, step)
        assert found.counts.shape == (len(cells), len(found.starts))
        drawn = sample.choose(query)
        drawn = drawn[drawn["cell_text"].notna()].assign(c=lambda f: _cells(f, 7))
        drawn = drawn[drawn["c"].isin(cells)]
        days = pd.to_datetime(drawn["local_day"])
        place = np.searchsorted(found.starts, days.to_numpy().astype("datetime64[D]"), "right") - 1
        expected = np.zeros_like(found.counts)
        np.add.at(expected, (np.searchsorted(cells, drawn["c"].to_numpy()), place), 1)
        assert found.counts.tolist() == expected.tolist()


def test_months_begin_on_the_first_and_the_ends_that_are_cut_are_partial(
    loaded: tuple[Connection, Sample],
) -> None:
    conn, sample = loaded
    query = ReportQuery(sample.territory, start=dt.date(2025, 2, 10), end=dt.date(2025, 5, 31))
    found = cube(conn, query, cells_covering(SQUARE, 7), 7, "month")
    assert found.starts.astype(str).tolist() == ["2025-02-01", "2025-03-01", "2025-04-01", "2025-05-01"]
    assert found.partial.tolist() == [True, False, False, False]
    assert found.whole().counts.shape[1] == 3


def test_weeks_are_counted_back_from_the_last_day(loaded: tuple[Connection, Sample]) -> None:
    conn, sample = loaded
    query = ReportQuery(sample.territory, start=dt.date(2025, 3, 1), end=dt.date(2025, 3, 31))
    found = cube(conn, query, cells_covering(SQUARE, 7), 7, "week")
    assert found.starts.astype(str).tolist() == [
        "2025-02-25", "2025-03-04", "2025-03-11", "2025-03-18", "2025-03-25",
    ]  # fmt: skip
    assert found.partial.tolist() == [True, False, False, False, False]


def test_a_kept_result_is_found_again_until_the_data_change(loaded: tuple[Connection, Sample]) -> None:
    conn, sample = loaded
    query = ReportQuery(sample.territory)
    key = kept.key_of(query, 7, "month")
    assert key == kept.key_of(ReportQuery(sample.territory), 7, "month")
    assert key != kept.key_of(query, 8, "month")
    with conn.begin_nested() as undo:
        kept.remember(conn, sample.territory, "scan", key, 5, {"clusters": [1, 2]})
        assert kept.recall(conn, sample.territory, "scan", key, 5) == {"clusters": [1, 2]}
        assert kept.recall(conn, sample.territory, "scan", key, 6) is None
        kept.remember(conn, sample.territory, "scan", "other", 6, {})
        assert kept.recall(conn, sample.territory, "scan", key, 5) is None
        undo.rollback()
