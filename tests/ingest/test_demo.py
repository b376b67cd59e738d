"""The demo's files: the portal's sheet, illustrative boundaries, and the truth beside them."""

from __future__ import annotations

import contextlib
import datetime as dt
import itertools
import json
from pathlib import Path

import geopandas as gpd
import numpy as np
import openpyxl
import pandas as pd
import polars as pl
import pytest
import yaml
from sqlalchemy import text

from data import campaigns, events
from data.reference import read
from geo.errors import InputError
from geo.simulated_scene import DIRT_NAMES
from geo.simulation import simulate
from ingest import demo
from ingest.demo_areas import LEVELS, illustrative_areas
from ingest.demo_files import NOTICE, PROFILE, PortalSheet, write_portal
from ingest.demo_world import demo_world, months_before

END = dt.date(2025, 10, 31)
ROWS = 30_000


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> demo.DemoFiles:
    return demo.write_files(tmp_path_factory.mktemp("demo"), reports=ROWS, end=END)


@pytest.fixture(scope="module")
def sheet(files: demo.DemoFiles) -> pd.DataFrame:
    return pd.read_csv(files.reports[0], dtype=str, keep_default_na=False)


@pytest.fixture(scope="module")
def truth(files: demo.DemoFiles) -> dict:
    return json.loads(files.truth.read_text(encoding="utf-8"))


def test_the_sheet_has_exactly_the_columns_of_the_profile(sheet: pd.DataFrame) -> None:
    header = yaml.safe_load(PROFILE.read_text(encoding="utf-8"))["header"]
    assert list(sheet.columns) == header and len(header) == 28
    assert len(sheet) == ROWS


def test_every_reference_says_that_it_is_simulated(sheet: pd.DataFrame, truth: dict) -> None:
    reference = sheet["رقم البلاغ المجمع"]
    assert reference[reference != ""].str.fullmatch(r"SIM-\d{8}").all()
    assert (reference == "").sum() == truth["dirt"]["missing_reference"]
    given = reference[reference != ""]
    assert len(given) - given.nunique() == truth["dirt"]["repeated_row"]


def test_personal_columns_hold_only_placeholders(sheet: pd.DataFrame) -> None:
    assert set(sheet["رقم الجوال"]) == {"", "0500000000"}
    assert set(sheet["رقم الهوية"]) == {"", "0000000000"}
    assert set(sheet["اسم المبلغ"]) == {"", "مبلغ تجريبي"}
    assert sheet["اسم المراقب"].str.fullmatch(r"(مراقب تجريبي \d+)?").all()


def test_the_words_of_the_sheet_are_known_to_the_profile(sheet: pd.DataFrame) -> None:
    from ingest.text import fold

    values = yaml.safe_load(PROFILE.read_text(encoding="utf-8"))["values"]
    for column, kind in (("حالة البلاغ", "status"), ("القناة", "channel")):
        known = {fold(str(word)) for word in values[kind]}
        assert {fold(word) for word in sheet[column]} <= known


def test_all_elements_and_most_municipalities_occur(sheet: pd.DataFrame) -> None:
    names = {row["element_ar"] for row in read("elements.csv")}
    assert names <= set(sheet["اسم التصنيف"])
    assert set(sheet["البلدية"]) <= {row["municipality_ar"] for row in read("municipalities.csv")}
    assert sheet["البلدية"].nunique() > 35


