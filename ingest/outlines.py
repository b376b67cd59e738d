"""Files of boundaries: read from any OGR source or GeoParquet, columns recognised by name.

Whatever the format, the result is the file's own table in EPSG:4326 and which of its
columns hold names, codes and other spellings. Compressed files are unpacked; a DBF that
does not state its encoding is judged by its bytes, because OGR would take it for Latin-1.
Caveat: a column is chosen by its name, and by its script where the name says only "name";
``--name-ar``, ``--name-en`` and ``--code`` overrule that.
"""

from __future__ import annotations

import contextlib
import glob
import json
import re
import warnings
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import pyproj
import shapely
from pyogrio.errors import DataLayerError, DataSourceError

from geo.errors import InputError
from ingest.readers.encoding import detect_bytes
from ingest.readers.opening import Opened, check_bomb, kind_of, resolve, zip_members
from ingest.text import fold

_SAMPLE = 1_000_000
_OSM_PBF = b"OSMHeader"
_OSM_LAYERS = {"points", "lines", "multilinestrings", "multipolygons"}  # of GDAL's OSM driver
_SUFFIX = {"parquet": ".parquet", "sqlite": ".gpkg", "fgb": ".fgb", "json": ".geojson", "xml": ".xml"}
_ADMIN = re.compile(r"^(?:adm|admin|name|nl_name|gid|varname)_?([0-5])[a-z_]*$")
_ARABIC = re.compile(r"[\u0621-\u064a]")


def _words(joined: str) -> tuple[str, ...]:
    return tuple(joined.split())


# Spellings by meaning, as _plain() gives them: letters and digits only. First match wins.
_ARABIC_NAME = _words(
    "namear arabicname namearabic arname nameara ar namea aname arabic nlname nlname1 nlname2 nlname3 "
    "adm1ar adm2ar adm3ar adm4ar shapenamear districtnamear municipalitynamear amananamear regionnamear "
    "districtnamea regionnamea neighborhnamea الاسمبالعربي الاسمالعربي الاسمعربي اسمعربي الاسم اسم"
)
_ENGLISH_NAME = _words(
    "nameen englishname nameenglish enname nameeng en namee ename english nameintl "
    "adm1en adm2en adm3en adm4en shapenameen districtnameen municipalitynameen amananameen regionnameen "
    "districtnamee regionnamee neighborhnamee الاسمبالانجليزي الاسمالانجليزي الاسمانجليزي"
)
_ANY_NAME = _words(
    "name shapename label title fullname longname areaname districtname district municipality "
    "municipalityname neighborhood neighbourhood neighborhoodname neighbourhoodname nhood nbhd "
    "council councildistrict ward wardname borough boroname province governorate governoratename region "
    "regionname county countyname city cityname town locality localname suburb zone zonename commune "
    "nombre nom naam navn wofname name1 name2 name3 name4 displayname officialname boundary"
)
_CODE = _words(
    "code areacode districtcode municipalitycode regioncode governoratecode neighborhoodcode pcode "
    "adm1pcode adm2pcode adm3pcode adm4pcode id areaid districtid municipalityid neighborhoodid "
    "geoid geoid20 geoid10 geocode gid wofid shapeid number no nr key ref الرمز الكود رمز كود الرقم رقم "
    "wikidata osmid gid1 gid2 gid3"
)
_MINISTRY_CODE = _words("ministrycode momrahcode momrahid moiid ministryid amanaid ministrymunicipalityid")
_ISO_CODE = _words("isocode iso iso31662 shapeiso hasc hasc1 hasc2")
# What a file calls the areas of a level in Arabic; the column may say so with or without "name of".
_ARABIC_LEVEL = {
    "region": _words("اسمالمنطقه المنطقه"),
    "amana": _words("اسمالامانه الامانه"),
    "governorate": _words("اسمالمحافظه المحافظه"),
    "municipality": _words("اسمالبلديه البلديه"),
    "district": _words("اسمالحي الحي"),
}
_OTHER_SPELLINGS = re.compile(
    r"variant|altname|namealt|alias|othername|synonym|oldname|formername|shortname|officialn|wofname"
    r"|مسمى|اسماخر|الاسمالبديل|localname|varname"
)


@dataclass(frozen=True)
class Outlines:
    """A file of boundaries.

    Attributes
    ----------
    frame : the file's rows, in order, index 0 to n-1; geometry in EPSG:4326, any type or None.
    notes : what was assumed or transformed.
    """

    frame: gpd.GeoDataFrame
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Columns:
    """Which columns hold what; None where the file has no such column."""

    name_ar: str | None
    name_en: str | None
    code: str | None
    ministry_code: str | None
    iso_code: str | None
    parent: str | None
    spellings: tuple[str, ...]


