"""The ways into the store give the same: straight, through staging, and passed over as known."""

from __future__ import annotations

import datetime as dt
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sqlalchemy import Connection, Engine, text

from data import columns, events, staging
from data.copying import KNOWN_SCHEMA, STAGE_SCHEMA, copy_frame, points, report_ids
from data.known import known_reports
from data.staging import LoadPlan, plan_load
from data.tally import Tally
from ingest import demo
from ingest.areas import ingest_areas
from ingest.pipeline import ingest_reports
from tests.ingest.bad_inputs import CLOSED, COMPANIONS, GOOD, OPENED, X, Y, sheet

ROOT = Path(__file__).resolve().parents[2]
NOW = dt.datetime(2026, 7, 1, tzinfo=dt.UTC)
REFERENCE, TYPE = "رقم البلاغ المجمع", "اسم التصنيف"
KINDS = ["حفر الشوارع", "الأرصفة المتهالكة", "دهان البردورات", "تسرب المياه", "السيارات التالفة", "الأسوار"]


def _load(engine: Engine, path: Path, content: str | None = None, **options: Any) -> Any:
    if content is not None:
        path.write_text(content, encoding="utf-8")
    asked: dict[str, Any] = {"territory": "test", "now": NOW} | options
    return ingest_reports(engine, path, **asked)


def _count(conn: Connection, table: str) -> int:
    return int(conn.scalar(text(f"SELECT count(*) FROM {table}")) or 0)


def _indexes(conn: Connection) -> list[str]:
    return list(
        conn.execute(
            text(
                """SELECT pg_get_indexdef(i.indexrelid) || coalesce(c.contype::text, '') AS d
                   FROM pg_index i LEFT JOIN pg_constraint c ON c.conindid = i.indexrelid
                   WHERE i.indrelid IN ('report'::regclass, 'report_event'::regclass) ORDER BY 1"""
            )
        ).scalars()
    )


def _everything(conn: Connection, territory: str) -> dict[str, Any]:
    """What a load leaves behind, by reference instead of id."""
    reports = pd.read_sql(
        text(
            """SELECT r.*, ST_AsEWKB(r.geom) AS point, t.name AS type FROM report r
               LEFT JOIN source_type t ON t.id = r.type_id ORDER BY reference"""
        ),
        conn,
    )
    history = pd.read_sql(
        text(
            """SELECT r.reference, e.seq, e.status, e.at FROM report_event e JOIN report r ON r.id = e.report_id
               ORDER BY 1, 2"""
        ),
        conn,
    )
    number = conn.scalar(text("SELECT id FROM territory WHERE code = :code"), {"code": territory})
    found = columns.load(conn, number, [*columns.RUN_COLUMNS, *columns.REPORT_COLUMNS])
    default = pd.read_sql(text("SELECT lon, lat, reports, kinds FROM default_point ORDER BY 1, 2"), conn)
    return {
        "reports": reports.drop(columns=["id", "type_id", "batch_id", "geom", "recorded_at"]),
        "history": history,
        "columns": pd.DataFrame({name: np.sort(values) for name, values in found.reports.items()}),
        "default": default,
        "indexes": _indexes(conn),
        "raw": conn.execute(
            text("SELECT first_line, last_line, rows::text FROM report_raw ORDER BY 1")
        ).all(),
        "refused": conn.execute(text("SELECT line, reasons, reference FROM quarantine ORDER BY 1")).all(),
    }


@pytest.fixture(scope="module")
def demo_files(tmp_path_factory: pytest.TempPathFactory) -> demo.DemoFiles:
    """Simulated reports with repeats, a conflict, and a default point of the geocoder."""
    files = demo.write_files(tmp_path_factory.mktemp("staging"), reports=6_000, end=dt.date(2026, 6, 30))
    (path,) = files.reports
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    pile = frame.iloc[1_000:1_120].copy()
    pile[REFERENCE] = [f"SIM-9{i:07d}" for i in range(len(pile))]
    pile[X], pile[Y] = "50.100001", "26.400001"
    repeat = frame.iloc[2_000:2_005]
    conflict = frame.iloc[3_000:3_005].assign(العنوان="شارع آخر")
    pd.concat([frame, pile, repeat, conflict]).to_csv(path, index=False)
    return files


def _with_areas(engine: Engine, files: demo.DemoFiles) -> None:
    for level in demo.LEVELS:
        ingest_areas(
            engine, files.areas, level=level, layer=level, territory=demo.TERRITORY, simulated=True,
            illustrative=True, timezone="Asia/Riyadh",
        )  # fmt: skip