def test_the_truth_counts_what_the_sheet_holds(sheet: pd.DataFrame, truth: dict) -> None:
    dirt = truth["dirt"]
    assert sum(dirt.values()) == ROWS == truth["rows_written"]
    x, opened, closed = sheet["احداثي X"], sheet["تاريخ البلاغ"], sheet["تاريخ الاغلاق"]
    assert (x == "0").sum() == dirt["zero_coordinates"]
    assert x.str.contains("[٠-٩]").sum() == dirt["arabic_indic_digits"]
    assert opened.str.endswith("هـ").sum() == dirt["hijri_date"]
    iso = opened.str.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")
    strange = dirt["hijri_date"] + dirt["arabic_indic_digits"] + dirt["other_date_format"]
    assert (~iso).sum() == strange
    both = iso & (closed != "") & (closed < opened)
    assert both.sum() == dirt["closed_before_opened"]
    plain = x.str.fullmatch(r"\d+\.\d+")
    assert (plain & (x.where(plain, "0").astype(float) < 40)).sum() == dirt["swapped_axes"]
    assert (plain & (x.where(plain, "0").astype(float) > 53)).sum() == dirt["outside"]
    wrong = ~sheet["اسم التصنيف"].isin([row["element_ar"] for row in read("elements.csv")])
    assert wrong.sum() == dirt["misspelt_class"]
    heap = sheet.groupby(["احداثي X", "احداثي Y"]).agg(
        rows=("البلدية", "size"), kinds=("اسم التصنيف", "nunique")
    )
    at = heap.loc[("50.09", "26.42")]
    assert at["rows"] == dirt["default_point"] and at["kinds"] > 5


def test_the_truth_names_the_planted_spots_and_the_campaign(truth: dict) -> None:
    assert len(truth["chronic_spots"]) == 12
    assert all(spot["reports"] > 15 for spot in truth["chronic_spots"])
    assert truth["emerging_spot"]["reports"] > 20
    campaign = truth["campaign"]
    assert campaign["effect"] == 0.35 and len(campaign["cells"]) == 60
    assert (campaign["start"], campaign["end"], campaign["effect_until"]) == (
        "2025-02-01",
        "2025-03-01",
        "2025-06-01",
    )
    assert truth["first_day"] == "2023-11-01" and truth["last_day"] == "2025-10-31"


def test_the_same_seed_gives_the_same_file(files: demo.DemoFiles, tmp_path: Path) -> None:
    again = demo.write_files(tmp_path, reports=ROWS, end=END)
    assert again.reports[0].read_bytes() == files.reports[0].read_bytes()
    assert again.truth.read_bytes() == files.truth.read_bytes()


@pytest.mark.parametrize("format", ["csv.gz", "csv.zst"])
def test_compressed_files_hold_the_same_rows(format: str, tmp_path: Path) -> None:
    plain = demo.write_files(tmp_path / "plain", reports=2_000, end=END)
    packed = demo.write_files(tmp_path / "packed", reports=2_000, end=END, format=format)
    assert packed.reports[0].name == f"simulated_reports.{format}"
    assert pl.read_csv(packed.reports[0], infer_schema=False).equals(
        pl.read_csv(plain.reports[0], infer_schema=False)
    )


def test_workbooks_hold_at_most_the_portals_rows_and_a_notice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.demo_files.XLSX_ROWS", 700)
    world, scene = demo.demo_scene(1_500, 3, 24, END)
    paths, tally = write_portal(tmp_path / "sheet", simulate(scene, 1_000), world, "xlsx")
    assert [path.name for path in paths] == ["sheet_001.xlsx", "sheet_002.xlsx", "sheet_003.xlsx"]
    sizes = []
    for path in paths:
        with contextlib.closing(openpyxl.load_workbook(path, read_only=True)) as book:
            rows = list(book.worksheets[0].iter_rows(values_only=True))
        assert rows[0][0] == NOTICE and rows[1][0] == "رقم البلاغ المجمع"
        sizes.append(len(rows) - 2)
        assert isinstance(rows[2][12], float) and isinstance(rows[2][7], str)
    assert sizes == [700, 700, 100] and tally.rows == 1_500


def test_an_unknown_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"'ods' is not known.*csv\.gz"):
        demo.write_files(tmp_path, reports=1_000, end=END, format="ods")


