"""Ranks, months, headline and choices, against plain pandas."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import Connection, text

from data import columns
from data.query import ReportQuery
from data.summaries import choices, headline, monthly, parts, ranked_areas
from geo.errors import InputError
from tests.data.reports_sample import Sample, make_sample


@pytest.fixture(scope="module", params=["stored", "read afresh"])
def loaded(request: pytest.FixtureRequest, server: Any) -> Iterator[tuple[Connection, Sample]]:
    with server.database() as store:
        with store.engine.begin() as conn:
            sample = make_sample(conn)
            if request.param == "stored":
                columns.refresh(conn, sample.territory)
        with store.engine.connect() as conn:
            yield conn, sample


def _queries(sample: Sample, seed: int, n: int = 20) -> list[ReportQuery]:
    rng = np.random.default_rng(seed)
    return [ReportQuery(sample.territory), *(sample.random_query(rng) for _ in range(n))]


def test_ranked_areas_count_what_pandas_counts(loaded: tuple[Connection, Sample]) -> None:
    conn, sample = loaded
    for query in _queries(sample, 1):
        chosen = sample.choose(query)
        for level in ("region", "municipality", "district"):
            expected = chosen.groupby(f"{level}_id")["open"].agg(["size", "sum"])
            found = {rank.id: rank for rank in ranked_areas(conn, query, level)}
            assert {i: r.count for i, r in found.items() if r.count} == expected["size"].to_dict()
            assert {i: r.open for i, r in found.items() if r.count} == expected["sum"].to_dict()


def test_parts_are_what_pandas_counts_and_each_adds_up(loaded: tuple[Connection, Sample]) -> None:
    conn, sample = loaded
    for query in _queries(sample, 7):
        chosen = sample.choose(query)
        found = parts(conn, query)
        assert found.total == len(chosen)
        for rows, column in (
            (found.by_group, "group"),
            (found.by_element, "element"),
            (found.by_type, "type_id"),
            (found.by_status, "status"),
            (found.by_channel, "channel"),
        ):
            expected = chosen[column].value_counts().to_dict()
            assert {row.key: row.count for row in rows if row.key is not None} == expected
            assert sum(row.count for row in rows) == found.total
            assert [row.count for row in rows] == sorted((row.count for row in rows), reverse=True)


def test_areas_are_ranked_by_count_and_those_without_reports_come_last(
    loaded: tuple[Connection, Sample],
) -> None:
    conn, sample = loaded
    code = sample.frame["element"].dropna().iloc[0]
    query = ReportQuery(
        sample.territory, elements=(code,), start=dt.date(2025, 2, 1), end=dt.date(2025, 2, 12)
    )
    ranks = ranked_areas(conn, query, "district")
    assert [rank.id for rank in ranks if rank.count == 0]
    assert {rank.id for rank in ranks} == set(sample.districts)
    assert [rank.count for rank in ranks] == sorted((rank.count for rank in ranks), reverse=True)
    for rank in ranks:
        assert rank.rate_km2 == pytest.approx(rank.count / rank.area_km2)
        assert rank.illustrative


def test_areas_of_the_past_and_areas_that_the_query_leaves_out_are_not_ranked(
    loaded: tuple[Connection, Sample],
) -> None:
    conn, sample = loaded
    everywhere = ranked_areas(conn, ReportQuery(sample.territory), "municipality")
    assert {rank.id for rank in everywhere} == set(sample.municipalities)
    assert not any(rank.illustrative for rank in everywhere)
    one = ReportQuery(sample.territory, municipalities=(sample.municipalities[1],))
    assert [rank.id for rank in ranked_areas(conn, one, "municipality")] == [sample.municipalities[1]]


def test_an_unknown_level_is_refused_and_a_level_without_areas_is_empty(
    loaded: tuple[Connection, Sample],
) -> None:
    conn, sample = loaded
    assert ranked_areas(conn, ReportQuery(sample.territory), "amana") == []
    with pytest.raises(InputError, match="choose one of region"):
        ranked_areas(conn, ReportQuery(sample.territory), "street; DROP TABLE report")


def test_months_are_local_and_count_what_pandas_counts(loaded: tuple[Connection, Sample]) -> None:
    conn, sample = loaded
    utc = sample.frame["opened_at"].dt.strftime("%Y-%m-01").value_counts()
    for query in _queries(sample, 2):
        chosen = sample.choose(query)
        found = monthly(conn, query)
        expected = chosen.groupby("local_month")["open"].agg(["size", "sum"])
        assert {m.month: m.count for m in found if m.count} == expected["size"].to_dict()
        assert {m.month: m.open for m in found if m.open} == expected["sum"][expected["sum"] > 0].to_dict()
        assert len(found) == len({m.month for m in found})
    # The borders matter: by UTC the months would be others.
    whole = {str(m.month): m.count for m in monthly(conn, ReportQuery(sample.territory, default_points=True))}
    assert whole != utc.to_dict()


def test_months_without_reports_are_listed_and_cut_months_are_marked(
    loaded: tuple[Connection, Sample],
) -> None:
    conn, sample = loaded
    first, last = sample.frame["local_day"].min(), sample.frame["local_day"].max()
    nothing = monthly(conn, ReportQuery(sample.territory, elements=("none",)))
    assert [m.month for m in nothing] == pd.date_range(first.replace(day=1), last, freq="MS").date.tolist()
    assert {m.count for m in nothing} == {0}
    # The first report comes in the middle of January.
    assert (nothing[0].partial, nothing[1].partial) == (True, False)
    cut = monthly(conn, ReportQuery(sample.territory, start=dt.date(2025, 2, 1), end=dt.date(2025, 4, 10)))
    assert [(m.month.month, m.partial) for m in cut] == [(2, False), (3, False), (4, True)]
    whole = monthly(conn, ReportQuery(sample.territory, start=dt.date(2025, 2, 2), end=dt.date(2025, 3, 31)))
    assert [(m.month.month, m.partial) for m in whole] == [(2, True), (3, False)]


def test_months_outside_the_reports_are_unknown_not_zero(loaded: tuple[Connection, Sample]) -> None:
    conn, sample = loaded
    assert monthly(conn, ReportQuery(sample.territory, end=dt.date(2020, 1, 1))) == []
    wide = monthly(conn, ReportQuery(sample.territory, start=dt.date(1980, 1, 1), end=dt.date(2090, 1, 1)))
    assert wide == monthly(conn, ReportQuery(sample.territory))


def test_headline_figures_are_those_of_pandas(loaded: tuple[Connection, Sample]) -> None:
    conn, sample = loaded
    medians = 0
    for query in _queries(sample, 3):
        chosen = sample.choose(query)
        found = headline(conn, query)
        assert found.reports == len(chosen)
        assert found.open == chosen["open"].sum()
        assert found.closed == (~chosen["open"]).sum()
        took = (chosen["closed_at"] - chosen["opened_at"])[~chosen["open"]].dropna()
        took = took[took >= pd.Timedelta(0)].dt.total_seconds() // 60 / 1440
        if len(took):
            assert found.median_days_to_close == pytest.approx(took.median())
            medians += 1
        else:
            assert found.median_days_to_close is None
        if len(chosen):
            assert found.closed_share == pytest.approx((~chosen["open"]).mean())
            assert (found.first, found.last) == (chosen["local_day"].min(), chosen["local_day"].max())
    assert medians > 5


def test_a_headline_over_nothing_has_no_share_and_no_days(loaded: tuple[Connection, Sample]) -> None:
    conn, sample = loaded
    found = headline(conn, ReportQuery(sample.territory, elements=("none",)))
    assert (found.reports, found.open, found.closed) == (0, 0, 0)
    assert found.closed_share is found.median_days_to_close is found.first is found.last is None


def test_choices_are_what_occurs_with_its_count(loaded: tuple[Connection, Sample]) -> None:
    conn, sample = loaded
    found = choices(conn, sample.territory)
    chosen = sample.choose(ReportQuery(sample.territory))
    for name, column in (
        ("elements", "element"),
        ("groups", "group"),
        ("types", "type_id"),
        ("channels", "channel"),
        ("statuses", "status"),
        ("municipalities", "municipality_id"),
        ("districts", "district_id"),
    ):
        offered = {choice.key: choice.count for choice in getattr(found, name)}
        assert offered == chosen[column].dropna().value_counts().to_dict(), name
    assert (found.first, found.last) == (chosen["local_day"].min(), chosen["local_day"].max())
    assert sample.retired not in {choice.key for choice in found.municipalities}
    assert all(choice.name_en for choice in found.elements + found.groups + found.types)


def test_a_new_territory_offers_nothing(store: Any) -> None:
    with store.engine.begin() as conn:
        territory = conn.scalar(
            text("INSERT INTO territory (code, name_ar, name_en) VALUES ('n', 'ن', 'n') RETURNING id")
        )
        found = choices(conn, territory)
        assert found.first is None
        assert found.elements == found.municipalities == found.statuses == ()
        assert (
            monthly(conn, ReportQuery(territory))
            == ranked_areas(conn, ReportQuery(territory), "district")
            == []
        )
