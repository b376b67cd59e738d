"""The columns of a territory: stored or read afresh, they say the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sqlalchemy import Connection, text

from data import columns
from data.query import ReportQuery
from geo.errors import InputError
from tests.data.reports_sample import Sample, make_sample

EVERYTHING = [*columns.RUN_COLUMNS, *columns.REPORT_COLUMNS]


def _all(conn: Connection, territory: int) -> dict[str, np.ndarray]:
    found = columns.load(conn, territory, EVERYTHING)
    return found.runs | found.reports


def _stored(conn: Connection) -> int:
    return int(conn.scalar(text("SELECT count(*) FROM report_column")) or 0)


def test_stored_columns_are_those_read_from_the_reports(store: Any) -> None:
    with store.engine.begin() as conn:
        sample = make_sample(conn)
        assert _stored(conn) == 0
        assert not columns.is_current(conn, sample.territory)
        fresh = _all(conn, sample.territory)
        assert columns.refresh(conn, sample.territory) == len(sample.frame)
        assert _stored(conn) == len(EVERYTHING)
        assert columns.is_current(conn, sample.territory)
        kept = _all(conn, sample.territory)
        assert set(fresh) == set(kept) == set(EVERYTHING)
        for name in EVERYTHING:
            np.testing.assert_array_equal(fresh[name], kept[name], err_msg=name)
        assert kept["length"].sum() == len(sample.frame)
        assert (np.diff(kept["cell"]) >= 0).all()


def test_columns_of_an_older_data_version_are_not_used(store: Any) -> None:
    with store.engine.begin() as conn:
        sample: Sample = make_sample(conn, rows=60)
        columns.refresh(conn, sample.territory)
        conn.execute(text("DELETE FROM report WHERE id % 2 = 0"))
        # Without a new version the columns are taken for true: whoever changes reports must say so.
        assert columns.load(conn, sample.territory, ["state"]).rows == 60
        conn.execute(text("UPDATE territory SET data_version = data_version + 1"))
        assert not columns.is_current(conn, sample.territory)
        left = int(
            conn.scalar(text("SELECT count(*) FROM report WHERE territory_id = :t"), {"t": sample.territory})
        )
        assert 0 < left < 60
        assert columns.load(conn, sample.territory, ["state"]).rows == left
        columns.refresh(conn, sample.territory)
        assert columns.load(conn, sample.territory, ["state"]).rows == left
        assert _stored(conn) == len(EVERYTHING)


def test_a_territory_without_reports_has_empty_columns(store: Any) -> None:
    with store.engine.begin() as conn:
        territory = conn.scalar(
            text("INSERT INTO territory (code, name_ar, name_en) VALUES ('a', 'ا', 'a') RETURNING id")
        )
        for _ in range(2):
            found, chosen = columns.select(conn, ReportQuery(territory, municipalities=(1,)), EVERYTHING)
            assert found.rows == len(chosen) == len(found.per_run(chosen)) == 0
            columns.refresh(conn, territory)
        with pytest.raises(InputError, match="no territory"):
            columns.refresh(conn, 99)


def test_reports_are_read_in_parts_without_losing_any(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with store.engine.begin() as conn:
        sample = make_sample(conn, rows=100)
        whole = _all(conn, sample.territory)
        monkeypatch.setattr(columns, "_CHUNK", 7)
        parts = _all(conn, sample.territory)
        for name in EVERYTHING:
            np.testing.assert_array_equal(np.sort(whole[name]), np.sort(parts[name]), err_msg=name)


def test_large_ids_and_extreme_dates_survive_the_packing(store: Any) -> None:
    with store.engine.begin() as conn:
        sample = make_sample(conn, rows=60)
        largest = 2**31 - 1
        conn.execute(
            text(
                """UPDATE report SET type_id = :id, municipality_id = :id, district_id = :id,
                     governorate_id = :id, amana_id = :id, region_id = :id, element_id = 32767,
                     status = 13, channel = 6, opened_at = '1913-05-06 00:00+00',
                     closed_at = '9000-01-01 00:00+00' WHERE id = :report"""
            ),
            {"id": largest, "report": int(sample.frame["id"].iloc[10])},
        )
        conn.execute(
            text("UPDATE report SET opened_at = '1700-01-01 00:00+00' WHERE id = :report"),
            {"report": int(sample.frame["id"].iloc[11])},
        )
        found = _all(conn, sample.territory)
        at = int(np.flatnonzero(found["type"] == largest)[0])
        assert found["element"][at] == 32767
        assert columns.as_date(int(found["day"][at])).isoformat() == "1913-05-06"
        assert found["minutes"][at] == largest
        assert found["state"][at] & columns.STATUS_BITS == 13
        assert found["channel"][at] == 6
        run = int(np.searchsorted(np.cumsum(found["length"]), at, "right"))
        assert {
            found[level][run] for level in ("region", "amana", "governorate", "municipality", "district")
        } == {largest}
        # The calendar of the columns begins in 1910: older is put at its beginning.
        assert found["day"].min() == -32768


def test_days_become_months_with_the_empty_ones_between() -> None:
    days = (np.array(["2025-03-31", "2025-01-31", "2025-01-01"], dtype="M8[D]") - columns.DAY_ZERO).astype(
        np.int16
    )
    months, counts = columns.by_month(days)
    assert months.astype(str).tolist() == ["2025-01", "2025-02", "2025-03"]
    assert counts.tolist() == [2, 0, 1]
    assert columns.by_month(days[:0])[1].tolist() == []


def test_a_few_stray_days_of_long_ago_do_not_begin_the_record() -> None:
    days = np.r_[-9_000, np.repeat(np.arange(100, 200), 30)]
    assert columns.first_day(days) == 100
    assert columns.first_day(days[-1:]) == 199
