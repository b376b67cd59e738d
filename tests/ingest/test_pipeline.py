"""The one way in: new, newer, older, doubled, interrupted and simultaneous files."""

from __future__ import annotations

import datetime as dt
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import geopandas as gpd
import pandas as pd
import pytest
from shapely import Point
from sqlalchemy import text

from data import events, quarantine, territories
from data.landing import landed_row
from geo.errors import InputError
from ingest import demo
from ingest.pipeline import ingest_reports
from tests.ingest.bad_inputs import CLOSED, COMPANIONS, GOOD, OPENED, X, Y, sheet

ROOT = Path(__file__).resolve().parents[2]
NOW = dt.datetime(2026, 7, 1, tzinfo=dt.UTC)
STATUS = "حالة البلاغ"


def load(store: Any, path: Path, content: str, **options: Any) -> Any:
    path.write_text(content, encoding="utf-8")
    return ingest_reports(store.engine, path, territory="test", now=NOW, **options)


def report(store: Any, reference: str = "100") -> Any:
    with store.engine.connect() as conn:
        return conn.execute(text("SELECT * FROM report WHERE reference = :r"), {"r": reference}).one()


def test_a_newer_export_updates_status_and_dates_and_appends_to_the_history(
    store: Any, tmp_path: Path
) -> None:
    path = tmp_path / "portal.csv"
    early = GOOD | {STATUS: "مسند", CLOSED: ""}
    first = load(store, path, sheet(*COMPANIONS, early))
    assert (first.accepted, first.updated) == (6, 0)
    second = load(store, path, sheet(*COMPANIONS, GOOD))
    assert (second.accepted, second.updated, second.unchanged) == (0, 1, 5)
    row = report(store)
    assert row.status == 7
    with store.engine.connect() as conn:
        history = events.history(conn, row.id)
        assert [event.status for event in history][-2:] == [3, 7]
        assert events.check(conn) == []
        landed = landed_row(conn, row.id)
    assert landed is not None and landed[STATUS] == GOOD[STATUS]


def test_an_older_export_changes_nothing(store: Any, tmp_path: Path) -> None:
    path = tmp_path / "portal.csv"
    load(store, path, sheet(*COMPANIONS, GOOD))
    older = load(store, path, sheet(*COMPANIONS, GOOD | {STATUS: "مغلق", CLOSED: "2026-03-16 10:00:00"}))
    assert (older.updated, older.unchanged, older.stale) == (0, 6, 1)
    assert report(store).closed_at == dt.datetime(2026, 3, 20, 7, tzinfo=dt.UTC)


def test_a_file_read_before_does_not_undo_what_another_file_told_since_even_without_dates(
    store: Any, tmp_path: Path
) -> None:
    early, late = tmp_path / "early.csv", tmp_path / "late.csv"
    # Neither an assignment nor a closing date: nothing in the rows tells their age.
    opened = GOOD | {STATUS: "مغلق", CLOSED: ""}
    load(store, early, sheet(*COMPANIONS, opened | {STATUS: "مسند"}))
    assert load(store, late, sheet(*COMPANIONS, opened)).updated == 1
    again = load(store, early, early.read_text("utf-8"))
    assert (again.updated, again.unchanged, again.stale) == (0, 6, 1)
    assert report(store).status == 7
    assert load(store, late, late.read_text("utf-8")).unchanged == 6


def test_two_rows_of_one_file_that_disagree_are_one_report_with_the_conflict_noted(
    store: Any, tmp_path: Path
) -> None:
    other = GOOD | {CLOSED: "2026-03-25 10:00:00"}
    rows = sheet(*COMPANIONS, other, GOOD)
    result = load(store, tmp_path / "portal.csv", rows)
    assert (result.read, result.accepted, result.unchanged) == (7, 6, 1)
    row = report(store)
    assert row.flags & 128
    assert row.notes == {"duplicate_conflict": {"lines": [8]}}
    assert row.closed_at == dt.datetime(2026, 3, 25, 7, tzinfo=dt.UTC)
    again = load(store, tmp_path / "portal.csv", rows)
    assert (again.accepted, again.updated, again.unchanged) == (0, 0, 7)


