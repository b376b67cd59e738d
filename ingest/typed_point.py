"""One point that a person types: decimal degrees, degrees and minutes, UTM, a map link.

Read by the same grammar as a column of a file (``ingest/coordinates.py``), Arabic-Indic
digits included; which number is the latitude is decided by the study area, and without one
the usual order "latitude, longitude" holds.
"""

from __future__ import annotations

import polars as pl

from ingest.coordinates import CoordinateSpec, StudyBox, parse_points, settle_points
from ingest.text import clean, western_digits

_MARGIN = 0.1  # degrees around the study area that still settle the order


def read_point(text: str, bounds: tuple[float, float, float, float] | None) -> tuple[float, float] | None:
    """Longitude and latitude (decimal degrees, WGS 84) of a typed place; None when it is none.

    Parameters
    ----------
    bounds : west, south, east, north of the study area; None without one.
    """
    values = western_digits(clean(pl.Series("typed", [text], dtype=pl.String)))
    if values.null_count():
        return None
    study = None if bounds is None else StudyBox(*bounds, _MARGIN)
    spec, _ = settle_points(None, None, values, CoordinateSpec(), study)
    found = parse_points(None, None, values, spec, study)
    lon, lat = float(found.lon[0]), float(found.lat[0])
    if lon != lon or lat != lat:
        return None
    return lon, lat
