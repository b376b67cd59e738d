"""Roads from files into the store: every row accounted for, tags understood, the same file once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import shapely
from sqlalchemy import text

from data import roads, territories
from data.reference import read
from geo.errors import InputError
from geo.roads import CLASSES
from ingest.areas import ingest_areas
from ingest.demo_roads import simulated_roads
from ingest.road_tags import NO_ROAD, read_tags
from ingest.roads import ingest_roads

WEST, SOUTH = 49.0, 26.0
SQUARE = shapely.box(WEST, SOUTH, WEST + 0.08, SOUTH + 0.07)


@pytest.fixture(scope="module")
def city(module_store: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    path = tmp_path_factory.mktemp("city") / "city.geojson"
    gpd.GeoDataFrame({"name": ["Square"]}, geometry=[SQUARE], crs=4326).to_file(path)
    ingest_areas(module_store.engine, path, level="municipality", territory="square")
    return module_store


def line(*places: tuple[float, float]) -> shapely.LineString:
    return shapely.LineString([(WEST + x / 100, SOUTH + y / 100) for x, y in places])


def frame(shapes: list[Any], **columns: list[Any]) -> gpd.GeoDataFrame:
    return gpd.GeoDataFrame(columns, geometry=shapes, crs=4326)


def stored(city: Any) -> Any:
    with city.engine.connect() as conn:
        place = territories.find(conn, "square")
        assert place is not None
        return place, roads.current(conn, place.id), roads.of_territory(conn, place.id)


def test_every_row_is_accounted_for_and_told(city: Any, tmp_path: Path) -> None:
    two = shapely.MultiLineString([line((1, 3), (2, 3)), line((3, 3), (4, 3))])
    rows = [
        (line((1, 1), (2, 1)), "primary"),
        (two, "residential"),
        (line((2, 1), (1, 1)), "primary"),  # the first one, drawn the other way
        (None, "primary"),
        (shapely.Point(WEST + 0.01, SOUTH + 0.01), "primary"),
        (line((2, 2), (2, 2)), "primary"),
        (line((5, 1), (6, 1)), "construction"),
        (line((5, 2), (6, 2)), None),  # in such data a fence or a river
        (line((20, 20), (21, 20)), "primary"),
        (line((7, 1), (12, 1)), "secondary"),  # across the edge: whole
    ]
    path = tmp_path / "roads.gpkg"
    shapes = [shape for shape, _ in rows]
    frame(shapes, highway=[tag for _, tag in rows]).to_file(path, layer="r", driver="GPKG")
    found = ingest_roads(city.engine, path)
    assert found.read == found.accepted + found.outside + found.no_road + found.refused == 10
    assert (found.accepted, found.outside, found.no_road, found.refused) == (3, 1, 2, 4)
    assert [(f.row, f.reason) for f in found.faults] == [
        (3, "repeated"), (4, "empty"), (5, "no_line"), (6, "no_length"),
    ]  # fmt: skip
    assert found.roads == 4 and found.classes == {"local": 2, "primary": 1, "secondary": 1}
    told = " ".join(found.notes)
    assert "row 3" in told and "taken apart" in told and "outside" in told
    _, current, kept = stored(city)
    assert (current.read, current.accepted, current.label) == (10, 3, "roads.gpkg")
    assert kept.length_m.sum() / 1000 == pytest.approx(found.km) == pytest.approx(current.km)
    assert shapely.get_coordinates(kept.lines[-1])[-1, 0] == pytest.approx(WEST + 0.12)


def test_the_same_file_changes_nothing_and_another_replaces_it(city: Any, tmp_path: Path) -> None:
    path = tmp_path / "some.parquet"
    frame([line((1, 1), (2, 1)), line((1, 2), (2, 2))], highway=["primary"] * 2).to_parquet(path)
    first = ingest_roads(city.engine, path, label="Survey")
    before, held, _ = stored(city)
    again = ingest_roads(city.engine, path, label="Survey")
    after, same, _ = stored(city)
    assert not first.unchanged and again.unchanged
    assert (before.data_version, held.id) == (after.data_version, same.id)
    renamed = ingest_roads(city.engine, path, label="Survey of May")
    later, other, kept = stored(city)
    assert not renamed.unchanged and other.id != held.id and later.data_version > after.data_version
    with city.engine.connect() as conn:
        assert conn.scalar(text("SELECT count(*) FROM road")) == len(kept) == 2
        assert conn.scalar(text("SELECT count(*) FROM road_set WHERE valid_to IS NULL")) == 1


def test_an_openstreetmap_extract_is_read_with_its_tags(city: Any, tmp_path: Path) -> None:
    nodes = "".join(
        f'<node id="{k}" lat="{SOUTH + 0.01}" lon="{WEST + 0.01 * k}" version="1"/>' for k in range(1, 5)
    )

    def way(number: int, first: int, **tags: str) -> str:
        inner = "".join(f'<tag k="{k.replace("_", ":")}" v="{v}"/>' for k, v in tags.items())
        return f'<way id="{number}" version="1"><nd ref="{first}"/><nd ref="{first + 1}"/>{inner}</way>'

    ways = way(1, 1, highway="primary_link", name="طريق الملك", name_en="King Road", ref="40", oneway="-1")
    ways += way(2, 2, highway="residential", name="Elm") + way(3, 3, waterway="stream")
    path = tmp_path / "extract.osm"
    path.write_text(f'<?xml version="1.0"?><osm version="0.6">{nodes}{ways}</osm>', "utf-8")
    found = ingest_roads(city.engine, path)
    assert (found.read, found.accepted, found.no_road) == (3, 2, 1)
    _, _, kept = stored(city)
    assert kept.road_class.tolist() == ["primary", "local"]
    assert kept.name_ar.tolist() == ["طريق الملك", ""] and kept.name_en.tolist() == ["King Road", "Elm"]
    assert kept.ref.tolist() == ["40", ""] and kept.direction.tolist() == [-1, 0]


def test_what_cannot_be_roads_is_refused_and_nothing_is_lost(city: Any, tmp_path: Path) -> None:
    good = tmp_path / "good.geojson"
    frame([line((1, 1), (2, 1))], highway=["primary"]).to_file(good)
    ingest_roads(city.engine, good)
    before = stored(city)[1]
    cases = [
        (frame([shapely.box(WEST, SOUTH, WEST + 0.01, SOUTH + 0.01)], highway=["primary"]), "no road lines"),
        (frame([line((20, 20), (21, 20))], highway=["primary"]), "no road of it lies"),
        (frame([line((1, 1), (2, 1))], highway=["proposed"]), "no road of it lies"),
    ]
    for number, (bad, reason) in enumerate(cases):
        path = tmp_path / f"bad{number}.geojson"
        bad.to_file(path)
        with pytest.raises(InputError, match=reason):
            ingest_roads(city.engine, path)
    with pytest.raises(InputError, match="never mixed"):
        ingest_roads(city.engine, good, simulated=True)
    with pytest.raises(InputError, match="no territory 'nowhere'"):
        ingest_roads(city.engine, good, territory="nowhere")
    assert stored(city)[1] == before


# ---- tags ----


def test_names_go_by_their_language_else_by_their_script() -> None:
    shapes = [line((1, k), (2, k)) for k in range(3)]
    tags = read_tags(frame(shapes, name=["شارع النخيل", "Elm St", "طريق 5"], name_en=[None, None, "Road 5"]))
    assert tags.name_ar.tolist() == ["شارع النخيل", None, "طريق 5"]
    assert tags.name_en.tolist() == [None, "Elm St", "Road 5"]


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"oneway": ["yes", "no", "-1", "reversible"]}, [1, 0, -1, 0]),
        ({"oneway": ["F", "B", "T", "B"]}, [1, 0, -1, 0]),
        ({"oneway": ["1", None, "true", "0"]}, [1, 0, 1, 0]),
        ({"highway": ["motorway", "motorway", "residential", "primary"], "oneway": [None, "no", None, None]},
         [1, 0, 0, 0]),
        ({"highway": ["primary"] * 4, "junction": ["roundabout", None, "circular", None]}, [1, 0, 1, 0]),
    ],
)  # fmt: skip
def test_directions_of_several_sources_are_understood(columns: dict[str, list], expected: list[int]) -> None:
    tags = read_tags(frame([line((1, k), (2, k)) for k in range(4)], **columns))
    assert tags.direction.tolist() == expected


def test_other_classes_are_translated_in_order_and_strange_ones_told() -> None:
    shapes = [line((1, k), (2, k)) for k in range(5)]
    city_ = read_tags(
        frame(
            shapes,
            sha_class=["PART", " ", None, "XYZ", "LOC"],
            subtype=["STRPRD", "STRALY", "STRTN", "STRPRD", "Q"],
        )
    )
    assert city_.road_class.tolist() == ["primary", "service", "motorway", "other", "local"]
    assert any("XYZ (1)" in note for note in city_.notes)
    arabic = read_tags(frame(shapes, **{"تصنيف الطريق": ["شرياني", "تجميعي", "محلي", "محلي", "سريع"]}))
    assert arabic.road_class.tolist() == ["primary", "tertiary", "local", "local", "motorway"]
    nothing = read_tags(frame(shapes, colour=list("abcde")))
    assert set(nothing.road_class) == {"other"} and any(
        "No column of road classes" in n for n in nothing.notes
    )


def test_the_table_of_classes_knows_only_classes_that_there_are() -> None:
    rows = read("road_classes.csv")
    assert {row["road_class"] for row in rows} <= {*CLASSES, NO_ROAD}
    assert all(row["source"] for row in rows)
    keys = [(row["columns"], row["value"].casefold()) for row in rows]
    assert len(keys) == len(set(keys))


# ---- the demo's roads ----


def test_the_demos_roads_are_one_network_and_say_that_they_are_invented() -> None:
    made = simulated_roads()
    points, owner = shapely.get_coordinates(made.geometry.values, return_index=True)
    _, vertex = np.unique(np.round(points * 1e7).astype(np.int64), axis=0, return_inverse=True)
    parent = np.arange(len(made))
    # Union of lines that share a vertex.
    first: dict[int, int] = {}

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = int(parent[i])
        return i

    for spot, road in zip(vertex.ravel().tolist(), owner.tolist(), strict=True):
        parent[root(road)] = root(first.setdefault(spot, road))
    roots = np.array([root(i) for i in range(len(made))])
    length = made.to_crs("EPSG:32639").length.to_numpy()
    main = max(set(roots.tolist()), key=lambda r: length[roots == r].sum())
    assert length[roots == main].sum() > 0.97 * length.sum()
    # Main roads and links leave no town out.
    assert (roots[(made["highway"] != "residential").to_numpy()] == main).all()
    assert made["name:ar"].str.contains("محاكاة").all() and made["name:en"].str.contains("Simulated").all()