def test_a_corrected_quarantine_export_is_taken_and_settles_the_quarantine(
    store: Any, tmp_path: Path
) -> None:
    load(store, tmp_path / "portal.csv", sheet(*COMPANIONS, GOOD | {OPENED: "x"}))
    load(store, tmp_path / "portal.csv", sheet(*COMPANIONS, GOOD | {OPENED: "x"}))
    out = tmp_path / "faults.csv"
    with store.engine.connect() as conn:
        assert [(r.code, r.rows) for r in quarantine.reasons(conn)] == [("unreadable_date", 1)]
        assert quarantine.export(conn, out) == 1
    frame = pd.read_csv(out, dtype=str)
    frame[OPENED] = "2026-03-14 10:00:00"
    frame.to_csv(out, index=False)
    fixed = ingest_reports(store.engine, out, territory="test", now=NOW)
    assert (fixed.accepted, fixed.quarantined) == (1, 0)
    with store.engine.connect() as conn:
        assert quarantine.reasons(conn) == []


def test_a_dry_run_writes_nothing_and_counts_the_same(store: Any, tmp_path: Path) -> None:
    dry = load(store, tmp_path / "portal.csv", sheet(*COMPANIONS, GOOD), dry_run=True)
    assert (dry.batch, dry.accepted, dry.dry_run) == (None, 6, True)
    with store.engine.connect() as conn:
        for table in ("territory", "source", "batch", "report", "report_raw", "quarantine"):
            assert conn.scalar(text(f"SELECT count(*) FROM {table}")) == 0
    assert load(store, tmp_path / "portal.csv", sheet(*COMPANIONS, GOOD)).accepted == 6


def test_personal_columns_are_dropped_everywhere_unless_they_are_asked_for(
    store: Any, tmp_path: Path
) -> None:
    name, phone = "اسم المبلغ", "رقم الجوال"
    frame = pd.DataFrame([*COMPANIONS, GOOD, GOOD | {"رقم البلاغ المجمع": "", OPENED: "x"}])
    frame[name], frame[phone] = "فلان الفلاني", "0500000000"
    path = tmp_path / "portal.csv"
    frame.to_csv(path, index=False)
    with path.open("a", encoding="utf-8") as file:
        file.write("101,حفر الشوارع,0500000000,فلان الفلاني\n")
    result = ingest_reports(store.engine, path, territory="test", now=NOW)
    assert result.dropped_personal == [name, phone]
    assert (result.accepted, result.quarantined) == (6, 2)
    with store.engine.connect() as conn:
        everything = conn.execute(
            text(
                """SELECT string_agg(t, ' ') FROM (
                     SELECT rows::text AS t FROM report_raw UNION ALL SELECT row::text FROM quarantine
                     UNION ALL SELECT details::text FROM quarantine UNION ALL SELECT r::text FROM report r) AS x"""
            )
        ).scalar()
    assert "0500000000" not in everything and "الفلاني" not in everything
    kept = ingest_reports(store.engine, path, territory="other", now=NOW, keep_personal=True)
    assert kept.dropped_personal == []


def test_a_changed_profile_derives_the_same_rows_anew(store: Any, tmp_path: Path) -> None:
    path = tmp_path / "portal.csv"
    load(store, path, sheet(*COMPANIONS, GOOD))
    shipped = (ROOT / "ingest/profiles/portal_ar.yaml").read_text(encoding="utf-8")
    changed = tmp_path / "portal_ar.yaml"
    changed.write_text(shipped.replace("مغلق نهائيا: closed", "مغلق نهائيا: rejected"), encoding="utf-8")
    result = load(store, path, sheet(*COMPANIONS, GOOD), profile=changed)
    assert (result.accepted, result.updated) == (0, 6)
    assert report(store).status == 8


