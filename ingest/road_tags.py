"""What a road line is called, what kind it is, and which way it is driven.

OpenStreetMap's tags are understood in any of their dresses (own columns, ``other_tags`` of
GDAL, Geofabrik's ``fclass``); other sources' classes are translated by
``data/reference/road_classes.csv``, which anyone may extend. Caveat: a class that the table
does not know becomes "other" and is told, never guessed.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd

from data.reference import read
from geo.roads import CLASSES
from ingest.text import clean_text, fold

Texts = npt.NDArray[np.object_]

NO_ROAD = "none"  # in the table: planned, removed, or no road at all
_LEAST_KNOWN = 0.5  # share of a column's values that the table must know
_ARABIC = re.compile(r"[\u0621-\u064a]")
_PAIR = re.compile(r'"((?:[^"\\]|\\.)*)"=>"((?:[^"\\]|\\.)*)"')
_WANTED_TAGS = frozenset({"name:ar", "name:en", "ref", "oneway", "junction", "highway", "name"})

_NAME_AR = (
    "namear",
    "arabicname",
    "nameara",
    "rdnamear",
    "streetnamear",
    "roadnamear",
    "اسمالطريق",
    "اسمالشارع",
    "الاسم",
)
_NAME_EN = ("nameen", "englishname", "nameeng", "rdnameen", "streetnameen", "roadnameen", "intname")
_NAME = (
    "name",
    "fullname",
    "fullstreetname",
    "streetname",
    "stname",
    "roadname",
    "rdname",
    "street",
    "road",
    "label",
    "officialname",
)
_REF = (
    "ref",
    "routenumber",
    "routenum",
    "routeno",
    "roadnumber",
    "roadno",
    "rtenumber",
    "route",
    "رقمالطريق",
)
_ONE_WAY = ("oneway", "oneways", "dirtravel", "direction", "traveldir")
_ALONG = frozenset({"yes", "true", "t", "1", "1.0", "f", "ft", "forward", "نعم"})
_AGAINST = frozenset({"-1", "-1.0", "reverse", "tf", "backward"})
_BOTH = frozenset({"", "no", "false", "0", "0.0", "b", "n", "both", "لا"})


@dataclass(frozen=True)
class Tags:
    """Attributes of the rows of a file, (n,) each.

    Attributes
    ----------
    name_ar, name_en, ref, source_class : texts, or None.
    road_class : codes of ``geo.roads.CLASSES``; ``NO_ROAD`` where the row is none.
    direction : 0 both ways, 1 along the line, -1 against it.
    notes : which columns were taken, and what was not understood.
    """

    name_ar: Texts
    name_en: Texts
    ref: Texts
    source_class: Texts
    road_class: Texts
    direction: npt.NDArray[np.int8]
    notes: tuple[str, ...]


def read_tags(frame: gpd.GeoDataFrame) -> Tags:
    """The attributes of a file's rows, whatever its columns are called."""
    plain = _columns(frame)
    notes: list[str] = []
    taken: dict[str, str] = {}

    def column(what: str, spellings: Sequence[str]) -> Texts | None:
        found = next((plain[s] for s in spellings if s in plain), None)
        if found is None:
            return None
        taken[what] = found[0]
        return found[1]

    name_ar, name_en = column("Arabic name", _NAME_AR), column("English name", _NAME_EN)
    any_name = column("name", _NAME)
    arabic, english = _names(len(frame), name_ar, name_en, any_name)
    ref = column("route number", _REF)
    road_class, source_class = _classes(len(frame), plain, taken, notes)
    one_way = column("one-way", _ONE_WAY)
    junction = plain["junction"][1] if "junction" in plain else None
    direction = _directions(road_class, source_class, one_way, junction, notes)
    said = ", ".join(f"{what}: {name}" for what, name in taken.items())
    notes.insert(0, f"Columns taken: {said}." if said else "No column of names or classes was recognised.")
    nothing = np.full(len(frame), None, dtype=object)
    numbers = nothing if ref is None else ref
    return Tags(arabic, english, numbers, source_class, road_class, direction, tuple(notes))


def _columns(frame: gpd.GeoDataFrame) -> dict[str, tuple[str, Texts]]:
    """Columns by their plain name, as clean texts or None; GDAL's ``other_tags`` taken apart."""
    out: dict[str, tuple[str, Texts]] = {}
    for name in frame.columns:
        if name != frame.geometry.name and name != "other_tags":
            out.setdefault(re.sub(r"[\W_]+", "", fold(str(name))), (str(name), _texts(frame[name])))
    if "other_tags" in frame.columns:
        pairs = [
            dict(_PAIR.findall(value)) if isinstance(value, str) else {} for value in frame["other_tags"]
        ]
        for tag in sorted(_WANTED_TAGS & {key for each in pairs for key in each}):
            values = _texts(pd.Series([each.get(tag) for each in pairs], dtype=object))
            out.setdefault(re.sub(r"\W+", "", tag), (tag, values))
    return out


