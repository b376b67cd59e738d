"""Where a citation was written: house number and street placed on the address ranges of the streets.

A street segment carries the first and last house number of its left and its right side; a number
is put at its share of the range, to its side of the line (linear referencing, the usual street
geocoder). Caveat: houses are not spread evenly, so a place is right to the block and the side of
the street, about 50 m along it; a number outside all ranges goes to the end of the nearest one.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd
import shapely

from geo.errors import InputError

DESCRIPTION = "Citations of Baltimore 2004 to 2019, placed by the address ranges of the streets"
REAL = True  # needs the real files
ROOT = Path(__file__).resolve().parents[2]
METRES = 26918  # NAD83 / UTM zone 18N
ASIDE = 8.0  # metres from the middle of the street to the house
NEAR = 100  # house numbers that a number may lie outside the nearest range: one block of the city's grid
WIDEST = 1_000  # house numbers in a range; a wider one is a slip of the keyboard
APART = 250.0  # metres between two fitting places that make an address ambiguous
TYPES = {
    "STREET": "ST", "AVENUE": "AVE", "RD": "ROAD", "DRIVE": "DR", "LA": "LANE", "LN": "LANE",
    "CIRCLE": "CIR", "COURT": "CT", "PLACE": "PL", "TERRACE": "TERR", "TER": "TERR",
    "DRWY": "DWY", "BOULEVARD": "BLVD", "HIGHWAY": "HWY", "SQUARE": "SQ", "ALLEY": "AL",
}  # fmt: skip
DIRECTIONS = {"NORTH": "N", "SOUTH": "S", "EAST": "E", "WEST": "W"}
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """Addresses as points; rows that were not placed have nan and say why.

    Attributes
    ----------
    lon, lat : (n,) decimal degrees, nan where not placed.
    how : (n,) exact (in a range of its side), side (in a range of the other side only),
        near (past the end of a range), ambiguous (fits in several places), no_number,
        no_street (no street of that name), no_range (the street has no such numbers).
    renamed : (n,) the street was found after its words were brought to the streets' spelling.
    """

    lon: Floats
    lat: Floats
    how: npt.NDArray[np.str_]
    renamed: npt.NDArray[np.bool_]

    @property
    def found(self) -> npt.NDArray[np.bool_]:
        """Rows that have a place, (n,)."""
        return np.isfinite(self.lon)

    def counts(self) -> dict[str, int]:
        """Rows by how they were placed, or why not; most first."""
        return {str(k): int(v) for k, v in pd.Series(self.how).value_counts().items()}


def baltimore() -> Path:
    """The folder of the real files.

    Raises
    ------
    InputError : they are not here.
    """
    shared = Path(os.environ.get("RASD_SHARED_DATA") or ROOT.parent / "shared" / "data")
    if not (shared / "baltimore").is_dir():
        raise InputError(f"The real files are not here ({shared}); RASD_SHARED_DATA names their folder.")
    return shared / "baltimore"


def ranges(streets: gpd.GeoDataFrame) -> pd.DataFrame:
    """A row a side of a segment that has house numbers.

    Columns: street, low, high, backwards (numbers fall along the line), parity (0, 1, or -1 for a
    range that mixes them), right (of the line), alley, segment (position in ``streets``).
    """
    sides = []
    for code, right in (("l", False), ("r", True)):
        first = pd.to_numeric(streets[f"fradd{code}"]).fillna(0).to_numpy(np.int64)
        last = pd.to_numeric(streets[f"toadd{code}"]).fillna(0).to_numpy(np.int64)
        sides.append(
            pd.DataFrame(
                {
                    "street": streets["fullname"].to_numpy(str),
                    "low": np.minimum(first, last),
                    "high": np.maximum(first, last),
                    "backwards": first > last,
                    "parity": np.where(first % 2 == last % 2, first % 2, -1),
                    "right": right,
                    "alley": (streets["subtype_label"] == "Alley").to_numpy(),
                    "segment": np.arange(len(streets)),
                }
            )[(first > 0) & (last > 0) & (np.abs(first - last) <= WIDEST)]
        )
    return pd.concat(sides, ignore_index=True)


def plain(name: str) -> str:
    """A street's name in the spelling of the streets: short types, directions as letters, in front."""
    words = [TYPES.get(w, w) for w in re.sub(r"[^A-Z0-9 ]", " ", name.upper()).split()]
    if len(words) > 2 and words[-1] in DIRECTIONS:  # DARBY STREET EAST is DARBY ST E
        words = [*words[:-1], DIRECTIONS[words[-1]]]
    if len(words) > 2 and words[0] in DIRECTIONS:
        words = [DIRECTIONS[words[0]], *words[1:]]
    return " ".join(words)


