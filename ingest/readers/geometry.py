"""Geometry columns into one longitude and latitude per row, in EPSG:4326.

Points give their own coordinates; lines and areas a representative point inside them
(shapely's ``point_on_surface``), which is said. Any coordinate reference system is
transformed with PROJ, x first. Without one, the numbers must at least look like degrees.
"""

from __future__ import annotations

import numpy as np
import pyproj
import shapely

from geo.errors import InputError

WGS84 = pyproj.CRS.from_epsg(4326)


class Projector:
    """Turns a column of geometries of one CRS into longitudes and latitudes."""

    def __init__(self, crs: pyproj.CRS | None, name: str) -> None:
        self._name = name
        self._crs = crs
        self._transform: pyproj.Transformer | None = None
        self.notes: list[str] = []
        self.label = "EPSG:4326"
        self._assumed = crs is None
        self.represented = 0
        if crs is None:
            self.notes.append("No coordinate reference system is given: degrees (EPSG:4326) are assumed.")
        elif crs.equals(WGS84, ignore_axis_order=True) or crs.to_authority() == ("OGC", "CRS84"):
            pass
        else:
            authority = crs.to_authority()
            self.label = ":".join(authority) if authority else crs.name
            self._transform = pyproj.Transformer.from_crs(crs, WGS84, always_xy=True)
            self.notes.append(f"Coordinates transformed from {self.label} ({crs.name}) to EPSG:4326.")

    def points(self, wkb: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return longitude, latitude (NaN where there is none) and which geometries are unreadable.

        ``wkb`` is an object array of bytes or None, shape (n,); so are the results.
        """
        given = np.array([value is not None for value in wkb], bool)
        geometries = shapely.from_wkb(wkb, on_invalid="ignore")
        unreadable = given & shapely.is_missing(geometries)
        kinds = shapely.get_type_id(geometries)
        other = ~np.isin(kinds, (-1, 0)) & ~shapely.is_empty(geometries)
        if other.any():
            self.represented += int(other.sum())
            geometries[other] = shapely.point_on_surface(geometries[other])
        lon, lat = shapely.get_x(geometries), shapely.get_y(geometries)
        if self._transform is not None:
            lon, lat = self._transform.transform(lon, lat)
            lost = ~(np.isfinite(lon) & np.isfinite(lat))
            lon, lat = np.where(lost, np.nan, lon), np.where(lost, np.nan, lat)
        elif self._assumed:
            far = (np.abs(lon) > 180) | (np.abs(lat) > 90)
            if far.any():
                x, y = lon[far][0], lat[far][0]
                raise InputError(
                    f"{self._name} does not say its coordinate reference system, and ({x:.1f}, "
                    f"{y:.1f}) are not "
                    "degrees. Add the .prj file, or save it with its reference system from a GIS."
                )
        return lon, lat, unreadable

    def last_notes(self) -> list[str]:
        """What can be said only after reading."""
        if self.represented:
            return [f"Lines or areas stand for their representative point: {self.represented:,}."]
        return []
