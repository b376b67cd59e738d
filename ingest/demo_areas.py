"""Illustrative boundaries of the demo, derived from label points. Not official, not surveyed.

Each place gets its Voronoi cell, cut at the reach of its reports and at the assumed shore;
municipalities, governorates and amanas are dissolved from the places. Real lines run
elsewhere: these serve only to show the platform, and every row says so. Computed in UTM
zone 39N (scale error below 0.5 % across the province), stored as EPSG:4326.
"""

from __future__ import annotations

from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from data.reference import read
from geo.boundaries import voronoi_areas
from geo.simulated_world import reach_m
from ingest.demo_world import DemoWorld
from ingest.text import fold

NOTE = "حدود توضيحية للعرض وليست رسمية · Illustrative boundary, not official"
LEVELS = ("amana", "governorate", "municipality", "district")
METRIC = "EPSG:32639"
ASHORE_M = 250.0  # the strip past the assumed shore that still belongs to a place


def illustrative_areas(demo: DemoWorld) -> dict[str, gpd.GeoDataFrame]:
    """Boundaries by level, coarsest first.

    Returns
    -------
    GeoDataFrames in EPSG:4326 with ``code``, ``ministry_code``, ``name_ar``, ``name_en``,
    ``parent`` (the Arabic name of the area above), ``illustrative`` and ``note``.
    Parts of towns without known districts are in no district.
    """
    places = demo.world.places
    cells = _cells(demo)
    municipal = {row["municipality_en"]: row for row in read("municipalities.csv")}
    amana_rows = {row["name_ar"]: row for row in read("amanat.csv")}
    english = _governorate_names(demo)
    home = places.municipality[cells["place"]]
    table = pd.DataFrame(
        {
            "place": cells["place"],
            "municipality": home,
            "governorate": np.array(demo.governorate)[home],
            "amana": np.array(demo.amana)[home],
        }
    )
    places_frame = gpd.GeoDataFrame(table, geometry=cells.geometry)

    def dissolved(column: str) -> gpd.GeoDataFrame:
        return places_frame.dissolve(column, as_index=False, sort=True)

    named = places_frame[[bool(demo.districts_en[place]) for place in cells["place"]]]
    districts = _frame(
        named.geometry,
        codes=[f"D{place + 1:03d}" for place in named["place"]],
        ministry=[""] * len(named),
        arabic=[places.name_ar[i] for i in named["place"]],
        english=[demo.districts_en[i] for i in named["place"]],
        parents=[demo.world.municipalities[m] for m in named["municipality"]],
    )
    towns = dissolved("municipality")
    municipalities = _frame(
        towns.geometry,
        codes=[f"M{m + 1:02d}" for m in towns["municipality"]],
        ministry=[
            municipal[demo.municipality_en[m]]["ministry_municipality_id_2022"] for m in towns["municipality"]
        ],
        arabic=[demo.world.municipalities[m] for m in towns["municipality"]],
        english=[demo.municipality_en[m] for m in towns["municipality"]],
        parents=[demo.governorate[m] for m in towns["municipality"]],
    )
    wide = dissolved("governorate")
    governorates = _frame(
        wide.geometry,
        codes=[f"G{i + 1:02d}" for i in range(len(wide))],
        ministry=[""] * len(wide),
        arabic=list(wide["governorate"]),
        english=[english[name] for name in wide["governorate"]],
        parents=list(wide["amana"]),
    )
    widest = dissolved("amana")
    amanas = _frame(
        widest.geometry,
        codes=[amana_rows[name]["amana_id"] for name in widest["amana"]],
        ministry=[amana_rows[name]["amana_id"] for name in widest["amana"]],
        arabic=list(widest["amana"]),
        english=[amana_rows[name]["name_en_momrah"] for name in widest["amana"]],
        parents=[""] * len(widest),
    )
    return dict(zip(LEVELS, (amanas, governorates, municipalities, districts), strict=True))


def write_areas(path: Path, demo: DemoWorld) -> Path:
    """Write all levels as layers of one GeoPackage, replacing it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    for level, frame in illustrative_areas(demo).items():
        frame.to_file(path, layer=level, driver="GPKG")
    return path


def _cells(demo: DemoWorld) -> gpd.GeoDataFrame:
    """Voronoi cells of the places within reach and ashore, with their ``place``."""
    world = demo.world
    points = gpd.GeoSeries(gpd.points_from_xy(world.places.lon, world.places.lat, crs=4326)).to_crs(METRIC)
    geometry = np.asarray(points.array)
    x, y = shapely.get_x(geometry), shapely.get_y(geometry)
    reach = reach_m(world)
    covered = shapely.buffer(geometry, reach, quad_segs=12)
    for i in np.flatnonzero(np.isfinite(world.shore_m)):
        bearing = np.radians(world.places.sea_bearing_deg[i])
        ahead = np.array([np.sin(bearing), np.cos(bearing)])
        aside = np.array([ahead[1], -ahead[0]])
        limit = np.array([x[i], y[i]]) + ahead * (world.shore_m[i] + ASHORE_M)
        far = 4 * reach[i] + world.shore_m[i]
        inland = limit - ahead * far
        corners = [limit + aside * far, limit - aside * far, inland - aside * far, inland + aside * far]
        covered[i] = shapely.intersection(covered[i], shapely.Polygon(corners))
    # A report belongs to the nearest place, which need not be the one that it was drawn for:
    # so every cell is cut by what all places together reach, not by its own reach.
    # Holes between the reaches are filled: nobody would draw a municipality with them.
    whole = [shapely.Polygon(part.exterior) for part in shapely.get_parts(shapely.union_all(covered))]
    land = gpd.GeoSeries([shapely.union_all(whole)], crs=METRIC).to_crs(4326).make_valid().iloc[0]
    frame = gpd.GeoDataFrame({"place": range(len(points))}, geometry=points.to_crs(4326))
    return voronoi_areas(frame, clip_m=2 * float(reach.max()), land=land)


def _governorate_names(demo: DemoWorld) -> dict[str, str]:
    """English names of the governorates, found by spelling; else the municipality's own."""
    known = {fold(row["name_ar"]): row["name_en"] for row in read("governorates.csv")}
    names: dict[str, str] = {}
    for governorate, municipality in zip(demo.governorate, demo.municipality_en, strict=True):
        folded = fold(governorate)
        names.setdefault(
            governorate, known.get(folded) or known.get(folded.removeprefix("ال")) or municipality
        )
    return names


def _frame(
    geometry: gpd.GeoSeries,
    *,
    codes: list[str],
    ministry: list[str],
    arabic: list[str],
    english: list[str],
    parents: list[str],
) -> gpd.GeoDataFrame:
    shapes = geometry.make_valid()
    return gpd.GeoDataFrame(
        {
            "code": codes,
            "ministry_code": [code or None for code in ministry],
            "name_ar": arabic,
            "name_en": english,
            "parent": [parent or None for parent in parents],
            "illustrative": True,
            "note": NOTE,
        },
        geometry=[_polygons(shape) for shape in shapes],
        crs=4326,
    )


def _polygons(shape: shapely.Geometry) -> shapely.MultiPolygon:
    """Only the polygons of a shape: an intersection can leave a stray line behind."""
    parts = [part for part in shapely.get_parts(shape) if part.geom_type == "Polygon" and not part.is_empty]
    return shapely.MultiPolygon(parts)