def read_outlines(path: Path, layer: str | None = None, lines: bool = False) -> Outlines:
    """Read boundaries, or lines.

    Parameters
    ----------
    path : any OGR source or GeoParquet; .gz, .bz2, .zst and .zip are unpacked
    layer : of the source, where it has several
    lines : of several layers the one with lines is meant, not the one with outlines

    Raises
    ------
    InputError : the file is no map data, is damaged, or its coordinates have no known place.
    """
    path = Path(path)
    with contextlib.ExitStack() as stack:
        opened = resolve(path, layer if path.suffix.lower() == ".zip" else None)
        try:
            frame, notes = _read(opened, layer, stack, lines)
        except (DataSourceError, DataLayerError, shapely.errors.GEOSException) as error:
            raise InputError(
                f"{opened.name} cannot be read as map data ({error}). Open it in a GIS, check it there, and "
                "save it as GeoPackage."
            ) from error
    frame = frame.reset_index(drop=True)
    if not len(frame):
        raise InputError(f"{opened.name} holds no features: there is nothing to load.")
    return Outlines(_to_degrees(frame, opened.name, notes), tuple(notes))


def _read(
    opened: Opened, layer: str | None, stack: contextlib.ExitStack, lines: bool
) -> tuple[gpd.GeoDataFrame, list[str]]:
    name = opened.name
    if opened.path.is_dir():
        return _read_layer(str(opened.path), name, layer, None, lines)
    if _OSM_PBF in opened.head(64):
        return _read_layer(str(opened.local_path(stack, ".osm.pbf")), name, layer, None, lines)
    kind = kind_of(opened.head(), opened.member or re.sub(r"\.(gz|bz2|zst)$", "", name))
    if kind == "zip" and not opened.compression:
        return _read_zip(opened.path, name, layer, lines)
    if kind in ("text", "ole", "zip", "dbf"):
        raise InputError(
            f"{name} is a table without outlines. Boundaries and roads are read from GeoJSON, GeoPackage, Shapefile, "
            "FlatGeobuf, KML, GML or GeoParquet; a table of districts goes to --assignment."
        )
    local = opened.local_path(stack, _SUFFIX.get(kind, ".bin"))
    if kind == "parquet":
        return _read_parquet(local, name)
    encoding = None
    if kind == "shp":
        parts = {part.suffix.lower(): part for part in local.parent.glob(f"{glob.escape(local.stem)}.*")}
        missing = [suffix for suffix in (".shx", ".dbf") if suffix not in parts]
        if missing:
            raise InputError(
                f"{name} came without its {' and '.join(missing)} file. A shapefile is several files of one "
                "name: hand in all of them, best as one .zip."
            )
        if ".cpg" not in parts:
            with parts[".dbf"].open("rb") as file:
                encoding = _dbf_encoding(file.read(_SAMPLE))
    return _read_layer(str(local), name, layer, encoding, lines)


def _read_zip(path: Path, name: str, layer: str | None, lines: bool) -> tuple[gpd.GeoDataFrame, list[str]]:
    """A zipped shapefile or file geodatabase, read where it lies."""
    members = zip_members(path)
    with zipfile.ZipFile(path) as archive:
        check_bomb(sum(info.file_size for info in archive.infolist()), path.stat().st_size, name)
        base = f"/vsizip/{path.resolve()}"
        folders = sorted({m[: m.lower().index(".gdb/") + 4] for m in members if ".gdb/" in m.lower()})
        if folders:
            return _read_layer(f"{base}/{folders[0]}", name, layer, None, lines)
        shapes = [m for m in members if m.lower().endswith(".shp")]
        if layer is not None:
            shapes = [m for m in shapes if layer in (m, Path(m).name, Path(m).stem)]
        if not shapes:
            what = f"no shapefile named {layer}" if layer else "no boundaries"
            raise InputError(f"{name} holds {what}. It holds: {', '.join(sorted(members)[:12])}.")
        if len(shapes) > 1:
            listed = ", ".join(sorted(Path(m).stem for m in shapes))
            raise InputError(
                f"{name} holds {len(shapes)} shapefiles: {listed}. Say which one with --layer NAME."
            )
        parts = {m.lower(): m for m in members}
        stem, encoding = shapes[0][:-4].lower(), None
        if f"{stem}.cpg" not in parts and f"{stem}.dbf" in parts:
            with archive.open(parts[f"{stem}.dbf"]) as file:
                encoding = _dbf_encoding(file.read(_SAMPLE))
    return _read_layer(f"{base}/{shapes[0]}", name, None, encoding, lines)


