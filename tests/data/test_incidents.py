"""Incidents in the store: found, counted, kept up to date, and never half written."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Connection, text

from data import columns, incidents, reference, territories
from data.incidents import is_current, last_run, refresh_incidents
from data.query import ReportQuery, where
from data.vocabulary import Flag, Status
from geo.errors import Cancelled, InputError, StoreError
from tests.data.incident_city import City
from tests.data.reports_sample import make_sample


def kept(conn: Connection) -> dict[int, tuple[int, int, bool]]:
    """Report → (incident, place, lead)."""
    rows = conn.execute(text("SELECT report_id, incident_id, place_id, lead FROM report_incident"))
    return {row.report_id: (row.incident_id, row.place_id, row.lead) for row in rows}


def count(conn: Connection, query: ReportQuery) -> tuple[int, int]:
    condition, params = where(conn, query)
    by_sql = int(conn.scalar(text(f"SELECT count(*) FROM report r WHERE {condition}"), params) or 0)
    return by_sql, int(columns.select(conn, query)[1].sum())


def test_each_report_keeps_its_incident_and_its_place(store: Any) -> None:
    with store.engine.begin() as conn:
        city = City.made(conn)
        bulk = city.type_id("Bulk trash")
        hole = [city.add(0, closed=5), city.add(2, north=30, closed=6), city.add(9, north=10)]
        far = city.add(1, north=500)
        trash = [city.add(1, element=None, type_id=bulk), city.add(3, element=None, type_id=bulk, north=20)]
        alone = [
            city.add(1, flags=int(Flag.DEFAULT_POINT)),
            city.add(1, placed=False),
            city.add(1, element=None),  # of no kind: nothing to compare
        ]
    run = refresh_incidents(store.engine, city.territory)
    assert (run.reports, run.incidents) == (6, 4)
    with store.engine.connect() as conn:
        assert kept(conn) == {
            hole[0]: (hole[0], hole[0], True),
            hole[1]: (hole[0], hole[0], False),
            hole[2]: (hole[2], hole[0], True),  # after the closing: another incident, the same place
            far: (far, far, True),
            trash[0]: (trash[0], trash[0], True),
            trash[1]: (trash[0], trash[0], False),
        }
        rows = {
            row.id: row
            for row in conn.execute(
                text(
                    "SELECT *, round(extract(epoch FROM closed_at - first_at) / 86400) AS days FROM incident"
                )
            )
        }
        assert set(rows) == {hole[0], hole[2], far, trash[0]}
        first = rows[hole[0]]
        assert (first.reports, first.days, first.type_id) == (2, 5, None)
        assert first.lat == pytest.approx(26.0) and first.last_at > first.first_at
        assert rows[hole[2]].closed_at is None and rows[trash[0]].element_id is None
        everything = ReportQuery(city.territory, default_points=True)
        assert count(conn, everything) == (9, 9)
        assert count(conn, replace(everything, incidents=True)) == (7, 7)
        found = columns.load(conn, city.territory, ["state", "incident", "place", "opened"]).reports
        assert set(found["incident"].tolist()) == {0, hole[0], hole[2], far, trash[0]}
        assert (found["incident"][found["state"] & columns.LEADS == 0] != 0).all()
        assert len(alone) == (found["place"] == 0).sum()


def test_closings_that_remedy_nothing_end_no_incident(store: Any) -> None:
    with store.engine.begin() as conn:
        city = City.made(conn)
        for place, status in enumerate((Status.CLOSED, Status.REJECTED, Status.DUPLICATE, Status.REFERRED)):
            city.add(0, north=1000 * place, closed=2, status=status)
            city.add(4, north=1000 * place)
    assert refresh_incidents(store.engine, city.territory).incidents == 5


def test_sql_and_columns_count_the_same_incidents(store: Any) -> None:
    with store.engine.begin() as conn:
        sample = make_sample(conn, rows=900)
        # Nearer to each other, so that many share an incident.
        conn.execute(
            text(
                """UPDATE report SET geom = ST_SetSRID(ST_MakePoint(
                     49.5 + round(((ST_X(geom) - 49.5) * 100)::numeric) * 0.0003, 26.3), 4326)
                   WHERE geom IS NOT NULL"""
            )
        )
    run = refresh_incidents(store.engine, sample.territory)
    assert run.incidents < 0.9 * run.reports
    rng = np.random.default_rng(2)
    with store.engine.connect() as conn:
        leads = {report for report, (_, _, lead) in kept(conn).items() if not lead}
        for _ in range(30):
            query = sample.random_query(rng)
            chosen = sample.choose(query)
            expected = int((~chosen["id"].isin(leads)).sum())
            assert count(conn, replace(query, incidents=True)) == (expected, expected), query


def test_incidents_that_are_not_current_are_not_counted(store: Any) -> None:
    with store.engine.begin() as conn:
        city = City.made(conn)
        city.add(0)
        query = ReportQuery(city.territory, incidents=True)
        assert not is_current(conn, city.territory) and last_run(conn, city.territory) is None
        with pytest.raises(StoreError, match="rasd incidents --territory small"):
            where(conn, query)
    first = refresh_incidents(store.engine, city.territory)
    with store.engine.begin() as conn:
        assert is_current(conn, city.territory)
        assert last_run(conn, city.territory) == replace(
            first, changed=0, seconds=pytest.approx(first.seconds, abs=1)
        )
        city.conn = conn
        city.add(1)
        city.changed()
        assert not is_current(conn, city.territory)
        with pytest.raises(StoreError, match="reports changed"):
            columns.select(conn, query)
    with pytest.raises(InputError, match="no territory"):
        refresh_incidents(store.engine, 99)


def test_a_second_run_writes_only_what_changed(store: Any) -> None:
    with store.engine.begin() as conn:
        city = City.made(conn)
        first = city.add(5)
        other = [city.add(0, north=3000 + 200 * i) for i in range(5)]
    assert refresh_incidents(store.engine, city.territory).changed == 12
    with store.engine.connect() as conn:
        version = territories.find(conn, "small").data_version
    # Current: nothing is done.
    assert refresh_incidents(store.engine, city.territory).changed == 0
    with store.engine.begin() as conn:
        assert territories.find(conn, "small").data_version == version
        rows = dict(conn.execute(text("SELECT report_id, xmin::text FROM report_incident")).all())
        city.conn = conn
        before = city.add(3)  # now this one is the first
        city.changed()
    run = refresh_incidents(store.engine, city.territory)
    # Two rows of reports, and the incident under its new id.
    assert (run.changed, run.incidents, run.data_version) == (3, 6, version + 2)
    with store.engine.begin() as conn:
        assert kept(conn)[first] == (before, before, False)
        again = dict(conn.execute(text("SELECT report_id, xmin::text FROM report_incident")).all())
        assert all(again[report] == rows[report] for report in other)
        # The closing of an incident is one too, though no report changed its incident.
        conn.execute(
            text("UPDATE report SET closed_at = opened_at + interval '9 days', status = 7 WHERE id = :id"),
            {"id": other[0]},
        )
        # And a report that turned out to lie on a default point has none any more.
        conn.execute(text("UPDATE report SET flags = 4 WHERE id = :id"), {"id": other[1]})
        city.conn = conn
        city.changed()
    assert refresh_incidents(store.engine, city.territory).incidents == 5
    with store.engine.connect() as conn:
        assert other[1] not in kept(conn)
        closed = conn.scalars(text("SELECT id FROM incident WHERE closed_at IS NOT NULL")).all()
        assert closed == [other[0]]


def test_what_changes_no_report_leaves_incidents_current(store: Any) -> None:
    with store.engine.begin() as conn:
        city = City.made(conn)
        city.add(0)
    refresh_incidents(store.engine, city.territory)
    with store.engine.begin() as conn:
        territories.bump_version(conn, city.territory, incidents_hold=True)
        assert is_current(conn, city.territory)
        territories.bump_version(conn, city.territory)
        territories.bump_version(conn, city.territory, incidents_hold=True)
        assert not is_current(conn, city.territory)
    # Nothing changed: current again under the same version.
    run = refresh_incidents(store.engine, city.territory)
    with store.engine.connect() as conn:
        assert run.changed == 0 and is_current(conn, city.territory)


def test_a_run_that_is_stopped_leaves_everything_as_it_was(store: Any) -> None:
    with store.engine.begin() as conn:
        city = City.made(conn)
        for day in range(5):
            city.add(day)
    shares: list[float] = []
    refresh_incidents(store.engine, city.territory, tick=shares.append)
    assert shares == sorted(shares) and shares[-1] == 1
    with store.engine.begin() as conn:
        city.conn = conn
        city.add(2.5, north=10)
        city.changed()
    with store.engine.connect() as conn:
        before = kept(conn)
        version = territories.find(conn, "small").data_version
    for moment in (0.3, 0.8, 1.0):

        def stop(share: float, moment: float = moment) -> None:
            if share >= moment:
                raise Cancelled("stopped")

        with pytest.raises(Cancelled):
            refresh_incidents(store.engine, city.territory, tick=stop)
        with store.engine.connect() as conn:
            assert kept(conn) == before and not is_current(conn, city.territory)
            assert territories.find(conn, "small").data_version == version
    assert refresh_incidents(store.engine, city.territory).reports == 6


def test_a_territory_without_reports_has_no_incidents(store: Any) -> None:
    with store.engine.begin() as conn:
        city = City.made(conn)
    run = refresh_incidents(store.engine, city.territory)
    assert (run.reports, run.incidents, run.changed) == (0, 0, 0)
    with store.engine.connect() as conn:
        assert count(conn, ReportQuery(city.territory, incidents=True)) == (0, 0)


def test_one_territory_leaves_the_incidents_of_another_alone(store: Any) -> None:
    with store.engine.begin() as conn:
        city = City.made(conn)
        city.add(0)
        sample = make_sample(conn, rows=60)
    refresh_incidents(store.engine, city.territory)
    run = refresh_incidents(store.engine, sample.territory)
    with store.engine.connect() as conn:
        assert len(kept(conn)) == run.reports + 1
        assert is_current(conn, city.territory)


def test_settings_name_elements_that_there_are_and_changed_ones_are_noticed(
    store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    codes = {row["code"] for row in reference.read("elements.csv")}
    assert set(incidents.reaches()) == codes | {"*"}
    assert incidents.reaches()["*"] == incidents.Reach(50, 14, 7)
    assert all("assumed" in row["source"] for row in reference.read("incident_settings.csv"))
    with store.engine.begin() as conn:
        city = City.made(conn)
        city.add(0)
        city.add(1, north=60)
    assert refresh_incidents(store.engine, city.territory).incidents == 2
    wider = incidents.reaches() | {"R04": incidents.Reach(100, 14, 7)}
    monkeypatch.setattr(incidents, "reaches", lambda: wider)
    with store.engine.connect() as conn:
        assert not is_current(conn, city.territory)
    assert refresh_incidents(store.engine, city.territory).incidents == 1


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"code": "*", "metres": "x", "days": "1", "suspicious_days": "1"}], "no numbers"),
        ([{"code": "*", "metres": "0", "days": "1", "suspicious_days": "1"}], "at least 1 m"),
        ([{"code": "R04", "metres": "50", "days": "1", "suspicious_days": "1"}], "default of all"),
    ],
)
def test_settings_that_cannot_be_are_refused(
    monkeypatch: pytest.MonkeyPatch, rows: list[dict[str, str]], message: str
) -> None:
    monkeypatch.setattr(reference, "read", lambda name: rows)
    incidents.reaches.cache_clear()
    with pytest.raises(StoreError, match=message):
        incidents.reaches()
    incidents.reaches.cache_clear()