def undirected(name: str) -> str:
    """A plain name without its directions."""
    words = name.split()
    if len(words) > 1 and words[0] in DIRECTIONS.values():
        words = words[1:]
    return " ".join(words[:-1] if len(words) > 2 and words[-1] in DIRECTIONS.values() else words)


def streets_meant(asked: pd.Series, known: set[str]) -> pd.DataFrame:
    """Names as written with the streets they may mean: as they are, else respelled, else any direction.

    A name without a direction may mean each of the street's directions; the house number decides.
    """
    spelled: dict[str, list[str]] = {}
    loose: dict[str, list[str]] = {}
    for street in sorted(known):
        spelled.setdefault(plain(street), []).append(street)
        loose.setdefault(undirected(plain(street)), []).append(street)
    rows = []
    for name in asked.unique():
        if name in known:
            rows.append((name, name, False))
            continue
        fits = spelled.get(plain(name)) or loose.get(undirected(plain(name)), [])
        rows.extend((name, fit, True) for fit in fits)
    return pd.DataFrame(rows, columns=["asked", "street", "renamed"])


def place_addresses(addresses: pd.Series, streets: gpd.GeoDataFrame) -> Placed:
    """Place texts such as ``1523 HAZEL ST`` on the streets' ranges.

    Parameters
    ----------
    addresses : house number, then street. streets : segments with fullname, the four ends of the
        ranges, subtype_label, and lines in any CRS.
    """
    how = np.full(len(addresses), "no_number", dtype="<U10")
    lon, lat = np.full(len(addresses), np.nan), np.full(len(addresses), np.nan)
    renamed = np.zeros(len(addresses), dtype=bool)
    parts = addresses.str.strip().str.extract(r"^0*(\d+)\s+(.+)$")
    asked = pd.DataFrame(
        {"row": np.arange(len(addresses)), "number": parts[0].array, "asked": parts[1].array}
    )
    asked = asked.dropna()
    # House numbers of this city have five figures at most; 0 is none.
    asked = asked[asked["number"].str.len() <= 5]
    asked["number"] = asked["number"].astype(np.int64)
    asked = asked[asked["number"] > 0]
    how[asked["row"]] = "no_street"
    streets = streets[streets["fullname"].notna()]
    meant = asked.merge(streets_meant(asked["asked"], set(streets["fullname"])), on="asked")
    how[meant["row"]] = "no_range"
    chosen = best_ranges(meant.merge(ranges(streets), on="street"))
    lines = streets.geometry.to_crs(METRES)
    points = along(lines, chosen)
    at = chosen["row"].to_numpy()
    chosen = chosen.assign(x=shapely.get_x(points), y=shapely.get_y(points))
    by_row = chosen.groupby("row")[["x", "y"]]
    spread = (by_row.max() - by_row.min()).max(axis=1)
    several = set(spread.index[spread > APART])
    first = ~chosen["row"].duplicated().to_numpy()
    once = first & ~chosen["row"].isin(several).to_numpy()
    degrees = gpd.GeoSeries(points[once], crs=METRES).to_crs(4326)
    lon[at[once]], lat[at[once]] = degrees.x.to_numpy(), degrees.y.to_numpy()
    how[at] = np.where(chosen["row"].isin(several), "ambiguous", chosen["fit"])
    renamed[at] = chosen["renamed"]
    return Placed(lon, lat, how, renamed)


def best_ranges(pairs: pd.DataFrame) -> pd.DataFrame:
    """Of all ranges of the streets that a row may mean, those that fit it best, the best first.

    Best is: within a range of its own side of the street; else of the other side; else at most
    ``NEAR`` numbers past an end. Then streets before alleys, then the nearest, then the narrowest.
    """
    off = np.maximum(pairs["low"] - pairs["number"], 0) + np.maximum(pairs["number"] - pairs["high"], 0)
    own = (pairs["parity"] == pairs["number"] % 2) | (pairs["parity"] == -1)
    rank = np.where(off > 0, 2 + ~own, np.where(own, 0, 1))
    fit = np.where(off > 0, "near", np.where(own, "exact", "side"))
    pairs = pairs.assign(off=off, rank=rank, fit=fit, width=pairs["high"] - pairs["low"])
    pairs = pairs[pairs["off"] <= NEAR].sort_values(
        ["row", "rank", "alley", "off", "width", "segment"], kind="stable"
    )
    best = pairs.groupby("row")[["rank", "alley", "off"]].transform("first")
    same = (best == pairs[["rank", "alley", "off"]]).all(axis=1)
    return pairs[same].reset_index(drop=True)


