"""Files of boundaries into the store: formats, columns, faults, territories, assignment."""

from __future__ import annotations

import gzip
import json
import zipfile
from pathlib import Path
from typing import Any

import geopandas as gpd
import pandas as pd
import pytest
import shapely
from sqlalchemy import text

from data import areas as area_store
from data import territories
from geo.errors import InputError
from ingest.areas import ingest_areas
from ingest.outlines import read_outlines, recognise, spellings_in

WEST, EAST = shapely.box(50.0, 26.0, 50.1, 26.1), shapely.box(50.1, 26.0, 50.2, 26.1)


def _file(folder: Path, file: str = "town.geojson", /, **columns: Any) -> Path:
    shapes = columns.pop("shapes", [WEST, EAST])
    path = folder / file
    gpd.GeoDataFrame(columns, geometry=shapes, crs="EPSG:4326").to_file(path)
    return path


def _columns(path: Path, level: str = "district", **given: str | None) -> Any:
    return recognise(read_outlines(path).frame, level, given, [], path.name)


def _dbf_zip(folder: Path, encoding: str) -> Path:
    """A zipped shapefile with Arabic names and neither .cpg nor language byte."""
    path = folder / "town.shp"
    frame = gpd.GeoDataFrame({"NAME_AR": ["حي الشاطئ", "حي الفيصلية"]}, geometry=[WEST, EAST], crs=4326)
    frame.to_file(path, encoding=encoding)
    dbf = bytearray(path.with_suffix(".dbf").read_bytes())
    dbf[29] = 0
    target = folder / "town.zip"
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("map/town.dbf", bytes(dbf))
        for suffix in (".shp", ".shx", ".prj"):
            archive.write(path.with_suffix(suffix), f"map/town{suffix}")
    return target


def test_a_file_becomes_the_current_areas_of_a_new_territory(store: Any, tmp_path: Path) -> None:
    path = _file(
        tmp_path, name_ar=["حي الشاطئ", "حي الفيصلية"], name_en=["Ash Shati", "Al Faisaliyah"], code=[7, 8]
    )
    result = ingest_areas(store.engine, path, level="district")
    assert (result.read, result.accepted, result.repaired) == (2, 2, 0)
    assert (result.territory, result.created, result.faults) == ("town", True, [])
    assert json.loads(json.dumps(result.to_dict(), ensure_ascii=False))["territory"] == "town"
    with store.engine.connect() as conn:
        place = territories.find(conn, "town")
        current = area_store.current_areas(conn, place.id)
        names = area_store.area_names(conn, place.id)
    assert (place.timezone, place.simulated) == ("Asia/Riyadh", False)
    assert current["name_ar"].tolist() == ["حي الشاطئ", "حي الفيصلية"]
    assert current["code"].tolist() == ["7", "8"]
    assert current["area_km2"].iloc[0] == pytest.approx(110.6, rel=0.01)
    assert names[0][2] == ["shati", "شاطي"]


def test_the_same_areas_again_change_nothing(store: Any, tmp_path: Path) -> None:
    path = _file(tmp_path, name=["a", "b"])
    ingest_areas(store.engine, path, level="district")
    again = ingest_areas(store.engine, path, level="district")
    with store.engine.connect() as conn:
        sets = conn.execute(text("SELECT count(*) FROM area_set")).scalar_one()
        version = territories.find(conn, "town").data_version
    assert (again.unchanged, again.created, sets, version) == (True, False, 1, 1)
    renamed = ingest_areas(store.engine, _file(tmp_path, name=["a", "c"]), level="district")
    assert not renamed.unchanged


def test_other_reference_systems_are_transformed(tmp_path: Path) -> None:
    path = tmp_path / "utm.gpkg"
    gpd.GeoDataFrame({"name": ["a"]}, geometry=[WEST], crs=4326).to_crs(32639).to_file(path)
    outlines = read_outlines(path)
    assert outlines.frame.geometry.iloc[0].symmetric_difference(WEST).area < 1e-9
    assert any("EPSG:32639" in note for note in outlines.notes)


