"""Hot spots of a store: the same numbers as geo/ gives, rates, remarks, and what leaves the house."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import shapely
from sqlalchemy import Connection, text
from typer.testing import CliRunner

from cli import application
from data import columns, exposures, incidents
from data.analyses.hotspots import GI_CLASSES, MORAN_CLASSES, HotspotResult, HotspotSettings, hotspots
from data.analyses.reporting import corrected_counts
from data.analyses.study import study
from data.query import ReportQuery
from geo.cells import cells_covering, to_text
from geo.errors import Cancelled, InputError
from geo.hotspots import fdr, gi_star
from geo.neighbours import neighbourhood
from geo.rates import shrunk_rates
from tests.data.reports_sample import Sample, make_sample

SQUARE = shapely.box(49.42, 26.22, 50.18, 26.38)
PEOPLE_AT = 8


@pytest.fixture(scope="module")
def loaded(module_store: Any) -> Iterator[tuple[Connection, Sample]]:
    with module_store.engine.begin() as conn:
        sample = make_sample(conn)
        conn.execute(
            text("UPDATE territory SET study_area = ST_GeomFromText(:shape, 4326) WHERE id = :id"),
            {"shape": shapely.MultiPolygon([SQUARE]).wkt, "id": sample.territory},
        )
        cells = cells_covering(SQUARE, PEOPLE_AT)
        people = np.random.default_rng(1).lognormal(4, 1, len(cells))
        # A third of the area has nobody.
        people[::3] = 0
        exposures.replace_set(
            conn,
            sample.territory,
            "population",
            label="made up",
            resolution=PEOPLE_AT,
            cells=cells[people > 0],
            values=people[people > 0],
            simulated=True,
            file_name="people.csv",
            file_digest="d",
        )
        columns.refresh(conn, sample.territory)
    incidents.refresh_incidents(module_store.engine, sample.territory)
    with module_store.engine.connect() as conn:
        yield conn, sample


def codes(result: HotspotResult) -> set[str]:
    return {remark.code for remark in result.remarks}


def test_hot_spots_of_the_store_are_those_of_its_counts(loaded: tuple[Connection, Sample]) -> None:
    conn, sample = loaded
    query = ReportQuery(sample.territory)
    found = hotspots(conn, query, HotspotSettings(resolution=8, k=1))
    area = study(conn, query, 8)
    near = neighbourhood(area.cells, 1)
    own = gi_star(area.counts, near)
    assert found.cells.tolist() == area.cells.tolist() and found.counts.tolist() == area.counts.tolist()
    for name in ("z", "p", "q"):
        assert getattr(found, name) == pytest.approx(getattr(own, name), nan_ok=True)
    assert found.q == pytest.approx(fdr(found.p), nan_ok=True)
    assert [GI_CLASSES[c] for c in found.classes] == [
        "none" if not c else f"{'hot' if c > 0 else 'cold'}_{(90, 95, 99)[abs(c) - 1]}"
        for c in own.classes.tolist()
    ]
    assert found.hot.any() and found.hot.tolist() == (own.classes >= 2).tolist()
    assert found.around.tolist() == (near.matrix @ area.counts).tolist()
    assert found.expected.sum() == pytest.approx(near.members.sum() * area.counts.mean())
    assert "hotspots_counts" in codes(found)


def test_what_is_not_given_is_chosen_and_explained(loaded: tuple[Connection, Sample]) -> None:
    conn, sample = loaded
    query = ReportQuery(sample.territory)
    chosen = hotspots(conn, query)
    assert {"scale_chosen", "scale_rings"} <= codes(chosen)
    half = hotspots(conn, query, HotspotSettings(resolution=chosen.resolution))
    assert "scale_chosen" not in codes(half) and "scale_rings" in codes(half)
    assert half.k == chosen.k
    full = hotspots(conn, query, HotspotSettings(resolution=6, k=3))
    assert (full.resolution, full.k) == (6, 3)
    assert not {"scale_chosen", "scale_rings", "scale_skewed"} & codes(full)


def test_the_table_has_the_columns_that_are_promised(loaded: tuple[Connection, Sample]) -> None:
    conn, sample = loaded
    query = ReportQuery(sample.territory)
    frame = hotspots(conn, query, HotspotSettings(resolution=7)).to_geodataframe()
    assert list(frame.columns[:6]) == ["cell", "count", "z", "p", "q", "class"]
    assert frame.crs.to_epsg() == 4326 and set(frame.geom_type) == {"Polygon"}
    assert frame["cell"].tolist() == to_text(cells_covering(SQUARE, 7))
    assert set(frame["class"]) <= set(GI_CLASSES)
    assert (frame["count"] == 0).any()


def test_rates_are_measured_against_the_exposure_and_cells_without_are_not_tested(
    loaded: tuple[Connection, Sample],
) -> None:
    conn, sample = loaded
    query = ReportQuery(sample.territory)
    found = hotspots(conn, query, HotspotSettings(resolution=8, k=2, exposure="population"))
    rates = found.rates
    assert rates is not None and (rates.per, rates.unit, rates.simulated) == (1000, "people", True)
    people = exposures.of_cells(conn, sample.territory, "population", found.cells, 8)
    own = shrunk_rates(found.counts, people)
    assert rates.rate == pytest.approx(1000 * own.rate, nan_ok=True)
    assert rates.low == pytest.approx(1000 * own.low, nan_ok=True)
    assert rates.level == pytest.approx(2000 * own.overall)
    assert rates.exceed == pytest.approx(own.exceed(2 * own.overall), nan_ok=True)
    assert found.z == pytest.approx(gi_star(own.score, neighbourhood(found.cells, 2)).z, nan_ok=True)
    nobody = people == 0
    assert nobody.any() and np.isnan(found.p[nobody]).all()
    assert {GI_CLASSES[c] for c in found.classes[nobody]} == {"none"}
    assert {"rates_without", "exposure_simulated"} <= codes(found)
    assert not {"hotspots_counts", "gi_missing"} & codes(found)
    frame = found.to_geodataframe()
    assert {"exposure", "crude", "rate", "low", "high", "exceed", "score"} <= set(frame.columns)
    given = hotspots(conn, query, HotspotSettings(resolution=8, k=2, exposure="population", exceeds=50))
    assert given.rates is not None
    assert given.rates.exceed == pytest.approx(own.exceed(0.05), nan_ok=True)


def test_rates_per_ground_need_nothing_loaded(loaded: tuple[Connection, Sample]) -> None:
    conn, sample = loaded
    query = ReportQuery(sample.territory)
    found = hotspots(conn, query, HotspotSettings(resolution=7, exposure="area"))
    assert found.rates is not None
    assert found.rates.crude == pytest.approx(found.counts / found.km2)
    assert "hotspots_area" in codes(found)
    with pytest.raises(InputError, match="No buildings is loaded"):
        hotspots(conn, query, HotspotSettings(resolution=7, exposure="buildings"))


def test_local_moran_gives_clusters_and_is_the_same_on_every_run(loaded: tuple[Connection, Sample]) -> None:
    conn, sample = loaded
    query = ReportQuery(sample.territory)
    settings = HotspotSettings(resolution=8, k=1, method="moran", draws=9_999)
    first, second = hotspots(conn, query, settings), hotspots(conn, query, settings)
    assert first.codes == MORAN_CLASSES
    assert first.class_counts()["high_high"] > 0
    assert first.p.tolist() == second.p.tolist()
    assert first.i is not None and "i" in first.to_geodataframe()
    # A cluster of high values is where I is above 0 and the count above the average.
    assert np.all(first.i[first.hot] > 0) and np.all(first.counts[first.hot] > first.counts.mean())


def test_no_reports_are_no_error(loaded: tuple[Connection, Sample]) -> None:
    conn, sample = loaded
    nothing = ReportQuery(sample.territory, types=(10**6,))
    for settings in (
        HotspotSettings(),
        HotspotSettings(exposure="population"),
        HotspotSettings(method="moran", draws=99),
    ):
        found = hotspots(conn, nothing, settings)
        assert not found.hot.any() and set(found.class_counts()) == set(found.codes)
        assert any(remark.caution for remark in found.remarks)
        json.dumps(found.summary(), allow_nan=False)
        assert len(found.to_geodataframe()) == len(found.cells)


def test_the_correction_for_reporting_says_what_would_be_without_it(
    loaded: tuple[Connection, Sample],
) -> None:
    conn, sample = loaded
    query = ReportQuery(sample.territory)
    found = hotspots(conn, query, HotspotSettings(resolution=7, k=1, corrected=True))
    assert found.query.incidents and found.corrected is not None and found.before is not None
    seen = corrected_counts(conn, found.query, found.cells, 7)
    near = neighbourhood(found.cells, 1)
    assert found.corrected == pytest.approx(seen.corrected)
    assert found.z == pytest.approx(gi_star(seen.corrected, near).z, nan_ok=True)
    assert found.before.tolist() == (3 - gi_star(seen.counts, near).classes).tolist()
    assert {"corrected", "class_before"} <= set(found.to_geodataframe().columns)


def test_the_normal_null_warns(loaded: tuple[Connection, Sample]) -> None:
    conn, sample = loaded
    query = ReportQuery(sample.territory)
    found = hotspots(conn, query, HotspotSettings(resolution=7, null="normal"))
    assert "hotspots_normal" in codes(found)


def test_a_run_says_how_far_it_is_and_can_be_stopped(loaded: tuple[Connection, Sample]) -> None:
    conn, sample = loaded
    shares: list[float] = []
    hotspots(
        conn,
        ReportQuery(sample.territory),
        HotspotSettings(resolution=8, method="moran", draws=999),
        tick=shares.append,
    )
    assert shares == sorted(shares) and shares[0] == 0 and shares[-1] == 1

    def stop(share: float) -> None:
        raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        hotspots(conn, ReportQuery(sample.territory), tick=stop)


@pytest.mark.parametrize(
    "wrong",
    [
        {"resolution": 3},
        {"k": 0},
        {"method": "mean"},
        {"null": "t"},
        {"exceeds": -1},
        {"exceeds": float("nan")},
        {"draws": 5},
    ],
)
def test_settings_that_cannot_be_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="Settings of hot spots"):
        HotspotSettings(**wrong)


def test_the_command_gives_the_same_as_the_function(
    loaded: tuple[Connection, Sample], tmp_path: Path
) -> None:
    conn, sample = loaded
    out = tmp_path / "hot.geojson"
    words = ["hotspots", "--territory", "east", "--resolution", "7", "--k", "1", "--out", str(out), "--json"]
    done = CliRunner().invoke(application(), words)
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    found = hotspots(conn, ReportQuery(sample.territory), HotspotSettings(resolution=7, k=1))
    assert said["classes"] == found.class_counts() and said["rows"] == len(found.cells)
    written = gpd.read_file(out)
    assert written["cell"].tolist() == to_text(found.cells)
    assert written["z"].to_numpy() == pytest.approx(found.z, nan_ok=True)
    plain = CliRunner().invoke(application(), [*words[:7], "--exposure", "population", "--method", "moran"])
    assert plain.exit_code == 0, plain.output
    assert "reports per 1,000 people" in plain.stdout and "surely high" in plain.stdout
    wrong = CliRunner().invoke(application(), [*words[:5], "--exposure", "gold"])
    assert wrong.exit_code == 1