def test_a_first_load_straight_into_the_table_equals_one_through_staging(
    server: Any, demo_files: demo.DemoFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome, found = [], []
    for least in (1, 1_000_000):
        monkeypatch.setattr(staging, "BULK_ROWS", least)
        with server.database() as store:
            _with_areas(store.engine, demo_files)
            plans: list[LoadPlan] = []

            def spy(*args: Any, seen: list[LoadPlan] = plans, **options: Any) -> LoadPlan:
                seen.append(plan_load(*args, **options))
                return seen[-1]

            monkeypatch.setattr("ingest.pipeline.plan_load", spy)
            result = _load(store.engine, demo_files.reports[0], territory=demo.TERRITORY)
            assert plans[0].direct is (least == 1)
            outcome.append({**result.to_dict(), "seconds": 0})
            with store.engine.connect() as conn:
                found.append(_everything(conn, demo.TERRITORY))
                assert events.check(conn) == []
                assert columns.is_current(conn, 1)
    assert outcome[0] == outcome[1]
    assert outcome[0]["duplicate_rows"] >= 10
    assert outcome[0]["flags"]["default_point"] >= 120
    straight, staged = found
    for name in ("reports", "history", "columns", "default"):
        pd.testing.assert_frame_equal(straight[name], staged[name], obj=name)
        assert len(straight[name])
    assert (straight["reports"]["flags"] & 128 > 0).sum() == 5
    for name in ("indexes", "raw", "refused"):
        assert straight[name] == staged[name], name
    assert len(straight["indexes"]) == 14  # of report and report_event, keys among them


def test_the_same_file_again_is_passed_over_and_counted_as_before(
    store: Any, demo_files: demo.DemoFiles
) -> None:
    (path,) = demo_files.reports
    _with_areas(store.engine, demo_files)
    first = _load(store.engine, path, territory=demo.TERRITORY)
    with store.engine.connect() as conn:
        before = _everything(conn, demo.TERRITORY)
    again = _load(store.engine, path, territory=demo.TERRITORY)
    assert (again.accepted, again.updated, again.unchanged) == (0, 0, first.accepted + first.unchanged)
    same = ("read", "quarantined", "located", "duplicate_rows", "flags", "reasons", "classified")
    for name in same:
        assert getattr(again, name) == getattr(first, name), name
    with store.engine.connect() as conn:
        after = _everything(conn, demo.TERRITORY)
        assert (
            conn.scalar(text("SELECT count(*) FROM report_raw WHERE batch_id = :b"), {"b": again.batch}) == 0
        )
        assert _count(conn, "batch") == 2
    for name in ("reports", "history", "default"):
        pd.testing.assert_frame_equal(before[name], after[name], obj=name)
    assert before["refused"] == after["refused"]


def test_a_table_in_use_keeps_its_indexes(store: Any) -> None:
    with store.engine.begin() as conn:
        conn.execute(text("INSERT INTO territory (code, name_ar, name_en) VALUES ('test', 'ا', 't')"))
        conn.execute(text("INSERT INTO source (territory_id, code, title) VALUES (1, 's', 's')"))
    plan: dict[str, Any] = {
        "territory_id": 1,
        "source_id": 1,
        "expected_rows": staging.BULK_ROWS,
        "content_is_key": True,
    }
    with store.engine.connect() as reader, store.engine.connect() as loader:
        indexes = _indexes(reader)
        reader.execute(text("SELECT count(*) FROM report"))
        assert not plan_load(loader, **plan).direct
        assert not plan_load(loader, **plan | {"may_lock": False}).direct
        reader.rollback()
        assert plan_load(loader, **plan).direct
        loader.rollback()
        assert _indexes(reader) == indexes


def test_small_first_loads_and_small_updates_read_nothing_beforehand(store: Any, tmp_path: Path) -> None:
    rows = [GOOD | {REFERENCE: str(i), OPENED: f"{13 + i % 15}/03/2026"} for i in range(50)]
    _load(store.engine, tmp_path / "portal.csv", sheet(*rows))
    plan: dict[str, Any] = {"territory_id": 1, "source_id": 1}
    with store.engine.connect() as conn:
        few = plan_load(conn, **plan, expected_rows=4, content_is_key=True)
        many = plan_load(conn, **plan, expected_rows=50, content_is_key=True)
        unsure = plan_load(conn, **plan, expected_rows=50, content_is_key=False)
    assert [len(p.known.contents) for p in (few, many, unsure)] == [0, 50, 0]
    assert not (few.direct or many.direct or unsure.direct)


def test_of_an_unchanged_row_and_a_poorer_one_of_the_same_report_the_unchanged_one_stays(
    store: Any, tmp_path: Path
) -> None:
    path = tmp_path / "portal.csv"
    _load(store.engine, path, sheet(*COMPANIONS, GOOD))
    poorer = GOOD | {"حالة البلاغ": "مسند", CLOSED: ""}
    result = _load(store.engine, path, sheet(*COMPANIONS, poorer, GOOD))
    assert (result.updated, result.unchanged, result.duplicate_rows, result.stale) == (0, 7, 1, 0)
    richer = GOOD | {CLOSED: "2026-03-25 10:00:00"}
    result = _load(store.engine, path, sheet(*COMPANIONS, richer, GOOD, poorer))
    assert (result.updated, result.unchanged, result.duplicate_rows) == (1, 7, 2)
    with store.engine.connect() as conn:
        row = conn.execute(text("SELECT * FROM report WHERE reference = '100'")).one()
    assert row.closed_at == dt.datetime(2026, 3, 25, 7, tzinfo=dt.UTC)
    assert row.flags & 128
    # The header is line 1, the companions are lines 2 to 6.
    assert row.notes == {"duplicate_conflict": {"lines": [8, 9]}}


def test_an_unchanged_row_settles_the_quarantine_that_waits_for_it(store: Any, tmp_path: Path) -> None:
    path = tmp_path / "portal.csv"
    _load(store.engine, path, sheet(*COMPANIONS, GOOD))
    unreadable = GOOD | {OPENED: "x"}
    _load(store.engine, path, sheet(*COMPANIONS, unreadable))
    result = _load(store.engine, path, sheet(*COMPANIONS, GOOD))
    assert (result.unchanged, result.quarantined) == (6, 0)
    with store.engine.connect() as conn:
        assert conn.scalars(text("SELECT resolved_by FROM quarantine")).all() == [result.batch]
    # Both in one file: the good row is unchanged, and answers the refused one.
    result = _load(store.engine, path, sheet(*COMPANIONS, GOOD, unreadable))
    assert (result.unchanged, result.quarantined) == (6, 1)
    with store.engine.connect() as conn:
        assert conn.scalar(text("SELECT count(*) FROM quarantine WHERE resolved_by IS NULL")) == 0


def test_a_default_point_that_fills_up_over_two_files_is_found_among_unchanged_rows(
    store: Any, tmp_path: Path
) -> None:
    spread = [
        GOOD
        | {
            REFERENCE: str(i),
            TYPE: KINDS[i % 6],
            X: f"{50.05 + (i % 25) * 0.003:.4f}",
            Y: f"{26.35 + (i // 25) * 0.003:.4f}",
        }
        for i in range(400)
    ]
    pile = [GOOD | {REFERENCE: f"d{i}", TYPE: KINDS[i % 6], X: "50.111", Y: "26.444"} for i in range(40)]
    path = tmp_path / "portal.csv"
    first = _load(store.engine, path, sheet(*spread, *pile[:15]))
    assert "default_point" not in first.flags
    second = _load(store.engine, path, sheet(*spread, *pile))
    assert (second.accepted, second.unchanged, second.flags["default_point"]) == (25, 415, 40)
    with store.engine.connect() as conn:
        assert conn.scalar(text("SELECT count(*) FROM report WHERE flags & 4 <> 0")) == 40
        assert conn.execute(text("SELECT reports, kinds FROM default_point")).all() == [(40, 6)]
        assert columns.is_current(conn, 1)


def test_points_are_what_postgis_makes_of_them(store: Any) -> None:
    lon, lat = pl.Series([50.1, None, -179.5]), pl.Series([26.4, None, 89.0])
    with store.engine.begin() as conn:
        conn.execute(text("CREATE TEMP TABLE spot (id integer, geom geometry(Point, 4326))"))
        copy_frame(
            conn, "spot", pl.DataFrame({"id": pl.Series([1, 2, 3], dtype=pl.Int32), "geom": points(lon, lat)})
        )
        same = conn.scalars(
            text(
                """SELECT geom = ST_SetSRID(ST_MakePoint(lon, lat), 4326)
                   FROM spot JOIN (VALUES (1, 50.1, 26.4), (3, -179.5, 89)) AS v (id, lon, lat) USING (id)"""
            )
        ).all()
        assert same == [True, True]
        assert conn.scalars(text("SELECT id FROM spot WHERE geom IS NULL")).all() == [2]
    assert points(lon[:0], lat[:0]).len() == 0


def test_ids_are_drawn_once(store: Any) -> None:
    with store.engine.connect() as one, store.engine.connect() as other:
        drawn = np.concatenate([report_ids(one, 100), report_ids(other, 50), report_ids(one, 0)])
    assert len(np.unique(drawn)) == 150


def test_known_reports_leave_out_those_that_quarantine_waits_for(store: Any, tmp_path: Path) -> None:
    _load(store.engine, tmp_path / "portal.csv", sheet(*COMPANIONS, GOOD))
    with store.engine.connect() as conn:
        everything = known_reports(conn, 1, [])
        some = known_reports(conn, 1, ["100"])
        contents = conn.scalars(text("SELECT content FROM report WHERE reference <> '100'")).all()
    assert len(everything.contents) == 6
    assert sorted(contents) == some.contents.tolist()
    at = everything.find(np.array([*contents, 1], dtype=np.int64))
    assert everything.contents[at[:-1]].tolist() == contents and at[-1] == -1
    assert everything.located(at[:-1]) == 5


def _staged(references: list[str], cells: list[int | None], kinds: list[int | None]) -> pl.DataFrame:
    columns = {
        "line": range(2, 2 + len(references)),
        "reference": references,
        "cell": cells,
        "type_no": kinds,
    }
    empty = {name: [None] * len(references) for name in STAGE_SCHEMA if name not in columns}
    return pl.DataFrame(columns | empty, schema=STAGE_SCHEMA)


def test_a_tally_names_repeats_twins_and_piles() -> None:
    tally = Tally()
    tally.add_staged(_staged(["a", "b", "a"], [7, 7, None], [0, 1, None]))
    tally.add_staged(_staged(["c"], [8], [1]).with_columns(line=pl.lit(5, pl.Int32)))
    assert tally.repeated_lines() == [2, 4]
    tally.add_known(
        pl.DataFrame(
            {
                "line": [6, 9, 7],
                "reference": ["b", "b", "e"],
                "content": [1, 1, 2],
                "type_no": [1, 1, 0],
                "cell": [8, 8, 9],
            },
            schema=KNOWN_SCHEMA,
        )
    )
    assert tally.known_repeats() == 1
    twins = tally.twins()
    assert (twins.staged.tolist(), twins.known.tolist(), twins.content.tolist()) == ([3], [9], [1])
    cells, counts = tally.cells(np.array([7, 0]))
    assert dict(zip(cells.tolist(), counts.tolist(), strict=True)) == {7: 1, 8: 2, 9: 1}
    assert tally.kinds().tolist() == pytest.approx([2 / 6, 4 / 6])
    assert tally.arrived(["x", "c", "e"]) == ["c", "e"]
    assert tally.arrived([]) == []


_KILLED = """
import datetime as dt, os, signal, sys
from pathlib import Path
from sqlalchemy import create_engine
from data import staging
from ingest import pipeline

def die(*args, **options):
    os.kill(os.getpid(), signal.SIGKILL)

staging.BULK_ROWS = 1
setattr({"rows": staging, "merge": staging, "end": pipeline.batches}[sys.argv[3]],
        {"rows": "copy_frame", "merge": "settle_repeats", "end": "finish"}[sys.argv[3]], die)
pipeline.ingest_reports(create_engine(sys.argv[1]), Path(sys.argv[2]), territory="demo")
"""


@pytest.mark.parametrize("moment", ["rows", "merge", "end"])
def test_kill_9_while_the_indexes_are_gone_leaves_them_and_nothing_else(
    moment: str, store: Any, demo_files: demo.DemoFiles
) -> None:
    (path,) = demo_files.reports
    with store.engine.connect() as conn:
        indexes = _indexes(conn)
    done = subprocess.run(
        [sys.executable, "-c", _KILLED, store.url, str(path), moment],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    with store.engine.connect() as conn:
        for table in ("territory", "batch", "report", "report_raw", "report_event", "source_type"):
            assert _count(conn, table) == 0, table
        assert _indexes(conn) == indexes
    assert _load(store.engine, path, territory="demo").accepted > 6_000
