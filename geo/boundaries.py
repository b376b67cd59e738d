"""Boundaries as they arrive: repaired, measured, dissolved, joined to a study area.

Repair is GEOS ``make_valid`` (linework method), of which the polygons are kept. Overlaps,
gaps and areas are square kilometres on the WGS84 ellipsoid (Karney 2013, by pyproj), never
square degrees. ``voronoi_areas`` derives areas from label points for a demonstration:
such areas are illustrative and must be labelled so wherever they are drawn.
"""

from __future__ import annotations

from collections.abc import Sequence

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd
import shapely
from pyproj import CRS, Geod

from geo.errors import InputError

Shapes = npt.NDArray[np.object_]

_GEOD = Geod(ellps="WGS84")
_POLYGONS = (3, 6)
# About a millimetre: coordinates of two files for one border agree to this, and no better.
_SNAP_DEGREES = 1e-8


def to_multipolygon(geoms: npt.ArrayLike) -> Shapes:
    """The polygonal part of each shape as a 2D multipolygon, (n,); None where there is none."""
    shapes = shapely.force_2d(np.asarray(geoms, dtype=object))
    result: Shapes = np.full(len(shapes), None, dtype=object)
    for i, shape in enumerate(shapes):
        if shape is None or shape.is_empty:
            continue
        if shape.geom_type == "MultiPolygon":
            result[i] = shape
        elif shape.geom_type == "Polygon":
            result[i] = shapely.MultiPolygon([shape])
        elif shape.geom_type == "GeometryCollection":
            parts = shapely.get_parts(shapely.get_parts(shape))
            flat = [p for p in parts if p.geom_type == "Polygon" and not p.is_empty]
            if flat:
                merged = shapely.union_all(flat)
                result[i] = merged if merged.geom_type == "MultiPolygon" else shapely.MultiPolygon([merged])
    return result


def repair(geoms: npt.ArrayLike) -> tuple[Shapes, npt.NDArray[np.bool_], list[str]]:
    """Valid multipolygons, which rows needed repair, and what was wrong with them.

    Parameters
    ----------
    geoms : (n,) shapely geometries

    Returns
    -------
    geoms : (n,) valid 2D multipolygons; None where nothing polygonal is left
    repaired : (n,) bool
    reasons : n texts, GEOS's words with the place ("Self-intersection[50.1 26.3]"); '' if valid
    """
    shapes = np.asarray(geoms, dtype=object)
    present = ~(shapely.is_missing(shapes) | shapely.is_empty(shapes))
    wrong = present & ~shapely.is_valid(shapes)
    reasons = [""] * len(shapes)
    for i in np.flatnonzero(wrong):
        reasons[i] = str(shapely.is_valid_reason(shapes[i]))
    mended = shapes.copy()
    mended[wrong] = shapely.make_valid(shapes[wrong])
    result = to_multipolygon(mended)
    return result, wrong & ~shapely.is_missing(result), reasons