@pytest.mark.parametrize("encoding", ["cp1256", "utf-8"])
def test_arabic_names_of_a_shapefile_that_states_no_encoding_are_read(tmp_path: Path, encoding: str) -> None:
    frame = read_outlines(_dbf_zip(tmp_path, encoding)).frame
    assert frame["NAME_AR"].tolist() == ["حي الشاطئ", "حي الفيصلية"]


def test_compressed_files_and_plain_parquet_are_read(tmp_path: Path) -> None:
    plain = _file(tmp_path, name=["a", "b"])
    packed = tmp_path / "town.geojson.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    zipped = tmp_path / "geojson.zip"
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.write(plain, "town.geojson")
    wkb = tmp_path / "plain.parquet"
    pd.DataFrame({"name": ["a", "b"], "shape": [WEST.wkb, EAST.wkb]}).to_parquet(wkb)
    geo = tmp_path / "geo.parquet"
    gpd.read_file(plain).to_parquet(geo)
    for path in (packed, zipped, wkb, geo):
        frame = read_outlines(path).frame
        assert frame["name"].tolist() == ["a", "b"]
        assert frame.geometry.iloc[1].equals(EAST)


def test_broken_rings_are_repaired_and_said_and_rows_without_outline_refused(
    store: Any, tmp_path: Path
) -> None:
    bow_tie = shapely.Polygon([(50, 26), (50.1, 26.1), (50.1, 26), (50, 26.1)])
    path = _file(tmp_path, name=["a", "b", "c"], shapes=[bow_tie, shapely.Point(50, 26), EAST])
    result = ingest_areas(store.engine, path, level="district")
    assert (result.read, result.accepted, result.repaired) == (3, 2, 1)
    assert [(fault.line, fault.code, fault.value) for fault in result.faults] == [(2, "no_outline", "Point")]
    assert any("Row 1 was repaired: Self-intersection" in note for note in result.notes)


def test_overlaps_and_gaps_are_measured(store: Any, tmp_path: Path) -> None:
    ring = shapely.box(50, 26, 50.3, 26.3) - shapely.box(50.1, 26.1, 50.2, 26.2)
    path = _file(tmp_path, name=["ring", "corner"], shapes=[ring, shapely.box(50.0, 26.0, 50.1, 26.1)])
    result = ingest_areas(store.engine, path, level="district")
    assert result.overlap_km2 == pytest.approx(110.6, rel=0.01)
    assert result.gap_km2 == pytest.approx(110.6, rel=0.01)


def test_names_of_one_language_stand_for_both(store: Any, tmp_path: Path) -> None:
    result = ingest_areas(store.engine, _file(tmp_path, name=["الشاطئ", "الفيصلية"]), level="district")
    with store.engine.connect() as conn:
        current = area_store.current_areas(conn, territories.find(conn, "town").id)
    assert current["name_en"].tolist() == current["name_ar"].tolist() == ["الشاطئ", "الفيصلية"]
    assert any("Arabic names only" in note for note in result.notes)


def test_areas_with_the_same_name_and_code_are_said(store: Any, tmp_path: Path) -> None:
    result = ingest_areas(store.engine, _file(tmp_path, name=["a", "a"]), level="district")
    assert result.accepted == 2
    assert any("share name and code" in note for note in result.notes)


def test_an_empty_name_is_replaced_by_the_code(store: Any, tmp_path: Path) -> None:
    ingest_areas(store.engine, _file(tmp_path, name=["a", None], id=["x1", "x2"]), level="district")
    with store.engine.connect() as conn:
        current = area_store.current_areas(conn, territories.find(conn, "town").id)
    assert current["name_en"].tolist() == ["a", "x2"]


