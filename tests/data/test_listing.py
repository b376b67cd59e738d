"""The reports behind a place: those that are counted there, newest first, page by page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import h3
import numpy as np
import pandas as pd
import pytest
from sqlalchemy import Connection, text

from data import columns
from data.listing import ReportLine, reports_behind
from data.query import ReportQuery
from geo.errors import InputError
from tests.data.reports_sample import ZONE, Sample, make_sample


@pytest.fixture(scope="module")
def loaded(module_store: Any) -> Iterator[tuple[Connection, Sample]]:
    with module_store.engine.begin() as conn:
        sample = make_sample(conn)
        columns.refresh(conn, sample.territory)
    with module_store.engine.connect() as conn:
        yield conn, sample


def expected(sample: Sample, query: ReportQuery, cells: list[int], resolution: int) -> pd.DataFrame:
    frame = sample.choose(query)
    frame = frame[frame["cell_text"].notna()]
    inside = frame["cell_text"].map(lambda c: h3.str_to_int(h3.cell_to_parent(c, resolution))).isin(cells)
    return frame[inside].sort_values(["opened_at", "id"], ascending=False)


def everything(conn: Connection, query: ReportQuery, cells: list[int], lines: int = 40) -> list[ReportLine]:
    found: list[ReportLine] = []
    while True:
        page = reports_behind(conn, query, cells, skip=len(found), lines=lines)
        found += page.lines
        if not page.more:
            return found


def test_the_pages_hold_every_report_of_the_cell_once_newest_first(
    loaded: tuple[Connection, Sample],
) -> None:
    conn, sample = loaded
    rng = np.random.default_rng(8)
    for query in [ReportQuery(sample.territory), *(sample.random_query(rng) for _ in range(8))]:
        frame = expected(sample, query, [], 5)
        tops = sample.choose(query)["cell_text"].dropna()
        if not len(tops):
            continue
        cell = h3.str_to_int(h3.cell_to_parent(tops.iloc[0], 6))
        frame = expected(sample, query, [cell], 6)
        found = everything(conn, query, [cell])
        assert [line.reference for line in found] == frame["reference"].tolist()


def test_several_cells_are_one_list(loaded: tuple[Connection, Sample]) -> None:
    conn, sample = loaded
    query = replace(ReportQuery(sample.territory), channels=(1, 2, 3))
    texts = sample.frame["cell_text"].dropna()
    cells = sorted({h3.str_to_int(h3.cell_to_parent(c, 8)) for c in texts})[:7]
    frame = expected(sample, query, cells, 8)
    assert len(frame) > 20
    assert [line.reference for line in everything(conn, query, cells, 7)] == frame["reference"].tolist()


def test_times_are_local_and_names_are_those_of_the_taxonomy(loaded: tuple[Connection, Sample]) -> None:
    conn, sample = loaded
    row = sample.frame[sample.frame["element"].notna() & sample.frame["cell_text"].notna()].iloc[0]
    cell = h3.str_to_int(row["cell_text"])
    query = ReportQuery(sample.territory, default_points=True)
    line = next(x for x in everything(conn, query, [cell]) if x.reference == row["reference"])
    assert line.opened == row["opened_at"].tz_convert(ZONE).tz_localize(None).to_pydatetime()
    name = conn.scalar(text("SELECT name_en FROM element WHERE id = :id"), {"id": int(row["element_id"])})
    assert line.element_en == name
    assert (line.status, line.channel, line.same) == (row["status"], row["channel"], None)


def test_another_territory_has_its_own_list(loaded: tuple[Connection, Sample]) -> None:
    conn, sample = loaded
    cell = int(
        conn.scalar(text("SELECT cell FROM report WHERE territory_id = :t AND cell > 0"), {"t": sample.other})
    )
    page = reports_behind(conn, ReportQuery(sample.other), [cell])
    assert page.lines
    assert all(line.reference.startswith("W") for line in page.lines)


@pytest.mark.parametrize(("skip", "lines"), [(-1, 10), (0, 0), (0, 201)])
def test_a_page_that_cannot_be_is_refused(loaded: tuple[Connection, Sample], skip: int, lines: int) -> None:
    conn, sample = loaded
    with pytest.raises(InputError):
        reports_behind(conn, ReportQuery(sample.territory), [0x88536E4131FFFFF], skip=skip, lines=lines)


def test_the_list_of_one_cell_is_served_by_the_index_on_cells(loaded: tuple[Connection, Sample]) -> None:
    conn, sample = loaded
    plan = conn.execute(
        text(
            "EXPLAIN SELECT id FROM report r WHERE r.territory_id = :t AND r.cell BETWEEN :a AND :b"
            " ORDER BY opened_at DESC, id DESC LIMIT 10"
        ),
        {"t": sample.territory, "a": 0x8C536E4131001FF, "b": 0x8C536E4131003FF},
    ).scalars()
    assert "ix_report_cell" in "\n".join(plan)