def _dbf_encoding(start: bytes) -> str | None:
    """The encoding of a DBF without .cpg file; None leaves it to OGR."""
    if len(start) < 32 or start[29] != 0:  # byte 29 names the code page, if any
        return None
    codec = detect_bytes(start[int.from_bytes(start[8:10], "little") :])
    return {"utf-8": "UTF-8", "latin_1": "ISO-8859-1"}.get(codec, codec.upper())


def _read_layer(
    target: str, name: str, layer: str | None, encoding: str | None, lines: bool
) -> tuple[gpd.GeoDataFrame, list[str]]:
    notes = [f"Attribute encoding {encoding}."] if encoding else []
    with warnings.catch_warnings():
        # Measures (M values) are dropped: an outline needs none.
        warnings.filterwarnings("ignore", message=r"Measured \(M\)", category=UserWarning)
        layers = {str(row[0]): str(row[1] or "") for row in pyogrio.list_layers(target)}
    if layer is None:
        # Of several layers only one may hold outlines; a layer of unknown type may hold some.
        wanted, word = ("LineString", "lines") if lines else ("Polygon", "outlines")
        fitting = [n for n, kind in layers.items() if wanted in kind or kind in ("Unknown", "Geometry")]
        if lines and set(layers) >= _OSM_LAYERS:
            fitting = ["lines"]  # beside it are relations, such as bus routes
        candidates = fitting or list(layers)
        if len(candidates) != 1:
            what = f"layers with {word}" if fitting else "layers"
            listed = ", ".join(candidates[:20]) or "none"
            raise InputError(
                f"{name} holds {len(candidates)} {what}: {listed}. Say which one with --layer NAME."
            )
        layer = candidates[0]
        if len(layers) > 1:
            notes.append(f"Layer {layer!r} of: {', '.join(layers)}.")
    elif layer not in layers:
        raise InputError(f"{name} has no layer {layer!r}. Its layers are: {', '.join(layers) or 'none'}.")
    frame = pyogrio.read_dataframe(target, layer=layer, encoding=encoding, on_invalid="ignore")
    if not isinstance(frame, gpd.GeoDataFrame):
        raise InputError(
            f"Layer {layer!r} of {name} is a table without outlines; name another one with --layer, or hand "
            "it to --assignment."
        )
    return frame, notes


def _read_parquet(path: Path, name: str) -> tuple[gpd.GeoDataFrame, list[str]]:
    try:
        return gpd.read_parquet(path), []
    except ValueError as error:
        if "geo metadata" not in str(error):
            raise InputError(f"{name} is damaged ({error}). Export it again.") from error
    plain = pd.read_parquet(path)
    for column in plain.columns:
        first = plain[column].dropna()
        if not len(first) or not isinstance(first.iloc[0], bytes | str):
            continue
        parse = shapely.from_wkb if isinstance(first.iloc[0], bytes) else shapely.from_wkt
        shapes = parse(plain[column].where(plain[column].notna(), None).to_numpy(object), on_invalid="ignore")
        if shapely.is_missing(shapes).sum() <= plain[column].isna().sum():
            frame = gpd.GeoDataFrame(plain.drop(columns=column), geometry=shapes)
            return frame, [f"Outlines are in column '{column}' without GeoParquet metadata."]
    raise InputError(f"{name} is a table without outlines; save it as GeoParquet or GeoPackage from a GIS.")


def _to_degrees(frame: gpd.GeoDataFrame, name: str, notes: list[str]) -> gpd.GeoDataFrame:
    if frame.crs is None:
        frame = frame.set_crs("EPSG:4326")
        notes.append("No coordinate reference system is given: degrees (EPSG:4326) are assumed.")
    elif not frame.crs.equals(pyproj.CRS.from_epsg(4326), ignore_axis_order=True):
        authority = frame.crs.to_authority()
        label = ":".join(authority) if authority else frame.crs.name
        frame = frame.to_crs("EPSG:4326")
        if label != "OGC:CRS84":
            notes.append(f"Outlines transformed from {label} to EPSG:4326.")
    west, south, east, north = frame.total_bounds
    if np.isfinite([west, south, east, north]).all() and (
        west < -181 or east > 181 or south < -90.1 or north > 90.1
    ):
        raise InputError(
            f"{name}: the outlines reach from ({west:.1f}, {south:.1f}) to ({east:.1f}, {north:.1f}), which "
            "are no degrees, and the file does not say its reference system (or a wrong one). Set it in a "
            "GIS (for a shapefile: the .prj file) and hand the file in again."
        )
    return frame