@pytest.mark.parametrize(
    ("columns", "found"),
    [
        ({"NAME_AR": ["ا", "ب"], "NAME_EN": ["a", "b"], "OBJECTID": [1, 2]}, ("NAME_AR", "NAME_EN", None)),
        ({"اسم الحي": ["ا", "ب"], "الرمز": [1, 2]}, ("اسم الحي", None, "الرمز")),
        ({"ArabicName": ["ا", "ب"], "EnglishName": ["a", "b"]}, ("ArabicName", "EnglishName", None)),
        ({"ADM1_EN": ["x", "x"], "ADM2_EN": ["a", "b"], "ADM2_AR": ["ا", "ب"], "ADM2_PCODE": ["p", "q"]},
         ("ADM2_AR", "ADM2_EN", "ADM2_PCODE")),
        ({"NAME_1": ["x", "x"], "NAME_2": ["a", "b"], "NL_NAME_2": ["ا", "ب"], "GID_2": ["p", "q"]},
         ("NL_NAME_2", "NAME_2", "GID_2")),
        ({"name": ["ا", "ب"], "name_en": ["a", "b"], "name_2": ["x", "x"]}, ("name", "name_en", None)),
        ({"municipality": ["x", "x"], "district": ["a", "b"]}, (None, "district", None)),
        ({"pri_neigh": ["a", "b"], "neigh_name": ["c", "d"]}, (None, "neigh_name", None)),
    ],
)  # fmt: skip
def test_columns_are_recognised_by_common_names(
    tmp_path: Path, columns: dict[str, list[Any]], found: tuple[str | None, ...]
) -> None:
    taken = _columns(_file(tmp_path, "c.gpkg", **columns))
    assert (taken.name_ar, taken.name_en, taken.code) == found


def test_the_column_of_the_level_asked_for_is_taken(tmp_path: Path) -> None:
    path = _file(tmp_path, municipality=["x", "y"], district=["a", "b"])
    assert _columns(path, "municipality").name_en == "municipality"


def test_a_column_given_overrules_and_a_missing_one_is_listed(tmp_path: Path) -> None:
    path = _file(tmp_path, name=["a", "b"], nick=["c", "d"])
    assert _columns(path, name_en="nick").name_en == "nick"
    with pytest.raises(InputError, match=r"no column 'nome' \(--name-en\).*name, nick"):
        _columns(path, name_en="nome")


def test_other_spellings_reach_the_names_that_reports_may_use(store: Any, tmp_path: Path) -> None:
    path = _file(
        tmp_path, name_en=["Jazan", "B"], name_ar=["جازان", "ب"], name_ar_variants=['["جيزان"]', None]
    )
    ingest_areas(store.engine, path, level="region")
    with store.engine.connect() as conn:
        names = area_store.area_names(conn, territories.find(conn, "town").id)
    assert names[0][2] == ["jazan", "جازان", "جيزان"]
    assert spellings_in("a; b|c") == ["a", "b", "c"]
    assert spellings_in("['x', 'y']") == ["x", "y"]
    assert spellings_in(None) == []


def test_a_table_assigns_districts_to_municipalities(store: Any, tmp_path: Path) -> None:
    third = shapely.box(50.2, 26.0, 50.3, 26.1)
    path = _file(tmp_path, name=["حي الشاطئ", "الفيصلية", "النور"], shapes=[WEST, EAST, third])
    table = tmp_path / "table.csv"
    rows = [
        "الحي,البلدية,municipality_en",
        "الشاطي,بلدية وسط الدمام,Central",
        "حي الفيصلية,وسط الدمام,Central",
        "الغدير,غرب الدمام,West",
    ]
    table.write_text("\n".join(rows), encoding="utf-8")
    result = ingest_areas(store.engine, path, level="district", assignment=table)
    assert result.dissolved == {"municipality": 1}
    assert any("النور" in note for note in result.notes)
    assert any("غرب الدمام" in note for note in result.notes)
    with store.engine.connect() as conn:
        current = area_store.current_areas(conn, territories.find(conn, "town").id)
    town = current[current["level"] == "municipality"].iloc[0]
    districts = current[current["level"] == "district"]
    assert (town["name_ar"], town["name_en"]) == ("بلدية وسط الدمام", "Central")
    assert town.geometry.symmetric_difference(WEST | EAST).area < 1e-12
    assert districts["parent_id"].tolist() == [town["id"], town["id"], None]
    assert ingest_areas(store.engine, path, level="district", assignment=table).unchanged


