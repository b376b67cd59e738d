"""Two questions side by side: totals, days and the ratio of their rates."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Connection

from data import columns
from data.analyses.comparison import comparison
from data.query import ReportQuery
from geo.errors import InputError
from geo.ratios import dispersion, rate_ratio
from tests.data.reports_sample import Sample, make_sample


@pytest.fixture(scope="module")
def loaded(module_store: Any) -> Iterator[tuple[Connection, Sample]]:
    with module_store.engine.begin() as conn:
        sample = make_sample(conn)
        columns.refresh(conn, sample.territory)
    with module_store.engine.connect() as conn:
        yield conn, sample


def codes(found: Any) -> set[str]:
    return {remark.code for remark in found.remarks}


def test_two_periods_are_compared_by_reports_a_day(loaded: tuple[Connection, Sample]) -> None:
    conn, sample = loaded
    first = ReportQuery(sample.territory, start=dt.date(2025, 5, 1), end=dt.date(2025, 5, 31))
    second = ReportQuery(sample.territory, start=dt.date(2025, 2, 1), end=dt.date(2025, 3, 31))
    found = comparison(conn, first, second)
    a, b = sample.choose(first), sample.choose(second)
    assert found.counts == (len(a), len(b))
    assert found.days == (31, 59)
    assert found.shared == 0
    weeks = []
    for frame, start, n in ((a, first.start, 4), (b, second.start, 8)):
        since = frame["local_day"].map(lambda day, start=start: (day - start).days // 7)
        weeks.append([int((since == k).sum()) for k in range(n)])
    scatter = dispersion(weeks)
    assert found.ratio == rate_ratio(len(a), len(b), 31, 59, dispersion=scatter)
    assert ("compare_scatter" in codes(found)) == (scatter > 1.5)


def test_days_without_data_do_not_count_as_days_without_reports(loaded: tuple[Connection, Sample]) -> None:
    conn, sample = loaded
    early = ReportQuery(sample.territory, start=dt.date(2024, 6, 1), end=dt.date(2025, 2, 14))
    late = ReportQuery(sample.territory, start=dt.date(2025, 3, 1), end=dt.date(2025, 3, 31))
    found = comparison(conn, early, late)
    first = sample.frame["local_day"].min()
    assert found.days[0] == (early.end - first).days + 1
    assert "compare_cut" in codes(found)
    cut = dict(next(r for r in found.remarks if r.code == "compare_cut").values)
    assert cut == {"first": first.isoformat(), "last": "2025-02-14"}
    never = ReportQuery(sample.territory, start=dt.date(2020, 1, 1), end=dt.date(2020, 12, 31))
    nothing = comparison(conn, never, late)
    assert nothing.counts[0] == 0
    assert nothing.ratio is None
    assert "compare_outside" in codes(nothing)


def test_questions_that_share_reports_get_no_ratio(loaded: tuple[Connection, Sample]) -> None:
    conn, sample = loaded
    group = str(sample.frame["group"].dropna().iloc[0])
    whole, part = ReportQuery(sample.territory), ReportQuery(sample.territory, groups=(group,))
    found = comparison(conn, whole, part)
    assert found.shared == found.counts[1] == len(sample.choose(part))
    assert found.ratio is None


def test_short_periods_say_so(loaded: tuple[Connection, Sample]) -> None:
    conn, sample = loaded
    first = ReportQuery(sample.territory, start=dt.date(2025, 3, 1), end=dt.date(2025, 3, 7))
    second = ReportQuery(sample.territory, start=dt.date(2025, 2, 22), end=dt.date(2025, 2, 28))
    assert "compare_short" in codes(comparison(conn, first, second))


def test_two_territories_are_not_compared(loaded: tuple[Connection, Sample]) -> None:
    conn, sample = loaded
    with pytest.raises(InputError):
        comparison(conn, ReportQuery(sample.territory), ReportQuery(sample.other))