def _texts(values: pd.Series) -> Texts:
    """Clean texts; None for nothing. Whole numbers lose their ".0"."""
    if pd.api.types.is_float_dtype(values):
        values = values.map(lambda v: None if pd.isna(v) else f"{v:g}")
    distinct = {value: _text(value) for value in values.dropna().astype(str).unique()}
    out = [None if pd.isna(value) else distinct[str(value)] for value in values]
    return np.array([*out, None], dtype=object)[:-1]


def _text(value: str) -> str | None:
    kept = clean_text(value)
    return kept if kept and kept.lower() not in ("none", "nan", "null", "<na>") else None


def _names(
    rows: int, arabic: Texts | None, english: Texts | None, either: Texts | None
) -> tuple[Texts, Texts]:
    """Names by language: those that say it, else the general name by its script."""
    out = [
        np.full(rows, None, dtype=object) if given is None else given.copy() for given in (arabic, english)
    ]
    if either is not None:
        script = np.array([bool(v) and bool(_ARABIC.search(v)) for v in either], dtype=bool)
        there = np.array([v is not None for v in either], dtype=bool)
        for names, mine in ((out[0], script), (out[1], ~script & there)):
            empty = np.array([v is None for v in names], dtype=bool)
            names[empty & mine] = either[empty & mine]
    return out[0], out[1]


def _schemes() -> list[tuple[tuple[str, ...], dict[str, str]]]:
    """(columns, value → class) in the order of the table; values folded."""
    found: dict[str, dict[str, str]] = {}
    for row in read("road_classes.csv"):
        if row["road_class"] not in (*CLASSES, NO_ROAD):
            raise ValueError(f"road_classes.csv: '{row['road_class']}' is no class of roads.")
        found.setdefault(row["columns"], {})[_value(row["value"])] = row["road_class"]
    return [(tuple(columns.split("|")), values) for columns, values in found.items()]


def _value(text: str) -> str:
    """A class as it is compared: lower case, one spelling of Arabic, blanks for underscores."""
    return fold(text.replace("_", " "))


def _classes(
    rows: int, plain: Mapping[str, tuple[str, Texts]], taken: dict[str, str], notes: list[str]
) -> tuple[Texts, Texts]:
    """Class of each row, and the word of the source that says so."""
    road_class, word = np.full(rows, None, dtype=object), np.full(rows, None, dtype=object)
    used: list[str] = []
    osm = False
    for nth, (columns, table) in enumerate(_schemes()):
        for name in (column for column in columns if column in plain):
            label, values = plain[name]
            folded = {v: _value(v) for v in set(values.tolist()) if v is not None}
            counts = Counter(v for v in values.tolist() if v is not None)
            known = sum(n for v, n in counts.items() if folded[v] in table)
            if not counts or known < _LEAST_KNOWN * counts.total():
                continue
            used.append(label)
            osm |= nth == 0
            open_ = np.array([v is None for v in road_class], dtype=bool)
            said = np.array([v is not None for v in values], dtype=bool)
            strange = {v: n for v, n in counts.items() if folded[v] not in table}
            if strange:
                listed = ", ".join(f"{v} ({n:,})" for v, n in Counter(strange).most_common(5))
                notes.append(
                    f"Column '{label}': {sum(strange.values()):,} rows have a class that is not known: {listed}. "
                    "They count as other roads; data/reference/road_classes.csv takes more."
                )
            fill = open_ & said
            mapped = [table.get(folded[v], "other") for v in values[fill]]
            road_class[fill], word[fill] = mapped, values[fill]
            break
    missing = np.array([v is None for v in road_class], dtype=bool)
    if used:
        taken["class"] = ", ".join(used)
    else:
        notes.append("No column of road classes was recognised: all roads count as other roads.")
    # In OpenStreetMap's data a line without the tag is a river, a fence or a power line.
    road_class[missing] = NO_ROAD if osm else "other"
    return road_class, word


def _directions(
    road_class: Texts, word: Texts, one_way: Texts | None, junction: Texts | None, notes: list[str]
) -> npt.NDArray[np.int8]:
    out = np.zeros(len(road_class), dtype=np.int8)
    # Implied by OpenStreetMap's rules; a tag that says otherwise is written over it below.
    out[np.array([w == "motorway" for w in word], dtype=bool)] = 1
    if junction is not None:
        out[np.array([j in ("roundabout", "circular") for j in junction], dtype=bool)] = 1
    if one_way is None:
        return out
    said = np.array([v is not None for v in one_way], dtype=bool)
    low = np.array(["" if v is None else v.lower() for v in one_way], dtype=object)
    # Geofabrik and HERE write F, T and B: along, against, both. A T among them is no "true".
    letters = {str(v) for v in low[said]} <= {"f", "t", "b", "n", ""}
    along, against = (_ALONG - {"t"}, _AGAINST | {"t"}) if letters else (_ALONG, _AGAINST)
    out[said & np.isin(low, sorted(_BOTH))] = 0
    out[said & np.isin(low, sorted(along))] = 1
    out[said & np.isin(low, sorted(against))] = -1
    strange = said & ~np.isin(low, sorted(_BOTH | along | against))
    if strange.any():
        notes.append(
            f"{int(strange.sum()):,} rows have a direction that is not understood ({one_way[strange][0]!r} …): "
            "they count as two-way."
        )
    return out