def test_boundaries_are_valid_labelled_and_nested(files: demo.DemoFiles) -> None:
    levels = {level: gpd.read_file(files.areas, layer=level) for level in LEVELS}
    assert [len(levels[level]) for level in LEVELS] == [3, 11, 40, 310]
    for frame in levels.values():
        assert frame.geometry.is_valid.all() and not frame.geometry.is_empty.any()
        assert frame["illustrative"].all() and frame["note"].str.contains("Illustrative").all()
        assert frame["code"].is_unique and (frame["name_ar"] != "").all()
        assert set(frame.geom_type) == {"MultiPolygon"}
    for upper, lower in itertools.pairwise(LEVELS):
        assert set(levels[lower]["parent"]) <= set(levels[upper]["name_ar"])
    area = {level: frame.to_crs(32639).area.sum() for level, frame in levels.items()}
    assert area["municipality"] == pytest.approx(area["governorate"], rel=1e-6)
    assert area["municipality"] == pytest.approx(area["amana"], rel=1e-6)
    whole = levels["municipality"].to_crs(32639)
    assert whole.union_all().area == pytest.approx(whole.area.sum(), rel=1e-6)  # no overlap


def test_clean_points_lie_in_the_boundaries_and_mostly_in_their_municipality(files: demo.DemoFiles) -> None:
    world, scene = demo.demo_scene(ROWS, demo.SEED, 24, END)
    reports = next(simulate(scene, ROWS))
    points = gpd.GeoDataFrame(
        {"said": np.array(world.world.municipalities)[world.world.places.municipality[reports.place]]},
        geometry=gpd.points_from_xy(reports.lon, reports.lat),
        crs=4326,
    )
    found = points.sjoin(illustrative_areas(world)["municipality"][["name_ar", "geometry"]], how="left")
    assert len(found) == ROWS
    assert found["name_ar"].isna().mean() < 0.0005
    assert (found["name_ar"] == found["said"]).mean() > 0.95


def test_points_stand_on_land_as_far_as_outlines_know(shared_data: Path) -> None:
    _, scene = demo.demo_scene(ROWS, demo.SEED, 24, END)
    reports = next(simulate(scene, ROWS))
    outlines = gpd.read_file(shared_data / "saudi" / "ep_governorates.geojson")
    points = gpd.GeoSeries(gpd.points_from_xy(reports.lon, reports.lat), crs=4326)
    assert points.within(outlines.union_all()).mean() > 0.97


def test_municipalities_without_coordinates_are_left_out_and_listed(truth: dict) -> None:
    assert truth["municipalities_left_out"] == [
        "بلدية البيضاء",
        "بلدية جوف بني هاجر",
        "بلدية البطحاء",
        "بلدية الغوار",
    ]


def test_reference_tables_carry_their_source() -> None:
    folder = Path(demo.__file__).parent.parent / "data" / "reference"
    for path in sorted(folder.glob("*.csv")):
        rows = read(path.name)
        assert rows and all(row["source"].strip() for row in rows), path.name
    for name in ("element_habits.csv", "demo_place_roles.csv"):
        assert {row["source"] for row in read(name)} == {"assumed for simulation"}


def test_months_are_counted_back_over_the_turn_of_the_year() -> None:
    assert months_before(dt.date(2025, 11, 1), 24) == dt.date(2023, 11, 1)
    assert months_before(dt.date(2026, 1, 1), 1) == dt.date(2025, 12, 1)
    assert months_before(dt.date(2024, 3, 31), 1) == dt.date(2024, 2, 29)
    assert demo.last_full_month(dt.date(2026, 1, 15)) == dt.date(2025, 12, 31)


def test_every_planted_fault_has_a_wording() -> None:
    world, scene = demo.demo_scene(2_000, 1, 24, END)
    chunk = next(simulate(scene, 2_000))
    chunk.dirt[:] = 0
    clean = PortalSheet(world).frame(chunk)
    chunk.dirt[:] = np.arange(2_000) % len(DIRT_NAMES)
    soiled = PortalSheet(world).frame(chunk)
    for code, fault in enumerate(DIRT_NAMES):
        rows = np.flatnonzero(chunk.dirt == code)
        changed = not soiled[rows].equals(clean[rows])
        assert changed == (fault not in ("clean", "repeated_row")), fault