def areas_km2(geoms: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Area of each shape on the WGS84 ellipsoid, (n,) km²; 0 for None. EPSG:4326.

    Long edges are cut at 0.05 degrees first, because a border straight in degrees is no
    geodesic.
    """
    shapes = np.asarray(geoms, dtype=object)
    result = np.zeros(len(shapes))
    for i, shape in enumerate(shapely.segmentize(shapes, 0.05)):
        if shape is not None and not shape.is_empty:
            # The sign of a ring's area is its direction: orient, so that holes are subtracted.
            result[i] = abs(_GEOD.geometry_area_perimeter(shapely.orient_polygons(shape))[0]) / 1e6
    return result


def _coverage(shapes: Shapes) -> shapely.Geometry:
    if shapely.coverage_is_valid(shapes, gap_width=2 * _SNAP_DEGREES):
        return shapely.coverage_union_all(shapes)
    # Snapping the union is three times as fast as a union on the grid, and closes the same hairlines.
    return shapely.set_precision(shapely.union_all(shapes), _SNAP_DEGREES)


def _present(geoms: npt.ArrayLike) -> Shapes:
    shapes = np.asarray(geoms, dtype=object)
    return shapes[~(shapely.is_missing(shapes) | shapely.is_empty(shapes))]


def study_area(geoms: npt.ArrayLike) -> shapely.MultiPolygon:
    """Union of valid areas, as a multipolygon in the CRS given.

    Exact areas that fit together edge to edge are joined as a coverage; others on a grid
    of about a millimetre, which closes the hairlines between borders drawn twice.
    """
    shapes = _present(geoms)
    if not len(shapes):
        raise InputError("There is no area to build a study area from; load boundaries first.")
    union = to_multipolygon(np.array([_coverage(shapes)], dtype=object))[0]
    if union is None:
        raise InputError("The areas have no extent; their outlines are smaller than a millimetre.")
    return union if union.is_valid else repair([union])[0][0]


def overlaps_km2(areas: gpd.GeoDataFrame) -> float:
    """Ground covered more than once, in km²: the sum over all pairs of areas (EPSG:4326, valid)."""
    _require_degrees(areas)
    shapes = _present(areas.geometry.values)
    first, second = shapely.STRtree(shapes).query(shapes, predicate="intersects")
    pairs = first < second
    common = shapely.intersection(shapes[first[pairs]], shapes[second[pairs]])
    return float(areas_km2(to_multipolygon(common)).sum())


def gaps_km2(areas: gpd.GeoDataFrame) -> float:
    """Ground inside the areas' common outline that belongs to none, in km² (EPSG:4326, valid).

    These are the holes of the union; a bay that is open to the outside is no gap. Slivers
    narrower than about a millimetre are not seen.
    """
    _require_degrees(areas)
    shapes = _present(areas.geometry.values)
    if not len(shapes):
        return 0.0
    parts = shapely.get_parts(study_area(shapes))
    holes = [shapely.Polygon(ring) for part in parts for ring in part.interiors]
    if not holes:
        return 0.0
    # An island area inside another one's hole fills it again.
    open_ground = shapely.difference(shapely.union_all(holes), shapely.union_all(parts))
    return float(areas_km2(to_multipolygon([open_ground]))[0])


def dissolve(areas: gpd.GeoDataFrame, by: str, names: Sequence[str] = ()) -> gpd.GeoDataFrame:
    """Join the areas that share a value of column ``by``; rows without a value are left out.

    Returns one row a value, sorted, with ``by``, the first value of each column in
    ``names``, ``area_km2`` and valid multipolygons, in the same CRS (EPSG:4326).
    """
    _require_degrees(areas)
    missing = [column for column in (by, *names) if column not in areas.columns]
    if missing:
        raise InputError(
            f"Column '{missing[0]}' is not among {', '.join(map(str, areas.columns))}; "
            "name one of these to dissolve by."
        )
    rows = []
    for value, group in areas[areas[by].notna()].groupby(by, sort=True):
        row: dict[str, object] = {by: value}
        row.update({name: next(iter(group[name].dropna()), None) for name in names})
        row["geometry"] = study_area(group.geometry.values)
        rows.append(row)
    if not rows:
        raise InputError(f"Column '{by}' is empty in every row; nothing can be dissolved by it.")
    joined = gpd.GeoDataFrame(pd.DataFrame(rows), geometry="geometry", crs=areas.crs)
    joined["area_km2"] = areas_km2(joined.geometry.values)
    return joined


def local_utm(geoms: npt.ArrayLike) -> CRS:
    """UTM zone (WGS84) of the middle of the shapes' bounding box; shapes in EPSG:4326.

    Distances and areas are within 0.1 % as far as about 3 degrees from the zone's middle.
    """
    west, south, east, north = shapely.total_bounds(np.asarray(geoms, dtype=object))
    if not np.isfinite([west, south, east, north]).all():
        raise InputError("Without any shape there is no place to choose a UTM zone for.")
    lon, lat = (west + east) / 2, (south + north) / 2
    zone = min(int((lon + 180) // 6) + 1, 60)
    return CRS.from_epsg((32600 if lat >= 0 else 32700) + zone)


def voronoi_areas(
    points: gpd.GeoDataFrame, clip_m: float, land: shapely.Geometry | None = None
) -> gpd.GeoDataFrame:
    """Voronoi areas of label points, each clipped to a distance around its own point.

    Parameters
    ----------
    points : GeoDataFrame of points, EPSG:4326; points at the same place share one area,
        which goes to the first of them
    clip_m : metres, in the local UTM zone
    land : shapely (multi)polygon, EPSG:4326, to which the areas are clipped as well

    Returns
    -------
    The rows of ``points`` that have an area, same columns and index, geometry replaced by
    valid multipolygons (EPSG:4326) that do not overlap.
    """
    _require_degrees(points)
    if not clip_m > 0:
        raise InputError(f"A clipping distance of {clip_m} m leaves no area; give a positive number.")
    usable = points[points.geom_type == "Point"]
    usable = usable[~(usable.geometry.is_empty | usable.geometry.duplicated())]
    if not len(usable):
        raise InputError("There is no point to derive areas from.")
    metric = usable.geometry.to_crs(local_utm(usable.geometry.values))
    discs = shapely.buffer(np.asarray(metric.values), clip_m)
    west, south, east, north = shapely.total_bounds(discs)
    frame = shapely.box(west - clip_m, south - clip_m, east + clip_m, north + clip_m)
    if len(metric) == 1:
        cells = np.array([frame], dtype=object)
    else:
        seeds = shapely.MultiPoint(list(metric.values))
        cells = shapely.get_parts(shapely.voronoi_polygons(seeds, extend_to=frame))
        # Voronoi cells come in no particular order: each holds exactly one seed.
        point, cell = shapely.STRtree(cells).query(np.asarray(metric.values), predicate="within")
        ordered: Shapes = np.full(len(metric), None, dtype=object)
        ordered[point] = cells[cell]
        cells = ordered
    # Clipped in degrees: neighbours then still share the very same edge.
    shapes = shapely.intersection(
        *(
            np.asarray(gpd.GeoSeries(shape, crs=metric.crs).to_crs("EPSG:4326").values, dtype=object)
            for shape in (cells, discs)
        )
    )
    if land is not None:
        shapes = shapely.intersection(shapes, land)
    result = usable.set_geometry(gpd.GeoSeries(repair(shapes)[0], index=usable.index, crs="EPSG:4326"))
    return result[~(result.geometry.isna() | result.geometry.is_empty)]


def _require_degrees(frame: gpd.GeoDataFrame) -> None:
    if frame.crs is None or not frame.crs.equals(CRS.from_epsg(4326), ignore_axis_order=True):
        raise InputError(
            f"Areas must be in EPSG:4326, not {frame.crs.to_string() if frame.crs else 'without a CRS'}; "
            "transform them with to_crs('EPSG:4326') first."
        )