def test_real_reports_are_never_mixed_with_simulated_ones(store: Any, tmp_path: Path) -> None:
    path = tmp_path / "portal.csv"
    simulated = [row | {"رقم البلاغ المجمع": f"SIM-{i}"} for i, row in enumerate(COMPANIONS)]
    result = load(store, path, sheet(*simulated))
    assert result.simulated
    with pytest.raises(InputError, match="never mixed"):
        load(store, path, sheet(*COMPANIONS))


def test_points_of_many_kinds_on_one_spot_are_a_default_and_a_busy_spot_of_one_kind_is_not(
    store: Any, tmp_path: Path
) -> None:
    kinds = [
        "حفر الشوارع",
        "الأرصفة المتهالكة",
        "دهان البردورات",
        "تسرب المياه",
        "السيارات التالفة",
        "الأسوار",
    ]
    rows = []
    for i in range(600):
        rows.append(
            GOOD
            | {
                "رقم البلاغ المجمع": str(i),
                "اسم التصنيف": kinds[i % 6],
                X: f"{50.05 + (i % 25) * 0.003:.4f}",
                Y: f"{26.35 + (i // 25) * 0.003:.4f}",
            }
        )
    for i in range(40):
        rows.append(
            GOOD | {"رقم البلاغ المجمع": f"d{i}", "اسم التصنيف": kinds[i % 6], X: "50.111", Y: "26.444"}
        )
        rows.append(GOOD | {"رقم البلاغ المجمع": f"b{i}", "اسم التصنيف": kinds[0], X: "50.222", Y: "26.555"})
    result = load(store, tmp_path / "portal.csv", sheet(*rows))
    assert result.flags["default_point"] == 40
    with store.engine.connect() as conn:
        assert conn.execute(text("SELECT lon, lat, reports FROM default_point")).all() == [
            (50.111, 26.444, 40)
        ]
    later = load(
        store,
        tmp_path / "p2.csv",
        sheet(*COMPANIONS, GOOD | {"رقم البلاغ المجمع": "z", X: "50.111", Y: "26.444"}),
    )
    assert later.flags["default_point"] == 1


def test_metres_of_a_utm_zone_are_placed_within_the_study_area(store: Any, tmp_path: Path) -> None:
    points = gpd.GeoSeries([Point(50.1 + i / 1000, 26.4) for i in range(6)], crs=4326).to_crs(32639)
    rows = [
        row | {X: f"{p.x:.1f}", Y: f"{p.y:.1f}"} for row, p in zip([*COMPANIONS, GOOD], points, strict=True)
    ]
    from shapely import box

    from ingest.areas import ingest_areas

    gpd.GeoDataFrame({"name": ["A"]}, geometry=[box(50.0, 26.3, 50.3, 26.6)], crs=4326).to_file(
        tmp_path / "a.gpkg"
    )
    ingest_areas(store.engine, tmp_path / "a.gpkg", level="municipality", territory="test")
    path = tmp_path / "portal.csv"
    path.write_text(sheet(*rows), encoding="utf-8")
    result = ingest_reports(store.engine, path, now=NOW)
    assert (result.territory, result.accepted) == ("test", 6)
    with store.engine.connect() as conn:
        lon, lat = conn.execute(
            text("SELECT ST_X(geom), ST_Y(geom) FROM report WHERE reference = '100'")
        ).one()
    assert (round(lon, 5), round(lat, 5)) == (50.105, 26.4)


EXPORTS = {
    # file: rows, mapped district column, status counts as a plain reading gives them
    "la_myla311_2017_subset.csv.gz": ("Latitude", "CreatedDate"),
    "la_myla311_2020_requests.csv.gz": ("latitude", "createddate"),
    "nyc_311_2023_sample3.csv.gz": ("Latitude", "Created Date"),
    "sf_311_2018_2019.csv.gz": ("Latitude", "Opened"),
}


