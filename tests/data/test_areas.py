"""Areas in the store: replacing a set, parents, study area, and reports assigned anew."""

from __future__ import annotations

import datetime as dt
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import shapely
from sqlalchemy import Connection, text

from data import areas, territories
from data.vocabulary import Flag, Precision
from geo.boundaries import areas_km2
from geo.cells import cells_of
from geo.errors import InputError


def _frame(rows: dict[str, shapely.Geometry], **columns: Any) -> gpd.GeoDataFrame:
    shapes = list(rows.values())
    return gpd.GeoDataFrame(
        {
            "code": [None] * len(rows),
            "ministry_code": [None] * len(rows),
            "iso_code": [None] * len(rows),
            "name_ar": list(rows),
            "name_en": list(rows),
            "folded_names": [[name] for name in rows],
            "area_km2": areas_km2(shapes),
            **columns,
        },
        geometry=shapes,
        crs="EPSG:4326",
    )


def _replace(conn: Connection, territory: int, level: str, frame: gpd.GeoDataFrame) -> areas.AreaSetResult:
    return areas.replace_set(conn, territory, level, frame, file_name="x.gpkg", file_digest="0" * 64)


def _town(conn: Connection, code: str = "town", simulated: bool = False) -> territories.Territory:
    return territories.create(conn, code, "بلدة", "Town", "Asia/Riyadh", simulated)


def _report(conn: Connection, territory: int, reference: str, **columns: Any) -> None:
    lon, lat = columns.pop("at", (None, None))
    values = {
        "cell": int(cells_of([lon], [lat])[0]) if lon is not None else None,
        "opened_at": dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
        "territory_id": territory,
        "status": 1,
        "channel": 1,
        "precision": int(Precision.POINT if lon is not None else Precision.AREA),
        "flags": 0,
        "source_id": 1,
        "content": 0,
        "batch_id": 1,
        "line": 1,
        "reference": reference,
        **columns,
    }
    names = ", ".join(values)
    point = "NULL" if lon is None else "ST_SetSRID(ST_MakePoint(:lon, :lat), 4326)"
    conn.execute(
        text(f"INSERT INTO report ({names}, geom) VALUES (:{', :'.join(values)}, {point})"),
        {**values, "lon": lon, "lat": lat},
    )


def _of(conn: Connection, reference: str) -> Any:
    return conn.execute(text("SELECT * FROM report WHERE reference = :r"), {"r": reference}).one()


WEST, EAST = shapely.box(50.0, 26.0, 50.1, 26.1), shapely.box(50.1, 26.0, 50.2, 26.1)
WHOLE = shapely.box(50.0, 26.0, 50.2, 26.1)


def test_a_new_set_replaces_the_old_one_and_keeps_it_with_its_dates(store: Any) -> None:
    with store.engine.begin() as conn:
        town = _town(conn)
        first = _replace(conn, town.id, "district", _frame({"west": WEST, "east": EAST}))
        second = _replace(conn, town.id, "district", _frame({"whole": WHOLE}))
        current = areas.current_areas(conn, town.id)
        old = conn.execute(
            text("SELECT valid_from, valid_to FROM area WHERE id = ANY(:ids)"), {"ids": list(first.ids)}
        ).all()
        sets = conn.execute(text("SELECT valid_to IS NULL FROM area_set ORDER BY id")).scalars().all()
    assert second.closed == 2
    assert current["name_en"].tolist() == ["whole"]
    assert current.crs.to_epsg() == 4326
    assert all(row.valid_to is not None and row.valid_to >= row.valid_from for row in old)
    assert sets == [False, True]


def test_the_study_area_is_the_union_of_all_current_areas(store: Any) -> None:
    with store.engine.begin() as conn:
        town = _town(conn)
        _replace(conn, town.id, "district", _frame({"west": WEST}))
        assert territories.study_area(conn, town.id).equals(WEST)
        _replace(conn, town.id, "municipality", _frame({"east": EAST}))
        assert territories.study_area(conn, town.id).symmetric_difference(WHOLE).area < 1e-12
        _replace(conn, town.id, "district", _frame({"east": EAST}))
        assert territories.study_area(conn, town.id).equals(EAST)