def test_the_demo_world_is_the_same_every_time() -> None:
    first = demo_world()
    demo_world.cache_clear()
    second = demo_world()
    assert np.array_equal(first.world.places.lon, second.world.places.lon)
    assert np.array_equal(first.world.street_gap_m, second.world.street_gap_m)
    assert len(first.world) > 400 and first.world.places.population.sum() == pytest.approx(5.06e6, rel=0.02)


def test_the_demo_loads_through_the_ordinary_ingest_and_again_changes_nothing(store, tmp_path: Path) -> None:
    seen: list[float] = []
    first = demo.load_demo(
        store.engine, reports=4_000, end=END, folder=tmp_path, progress=lambda share, _: seen.append(share)
    )
    dirt = first.truth["dirt"]
    assert first.read == 4_000 == first.accepted + first.updated + first.unchanged + first.quarantined
    assert first.accepted > 3_950
    # Nothing is refused but what was soiled.
    refusable = 4_000 - dirt["clean"]
    assert first.quarantined <= refusable
    assert first.areas == {"amana": 3, "governorate": 11, "municipality": 40, "district": 310}
    assert 5_000_000 < first.population < 5_100_000  # simulated people, so that rates can be shown
    assert seen == sorted(seen) and seen[-1] == pytest.approx(1.0)
    assert (tmp_path / "simulated_reports.csv").exists()
    with store.engine.connect() as conn:
        place = conn.execute(text("SELECT simulated, code FROM territory")).one()
        located = conn.execute(
            text("SELECT count(*) FROM report WHERE cell IS NOT NULL AND municipality_id IS NOT NULL")
        ).scalar_one()
        unclassified = conn.execute(text("SELECT count(*) FROM report WHERE element_id IS NULL")).scalar_one()
        unknown = conn.scalars(text("SELECT name FROM source_type WHERE method = 0")).all()
        illustrative = conn.execute(text("SELECT bool_and(illustrative) FROM area_set")).scalar_one()
    assert place == (True, demo.TERRITORY) and illustrative
    assert located >= 0.99 * first.accepted
    assert unclassified <= dirt["misspelt_class"]
    # The portal uses this taxonomy: a misspelt word is recognised or kept for review, never foreign.
    assert unknown == []
    # Histories end where the sheet says, and every past moment can be told.
    told = first.truth["histories"]  # a closing without any work before it is in the sheet already
    assert first.steps == told["rows"] - told["steps"]["closed"] > 20_000
    assert first.impossible == told["impossible_sequences"]
    with store.engine.connect() as conn:
        assert events.check(conn) == []
        moved = conn.execute(
            text(
                """SELECT count(*) FROM report r JOIN report_event e ON e.report_id = r.id AND e.seq = 1
                   WHERE (r.status, r.status_at) IS DISTINCT FROM (e.status, e.at)"""
            )
        )
        assert moved.scalar_one() == 0
    # The planted campaign is there as one that was carried out.
    with store.engine.connect() as conn:
        [past] = campaigns.listed(conn)
        version = conn.execute(text("SELECT data_version FROM territory")).scalar_one()
    assert (past.status, past.simulated) == ("done", True) and "(simulated)" in past.title
    assert past.visits >= 60 and 0 < past.found < past.visits
    again = demo.load_demo(store.engine, reports=4_000, end=END)
    assert (again.accepted, again.updated, again.steps) == (0, 0, 0)
    with store.engine.connect() as conn:
        assert conn.execute(text("SELECT data_version FROM territory")).scalar_one() == version
        assert len(campaigns.listed(conn)) == 1