def recognise(
    frame: gpd.GeoDataFrame, level: str, given: dict[str, str | None], notes: list[str], file_name: str
) -> Columns:
    """Find the columns of names and codes of a level's areas.

    ``given`` overrules (name_ar, name_en, code, parent); ``notes`` grows by what was taken.
    Raises InputError when a column given is not there, or when none can be a name.
    """
    columns = [str(column) for column in frame.columns if column != frame.geometry.name]
    for option, column in given.items():
        if column is not None and column not in columns:
            raise InputError(
                f"{file_name} has no column '{column}' (--{option.replace('_', '-')}). Its columns are: "
                f"{', '.join(columns) or 'none'}."
            )
    plain = {column: _plain(column) for column in columns}

    def first(spellings: Sequence[str], among: Sequence[str] = columns) -> str | None:
        rank: dict[str, int] = {}
        for i, spelling in enumerate(spellings):
            rank.setdefault(spelling, i)
        # Of NAME_1, NAME_2 ... the deepest level is the area itself; the others are its parents.
        hits = [
            (_depth(c) > 0, -_depth(c), rank[plain[c]], i) for i, c in enumerate(among) if plain[c] in rank
        ]
        return among[min(hits)[3]] if hits else None

    filled = [column for column in columns if frame[column].notna().any()]
    own_ar = [*(f"{level}namear {level}ar".split()), *_ARABIC_LEVEL[level]]
    name_ar = given.get("name_ar") or first([*own_ar, *_ARABIC_NAME], filled)
    name_en = given.get("name_en") or first([f"{level}nameen", f"{level}en", *_ENGLISH_NAME], filled)
    if name_ar is None or name_en is None:
        left = [c for c in filled if c not in (name_ar, name_en)]
        other = first([f"{level}name", level, *_ANY_NAME], left)
        if other is not None and name_ar is None and _is_arabic(frame[other]):
            name_ar = other
        elif other is not None and name_en is None and not _is_arabic(frame[other]):
            name_en = other
    if name_ar is None and name_en is None:
        texts = [c for c in filled if _is_text(frame[c]) and (_says_name(plain[c]) or _is_arabic(frame[c]))]
        if len(texts) == 1:
            name_ar, name_en = (texts[0], None) if _is_arabic(frame[texts[0]]) else (None, texts[0])
    if name_ar is None and name_en is None:
        raise InputError(
            f"{file_name}: no column looks like the areas' names. Its columns are: "
            f"{', '.join(columns) or 'none'}. Say which one with --name-ar or --name-en."
        )
    used = {name_ar, name_en}
    spellings = tuple(
        c
        for c in filled
        if c not in used
        and _is_text(frame[c])
        and (_OTHER_SPELLINGS.search(plain[c]) or plain[c] in ("name", "namear", "nameen"))
    )
    code = given.get("code") or first(_CODE, [c for c in filled if c not in used])
    said = [f"Arabic name: {name_ar or '-'}", f"English name: {name_en or '-'}", f"code: {code or '-'}"]
    notes.append(f"Columns taken: {', '.join(said)}.")
    return Columns(
        name_ar=name_ar,
        name_en=name_en,
        code=code,
        ministry_code=first(_MINISTRY_CODE, filled),
        iso_code=first(_ISO_CODE, filled),
        parent=given.get("parent"),
        spellings=spellings,
    )


def spellings_in(value: Any) -> list[str]:
    """The names in a cell that may hold one, a list, or a text that joins several."""
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return []
    if isinstance(value, str):
        if value.strip().startswith("["):
            with contextlib.suppress(json.JSONDecodeError):
                return spellings_in(json.loads(value))
            value = value.strip("[] ").replace("'", "").replace('"', "").replace(",", ";")
        return [part.strip() for part in re.split(r"[;|،\n]", value) if part.strip()]
    if isinstance(value, list | tuple | np.ndarray):
        return [name for part in value for name in spellings_in(part)]
    return [str(value)]


def _plain(column: str) -> str:
    return re.sub(r"[\W_]+", "", fold(column))


def _depth(column: str) -> int:
    match = _ADMIN.match(column.casefold())
    return int(match.group(1)) if match else 0


def _says_name(plain: str) -> bool:
    return "name" in plain or "اسم" in plain


def _is_text(values: pd.Series) -> bool:
    present = values.dropna()
    return (
        bool(len(present))
        and not pd.api.types.is_numeric_dtype(present)
        and (present.map(lambda v: isinstance(v, str | list | np.ndarray)).all())
    )


def _is_arabic(values: pd.Series) -> bool:
    present = values.dropna().astype(str)
    return bool(len(present)) and bool(present.map(lambda v: bool(_ARABIC.search(v))).mean() > 0.5)