def test_a_parent_is_the_coarser_area_that_covers_most(store: Any) -> None:
    straddling = shapely.box(50.07, 26.02, 50.12, 26.04)
    away = shapely.box(51, 27, 51.1, 27.1)
    with store.engine.begin() as conn:
        town = _town(conn)
        _replace(conn, town.id, "district", _frame({"a": straddling, "b": away}))
        over = _replace(conn, town.id, "municipality", _frame({"west": WEST, "east": EAST}))
        parents = areas.current_areas(conn, town.id, "district")["parent_id"].tolist()
        again = _replace(conn, town.id, "district", _frame({"a": straddling, "b": away}))
    assert parents == [over.ids[0], None]
    assert again.orphans == 1


def test_a_parent_named_by_the_file_wins_over_the_outline(store: Any) -> None:
    with store.engine.begin() as conn:
        town = _town(conn)
        over = _replace(conn, town.id, "municipality", _frame({"west": WEST, "east": EAST}))
        small = shapely.box(50.01, 26.01, 50.02, 26.02)
        _replace(conn, town.id, "district", _frame({"a": small}, parent_folded=[["east"]]))
        parents = areas.current_areas(conn, town.id, "district")["parent_id"].tolist()
    assert parents == [over.ids[1]]


def test_a_set_between_two_levels_becomes_the_parent_of_the_finer_one(store: Any) -> None:
    with store.engine.begin() as conn:
        town = _town(conn)
        top = _replace(conn, town.id, "region", _frame({"whole": WHOLE}))
        _replace(conn, town.id, "district", _frame({"west": WEST}))
        middle = _replace(conn, town.id, "municipality", _frame({"middle": WHOLE}))
        levels = areas.current_areas(conn, town.id).set_index("level")["parent_id"].to_dict()
    assert levels == {"region": None, "municipality": top.ids[0], "district": middle.ids[0]}


def test_reports_are_assigned_anew_and_only_what_changed_is_counted(store: Any) -> None:
    with store.engine.begin() as conn:
        town = _town(conn)
        _report(conn, town.id, "in west", at=(50.05, 26.05))
        _report(conn, town.id, "in east", at=(50.15, 26.05))
        first = _replace(conn, town.id, "district", _frame({"west": WEST, "east": EAST}))
        assert first.reassigned == 2
        assert _of(conn, "in west").district_id == first.ids[0]
        assert _of(conn, "in east").district_id == first.ids[1]
        over = _replace(conn, town.id, "municipality", _frame({"west": WEST}))
        assert _of(conn, "in west").municipality_id == over.ids[0]
        assert _of(conn, "in west").district_id == first.ids[0]
        assert _of(conn, "in east").municipality_id is None
        assert over.reassigned == 1


def test_a_report_beside_the_new_study_area_is_flagged_and_one_inside_no_longer(store: Any) -> None:
    other = int(Flag.DEFAULT_POINT)
    with store.engine.begin() as conn:
        town = _town(conn)
        _report(conn, town.id, "near", at=(50.105, 26.05), flags=other)
        _report(conn, town.id, "far", at=(50.19, 26.05))
        result = _replace(conn, town.id, "district", _frame({"west": WEST}))
        assert _of(conn, "near").flags == other | int(Flag.NEAR_BOUNDARY)
        assert _of(conn, "far").flags == int(Flag.NEAR_BOUNDARY)
        assert result.far == 1
        result = _replace(conn, town.id, "district", _frame({"whole": WHOLE}))
        assert _of(conn, "near").flags == other
        assert _of(conn, "far").flags == 0
        assert result.far == 0


def test_area_precise_reports_follow_the_name_and_the_lost_ones_say_so(store: Any) -> None:
    with store.engine.begin() as conn:
        town = _town(conn)
        old = _replace(conn, town.id, "district", _frame({"west": WEST, "east": EAST}))
        _report(conn, town.id, "follows", district_id=old.ids[0])
        _report(conn, town.id, "lost", district_id=old.ids[1])
        new = _replace(conn, town.id, "district", _frame({"north": EAST, "west": WEST}))
        follows, lost = _of(conn, "follows"), _of(conn, "lost")
    assert (follows.district_id, follows.precision, follows.flags) == (new.ids[1], Precision.AREA, 0)
    assert (lost.district_id, lost.precision, lost.flags) == (None, Precision.NONE, Flag.NO_LOCATION)
    assert (new.reassigned, new.lost) == (2, 1)