def along(lines: gpd.GeoSeries, chosen: pd.DataFrame) -> npt.NDArray[np.object_]:
    """The points of numbers at their share of their range, aside of the line; ``lines`` in metres."""
    whole = lines.to_numpy()[chosen["segment"].to_numpy()]
    merged = shapely.line_merge(whole)
    parts = shapely.get_num_geometries(merged) > 1
    merged[parts] = [max(shapely.get_parts(each), key=shapely.length) for each in merged[parts]]
    single = np.where(shapely.get_type_id(merged) == 5, shapely.get_geometry(merged, 0), merged)
    width = (chosen["high"] - chosen["low"]).to_numpy(np.float64)
    # A range of one number is in the middle of its block.
    share = np.where(width > 0, (chosen["number"] - chosen["low"]) / np.maximum(width, 1), 0.5).clip(0, 1)
    share = np.where(chosen["backwards"], 1 - share, share)
    long = shapely.length(single)
    at = share * long
    before = shapely.line_interpolate_point(single, np.maximum(at - 1, 0))
    after = shapely.line_interpolate_point(single, np.minimum(at + 1, long))
    here = shapely.line_interpolate_point(single, at)
    dx, dy = shapely.get_x(after) - shapely.get_x(before), shapely.get_y(after) - shapely.get_y(before)
    step = np.maximum(np.hypot(dx, dy), 1e-9)
    turn = np.where(chosen["right"], 1.0, -1.0) * ASIDE
    moved: npt.NDArray[np.object_] = shapely.points(
        shapely.get_x(here) + turn * dy / step, shapely.get_y(here) - turn * dx / step
    )
    return moved


def citations(folder: Path) -> tuple[pd.DataFrame, Placed]:
    """The citations of the folder ``baltimore`` with their places."""
    frame = pd.read_parquet(folder / "environmental_citations_2004_2019.parquet")
    streets = gpd.read_parquet(folder / "streets.parquet")
    return frame, place_addresses(frame["ViolationLocation"], streets)


def agreement(frame: pd.DataFrame, placed: Placed, folder: Path) -> dict[str, Any]:
    """How far the places agree with the neighbourhood and the district that the citations name.

    Near: within 100 m of the neighbourhood named. Both were assigned by the city from its own
    points, so a citation at a border may be on either side; names that no boundary has are left out.
    """
    found = placed.found & frame["Neighborhood"].notna().to_numpy()
    points = gpd.GeoSeries(gpd.points_from_xy(placed.lon[found], placed.lat[found]), crs=4326).to_crs(METRES)
    told: dict[str, Any] = {}
    for what, name, column in (
        ("neighbourhood", "neighborhoods_2020", "Neighborhood"),
        ("district", "council_districts", "CouncilDistrict"),
    ):
        shapes = gpd.read_parquet(folder / f"{name}.parquet").to_crs(METRES)
        key = shapes["name"].str.lower() if what == "neighbourhood" else shapes["id"].astype(float)
        outline = pd.Series(shapes.geometry.make_valid().to_numpy(), index=key.to_numpy())
        given = frame.loc[found, column]
        given = given.str.lower() if what == "neighbourhood" else given.astype(float)
        known = given.isin(outline.index).to_numpy()
        away = shapely.distance(points.to_numpy()[known], outline.loc[given[known]].to_numpy())
        told[what] = {
            "compared": int(known.sum()),
            "inside": round(float((away == 0).mean()), 4),
            "near": round(float((away <= 100).mean()), 4),
            "median_outside_m": round(float(np.median(away[away > 0])), 1) if (away > 0).any() else 0.0,
        }
    return told


def run(rows: int | None = None) -> dict[str, Any]:
    """Place all citations and compare them with what they say of their place."""
    folder = baltimore()
    frame, placed = citations(folder)
    return {
        "rows": len(frame),
        "placed": int(placed.found.sum()),
        "share": round(float(placed.found.mean()), 4),
        "how": placed.counts(),
        "renamed": int((placed.renamed & placed.found).sum()),
        "agreement": agreement(frame, placed, folder),
    }