def test_an_assignment_that_contradicts_itself_or_fits_nothing_is_refused(store: Any, tmp_path: Path) -> None:
    path, table = _file(tmp_path, name=["a", "b"]), tmp_path / "t.csv"
    for rows, said in (
        ("district,municipality\na,x\na,y\n", "row 3: 'a' is assigned to 'y'"),
        ("district,municipality\nq,x\nr,y\n", "none of its district names"),
        ("district,town\na,x\nb,y\n", "no column for the municipality"),
    ):
        table.write_text(rows)
        with pytest.raises(InputError, match=said):
            ingest_areas(store.engine, path, level="district", assignment=table)
    with store.engine.connect() as conn:
        assert territories.all_territories(conn) == []


def test_outlines_on_the_same_ground_belong_to_the_same_territory(store: Any, tmp_path: Path) -> None:
    whole = _file(tmp_path, "outline.geojson", name=["Big City"], shapes=[WEST | EAST])
    assert ingest_areas(store.engine, whole, level="municipality").territory == "big-city"
    parts = _file(tmp_path, "parts.geojson", name=["a", "b"])
    assert ingest_areas(store.engine, parts, level="district").territory == "big-city"
    away = _file(
        tmp_path,
        "away.geojson",
        name=["c", "d"],
        shapes=[shapely.box(-61, 5, -60, 6), shapely.box(-60, 5, -59, 6)],
    )
    result = ingest_areas(store.engine, away, level="district")
    assert result.territory == "away"
    assert any("give the right zone" in note for note in result.notes)


def test_simulated_areas_never_enter_a_real_territory(store: Any, tmp_path: Path) -> None:
    path = _file(tmp_path, name=["a", "b"])
    ingest_areas(store.engine, path, level="district", territory="real", territory_names=("حقيقي", "Real"))
    with pytest.raises(InputError, match="never mixed"):
        ingest_areas(store.engine, path, level="district", territory="real", simulated=True)
    demo = ingest_areas(
        store.engine, path, level="district", territory="demo", simulated=True, illustrative=True
    )
    assert demo.illustrative
    found = ingest_areas(store.engine, path, level="municipality")
    assert found.territory == "real"


def _point_file(folder: Path) -> Path:
    return _file(folder, name=["a", "b"], shapes=[shapely.Point(50, 26), shapely.Point(50, 27)])


def _projected_without_crs(folder: Path) -> Path:
    path = folder / "p.parquet"
    pd.DataFrame({"name": ["a"], "shape": [shapely.box(400000, 2900000, 410000, 2910000).wkb]}).to_parquet(
        path
    )
    return path


def _text_file(folder: Path) -> Path:
    path = folder / "t.csv"
    path.write_text("district,municipality\na,b\n")
    return path


def _lonely_shp(folder: Path) -> Path:
    _file(folder, "lonely.shp", name=["a", "b"])
    (folder / "lonely.shx").unlink()
    return folder / "lonely.shp"


def _two_layers(folder: Path) -> Path:
    path = folder / "two.gpkg"
    for layer in ("one", "two"):
        gpd.GeoDataFrame({"name": ["a"]}, geometry=[WEST], crs=4326).to_file(path, layer=layer)
    return path


def _two_shapefiles(folder: Path) -> Path:
    _file(folder, "a.shp", name=["a", "b"])
    with zipfile.ZipFile(folder / "two.zip", "w") as archive:
        for suffix in (".shp", ".shx", ".dbf", ".prj"):
            for stem in ("a", "b"):
                archive.write(folder / f"a{suffix}", f"{stem}{suffix}")
    return folder / "two.zip"


def _cut_off(folder: Path) -> Path:
    path = folder / "cut.geojson"
    path.write_bytes(_file(folder, name=["a", "b"]).read_bytes()[:200])
    return path