def test_an_area_precise_report_keeps_its_municipality_when_the_district_is_gone(store: Any) -> None:
    with store.engine.begin() as conn:
        town = _town(conn)
        over = _replace(conn, town.id, "municipality", _frame({"whole": WHOLE}))
        old = _replace(conn, town.id, "district", _frame({"east": EAST}))
        _report(conn, town.id, "r", district_id=old.ids[0], municipality_id=over.ids[0])
        new = _replace(conn, town.id, "district", _frame({"north": EAST}))
        row = _of(conn, "r")
    assert (row.district_id, row.municipality_id) == (None, over.ids[0])
    assert (row.precision, row.flags, new.lost) == (Precision.AREA, 0, 0)


def test_an_area_precise_report_gains_the_level_above_when_it_is_loaded(store: Any) -> None:
    with store.engine.begin() as conn:
        town = _town(conn)
        own = _replace(conn, town.id, "district", _frame({"east": EAST}))
        _report(conn, town.id, "r", district_id=own.ids[0])
        over = _replace(conn, town.id, "municipality", _frame({"whole": WHOLE}))
        row = _of(conn, "r")
    assert (row.district_id, row.municipality_id) == (own.ids[0], over.ids[0])


def test_many_reports_get_the_areas_of_postgis_and_the_indexes_survive(
    store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("data.assignment._BULK", 1000)
    monkeypatch.setattr("data.assignment._RANGE", 700)
    indexes = text("SELECT indexname FROM pg_indexes WHERE tablename = 'report' ORDER BY 1")
    rng = np.random.default_rng(5)
    lon, lat = rng.uniform(49.9, 50.3, 3000), rng.uniform(25.9, 26.2, 3000)
    with store.engine.begin() as conn:
        before = conn.execute(indexes).scalars().all()
        town, other = _town(conn), _town(conn, "other")
        for territory in (town, other):
            conn.execute(
                text(
                    """INSERT INTO report (cell, opened_at, territory_id, status, channel, precision,
                         source_id, content, batch_id, line, reference, geom)
                       SELECT c, now(), :territory, 1, 1, 2, :territory, 0, 1, n, n::text,
                              ST_SetSRID(ST_MakePoint(x, y), 4326)
                       FROM unnest(CAST(:c AS bigint[]), CAST(:x AS float8[]), CAST(:y AS float8[]))
                            WITH ORDINALITY AS p (c, x, y, n)"""
                ),
                {
                    "territory": territory.id,
                    "c": cells_of(lon, lat).tolist(),
                    "x": lon.tolist(),
                    "y": lat.tolist(),
                },
            )
        bowl = shapely.Point(50.1, 26.05).buffer(0.07)
        pieces = {"west": bowl.intersection(WEST), "east": bowl.intersection(EAST), "rest": WEST - bowl}
        _replace(conn, town.id, "district", _frame(pieces))
        wrong = conn.execute(
            text(
                """SELECT count(*) FROM report r WHERE territory_id = :id AND district_id IS DISTINCT FROM
                     (SELECT a.id FROM area a WHERE ST_Intersects(a.geom, r.geom) AND a.valid_to IS NULL)"""
            ),
            {"id": town.id},
        ).scalar_one()
        located = conn.execute(
            text("SELECT territory_id, count(district_id) FROM report GROUP BY 1 ORDER BY 1")
        ).all()
        assert conn.execute(indexes).scalars().all() == before
    assert wrong == 0
    assert located[0][1] > 300
    assert located[1][1] == 0


def test_a_replacement_counts_the_version_up_and_is_undone_with_its_transaction(store: Any) -> None:
    with store.engine.begin() as conn:
        town = _town(conn)
    with store.engine.connect() as conn:
        _replace(conn, town.id, "district", _frame({"west": WEST}))
        assert territories.find(conn, "town").data_version == town.data_version + 1
        conn.rollback()
        assert areas.current_ids(conn, town.id) == frozenset()
        assert territories.find(conn, "town").data_version == town.data_version


def test_two_transactions_cannot_change_one_territory_at_once(store: Any) -> None:
    with store.engine.begin() as conn:
        town = _town(conn)
    probe = text("SELECT pg_try_advisory_xact_lock(hashtext('rasd.territory'), :id)")
    with store.engine.begin() as one, store.engine.begin() as two:
        territories.lock_territory(one, town.id)
        assert two.execute(probe, {"id": town.id}).scalar_one() is False
        assert two.execute(probe, {"id": town.id + 1}).scalar_one() is True


def test_the_names_of_current_areas_only_are_offered_for_matching(store: Any) -> None:
    with store.engine.begin() as conn:
        town = _town(conn)
        _replace(conn, town.id, "district", _frame({"old": WEST}))
        new = _replace(conn, town.id, "district", _frame({"new": WEST}))
        assert areas.area_names(conn, town.id) == [("district", new.ids[0], ["new"])]


def test_an_unknown_level_and_an_empty_set_are_refused(store: Any) -> None:
    with store.engine.begin() as conn:
        town = _town(conn)
        with pytest.raises(InputError, match="street"):
            _replace(conn, town.id, "street", _frame({"a": WEST}))
        with pytest.raises(InputError, match="without areas"):
            _replace(conn, town.id, "district", _frame({"a": WEST}).iloc[:0])


def test_the_territory_of_a_file_is_the_one_that_holds_its_points(store: Any) -> None:
    rng = np.random.default_rng(1)
    lon, lat = rng.uniform(50.0, 50.1, 200), rng.uniform(26.0, 26.1, 200)
    with store.engine.begin() as conn:
        town, country = _town(conn), _town(conn, "country")
        _replace(conn, town.id, "district", _frame({"west": WEST}))
        _replace(conn, country.id, "region", _frame({"all": shapely.box(45, 20, 55, 30)}))
        assert territories.choose(conn, lon, lat, False).code == "town"
        assert territories.choose(conn, lon + 1, lat, False).code == "country"
        assert territories.choose(conn, lon + 90, lat, False) is None
        assert territories.choose(conn, lon, lat, True) is None
        assert territories.choose(conn, [np.nan], [np.nan], False) is None
        few = np.r_[lon[:15], np.full(185, 120.0)]
        assert territories.choose(conn, few, lat, False) is None
        assert territories.choose(conn, lon - 0.11, lat, False).code == "country"


def test_territories_come_with_their_newest_report_first(store: Any) -> None:
    with store.engine.begin() as conn:
        old, new, _ = _town(conn, "old"), _town(conn, "new"), _town(conn, "bare")
        _report(conn, old.id, "1", at=(50.05, 26.05))
        _report(conn, new.id, "2", at=(50.05, 26.05), opened_at=dt.datetime(2026, 2, 1, tzinfo=dt.UTC))
        _replace(conn, new.id, "district", _frame({"west": WEST}))
        found = territories.all_territories(conn)
        assert [t.code for t in found] == ["new", "old", "bare"]
        assert territories.newest(conn) == found[0]
        assert territories.find(conn, "nowhere") is None
    assert found[0].areas == {"district": 1}
    assert found[0].bounds == pytest.approx((50.0, 26.0, 50.1, 26.1))
    assert found[2].newest_report is None


def test_a_taken_code_a_wrong_code_and_a_wrong_time_zone_are_refused(store: Any) -> None:
    with store.engine.begin() as conn:
        _town(conn)
        with pytest.raises(InputError, match="already"):
            _town(conn)
        with pytest.raises(InputError, match="'a-b'"):
            _town(conn, "a b")
        with pytest.raises(InputError, match="IANA"):
            territories.create(conn, "x", "x", "x", "Asia/Dammam", False)


def test_the_time_zone_is_settled_by_the_first_report(store: Any) -> None:
    with store.engine.begin() as conn:
        town = _town(conn)
        assert territories.adopt_timezone(conn, town.id, "Asia/Amman")
        _report(conn, town.id, "1", at=(50.05, 26.05))
        assert not territories.adopt_timezone(conn, town.id, "Asia/Riyadh")
        assert territories.find(conn, "town").timezone == "Asia/Amman"


@pytest.mark.parametrize(
    ("name", "code"),
    [("Baltimore City.geojson.gz", "baltimore-city"), ("حي الشاطئ.gpkg", "حي-الشاطئ"), ("...", "territory")],
)
def test_a_code_is_made_from_a_name(name: str, code: str) -> None:
    assert territories.slug(name) == code
