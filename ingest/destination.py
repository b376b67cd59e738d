"""Where a file belongs: which territory, and whether it is simulated.

A territory that is named is taken; else the one in which the first points lie; else the
profile's, or a new one after the file. Real and simulated reports are never mixed.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from sqlalchemy import Connection

from data import territories
from geo.errors import InputError
from ingest.coordinates import StudyBox, parse_points
from ingest.decisions import coordinate_series, coordinate_spec
from ingest.profile import Detection
from ingest.readers import Chunk
from ingest.text import clean
from ingest.typed import as_text

# Below this many points a file says little about where it belongs: see choose_territory.
FEW_POINTS = 50


def is_simulated(first: Chunk, found: Detection) -> bool:
    """True when the references carry the prefix of Rasd's own simulator."""
    prefix, column = found.profile.simulated_reference_prefix, found.mapping.get("reference")
    if not prefix or not column:
        return False
    share = clean(as_text(first.frame[column])).str.starts_with(prefix).mean()
    return isinstance(share, float) and share > 0.5


def _sample_points(first: Chunk, found: Detection, box: StudyBox | None) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates of the first rows, as far as they can be read (metres need a study area)."""
    frame = first.frame.head(5_000)
    columns = coordinate_series(found.mapping, frame)
    if any(column is not None for column in columns):
        spec = coordinate_spec(found.profile, found.mapping)
        points = parse_points(*columns, spec, box)
        lon, lat = points.lon, points.lat
    elif "__lon" in frame.columns:
        lon = frame["__lon"].fill_null(np.nan).to_numpy()
        lat = frame["__lat"].fill_null(np.nan).to_numpy()
    else:
        return np.empty(0), np.empty(0)
    usable = np.isfinite(lon) & np.isfinite(lat) & ~((lon == 0) & (lat == 0))
    return lon[usable], lat[usable]


def choose_territory(
    conn: Connection,
    path: Path,
    first: Chunk,
    found: Detection,
    code: str | None,
    timezone: str | None,
    simulated: bool,
) -> territories.Territory:
    """The territory a file belongs to: named, else where its points lie, else a new one."""
    zone = timezone or found.profile.dates.timezone
    if code is None:
        known = [t for t in territories.all_territories(conn) if t.simulated == simulated]
        chosen = None
        usable = 0
        # First as the file stands; then as seen from each territory, which tells metres and
        # exchanged axes from nonsense.
        for box in (None, *(StudyBox(*t.bounds, 0.1) for t in known if t.bounds)):
            lon, lat = _sample_points(first, found, box)
            usable = max(usable, len(lon))
            chosen = territories.choose(conn, lon, lat, simulated) if len(lon) else None
            if chosen is not None:
                break
        # Few points, and one place they can be meant for: they are faults there, not a new city.
        if chosen is None and usable < FEW_POINTS and len(known) == 1:
            chosen = territories.find(conn, known[0].code)
        if chosen is not None:
            return chosen
        code = found.profile.territory or territories.slug(path)
    known_one = territories.find(conn, code)
    if known_one is None:
        title = code.replace("-", " ").title()
        return territories.create(
            conn,
            code=code,
            name_ar=title,
            name_en=title,
            timezone=zone or "Asia/Riyadh",
            simulated=simulated,
        )
    if known_one.simulated != simulated:
        kind, other = ("simulated", "real") if known_one.simulated else ("real", "simulated")
        raise InputError(
            f"The territory {code!r} holds {kind} data and {path.name} holds {other} reports: they are "
            "never mixed. Name another territory with --territory."
        )
    return known_one


def known_territory(
    conn: Connection,
    path: Path,
    code: str | None,
    lon: np.ndarray,
    lat: np.ndarray,
    simulated: bool,
    what: str,
) -> territories.Territory:
    """The territory named, else the only one, else the one in which the file lies; none is made.

    Parameters
    ----------
    lon, lat : (n,) a sample of the file's places, decimal degrees; empty where they are not known.
    what : subject and verb of the sentence that refuses simulated things in a real territory.

    Raises
    ------
    InputError : there is no such territory, or none can be found, or it holds real data.
    """
    known = territories.all_territories(conn)
    listed = ", ".join(each.code for each in known) or "none yet; load boundaries or reports first"
    if code is not None:
        found = next((each for each in known if each.code == code), None)
        if found is None:
            raise InputError(f"There is no territory '{code}' in the store; it holds: {listed}.")
    elif len(known) == 1:
        found = known[0]
    else:
        found = territories.choose(conn, lon, lat, simulated) if len(lon) else None
        if found is None:
            raise InputError(
                f"{path.name} cannot be matched to a territory; name it with --territory. The store holds: {listed}."
            )
    if simulated and not found.simulated:
        raise InputError(
            f"The territory '{found.code}' holds real data, and {what} to a simulation: they are "
            "never mixed. Name another territory."
        )
    return found
