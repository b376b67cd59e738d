"""Flare-ups from the store: the counts are pandas' counts, the answer is kept, Baltimore is real."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import geopandas as gpd
import h3
import numpy as np
import pandas as pd
import pytest
from sqlalchemy import Connection, text
from typer.testing import CliRunner

from data import columns
from data.analyses import scans
from data.analyses.flares import Flares, ScanSettings, from_kept, to_keep
from data.analyses.scans import scan
from data.query import ReportQuery
from geo.errors import Cancelled, InputError
from geo.scan import scan as plain_scan
from tests.data.reports_sample import Sample, make_sample

SMALL = ScanSettings(max_radius_m=900, max_days=14, window_days=60, permutations=99)


@pytest.fixture(scope="module")
def loaded(module_store: Any) -> Iterator[tuple[Connection, Sample]]:
    with module_store.engine.begin() as conn:
        sample = make_sample(conn)
        columns.refresh(conn, sample.territory)
    with module_store.engine.connect() as conn:
        yield conn, sample


@pytest.fixture(scope="module")
def baltimore(server: Any, shared_data: Path) -> Iterator[tuple[Connection, int]]:
    """All reports of 2020, without boundaries: a scan needs none."""
    from ingest.pipeline import ingest_reports

    with server.database() as found:
        ingest_reports(found.engine, shared_data / "baltimore" / "reports.csv.gz", territory="baltimore")
        with found.engine.connect() as conn:
            yield conn, int(conn.scalar(text("SELECT id FROM territory WHERE code = 'baltimore'")))


def in_window(sample: Sample, query: ReportQuery, settings: ScanSettings) -> tuple[pd.DataFrame, dt.date]:
    """The reports that a scan counts, by plain pandas, and the first day of its window."""
    everything = sample.frame[~sample.frame["default_point"]]
    last = min(everything["local_day"].max(), query.end or dt.date.max)
    first = max(last - dt.timedelta(settings.window_days - 1), query.start or dt.date.min)
    frame = sample.choose(dataclasses.replace(query, start=first, end=last))
    return frame[frame["cell_text"].notna()], first


def flares_equal(one: Flares, other: Flares) -> None:
    assert to_keep(one) == to_keep(other)
    for name in ("cells", "numbers", "reports"):
        assert getattr(one, name).tolist() == getattr(other, name).tolist()


def test_the_scan_is_that_of_the_reports_which_pandas_counts(loaded: tuple[Connection, Sample]) -> None:
    conn, sample = loaded
    rng = np.random.default_rng(4)
    asked = [ReportQuery(sample.territory)]
    asked += [dataclasses.replace(sample.random_query(rng), start=None) for _ in range(6)]
    seen = 0
    for number, query in enumerate(asked):
        settings = dataclasses.replace(
            SMALL, resolution=9, permutations=19, level=0.1, by_kind=number % 2 == 0
        )
        found = scan(conn, query, settings)
        frame, first = in_window(sample, query, settings)
        assert found.cases == len(frame)
        if not len(frame):
            assert [remark.code for remark in found.remarks] == ["scan_empty"] and found.flares == ()
            continue
        assert found.first == first and found.last is not None
        days = (found.last - first).days + 1
        cell = frame["cell_text"].map(lambda c: h3.str_to_int(h3.cell_to_parent(c, 9)))
        cells, place = np.unique(cell, return_inverse=True)
        kind = frame["element_id"].fillna(-frame["type_id"].fillna(0)).astype(int)
        again = plain_scan(
            cells,
            place,
            np.array([(d - first).days for d in frame["local_day"]]),
            days,
            np.random.default_rng(settings.seed),
            kind=kind if settings.by_kind else None,
            max_radius_m=900,
            max_days=14,
            permutations=19,
        )
        assert found.scanned == len(cells) and found.rings == again.rings == 2
        assert len(found.flares) == len(again.clusters)
        for flare, cluster in zip(found.flares, again.clusters, strict=True):
            seen += 1
            assert flare.cells.tolist() == cluster.cells.tolist()
            assert (flare.observed, flare.llr) == (cluster.observed, pytest.approx(cluster.llr, abs=1e-8))
            assert flare.p == cluster.p
            assert flare.first == first + dt.timedelta(cluster.first) and flare.last == found.last
            inside = frame[cell.isin(flare.cells.tolist()) & (frame["local_day"] >= flare.first)]
            assert len(inside) == flare.observed == flare.counts.sum()
            ever = frame[cell.isin(flare.cells.tolist())]
            by_day = ever.groupby("local_day").size()
            assert {
                first + dt.timedelta(i): n for i, n in enumerate(flare.daily.tolist()) if n
            } == by_day.to_dict()
            own = inside["element_id"].fillna(-inside["type_id"].fillna(0)).value_counts()
            assert flare.kind_count == own.max()
            assert flare.one_day == inside["local_day"].value_counts().max() / len(inside)
    assert seen > 10


def test_the_days_before_a_question_shorten_its_window(loaded: tuple[Connection, Sample]) -> None:
    conn, sample = loaded
    query = ReportQuery(sample.territory, start=dt.date(2025, 5, 21), end=dt.date(2025, 6, 3))
    found = scan(conn, query, SMALL)
    assert (found.first, found.last) == (dt.date(2025, 5, 21), dt.date(2025, 6, 3))
    said = {remark.code: dict(remark.values) for remark in found.remarks}
    assert said["scan_shortened"] == {"days": 7, "asked": 14, "window": 14}
    assert all(flare.days <= 7 for flare in found.flares)


def test_an_answer_is_kept_until_the_data_change_and_comes_back_whole(
    loaded: tuple[Connection, Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    conn, sample = loaded
    query = ReportQuery(sample.territory, channels=(1, 2, 3))
    told: list[float] = []
    first = scan(conn, query, SMALL, tick=told.append)
    assert told[0] == 0 and told[-1] == 1 and first.flares

    def never(*_: Any, **__: Any) -> Any:
        raise AssertionError("computed again")

    monkeypatch.setattr(scans, "_computed", never)
    flares_equal(scan(conn, query, SMALL), first)
    with pytest.raises(AssertionError, match="computed again"):
        scan(conn, query, dataclasses.replace(SMALL, seed=1))
    conn.execute(text("UPDATE territory SET data_version = data_version + 1"))
    with pytest.raises(AssertionError, match="computed again"):
        scan(conn, query, SMALL)
    conn.rollback()


def test_what_json_cannot_say_survives_being_kept(loaded: tuple[Connection, Sample]) -> None:
    conn, sample = loaded
    found = scan(conn, ReportQuery(sample.territory), SMALL)
    odd = dataclasses.replace(found.flares[0], p_gumbel=math.nan, recurrence_days=math.inf)
    changed = dataclasses.replace(found, flares=(odd, *found.flares[1:]))
    kept = json.loads(json.dumps(to_keep(changed), allow_nan=False))
    back = from_kept(found.query, found.settings, kept)
    assert math.isnan(back.flares[0].p_gumbel) and back.flares[0].recurrence_days == math.inf
    flares_equal(back, changed)
    json.dumps(back.summary(), allow_nan=False)


def test_the_tables_say_what_their_docstrings_promise(loaded: tuple[Connection, Sample]) -> None:
    conn, sample = loaded
    found = scan(conn, ReportQuery(sample.territory), SMALL)
    frame = found.to_geodataframe()
    assert frame.crs.to_epsg() == 4326 and len(frame) == len(found.flares)
    for name in frame.columns.drop("geometry"):
        assert f"``{name}``" in (Flares.to_geodataframe.__doc__ or ""), name
    first = found.flares[0]
    assert frame["cell"][0] == f"{first.centre:x}" and frame["reports"][0] == first.observed
    assert len(first.disk) == 1 + 3 * first.rings * (first.rings + 1)
    assert set(first.cells.tolist()) <= set(first.disk.tolist())
    assert frame.geometry[0].contains(
        found.cells_frame().geometry[list(found.cells).index(first.cells[0])].centroid
    )
    cells = found.cells_frame()
    for name in cells.columns.drop("geometry"):
        assert f"``{name}``" in (Flares.cells_frame.__doc__ or ""), name
    by_flare = cells.groupby("number")["reports"].sum()
    assert by_flare.to_dict() == {flare.number: flare.observed for flare in found.flares}
    empty = scan(conn, ReportQuery(sample.territory, end=dt.date(2020, 1, 1)), SMALL)
    assert empty.cases == 0 and empty.summary()["clusters"] == []
    assert list(empty.to_geodataframe().columns) == list(frame.columns)
    assert list(empty.cells_frame().columns) == list(cells.columns)


def test_a_scan_can_be_stopped_and_leaves_nothing(loaded: tuple[Connection, Sample]) -> None:
    conn, sample = loaded
    query = ReportQuery(sample.territory, statuses=(7,))

    def stop(share: float) -> None:
        if share > 0.2:
            raise Cancelled("enough")

    before = conn.scalar(text("SELECT count(*) FROM analysis"))
    with pytest.raises(Cancelled):
        scan(conn, query, SMALL, tick=stop)
    assert conn.scalar(text("SELECT count(*) FROM analysis")) == before


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"max_days": 50}, "at most half"),
        ({"permutations": 99, "level": 0.001}, "make at least 999"),
        ({"max_radius_m": 5, "most": 0}, r"max_radius_m.*most"),
        ({"resolution": 12}, "resolution is 12"),
    ],
)
def test_settings_that_cannot_be_are_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        ScanSettings(**wrong)


def test_the_resolution_suits_the_radius() -> None:
    some = np.array([h3.str_to_int(h3.latlng_to_cell(26.4, 50.1, 10))])
    assert [scans._resolution(some, metres) for metres in (500, 1000, 2000, 5000, 20_000)] == [
        10,
        10,
        9,
        8,
        7,
    ]
    spread = np.array(
        [
            h3.str_to_int(h3.latlng_to_cell(20 + i / 100, 40 + j / 100, 10))
            for i in range(160)
            for j in range(160)
        ]
    )
    assert scans._resolution(np.sort(spread), 2000) == 7
    # What the memory cannot hold is asked at a coarser resolution instead.
    assert scans._affordable(np.sort(spread), 9, 2000) == 9
    assert scans._affordable(np.sort(spread), 9, 20_000) == 7


def test_the_command_prints_writes_and_keeps_the_same_answer(
    loaded: tuple[Connection, Sample], tmp_path: Path
) -> None:
    from cli import application

    conn, sample = loaded
    # A seed of its own: the open transaction of the other tests holds the rows of theirs.
    settings = dataclasses.replace(SMALL, seed=77)
    words = ["scan", "--territory", "east", "--max-radius", "900", "--max-days", "14", "--window", "60"]
    words += ["--permutations", "99", "--seed", "77"]
    runner = CliRunner()
    done = runner.invoke(application(), [*words, "--json", "--out", str(tmp_path / "flared.geojson")])
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    expected = scan(conn, ReportQuery(sample.territory), settings)
    assert said["clusters"] == expected.summary()["clusters"] and said["rows"] == len(expected.flares)
    written = gpd.read_file(tmp_path / "flared.geojson")
    assert written["reports"].tolist() == [flare.observed for flare in expected.flares]
    cells = runner.invoke(application(), [*words, "--rows", "cells", "--out", str(tmp_path / "cells.csv")])
    assert cells.exit_code == 0 and "No significant flare-ups" in cells.stdout
    assert len(pd.read_csv(tmp_path / "cells.csv")) == len(expected.cells)
    refused = runner.invoke(application(), [*words, "--max-days", "50"])
    assert isinstance(refused.exception, InputError) and "at most half" in str(refused.exception)


def test_a_flood_of_dumping_planted_in_real_reports_is_found(baltimore: tuple[Connection, int]) -> None:
    conn, territory = baltimore
    settings = ScanSettings(max_radius_m=1600, permutations=99)
    query = ReportQuery(territory, end=dt.date(2020, 9, 30))
    before = scan(conn, query, settings)
    assert before.cases > 15_000 and before.resolution == 9 and before.scanned > 1000
    assert before.last == dt.date(2020, 9, 30) and before.first == dt.date(2020, 7, 3)
    # 60 older reports of a place in the east of the city are put into the last five days.
    centre = h3.latlng_to_cell(39.2904, -76.56, 9)
    near = [h3.str_to_int(c) for c in h3.grid_disk(centre, 2)]
    low = [min(h3.str_to_int(x) for x in h3.cell_to_children(h3.int_to_str(c), 12)) for c in near]
    high = [max(h3.str_to_int(x) for x in h3.cell_to_children(h3.int_to_str(c), 12)) for c in near]
    moved = conn.execute(
        text(
            """UPDATE report SET opened_at = timestamptz '2020-09-26 12:00-04' + (id % 5) * interval '1 day'
               WHERE id IN (SELECT r.id FROM report r, unnest(:low, :high) AS b (low, high)
                            WHERE r.cell BETWEEN b.low AND b.high AND r.flags & 4 = 0
                              AND r.opened_at < '2020-06-01' ORDER BY r.id LIMIT 60)"""
        ),
        {"low": low, "high": high},
    ).rowcount
    assert moved == 60
    conn.execute(text("UPDATE territory SET data_version = data_version + 1"))
    after = scan(conn, query, settings)
    conn.rollback()
    assert after.cases == before.cases + 60
    # The real city has flare-ups of its own, such as inspections of a street on one day.
    (first,) = [flare for flare in after.flares if set(flare.cells.tolist()) & {h3.str_to_int(centre)}]
    assert first.significant and first.p == 0.01 and first.p_gumbel < 1e-6
    assert len(set(first.cells.tolist()) & set(near)) > 0.6 * len(set(near))
    assert first.first >= dt.date(2020, 9, 25) and first.observed >= 55
    assert "scan_repeats" in {remark.code for remark in after.remarks}