def _no_features(folder: Path) -> Path:
    path = folder / "none.geojson"
    path.write_text('{"type": "FeatureCollection", "features": []}')
    return path


def _nameless(folder: Path) -> Path:
    return _file(folder, "n.gpkg", fid_1=[1, 2], length=[3.0, 4.0])


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (_point_file, r"no outlines \(only Point\)"),
        (_projected_without_crs, "are no degrees"),
        (_text_file, "a table without outlines"),
        (_lonely_shp, "without its .shx file"),
        (_two_layers, "one, two. Say which one with --layer"),
        (_two_shapefiles, "2 shapefiles: a, b"),
        (_cut_off, "cannot be read as map data"),
        (_no_features, "no features|no outlines|cannot be read"),
        (_nameless, "no column looks like"),
        (lambda folder: folder / "absent.gpkg", "does not exist"),
    ],
)
def test_a_file_that_cannot_be_boundaries_is_refused_in_words(
    store: Any, tmp_path: Path, make: Any, said: str
) -> None:
    with pytest.raises(InputError, match=said):
        ingest_areas(store.engine, make(tmp_path), level="district")
    with store.engine.connect() as conn:
        assert territories.all_territories(conn) == []


def test_wrong_options_are_refused(store: Any, tmp_path: Path) -> None:
    path = _file(tmp_path, name=["a", "b"])
    with pytest.raises(InputError, match="no level"):
        ingest_areas(store.engine, path, level="street")
    with pytest.raises(InputError, match="IANA"):
        ingest_areas(store.engine, path, level="district", timezone="Mars/Olympus")
    with pytest.raises(InputError, match="no layer 'x'"):
        ingest_areas(store.engine, path, level="district", layer="x")


def test_one_layer_of_several_can_be_named_and_progress_reaches_the_end(store: Any, tmp_path: Path) -> None:
    told: list[tuple[float, int]] = []
    result = ingest_areas(
        store.engine,
        _two_layers(tmp_path),
        level="district",
        layer="two",
        progress=lambda share, rows: told.append((share, rows)),
    )
    assert result.accepted == 1
    assert told[-1] == (1.0, 1)


def test_real_boundaries_of_a_city_load_level_by_level(store: Any, shared_data: Path) -> None:
    folder = shared_data / "baltimore"
    zone = "America/New_York"
    outline = ingest_areas(
        store.engine, folder / "baltimore_city.parquet", level="governorate", timezone=zone
    )
    councils = ingest_areas(store.engine, folder / "council_districts.parquet", level="municipality")
    hoods = ingest_areas(store.engine, folder / "neighborhoods_2020.parquet", level="district")
    assert outline.created
    assert {outline.territory, councils.territory, hoods.territory} == {"baltimore-city"}
    assert (councils.accepted, hoods.accepted, hoods.repaired) == (14, 279, 2)
    with store.engine.connect() as conn:
        place = territories.find(conn, "baltimore-city")
        current = area_store.current_areas(conn, place.id)
    assert place.areas == {"governorate": 1, "municipality": 14, "district": 279}
    assert current.loc[current["level"] != "governorate", "parent_id"].notna().all()
    assert current.loc[current["level"] == "municipality", "area_km2"].sum() == pytest.approx(238.1, abs=0.5)


def test_real_outlines_with_arabic_names_load_and_points_are_listed(store: Any, shared_data: Path) -> None:
    folder = shared_data / "saudi"
    ingest_areas(store.engine, folder / "ep_governorates.geojson", level="governorate", territory="east")
    result = ingest_areas(store.engine, folder / "ep_neighbourhoods.geojson", level="district")
    assert (result.territory, result.read, result.accepted, len(result.faults)) == ("east", 310, 269, 41)
    with store.engine.connect() as conn:
        place = territories.find(conn, "east")
        districts = area_store.current_areas(conn, place.id, "district")
    assert districts["parent_id"].notna().all()
    assert "قرطبة" in districts["name_ar"].tolist()