@pytest.mark.parametrize("name", EXPORTS)
def test_a_real_export_loads_with_no_profile_and_no_boundaries(
    name: str, store: Any, shared_data: Path
) -> None:
    path = shared_data / "exports" / name
    latitude, opened = EXPORTS[name]
    plain = pd.read_csv(path, dtype=str)
    result = ingest_reports(store.engine, path, now=NOW)
    assert result.profile == "generic"
    assert result.read == len(plain)
    assert result.accepted + result.unchanged + result.quarantined == result.read
    assert result.quarantined == 0
    assert result.located == plain[latitude].notna().sum()
    again = ingest_reports(store.engine, path, now=NOW)
    assert (again.accepted, again.updated, again.territory) == (0, 0, result.territory)
    months = pd.to_datetime(plain[opened], format="mixed").dt.strftime("%Y-%m").value_counts()
    with store.engine.connect() as conn:
        found = conn.execute(
            text(
                """SELECT to_char(r.opened_at AT TIME ZONE t.timezone, 'YYYY-MM'), count(*)
                   FROM report r JOIN territory t ON t.id = r.territory_id GROUP BY 1"""
            )
        ).all()
    repeats = result.unchanged
    assert sum(n for _, n in found) == len(plain) - repeats
    if not repeats:
        assert dict(found) == months.to_dict()  # type: ignore[arg-type]


def test_a_second_file_of_a_city_without_boundaries_joins_the_first_and_another_city_does_not(
    store: Any, shared_data: Path
) -> None:
    found = [
        ingest_reports(store.engine, shared_data / "exports" / name, now=NOW).territory for name in EXPORTS
    ]
    assert found[0] == found[1]
    assert len(set(found)) == 3


def test_kill_9_in_the_middle_leaves_nothing_and_the_next_run_completes(
    server: Any, store: Any, tmp_path: Path
) -> None:
    files = demo.write_files(tmp_path, reports=60_000, end=dt.date(2026, 6, 30))
    (path,) = files.reports
    command = [sys.executable, "cli.py", "ingest", "reports", str(path), "--territory", "demo", "--json"]
    for seconds in (1.5, 2.5, 3.5):
        child = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=dict(os.environ)
        )
        time.sleep(seconds)
        if child.poll() is not None:
            break
        child.send_signal(signal.SIGKILL)
        child.wait()
        with store.engine.connect() as conn:
            for table in ("batch", "report", "report_raw", "report_event", "quarantine", "source_type"):
                assert conn.scalar(text(f"SELECT count(*) FROM {table}")) == 0, table
    result = ingest_reports(store.engine, path, territory="demo")
    with store.engine.connect() as conn:
        assert conn.scalar(text("SELECT count(*) FROM report")) == result.accepted
        assert events.check(conn) == []


def test_two_ingests_of_one_file_at_once_load_every_report_once(store: Any, tmp_path: Path) -> None:
    path = tmp_path / "portal.csv"
    rows = [GOOD | {"رقم البلاغ المجمع": str(i), OPENED: f"{13 + i % 15}/03/2026"} for i in range(3_000)]
    path.write_text(sheet(*rows), encoding="utf-8")
    with store.engine.begin() as conn:
        territories.create(
            conn, code="test", name_ar="ا", name_en="t", timezone="Asia/Riyadh", simulated=False
        )
    results: list[Any] = []
    failures: list[BaseException] = []

    def one() -> None:
        try:
            results.append(ingest_reports(store.engine, path, territory="test", now=NOW))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=one) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert sorted(r.accepted for r in results) == [0, 0, 3_000]
    assert all(r.read == 3_000 for r in results)
    with store.engine.connect() as conn:
        assert conn.scalar(text("SELECT count(*) FROM report")) == 3_000
